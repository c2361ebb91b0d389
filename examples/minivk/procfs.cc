// The tree of /proc. Inode numbers say what an inode is, so that two lookups of one name look like one file:
// pid * 4096 + 1 for a process' directory, + 16... for its files, + 1024... for its descriptors.
#include "procfs.h"

#include <cstdlib>
#include <unistd.h>

namespace minivk {

namespace {

constexpr uint64_t kPerProcess = 4096, kDirectory = 1, kLinks = 2, kFdDirectory = 8, kFirstFile = 16, kFirstFd = 1024;

KString number_text(int64_t n)
{
	KString out;
	add_text(out, "%lld", static_cast<long long>(n));
	return out;
}

// A whole decimal number, or -1.
int64_t parse_number(const KString &name)
{
	if (name.empty() || name.size() > 10 || name[0] == '0' || name.find_first_not_of("0123456789") != KString::npos)
		return name == "0" ? 0 : -1;
	return atoll(name.c_str());
}

class ProcInode : public Inode {
public:
	ProcInode(uint64_t ino, InodeKind k, uint32_t bits)
	{
		number = ino;
		kind = k;
		mode = bits;
	}
	uint64_t device() const override { return 2; }
	long truncate(uint64_t) override { return kind == InodeKind::kFile ? 0 : -EINVAL; }
};

// --- files

// The text is made when reading begins at the start, and stays the same until then.
class ProcOpenFile final : public File {
public:
	ProcOpenFile(ProcText text, int64_t pid) : make_(text), pid_(pid) {}
	long read(Thread &, IoBuffer &to, uint64_t *at) override
	{
		if (*at == 0 || !made_) {
			text_.clear();
			if (pid_ && !process_find(pid_))
				return -ESRCH;
			make_(text_, pid_);
			made_ = true;
		}
		return read_from_text(text_, to, at);
	}
	long write(Thread &, IoBuffer &, uint64_t *) override { return -EACCES; }
	uint32_t poll(Thread &, WaitQueue **) override { return kPollIn | kPollOut; }
	long seek(int64_t to, int whence) override
	{
		if (whence == SEEK_CUR)
			to += int64_t(offset);
		if ((whence != SEEK_SET && whence != SEEK_CUR) || to < 0)
			return -EINVAL;
		offset = uint64_t(to);
		return to;
	}
private:
	ProcText make_;
	int64_t pid_;
	KString text_;
	bool made_ = false;
};

class ProcFileInode final : public ProcInode {
public:
	ProcFileInode(uint64_t ino, ProcText text, int64_t pid) : ProcInode(ino, InodeKind::kFile, 0444), text_(text), pid_(pid) {}
	long open(Thread &, uint32_t flags, Ref<File> *out) override
	{
		if ((flags & O_ACCMODE) != O_RDONLY)
			return -EACCES;
		*out = kmake<ProcOpenFile>(text_, pid_);
		return 0;
	}
private:
	ProcText text_;
	int64_t pid_;
};

// --- links

class ProcLink final : public ProcInode {
public:
	enum What { kCwd, kRoot, kExe, kDescriptor, kSelf };
	ProcLink(uint64_t ino, What what, int64_t pid, int fd = 0)
	    : ProcInode(ino, InodeKind::kSymlink, 0777), what_(what), pid_(pid), fd_(fd) {}
	long open(Thread &, uint32_t, Ref<File> *) override { return -ELOOP; }
	KString target(Thread &t) override
	{
		if (what_ == kSelf)
			return number_text(thread_process(t).pid);
		if (what_ == kDescriptor) {
			Ref<File> file = open_file();
			return file ? file->path : KString();
		}
		const Process *p = process_find(pid_);
		if (!p || !p->fs)
			return {};
		return what_ == kExe ? p->exe : vfs_path_of(what_ == kCwd ? *p->fs->cwd : *p->fs->root);
	}
	Ref<Inode> magic_target(Thread &) override
	{
		const Process *p = process_find(pid_);
		if (what_ == kDescriptor) {
			Ref<File> file = open_file();
			return file ? file->inode : Ref<Inode>();
		}
		if (!p || !p->fs || (what_ != kCwd && what_ != kRoot))
			return {};
		return what_ == kCwd ? p->fs->cwd : p->fs->root;
	}
private:
	Ref<File> open_file() const
	{
		const Process *p = process_find(pid_);
		return p && p->files ? p->files->get(fd_) : Ref<File>();
	}
	What what_;
	int64_t pid_;
	int fd_;
};

// --- directories

class ProcDirectory : public ProcInode {
public:
	ProcDirectory(uint64_t ino, Ref<Inode> up, const KString &name) : ProcInode(ino, InodeKind::kDirectory, 0555), up_(up), name_(name)
	{
		nlink = 2;
	}
	long open(Thread &, uint32_t, Ref<File> *out) override
	{
		*out = make_directory_file(this);
		return 0;
	}
	Ref<Inode> parent() override { return up_; }
	KString name_in_parent() const override { return name_; }
protected:
	// The cookie-th name of a fixed list, for entry(): cookies count from 1.
	long fixed_entry(Thread &t, uint64_t *cookie, const KString &name, DirEntry *out)
	{
		Ref<Inode> inode;
		if (const long r = lookup(name, &inode))
			return r;
		(void)t;
		++*cookie;
		*out = {name, inode->number, inode->kind};
		return 0;
	}
private:
	Ref<Inode> up_;
	KString name_;
};

class ProcFdDirectory final : public ProcDirectory {
public:
	ProcFdDirectory(int64_t pid, Ref<Inode> up)
	    : ProcDirectory(uint64_t(pid) * kPerProcess + kFdDirectory, up, "fd"), pid_(pid) {}
	long lookup(const KString &name, Ref<Inode> *out) override
	{
		const int64_t fd = parse_number(name);
		const Process *p = process_find(pid_);
		if (fd < 0 || fd >= FdTable::kMax || !p || !p->files || !p->files->get(int(fd)))
			return -ENOENT;
		*out = kmake<ProcLink>(uint64_t(pid_) * kPerProcess + kFirstFd + uint64_t(fd), ProcLink::kDescriptor, pid_, int(fd));
		return 0;
	}
	long entry(Thread &, uint64_t *cookie, DirEntry *out) override
	{
		const Process *p = process_find(pid_);
		for (int fd = int(*cookie); p && p->files && fd < p->files->size(); ++fd)
			if (p->files->get(fd)) {
				*cookie = uint64_t(fd) + 1;
				*out = {number_text(fd), uint64_t(pid_) * kPerProcess + kFirstFd + uint64_t(fd), InodeKind::kSymlink};
				return 0;
			}
		return -ENOENT;
	}
private:
	int64_t pid_;
};

const char *const kProcessLinks[] = {"cwd", "root", "exe"};	// in the order of ProcLink::What

class ProcProcess final : public ProcDirectory {
public:
	ProcProcess(int64_t pid, Ref<Inode> up)
	    : ProcDirectory(uint64_t(pid) * kPerProcess + kDirectory, up, number_text(pid)), pid_(pid) {}
	long lookup(const KString &name, Ref<Inode> *out) override
	{
		if (!process_find(pid_))
			return -ENOENT;
		const uint64_t base = uint64_t(pid_) * kPerProcess;
		const ProcFiles list = proc_process_files();
		for (size_t i = 0; i < list.count; ++i)
			if (name == list.file[i].name) {
				*out = kmake<ProcFileInode>(base + kFirstFile + i, list.file[i].text, pid_);
				return 0;
			}
		for (int i = 0; i < 3; ++i)
			if (name == kProcessLinks[i]) {
				*out = kmake<ProcLink>(base + kLinks + uint64_t(i), ProcLink::What(i), pid_);
				return 0;
			}
		if (name != "fd")
			return -ENOENT;
		*out = kmake<ProcFdDirectory>(pid_, this);
		return 0;
	}
	long entry(Thread &t, uint64_t *cookie, DirEntry *out) override
	{
		const ProcFiles list = proc_process_files();
		if (*cookie < list.count)
			return fixed_entry(t, cookie, list.file[*cookie].name, out);
		if (*cookie < list.count + 3)
			return fixed_entry(t, cookie, kProcessLinks[*cookie - list.count], out);
		return *cookie == list.count + 3 ? fixed_entry(t, cookie, "fd", out) : -ENOENT;
	}
private:
	int64_t pid_;
};

// A directory of files only, and at most one directory more.
class ProcFolder final : public ProcDirectory {
public:
	ProcFolder(uint64_t ino, Ref<Inode> up, const KString &name, ProcFiles list, bool holds_kernel)
	    : ProcDirectory(ino, up, name), list_(list), holds_kernel_(holds_kernel) {}
	long lookup(const KString &name, Ref<Inode> *out) override
	{
		for (size_t i = 0; i < list_.count; ++i)
			if (name == list_.file[i].name) {
				*out = kmake<ProcFileInode>(number + 1 + i, list_.file[i].text, 0);
				return 0;
			}
		if (!holds_kernel_ || name != "kernel")
			return -ENOENT;
		*out = kmake<ProcFolder>(number + 100, this, "kernel", proc_kernel_files(), false);
		return 0;
	}
	long entry(Thread &t, uint64_t *cookie, DirEntry *out) override
	{
		if (*cookie < list_.count)
			return fixed_entry(t, cookie, list_.file[*cookie].name, out);
		return holds_kernel_ && *cookie == list_.count ? fixed_entry(t, cookie, "kernel", out) : -ENOENT;
	}
private:
	ProcFiles list_;
	bool holds_kernel_;
};

constexpr uint64_t kRootNumber = 1, kSelfNumber = 2, kSysNumber = 200, kFixed = 64;	// kFixed: cookies below are no pids

class ProcRoot final : public ProcDirectory {
public:
	explicit ProcRoot(Ref<Inode> up) : ProcDirectory(kRootNumber, up, "proc") {}
	long lookup(const KString &name, Ref<Inode> *out) override
	{
		const ProcFiles list = proc_system_files();
		for (size_t i = 0; i < list.count; ++i)
			if (name == list.file[i].name) {
				*out = kmake<ProcFileInode>(kFirstFile + i, list.file[i].text, 0);
				return 0;
			}
		if (name == "self") {
			*out = kmake<ProcLink>(kSelfNumber, ProcLink::kSelf, 0);
			return 0;
		}
		if (name == "sys") {
			*out = kmake<ProcFolder>(kSysNumber, this, "sys", ProcFiles{nullptr, 0}, true);
			return 0;
		}
		const int64_t pid = parse_number(name);
		if (pid <= 0 || !process_find(pid))
			return -ENOENT;
		*out = kmake<ProcProcess>(pid, this);
		return 0;
	}
	long entry(Thread &t, uint64_t *cookie, DirEntry *out) override
	{
		const ProcFiles list = proc_system_files();
		if (*cookie < list.count)
			return fixed_entry(t, cookie, list.file[*cookie].name, out);
		if (*cookie < list.count + 2)
			return fixed_entry(t, cookie, *cookie == list.count ? "self" : "sys", out);
		const int64_t after = *cookie <= kFixed ? 0 : int64_t(*cookie - kFixed);
		const auto it = kernel().processes.upper_bound(after);
		if (it == kernel().processes.end())
			return -ENOENT;
		*cookie = kFixed + uint64_t(it->first);
		*out = {number_text(it->first), uint64_t(it->first) * kPerProcess + kDirectory, InodeKind::kDirectory};
		return 0;
	}
};

}  // namespace

Ref<Inode> make_proc_root(Ref<Inode> parent) { return kmake<ProcRoot>(parent); }

}  // namespace minivk
