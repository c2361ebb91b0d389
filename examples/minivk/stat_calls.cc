// System calls that tell what a file is.
#include <cstring>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "file_calls.h"

namespace minivk {

namespace {

constexpr uint64_t kSecondNs = 1'000'000'000;
timespec time_of(uint64_t ns) { return {time_t(ns / kSecondNs), long(ns % kSecondNs)}; }

void fill(const Inode &inode, struct stat *st)
{
	*st = {};
	st->st_dev = inode.device();
	st->st_ino = inode.number;
	st->st_mode = mode_type_bits(inode.kind) | inode.mode;
	st->st_nlink = inode.nlink;
	st->st_uid = inode.uid;
	st->st_gid = inode.gid;
	st->st_rdev = inode.rdev;
	st->st_size = off_t(inode.size());
	st->st_blksize = kPage;
	st->st_blocks = blkcnt_t(inode.frames() * (kPage / 512));
	st->st_atim = time_of(inode.atime_ns);
	st->st_mtim = time_of(inode.mtime_ns);
	st->st_ctim = time_of(inode.ctime_ns);
}

long stat_out(Thread &t, const Inode &inode, uint64_t to)
{
	struct stat st;
	fill(inode, &st);
	return copy_out(thread_space(t), to, st);
}

long stat_path(Thread &t, int dirfd, uint64_t path, uint32_t flags, uint64_t to)
{
	Ref<Inode> inode;
	const long r = inode_at(t, dirfd, path, flags, &inode);
	return r ? r : stat_out(t, *inode, to);
}

// Root may do everything but execute what nobody may.
long check_access(Thread &t, int dirfd, uint64_t path, uint32_t mode, uint32_t flags)
{
	Ref<Inode> inode;
	if (mode & ~uint32_t(R_OK | W_OK | X_OK))
		return -EINVAL;
	if (const long r = inode_at(t, dirfd, path, flags & (AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH), &inode))
		return r;
	const bool runs = inode->kind == InodeKind::kDirectory || (inode->mode & 0111);
	return (mode & X_OK) && !runs ? -EACCES : 0;
}

long statfs_out(Thread &t, const Inode &inode, uint64_t to)
{
	constexpr long kTmpfsMagic = 0x01021994, kProcMagic = 0x9fa0;
	struct statfs st = {};
	st.f_type = inode.device() == 2 ? kProcMagic : kTmpfsMagic;
	st.f_bsize = st.f_frsize = kPage;
	st.f_namelen = kNameMax;
	if (inode.device() == 1) {
		st.f_bfree = st.f_bavail = frames_free();
		st.f_blocks = files().used_file_frames + st.f_bfree;
		st.f_files = frames_total();
		st.f_ffree = st.f_bfree;
	}
	return copy_out(thread_space(t), to, st);
}

statx_timestamp statx_time(uint64_t ns)
{
	statx_timestamp out = {};
	out.tv_sec = int64_t(ns / kSecondNs);
	out.tv_nsec = uint32_t(ns % kSecondNs);
	return out;
}

}  // namespace

long inode_at(Thread &t, int dirfd, uint64_t path_va, uint32_t flags, Ref<Inode> *out)
{
	KString path;
	if (const long r = copy_path(t, path_va, &path))
		return r;
	if (!path.empty() || !(flags & AT_EMPTY_PATH))
		return vfs_lookup(t, dirfd, path, !(flags & AT_SYMLINK_NOFOLLOW), out);
	if (dirfd == AT_FDCWD) {
		*out = thread_fs(t).cwd;
		return 0;
	}
	Ref<File> file = file_of(t, uint64_t(dirfd));
	if (!file || !file->inode)
		return -EBADF;
	*out = file->inode;
	return 0;
}

long sys_stat(Thread &t, const uint64_t *a) { return stat_path(t, AT_FDCWD, a[0], 0, a[1]); }
long sys_lstat(Thread &t, const uint64_t *a) { return stat_path(t, AT_FDCWD, a[0], AT_SYMLINK_NOFOLLOW, a[1]); }
long sys_newfstatat(Thread &t, const uint64_t *a) { return stat_path(t, int(a[0]), a[1], uint32_t(a[3]), a[2]); }

long sys_fstat(Thread &t, const uint64_t *a)
{
	Ref<File> file = file_of(t, a[0]);
	if (!file)
		return -EBADF;
	if (file->inode)
		return stat_out(t, *file->inode, a[1]);
	struct stat st = {};	// an object without an inode, such as an event counter
	st.st_mode = 0600;
	st.st_nlink = 1;
	st.st_blksize = kPage;
	return copy_out(thread_space(t), a[1], st);
}

// a: dirfd, path, flags, mask, buffer.
long sys_statx(Thread &t, const uint64_t *a)
{
	Ref<Inode> inode;
	if (const long r = inode_at(t, int(a[0]), a[1], uint32_t(a[2]), &inode))
		return r;
	struct stat st;
	fill(*inode, &st);
	struct statx x = {};
	x.stx_mask = STATX_BASIC_STATS;
	x.stx_blksize = uint32_t(st.st_blksize);
	x.stx_nlink = uint32_t(st.st_nlink);
	x.stx_uid = st.st_uid;
	x.stx_gid = st.st_gid;
	x.stx_mode = uint16_t(st.st_mode);
	x.stx_ino = st.st_ino;
	x.stx_size = uint64_t(st.st_size);
	x.stx_blocks = uint64_t(st.st_blocks);
	x.stx_atime = statx_time(inode->atime_ns);
	x.stx_mtime = statx_time(inode->mtime_ns);
	x.stx_ctime = statx_time(inode->ctime_ns);
	x.stx_rdev_major = major(st.st_rdev);
	x.stx_rdev_minor = minor(st.st_rdev);
	x.stx_dev_major = major(st.st_dev);
	x.stx_dev_minor = minor(st.st_dev);
	return copy_out(thread_space(t), a[4], x);
}

long sys_statfs(Thread &t, const uint64_t *a)
{
	Ref<Inode> inode;
	const long r = inode_at(t, AT_FDCWD, a[0], 0, &inode);
	return r ? r : statfs_out(t, *inode, a[1]);
}

long sys_fstatfs(Thread &t, const uint64_t *a)
{
	Ref<File> file = file_of(t, a[0]);
	return file && file->inode ? statfs_out(t, *file->inode, a[1]) : -EBADF;
}

long sys_access(Thread &t, const uint64_t *a) { return check_access(t, AT_FDCWD, a[0], uint32_t(a[1]), 0); }
long sys_faccessat(Thread &t, const uint64_t *a) { return check_access(t, int(a[0]), a[1], uint32_t(a[2]), 0); }
long sys_faccessat2(Thread &t, const uint64_t *a)
{
	return check_access(t, int(a[0]), a[1], uint32_t(a[2]), uint32_t(a[3]));
}

}  // namespace minivk
