// Exchanging a finished file with the one it replaces. Every context that may block.
#include "lib/replace.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/sys.h"
#include "lib/text.h"

namespace vk {
namespace {
constexpr unsigned kNoReplace = 1, kExchange = 2;	// RENAME_NOREPLACE, RENAME_EXCHANGE of linux/fs.h
constexpr int kLockAttempts = 8;

// 0: a leftover is gone; -EBUSY: it belongs to a capture that is running. That of a vkernel that was killed may be locked yet by a process
// that it was making and that has a copy of its descriptors: nothing tells who holds a lock, so it is waited for a little in any case.
long remove_leftover(const char *part)
{
	long fd = sys_open(part, O_RDWR | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	long r = lock_file((int)fd);
	for (int i = 1; r == -EAGAIN && i < kLockAttempts && sys_nanosleep(kDeadHolderWait) == 0; i++)
		r = lock_file((int)fd);
	if (r == 0 && names_file(part, (int)fd))
		r = sys_unlink(part);
	sys_close((int)fd);
	return r == -EAGAIN ? -EBUSY : r == -ENOENT ? 0 : r;
}

}  // namespace

Status sync_folder(const char *path)
{
	char folder[VKCKPT_MAX_PATH + 32];
	size_t end = 0;
	for (size_t i = 0; path[i]; i++)
		if (path[i] == '/')
			end = i;
	if (end)
		Text(folder, sizeof folder).add(path, end);
	else
		Text(folder, sizeof folder).add(*path == '/' ? "/" : ".");
	long fd = sys_open(folder, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return fail_host((int)-fd, "commit: folder", folder);
	long r = sys_fsync((int)fd);
	sys_close((int)fd);
	if (r < 0 && r != -EINVAL)	// a file system without it
		return fail_host((int)-r, "commit: fsync of the folder", folder);
	return success();
}

long lock_file(int fd, Lone lone)
{
	struct flock lock;
	memset(&lock, 0, sizeof lock);
	lock.l_type = lone == Lone::yes ? F_WRLCK : F_RDLCK;
	long r = sys_fcntl(fd, F_OFD_SETLK, (long)&lock);
	return r == -EACCES ? -EAGAIN : r;
}

bool names_file(const char *path, int fd)
{
	struct stat by_name, by_fd;
	return sys_lstat(path, &by_name) == 0 && sys_fstat(fd, &by_fd) == 0 && by_name.st_dev == by_fd.st_dev &&
	    by_name.st_ino == by_fd.st_ino;
}

// Another vkernel may take the name between our steps, or take our file, not locked yet, for a leftover: a few tries.
Result<int> part_create(const char *part, const char *where)
{
	for (int attempt = 0; attempt < 8; attempt++) {
		long fd = sys_open(part, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
		if (fd >= 0) {
			long r = lock_file((int)fd);
			if (r == 0 && names_file(part, (int)fd))
				return (int)fd;
			if (r < 0 && r != -EAGAIN)
				sys_unlink(part);
			sys_close((int)fd);
			if (r < 0 && r != -EAGAIN)
				return fail_host((int)-r, where, part);
			continue;
		}
		if (fd != -EEXIST)
			return fail_host((int)-fd, where, part);
		long r = remove_leftover(part);
		if (r == -EBUSY)
			return fail(EBUSY, VKCKPT_R_IMAGE_IN_USE, where, part);
		if (r < 0)
			return fail_host((int)-r, where, part);
	}
	return fail(EBUSY, VKCKPT_R_IMAGE_IN_USE, where, part);
}

// A file system without flags: the lock on `temporary` keeps other captures away, nobody else makes files of this name.
long Replacement::move(const char *temporary, const char *final)
{
	struct stat st;
	long r = sys_renameat2(AT_FDCWD, temporary, AT_FDCWD, final, kNoReplace);
	if (r != -EINVAL && r != -ENOSYS)
		return r;
	return sys_lstat(final, &st) == 0 ? -EEXIST : sys_rename(temporary, final);
}

Status Replacement::in(const char *temporary, const char *final, Existing existing)
{
	temporary_ = temporary;
	final_ = final;
	if (existing == Existing::keep) {
		if (long r = move(temporary, final); r < 0)
			return fail_host((int)-r, "commit: rename", final);
		state_ = State::moved;
		return sync_folder(final);
	}
	long r = sys_renameat2(AT_FDCWD, temporary, AT_FDCWD, final, kExchange);
	if (r == 0) {
		state_ = State::exchanged;
	} else if (r == -ENOENT && (r = sys_renameat2(AT_FDCWD, temporary, AT_FDCWD, final, kNoReplace)) == 0) {
		state_ = State::moved;
	} else if ((r == -EINVAL || r == -ENOSYS) && (r = sys_rename(temporary, final)) == 0) {
		state_ = State::overwritten;
	}
	if (r < 0)
		return fail_host((int)-r, "commit: rename", final);
	return sync_folder(final);	// if it fails the caller takes the step back
}

bool Replacement::back()
{
	State was = state_;
	state_ = State::none;
	long r = 0;
	if (was == State::exchanged)
		r = sys_renameat2(AT_FDCWD, temporary_, AT_FDCWD, final_, kExchange);
	if (was == State::moved || was == State::overwritten)
		r = sys_rename(final_, temporary_);
	return r == 0 && was != State::overwritten;
}

void Replacement::finish()
{
	if (state_ == State::exchanged)
		sys_unlink(temporary_);
	state_ = State::none;
}

}  // namespace vk
