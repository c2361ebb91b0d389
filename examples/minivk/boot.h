// RAM and the first process.
#ifndef MINIVK_BOOT_H
#define MINIVK_BOOT_H

#include "options.h"

namespace minivk {

// Each ends the process with a message and status 1 if it cannot be done.
void boot_ram(const Options &);			// RAM, the kernel in it, the vmspace engine
void boot_engine(int ram_fd, uint64_t ram_bytes, unsigned cpus);	// of this process; also after a thaw
void boot_files(const Options &);		// the root file system
void boot_first_process(const Options &);
// A regular file of this user with one name: what others may have laid in its place in a shared folder is not.
bool is_own_file(int fd);
[[noreturn]] void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

}  // namespace minivk
#endif
