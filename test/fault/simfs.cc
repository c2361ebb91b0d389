// The simulated host. See simfs.h.
#include "test/fault/simfs.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/digest.h"

namespace simfs {

World *world;
bool (*interfere)(long, const long *, const std::string &, long *);
void (*before_call)(long);
void (*after_call)(uint64_t);
Lie lie;
Names names;
Window window;

namespace {

constexpr int kFirstFd = 1000;		// above all real ones
constexpr int kRamFd = 999;		// RAM of a thawed vkernel
const char kRoot[] = "/sim/";
const char kBootId[] = "/proc/sys/kernel/random/boot_id";

bool shared(const char *path) { return strncmp(path, kRoot, sizeof kRoot - 1) == 0; }
// Also what is known of /proc (World::put).
bool ours(const char *path) { return shared(path) || world->lookup(path) != 0; }
bool ours(long fd) { return fd >= kFirstFd; }

std::string folder_of(const std::string &path) { return path.substr(0, path.rfind('/')); }

void mix(uint64_t &hash, uint64_t value) { hash = (hash ^ value) * 0x9e3779b97f4a7c15ull; hash ^= hash >> 29; }

[[noreturn]] void unknown(const char *what, long number)
{
	fprintf(stderr, "the simulated host knows no %s (system call %ld)\n", what, number);
	abort();
}

void set_name(const std::string &path, uint64_t inode)
{
	std::vector<uint64_t> &values = world->names[path];
	if (values.empty())
		values.push_back(0);
	if (values.back() != inode)
		values.push_back(inode);
	world->name_changes++;
}

// Numbers depend on the process alone, so that the order in which processes take turns does not show in them.
uint64_t new_inode()
{
	uint64_t number = (uint64_t)world->process << 32 | ++world->made[world->process];
	world->inodes[number] = {};
	return number;
}

int new_fd(const OpenFile &file)
{
	int fd = kFirstFd + world->process * 10000 + (int)(++world->opened[world->process] % 10000);
	world->open[fd] = file;
	return fd;
}

OpenFile &file_of(long fd)
{
	auto found = world->open.find((int)fd);
	if (found == world->open.end() || found->second.process != world->process)
		unknown("such open file", fd);
	return found->second;
}
Inode &inode_of(long fd) { return world->inodes.at(file_of(fd).inode); }

long open_file(const char *path, long flags)
{
	if (strcmp(path, kBootId) == 0)
		world->put(kBootId, "00000000-0000-0000-0000-" + std::to_string(100000000000 + world->boot) + "\n");
	if (flags & O_DIRECTORY)
		return world->folders.count(path) ? new_fd({ world->process, 0, path, (int)flags, 0 }) : -ENOENT;
	if (shared(path) && !world->folders.count(folder_of(path)))
		return -ENOENT;
	uint64_t inode = world->lookup(path);
	if (inode && (flags & O_CREAT) && (flags & O_EXCL))
		return -EEXIST;
	if (!inode && !(flags & O_CREAT))
		return -ENOENT;
	if (!inode)
		set_name(path, inode = new_inode());
	return new_fd({ world->process, inode, "", (int)flags, 0 });
}

void unlock(Inode &inode, int fd)
{
	if (inode.lock == fd)
		inode.lock = 0;
	inode.shared.erase(fd);
}

long close_file(long fd)
{
	OpenFile &file = file_of(fd);
	if (file.inode)
		unlock(inode_of(fd), (int)fd);
	world->open.erase((int)fd);
	return 0;
}

void write_inode(Inode &inode, uint64_t offset, const std::string &bytes)
{
	if (inode.data.size() < offset + bytes.size())
		inode.data.resize(offset + bytes.size());
	inode.data.replace(offset, bytes.size(), bytes);
	inode.unsynced.push_back({ offset, bytes });
	inode.changes++;
	world->writes++;
}

long write_file(long fd, uint64_t offset, const char *bytes, size_t count)
{
	write_inode(inode_of(fd), offset, std::string(bytes, count));
	return (long)count;
}

long read_file(long fd, uint64_t offset, char *out, size_t count)
{
	const std::string &data = inode_of(fd).data;
	if (offset >= data.size())
		return 0;
	size_t got = data.copy(out, count, offset);
	return (long)got;
}

long sync_file(long fd)
{
	world->syncs++;
	OpenFile &file = file_of(fd);
	if (lie == (file.inode ? Lie::files : Lie::folders))
		return 0;
	if (file.inode) {
		Inode &inode = inode_of(fd);
		inode.synced = inode.data;
		inode.unsynced.clear();
		return 0;
	}
	for (auto &[name, values] : world->names)
		if (folder_of(name) == file.path)
			values = { values.back() };
	return 0;
}

long stat_folder(const std::string &path, struct stat *out)
{
	memset(out, 0, sizeof *out);
	out->st_dev = 1;
	out->st_ino = std::hash<std::string>()(path);
	out->st_mode = S_IFDIR | 0700;
	return 0;
}

long stat_inode(uint64_t number, struct stat *out)
{
	memset(out, 0, sizeof *out);
	if (!number)
		return -ENOENT;
	const Inode &inode = world->inodes.at(number);
	out->st_dev = 1;
	out->st_ino = number;
	out->st_mode = S_IFREG | 0600;
	out->st_nlink = 1;
	out->st_size = (off_t)inode.data.size();
	out->st_ctim.tv_nsec = (long)inode.changes;
	return 0;
}

long lock_inode(long fd, short type)
{
	Inode &inode = inode_of(fd);
	bool others = inode.lock && inode.lock != (int)fd;
	for (int sharer : inode.shared)
		others |= type == F_WRLCK && sharer != (int)fd;
	if (others && lie != Lie::locks)
		return -EAGAIN;
	if (type == F_WRLCK)
		inode.lock = (int)fd;
	else
		inode.shared.insert((int)fd);
	return 0;
}

long rename_file(const std::string &from, const std::string &to, unsigned flags)
{
	uint64_t moved = world->lookup(from), there = world->lookup(to);
	if (flags && names != Names::exchanged)
		return -EINVAL;
	if (moved && moved == there)	// two names of one file: both stay
		return 0;
	if (!moved || ((flags & RENAME_EXCHANGE) && !there))
		return -ENOENT;
	if ((flags & RENAME_NOREPLACE) && there)
		return -EEXIST;
	set_name(to, moved);
	set_name(from, flags & RENAME_EXCHANGE ? there : 0);
	return 0;
}

long link_file(const std::string &from, const std::string &to)
{
	if (names == Names::single)
		return -EPERM;
	if (!world->lookup(from))
		return -ENOENT;
	if (world->lookup(to))
		return -EEXIST;
	set_name(to, world->lookup(from));
	return 0;
}

long read_link(const char *path, char *out, size_t room)
{
	const char proc[] = "/proc/self/fd/";
	const OpenFile &file = file_of(atol(path + sizeof proc - 1));
	uint64_t inode = file.inode;
	if (!inode)
		return (long)file.path.copy(out, room);
	for (const auto &[name, values] : world->names)
		if (values.back() == inode)
			return (long)name.copy(out, room);
	return -ENOENT;
}

// struct linux_dirent64, all at once: where a folder is read there is room for it.
long list_folder(OpenFile &folder, char *out, size_t room)
{
	size_t at = 0;
	if (folder.offset++ > 0)
		return 0;
	for (const auto &[name, values] : world->names) {
		if (!values.back() || folder_of(name) != folder.path)
			continue;
		const std::string own = name.substr(folder.path.size() + 1);
		size_t bytes = (19 + own.size() + 1 + 7) & ~size_t{7};
		if (at + bytes > room)
			unknown("folder so full", SYS_getdents64);
		memset(out + at, 0, bytes);
		uint16_t length = (uint16_t)bytes;
		memcpy(out + at + 16, &length, sizeof length);
		memcpy(out + at + 19, own.c_str(), own.size());
		at += bytes;
	}
	return (long)at;
}

long allocate(Inode &inode, uint64_t bytes)
{
	if (inode.data.size() < bytes)
		inode.data.resize(bytes);
	inode.changes++;
	return 0;
}

long random_bytes(uint8_t *out, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t hash = (uint64_t)world->process;
		mix(hash, ++world->drawn[world->process]);
		mix(hash, world->boot);
		out[i] = (uint8_t)(hash >> 40);
	}
	return (long)count;
}

long write_vector(long fd, const struct iovec *vec, int count)
{
	long total = 0;
	for (int i = 0; i < count; i++) {
		OpenFile &file = file_of(fd);
		total += write_file(fd, file.offset, static_cast<const char *>(vec[i].iov_base), vec[i].iov_len);
		file.offset += vec[i].iov_len;
	}
	return total;
}

// Calls with a descriptor of this host.
long fd_call(long number, const long *a)
{
	char *buffer = reinterpret_cast<char *>(a[1]);
	size_t count = (size_t)a[2];
	switch (number) {
	case SYS_close: return close_file(a[0]);
	case SYS_read: {
		long got = read_file(a[0], file_of(a[0]).offset, buffer, count);
		file_of(a[0]).offset += (uint64_t)got;
		return got;
	}
	case SYS_pread64: return read_file(a[0], (uint64_t)a[3], buffer, count);
	case SYS_pwrite64: return write_file(a[0], (uint64_t)a[3], buffer, count);
	case SYS_write: {
		struct iovec vec = { buffer, count };
		return write_vector(a[0], &vec, 1);
	}
	case SYS_writev: return write_vector(a[0], reinterpret_cast<const struct iovec *>(a[1]), (int)a[2]);
	case SYS_fsync: return sync_file(a[0]);
	case SYS_fstat: {
		struct stat *out = reinterpret_cast<struct stat *>(a[1]);
		return file_of(a[0]).inode ? stat_inode(file_of(a[0]).inode, out) : stat_folder(file_of(a[0]).path, out);
	}
	case SYS_getdents64: return list_folder(file_of(a[0]), buffer, count);
	case SYS_fallocate: return allocate(inode_of(a[0]), (uint64_t)a[3]);
	case SYS_fcntl:
		if (a[1] == F_OFD_SETLK)
			return lock_inode(a[0], reinterpret_cast<const struct flock *>(a[2])->l_type);
		if (a[1] == F_GETFL)
			return file_of(a[0]).flags;
		if (a[1] == F_SETFL)
			return 0;
		break;
	case SYS_ioctl:
		if (a[1] == FICLONE) {
			write_inode(inode_of(a[0]), 0, inode_of(a[2]).data);
			return 0;
		}
		break;
	}
	unknown("such call of a file", number);
}

const char *path_at(long word) { return reinterpret_cast<const char *>(word); }

// Calls with a path of this host. False: it is none.
bool path_call(long number, const long *a, long *result)
{
	switch (number) {
	case SYS_openat:
		if (!ours(path_at(a[1])))
			return false;
		*result = open_file(path_at(a[1]), a[2]);
		return true;
	case SYS_stat:
	case SYS_lstat:
		if (!ours(path_at(a[0])))
			return false;
		*result = world->folders.count(path_at(a[0])) ? stat_folder(path_at(a[0]), reinterpret_cast<struct stat *>(a[1])) :
		    stat_inode(world->lookup(path_at(a[0])), reinterpret_cast<struct stat *>(a[1]));
		return true;
	case SYS_unlink:
		if (!ours(path_at(a[0])))
			return false;
		*result = world->lookup(path_at(a[0])) ? 0 : -ENOENT;
		if (*result == 0)
			set_name(path_at(a[0]), 0);
		return true;
	case SYS_link:
		if (!ours(path_at(a[0])))
			return false;
		*result = link_file(path_at(a[0]), path_at(a[1]));
		return true;
	case SYS_rename:
		if (!ours(path_at(a[0])))
			return false;
		*result = rename_file(path_at(a[0]), path_at(a[1]), 0);
		return true;
	case SYS_renameat2:
		if (!ours(path_at(a[1])))
			return false;
		*result = rename_file(path_at(a[1]), path_at(a[3]), (unsigned)a[4]);
		return true;
	case SYS_readlink:
		if (strncmp(path_at(a[0]), "/proc/self/fd/", 14) != 0 || !ours(atol(path_at(a[0]) + 14)))
			return false;
		*result = read_link(path_at(a[0]), reinterpret_cast<char *>(a[1]), (size_t)a[2]);
		return true;
	case SYS_statfs:
		if (!ours(path_at(a[0])))
			return false;
		memset(reinterpret_cast<void *>(a[1]), 0, sizeof(struct statfs));
		reinterpret_cast<struct statfs *>(a[1])->f_bavail = reinterpret_cast<struct statfs *>(a[1])->f_bsize = 1 << 20;
		*result = 0;
		return true;
	}
	return false;
}

std::map<void *, size_t> mapped;

long map_memory(const long *a)
{
	void *at = mmap(reinterpret_cast<void *>(a[0]), (size_t)a[1], (int)a[2], (int)a[3] | MAP_NORESERVE, (int)a[4], a[5]);
	if (at == MAP_FAILED)
		return -errno;
	mapped[at] = (size_t)a[1];
	return (long)at;
}

long unmap_memory(const long *a)
{
	mapped.erase(reinterpret_cast<void *>(a[0]));
	return munmap(reinterpret_cast<void *>(a[0]), (size_t)a[1]) == 0 ? 0 : -errno;
}

// Memory, time and chance.
bool other_call(long number, const long *a, long *result)
{
	auto inside = [](long at) { return (uint64_t)at - window.start < window.bytes; };
	switch (number) {
	case SYS_getpid: *result = world->process; return true;
	case SYS_kill: *result = 0; return true;	// who holds a lock here is alive
	case SYS_nanosleep: *result = -EINTR; return true;	// and not worth waiting for
	case SYS_getrandom: *result = random_bytes(reinterpret_cast<uint8_t *>(a[0]), (size_t)a[1]); return true;
	case SYS_memfd_create: *result = kRamFd; return true;
	case SYS_mmap: *result = inside(a[0]) ? a[0] : map_memory(a); return true;
	case SYS_munmap: *result = inside(a[0]) ? 0 : unmap_memory(a); return true;
	case SYS_ftruncate:
	case SYS_close: *result = 0; return a[0] == kRamFd;
	case SYS_lseek: *result = -EINVAL; return a[0] == kRamFd;
	case SYS_fstat:
		if (a[0] != kRamFd)
			return false;
		memset(reinterpret_cast<void *>(a[1]), 0, sizeof(struct stat));
		reinterpret_cast<struct stat *>(a[1])->st_mode = S_IFREG;
		reinterpret_cast<struct stat *>(a[1])->st_size = (off_t)window.bytes;
		*result = 0;
		return true;
	case SYS_mlock:
	case SYS_madvise:		// the arena is made for every little vkernel: only what is used is to be touched
	case SYS_rt_sigaction:
	case SYS_rt_sigprocmask: *result = 0; return true;
	}
	return false;
}

bool takes_fd(long number)
{
	return number == SYS_close || number == SYS_read || number == SYS_pread64 || number == SYS_pwrite64 || number == SYS_write ||
	    number == SYS_writev || number == SYS_fsync || number == SYS_fstat || number == SYS_fcntl || number == SYS_ioctl || number == SYS_getdents64 || number == SYS_fallocate;
}

// What another process can notice or be hindered by. Contents are no such thing: a file is written while it has a name that nobody
// reads, and never after it got its final one.
bool shows(long number, const long *a)
{
	switch (number) {
	case SYS_read: case SYS_pread64: case SYS_pwrite64: case SYS_write: case SYS_writev: case SYS_fsync:
		return false;
	case SYS_close:
		return world->open.at((int)a[0]).inode && (inode_of(a[0]).lock == (int)a[0] || inode_of(a[0]).shared.count((int)a[0]));
	case SYS_fcntl:
		return a[1] == F_OFD_SETLK;
	}
	return true;
}

bool by_shared_path(long number, const long *a)
{
	switch (number) {
	case SYS_openat: case SYS_renameat2: return shared(path_at(a[1]));
	case SYS_stat: case SYS_lstat: case SYS_unlink: case SYS_rename: case SYS_link: return shared(path_at(a[0]));
	}
	return false;
}

bool can_fail(long number)
{
	switch (number) {
	case SYS_close: case SYS_munmap: case SYS_getpid: case SYS_getuid: case SYS_rt_sigaction: case SYS_rt_sigprocmask: case SYS_futex:
	case SYS_sched_yield: case SYS_clock_gettime: case SYS_nanosleep: case SYS_kill: case SYS_rt_sigtimedwait: case SYS_uname: case SYS_sched_getaffinity:
		return false;
	}
	return true;
}

// What a call is about.
std::string subject(long number, const long *a)
{
	switch (number) {
	case SYS_openat: return path_at(a[1]);
	case SYS_renameat2: return path_at(a[3]);
	case SYS_rename: case SYS_link: return path_at(a[1]);
	case SYS_stat: case SYS_lstat: case SYS_unlink: case SYS_readlink: case SYS_statfs: return path_at(a[0]);
	}
	if (!takes_fd(number) || !ours(a[0]))
		return "";
	const OpenFile &file = file_of(a[0]);
	for (const auto &[name, values] : world->names)
		if (file.inode && values.back() == file.inode)
			return name;
	return file.path;
}

}  // namespace

bool call(long number, const long *a, long *result)
{
	if (interfere && can_fail(number) && interfere(number, a, subject(number, a), result))
		return true;
	bool by_fd = takes_fd(number) && ours(a[0]);
	if (before_call && (by_fd ? shows(number, a) : by_shared_path(number, a)))
		before_call(number);
	uint64_t seen = (uint64_t)number;
	if (by_fd) {
		// Before the call, as it may close the file: which content is read is told by inode and number of changes.
		OpenFile &file = file_of(a[0]);
		mix(seen, file.inode);
		mix(seen, file.inode ? world->inodes.at(file.inode).changes : 0);
		*result = fd_call(number, a);
	} else if (!path_call(number, a, result) && !other_call(number, a, result)) {
		return false;
	}
	if (number != SYS_mmap)		// where memory lies is nobody's business
		mix(seen, (uint64_t)*result);
	if (after_call)
		after_call(seen);
	return true;
}

void drop_memory()
{
	for (auto &[at, bytes] : mapped)
		munmap(at, bytes);
	mapped.clear();
}

uint64_t World::visible(int without) const
{
	uint64_t hash = boot;
	for (const auto &[name, values] : names)
		if (uint64_t number = values.back()) {
			const Inode &inode = inodes.at(number);
			mix(hash, std::hash<std::string>()(name));
			mix(hash, number);
			mix(hash, inode.changes);
			mix(hash, inode.lock && open.at(inode.lock).process != without ? (uint64_t)inode.lock : 0);
			for (int sharer : inode.shared)
				mix(hash, open.at(sharer).process != without ? (uint64_t)sharer << 32 : 0);
		}
	return hash;
}

uint64_t World::lookup(const std::string &path) const
{
	auto found = names.find(path);
	return found == names.end() ? 0 : found->second.back();
}

const std::string *World::content(const std::string &path) const
{
	uint64_t inode = lookup(path);
	return inode ? &inodes.at(inode).data : nullptr;
}

void World::put(const std::string &path, const std::string &content)
{
	uint64_t number = lookup(path);
	if (!number)
		number = (uint64_t)0xffff << 32 | ++made[0xffff];
	inodes[number].data = inodes[number].synced = content;
	names[path] = { number };
}

void World::touch(const std::string &path, const std::string &content)
{
	World *before = world;
	world = this;
	Inode &inode = inodes.at(lookup(path));
	inode.data.clear();
	write_inode(inode, 0, content);
	world = before;
}

void World::copy(const std::string &from, const std::string &to) { put(to, *content(from)); }

void World::end_process(int ended)
{
	for (auto it = open.begin(); it != open.end();) {
		if (it->second.process == ended) {
			if (it->second.inode)
				unlock(inodes.at(it->second.inode), it->first);
			it = open.erase(it);
		} else {
			++it;
		}
	}
}

std::string World::fingerprint() const
{
	std::string all;
	auto add = [&](const std::string &bytes) {
		vkckpt_digest d = vk::digest_of(bytes.data(), bytes.size());
		all.append(reinterpret_cast<const char *>(&d), sizeof d);
	};
	for (const auto &[name, values] : names)
		if (values.size() > 1 || values[0]) {
			all += name + "=";
			for (uint64_t v : values) {
				all += std::to_string(v) + ",";
				if (v)
					add(inodes.at(v).data), add(inodes.at(v).synced);
			}
		}
	return all;
}

namespace {

bool temporary(const std::string &name)
{
	return name.ends_with(".part") || name.ends_with(".new") || name.ends_with(".reserve");
}

std::string with(const std::string &base, const std::vector<Write> &writes)
{
	std::string data = base;
	for (const Write &w : writes) {
		if (data.size() < w.offset + w.bytes.size())
			data.resize(w.offset + w.bytes.size());
		data.replace(w.offset, w.bytes.size(), w.bytes);
	}
	return data;
}

std::vector<std::string> contents_after(const Inode &inode, bool all_of_them)
{
	const std::vector<Write> &w = inode.unsynced;
	std::set<std::string> forms = { inode.synced, with(inode.synced, w) };
	if (w.empty())
		return { inode.synced };
	std::vector<Write> torn = w;
	torn.back().bytes.resize(torn.back().bytes.size() / 2);
	forms.insert(with(inode.synced, torn));
	for (size_t i = 0; all_of_them && i < w.size(); i++) {
		forms.insert(with(inode.synced, std::vector<Write>(w.begin(), w.begin() + (long)i)));
		forms.insert(with(inode.synced, { w[i] }));
		std::vector<Write> without = w;
		without.erase(without.begin() + (long)i);
		forms.insert(with(inode.synced, without));
	}
	return { forms.begin(), forms.end() };
}

// Names are settled: every combination of contents.
unsigned each_content(World &lost, std::set<std::string> &seen, const std::function<void(const World &)> &f)
{
	std::map<uint64_t, bool> reachable;	// true: by a final name
	for (const auto &[name, values] : lost.names)
		if (values[0])
			reachable[values[0]] |= !temporary(name);
	std::vector<std::pair<uint64_t, std::vector<std::string>>> forms;
	for (const auto &[inode, named] : reachable)
		forms.push_back({ inode, contents_after(lost.inodes.at(inode), named) });
	unsigned count = 0;
	for (std::vector<size_t> pick(forms.size(), 0);;) {
		World made;
		made.folders = lost.folders;
		made.names = lost.names;
		made.boot = lost.boot + 1;
		made.made = lost.made;
		for (size_t i = 0; i < forms.size(); i++) {
			Inode &inode = made.inodes[forms[i].first];
			inode.data = inode.synced = forms[i].second[pick[i]];
			inode.changes = lost.inodes.at(forms[i].first).changes;
		}
		if (seen.insert(made.fingerprint()).second) {
			f(made);
			count++;
		}
		size_t i = 0;
		while (i < pick.size() && ++pick[i] == forms[i].second.size())
			pick[i++] = 0;
		if (i == pick.size())
			return count;
	}
}

}  // namespace

unsigned each_power_loss(const World &before, std::set<std::string> &seen, const std::function<void(const World &)> &f)
{
	std::vector<std::pair<std::string, std::vector<uint64_t>>> open;
	for (const auto &[name, values] : before.names) {
		std::set<uint64_t> once(values.begin(), values.end());
		open.push_back({ name, { once.begin(), once.end() } });
	}
	unsigned count = 0;
	for (std::vector<size_t> pick(open.size(), 0);;) {
		World lost = before;
		for (size_t i = 0; i < open.size(); i++)
			lost.names[open[i].first] = { open[i].second[pick[i]] };
		count += each_content(lost, seen, f);
		size_t i = 0;
		while (i < pick.size() && ++pick[i] == open[i].second.size())
			pick[i++] = 0;
		if (i == pick.size())
			return count;
	}
}

}  // namespace simfs
