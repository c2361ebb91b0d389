// Defaults of File and Inode, the descriptor table, and directories as open files.
#include "files.h"

#include <cstring>
#include <dirent.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "vm.h"

namespace minivk {

File::~File()
{
	if (locked)
		inode->unlock(*this);
}

long File::ioctl(Thread &, uint32_t, uint64_t) { return -ENOTTY; }
long File::seek(int64_t, int) { return -ESPIPE; }
long File::readdir(Thread &, uint64_t, size_t) { return -ENOTDIR; }

Inode::Inode() : number(files().next_inode++)
{
	atime_ns = mtime_ns = ctime_ns = realtime_ns();
}

void Inode::touch_modified() { mtime_ns = ctime_ns = realtime_ns(); }

long Inode::lookup(const KString &, Ref<Inode> *) { return -ENOTDIR; }
long Inode::create(const KString &, InodeKind, uint32_t, uint64_t, const KString &, Ref<Inode> *)
{
	return kind == InodeKind::kDirectory ? -EPERM : -ENOTDIR;
}
long Inode::link(const KString &, Inode &) { return kind == InodeKind::kDirectory ? -EPERM : -ENOTDIR; }
long Inode::unlink(const KString &, bool) { return kind == InodeKind::kDirectory ? -EPERM : -ENOTDIR; }
long Inode::rename(const KString &, Inode &, const KString &) { return kind == InodeKind::kDirectory ? -EPERM : -ENOTDIR; }
Ref<Inode> Inode::parent() { return {}; }
long Inode::entry(Thread &, uint64_t *, DirEntry *) { return -ENOTDIR; }

// --- flock(2)

void Inode::unlock(const File &file)
{
	std::erase(lockers_, &file);
	lock_changed_.wake_all();
}

long Inode::lock(Thread &t, File &file, int operation)
{
	const int what = operation & ~LOCK_NB;
	if (what != LOCK_SH && what != LOCK_EX && what != LOCK_UN)
		return -EINVAL;
	if (what == LOCK_UN) {
		unlock(file);
		file.locked = false;
		return 0;
	}
	const bool others = !lockers_.empty() && !(lockers_.size() == 1 && lockers_[0] == &file);
	if (others && (what == LOCK_EX || lock_exclusive_)) {
		if (operation & LOCK_NB)
			return -EAGAIN;
		if (thread_call(t).interrupted)
			return kRestartSys;
		wait_on(t, lock_changed_);
		return kBlocked;
	}
	std::erase(lockers_, &file);
	lockers_.push_back(&file);
	lock_exclusive_ = what == LOCK_EX;
	file.locked = true;
	lock_changed_.wake_all();
	return 0;
}

// --- kinds and modes

uint32_t mode_type_bits(InodeKind kind)
{
	switch (kind) {
	case InodeKind::kFile: return S_IFREG;
	case InodeKind::kDirectory: return S_IFDIR;
	case InodeKind::kSymlink: return S_IFLNK;
	case InodeKind::kCharDevice: return S_IFCHR;
	case InodeKind::kBlockDevice: return S_IFBLK;
	case InodeKind::kFifo: return S_IFIFO;
	}
	return 0;
}

bool kind_of_mode(uint32_t mode, InodeKind *out)
{
	for (InodeKind k : {InodeKind::kFile, InodeKind::kDirectory, InodeKind::kSymlink, InodeKind::kCharDevice,
			InodeKind::kBlockDevice, InodeKind::kFifo})
		if ((mode & kTypeMask) == mode_type_bits(k)) {
			*out = k;
			return true;
		}
	return false;
}

long block_on(Thread &t, const File &file, WaitQueue &queue)
{
	if (file.flags & O_NONBLOCK)
		return -EAGAIN;
	if (thread_call(t).interrupted)
		return kRestartSys;
	wait_on(t, queue);
	return kBlocked;
}

long read_from_text(const KString &text, IoBuffer &to, uint64_t *offset)
{
	if (*offset >= text.size())
		return 0;
	const long n = to.put(text.data() + *offset, std::min(text.size() - size_t(*offset), to.left()));
	if (n > 0)
		*offset += uint64_t(n);
	return n;
}

// --- descriptors

long FdTable::install(Ref<File> file, int lowest, bool close_on_exec)
{
	if (lowest < 0 || lowest >= kMax)
		return -EINVAL;
	int fd = lowest;
	while (fd < int(slots_.size()) && slots_[size_t(fd)].file)
		++fd;
	if (fd >= kMax)
		return -EMFILE;
	return install_at(fd, std::move(file), close_on_exec);
}

long FdTable::install_at(int fd, Ref<File> file, bool close_on_exec)
{
	if (fd < 0 || fd >= kMax)
		return -EBADF;
	if (size_t(fd) >= slots_.size())
		slots_.resize(size_t(fd) + 1);
	// The old file is let go only after the slot is right: its destructor wakes others.
	Ref<File> old = std::exchange(slots_[size_t(fd)].file, std::move(file));
	slots_[size_t(fd)].cloexec = close_on_exec;
	return fd;
}

Ref<File> FdTable::get(int fd) const
{
	return fd >= 0 && size_t(fd) < slots_.size() ? slots_[size_t(fd)].file : Ref<File>();
}

long FdTable::close(int fd)
{
	if (!get(fd))
		return -EBADF;
	Ref<File> old = std::exchange(slots_[size_t(fd)].file, Ref<File>());
	slots_[size_t(fd)].cloexec = false;
	return 0;
}

bool FdTable::cloexec(int fd) const { return get(fd) && slots_[size_t(fd)].cloexec; }

void FdTable::set_cloexec(int fd, bool on)
{
	if (get(fd))
		slots_[size_t(fd)].cloexec = on;
}

Ref<FdTable> FdTable::copy() const
{
	Ref<FdTable> made = kmake<FdTable>();
	made->slots_ = slots_;
	return made;
}

void FdTable::close_on_exec()
{
	for (int fd = 0; fd < int(slots_.size()); ++fd)
		if (slots_[size_t(fd)].cloexec)
			close(fd);
}

void FdTable::close_all()
{
	for (int fd = 0; fd < int(slots_.size()); ++fd)
		close(fd);
	slots_.clear();
}

int FdTable::size() const
{
	int n = int(slots_.size());
	while (n > 0 && !slots_[size_t(n) - 1].file)
		--n;
	return n;
}

// --- directories

namespace {

uint8_t dirent_type(InodeKind kind) { return uint8_t(mode_type_bits(kind) >> 12); }

// Offsets: 0 is ".", 1 is "..", then the directory's cookies + 2, so that a position stays right while entries go.
class DirectoryFile final : public File {
public:
	explicit DirectoryFile(Ref<Inode> dir) { inode = std::move(dir); }
	long read(Thread &, IoBuffer &, uint64_t *) override { return -EISDIR; }
	long write(Thread &, IoBuffer &, uint64_t *) override { return -EBADF; }
	uint32_t poll(Thread &, WaitQueue **) override { return kPollIn | kPollOut; }
	long seek(int64_t to, int whence) override
	{
		if (whence == SEEK_CUR)
			to += int64_t(offset);
		else if (whence != SEEK_SET)
			return -EINVAL;
		if (to < 0)
			return -EINVAL;
		offset = uint64_t(to);
		return to;
	}
	long readdir(Thread &, uint64_t buffer, size_t bytes) override;
private:
	long next(Thread &, uint64_t *position, DirEntry *out);
};

long DirectoryFile::next(Thread &t, uint64_t *position, DirEntry *out)
{
	if (*position < 2) {
		Ref<Inode> up = inode->parent();
		out->name = *position ? ".." : ".";
		out->number = *position && up ? up->number : inode->number;
		out->kind = InodeKind::kDirectory;
		++*position;
		return 0;
	}
	uint64_t cookie = *position - 2;
	const long r = inode->entry(t, &cookie, out);
	if (r == 0)
		*position = cookie + 2;
	return r;
}

long DirectoryFile::readdir(Thread &t, uint64_t buffer, size_t bytes)
{
	struct Head { uint64_t number; int64_t next; uint16_t bytes; uint8_t type; } __attribute__((packed));
	size_t done = 0;
	for (;;) {
		DirEntry entry;
		uint64_t position = offset;
		if (next(t, &position, &entry) != 0)
			return long(done);
		char record[sizeof(Head) + kNameMax + 9] = {};
		const size_t size = (sizeof(Head) + entry.name.size() + 1 + 7) & ~size_t(7);
		if (done + size > bytes)
			return done ? long(done) : -EINVAL;
		const Head head = {entry.number, int64_t(position), uint16_t(size), dirent_type(entry.kind)};
		memcpy(record, &head, sizeof head);
		memcpy(record + sizeof head, entry.name.data(), entry.name.size());
		if (copy_out(thread_space(t), buffer + done, record, size) != 0)
			return done ? long(done) : -EFAULT;
		done += size;
		offset = position;
	}
}

}  // namespace

Ref<File> make_directory_file(Ref<Inode> dir) { return kmake<DirectoryFile>(std::move(dir)); }

}  // namespace minivk
