// See host_files.h.
#include "host_files.h"

#include <cctype>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include <libutil.h>

#include "boot.h"
#include "host.h"

namespace minivk {
namespace {

enum class Use { kDisk, kWritten, kImage, kRead };
struct Named {
	const char *option;
	std::string path;
	Use use;
};

bool same(const struct stat &a, const struct stat &b) { return a.st_dev == b.st_dev && a.st_ino == b.st_ino; }

// One that is not there yet is known by its folder and its last name.
bool one_file(const std::string &a, const std::string &b)
{
	struct stat of_a, of_b;
	const bool a_there = stat(a.c_str(), &of_a) == 0, b_there = stat(b.c_str(), &of_b) == 0;
	if (a_there && b_there)
		return same(of_a, of_b) && (S_ISREG(of_a.st_mode) || S_ISBLK(of_a.st_mode));
	return !a_there && !b_there && a.substr(a.rfind('/') + 1) == b.substr(b.rfind('/') + 1) &&
	    stat(folder_of(a).c_str(), &of_a) == 0 && stat(folder_of(b).c_str(), &of_b) == 0 && same(of_a, of_b);
}

std::vector<Named> files_of(const Options &o)
{
	std::vector<Named> files;
	auto add = [&](const char *option, const char *path, Use use) {
		if (path && *path && !is_descriptor(path))
			files.push_back({option, path, use});
	};
	add("-r", o.disk, Use::kDisk);
	for (const char *setting : o.overrides)
		if (strncmp(setting, "disk0.path=", 11) == 0)
			add("-o disk0.path=", setting + 11, Use::kDisk);
	add("-i", o.memory_image, Use::kWritten);
	add("-p", o.pidfile, Use::kWritten);
	if (strncmp(o.console, "log:", 4) == 0)
		add("--console log:", o.console + 4, Use::kWritten);
	add("--image", o.image, Use::kImage);
	add("--root", o.root, Use::kRead);
	add("--thaw", o.thaw, Use::kRead);
	add("--parent", o.parent, Use::kRead);
	return files;
}

// An image may replace what was only read before: that of the thaw, or its parent. Of disks the library sees to it, beside them too.
bool may_be_one(Use a, Use b) { return (b == Use::kRead && a >= Use::kImage) || (a == Use::kDisk && b == Use::kImage); }

// Empty, or the number that an earlier run has left: what lies there otherwise is somebody's file.
bool holds_a_pid(int fd)
{
	char text[32];
	const ssize_t n = pread(fd, text, sizeof text, 0);
	if (n < 0 || n == ssize_t(sizeof text))
		return false;
	for (ssize_t i = 0; i < n; i++)
		if (!isdigit(static_cast<unsigned char>(text[i])) && !(i > 0 && i == n - 1 && text[i] == '\n'))
			return false;
	return true;
}

// What others laid in its place is not followed: pidfile_open would write over it. A file of our own nobody else can exchange in a folder like /tmp.
void check_pidfile(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
	if (fd < 0)
		fail("pidfile %s: %s; name another with -p", path, errno == ELOOP ? "it is a link" : strerror(errno));
	if (!is_own_file(fd))
		fail("pidfile %s: not a regular file of this user with one name; name another with -p", path);
	if (!holds_a_pid(fd))
		fail("pidfile %s: holds something else than a process id; name another with -p, or remove it", path);
	close(fd);
}

pidfh *pidfile = nullptr;
const char *pidfile_path = nullptr;

}  // namespace

void check_files(const Options &o)
{
	const std::vector<Named> files = files_of(o);
	for (const Named &a : files)
		for (const Named &b : files)
			if (&a < &b && !may_be_one(a.use, b.use) && one_file(a.path, b.path))
				fail("%s and %s name one file, %s: each would destroy what the other keeps there; name two", a.option, b.option,
				    b.path.c_str());
}

void write_pidfile(const char *path)
{
	pid_t other = 0;
	if (!path)
		return;
	check_pidfile(path);
	pidfile = pidfile_open(path, 0600, &other);
	if (!pidfile && errno == EEXIST)
		fail("pidfile %s: in use by process %d; name another with -p", path, int(other));
	if (!pidfile)
		fail("pidfile %s: %s; name a file that can be written", path, strerror(errno));
	pidfile_write(pidfile);
	pidfile_path = path;
}

void remove_pidfile()
{
	struct stat named, held;
	if (!pidfile)
		return;
	if (lstat(pidfile_path, &named) == 0 && fstat(pidfile_fileno(pidfile), &held) == 0 && same(named, held))
		pidfile_remove(pidfile);
	else
		pidfile_close(pidfile);
	pidfile = nullptr;
}

}  // namespace minivk
