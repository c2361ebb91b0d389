// /dev: the small devices, and which file each number opens.
#include "devices.h"

#include <algorithm>
#include <unistd.h>

#include "disk.h"
#include "tty.h"

namespace minivk {

namespace {

const char kZeros[4096] = {};
constexpr size_t kRandomMost = 1 << 20;	// of one read: it holds the kernel lock

// null, zero, full, random and urandom differ in what a read and a write give.
class SmallDevice final : public File {
public:
	explicit SmallDevice(uint64_t number) : number_(number) {}
	long read(Thread &, IoBuffer &to, uint64_t *) override;
	long write(Thread &, IoBuffer &from, uint64_t *) override;
	uint32_t poll(Thread &, WaitQueue **) override { return kPollIn | kPollOut; }
	long seek(int64_t, int) override { return 0; }
private:
	uint64_t number_;
};

long SmallDevice::read(Thread &, IoBuffer &to, uint64_t *)
{
	const bool random = number_ == kDevRandom || number_ == kDevUrandom;
	if (number_ == kDevNull)
		return 0;
	long done = 0;
	while (to.left() && !(random && size_t(done) >= kRandomMost)) {
		char bytes[sizeof kZeros];
		const size_t n = std::min(sizeof bytes, to.left());
		if (random)
			host_random(bytes, n);
		const long r = to.put(random ? bytes : kZeros, n);
		if (r <= 0)
			return done ? done : r;
		done += r;
	}
	return done;
}

long SmallDevice::write(Thread &, IoBuffer &from, uint64_t *)
{
	return number_ == kDevFull ? -ENOSPC : long(from.left());
}

long open_terminal(Thread &t, Ref<Tty> tty, uint32_t flags, Ref<File> *out)
{
	*out = make_tty_file(tty);
	(*out)->flags = flags;
	tty->opened(t, flags);
	return 0;
}

struct Node { const char *name; InodeKind kind; uint32_t mode; uint64_t number; const char *target; };
const Node kNodes[] = {
	{"null", InodeKind::kCharDevice, 0666, kDevNull, ""},
	{"zero", InodeKind::kCharDevice, 0666, kDevZero, ""},
	{"full", InodeKind::kCharDevice, 0666, kDevFull, ""},
	{"random", InodeKind::kCharDevice, 0666, kDevRandom, ""},
	{"urandom", InodeKind::kCharDevice, 0666, kDevUrandom, ""},
	{"tty", InodeKind::kCharDevice, 0666, kDevTty, ""},
	{"console", InodeKind::kCharDevice, 0600, kDevConsole, ""},
	{"vkckpt", InodeKind::kCharDevice, 0666, kDevCkpt, ""},
	{"vkd0", InodeKind::kBlockDevice, 0660, kDevDisk, ""},
	{"fd", InodeKind::kSymlink, 0777, 0, "/proc/self/fd"},
	{"stdin", InodeKind::kSymlink, 0777, 0, "/proc/self/fd/0"},
	{"stdout", InodeKind::kSymlink, 0777, 0, "/proc/self/fd/1"},
	{"stderr", InodeKind::kSymlink, 0777, 0, "/proc/self/fd/2"},
};

}  // namespace

bool fill_dev(Inode &dev)
{
	for (const Node &n : kNodes) {
		Ref<Inode> made;
		if (n.number == kDevDisk && !files().disk)
			continue;
		const long r = dev.create(n.name, n.kind, n.mode, n.number, n.target, &made);
		if (r != 0 && r != -EEXIST)
			return false;
	}
	return true;
}

long open_device(Thread &t, Inode &inode, uint32_t flags, Ref<File> *out)
{
	const bool block = inode.kind == InodeKind::kBlockDevice;
	if (block != (inode.rdev == kDevDisk))
		return -ENXIO;
	switch (inode.rdev) {
	case kDevNull:
	case kDevZero:
	case kDevFull:
	case kDevRandom:
	case kDevUrandom: *out = kmake<SmallDevice>(inode.rdev); return 0;
	case kDevConsole: return open_terminal(t, files().console, flags, out);
	case kDevTty: {
		Tty *tty = thread_process(t).terminal;
		return tty ? open_terminal(t, tty, flags | O_NOCTTY, out) : -ENXIO;
	}
	case kDevCkpt: *out = make_ckpt_file(); return 0;
	case kDevDisk:
		if (!files().disk)
			return -ENXIO;
		if (!files().disk->writable() && (flags & O_ACCMODE) != O_RDONLY)
			return -EROFS;
		*out = make_disk_file(files().disk);
		return 0;
	default: return -ENXIO;
	}
}

}  // namespace minivk
