// Host side, before the kernel is up: the archive that becomes the root file system.
#ifndef MINIVK_HOST_ROOT_H
#define MINIVK_HOST_ROOT_H

#include <cstddef>

namespace minivk {

// Bytes in host memory, from malloc; the caller frees them once vfs_boot has read them.
struct HostBuffer { char *bytes; size_t size; };

// root: a cpio "newc" archive or a folder of the host; null makes the default tree from the host's static busybox.
// False, and a message that names what is wrong, when that cannot be done.
bool host_root_load(const char *root, HostBuffer *out, char *message, size_t message_bytes);

}  // namespace minivk
#endif
