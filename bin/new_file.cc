// See new_file.h.
#include "bin/new_file.h"
#include "bin/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tool {

static bool lock(int fd)
{
	struct flock all = {};
	all.l_type = F_WRLCK;
	return fcntl(fd, F_OFD_SETLK, &all) == 0;
}

NewFile::~NewFile()
{
	if (fd_ >= 0 && !kept_)
		unlink(part_.c_str());
	if (fd_ >= 0)
		close(fd_);
}

static const char *reason_of(int code)
{
	switch (code) {
	case EAGAIN: return "IMAGE_IN_USE";
	case EACCES: case EPERM: case EROFS: return "PERMISSION";
	case ENOENT: case ENOTDIR: return "NOT_FOUND";
	case ENOSPC: case EDQUOT: case EFBIG: return "NO_SPACE";
	case EMFILE: case ENFILE: return "NO_DESCRIPTOR";
	case EIO: return "IO_ERROR";
	default: return "SYSTEM";
	}
}

static std::string why(int code)
{
	return std::string(code == ELOOP ? "a symbolic link, which is not followed" : code == EAGAIN ? "somebody else is writing it" :
	    strerror(code)) + " (" + reason_of(code) + ")";
}

// An unlocked one is left over from a process that died. What that was making may hold the lock a little longer (lib/replace.cc).
bool NewFile::remove_leftover()
{
	int fd = ::open(part_.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT;
	bool locked = lock(fd);
	for (int i = 1; !locked && errno == EAGAIN && i < 8; i++) {
		usleep(60'000);
		locked = lock(fd);
	}
	bool removed = locked && unlink(part_.c_str()) == 0;
	int code = errno;
	close(fd);
	errno = code;
	return removed;
}

bool NewFile::open(std::string *problem, const char *remedy)
{
	struct stat facts;
	if (path_.back() == '/' || (stat(path_.c_str(), &facts) == 0 && S_ISDIR(facts.st_mode))) {
		*problem = printable(path_) + ": a folder (BAD_ARGUMENT); name the file in it that is to be made";
		return false;
	}
	for (int attempt = 0; attempt < 3; attempt++) {
		fd_ = ::open(part_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd_ >= 0 && lock(fd_))
			return true;
		if (fd_ >= 0 || errno != EEXIST || !remove_leftover())
			break;
	}
	*problem = printable(part_) + ": " + why(errno) + "; " + remedy;
	return false;
}

// Whoever wants to give another file this name makes the part file first, which is ours.
bool NewFile::remove_instead(int fd, std::string *problem)
{
	struct stat opened, named;
	if (fstat(fd, &opened) != 0 || stat(path_.c_str(), &named) != 0) {
		*problem = printable(path_) + ": cannot be removed: " + strerror(errno) + " (" + reason_of(errno) + ")";
		return false;
	}
	if (opened.st_dev != named.st_dev || opened.st_ino != named.st_ino) {
		*problem = printable(path_) + ": kept, because it is another file by now (IMAGE_IN_USE); look at it with `vkckpt info'";
		return false;
	}
	if (unlink(path_.c_str()) == 0)
		return true;
	*problem = printable(path_) + ": cannot be removed: " + strerror(errno) + " (PERMISSION)";
	return false;
}

bool NewFile::keep(bool replace, std::string *problem)
{
	int result = fsync(fd_);
	if (result == 0)
		result = replace ? rename(part_.c_str(), path_.c_str()) :
		    renameat2(AT_FDCWD, part_.c_str(), AT_FDCWD, path_.c_str(), RENAME_NOREPLACE);
	if (result != 0) {
		*problem = printable(path_) + ": " + why(errno) + "; nothing was replaced";
		return false;
	}
	kept_ = true;
	const std::string folder = folder_of(path_);
	int dir = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool synced = dir >= 0 && fsync(dir) == 0;
	if (dir >= 0)
		close(dir);
	if (!synced)
		*problem = printable(folder) + ": " + why(errno) + "; the image is there but its name may not survive a power loss";
	return synced;
}

}  // namespace tool
