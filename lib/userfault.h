// The part of the seam that is userfaultfd(2): RAM whose missing frames a thread of the library brings when they are touched. Every
// function returns what the kernel returned: >= 0, or -errno. THAW, and the library's own threads.
#ifndef VKCKPT_LIB_USERFAULT_H
#define VKCKPT_LIB_USERFAULT_H

#include <stddef.h>
#include <stdint.h>

namespace vk {

// A non-blocking userfaultfd that reports faults of user code and of the host kernel alike (system calls on RAM), for memory of memfds. By
// the system call, else by /dev/userfaultfd. -EPERM, -ENOSYS and others: the host does not give one; one for faults of user code alone is not
// asked for, because host calls on RAM would then fail with EFAULT.
long userfault_open();
// Missing frames of a shared mapping are reported from now on, and no longer; the latter wakes whoever waits.
long userfault_register(int fd, void *address, uint64_t bytes);
long userfault_unregister(int fd, void *address, uint64_t bytes);
// The next faults that wait to be read, into address[room]: their number, 0: none waits, or -errno.
long userfault_read(int fd, uint64_t *address, unsigned room);
// Publishes whole frames that are missing and wakes who waits for them. -EEXIST: one of them was there. -ENOMEM, -ENOSPC: no memory.
long userfault_copy(int fd, void *to, const void *from, uint64_t bytes);
// A frame of zeros; also fine when it is there by now.
long userfault_zero(int fd, void *to);

}  // namespace vk
#endif
