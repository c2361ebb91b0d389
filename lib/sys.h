// The seam to the host kernel: the only place in the library that makes a system call. Every function returns what the kernel
// returned: >= 0, or -errno. All of them are async-signal-safe, use no TLS (no errno) and may be called in every context.
//
// In a build with -DVKCKPT_FAULT every call first asks vkckpt_fault_hook, so that a test can make call number n fail, or put a
// host of its own in the place of this one (test/fault/simfs.h).
#ifndef VKCKPT_LIB_SYS_H
#define VKCKPT_LIB_SYS_H

#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <time.h>

#include "lib/status.h"

#ifdef VKCKPT_FAULT
// Called before system call nr with its six arguments. *inject left 0: the call is made; set to 1: it is not, and the hook's value is
// its result.
extern "C" long vkckpt_fault_hook(long nr, const long *arguments, int *inject);
#endif

namespace vk {

long sys_call(long nr, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0);

long sys_open(const char *path, int flags, int mode = 0);	// O_CLOEXEC is added
long sys_openat(int dir, const char *path, int flags, int mode = 0);
long sys_close(int fd);
long sys_read(int fd, void *buffer, size_t bytes);
long sys_write(int fd, const void *buffer, size_t bytes);
long sys_pread(int fd, void *buffer, size_t bytes, uint64_t offset);
long sys_pwrite(int fd, const void *buffer, size_t bytes, uint64_t offset);
long sys_writev(int fd, const struct iovec *vec, int count);
long sys_fsync(int fd);
long sys_ftruncate(int fd, uint64_t bytes);
long sys_fallocate(int fd, int mode, uint64_t offset, uint64_t bytes);
long sys_lseek(int fd, int64_t offset, int whence);
long sys_rename(const char *from, const char *to);
long sys_renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags);
long sys_link(const char *from, const char *to);
long sys_unlink(const char *path);
long sys_unlinkat(int dir, const char *path, int flags);
long sys_mkdir(const char *path, int mode);
long sys_stat(const char *path, struct stat *out);
long sys_lstat(const char *path, struct stat *out);
long sys_fstat(int fd, struct stat *out);
long sys_readlink(const char *path, char *out, size_t room);
long sys_fcntl(int fd, int command, long argument = 0);
long sys_ioctl(int fd, unsigned long request, void *argument);
long sys_memfd_create(const char *name, unsigned flags);

long sys_mmap(void *address, size_t bytes, int prot, int flags, int fd, uint64_t offset);	// address, or -errno
long sys_munmap(void *address, size_t bytes);
long sys_mprotect(void *address, size_t bytes, int prot);
long sys_madvise(void *address, size_t bytes, int advice);
// Makes the pages, as writing to each would (MADV_POPULATE_WRITE). 0: all are there; 1: not all (Linux before 5.14; interrupted), they come as they
// are touched; -ENOMEM: there is no memory for one, also where touching it would be SIGBUS.
long sys_populate(void *address, size_t bytes);
long sys_mlock(const void *address, size_t bytes);
long sys_msync(void *address, size_t bytes, int flags);

long sys_futex_wait(const uint32_t *word, uint32_t expected, uint64_t timeout_ns);	// relative; 0: for ever
long sys_futex_wake(const uint32_t *word, int count);
uint64_t sys_clock_ns(int clock);	// CLOCK_MONOTONIC, CLOCK_REALTIME ...; cannot fail with a valid clock
long sys_nanosleep(uint64_t ns);
long sys_getrandom(void *out, size_t bytes);	// all of them, waits for the pool at early boot; 0 or -errno
long sys_getpid();
long sys_gettid();
long sys_getuid();
long sys_uname(struct utsname *out);
long sys_sched_yield();
[[noreturn]] void sys_exit_group(int status);

// A handler, with the library's own restorer and SA_SIGINFO; flags: SA_RESTART, SA_ONSTACK ... . mask: bit n-1 is signal n.
struct SignalAction {
	void (*handler)(int, siginfo_t *, void *) = nullptr;	// null: default
	uint64_t flags = 0;
	uint64_t mask = 0;
	void *foreign_restorer = nullptr;	// of a saved old action; null: the library's own
};
long sys_sigaction(int signal, const SignalAction *action, SignalAction *old);
long sys_sigprocmask(int how, const uint64_t *mask, uint64_t *old);
// Takes a pending signal of the set that the caller has blocked, without waiting: its number, or -EAGAIN.
long sys_sigtake(uint64_t set, siginfo_t *info);
long sys_kill(long pid, int signal);
long sys_tgkill(long pid, long tid, int signal);
long sys_sigqueue(long pid, int signal, siginfo_t *info);

// A thread without libc: runs entry(argument) on the given stack (its highest address) and ends; *alive_tid becomes 0, with a futex
// wake, when the stack is free again. It shares the caller's TLS base: it must use the library's code only. All signals must be
// blocked by the caller beforehand. Returns the thread id or -errno.
long sys_thread_start(void *stack_top, void (*entry)(void *), void *argument, uint32_t *alive_tid);

// --- made of the above ---
// Asked again and again while a write waits for a reader; true: -ECANCELED.
struct Patience {
	bool (*ended)(void *) = nullptr;
	void *arg = nullptr;
};
// All bytes, whatever short writes, EINTR and EAGAIN (a non-blocking pipe: waits in poll) come between. 0 or -errno.
long write_all(int fd, const void *buffer, size_t bytes);
long writev_all(int fd, struct iovec *vec, int count, const Patience &patience = {});	// changes vec
long pwrite_all(int fd, const void *buffer, size_t bytes, uint64_t offset);
// Bytes read: fewer than asked only at the end of the file. Or -errno.
long read_all(int fd, void *buffer, size_t bytes);
long pread_all(int fd, void *buffer, size_t bytes, uint64_t offset);
// Every name in an open folder. 0 or -errno.
long list_folder(int dir, void (*name)(void *arg, const char *), void *arg);

}  // namespace vk
#endif
