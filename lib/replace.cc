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
constexpr long kOneWay = 1;

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

// Where names cannot be exchanged the old file gets one more name, is overwritten under its first, and takes the temporary one. -EOPNOTSUPP: a
// file has one name only here. kOneWay: the new file has the name, and the old one is not under the temporary one.
long Replacement::exchange(const char *temporary, const char *final)
{
	long r = sys_renameat2(AT_FDCWD, temporary, AT_FDCWD, final, kExchange);
	if (r != -EINVAL && r != -ENOSYS)
		return r;
	char saved[VKCKPT_MAX_PATH + 48];
	Text(saved, sizeof saved).add(temporary).add("~");
	r = sys_link(final, saved);
	if (r == -EEXIST && sys_unlink(saved) == 0)	// of a process that died here; who calls holds the lock
		r = sys_link(final, saved);
	if (r < 0)
		return r == -ENOENT ? r : -EOPNOTSUPP;
	if ((r = sys_rename(temporary, final)) < 0) {
		sys_unlink(saved);
		return r;
	}
	if ((r = sys_rename(saved, temporary)) == 0)
		return 0;
	return sys_rename(saved, final) == 0 ? r : kOneWay;
}

Status Replacement::in(const char *temporary, const char *final, Existing existing)
{
	temporary_ = temporary;
	final_ = final;
	long r = existing == Existing::keep ? -ENOENT : exchange(temporary, final);
	if (r == 0)
		state_ = State::exchanged;
	else if (r == -ENOENT && (r = move(temporary, final)) == 0)
		state_ = State::moved;
	else if (r == kOneWay || (r == -EOPNOTSUPP && (r = sys_rename(temporary, final)) == 0))
		state_ = State::overwritten;
	if (r < 0)
		return fail_host((int)-r, "commit: rename", final);
	return sync_folder(final);	// if it fails the caller takes the step back
}

// Renamed over the new file, the old one is back at any moment.
bool Replacement::back()
{
	State was = state_;
	state_ = State::none;
	long r = 0;
	if (was == State::exchanged && (r = sys_rename(temporary_, final_)) < 0)
		r = exchange(temporary_, final_);
	if (was == State::moved && (r = sys_rename(final_, temporary_)) < 0)
		r = sys_unlink(final_);
	if (was == State::overwritten || r < 0)
		return false;
	if (was != State::none)
		(void)sync_folder(final_).ok();		// that it was there is not to come back either
	return true;
}

void Replacement::finish()
{
	if (state_ == State::exchanged)
		sys_unlink(temporary_);
	state_ = State::none;
}

}  // namespace vk
