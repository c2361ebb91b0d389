// System calls that make, remove and change names.
#include <algorithm>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "file_calls.h"

namespace minivk {

void take_ownership(Thread &t, Inode &inode)
{
	inode.uid = thread_process(t).euid;
	inode.gid = thread_process(t).egid;
}

namespace {

// A place for a name: the directory and the name in it. Removed directories and "/" have no such place: on_root.
struct Place { Ref<Inode> dir; KString name; bool trailing = false; };

long place_of(Thread &t, int dirfd, uint64_t path_va, long on_root, Place *out)
{
	KString path;
	if (const long r = copy_path(t, path_va, &path))
		return r;
	if (const long r = vfs_lookup_parent(t, dirfd, path, &out->dir, &out->name, &out->trailing))
		return r;
	return out->name.empty() ? on_root : 0;
}

long make_node(Thread &t, int dirfd, uint64_t path, InodeKind kind, uint32_t mode, uint64_t rdev, const KString &target)
{
	Place at;
	if (const long r = place_of(t, dirfd, path, -EEXIST, &at))
		return r;
	Ref<Inode> made;
	if (at.trailing && kind != InodeKind::kDirectory)
		return at.dir->lookup(at.name, &made) == 0 ? -EEXIST : -ENOENT;
	if (!kernel_memory_ok())
		return -ENOSPC;
	const long r = at.dir->create(at.name, kind, mode & 07777 & ~thread_fs(t).umask, rdev, target, &made);
	if (r == 0)
		take_ownership(t, *made);
	return r;
}

long remove_name(Thread &t, int dirfd, uint64_t path, bool directory)
{
	Place at;
	if (const long r = place_of(t, dirfd, path, directory ? -EBUSY : -EISDIR, &at))
		return r;
	Ref<Inode> there;
	if (at.trailing && !directory && at.dir->lookup(at.name, &there) == 0 && there->kind != InodeKind::kDirectory)
		return -ENOTDIR;
	return at.dir->unlink(at.name, directory);
}

long rename_names(Thread &t, int from_fd, uint64_t from_path, int to_fd, uint64_t to_path, uint32_t flags)
{
	constexpr uint32_t kNoReplace = 1;
	Place from, to;
	if (flags & ~kNoReplace)
		return -EINVAL;
	if (const long r = place_of(t, from_fd, from_path, -EBUSY, &from))
		return r;
	if (const long r = place_of(t, to_fd, to_path, -EBUSY, &to))
		return r;
	Ref<Inode> moved, there;
	if (const long r = from.dir->lookup(from.name, &moved))
		return r;
	if ((from.trailing || to.trailing) && moved->kind != InodeKind::kDirectory)
		return -ENOTDIR;
	if ((flags & kNoReplace) && to.dir->lookup(to.name, &there) == 0)
		return -EEXIST;
	if (from.dir->device() != to.dir->device())
		return -EXDEV;
	return from.dir->rename(from.name, *to.dir, to.name);
}

long link_names(Thread &t, int from_fd, uint64_t from_path, int to_fd, uint64_t to_path, uint32_t flags)
{
	Ref<Inode> inode;
	if (flags & ~uint32_t(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	const uint32_t follow = flags & AT_SYMLINK_FOLLOW ? 0 : AT_SYMLINK_NOFOLLOW;
	if (const long r = inode_at(t, from_fd, from_path, (flags & AT_EMPTY_PATH) | follow, &inode))
		return r;
	Place to;
	if (const long r = place_of(t, to_fd, to_path, -EEXIST, &to))
		return r;
	if (inode->kind == InodeKind::kDirectory)
		return -EPERM;
	if (inode->device() != to.dir->device())
		return -EXDEV;
	if (inode->nlink == 0 || to.trailing)
		return -ENOENT;
	if (!kernel_memory_ok())
		return -ENOSPC;
	return to.dir->link(to.name, *inode);
}

long link_target(Thread &t, int dirfd, uint64_t path, uint64_t buffer, uint64_t bytes)
{
	Ref<Inode> inode;
	if (const long r = inode_at(t, dirfd, path, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH, &inode))
		return r;
	if (inode->kind != InodeKind::kSymlink || int64_t(bytes) <= 0)
		return -EINVAL;
	const KString target = inode->target(t);
	const size_t n = std::min(target.size(), size_t(bytes));
	return copy_out(thread_space(t), buffer, target.data(), n) ? -EFAULT : long(n);
}

long make_special(Thread &t, int dirfd, uint64_t path, uint32_t mode, uint64_t dev)
{
	if (!(mode & kTypeMask))
		mode |= S_IFREG;
	InodeKind kind;
	if (!kind_of_mode(mode, &kind) || kind == InodeKind::kSymlink)
		return -EINVAL;
	if (kind == InodeKind::kDirectory)
		return -EPERM;
	const bool device = kind == InodeKind::kCharDevice || kind == InodeKind::kBlockDevice;
	return make_node(t, dirfd, path, kind, mode, device ? dev : 0, {});
}

long change_directory(Thread &t, Ref<Inode> to)
{
	if (to->kind != InodeKind::kDirectory)
		return -ENOTDIR;
	thread_fs(t).cwd = to;
	return 0;
}

}  // namespace

long sys_chdir(Thread &t, const uint64_t *a)
{
	Ref<Inode> to;
	const long r = inode_at(t, AT_FDCWD, a[0], 0, &to);
	return r ? r : change_directory(t, to);
}

long sys_fchdir(Thread &t, const uint64_t *a)
{
	Ref<File> file = file_of(t, a[0]);
	if (!file)
		return -EBADF;
	return file->inode ? change_directory(t, file->inode) : -ENOTDIR;
}

long sys_chroot(Thread &t, const uint64_t *a)
{
	Ref<Inode> to;
	if (const long r = inode_at(t, AT_FDCWD, a[0], 0, &to))
		return r;
	if (to->kind != InodeKind::kDirectory)
		return -ENOTDIR;
	thread_fs(t).root = to;
	return 0;
}

long sys_getcwd(Thread &t, const uint64_t *a)
{
	FsContext &fs = thread_fs(t);
	KString path = vfs_path_of(*fs.cwd);
	const KString root = vfs_path_of(*fs.root);
	if (root != "/" && path.compare(0, root.size(), root) == 0)
		path = path.size() == root.size() ? KString("/") : path.substr(root.size());
	if (path[0] != '/')
		return -ENOENT;
	if (path.size() + 1 > a[1])
		return -ERANGE;
	return copy_out(thread_space(t), a[0], path.c_str(), path.size() + 1) ? -EFAULT : long(path.size() + 1);
}

long sys_mkdir(Thread &t, const uint64_t *a)
{
	return make_node(t, AT_FDCWD, a[0], InodeKind::kDirectory, uint32_t(a[1]), 0, {});
}
long sys_mkdirat(Thread &t, const uint64_t *a)
{
	return make_node(t, int(a[0]), a[1], InodeKind::kDirectory, uint32_t(a[2]), 0, {});
}
long sys_mknod(Thread &t, const uint64_t *a) { return make_special(t, AT_FDCWD, a[0], uint32_t(a[1]), a[2]); }
long sys_mknodat(Thread &t, const uint64_t *a) { return make_special(t, int(a[0]), a[1], uint32_t(a[2]), a[3]); }

long sys_rmdir(Thread &t, const uint64_t *a) { return remove_name(t, AT_FDCWD, a[0], true); }
long sys_unlink(Thread &t, const uint64_t *a) { return remove_name(t, AT_FDCWD, a[0], false); }
long sys_unlinkat(Thread &t, const uint64_t *a)
{
	if (a[2] & ~uint64_t(AT_REMOVEDIR))
		return -EINVAL;
	return remove_name(t, int(a[0]), a[1], a[2] & AT_REMOVEDIR);
}

long sys_rename(Thread &t, const uint64_t *a) { return rename_names(t, AT_FDCWD, a[0], AT_FDCWD, a[1], 0); }
long sys_renameat(Thread &t, const uint64_t *a) { return rename_names(t, int(a[0]), a[1], int(a[2]), a[3], 0); }
long sys_renameat2(Thread &t, const uint64_t *a)
{
	return rename_names(t, int(a[0]), a[1], int(a[2]), a[3], uint32_t(a[4]));
}

long sys_link(Thread &t, const uint64_t *a) { return link_names(t, AT_FDCWD, a[0], AT_FDCWD, a[1], 0); }
long sys_linkat(Thread &t, const uint64_t *a)
{
	return link_names(t, int(a[0]), a[1], int(a[2]), a[3], uint32_t(a[4]));
}

long sys_symlink(Thread &t, const uint64_t *a)
{
	const uint64_t at[3] = {a[0], uint64_t(AT_FDCWD), a[1]};
	return sys_symlinkat(t, at);
}

long sys_symlinkat(Thread &t, const uint64_t *a)
{
	KString target;
	if (const long r = copy_path(t, a[0], &target))
		return r;
	if (target.empty())
		return -ENOENT;
	return make_node(t, int(a[1]), a[2], InodeKind::kSymlink, 0777, 0, target);
}

long sys_readlink(Thread &t, const uint64_t *a) { return link_target(t, AT_FDCWD, a[0], a[1], a[2]); }
long sys_readlinkat(Thread &t, const uint64_t *a) { return link_target(t, int(a[0]), a[1], a[2], a[3]); }

// What is mounted is fixed. Start-up scripts may mount /proc again (EBUSY says that it is there) or remount the root.
long sys_mount(Thread &t, const uint64_t *a)
{
	KString type;
	Ref<Inode> at;
	if (const long r = inode_at(t, AT_FDCWD, a[1], 0, &at))
		return r;
	if (a[3] & MS_REMOUNT)
		return 0;
	if (const long r = copy_path(t, a[2], &type))
		return r;
	return type == "proc" && at == files().proc ? -EBUSY : -ENODEV;
}

long sys_umount2(Thread &t, const uint64_t *a)
{
	Ref<Inode> at;
	if (const long r = inode_at(t, AT_FDCWD, a[0], 0, &at))
		return r;
	return at == files().proc || at == kernel().root ? -EBUSY : -EINVAL;
}

}  // namespace minivk
