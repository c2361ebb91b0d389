// The host calls that vkckpt makes without the library (a new image's file, a signature: bin/new_file.cc, vkernel-hooks/sodium), by ld --wrap: in
// build/faulty/bin/vkckpt they are fault points like the library's own.
#include <cerrno>
#include <cstdarg>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

extern "C" long vkckpt_fault_hook(long number, const long *arguments, int *inject);

namespace {

template <class Real> auto hooked(long number, const long (&arguments)[6], Real real) -> decltype(real())
{
	int inject = 0;
	const long result = vkckpt_fault_hook(number, arguments, &inject);
	if (!inject)
		return real();
	errno = int(-result);
	return -1;
}

long of(const void *p) { return reinterpret_cast<long>(p); }

}  // namespace

extern "C" {
int __real_open(const char *path, int flags, ...);
int __real_fsync(int fd);
int __real_rename(const char *from, const char *to);
int __real_renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags);
int __real_unlink(const char *path);
ssize_t __real_write(int fd, const void *bytes, size_t count);

int __wrap_open(const char *path, int flags, ...)
{
	va_list arguments;
	va_start(arguments, flags);
	const mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
	va_end(arguments);
	return hooked(SYS_openat, { AT_FDCWD, of(path), flags, long(mode) }, [=] { return __real_open(path, flags, mode); });
}
int __wrap_fsync(int fd) { return hooked(SYS_fsync, { fd }, [=] { return __real_fsync(fd); }); }
int __wrap_rename(const char *from, const char *to) { return hooked(SYS_rename, { of(from), of(to) }, [=] { return __real_rename(from, to); }); }
int __wrap_renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	return hooked(SYS_renameat2, { from_dir, of(from), to_dir, of(to), long(flags) }, [=] { return __real_renameat2(from_dir, from, to_dir, to, flags); });
}
int __wrap_unlink(const char *path) { return hooked(SYS_unlink, { of(path) }, [=] { return __real_unlink(path); }); }
ssize_t __wrap_write(int fd, const void *bytes, size_t count)
{
	return hooked(SYS_write, { fd, of(bytes), long(count) }, [=] { return __real_write(fd, bytes, count); });
}
}
