// The disk's host side, for the glue and main.
#ifndef MINIVK_HOST_DISK_H
#define MINIVK_HOST_DISK_H

namespace minivk {

void host_disk_attach(int fd, bool writable);	// starts its thread
void host_disk_end();

}  // namespace minivk
#endif
