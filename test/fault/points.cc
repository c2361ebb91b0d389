#include "test/fault/points.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/syscall.h>

namespace points {
namespace {

constexpr Point kPoints[] = {
	{ 1, "clone.move", kClone },
	{ 2, "clone.open", kClone },
	{ 3, "clone.part.create", kClone },
	{ 4, "clone.part.lock", kClone },
	{ 5, "clone.part.open", kClone },
	{ 6, "clone.part.reflink", kClone },
	{ 7, "clone.part.stat", kClone },
	{ 8, "clone.part.sync", kClone },
	{ 9, "clone.part.unlink", kClone },
	{ 10, "clone.sidecar.create", kClone },
	{ 11, "clone.sidecar.exchange", kClone },
	{ 12, "clone.sidecar.lock", kClone },
	{ 13, "clone.sidecar.new.create", kClone },
	{ 14, "clone.sidecar.new.lock", kClone },
	{ 15, "clone.sidecar.new.sync", kClone },
	{ 16, "clone.sidecar.new.unlink", kClone },
	{ 17, "clone.sidecar.new.write", kClone },
	{ 18, "clone.sidecar.open", kClone },
	{ 19, "clone.sidecar.read", kClone },
	{ 20, "clone.sidecar.rename", kClone },
	{ 21, "clone.sidecar.stat", kClone },
	{ 22, "clone.sidecar.sync", kClone },
	{ 23, "clone.sidecar.unlink", kClone },
	{ 24, "clone.sidecar.write", kClone },
	{ 25, "clone.stat", kClone },
	{ 26, "clone.sync", kClone },
	{ 27, "clone.unlink", kClone },
	{ 28, "descriptor.name", kBoot | kDiscard | kThaw | kClone },
	{ 29, "disk.open", kBoot | kDiscard | kThaw | kClone },
	{ 30, "disk.stat", kSuspend | kThaw | kClone },
	{ 31, "disk.sync", kSuspend | kCheckpoint | kThaw | kClone },
	{ 32, "folder.open", kAll },
	{ 33, "folder.room", kThaw | kClone },
	{ 34, "folder.sync", kAll },
	{ 35, "frozen.create", kCheckpoint },
	{ 36, "frozen.reflink", kCheckpoint },
	{ 37, "frozen.sidecar.create", kCheckpoint },
	{ 38, "frozen.sidecar.lock", kCheckpoint },
	{ 39, "frozen.sidecar.sync", kCheckpoint },
	{ 40, "frozen.sidecar.unlink", kCheckpoint },
	{ 41, "frozen.sidecar.write", kCheckpoint },
	{ 42, "frozen.stat", kCheckpoint },
	{ 43, "frozen.sync", kCheckpoint },
	{ 44, "frozen.unlink", kCheckpoint },
	{ 45, "host.open", kSuspend | kCheckpoint | kThaw | kClone },
	{ 46, "host.read", kSuspend | kCheckpoint | kThaw | kClone },
	{ 47, "image.exchange", kSuspend | kCheckpoint },
	{ 48, "image.open", kThaw | kClone },
	{ 49, "image.part.create", kSuspend | kCheckpoint },
	{ 50, "image.part.flags", kSuspend | kCheckpoint },
	{ 51, "image.part.lock", kSuspend | kCheckpoint },
	{ 52, "image.part.open", kSuspend | kCheckpoint },
	{ 53, "image.part.stat", kSuspend | kCheckpoint },
	{ 54, "image.part.sync", kSuspend | kCheckpoint },
	{ 55, "image.part.unlink", kSuspend | kCheckpoint },
	{ 56, "image.part.write", kSuspend | kCheckpoint },
	{ 57, "image.read", kThaw | kClone },
	{ 58, "image.rename", kSuspend | kCheckpoint },
	{ 59, "image.stat", kSuspend | kCheckpoint | kThaw | kClone },
	{ 60, "memory.advise", kThaw | kClone },
	{ 61, "memory.make", kThaw | kClone },
	{ 62, "memory.map", kThaw | kClone },
	{ 63, "memory.protect", kThaw | kClone },
	{ 64, "memory.random", kBoot | kSuspend | kCheckpoint | kThaw | kClone },
	{ 65, "memory.size", kThaw | kClone },
	{ 66, "memory.stat", kThaw | kClone },
	{ 67, "sidecar.create", kBoot },
	{ 68, "sidecar.exchange", kBoot | kEnd | kDiscard | kSuspend | kThaw },
	{ 69, "sidecar.lock", kBoot | kDiscard | kThaw | kClone },
	{ 70, "sidecar.new.create", kBoot | kEnd | kDiscard | kSuspend | kThaw },
	{ 71, "sidecar.new.lock", kBoot | kEnd | kDiscard | kSuspend | kThaw },
	{ 72, "sidecar.new.sync", kBoot | kEnd | kDiscard | kSuspend | kThaw },
	{ 73, "sidecar.new.unlink", kBoot | kEnd | kDiscard | kSuspend | kThaw },
	{ 74, "sidecar.new.write", kBoot | kEnd | kDiscard | kSuspend | kThaw },
	{ 75, "sidecar.open", kDiscard | kThaw | kClone },
	{ 76, "sidecar.read", kBoot | kDiscard | kThaw | kClone },
	{ 77, "sidecar.rename", kBoot | kEnd | kDiscard | kSuspend | kThaw },
	{ 78, "sidecar.stat", kBoot | kDiscard | kThaw | kClone },
};

// Names of files as the library makes them: an image is taken to be called *.ckpt, a clone's name to be "clone".
std::string object_of(const std::string &path)
{
	if (path.empty())
		return "memory";
	if (path.starts_with("/proc/self/fd/"))
		return "descriptor";
	if (path.starts_with("/proc/"))
		return "host";
	size_t slash = path.rfind('/');
	std::string file = path.substr(slash + 1);
	if (file.find('.') == std::string::npos)
		return "folder";
	if (file.ends_with(".reserve"))
		return "reserve";
	std::string end;
	for (const char *tail : { ".vkckpt.new", ".vkckpt", ".part" })
		if (end.empty() && file.ends_with(tail))
			end = tail;
	file.resize(file.size() - end.size());
	std::string base = file.find(".ckpt.") != std::string::npos ? "frozen" : file.ends_with(".clone") ? "clone" :
	    file.ends_with(".ckpt") ? "image" : "disk";
	if (end == ".part")
		return base + ".part";
	if (end.empty())
		return base;
	return (base == "disk" ? "" : base + ".") + "sidecar" + end.substr(7);
}

std::string verb_of(long number, const long *a)
{
	switch (number) {
	case SYS_openat: return a[2] & O_CREAT ? "create" : "open";
	case SYS_read: case SYS_pread64: return "read";
	case SYS_write: case SYS_pwrite64: case SYS_writev: return "write";
	case SYS_fsync: return "sync";
	case SYS_fstat: case SYS_stat: case SYS_lstat: return "stat";
	case SYS_readlink: return "name";
	case SYS_fcntl: return a[1] == F_OFD_SETLK ? "lock" : "flags";
	case SYS_ioctl: return "reflink";
	case SYS_rename: return "rename";
	case SYS_renameat2: return a[4] & RENAME_EXCHANGE ? "exchange" : "move";
	case SYS_unlink: return "unlink";
	case SYS_statfs: return "room";
	case SYS_mmap: return "map";
	case SYS_madvise: return "advise";
	case SYS_mprotect: return "protect";
	case SYS_memfd_create: return "make";
	case SYS_ftruncate: case SYS_fallocate: return "size";
	case SYS_lseek: return "extents";
	case SYS_getrandom: return "random";
	case SYS_clone: return "thread";
	}
	return "call" + std::to_string(number);
}

}  // namespace

const Point *begin() { return kPoints; }
const Point *end() { return kPoints + sizeof kPoints / sizeof kPoints[0]; }

const Point *find(const std::string &name)
{
	for (const Point *p = begin(); p != end(); p++)
		if (name == p->name)
			return p;
	return nullptr;
}

std::string name_of(long number, const long *arguments, const std::string &path)
{
	return object_of(path) + "." + verb_of(number, arguments);
}

}  // namespace points
