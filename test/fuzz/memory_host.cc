// Files in memory. See memory_host.h.
#include "test/fuzz/memory_host.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "lib/sys.h"

namespace {

struct File {
	const uint8_t *content;
	size_t bytes, position;
};
File file, parent;
File *of(int fd) { return fd == memory_host::kFile ? &file : fd == memory_host::kParent ? &parent : nullptr; }

constexpr char kFolder[] = "/fuzz/";
bool is_ours(const char *path) { return std::strncmp(path, kFolder, sizeof kFolder - 1) == 0; }

int fd_of(const char *path) { return parent.content && std::strcmp(path, memory_host::kPath) != 0 ? memory_host::kParent : memory_host::kFile; }

long take(const File &f, void *buffer, size_t bytes, uint64_t offset)
{
	if (offset >= f.bytes)
		return 0;
	size_t count = std::min<size_t>(bytes, f.bytes - offset);
	std::memcpy(buffer, f.content + offset, count);
	return static_cast<long>(count);
}

long facts(int fd, struct stat *out)
{
	*out = {};
	out->st_mode = S_IFREG | 0600;
	out->st_size = static_cast<off_t>(of(fd)->bytes);
	out->st_dev = 1;
	out->st_ino = static_cast<ino_t>(fd);
	return 0;
}

}  // namespace

namespace memory_host {

void put(const void *content, size_t bytes)
{
	file = { static_cast<const uint8_t *>(content), bytes, 0 };
	parent = {};
}
void put_parent(const void *content, size_t bytes) { parent = { static_cast<const uint8_t *>(content), bytes, 0 }; }

}  // namespace memory_host

// The names are the library's, as the compiler spells them.
#define REAL(name) __real_##name
#define WRAP(name) __wrap_##name

extern "C" {

long REAL(_ZN2vk8sys_openEPKcii)(const char *, int, int);
long WRAP(_ZN2vk8sys_openEPKcii)(const char *path, int flags, int mode)
{
	if (!is_ours(path))
		return REAL(_ZN2vk8sys_openEPKcii)(path, flags, mode);
	int fd = fd_of(path);
	of(fd)->position = 0;
	return fd;
}

long REAL(_ZN2vk9sys_closeEi)(int);
long WRAP(_ZN2vk9sys_closeEi)(int fd) { return of(fd) ? 0 : REAL(_ZN2vk9sys_closeEi)(fd); }

long REAL(_ZN2vk8sys_readEiPvm)(int, void *, size_t);
long WRAP(_ZN2vk8sys_readEiPvm)(int fd, void *buffer, size_t bytes)
{
	File *f = of(fd);
	if (!f)
		return REAL(_ZN2vk8sys_readEiPvm)(fd, buffer, bytes);
	long got = take(*f, buffer, bytes, f->position);
	f->position += static_cast<size_t>(got);
	return got;
}

long REAL(_ZN2vk9sys_preadEiPvmm)(int, void *, size_t, uint64_t);
long WRAP(_ZN2vk9sys_preadEiPvmm)(int fd, void *buffer, size_t bytes, uint64_t offset)
{
	if (static_cast<int64_t>(offset) < 0)
		return -EINVAL;
	return of(fd) ? take(*of(fd), buffer, bytes, offset) : REAL(_ZN2vk9sys_preadEiPvmm)(fd, buffer, bytes, offset);
}

long REAL(_ZN2vk9sys_fstatEiP4stat)(int, struct stat *);
long WRAP(_ZN2vk9sys_fstatEiP4stat)(int fd, struct stat *out)
{
	return of(fd) ? facts(fd, out) : REAL(_ZN2vk9sys_fstatEiP4stat)(fd, out);
}

long REAL(_ZN2vk9sys_lstatEPKcP4stat)(const char *, struct stat *);
long WRAP(_ZN2vk9sys_lstatEPKcP4stat)(const char *path, struct stat *out)
{
	return is_ours(path) ? facts(fd_of(path), out) : REAL(_ZN2vk9sys_lstatEPKcP4stat)(path, out);
}

long REAL(_ZN2vk9sys_fcntlEiil)(int, int, long);
long WRAP(_ZN2vk9sys_fcntlEiil)(int fd, int command, long argument)
{
	return of(fd) ? 0 : REAL(_ZN2vk9sys_fcntlEiil)(fd, command, argument);
}

// Memory comes when it is touched, not before: an input uses little of it.
long WRAP(_ZN2vk11sys_madviseEPvmi)(void *, size_t, int) { return 0; }
long WRAP(_ZN2vk12sys_populateEPvm)(void *, size_t) { return 0; }

}  // extern "C"
