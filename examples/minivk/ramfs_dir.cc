// Directories, symbolic links and nodes of the RAM file system.
#include "pipe.h"
#include "ramfs.h"

namespace minivk {

RamDirectory::RamDirectory(RamDirectory *up) : up_(up), is_root_(up == nullptr)
{
	kind = InodeKind::kDirectory;
	nlink = 2;
}

RamDirectory::~RamDirectory() = default;

long RamDirectory::open(Thread &, uint32_t, Ref<File> *out)
{
	*out = make_directory_file(this);
	return 0;
}

long RamDirectory::lookup(const KString &name, Ref<Inode> *out)
{
	const auto it = names_.find(name);
	if (it == names_.end())
		return -ENOENT;
	*out = it->second.inode;
	return 0;
}

long RamDirectory::entry(Thread &, uint64_t *cookie, DirEntry *out)
{
	const auto it = order_.upper_bound(*cookie);
	if (it == order_.end())
		return -ENOENT;
	const Inode &inode = *names_.find(it->second)->second.inode;
	*cookie = it->first;
	out->name = it->second;
	out->number = inode.number;
	out->kind = inode.kind;
	return 0;
}

void RamDirectory::attach(const KString &name, Inode &inode)
{
	if (const auto old = names_.find(name); old != names_.end())
		remove(old);
	names_[name] = Slot{&inode, ++last_cookie_};
	order_[last_cookie_] = name;
	if (inode.kind == InodeKind::kDirectory)
		++nlink;
	touch_modified();
}

void RamDirectory::remove(KMap<KString, Slot>::iterator it)
{
	if (it->second.inode->kind == InodeKind::kDirectory)
		--nlink;
	order_.erase(it->second.cookie);
	names_.erase(it);
	touch_modified();
}

long RamDirectory::create(const KString &name, InodeKind what, uint32_t bits, uint64_t device_number, const KString &target,
    Ref<Inode> *out)
{
	if (removed_)
		return -ENOENT;
	if (names_.count(name) || name == "." || name == "..")
		return -EEXIST;
	Ref<Inode> made;
	if (what == InodeKind::kDirectory) {
		Ref<RamDirectory> dir = kmake<RamDirectory>(this);
		dir->name_ = name;
		made = dir;
	} else if (what == InodeKind::kSymlink) {
		made = kmake<RamLink>(target);
	} else if (what == InodeKind::kFile) {
		made = kmake<RamFile>();
	} else {
		made = kmake<RamNode>();
	}
	made->kind = what;
	made->mode = what == InodeKind::kSymlink ? 0777 : bits & 07777;
	made->rdev = device_number;
	attach(name, *made);
	*out = made;
	return 0;
}

long RamDirectory::link(const KString &name, Inode &inode)
{
	if (inode.kind == InodeKind::kDirectory)
		return -EPERM;
	if (removed_)
		return -ENOENT;
	if (names_.count(name) || name == "." || name == "..")
		return -EEXIST;
	++inode.nlink;
	inode.ctime_ns = realtime_ns();
	attach(name, inode);
	return 0;
}

long RamDirectory::unlink(const KString &name, bool directory)
{
	if (directory && name == ".")
		return -EINVAL;
	if (name == "." || name == "..")
		return directory ? -ENOTEMPTY : -EISDIR;
	const auto it = names_.find(name);
	if (it == names_.end())
		return -ENOENT;
	Ref<Inode> inode = it->second.inode;
	if (inode->device() != device())
		return -EBUSY;
	if (inode->kind == InodeKind::kDirectory) {
		if (!directory)
			return -EISDIR;
		RamDirectory &dir = static_cast<RamDirectory &>(*inode);
		if (!dir.names_.empty())
			return -ENOTEMPTY;
		dir.up_ = nullptr;
		dir.removed_ = true;
		dir.nlink = 0;
	} else {
		if (directory)
			return -ENOTDIR;
		--inode->nlink;
		inode->ctime_ns = realtime_ns();
	}
	remove(it);
	return 0;
}

bool RamDirectory::is_under(const RamDirectory &ancestor) const
{
	for (const RamDirectory *d = this; d; d = d->up_)
		if (d == &ancestor)
			return true;
	return false;
}

// Whether `old`, in this directory, may make way for `moved`.
long RamDirectory::check_replace(Inode &moved, Inode &old) const
{
	const bool from_dir = moved.kind == InodeKind::kDirectory, to_dir = old.kind == InodeKind::kDirectory;
	if (from_dir && !to_dir)
		return -ENOTDIR;
	if (!from_dir && to_dir)
		return -EISDIR;
	if (old.device() != device())
		return -EBUSY;
	return to_dir && !static_cast<RamDirectory &>(old).names_.empty() ? -ENOTEMPTY : 0;
}

long RamDirectory::rename(const KString &name, Inode &to_inode, const KString &to)
{
	if (name == "." || name == ".." || to == "." || to == "..")
		return -EBUSY;
	if (to_inode.device() != device())
		return -EXDEV;
	if (to_inode.kind != InodeKind::kDirectory)
		return -ENOTDIR;
	RamDirectory &target = static_cast<RamDirectory &>(to_inode);
	const auto from = names_.find(name);
	if (from == names_.end() || target.removed_)
		return -ENOENT;
	Ref<Inode> moved = from->second.inode;
	if (moved->device() != device())
		return -EBUSY;
	const bool is_dir = moved->kind == InodeKind::kDirectory;
	if (is_dir && target.is_under(static_cast<RamDirectory &>(*moved)))
		return -EINVAL;
	if (const auto there = target.names_.find(to); there != target.names_.end()) {
		Ref<Inode> old = there->second.inode;
		if (old == moved)
			return 0;	// two names of one file: POSIX leaves both
		if (const long r = target.check_replace(*moved, *old))
			return r;
		target.unlink(to, old->kind == InodeKind::kDirectory);
	}
	remove(names_.find(name));
	target.attach(to, *moved);
	moved->ctime_ns = realtime_ns();
	if (is_dir) {
		static_cast<RamDirectory &>(*moved).up_ = &target;
		static_cast<RamDirectory &>(*moved).name_ = to;
	}
	return 0;
}

RamNode::~RamNode() = default;

long RamNode::open(Thread &t, uint32_t flags, Ref<File> *out)
{
	return kind == InodeKind::kFifo ? open_fifo(t, pipe_, *this, flags, out) : open_device(t, *this, flags, out);
}

Ref<RamDirectory> make_ram_root()
{
	Ref<RamDirectory> root = kmake<RamDirectory>(nullptr);
	root->mode = 0755;
	return root;
}

}  // namespace minivk
