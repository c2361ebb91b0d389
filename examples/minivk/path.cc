// Names to inodes: symbolic links, "..", trailing slashes, and opening by name. Guests are root: permission bits are
// stored and shown, and only execution asks for them.
#include "files.h"

namespace minivk {

namespace {

constexpr int kLinksMax = 40;	// Linux' MAXSYMLINKS

struct Walk {
	Ref<Inode> dir;		// where the next name is looked up
	KString rest;		// what is left of the path
	int links = 0;
};

// The next component of w.rest, without slashes. Empty at the end.
KString take_name(Walk &w)
{
	const size_t begin = w.rest.find_first_not_of('/');
	if (begin == KString::npos) {
		w.rest.clear();
		return {};
	}
	const size_t end = w.rest.find('/', begin);
	KString name = w.rest.substr(begin, end == KString::npos ? KString::npos : end - begin);
	w.rest.erase(0, end == KString::npos ? w.rest.size() : end);
	return name;
}

long start(Thread &t, int dirfd, const KString &path, Walk *w)
{
	if (path.empty())
		return -ENOENT;
	if (path.size() >= kPathMax)
		return -ENAMETOOLONG;
	FsContext &fs = thread_fs(t);
	if (path[0] == '/') {
		w->dir = fs.root;
	} else if (dirfd == AT_FDCWD) {
		w->dir = fs.cwd;
	} else {
		Ref<File> file = thread_files(t).get(dirfd);
		if (!file)
			return -EBADF;
		if (!file->inode || file->inode->kind != InodeKind::kDirectory)
			return -ENOTDIR;
		w->dir = file->inode;
	}
	w->rest = path;
	return 0;
}

long step(Thread &t, Walk &w, const KString &name, Ref<Inode> *out)
{
	if (w.dir->kind != InodeKind::kDirectory)
		return -ENOTDIR;
	if (name.size() > kNameMax)
		return -ENAMETOOLONG;
	if (name == ".") {
		*out = w.dir;
		return 0;
	}
	if (name == "..") {
		*out = w.dir == thread_fs(t).root ? w.dir : w.dir->parent();
		return *out ? 0 : -ENOENT;
	}
	return w.dir->lookup(name, out);
}

// Replaces the link just found by its target: in the walk, or as *out when the link names an object.
long follow_link(Thread &t, Walk &w, Ref<Inode> &link, bool *replaced)
{
	*replaced = false;
	if (++w.links > kLinksMax)
		return -ELOOP;
	if (Ref<Inode> object = link->magic_target(t)) {
		link = object;
		return 0;
	}
	KString target = link->target(t);
	if (target.empty())
		return -ENOENT;
	if (target.size() + w.rest.size() >= kPathMax)
		return -ENAMETOOLONG;
	w.rest = target + w.rest;
	if (target[0] == '/')
		w.dir = thread_fs(t).root;
	*replaced = true;
	return 0;
}

bool only_slashes(const KString &s) { return s.find_first_not_of('/') == KString::npos; }

}  // namespace

long vfs_lookup(Thread &t, int dirfd, const KString &path, bool follow, Ref<Inode> *out)
{
	Walk w;
	if (const long r = start(t, dirfd, path, &w))
		return r;
	for (;;) {
		const KString name = take_name(w);
		if (name.empty()) {
			*out = w.dir;
			return 0;
		}
		Ref<Inode> found;
		if (const long r = step(t, w, name, &found))
			return r;
		const bool last = only_slashes(w.rest), slash = !w.rest.empty();
		if (found->kind == InodeKind::kSymlink && (!last || slash || follow)) {
			bool replaced;
			if (const long r = follow_link(t, w, found, &replaced))
				return r;
			if (replaced)
				continue;
		}
		if (last) {
			if (slash && found->kind != InodeKind::kDirectory)
				return -ENOTDIR;
			*out = found;
			return 0;
		}
		w.dir = found;
	}
}

long vfs_lookup_parent(Thread &t, int dirfd, const KString &path, Ref<Inode> *dir, KString *name, bool *trailing)
{
	KString head = path;
	while (head.size() > 1 && head.back() == '/')
		head.pop_back();
	*trailing = head.size() != path.size();
	const size_t slash = head.rfind('/');
	*name = slash == KString::npos ? head : head.substr(slash + 1);
	if (path.empty())
		return -ENOENT;
	if (name->size() > kNameMax)
		return -ENAMETOOLONG;
	const KString before = slash == KString::npos ? KString(".") : head.substr(0, slash + 1);
	if (path.size() >= kPathMax)
		return -ENAMETOOLONG;
	if (const long r = vfs_lookup(t, dirfd, before, true, dir))
		return r;
	return (*dir)->kind == InodeKind::kDirectory ? 0 : -ENOTDIR;
}

KString vfs_path_of(Inode &directory)
{
	KString path;
	Ref<Inode> at = &directory;
	while (at->number != kernel().root->number) {
		Ref<Inode> up = at->parent();
		if (!up)
			return "(unreachable)" + path;
		path = "/" + at->name_in_parent() + path;
		at = up;
	}
	return path.empty() ? KString("/") : path;
}

namespace {

KString opened_path(Thread &t, int dirfd, const KString &path, Inode &inode)
{
	if (inode.kind == InodeKind::kDirectory)
		return vfs_path_of(inode);
	Ref<Inode> dir;
	KString name;
	bool trailing;
	if (vfs_lookup_parent(t, dirfd, path, &dir, &name, &trailing) != 0)
		return path;
	const KString before = vfs_path_of(*dir);
	return before == "/" ? "/" + name : before + "/" + name;
}

// A descriptor that only names a place (O_PATH).
class PathFile final : public File {
public:
	explicit PathFile(Ref<Inode> i) { inode = std::move(i); }
	long read(Thread &, IoBuffer &, uint64_t *) override { return -EBADF; }
	long write(Thread &, IoBuffer &, uint64_t *) override { return -EBADF; }
	uint32_t poll(Thread &, WaitQueue **) override { return kPollNval; }
	long ioctl(Thread &, uint32_t, uint64_t) override { return -EBADF; }
	long seek(int64_t, int) override { return -EBADF; }
};

// The inode to open: found, or made with O_CREAT. A dangling link in the last place is created where it points.
long find_or_create(Thread &t, int dirfd, const KString &path, uint32_t flags, uint32_t mode, Ref<Inode> *out, bool *made)
{
	const bool exclusive = (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL);
	const bool follow = !(flags & O_NOFOLLOW) && !exclusive;
	const long r = vfs_lookup(t, dirfd, path, follow, out);
	if (r == 0)
		return exclusive ? -EEXIST : 0;
	if (r != -ENOENT || !(flags & O_CREAT))
		return r;
	KString name, at = path;
	Ref<Inode> dir, last;
	bool trailing;
	for (int links = 0;; ++links) {
		if (const long e = vfs_lookup_parent(t, dirfd, at, &dir, &name, &trailing))
			return e;
		if (trailing)
			return -EISDIR;
		if (!follow || dir->lookup(name, &last) != 0 || last->kind != InodeKind::kSymlink)
			break;
		if (links >= kLinksMax)
			return -ELOOP;
		const KString target = last->target(t), base = vfs_path_of(*dir);
		at = !target.empty() && target[0] == '/' ? target : base + "/" + target;
	}
	if (!kernel_memory_ok())
		return -ENOSPC;
	*made = true;
	return dir->create(name, InodeKind::kFile, mode & 07777 & ~thread_fs(t).umask, 0, {}, out);
}

}  // namespace

long vfs_open(Thread &t, int dirfd, const KString &path, uint32_t flags, uint32_t mode, Ref<File> *out)
{
	Ref<Inode> inode;
	bool made = false;
	if (flags & O_PATH)
		flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	if (const long r = find_or_create(t, dirfd, path, flags, mode, &inode, &made))
		return r;
	const bool writes = (flags & O_ACCMODE) != O_RDONLY;
	if (inode->kind == InodeKind::kSymlink && !(flags & O_PATH))
		return -ELOOP;
	if ((flags & O_DIRECTORY) && inode->kind != InodeKind::kDirectory)
		return -ENOTDIR;
	if (inode->kind == InodeKind::kDirectory && (writes || (flags & O_CREAT)))
		return -EISDIR;
	if (flags & O_PATH)
		*out = kmake<PathFile>(inode);
	else if (const long r = inode->open(t, flags, out))
		return r;
	if ((flags & O_TRUNC) && writes && !made && inode->kind == InodeKind::kFile)
		if (const long r = inode->truncate(0))
			return r;
	(*out)->flags = flags & ~uint32_t(O_CREAT | O_EXCL | O_TRUNC | O_NOCTTY | O_CLOEXEC);
	if (!(*out)->inode)
		(*out)->inode = inode;
	(*out)->path = opened_path(t, dirfd, path, *inode);
	return 0;
}

}  // namespace minivk
