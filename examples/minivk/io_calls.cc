// System calls that move bytes. Progress of a call that blocks is kept here, so that a File moves only what it can now.
#include <algorithm>
#include <climits>
#include <unistd.h>

#include "disk.h"
#include "file_calls.h"

namespace minivk {

namespace {

enum class Direction { kRead, kWrite };
constexpr uint64_t kMaxBytes = 0x7ffff000;	// of one call, as Linux

// Ends a call of which `progress` bytes are done and whose last step returned r.
long finish(const CallState &call, long r)
{
	if (r == kBlocked)
		return kBlocked;
	return call.progress ? long(call.progress) : r;
}

long transfer(Thread &t, File &file, const UserIovec *v, size_t n, Direction direction, uint64_t *offset)
{
	CallState &call = thread_call(t);
	uint64_t total = 0;
	for (size_t i = 0; i < n; ++i)
		total += v[i].bytes;
	for (;;) {
		UserBuffer buffer(thread_space(t), v, n, call.progress);
		const long r = direction == Direction::kRead ? file.read(t, buffer, offset) : file.write(t, buffer, offset);
		if (r <= 0)
			return finish(call, r);
		call.progress += uint64_t(r);
		if (call.progress >= total || (direction == Direction::kRead && !file.fills_reads()))
			return long(call.progress);
	}
}

long open_for(Thread &t, uint64_t fd, Direction direction, Ref<File> *out)
{
	*out = file_of(t, fd);
	if (!*out)
		return -EBADF;
	return (direction == Direction::kRead ? file_reads(**out) : file_writes(**out)) ? 0 : -EBADF;
}

long move_one(Thread &t, const uint64_t *a, Direction direction, const uint64_t *position)
{
	Ref<File> file;
	if (const long r = open_for(t, a[0], direction, &file))
		return r;
	const UserIovec v = {a[1], std::min(a[2], kMaxBytes)};
	if (!position)
		return transfer(t, *file, &v, 1, direction, &file->offset);
	if (int64_t(*position) < 0)
		return -EINVAL;
	if (file->seek(0, SEEK_CUR) == -ESPIPE)
		return -ESPIPE;
	uint64_t offset = *position + thread_call(t).progress;
	return transfer(t, *file, &v, 1, direction, &offset);
}

long move_vector(Thread &t, const uint64_t *a, Direction direction, const uint64_t *position)
{
	Ref<File> file;
	if (const long r = open_for(t, a[0], direction, &file))
		return r;
	if (a[2] > IOV_MAX)
		return -EINVAL;
	UserIovec v[IOV_MAX];
	if (copy_in(thread_space(t), a[1], v, a[2] * sizeof *v) != 0)
		return -EFAULT;
	uint64_t left = kMaxBytes;
	for (size_t i = 0; i < a[2]; ++i) {
		if (int64_t(v[i].bytes) < 0)
			return -EINVAL;
		v[i].bytes = std::min(v[i].bytes, left);
		left -= v[i].bytes;
	}
	if (!position)
		return transfer(t, *file, v, a[2], direction, &file->offset);
	if (int64_t(*position) < 0)
		return -EINVAL;
	if (file->seek(0, SEEK_CUR) == -ESPIPE)
		return -ESPIPE;
	uint64_t offset = *position + thread_call(t).progress;
	return transfer(t, *file, v, a[2], direction, &offset);
}

// Copies between two files through a buffer that holds nothing once this returns: what was read and not written is read
// again. from is where the source stood when the call began.
long copy_between(Thread &t, File &in, uint64_t from, File &out, uint64_t *to, uint64_t bytes)
{
	static char bounce[65536];	// under the kernel lock
	CallState &call = thread_call(t);
	while (call.progress < bytes) {
		uint64_t at = from + call.progress;
		KernelBuffer space(bounce, std::min(bytes - call.progress, sizeof bounce));
		const long got = in.read(t, space, &at);
		if (got <= 0)
			return finish(call, got);
		KernelBuffer data(bounce, size_t(got));
		const long put = out.write(t, data, to);
		if (put <= 0)
			return finish(call, put);
		call.progress += uint64_t(put);
	}
	return long(call.progress);
}

}  // namespace

long sys_read(Thread &t, const uint64_t *a) { return move_one(t, a, Direction::kRead, nullptr); }
long sys_write(Thread &t, const uint64_t *a) { return move_one(t, a, Direction::kWrite, nullptr); }
long sys_pread64(Thread &t, const uint64_t *a) { return move_one(t, a, Direction::kRead, &a[3]); }
long sys_pwrite64(Thread &t, const uint64_t *a) { return move_one(t, a, Direction::kWrite, &a[3]); }
long sys_readv(Thread &t, const uint64_t *a) { return move_vector(t, a, Direction::kRead, nullptr); }
long sys_writev(Thread &t, const uint64_t *a) { return move_vector(t, a, Direction::kWrite, nullptr); }
long sys_preadv(Thread &t, const uint64_t *a) { return move_vector(t, a, Direction::kRead, &a[3]); }
long sys_pwritev(Thread &t, const uint64_t *a) { return move_vector(t, a, Direction::kWrite, &a[3]); }

long sys_lseek(Thread &t, const uint64_t *a)
{
	Ref<File> file = file_of(t, a[0]);
	return file ? file->seek(int64_t(a[1]), int(a[2])) : -EBADF;
}

// a: out, in, offset of in (null: its own), bytes.
long sys_sendfile(Thread &t, const uint64_t *a)
{
	Ref<File> out, in;
	if (open_for(t, a[0], Direction::kWrite, &out) || open_for(t, a[1], Direction::kRead, &in))
		return -EBADF;
	if (in->seek(0, SEEK_CUR) == -ESPIPE || in->inode->kind == InodeKind::kDirectory || (out->flags & O_APPEND))
		return -EINVAL;
	uint64_t from = in->offset;
	if (a[2] && copy_in(thread_space(t), a[2], &from) != 0)
		return -EFAULT;
	const long r = copy_between(t, *in, from, *out, &out->offset, std::min(a[3], kMaxBytes));
	if (r > 0) {
		if (!a[2])
			in->offset = from + uint64_t(r);
		else if (copy_out(thread_space(t), a[2], from + uint64_t(r)) != 0)
			return -EFAULT;
	}
	return r;
}

// a: in, its offset (null: its own), out, its offset, bytes, flags. Regular files only: nothing blocks.
long sys_copy_file_range(Thread &t, const uint64_t *a)
{
	Ref<File> in, out;
	if (open_for(t, a[0], Direction::kRead, &in) || open_for(t, a[2], Direction::kWrite, &out) || (out->flags & O_APPEND))
		return -EBADF;
	for (File *f : {in.get(), out.get()})
		if (!f->inode || f->inode->kind != InodeKind::kFile)
			return f->inode && f->inode->kind == InodeKind::kDirectory ? -EISDIR : -EINVAL;
	uint64_t from = in->offset, to = out->offset;
	if ((a[1] && copy_in(thread_space(t), a[1], &from) != 0) || (a[3] && copy_in(thread_space(t), a[3], &to) != 0))
		return -EFAULT;
	const uint64_t bytes = std::min(a[4], kMaxBytes);
	if (a[5] || (in->inode == out->inode && from < to + bytes && to < from + bytes))
		return -EINVAL;
	const long r = copy_between(t, *in, from, *out, &to, bytes);
	if (r < 0)
		return r;
	from += uint64_t(r);
	if (!a[1])
		in->offset = from;
	else if (copy_out(thread_space(t), a[1], from) != 0)
		return -EFAULT;
	if (!a[3])
		out->offset = to;
	else if (copy_out(thread_space(t), a[3], to) != 0)
		return -EFAULT;
	return r;
}

long sys_getdents64(Thread &t, const uint64_t *a)
{
	Ref<File> file = file_of(t, a[0]);
	return file ? file->readdir(t, a[1], std::min(a[2], kMaxBytes)) : -EBADF;
}

long sys_fsync(Thread &t, const uint64_t *a)
{
	Ref<File> file = file_of(t, a[0]);
	return file ? file->sync(t) : -EBADF;
}

long sys_fdatasync(Thread &t, const uint64_t *a) { return sys_fsync(t, a); }

long sys_sync(Thread &t, const uint64_t *)
{
	const long r = files().disk ? files().disk->sync(t) : 0;
	return r == kBlocked || r == kRestartSys ? r : 0;
}

long sys_ftruncate(Thread &t, const uint64_t *a)
{
	Ref<File> file;
	if (!(file = file_of(t, a[0])))
		return -EBADF;
	if (int64_t(a[1]) < 0 || !file_writes(*file) || !file->inode)
		return -EINVAL;
	return file->inode->truncate(a[1]);
}

// a: descriptor, mode, offset, bytes.
long sys_fallocate(Thread &t, const uint64_t *a)
{
	Ref<File> file;
	if (const long r = open_for(t, a[0], Direction::kWrite, &file))
		return r;
	if (int64_t(a[2]) < 0 || int64_t(a[3]) <= 0)
		return -EINVAL;
	return file->inode ? file->inode->allocate(uint32_t(a[1]), a[2], a[3]) : -ENODEV;
}

long sys_fadvise64(Thread &t, const uint64_t *a) { return file_of(t, a[0]) ? 0 : -EBADF; }

}  // namespace minivk
