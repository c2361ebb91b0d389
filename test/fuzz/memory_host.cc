// Files in memory. See memory_host.h.
#include "test/fuzz/memory_host.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "lib/sys.h"

namespace {

struct {
	const uint8_t *content;
	size_t bytes, position;
} file;

constexpr char kFolder[] = "/fuzz/";
bool is_ours(const char *path) { return std::strncmp(path, kFolder, sizeof kFolder - 1) == 0; }

long take(void *buffer, size_t bytes, uint64_t offset)
{
	if (offset >= file.bytes)
		return 0;
	size_t count = std::min<size_t>(bytes, file.bytes - offset);
	std::memcpy(buffer, file.content + offset, count);
	return static_cast<long>(count);
}

long facts(struct stat *out)
{
	*out = {};
	out->st_mode = S_IFREG | 0600;
	out->st_size = static_cast<off_t>(file.bytes);
	out->st_dev = out->st_ino = 1;
	return 0;
}

}  // namespace

namespace memory_host {

void put(const void *content, size_t bytes) { file = { static_cast<const uint8_t *>(content), bytes, 0 }; }

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
	file.position = 0;
	return memory_host::kFile;
}

long REAL(_ZN2vk9sys_closeEi)(int);
long WRAP(_ZN2vk9sys_closeEi)(int fd) { return fd == memory_host::kFile ? 0 : REAL(_ZN2vk9sys_closeEi)(fd); }

long REAL(_ZN2vk8sys_readEiPvm)(int, void *, size_t);
long WRAP(_ZN2vk8sys_readEiPvm)(int fd, void *buffer, size_t bytes)
{
	if (fd != memory_host::kFile)
		return REAL(_ZN2vk8sys_readEiPvm)(fd, buffer, bytes);
	long got = take(buffer, bytes, file.position);
	file.position += static_cast<size_t>(got);
	return got;
}

long REAL(_ZN2vk9sys_preadEiPvmm)(int, void *, size_t, uint64_t);
long WRAP(_ZN2vk9sys_preadEiPvmm)(int fd, void *buffer, size_t bytes, uint64_t offset)
{
	if (static_cast<int64_t>(offset) < 0)
		return -EINVAL;
	return fd == memory_host::kFile ? take(buffer, bytes, offset) : REAL(_ZN2vk9sys_preadEiPvmm)(fd, buffer, bytes, offset);
}

long REAL(_ZN2vk9sys_fstatEiP4stat)(int, struct stat *);
long WRAP(_ZN2vk9sys_fstatEiP4stat)(int fd, struct stat *out)
{
	return fd == memory_host::kFile ? facts(out) : REAL(_ZN2vk9sys_fstatEiP4stat)(fd, out);
}

long REAL(_ZN2vk9sys_lstatEPKcP4stat)(const char *, struct stat *);
long WRAP(_ZN2vk9sys_lstatEPKcP4stat)(const char *path, struct stat *out)
{
	return is_ours(path) ? facts(out) : REAL(_ZN2vk9sys_lstatEPKcP4stat)(path, out);
}

long REAL(_ZN2vk9sys_fcntlEiil)(int, int, long);
long WRAP(_ZN2vk9sys_fcntlEiil)(int fd, int command, long argument)
{
	return fd == memory_host::kFile ? 0 : REAL(_ZN2vk9sys_fcntlEiil)(fd, command, argument);
}

// Memory comes when it is touched, not before: an input uses little of it.
long WRAP(_ZN2vk11sys_madviseEPvmi)(void *, size_t, int) { return 0; }

}  // extern "C"
