// The file DISK.vkckpt. It is never written in place: a block torn by a power cut would leave a disk that nobody may use. A complete
// new file is made beside it, locked, synced, and renamed over it. The lock is on the inode, so whoever gets a lock looks whether the
// name still leads to what he locked, and begins again if not; the next holder's file is locked before it gets the name, so there is no
// moment at which the name leads to an unlocked file of a running vkernel.
#include "lib/sidecar.h"

#include <errno.h>
#include <string.h>
#include <linux/fs.h>
#include <sys/stat.h>

#include "lib/digest.h"
#include "lib/host.h"
#include "lib/replace.h"
#include "lib/sys.h"
#include "lib/text.h"

namespace vk {
namespace {

constexpr const char *kWhere = "disk: sidecar";
constexpr int kAttempts = 16;

struct vkckpt_digest digest_of_sidecar(const struct vkckpt_f_sidecar &s)
{
	return digest_of(&s, offsetof(struct vkckpt_f_sidecar, digest));
}

uint64_t holder_of(int fd)
{
	struct vkckpt_f_sidecar s;
	return pread_all(fd, &s, sizeof s, 0) == (long)sizeof s && sidecar_valid(s) ? s.holder_pid : 0;
}

// The holder is dead, and yet the lock is held: a process that it was making has a copy of its descriptors until it is made, or has
// not ended yet. That passes, so it is waited for a little.
bool passes(uint64_t holder)
{
	if (holder == 0 || sys_kill((long)holder, 0) != -ESRCH)
		return false;
	sys_nanosleep(kDeadHolderWait);
	return true;
}

Status read_locked(const char *path, SidecarFile *out)
{
	struct stat st;
	if (long r = sys_fstat(out->fd, &st); r < 0)
		return fail_host((int)-r, kWhere, path);
	if (!S_ISREG(st.st_mode))
		return fail(EINVAL, VKCKPT_R_BAD_ARGUMENT, "disk: sidecar: not a regular file", path);
	long got = pread_all(out->fd, &out->content, sizeof out->content, 0);
	if (got < 0)
		return fail_host((int)-got, kWhere, path);
	if (got == 0) {		// just made, or its maker died before it wrote: never used
		memset(&out->content, 0, sizeof out->content);
		memcpy(out->content.magic, VKCKPT_SIDECAR_MAGIC, sizeof out->content.magic);
		out->content.version = 1;
		return uuid_make(&out->content.disk_id);
	}
	if (got != (long)sizeof out->content || st.st_size != got || !sidecar_valid(out->content)) {
		out->damaged = true;
		return fail(EBADMSG, VKCKPT_R_SIDECAR_DAMAGED, kWhere, path);
	}
	return success();
}

}  // namespace

bool sidecar_valid(const struct vkckpt_f_sidecar &s)
{
	return !memcmp(s.magic, VKCKPT_SIDECAR_MAGIC, sizeof s.magic) && s.version == 1 && s.state <= VKCKPT_DISK_SUSPENDED &&
	    text_length(s.image_path, sizeof s.image_path) < sizeof s.image_path && digest_equal(digest_of_sidecar(s), s.digest);
}

void sidecar_disk_path(const char *path, int disk_fd, char *out, size_t room)
{
	long opened = -1;
	if (disk_fd < 0)
		disk_fd = (int)(opened = sys_open(path, O_PATH));	// a device that is only asked for its name notices nothing
	char link[64];
	Text(link, sizeof link).add("/proc/self/fd/").decimal((uint64_t)(disk_fd < 0 ? 0 : disk_fd));
	long n = disk_fd < 0 ? -1 : sys_readlink(link, out, room - 1);
	if (n > 0 && *out == '/' && n < (long)room - 1)
		out[n] = 0;
	else
		text_copy(out, room, path);
	if (opened >= 0)
		sys_close((int)opened);
}

void sidecar_path(const char *disk_path, char *out, size_t room)
{
	Text(out, room).add(disk_path).add(VKCKPT_SIDECAR_SUFFIX);
}

Status sidecar_lock(const char *disk_path, Missing missing, SidecarFile *out, Lone lone)
{
	char path[VKCKPT_MAX_PATH + 32];
	sidecar_path(disk_path, path, sizeof path);
	for (int attempt = 0; attempt < kAttempts; attempt++) {
		int access = lone == Lone::yes ? O_RDWR : O_RDONLY;
		long fd = sys_open(path, access | O_NOFOLLOW | O_NONBLOCK | (missing == Missing::create ? O_CREAT : 0), 0600);
		if (fd == -ENOENT && missing == Missing::refuse)
			return fail(ENOENT, VKCKPT_R_DISK_MISSING, kWhere, path);
		if (fd < 0)
			return fail_host((int)-fd, kWhere, path);
		out->fd = (int)fd;
		long r = lock_file(out->fd, lone);
		if (r == 0 && names_file(path, out->fd)) {
			Status s = read_locked(path, out);
			if (!s.ok() && !out->damaged) {
				sys_close(out->fd);
				out->fd = -1;
			}
			return s;
		}
		uint64_t holder = r == -EAGAIN ? holder_of(out->fd) : 0;
		bool still = names_file(path, out->fd);
		sys_close(out->fd);
		out->fd = -1;
		if (r == -EAGAIN && still && !passes(holder))
			return fail(EBUSY, VKCKPT_R_DISK_IN_USE, kWhere, path, holder);
		if (r < 0 && r != -EAGAIN)
			return fail_host((int)-r, kWhere, path);
	}
	return fail(EBUSY, VKCKPT_R_DISK_IN_USE, kWhere, path);
}

Status sidecar_write(const char *path, struct vkckpt_f_sidecar &content, int *out)
{
	content.digest = digest_of_sidecar(content);
	long removed = sys_unlink(path);	// left over from a process that died; the caller holds the disk's lock
	long fd = sys_open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (fd < 0)	// what stands there and cannot be removed is why
		return fail_host((int)(fd == -EEXIST && removed < 0 ? -removed : -fd), kWhere, path);
	long r = lock_file((int)fd);
	if (r == 0)
		r = pwrite_all((int)fd, &content, sizeof content, 0);
	if (r >= 0)
		r = sys_fsync((int)fd);
	if (r < 0) {
		sys_unlink(path);
		sys_close((int)fd);
		return fail_host((int)-r, kWhere, path);
	}
	*out = (int)fd;
	return success();
}

Status sidecar_store(struct vkckpt_disk *disk, struct vkckpt_f_sidecar &next)
{
	char path[VKCKPT_MAX_PATH + 32], temporary[VKCKPT_MAX_PATH + 40];
	sidecar_path(disk->path, path, sizeof path);
	Text(temporary, sizeof temporary).add(path).add(".new");
	int fd = -1;
	VK_TRY(sidecar_write(temporary, next, &fd));
	Replacement replacement;
	Status s = replacement.in(temporary, path);
	if (!s.ok() && replacement.back()) {
		sys_unlink(temporary);
		sys_close(fd);
		return s;
	}
	replacement.finish();	// also where there is no way back: the caller holds what has the name
	sys_close(disk->sidecar_fd);
	disk->sidecar_fd = fd;
	disk->now = next;
	return success();
}

bool is_block_device(int fd)
{
	struct stat st;
	return sys_fstat(fd, &st) == 0 && S_ISBLK(st.st_mode);
}

long disk_size(int fd)
{
	struct stat st;
	uint64_t bytes = 0;
	if (long r = sys_fstat(fd, &st); r < 0)
		return r;
	if (!S_ISBLK(st.st_mode))
		return st.st_size;
	long r = sys_ioctl(fd, BLKGETSIZE64, &bytes);
	return r < 0 ? r : (long)bytes;
}

Status sidecar_take_proof(int disk_fd, const char *name, struct vkckpt_f_sidecar &s)
{
	if (long r = sys_fsync(disk_fd); r < 0 && r != -EINVAL && r != -EROFS)
		return fail_host((int)-r, "disk: fsync", name);
	struct stat st;
	if (long r = sys_fstat(disk_fd, &st); r < 0)
		return fail_host((int)-r, "disk: fstat", name);
	sidecar_take_facts(st, s);
	long size = disk_size(disk_fd);
	if (size < 0)
		return fail_host((int)-size, "disk: size", name);
	s.size_bytes = (uint64_t)size;
	return success();
}

void sidecar_take_facts(const struct stat &st, struct vkckpt_f_sidecar &s)
{
	s.device = (uint64_t)st.st_dev;
	s.inode = (uint64_t)st.st_ino;
	s.size_bytes = (uint64_t)st.st_size;
	s.ctime_ns = (uint64_t)st.st_ctim.tv_sec * 1'000'000'000 + (uint64_t)st.st_ctim.tv_nsec;
	host_boot_id(s.boot_id);
}

}  // namespace vk
