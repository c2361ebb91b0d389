// What lies in the run directory was written by other processes: nothing in it is believed before it was checked.
#include "bin/rundir.h"
#include "bin/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace tool {

Fd &Fd::operator=(Fd &&other)
{
	std::swap(fd_, other.fd_);
	return *this;
}

Fd::~Fd()
{
	if (fd_ >= 0)
		close(fd_);
}

std::string Entry::name() const { return field(words.name); }
std::string Entry::program() const { return field(words.program); }
std::string Entry::image() const { return field(words.image_path); }
std::string Entry::label() const { return printable(name()) + " (pid " + std::to_string(words.pid) + ")"; }

// The same rule as the library's.
static std::string default_place()
{
	if (const char *chosen = getenv("VKCKPT_RUNDIR"); chosen && *chosen)
		return chosen;
	if (const char *session = getenv("XDG_RUNTIME_DIR"); session && *session)
		return std::string(session) + "/vkckpt";
	struct stat facts;
	bool there = lstat("/run/vkckpt", &facts) == 0;
	if (there ? S_ISDIR(facts.st_mode) && facts.st_uid == geteuid() && (facts.st_mode & 077) == 0 :
	    access("/run", W_OK) == 0)
		return "/run/vkckpt";
	return "/tmp/vkckpt-" + std::to_string(geteuid());
}

bool RunDirectory::open(std::string *problem)
{
	path_ = default_place();
	std::string shown = printable(path_);
	fd_ = Fd(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
	if (!fd_) {
		if (errno == ENOENT)
			return true;
		if (errno == ENOTDIR || errno == ELOOP)
			*problem = shown + ": the run directory is not a real directory (PERMISSION); remove it or name another"
			    " in VKCKPT_RUNDIR";
		else
			*problem = shown + ": cannot open the run directory: " + strerror(errno) +
			    (errno == EACCES ? " (PERMISSION)" : " (SYSTEM)") +
			    "; name one of your own in VKCKPT_RUNDIR, or run vkckpt as the user of the vkernel";
		return false;
	}
	struct stat facts;
	if (fstat(fd_.get(), &facts) != 0) {
		*problem = shown + ": " + strerror(errno) + " (SYSTEM); name another directory in VKCKPT_RUNDIR";
		return false;
	}
	if (facts.st_uid != geteuid()) {
		*problem = shown + ": the run directory belongs to uid " + std::to_string(facts.st_uid) + ", not to you (uid " +
		    std::to_string(geteuid()) + ") (PERMISSION); run vkckpt as that user";
		return false;
	}
	if (facts.st_mode & 077) {
		*problem = shown + ": others may enter the run directory, so what is in it cannot be trusted (PERMISSION);"
		    " make sure that nobody has tampered with it, then chmod 700 it";
		return false;
	}
	return true;
}

uint64_t process_start_time(pid_t pid, char *state)
{
	char text[1024];
	std::string path = "/proc/" + std::to_string(pid) + "/stat";
	Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
	ssize_t got = fd ? read(fd.get(), text, sizeof text - 1) : -1;
	if (got <= 0)
		return 0;
	text[got] = '\0';
	// The name in field 2 may contain anything, so fields are counted from the last ')'.
	const char *place = strrchr(text, ')');
	if (!place || place[1] != ' ')
		return 0;
	place += 2;
	if (state)
		*state = *place;
	for (int number = 3; number < 22; number++) {
		place = strchr(place, ' ');
		if (!place)
			return 0;
		place++;
	}
	return strtoull(place, nullptr, 10);
}

// NAME.PID -> PID, 0 if it is no such name.
static pid_t pid_of_file(const std::string &file)
{
	size_t dot = file.rfind('.');
	if (dot == std::string::npos || dot == 0)
		return 0;
	const char *problem;
	return static_cast<pid_t>(strtonum(file.c_str() + dot + 1, 1, INT32_MAX, &problem));
}

static bool is_locked(int fd)
{
	struct flock lock{};
	lock.l_type = F_WRLCK;
	lock.l_whence = SEEK_SET;
	return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

// True with *out filled if `file` is the entry of a living vkernel of this user. An entry without lock whose process is gone
// is a leftover and removed; one without lock whose process lives is just being published.
bool RunDirectory::read_entry(const std::string &file, Entry *out) const
{
	pid_t pid = pid_of_file(file);
	if (pid == 0)
		return false;
	Entry entry{file, Fd(openat(fd_.get(), file.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)), {}};
	struct stat facts;
	if (!entry.fd || fstat(entry.fd.get(), &facts) != 0 || !S_ISREG(facts.st_mode) || facts.st_uid != geteuid() ||
	    facts.st_mode & 022)
		return false;
	bool locked = is_locked(entry.fd.get());
	uint64_t start_time = process_start_time(pid);
	bool whole = pread(entry.fd.get(), &entry.words, sizeof entry.words, 0) == sizeof entry.words &&
	    memcmp(entry.words.magic, VKCKPT_RUN_MAGIC, sizeof entry.words.magic) == 0;
	bool gone = start_time == 0 || (whole && entry.words.start_time != start_time);
	if (!locked && gone)
		unlinkat(fd_.get(), file.c_str(), 0);
	if (!locked || gone || !whole || entry.words.pid != static_cast<uint64_t>(pid) ||
	    file != entry.name() + "." + std::to_string(pid))
		return false;
	*out = std::move(entry);
	return true;
}

std::vector<Entry> RunDirectory::entries() const
{
	std::vector<Entry> found;
	DIR *dir = fd_ ? fdopendir(dup(fd_.get())) : nullptr;
	if (!dir)
		return found;
	rewinddir(dir);		// the position is shared with fd_
	std::vector<std::string> files;
	while (const dirent *file = readdir(dir))
		files.push_back(file->d_name);
	closedir(dir);
	for (const std::string &file : files)
		if (Entry entry; read_entry(file, &entry))
			found.push_back(std::move(entry));
	std::sort(found.begin(), found.end(), [](const Entry &a, const Entry &b) {
		return a.name() != b.name() ? a.name() < b.name() : a.words.pid < b.words.pid;
	});
	return found;
}

std::vector<Entry> RunDirectory::find(const std::string &word) const
{
	std::vector<Entry> found;
	for (Entry &entry : entries())
		if (std::to_string(entry.words.pid) == word || entry.name() == word)
			found.push_back(std::move(entry));
	return found;
}

const char *phase_name(uint32_t phase)
{
	switch (phase) {
	case VKCKPT_PHASE_RUNNING: return "running";
	case VKCKPT_PHASE_REQUESTED: return "requested";
	case VKCKPT_PHASE_NOTICE: return "telling guests";
	case VKCKPT_PHASE_QUIESCE: return "quiescing";
	case VKCKPT_PHASE_WALK: return "walking";
	case VKCKPT_PHASE_WRITE: return "writing";
	case VKCKPT_PHASE_COMMIT: return "committing";
	case VKCKPT_PHASE_EXITING: return "suspended";
	}
	return "unknown";
}

}  // namespace tool
