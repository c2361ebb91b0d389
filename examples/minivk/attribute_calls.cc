// System calls that change what a file is: mode, owner, times, size.
#include <sys/stat.h>
#include <sys/time.h>
#include <utime.h>

#include "file_calls.h"

namespace minivk {

namespace {

constexpr uint64_t kSecondNs = 1'000'000'000;

long change_mode(Inode &inode, uint64_t mode)
{
	if (inode.device() != 1 && inode.kind != InodeKind::kFifo)
		return -EPERM;
	inode.mode = uint32_t(mode) & 07777;
	inode.ctime_ns = realtime_ns();
	return 0;
}

long change_owner(Inode &inode, uint64_t uid, uint64_t gid)
{
	if (inode.device() != 1 && inode.kind != InodeKind::kFifo)
		return -EPERM;
	if (uint32_t(uid) != ~0u)
		inode.uid = uint32_t(uid);
	if (uint32_t(gid) != ~0u)
		inode.gid = uint32_t(gid);
	if (inode.kind == InodeKind::kFile)
		inode.mode &= ~uint32_t(S_ISUID | S_ISGID);
	inode.ctime_ns = realtime_ns();
	return 0;
}

long chmod_at(Thread &t, int dirfd, uint64_t path, uint64_t mode)
{
	Ref<Inode> inode;
	const long r = inode_at(t, dirfd, path, 0, &inode);
	return r ? r : change_mode(*inode, mode);
}

long chown_at(Thread &t, int dirfd, uint64_t path, uint64_t uid, uint64_t gid, uint32_t flags)
{
	Ref<Inode> inode;
	const long r = inode_at(t, dirfd, path, flags, &inode);
	return r ? r : change_owner(*inode, uid, gid);
}

// times: two of them, or null for now.
long set_times(Thread &t, int dirfd, uint64_t path, uint32_t flags, const timespec *times)
{
	Ref<Inode> inode;
	if (path == 0) {
		Ref<File> file = file_of(t, uint64_t(dirfd));
		if (!file || !file->inode)
			return -EBADF;
		inode = file->inode;
	} else if (const long r = inode_at(t, dirfd, path, flags, &inode)) {
		return r;
	}
	const uint64_t now = realtime_ns();
	uint64_t *const fields[2] = {&inode->atime_ns, &inode->mtime_ns};
	for (int i = 0; i < 2; ++i) {
		if (!times || times[i].tv_nsec == UTIME_NOW)
			*fields[i] = now;
		else if (times[i].tv_nsec != UTIME_OMIT) {
			if (uint64_t(times[i].tv_nsec) >= kSecondNs)
				return -EINVAL;
			*fields[i] = times[i].tv_sec < 0 ? 0 : uint64_t(times[i].tv_sec) * kSecondNs + uint64_t(times[i].tv_nsec);
		}
	}
	inode->ctime_ns = now;
	return 0;
}

long set_times_us(Thread &t, int dirfd, uint64_t path, uint64_t times_va)
{
	if (!times_va)
		return set_times(t, dirfd, path, 0, nullptr);
	timeval us[2];
	if (copy_in(thread_space(t), times_va, &us) != 0)
		return -EFAULT;
	timespec ns[2];
	for (int i = 0; i < 2; ++i) {
		if (us[i].tv_usec < 0 || us[i].tv_usec >= 1'000'000)
			return -EINVAL;
		ns[i] = {us[i].tv_sec, us[i].tv_usec * 1000};
	}
	return set_times(t, dirfd, path, 0, ns);
}

}  // namespace

long sys_chmod(Thread &t, const uint64_t *a) { return chmod_at(t, AT_FDCWD, a[0], a[1]); }
long sys_fchmodat(Thread &t, const uint64_t *a) { return chmod_at(t, int(a[0]), a[1], a[2]); }
long sys_fchmod(Thread &t, const uint64_t *a)
{
	Ref<File> file = file_of(t, a[0]);
	return file && file->inode ? change_mode(*file->inode, a[1]) : -EBADF;
}

long sys_chown(Thread &t, const uint64_t *a) { return chown_at(t, AT_FDCWD, a[0], a[1], a[2], 0); }
long sys_lchown(Thread &t, const uint64_t *a) { return chown_at(t, AT_FDCWD, a[0], a[1], a[2], AT_SYMLINK_NOFOLLOW); }
long sys_fchownat(Thread &t, const uint64_t *a)
{
	return chown_at(t, int(a[0]), a[1], a[2], a[3], uint32_t(a[4]));
}
long sys_fchown(Thread &t, const uint64_t *a)
{
	Ref<File> file = file_of(t, a[0]);
	return file && file->inode ? change_owner(*file->inode, a[1], a[2]) : -EBADF;
}

long sys_utime(Thread &t, const uint64_t *a)
{
	if (!a[1])
		return set_times(t, AT_FDCWD, a[0], 0, nullptr);
	utimbuf seconds;
	if (copy_in(thread_space(t), a[1], &seconds) != 0)
		return -EFAULT;
	const timespec ns[2] = {{seconds.actime, 0}, {seconds.modtime, 0}};
	return set_times(t, AT_FDCWD, a[0], 0, ns);
}

long sys_utimes(Thread &t, const uint64_t *a) { return set_times_us(t, AT_FDCWD, a[0], a[1]); }
long sys_futimesat(Thread &t, const uint64_t *a) { return set_times_us(t, int(a[0]), a[1], a[2]); }

long sys_utimensat(Thread &t, const uint64_t *a)
{
	if (!a[2])
		return set_times(t, int(a[0]), a[1], uint32_t(a[3]), nullptr);
	timespec ns[2];
	if (copy_in(thread_space(t), a[2], &ns) != 0)
		return -EFAULT;
	return set_times(t, int(a[0]), a[1], uint32_t(a[3]), ns);
}

long sys_truncate(Thread &t, const uint64_t *a)
{
	Ref<Inode> inode;
	if (const long r = inode_at(t, AT_FDCWD, a[0], 0, &inode))
		return r;
	if (inode->kind == InodeKind::kDirectory)
		return -EISDIR;
	return int64_t(a[1]) < 0 ? -EINVAL : inode->truncate(a[1]);
}

long sys_umask(Thread &t, const uint64_t *a) { return std::exchange(thread_fs(t).umask, uint32_t(a[0]) & 0777); }

}  // namespace minivk
