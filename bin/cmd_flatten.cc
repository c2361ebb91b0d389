// flatten: merges an incremental image with its chain into a full one.
#include "bin/command.h"
#include "bin/image_file.h"
#include "bin/progress.h"
#include "bin/text.h"

#include <vkckpt/image.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tool {
namespace {

void on_progress(void *argument, uint64_t bytes) { static_cast<Progress *>(argument)->show("merging", bytes, 0); }

// The library's own message, or success.
bool merge(const Arguments &arguments, int fd, Progress &progress, std::string *problem)
{
	vkckpt_error error{};
	int result = vkckpt_image_flatten(arguments.operands[0], arguments.parent, nullptr, fd, nullptr, on_progress, &progress, &error);
	progress.clear();
	if (result < 0)
		*problem = sentence_of(arguments.operands[0], error);
	return result == 0;
}

// A new file under a name of its own until it is whole; removed again unless it was kept.
class Part {
public:
	explicit Part(const std::string &final) : final_(final), part_(final + ".part") {}
	~Part()
	{
		if (fd_ >= 0 && !kept_)
			unlink(part_.c_str());
		if (fd_ >= 0)
			close(fd_);
	}
	int fd() const { return fd_; }
	const std::string &path() const { return part_; }

	bool open(std::string *problem)
	{
		for (int attempt = 0; attempt < 3; attempt++) {
			fd_ = ::open(part_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
			if (fd_ >= 0 && lock(fd_))
				return true;
			if (fd_ >= 0 || errno != EEXIST || !remove_leftover())
				break;
		}
		*problem = printable(part_) + ": " + strerror(errno) + " (" + (errno == EAGAIN ? "IMAGE_IN_USE" : "PERMISSION") +
		    "); name another place with -o";
		return false;
	}
	// Takes the final name: replacing the image that it was made of, or where there is nothing.
	bool keep(bool replace, std::string *problem)
	{
		int result = fsync(fd_);
		if (result == 0)
			result = replace ? rename(part_.c_str(), final_.c_str()) :
			    renameat2(AT_FDCWD, part_.c_str(), AT_FDCWD, final_.c_str(), RENAME_NOREPLACE);
		if (result != 0) {
			*problem = printable(final_) + ": " + strerror(errno) + " (IO_ERROR); nothing was replaced";
			return false;
		}
		kept_ = true;
		size_t slash = final_.rfind('/');
		const std::string folder = slash == final_.npos ? "." : slash ? final_.substr(0, slash) : "/";
		int dir = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		bool synced = dir >= 0 && fsync(dir) == 0;
		if (dir >= 0)
			close(dir);
		if (!synced)
			*problem = printable(folder) + ": " + strerror(errno) + " (IO_ERROR); the image is there but its name may not survive a power loss";
		return synced;
	}

private:
	static bool lock(int fd)
	{
		struct flock all = {};
		all.l_type = F_WRLCK;
		return fcntl(fd, F_OFD_SETLK, &all) == 0;
	}
	// An unlocked one is left over from a process that died.
	bool remove_leftover()
	{
		int fd = ::open(part_.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0)
			return errno == ENOENT;
		bool removed = lock(fd) && unlink(part_.c_str()) == 0;
		int code = errno;
		close(fd);
		errno = code;
		return removed;
	}
	std::string final_, part_;
	int fd_ = -1;
	bool kept_ = false;
};

int to_stdout(const Arguments &arguments)
{
	if (isatty(STDOUT_FILENO))
		return refuse("standard output is a terminal (BAD_ARGUMENT); give -o - a pipe or a file");
	Progress progress(printable(arguments.operands[0]));
	std::string problem;
	return merge(arguments, STDOUT_FILENO, progress, &problem) ? kYes : refuse("%s", problem.c_str());
}

// A file that lies there may be one that other images need, so it is never replaced; but for the image itself, whose content and id the new
// one has.
int to_file(const Arguments &arguments, const std::string &output)
{
	struct stat there{}, source{};
	bool exists = lstat(output.c_str(), &there) == 0;
	bool itself = exists && stat(arguments.operands[0], &source) == 0 && there.st_dev == source.st_dev && there.st_ino == source.st_ino;
	if (exists && !itself)
		return refuse("%s: is there already (BAD_ARGUMENT); name another file with -o, or the image itself", printable(output).c_str());
	Part part(output);
	std::string problem;
	if (!part.open(&problem))
		return refuse("%s", problem.c_str());
	Progress progress(printable(arguments.operands[0]));
	if (!merge(arguments, part.fd(), progress, &problem))
		return refuse("%s", problem.c_str());
	vkckpt_error error{};
	if (vkckpt_image_verify(part.path().c_str(), -1, nullptr, nullptr, &error) < 0)
		return refuse("%s; nothing was replaced", sentence_of(part.path(), error).c_str());
	if (!part.keep(itself, &problem))
		return refuse("%s", problem.c_str());
	struct stat made{};
	fstat(part.fd(), &made);
	if (!arguments.quiet)
		printf("%s: a full image, it needs no other (%s)\n", printable(output).c_str(), human_size(static_cast<uint64_t>(made.st_size)).c_str());
	return finish_output(kYes);
}

int run_flatten(const Command &command, const Arguments &arguments)
{
	if (arguments.fields.empty())
		return misuse(command, "flatten: -o is missing: where the full image goes");
	return arguments.fields == "-" ? to_stdout(arguments) : to_file(arguments, arguments.fields);
}

}  // namespace

const Command kFlatten = {
	"flatten", "[-q] [--parent FILE] -o OUT FILE", "merges an incremental image with all that it needs into a full one",
	"The new image has the content and the id of FILE, so it can take its place, also for images that are built on it,\n"
	"and thaws on the same disks. OUT may be FILE itself; another file is never replaced.\n"
	"  -o, --output=OUT    - is standard output\n"
	"  -P, --parent=FILE   where the parent is, if it does not lie where the image says\n"
	"  -q, --quiet         say nothing if it is done\n",
	"qo:P:", 1, 1, run_flatten,
};

}  // namespace tool
