// The seam to Linux on x86-64: raw system calls, because errno is libc's thread-local and the kernels we are linked into have no libc
// worth the name. Every context. Nothing here may use static data or anything that a handler could find half done.
#include "lib/asan.h"
#include "lib/sys.h"

#include <errno.h>
#include <sched.h>
#include <sys/syscall.h>

extern "C" long vkckpt_thread_clone(long flags, void *stack_top, uint32_t *alive_tid, void (*entry)(void *), void *argument);

namespace vk {
namespace {

inline long raw_call(long nr, long a, long b, long c, long d, long e, long f)
{
	long result;
	register long r10 asm("r10") = d;
	register long r8 asm("r8") = e;
	register long r9 asm("r9") = f;
	asm volatile("syscall" : "=a"(result) : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
	    : "rcx", "r11", "memory");
	return result;
}

inline long word(const void *p) { return reinterpret_cast<long>(p); }
inline long word(uint64_t v) { return static_cast<long>(v); }

// What rt_sigaction(2) takes; libc's struct sigaction is another one.
struct KernelSigaction {
	void (*handler)(int, siginfo_t *, void *);
	uint64_t flags;
	void *restorer;
	uint64_t mask;
};
static_assert(sizeof(KernelSigaction) == 32);

constexpr uint64_t kRestorerFlag = 0x04000000;	// SA_RESTORER: x86-64 has no other way back from a handler

}  // namespace

extern "C" void vkckpt_signal_return();
asm(".pushsection .text.vkckpt_signal_return,\"ax\",@progbits\n"
    ".globl vkckpt_signal_return\n.hidden vkckpt_signal_return\n.type vkckpt_signal_return,@function\n"
    "vkckpt_signal_return:\n\tmov $15, %eax\n\tsyscall\n"	// __NR_rt_sigreturn
    ".size vkckpt_signal_return, .-vkckpt_signal_return\n.popsection");

long sys_call(long nr, long a, long b, long c, long d, long e, long f)
{
#ifdef VKCKPT_FAULT
	const long arguments[6] = { a, b, c, d, e, f };
	int inject = 0;
	long injected = vkckpt_fault_hook(nr, arguments, &inject);
	if (inject)
		return injected;
#endif
	return raw_call(nr, a, b, c, d, e, f);
}

long sys_open(const char *path, int flags, int mode) { return sys_openat(AT_FDCWD, path, flags, mode); }
long sys_openat(int dir, const char *path, int flags, int mode)
{
	long fd;
	do
		fd = sys_call(SYS_openat, dir, word(path), flags | O_CLOEXEC, mode);
	while (fd == -EINTR);
	return fd;
}
// Not repeated after EINTR: Linux has closed the descriptor by then.
long sys_close(int fd) { return sys_call(SYS_close, fd); }
long sys_read(int fd, void *buffer, size_t bytes) { return sys_call(SYS_read, fd, word(buffer), word(bytes)); }
long sys_write(int fd, const void *buffer, size_t bytes) { return sys_call(SYS_write, fd, word(buffer), word(bytes)); }
long sys_pread(int fd, void *buffer, size_t bytes, uint64_t offset)
{
	return sys_call(SYS_pread64, fd, word(buffer), word(bytes), word(offset));
}
long sys_pwrite(int fd, const void *buffer, size_t bytes, uint64_t offset)
{
	return sys_call(SYS_pwrite64, fd, word(buffer), word(bytes), word(offset));
}
long sys_writev(int fd, const struct iovec *vec, int count) { return sys_call(SYS_writev, fd, word(vec), count); }
long sys_fsync(int fd)
{
	long result;
	do
		result = sys_call(SYS_fsync, fd);
	while (result == -EINTR);
	return result;
}
long sys_ftruncate(int fd, uint64_t bytes) { return sys_call(SYS_ftruncate, fd, word(bytes)); }
long sys_fallocate(int fd, int mode, uint64_t offset, uint64_t bytes)
{
	long result;
	do
		result = sys_call(SYS_fallocate, fd, mode, word(offset), word(bytes));
	while (result == -EINTR);
	return result;
}
long sys_lseek(int fd, int64_t offset, int whence) { return sys_call(SYS_lseek, fd, offset, whence); }
long sys_rename(const char *from, const char *to) { return sys_call(SYS_rename, word(from), word(to)); }
long sys_renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	return sys_call(SYS_renameat2, from_dir, word(from), to_dir, word(to), flags);
}
long sys_link(const char *from, const char *to) { return sys_call(SYS_link, word(from), word(to)); }
long sys_unlink(const char *path) { return sys_call(SYS_unlink, word(path)); }
long sys_unlinkat(int dir, const char *path, int flags) { return sys_call(SYS_unlinkat, dir, word(path), flags); }
long sys_mkdir(const char *path, int mode) { return sys_call(SYS_mkdir, word(path), mode); }
long sys_stat(const char *path, struct stat *out) { return sys_call(SYS_stat, word(path), word(out)); }
long sys_lstat(const char *path, struct stat *out) { return sys_call(SYS_lstat, word(path), word(out)); }
long sys_fstat(int fd, struct stat *out) { return sys_call(SYS_fstat, fd, word(out)); }
long sys_readlink(const char *path, char *out, size_t room) { return sys_call(SYS_readlink, word(path), word(out), word(room)); }
long sys_fcntl(int fd, int command, long argument) { return sys_call(SYS_fcntl, fd, command, argument); }
long sys_ioctl(int fd, unsigned long request, void *argument)
{
	return sys_call(SYS_ioctl, fd, static_cast<long>(request), word(argument));
}
long sys_memfd_create(const char *name, unsigned flags) { return sys_call(SYS_memfd_create, word(name), flags); }

long sys_mmap(void *address, size_t bytes, int prot, int flags, int fd, uint64_t offset)
{
	long result = sys_call(SYS_mmap, word(address), word(bytes), prot, flags, fd, word(offset));
	if (result >= 0)
		asan_unpoison(reinterpret_cast<void *>(result), bytes);
	return result;
}
long sys_munmap(void *address, size_t bytes)
{
	asan_unpoison(address, bytes);
	return sys_call(SYS_munmap, word(address), word(bytes));
}
long sys_mprotect(void *address, size_t bytes, int prot) { return sys_call(SYS_mprotect, word(address), word(bytes), prot); }
long sys_madvise(void *address, size_t bytes, int advice) { return sys_call(SYS_madvise, word(address), word(bytes), advice); }
long sys_populate(void *address, size_t bytes)
{
	constexpr int kPopulateWrite = 23;	// in <sys/mman.h> since glibc 2.35
	long r = sys_madvise(address, bytes, kPopulateWrite);
	if (r == -EINVAL || r == -EINTR || r == -EAGAIN)
		return 1;
	return r == -EFAULT ? -ENOMEM : r;
}
long sys_mlock(const void *address, size_t bytes) { return sys_call(SYS_mlock, word(address), word(bytes)); }
long sys_msync(void *address, size_t bytes, int flags) { return sys_call(SYS_msync, word(address), word(bytes), flags); }

// FUTEX_WAIT 0 and FUTEX_WAKE 1 without the private flag: the word may lie in memory shared with other processes.
long sys_futex_wait(const uint32_t *word_at, uint32_t expected, uint64_t timeout_ns)
{
	struct timespec timeout = { static_cast<time_t>(timeout_ns / 1000000000), static_cast<long>(timeout_ns % 1000000000) };
	return sys_call(SYS_futex, word(word_at), 0, expected, timeout_ns ? word(&timeout) : 0);
}
long sys_futex_wake(const uint32_t *word_at, int count) { return sys_call(SYS_futex, word(word_at), 1, count); }

uint64_t sys_clock_ns(int clock)
{
	struct timespec now = {};
	VK_CHECK(raw_call(SYS_clock_gettime, clock, word(&now), 0, 0, 0, 0) == 0);
	return static_cast<uint64_t>(now.tv_sec) * 1000000000 + static_cast<uint64_t>(now.tv_nsec);
}
long sys_nanosleep(uint64_t ns)
{
	struct timespec time = { static_cast<time_t>(ns / 1000000000), static_cast<long>(ns % 1000000000) };
	return sys_call(SYS_nanosleep, word(&time), 0);
}
long sys_getrandom(void *out, size_t bytes)
{
	uint8_t *at = static_cast<uint8_t *>(out);
	while (bytes > 0) {
		long got = sys_call(SYS_getrandom, word(at), word(bytes), 0);
		if (got == -EINTR)
			continue;
		if (got < 0)
			return got;
		at += got;
		bytes -= static_cast<size_t>(got);
	}
	return 0;
}
long sys_getpid() { return sys_call(SYS_getpid); }
long sys_gettid() { return sys_call(SYS_gettid); }
long sys_getuid() { return sys_call(SYS_getuid); }
long sys_uname(struct utsname *out) { return sys_call(SYS_uname, word(out)); }
long sys_sched_yield() { return sys_call(SYS_sched_yield); }
void sys_exit_group(int status)
{
	for (;;)
		raw_call(SYS_exit_group, status, 0, 0, 0, 0, 0);
}

long sys_sigaction(int signal, const SignalAction *action, SignalAction *old)
{
	KernelSigaction in = {}, out = {};
	if (action) {
		in.handler = action->handler;
		in.flags = action->flags | SA_SIGINFO | kRestorerFlag;
		in.restorer = action->foreign_restorer ? action->foreign_restorer
						       : reinterpret_cast<void *>(&vkckpt_signal_return);
		in.mask = action->mask;
		if (action->handler == nullptr || action->foreign_restorer)	// default, or exactly what was there before
			in.flags = action->flags;
	}
	long result = sys_call(SYS_rt_sigaction, signal, action ? word(&in) : 0, old ? word(&out) : 0, 8);
	if (result == 0 && old)
		*old = { out.handler, out.flags, out.mask, out.restorer };
	return result;
}
long sys_sigprocmask(int how, const uint64_t *mask, uint64_t *old)
{
	return sys_call(SYS_rt_sigprocmask, how, word(mask), word(old), 8);
}
long sys_kill(long pid, int signal) { return sys_call(SYS_kill, pid, signal); }
long sys_tgkill(long pid, long tid, int signal) { return sys_call(SYS_tgkill, pid, tid, signal); }
long sys_sigtake(uint64_t set, siginfo_t *info)
{
	struct timespec at_once = {};
	return sys_call(SYS_rt_sigtimedwait, word(&set), word(info), word(&at_once), sizeof set);
}
long sys_sigqueue(long pid, int signal, siginfo_t *info) { return sys_call(SYS_rt_sigqueueinfo, pid, signal, word(info)); }


// Not by sys_call, because the new thread does not come back through this frame; but with the same fault hook.
long sys_thread_start(void *stack_top, void (*entry)(void *), void *argument, uint32_t *alive_tid)
{
#ifdef VKCKPT_FAULT
	const long arguments[6] = {};
	int inject = 0;
	long injected = vkckpt_fault_hook(SYS_clone, arguments, &inject);
	if (inject)
		return injected;
#endif
	long flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_PARENT_SETTID |
	    CLONE_CHILD_CLEARTID;
	return vkckpt_thread_clone(flags, stack_top, alive_tid, entry, argument);
}

}  // namespace vk
