// Host side: makes the archive of the root file system, from a file, a folder, or the host's busybox.
#include "host_root.h"

#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <spawn.h>
#include <string>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

namespace minivk {

namespace {

struct Writer {
	std::string out;
	uint32_t next_ino = 1;
	char *message;
	size_t message_bytes;

	bool fail(const char *format, ...) __attribute__((format(printf, 2, 3)))
	{
		va_list args;
		va_start(args, format);
		vsnprintf(message, message_bytes, format, args);
		va_end(args);
		return false;
	}
	void pad() { out.resize((out.size() + 3) & ~size_t(3)); }
	void entry(const std::string &name, const struct stat &st, const std::string &data)
	{
		char head[111];
		snprintf(head, sizeof head, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", unsigned(st.st_ino),
		    st.st_mode, st.st_uid, st.st_gid, unsigned(st.st_nlink), unsigned(st.st_mtime), unsigned(data.size()),
		    major(st.st_dev), minor(st.st_dev), major(st.st_rdev), minor(st.st_rdev), unsigned(name.size() + 1), 0u);
		out += head;
		out += name;
		out += '\0';
		pad();
		out += data;
		pad();
	}
	void simple(const std::string &name, mode_t mode, const std::string &data = {})
	{
		struct stat st = {};
		st.st_ino = next_ino++;
		st.st_mode = mode;
		st.st_nlink = 1;
		st.st_mtime = time(nullptr);
		entry(name, st, data);
	}
};

bool read_all(int fd, std::string *out)
{
	char piece[65536];
	for (ssize_t n; (n = read(fd, piece, sizeof piece)) != 0;) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		out->append(piece, size_t(n));
	}
	return true;
}

bool read_file(Writer &w, const std::string &path, std::string *out)
{
	const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return w.fail("root: %s: %s", path.c_str(), strerror(errno));
	const bool good = read_all(fd, out);
	if (!good)
		w.fail("root: %s: %s", path.c_str(), strerror(errno));
	close(fd);
	return good;
}

// --- a folder of the host

bool add_folder(Writer &w, const std::string &path, const std::string &name);

bool add_path(Writer &w, const std::string &path, const std::string &name)
{
	struct stat st;
	std::string data;
	if (lstat(path.c_str(), &st) != 0)
		return w.fail("root: %s: %s", path.c_str(), strerror(errno));
	if (S_ISSOCK(st.st_mode) || S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
		return true;	// the guest has devices of its own
	if (S_ISREG(st.st_mode) && st.st_size > 0xffffffff)
		return w.fail("root: %s: larger than 4 GiB, which a cpio archive cannot hold", path.c_str());
	if (S_ISREG(st.st_mode) && !read_file(w, path, &data))
		return false;
	if (S_ISLNK(st.st_mode)) {
		char target[4096];
		const ssize_t n = readlink(path.c_str(), target, sizeof target);
		if (n < 0)
			return w.fail("root: %s: %s", path.c_str(), strerror(errno));
		data.assign(target, size_t(n));
	}
	// Every name of a hard link carries the data: the reader keeps one copy.
	w.entry(name, st, data);
	return !S_ISDIR(st.st_mode) || add_folder(w, path, name);
}

bool add_folder(Writer &w, const std::string &path, const std::string &name)
{
	DIR *dir = opendir(path.c_str());
	if (!dir)
		return w.fail("root: %s: %s", path.c_str(), strerror(errno));
	bool good = true;
	while (const dirent *d = good ? readdir(dir) : nullptr) {
		const std::string child = d->d_name;
		if (child != "." && child != "..")
			good = add_path(w, path + "/" + child, name == "." ? child : name + "/" + child);
	}
	closedir(dir);
	return good;
}

// --- the default tree

// A program without a loader: an ELF file that names no interpreter.
bool is_static(const std::string &bytes)
{
	Elf64_Ehdr head;
	if (bytes.size() < sizeof head)
		return false;
	memcpy(&head, bytes.data(), sizeof head);
	if (memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_machine != EM_X86_64)
		return false;
	for (unsigned i = 0; i < head.e_phnum; ++i) {
		Elf64_Phdr p;
		if (head.e_phoff + (i + 1) * sizeof p > bytes.size())
			return false;
		memcpy(&p, bytes.data() + head.e_phoff + i * sizeof p, sizeof p);
		if (p.p_type == PT_INTERP)
			return false;
	}
	return true;
}

bool list_applets(Writer &w, const char *busybox, std::string *list)
{
	int fd[2];
	if (pipe2(fd, O_CLOEXEC) != 0)
		return w.fail("root: pipe: %s", strerror(errno));
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fd[1], 1);
	const char *argv[] = {busybox, "--list-full", nullptr};
	pid_t pid;
	const int error = posix_spawn(&pid, busybox, &actions, nullptr, const_cast<char **>(argv), environ);
	posix_spawn_file_actions_destroy(&actions);
	close(fd[1]);
	bool good = error == 0 && read_all(fd[0], list);
	close(fd[0]);
	int status = 0;
	if (error == 0)
		good = waitpid(pid, &status, 0) == pid && status == 0 && good;
	if (!good || list->empty())
		return w.fail("root: %s --list-full: %s; it must run to name its applets (or name a root with --root)", busybox,
		    error ? strerror(error) : "it failed");
	return true;
}

const char *const kFolders[] = {"bin", "sbin", "usr", "usr/bin", "usr/sbin", "etc", "root", "var", "var/log", "var/run", "home", "mnt",
    "dev", "proc"};
const struct { const char *name, *text; } kFiles[] = {
	{"etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n"},
	{"etc/group", "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n"},
	{"etc/shells", "/bin/sh\n"},
	{"etc/hostname", "minivk\n"},
	{"etc/hosts", "127.0.0.1 localhost minivk\n"},
	{"etc/profile", "export PATH=/bin:/sbin:/usr/bin:/usr/sbin\nexport PS1='\\u@\\h:\\w\\$ '\n"},
	{"etc/issue", "minivk\n"},
};

bool add_busybox(Writer &w)
{
	std::string program, list;
	const char *found = nullptr;
	for (const char *path : {"/bin/busybox", "/usr/bin/busybox", "/usr/local/bin/busybox"}) {
		program.clear();
		if (access(path, X_OK) == 0 && read_file(w, path, &program) && is_static(program)) {
			found = path;
			break;
		}
	}
	if (!found)
		return w.fail("root: this host has no static busybox; install the package busybox-static, or name a root with --root");
	if (!list_applets(w, found, &list))
		return false;
	for (const char *f : kFolders)
		w.simple(f, S_IFDIR | 0755);
	w.simple("tmp", S_IFDIR | 01777);
	w.simple("bin/busybox", S_IFREG | 0755, program);
	for (const auto &f : kFiles)
		w.simple(f.name, S_IFREG | 0644, f.text);
	for (size_t at = 0; at < list.size();) {
		const size_t end = std::min(list.find('\n', at), list.size());
		const std::string applet = list.substr(at, end - at);
		at = end + 1;
		if (!applet.empty() && applet != "bin/busybox" && applet.find('/') != std::string::npos)
			w.simple(applet, S_IFLNK | 0777, "/bin/busybox");
	}
	return true;
}

}  // namespace

bool host_root_load(const char *root, HostBuffer *out, char *message, size_t message_bytes)
{
	Writer w;
	w.message = message;
	w.message_bytes = message_bytes;
	struct stat st;
	if (root && stat(root, &st) != 0)
		return w.fail("root: %s: %s", root, strerror(errno));
	const bool archive = root && !S_ISDIR(st.st_mode);
	const bool good = !root ? add_busybox(w) : archive ? read_file(w, root, &w.out) : add_path(w, root, ".");
	if (!good)
		return false;
	if (!archive)
		w.simple("TRAILER!!!", 0);
	out->size = w.out.size();
	out->bytes = static_cast<char *>(malloc(w.out.size() + 1));
	if (!out->bytes)
		return w.fail("root: no memory for %zu bytes of archive", w.out.size());
	memcpy(out->bytes, w.out.data(), w.out.size());
	return true;
}

}  // namespace minivk
