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
	{ 28, "descriptor.name", kBoot | kDiscard | kThaw | kClone | kArm | kSealedThaw | kFlatten },
	{ 29, "disk.open", kBoot | kDiscard | kThaw | kClone | kSealedThaw },
	{ 30, "disk.stat", kSuspend | kCheckpoint | kThaw | kClone | kSealed | kSealedThaw },
	{ 31, "disk.sync", kSuspend | kCheckpoint | kThaw | kClone | kChain | kSealed | kSealedThaw },
	{ 32, "folder.open", kBoot | kEnd | kDiscard | kSuspend | kCheckpoint | kThaw | kClone | kArm | kChain | kSealed |
	    kSealedThaw | kSeal | kUnseal | kSign | kKeygen },
	{ 33, "folder.room", kThaw | kClone | kSealedThaw },
	{ 34, "folder.sync", kBoot | kEnd | kDiscard | kSuspend | kCheckpoint | kThaw | kClone | kChain | kSealed | kSealedThaw | kSeal | kUnseal | kSign | kKeygen },
	{ 35, "frozen.create", kCheckpoint | kChain },
	{ 36, "frozen.reflink", kCheckpoint | kChain },
	{ 37, "frozen.sidecar.create", kCheckpoint | kChain },
	{ 38, "frozen.sidecar.lock", kCheckpoint | kChain },
	{ 39, "frozen.sidecar.sync", kCheckpoint | kChain },
	{ 40, "frozen.sidecar.unlink", kCheckpoint | kChain },
	{ 41, "frozen.sidecar.write", kCheckpoint | kChain },
	{ 42, "frozen.stat", kCheckpoint | kChain },
	{ 43, "frozen.sync", kCheckpoint | kChain },
	{ 44, "frozen.unlink", kCheckpoint | kChain },
	{ 45, "host.open", kSuspend | kCheckpoint | kThaw | kClone | kArm | kChain | kSealed | kSealedThaw },
	{ 46, "host.read", kSuspend | kCheckpoint | kThaw | kClone | kArm | kChain | kSealed | kSealedThaw },
	{ 47, "image.exchange", kSuspend | kCheckpoint },
	{ 48, "image.open", kThaw | kClone | kArm | kChain | kSealed | kSealedThaw | kFlatten | kSeal | kUnseal | kSign },
	{ 49, "image.part.create", kSuspend | kCheckpoint | kChain | kSealed | kFlatten | kSeal | kUnseal },
	{ 50, "image.part.flags", kSuspend | kCheckpoint | kChain | kSealed | kFlatten },
	{ 51, "image.part.lock", kSuspend | kCheckpoint | kChain | kSealed },
	{ 52, "image.part.open", kSuspend | kCheckpoint | kChain | kSealed | kSeal | kUnseal },
	{ 53, "image.part.stat", kSuspend | kCheckpoint | kThaw | kClone | kArm | kChain | kSealed | kSealedThaw },
	{ 54, "image.part.sync", kSuspend | kCheckpoint | kChain | kSealed | kFlatten | kSeal | kUnseal },
	{ 55, "image.part.unlink", kSuspend | kCheckpoint | kChain | kSealed | kFlatten | kSeal | kUnseal },
	{ 56, "image.part.write", kSuspend | kCheckpoint | kChain | kSealed | kFlatten | kSeal | kUnseal },
	{ 57, "image.read", kThaw | kClone | kArm | kChain | kSealed | kSealedThaw | kFlatten | kSeal | kUnseal | kSign },
	{ 58, "image.rename", kSuspend | kCheckpoint | kChain | kSealed | kFlatten | kSeal | kUnseal },
	{ 59, "image.stat", kSuspend | kCheckpoint | kThaw | kClone | kArm | kChain | kSealed | kSealedThaw | kFlatten | kSeal | kUnseal | kSign },
	{ 60, "memory.advise", kThaw | kClone | kArm | kSealedThaw | kFlatten | kSeal | kUnseal | kSign },
	{ 61, "memory.make", kThaw | kClone | kSealedThaw },
	{ 62, "memory.map", kThaw | kClone | kArm | kSealedThaw | kFlatten | kSeal | kUnseal | kSign },
	{ 63, "memory.protect", kThaw | kClone | kArm | kSealedThaw | kSign },
	{ 64, "memory.random", kBoot | kSuspend | kCheckpoint | kThaw | kClone | kChain | kSealed | kSealedThaw },
	{ 65, "memory.size", kThaw | kClone | kSealedThaw },
	{ 66, "memory.stat", kThaw | kClone | kSealedThaw },
	{ 67, "sidecar.create", kBoot },
	{ 68, "sidecar.exchange", kBoot | kEnd | kDiscard | kSuspend | kThaw | kSealed | kSealedThaw },
	{ 69, "sidecar.lock", kBoot | kDiscard | kThaw | kClone | kSealedThaw },
	{ 70, "sidecar.new.create", kBoot | kEnd | kDiscard | kSuspend | kThaw | kSealed | kSealedThaw },
	{ 71, "sidecar.new.lock", kBoot | kEnd | kDiscard | kSuspend | kThaw | kSealed | kSealedThaw },
	{ 72, "sidecar.new.sync", kBoot | kEnd | kDiscard | kSuspend | kThaw | kSealed | kSealedThaw },
	{ 73, "sidecar.new.unlink", kBoot | kEnd | kDiscard | kSuspend | kThaw | kSealed | kSealedThaw },
	{ 74, "sidecar.new.write", kBoot | kEnd | kDiscard | kSuspend | kThaw | kSealed | kSealedThaw },
	{ 75, "sidecar.open", kDiscard | kThaw | kClone | kSealedThaw },
	{ 76, "sidecar.read", kBoot | kDiscard | kThaw | kClone | kSealedThaw },
	{ 77, "sidecar.rename", kBoot | kEnd | kDiscard | kSuspend | kThaw | kSealed | kSealedThaw },
	{ 78, "sidecar.stat", kBoot | kDiscard | kSuspend | kCheckpoint | kThaw | kClone | kSealedThaw },
	{ 79, "folder.list", kArm | kSealedThaw },
	{ 80, "folder.stat", kArm | kSealedThaw },
	{ 81, "image.move", kChain | kSealed },
	{ 82, "image.part.rename", kSuspend | kCheckpoint | kChain | kSealed },
	{ 83, "memory.pin", kArm | kSealedThaw | kFlatten | kSeal | kUnseal },
	{ 84, "reserve.create", kArm },
	{ 85, "reserve.size", kArm },
	{ 86, "reserve.unlink", kArm | kDisarm | kSealed },
	{ 87, "key.create", kKeygen },
	{ 88, "key.open", kSeal | kUnseal | kSign },
	{ 89, "key.sync", kKeygen },
	{ 90, "key.unlink", kKeygen },
	{ 91, "key.write", kKeygen },
	{ 92, "signature.part.create", kSign },
	{ 93, "signature.part.sync", kSign },
	{ 94, "signature.part.write", kSign },
	{ 95, "signature.part.unlink", kSign },
	{ 96, "signature.rename", kSign },
	{ 97, "signature.part.open", kSign },
	{ 98, "clone.part.size", kReal },
	{ 99, "clone.part.write", kReal },
	{ 100, "descriptor.open", kReal },
	{ 101, "disk.extents", kReal },
	{ 102, "disk.read", kReal },
	{ 103, "frozen.size", kReal },
	{ 104, "frozen.write", kReal },
	{ 105, "image.extents", kReal },
	{ 106, "image.part.read", kReal },
	{ 107, "memory.extents", kReal },
	{ 108, "memory.read", kReal },
	{ 109, "memory.reflink", kReal },
	{ 110, "memory.write", kReal },
	// where a file system cannot exchange names, to 118
	{ 111, "clone.sidecar.new.rename", kClone },
	{ 112, "clone.sidecar.saved.link", kClone },
	{ 113, "image.saved.link", kSuspend | kCheckpoint },
	{ 114, "image.saved.unlink", kSuspend },
	{ 115, "image.unlink", kSuspend },
	{ 116, "sidecar.new.rename", kBoot | kEnd | kDiscard | kSuspend | kThaw | kSealed | kSealedThaw },
	{ 117, "sidecar.saved.link", kBoot | kEnd | kDiscard | kSuspend | kThaw | kSealed | kSealedThaw },
	{ 118, "sidecar.saved.unlink", kEnd | kSuspend | kThaw },
	{ 119, "signature.open", kSeal | kUnseal | kSign },
	{ 120, "reserve.stat", kSuspend | kCheckpoint | kThaw | kClone | kArm | kChain | kSealed | kSealedThaw },
	{ 121, "image.saved.stat", kSuspend | kCheckpoint | kThaw | kClone | kArm | kChain | kSealed | kSealedThaw },
};

// A name without allocation and without TLS: one of these is made inside threads that have neither (test/crash/hook.cc).
struct Word {
	const char *at;
	size_t length;
	explicit Word(const char *text) : at(text), length(__builtin_strlen(text)) {}
	bool ends_in(const Word &tail) const { return length >= tail.length && __builtin_memcmp(at + length - tail.length, tail.at, tail.length) == 0; }
	bool begins_with(const Word &head) const { return length >= head.length && __builtin_memcmp(at, head.at, head.length) == 0; }
	bool has(const char *part) const { return length != 0 && __builtin_strstr(at, part) != nullptr; }
};

// Names of files as the library makes them: an image is taken to be called *.ckpt, a clone's name to be "clone". Base and ending.
void object_of(const char *path, const char **base, const char **end)
{
	*end = "";
	if (!*path)
		*base = "memory";
	else if (Word(path).begins_with(Word("/proc/self/fd/")))
		*base = "descriptor";
	else if (Word(path).begins_with(Word("/proc/")) || Word(path).begins_with(Word("/sys/")))
		*base = "host";
	else {
		const char *slash = __builtin_strrchr(path, '/');
		Word file(slash ? slash + 1 : path);
		if (!file.has(".")) {
			*base = "folder";
			return;
		}
		if (file.ends_in(Word(".reserve"))) {
			*base = "reserve";
			return;
		}
		static const struct { const char *tail, *end; } kEnds[] = {
			{ ".vkckpt.new~", ".sidecar.saved" }, { ".part~", ".saved" }, { ".vkckpt.new", ".sidecar.new" }, { ".vkckpt", ".sidecar" }, { ".part", ".part" },
		};
		for (const auto &e : kEnds)
			if (!**end && file.ends_in(Word(e.tail))) {
				*end = e.end;
				file.length -= Word(e.tail).length;
			}
		*base = file.ends_in(Word(".sig")) ? "signature" : file.has(".ckpt.") && !file.ends_in(Word(".ckpt")) ? "frozen" : file.ends_in(Word(".clone")) ? "clone" :
		    file.ends_in(Word(".key")) || file.ends_in(Word(".pub")) ? "key" :
		    file.ends_in(Word(".ckpt")) ? "image" : "disk";
		// A sidecar of a disk goes without the disk.
		if (__builtin_strcmp(*base, "disk") == 0 && (*end)[0] == '.' && (*end)[1] == 's') {
			*base = *end + 1;
			*end = "";
		}
	}
}

const char *verb_of(long number, const long *a)
{
	switch (number) {
	case SYS_openat: return a[2] & O_CREAT ? "create" : "open";
	case SYS_read: case SYS_pread64: return "read";
	case SYS_write: case SYS_pwrite64: case SYS_writev: return "write";
	case SYS_fsync: return "sync";
	case SYS_fstat: case SYS_stat: case SYS_lstat: return "stat";
	case SYS_readlink: return "name";
	case SYS_fcntl: return a[1] == F_OFD_SETLK || a[1] == F_OFD_GETLK ? "lock" : "flags";
	case SYS_ioctl: return "reflink";
	case SYS_rename: return "rename";
	case SYS_renameat2: return a[4] & RENAME_EXCHANGE ? "exchange" : "move";
	case SYS_unlink: return "unlink";
	case SYS_link: return "link";
	case SYS_statfs: return "room";
	case SYS_mmap: return "map";
	case SYS_madvise: return "advise";
	case SYS_mprotect: return "protect";
	case SYS_mlock: return "pin";
	case SYS_memfd_create: return "make";
	case SYS_ftruncate: case SYS_fallocate: return "size";
	case SYS_lseek: return "extents";
	case SYS_getdents64: return "list";
	case SYS_getrandom: return "random";
	case SYS_clone: return "thread";
	}
	return "";
}

// Appends; what does not fit is cut off.
size_t append(char *out, size_t room, size_t at, const char *text)
{
	for (; *text && at + 1 < room; text++)
		out[at++] = *text;
	out[at] = 0;
	return at;
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

void name_of(long number, const long *arguments, const char *path, char *out, size_t room)
{
	const char *base, *end, *verb = verb_of(number, arguments);
	object_of(path, &base, &end);
	size_t at = append(out, room, 0, base);
	at = append(out, room, at, end);
	at = append(out, room, at, ".");
	at = append(out, room, at, *verb ? verb : "call");
	if (!*verb && at + 4 < room) {
		for (long place = 100; place > 0; place /= 10)
			if (number >= place)
				out[at++] = char('0' + number / place % 10);
		out[at] = 0;
	}
}

std::string name_of(long number, const long *arguments, const std::string &path)
{
	char name[64];
	name_of(number, arguments, path.c_str(), name, sizeof name);
	return name;
}

}  // namespace points
