// System calls that make, copy and drop descriptors, and those that set a descriptor's ways.
#include <cstring>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "file_calls.h"
#include "pipe.h"
#include "ramfs.h"

namespace minivk {

namespace {

long open_path(Thread &t, int dirfd, uint64_t path_va, uint32_t flags, uint32_t mode)
{
	KString path;
	if (const long r = copy_path(t, path_va, &path))
		return r;
	Ref<File> file;
	if (const long r = vfs_open(t, dirfd, path, flags, mode, &file))
		return r;
	return thread_files(t).install(file, 0, flags & O_CLOEXEC);
}

// Two new descriptors for the two ends of something; none when the second cannot be had.
long install_two(Thread &t, const Ref<File> &first, const Ref<File> &second, uint32_t flags, uint64_t to)
{
	FdTable &table = thread_files(t);
	for (const Ref<File> &f : {first, second})
		f->flags |= flags & O_NONBLOCK;
	int32_t fd[2];
	fd[0] = int32_t(table.install(first, 0, flags & O_CLOEXEC));
	if (fd[0] < 0)
		return fd[0];
	fd[1] = int32_t(table.install(second, 0, flags & O_CLOEXEC));
	long r = fd[1] < 0 ? fd[1] : copy_out(thread_space(t), to, fd);
	if (r != 0) {
		table.close(fd[0]);
		if (fd[1] >= 0)
			table.close(fd[1]);
	}
	return r;
}

// A counter that can be polled: eventfd(2).
class EventFile final : public File {
public:
	EventFile(uint64_t count, bool semaphore) : count_(count), semaphore_(semaphore) { flags = O_RDWR; }
	long read(Thread &t, IoBuffer &to, uint64_t *) override
	{
		if (to.left() < 8)
			return -EINVAL;
		if (!count_)
			return block_on(t, *this, changed_);
		const uint64_t value = semaphore_ ? 1 : count_;
		count_ -= value;
		changed_.wake_all();
		return to.put(&value, 8);
	}
	long write(Thread &t, IoBuffer &from, uint64_t *) override
	{
		uint64_t value;
		if (from.left() < 8 || from.get(&value, 8) != 8 || value == ~0ull)
			return -EINVAL;
		if (count_ > ~0ull - 1 - value)
			return block_on(t, *this, changed_);
		count_ += value;
		changed_.wake_all();
		return 8;
	}
	uint32_t poll(Thread &, WaitQueue **queue) override
	{
		*queue = &changed_;
		return (count_ ? uint32_t(kPollIn) : 0) | (count_ < ~0ull - 1 ? uint32_t(kPollOut) : 0);
	}
private:
	uint64_t count_;
	bool semaphore_;
	WaitQueue changed_;
};

}  // namespace

long sys_open(Thread &t, const uint64_t *a) { return open_path(t, AT_FDCWD, a[0], uint32_t(a[1]), uint32_t(a[2])); }
long sys_openat(Thread &t, const uint64_t *a) { return open_path(t, int(a[0]), a[1], uint32_t(a[2]), uint32_t(a[3])); }
long sys_creat(Thread &t, const uint64_t *a)
{
	return open_path(t, AT_FDCWD, a[0], O_CREAT | O_WRONLY | O_TRUNC, uint32_t(a[1]));
}

long sys_close(Thread &t, const uint64_t *a) { return thread_files(t).close(int(a[0])); }

long sys_close_range(Thread &t, const uint64_t *a)
{
	constexpr uint32_t kUnshare = 2, kCloexec = 4;
	FdTable &table = thread_files(t);
	if (uint32_t(a[0]) > uint32_t(a[1]) || (a[2] & ~uint64_t(kUnshare | kCloexec)))
		return -EINVAL;
	for (uint64_t fd = uint32_t(a[0]); fd <= uint32_t(a[1]) && fd < uint64_t(table.size()); ++fd) {
		if (a[2] & kCloexec)
			table.set_cloexec(int(fd), true);
		else
			table.close(int(fd));
	}
	return 0;
}

long sys_dup(Thread &t, const uint64_t *a)
{
	Ref<File> file = file_of(t, a[0]);
	return file ? thread_files(t).install(file, 0, false) : -EBADF;
}

long sys_dup2(Thread &t, const uint64_t *a)
{
	Ref<File> file = file_of(t, a[0]);
	if (!file)
		return -EBADF;
	return int(a[0]) == int(a[1]) ? int(a[1]) : thread_files(t).install_at(int(a[1]), file, false);
}

long sys_dup3(Thread &t, const uint64_t *a)
{
	Ref<File> file = file_of(t, a[0]);
	if (int(a[0]) == int(a[1]) || (a[2] & ~uint64_t(O_CLOEXEC)))
		return -EINVAL;
	return file ? thread_files(t).install_at(int(a[1]), file, a[2] & O_CLOEXEC) : -EBADF;
}

// Record locks are always granted: guests that ask for them here are single programs guarding against a second copy.
long sys_fcntl(Thread &t, const uint64_t *a)
{
	constexpr uint32_t kSettable = O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME | O_ASYNC;
	FdTable &table = thread_files(t);
	const int fd = int(a[0]);
	Ref<File> file = table.get(fd);
	if (!file)
		return -EBADF;
	switch (int(a[1])) {
	case F_DUPFD: return table.install(file, int(a[2]), false);
	case F_DUPFD_CLOEXEC: return table.install(file, int(a[2]), true);
	case F_GETFD: return table.cloexec(fd) ? FD_CLOEXEC : 0;
	case F_SETFD: table.set_cloexec(fd, a[2] & FD_CLOEXEC); return 0;
	case F_GETFL: return file->flags | 0100000;	// O_LARGEFILE, as a 64-bit Linux shows it
	case F_SETFL: file->flags = (file->flags & ~kSettable) | (uint32_t(a[2]) & kSettable); return 0;
	case F_GETLK:
	case F_OFD_GETLK: return copy_out(thread_space(t), a[2], int16_t(F_UNLCK));
	case F_SETLK:
	case F_SETLKW:
	case F_OFD_SETLK:
	case F_OFD_SETLKW: return 0;
	case F_GETPIPE_SZ: return file->inode && file->inode->kind == InodeKind::kFifo ? long(Pipe::kCapacity) : -EBADF;
	case F_SETPIPE_SZ: return a[2] <= Pipe::kCapacity ? long(Pipe::kCapacity) : -EPERM;
	case F_SETOWN:
	case F_GETOWN: return 0;
	default: return -EINVAL;
	}
}

// Whole-file locks are real: scripts use them to take turns. Held by the open file, dropped with it.
long sys_flock(Thread &t, const uint64_t *a)
{
	Ref<File> file = file_of(t, a[0]);
	if (!file)
		return -EBADF;
	if (!file->inode)
		return -EINVAL;
	return file->inode->lock(t, *file, int(a[1]));
}

long sys_ioctl(Thread &t, const uint64_t *a)
{
	Ref<File> file = file_of(t, a[0]);
	if (!file)
		return -EBADF;
	const uint32_t request = uint32_t(a[1]);
	int32_t on = 0;
	switch (request) {
	case FIOCLEX: thread_files(t).set_cloexec(int(a[0]), true); return 0;
	case FIONCLEX: thread_files(t).set_cloexec(int(a[0]), false); return 0;
	case FIONBIO:
		if (copy_in(thread_space(t), a[2], &on) != 0)
			return -EFAULT;
		file->flags = (file->flags & ~uint32_t(O_NONBLOCK)) | (on ? O_NONBLOCK : 0);
		return 0;
	case FIONREAD:
		if (file->inode && file->inode->kind == InodeKind::kFile && file->inode->size() >= file->offset)
			return copy_out(thread_space(t), a[2], int32_t(file->inode->size() - file->offset));
		break;
	}
	return file->ioctl(t, request, a[2]);
}

long sys_pipe(Thread &t, const uint64_t *a)
{
	const uint64_t plain[2] = {a[0], 0};
	return sys_pipe2(t, plain);
}

long sys_pipe2(Thread &t, const uint64_t *a)
{
	if (a[1] & ~uint64_t(O_CLOEXEC | O_NONBLOCK | O_DIRECT))
		return -EINVAL;
	Ref<File> reader, writer;
	if (const long r = make_pipe(&reader, &writer))
		return r;
	return install_two(t, reader, writer, uint32_t(a[1]), a[0]);
}

// There is no network: only pairs of connected local streams.
long sys_socket(Thread &, const uint64_t *) { return -EAFNOSUPPORT; }

long sys_socketpair(Thread &t, const uint64_t *a)
{
	const uint32_t type = uint32_t(a[1]) & 15;
	if (a[0] != AF_UNIX)
		return -EAFNOSUPPORT;
	if (type != SOCK_STREAM)
		return -ESOCKTNOSUPPORT;
	Ref<File> one, two;
	if (const long r = make_stream_pair(&one, &two))
		return r;
	static_assert(SOCK_NONBLOCK == O_NONBLOCK && SOCK_CLOEXEC == O_CLOEXEC);
	return install_two(t, one, two, uint32_t(a[1]), a[3]);
}

long sys_memfd_create(Thread &t, const uint64_t *a)
{
	KString name;
	if (const long r = copy_in_string(thread_space(t), a[0], &name, 249))
		return r;
	if (!kernel_memory_ok())
		return -ENOMEM;
	Ref<Inode> inode = make_memory_file();
	Ref<File> file;
	if (const long r = inode->open(t, O_RDWR, &file))
		return r;
	file->flags = O_RDWR;
	file->path = "/memfd:" + name + " (deleted)";
	return thread_files(t).install(file, 0, a[1] & MFD_CLOEXEC);
}

long sys_eventfd(Thread &t, const uint64_t *a)
{
	const uint64_t plain[2] = {a[0], 0};
	return sys_eventfd2(t, plain);
}

long sys_eventfd2(Thread &t, const uint64_t *a)
{
	constexpr uint32_t kSemaphore = 1;
	if (!kernel_memory_ok())
		return -ENFILE;
	Ref<File> file = kmake<EventFile>(uint32_t(a[0]), a[1] & kSemaphore);
	file->flags |= uint32_t(a[1]) & O_NONBLOCK;
	file->path = "anon_inode:[eventfd]";
	return thread_files(t).install(file, 0, a[1] & O_CLOEXEC);
}

}  // namespace minivk
