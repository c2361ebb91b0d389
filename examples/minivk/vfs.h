// Files: inodes, directory entries, open files, descriptor tables. Everything is an object in RAM under the kernel lock.
#ifndef MINIVK_VFS_H
#define MINIVK_VFS_H

#include "thread.h"

namespace minivk {

class File;
class Inode;

// Where the bytes of a read or write go to or come from: pieces of a guest's memory, or a kernel buffer.
class IoBuffer {
public:
	virtual ~IoBuffer() = default;
	virtual size_t left() const = 0;
	// Move up to n bytes and advance: bytes moved; -EFAULT only if nothing could be moved.
	virtual long put(const void *from, size_t n) = 0;	// kernel -> buffer (a read)
	virtual long get(void *to, size_t n) = 0;		// buffer -> kernel (a write)
};

enum PollBits : uint32_t { kPollIn = 1, kPollPri = 2, kPollOut = 4, kPollErr = 8, kPollHup = 16, kPollNval = 32 };

// An open file description. Reads and writes return bytes, -errno or kBlocked (see thread.h: they are called again; bytes
// already moved are kept in thread_call(t).progress by the caller in sys_read/sys_write for a blocking file: a File
// moves what it can now, and returns kBlocked only if it moved nothing).
class File : public Counted {
public:
	~File() override;
	virtual long read(Thread &, IoBuffer &, uint64_t *offset) = 0;
	virtual long write(Thread &, IoBuffer &, uint64_t *offset) = 0;
	// Bits ready now. Up to two queues that wake on a change go to queue[0] and queue[1], which are null at the call.
	virtual uint32_t poll(Thread &, WaitQueue **queue) = 0;
	virtual long ioctl(Thread &, uint32_t request, uint64_t arg);	// -ENOTTY
	virtual long seek(int64_t offset, int whence);			// -ESPIPE
	virtual long readdir(Thread &, uint64_t buffer, size_t bytes);	// getdents64; -ENOTDIR
	virtual long sync(Thread &) { return 0; }			// fsync; may block
	virtual bool fills_reads() const { return false; }		// read again until the buffer is full (block devices)
	// The destructor is the last close: no handler keeps a reference while it is blocked.
	Ref<Inode> inode;	// may be null (none of the kinds here)
	KString path;		// as opened, for /proc
	uint32_t flags = 0;	// O_*
	uint64_t offset = 0;
	bool locked = false;	// by flock
};

enum class InodeKind : uint8_t { kFile, kDirectory, kSymlink, kCharDevice, kBlockDevice, kFifo };

// What a directory says of one of its names.
struct DirEntry {
	KString name;
	uint64_t number = 0;
	InodeKind kind = InodeKind::kFile;
};

class Inode : public Counted {
public:
	Inode();			// a number of its own, the times now
	uint64_t number;
	InodeKind kind = InodeKind::kFile;
	uint32_t mode = 0;		// permission bits; type from kind
	uint32_t uid = 0, gid = 0, nlink = 1;
	uint64_t rdev = 0;
	uint64_t atime_ns = 0, mtime_ns = 0, ctime_ns = 0;

	virtual uint64_t size() const { return 0; }
	virtual uint64_t device() const { return 1; }		// st_dev
	virtual uint64_t frames() const { return 0; }		// held, for st_blocks
	virtual long open(Thread &, uint32_t flags, Ref<File> *out) = 0;
	virtual long truncate(uint64_t) { return -22; }				// -EINVAL
	virtual long allocate(uint32_t, uint64_t, uint64_t) { return -95; }	// fallocate; -EOPNOTSUPP
	// Directories. Names are single components. -ENOTDIR by default.
	virtual long lookup(const KString &, Ref<Inode> *);
	virtual long create(const KString &, InodeKind, uint32_t mode, uint64_t rdev, const KString &target, Ref<Inode> *);
	virtual long link(const KString &, Inode &);
	virtual long unlink(const KString &, bool directory);
	virtual long rename(const KString &, Inode &to_dir, const KString &to);
	virtual Ref<Inode> parent();		// ".."
	virtual KString name_in_parent() const { return {}; }	// of a directory
	// The first entry whose cookie is greater than *cookie, which is set to its cookie. Cookies keep their meaning while
	// other entries come and go. 0, or -ENOENT past the end.
	virtual long entry(Thread &, uint64_t *cookie, DirEntry *out);
	virtual KString target(Thread &) { return {}; }		// symlinks
	virtual Ref<Inode> magic_target(Thread &) { return {}; }	// links of /proc that name an object, not a path
	// mmap: the frame that holds page `index` of a regular file (allocated if write), or kNoFrame (hole, or past the end:
	// check size()). Shared mappings use it as it is, private ones copy on write.
	virtual Frame page(uint64_t index, bool write) { (void)index; (void)write; return kNoFrame; }
	void touch_modified();	// mtime and ctime are now
	long lock(Thread &, File &, int operation);	// flock(2)
	void unlock(const File &);
private:
	KVector<const File *> lockers_;		// one, or several that share
	bool lock_exclusive_ = false;
	WaitQueue lock_changed_;
};

struct FsContext : Counted {
	Ref<Inode> root, cwd;
	uint32_t umask = 022;
};

class FdTable : public Counted {
public:
	static constexpr int kMax = 1024;	// RLIMIT_NOFILE of every guest
	long install(Ref<File>, int lowest, bool close_on_exec);	// the number, or -EMFILE
	long install_at(int fd, Ref<File>, bool close_on_exec);		// closes what was there
	Ref<File> get(int fd) const;
	long close(int fd);
	bool cloexec(int fd) const;
	void set_cloexec(int fd, bool);
	Ref<FdTable> copy() const;
	void close_on_exec();
	void close_all();
	int size() const;	// one more than the highest number in use
private:
	struct Slot { Ref<File> file; bool cloexec = false; };
	KVector<Slot> slots_;
};

FsContext &thread_fs(const Thread &);
FdTable &thread_files(const Thread &);

// Path resolution from the thread's root or cwd (dirfd AT_FDCWD = -100).
long vfs_lookup(Thread &, int dirfd, const KString &path, bool follow, Ref<Inode> *out);
// The directory and the last name of a path, for calls that make or remove names. *trailing: it ended in a slash.
long vfs_lookup_parent(Thread &, int dirfd, const KString &path, Ref<Inode> *dir, KString *name, bool *trailing);
// The absolute path of a directory, "/" for the root; "(unreachable)" in front of one that was removed.
KString vfs_path_of(Inode &directory);
// Opens a path for the kernel itself (exec): like sys_open without a descriptor.
long vfs_open(Thread &, int dirfd, const KString &path, uint32_t flags, uint32_t mode, Ref<File> *out);

// Boot: makes /, /dev, /proc, /tmp, loads the archive (bytes of a cpio "newc" or a host folder read into one by the
// host side). Called once, with RAM up and before the first process. A message and false on failure.
bool vfs_boot(const void *cpio, size_t bytes, KString *message);
// The console as a file opened for reading and writing: descriptors 0, 1 and 2 of the first process.
Ref<File> vfs_open_console();

}  // namespace minivk
#endif
