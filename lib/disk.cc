// The fence of one disk, as a vkernel and its tools see it (vkckpt/disk.h). ARM or THAW.
#include <vkckpt/disk.h>

#include <errno.h>
#include <string.h>

#include "lib/arena.h"
#include "lib/export.h"
#include "lib/digest.h"
#include "lib/disk_digest.h"
#include "lib/sidecar.h"
#include "lib/sys.h"
#include "lib/text.h"

namespace vk {
namespace {

Status adopt(struct vkckpt_disk *disk, const char *path, int disk_fd)
{
	memset(disk, 0, sizeof *disk);
	disk->sidecar_fd = -1;
	disk->disk_fd = disk_fd;
	if (!path || !*path || text_length(path) > VKCKPT_MAX_PATH - 32)
		return fail(EINVAL, VKCKPT_R_BAD_ARGUMENT, "disk", "path");
	if (disk_fd < 0)
		return fail(EINVAL, VKCKPT_R_BAD_ARGUMENT, "disk", "disk_fd");
	sidecar_disk_path(path, disk_fd, disk->path, sizeof disk->path);
	return success();
}

Status lock(struct vkckpt_disk *disk, Missing missing, Lone lone = Lone::yes)
{
	SidecarFile file;
	Status s = sidecar_lock(disk->path, missing, &file, lone);
	if (!s.ok()) {
		if (file.fd >= 0)
			sys_close(file.fd);
		return s;
	}
	disk->sidecar_fd = file.fd;
	disk->now = file.content;
	return success();
}

void unlock(struct vkckpt_disk *disk)
{
	if (disk->sidecar_fd >= 0)
		sys_close(disk->sidecar_fd);
	disk->sidecar_fd = -1;
}

Status boot(struct vkckpt_disk *disk, const char *path, int disk_fd)
{
	VK_TRY(adopt(disk, path, disk_fd));
	VK_TRY(lock(disk, Missing::create));
	if (disk->now.state == VKCKPT_DISK_SUSPENDED) {
		Status s = fail(EBUSY, VKCKPT_R_DISK_SUSPENDED, "disk: boot", disk->now.image_path[0] ? disk->now.image_path :
		    disk->path);
		unlock(disk);
		return s;
	}
	struct vkckpt_f_sidecar next = disk->now;
	next.state = VKCKPT_DISK_RUNNING;
	next.epoch++;
	next.holder_pid = (uint64_t)sys_getpid();
	Status s = sidecar_store(disk, next);
	if (!s.ok())
		unlock(disk);
	return s;
}

// What the image says about the disk (disks.cc wrote it).
struct Fence {
	const struct vkckpt_uuid *disk_id, *image_id;
	uint64_t epoch;
	bool ram_only;
	struct vkckpt_f_sidecar proof;	// the fields of the proof
	const struct vkckpt_digest *digest;	// of the content; null: none was asked for
};

Status read_fence(const struct vkckpt_source *source, Fence *out)
{
	size_t bytes = 0;
	out->disk_id = static_cast<const struct vkckpt_uuid *>(vkckpt_get_bytes(source, "fence_disk_id", &bytes));
	if (!out->disk_id || bytes != sizeof *out->disk_id)
		return fail(EBADMSG, VKCKPT_R_DAMAGED, "disk: thaw", "fence_disk_id");
	out->image_id = static_cast<const struct vkckpt_uuid *>(vkckpt_get_bytes(source, "fence_image_id", &bytes));
	if (!out->image_id || bytes != sizeof *out->image_id)
		return fail(EBADMSG, VKCKPT_R_DAMAGED, "disk: thaw", "fence_image_id");
	out->epoch = vkckpt_get_u64(source, "fence_epoch", 0);
	out->ram_only = vkckpt_get_u64(source, "fence_ram_only", 0) != 0;
	memset(&out->proof, 0, sizeof out->proof);
	out->proof.device = vkckpt_get_u64(source, "fence_device", 0);
	out->proof.inode = vkckpt_get_u64(source, "fence_inode", 0);
	out->proof.size_bytes = vkckpt_get_u64(source, "fence_size", 0);
	out->proof.ctime_ns = vkckpt_get_u64(source, "fence_ctime", 0);
	const void *digest = vkckpt_get_bytes(source, "fence_digest", &bytes);
	if (digest && bytes != sizeof *out->digest)
		return fail(EBADMSG, VKCKPT_R_DAMAGED, "disk: thaw", "fence_digest");
	out->digest = static_cast<const struct vkckpt_digest *>(digest);
	const void *boot = vkckpt_get_bytes(source, "fence_boot_id", &bytes);
	if (boot && bytes == sizeof out->proof.boot_id)
		memcpy(out->proof.boot_id, boot, bytes);
	return success();
}

Status changed(const char *path) { return fail(ESTALE, VKCKPT_R_DISK_CHANGED, "thaw: disk", path); }

Status check_digest(const struct vkckpt_disk *disk, uint64_t size, const struct vkckpt_digest &then)
{
	Arena arena;
	VK_TRY(arena.map(Arena::room(kDiskBuffer, 4096), Prefault::no));
	struct vkckpt_digest now;
	Status s = disk_digest(disk->disk_fd, size, static_cast<uint8_t *>(arena.take(kDiskBuffer, 4096)), disk->path, &now);
	arena.release();
	return !s.ok() || digest_equal(now, then) ? s : changed(disk->path);
}

// An image of a block device may be of before their sizes were looked at: 0.
bool other_size(const struct vkckpt_f_sidecar &now, const struct vkckpt_f_sidecar &then)
{
	return then.size_bytes != 0 && now.size_bytes != then.size_bytes;
}

enum class Look { same, by_content, differs };

// The same file, untouched, is the disk. Another file, one whose ctime differs, and any block device is known by its content if the image has
// a digest of it. Without one a file that came from another host or boot is taken for a copy that was brought here: of that only the size can be told.
Look compare(const struct vkckpt_f_sidecar &now, const struct vkckpt_f_sidecar &then, bool digested, bool block_device)
{
	bool same_boot = !memcmp(now.boot_id, then.boot_id, sizeof now.boot_id);
	bool same_file = now.inode == then.inode && (!same_boot || now.device == then.device);
	if (other_size(now, then))
		return Look::differs;
	if (digested && (block_device || !same_file || now.ctime_ns != then.ctime_ns))
		return Look::by_content;
	return (same_boot && !same_file) || (same_file && now.ctime_ns != then.ctime_ns) ? Look::differs : Look::same;
}

Status check_proof(const struct vkckpt_disk *disk, const struct vkckpt_f_sidecar &then, const struct vkckpt_digest *digest)
{
	struct vkckpt_f_sidecar now;
	memset(&now, 0, sizeof now);
	VK_TRY(sidecar_take_proof(disk->disk_fd, disk->path, now));
	Look look = compare(now, then, digest != nullptr, is_block_device(disk->disk_fd));
	return look == Look::by_content ? check_digest(disk, then.size_bytes, *digest) : look == Look::differs ? changed(disk->path) : success();
}

// What the disk is to be held against: nothing, what its sidecar recorded, what the image did.
enum class Proof { none, sidecar, image };

// The rule: may this image go on from a disk with this sidecar, if the disk itself is as it was?
Status judge(const struct vkckpt_f_sidecar &now, const Fence &fence, const char *path, Proof *proof)
{
	*proof = Proof::none;
	if (!uuid_equal(now.disk_id, *fence.disk_id))
		return changed(path);
	bool suspended = now.state == VKCKPT_DISK_SUSPENDED, of_image = uuid_equal(now.image_id, *fence.image_id);
	if (suspended && !of_image)
		return fail(EBUSY, now.epoch > fence.epoch ? VKCKPT_R_DISK_SUPERSEDED : VKCKPT_R_DISK_SUSPENDED, "thaw: disk", path);
	if (fence.ram_only)	// the user put the disk back himself
		return success();
	*proof = Proof::sidecar;
	if (suspended && now.epoch == fence.epoch)
		return success();
	*proof = Proof::image;
	bool running = now.state == VKCKPT_DISK_RUNNING;
	bool taken = running && of_image && now.epoch == fence.epoch + 1;
	// The vkernel died between the commit of its image and that of the sidecar: nobody has run since if the disk is untouched.
	if (!taken && (!running || now.epoch + 1 != fence.epoch))
		return fail(ESTALE, VKCKPT_R_DISK_SUPERSEDED, "thaw: disk", path);
	return success();
}

// The user put the disk back himself: it is as large as it was and, where the image has a digest of it, of the same content.
Status check_put_back(const struct vkckpt_disk *disk, const Fence &fence)
{
	struct vkckpt_f_sidecar now;
	memset(&now, 0, sizeof now);
	VK_TRY(sidecar_take_proof(disk->disk_fd, disk->path, now));
	if (other_size(now, fence.proof))
		return changed(disk->path);
	return fence.digest ? check_digest(disk, fence.proof.size_bytes, *fence.digest) : success();
}

// A block device without a sidecar, which its content has proved to be the disk as the image left it: as if that still said so.
void take_for_suspended(struct vkckpt_disk *disk, const Fence &fence)
{
	disk->now.disk_id = *fence.disk_id;
	disk->now.image_id = *fence.image_id;
	disk->now.epoch = fence.epoch;
	disk->now.state = VKCKPT_DISK_SUSPENDED;
}

// Leaves in disk->now what the next state is counted from: "suspended" by this image, or "running" where a thaw that died had gone so far.
Status check_fence(struct vkckpt_disk *disk, const Fence &fence)
{
	struct vkckpt_f_sidecar &now = disk->now;
	Proof proof;
	VK_TRY(judge(now, fence, disk->path, &proof));
	if (proof == Proof::none)
		return check_put_back(disk, fence);
	if (proof == Proof::sidecar)
		return check_proof(disk, now, fence.digest);
	VK_TRY(check_proof(disk, fence.proof, fence.digest));
	bool taken = now.epoch > fence.epoch;
	now.epoch = fence.epoch;
	now.image_id = *fence.image_id;
	now.state = taken ? VKCKPT_DISK_RUNNING : VKCKPT_DISK_SUSPENDED;
	return success();
}

Status thaw(struct vkckpt_disk *disk, const char *path, int disk_fd, const struct vkckpt_source *source)
{
	VK_TRY(adopt(disk, path, disk_fd));
	Fence fence;
	VK_TRY(read_fence(source, &fence));
	const bool by_content = fence.digest && is_block_device(disk_fd);
	VK_TRY(lock(disk, fence.ram_only || by_content ? Missing::create : Missing::refuse));
	const bool fresh = disk->now.epoch == 0;
	Status s = fresh && (fence.ram_only || by_content) ? check_put_back(disk, fence) : check_fence(disk, fence);
	if (s.ok() && fresh && by_content && !fence.ram_only)
		take_for_suspended(disk, fence);
	if (!s.ok())
		unlock(disk);
	return s;
}

Status lend(struct vkckpt_disk *disk, const char *path, const struct vkckpt_source *source)
{
	VK_TRY(adopt(disk, path, disk->disk_fd));
	struct stat st;
	if (sys_fstat(disk->disk_fd, &st) < 0 || !S_ISREG(st.st_mode))
		return fail(ENOTSUP, VKCKPT_R_CLONE_DEVICE, "thaw: clone", path);
	Fence fence;
	VK_TRY(read_fence(source, &fence));
	Status s = lock(disk, Missing::refuse, Lone::no);
	if (s.reason == VKCKPT_R_DISK_MISSING && fence.ram_only)	// the user put the disk back, and it has no sidecar yet
		return success();
	VK_TRY(s);
	VK_TRY(check_fence(disk, fence));
	return disk->now.state == VKCKPT_DISK_RUNNING && !fence.ram_only ? fail(ESTALE, VKCKPT_R_DISK_SUPERSEDED, "thaw: disk", disk->path) : s;
}

// source: only what this image waits for; *done is whether it did. null: whatever there is.
Status discard(const char *path, const struct vkckpt_source *source = nullptr, bool *done = nullptr)
{
	struct vkckpt_disk disk;
	memset(&disk, 0, sizeof disk);
	if (!path || !*path || text_length(path) > VKCKPT_MAX_PATH - 32)
		return fail(EINVAL, VKCKPT_R_BAD_ARGUMENT, "disk: discard", "path");
	sidecar_disk_path(path, -1, disk.path, sizeof disk.path);
	Fence fence;
	if (source)
		VK_TRY(read_fence(source, &fence));
	SidecarFile file;
	Status s = sidecar_lock(disk.path, Missing::refuse, &file);
	if (!s.ok() && (source || !(file.damaged && file.fd >= 0))) {
		disk.sidecar_fd = file.fd;
		unlock(&disk);
		return s;
	}
	Proof proof = Proof::sidecar;
	bool waits = !source || (judge(file.content, fence, disk.path, &proof).ok() && proof != Proof::none && file.content.epoch <= fence.epoch);
	if (!waits) {
		sys_close(file.fd);
		return success();
	}
	struct vkckpt_f_sidecar next = file.content;
	s = success();
	if (file.damaged) {	// the way out of a damaged one, too: begin anew, so that no old image fits
		memset(&next, 0, sizeof next);
		memcpy(next.magic, VKCKPT_SIDECAR_MAGIC, sizeof next.magic);
		next.version = 1;
		s = uuid_make(&next.disk_id);
	}
	disk.sidecar_fd = file.fd;
	if (s.ok() && (file.damaged || next.state != VKCKPT_DISK_IDLE)) {
		next.state = VKCKPT_DISK_IDLE;
		next.epoch++;
		next.holder_pid = 0;
		s = sidecar_store(&disk, next);
	}
	if (done)
		*done = s.ok();
	unlock(&disk);
	return s;
}

// held: whether anybody holds its lock; null: not asked.
Status inspect(const char *path, struct vkckpt_f_sidecar *out, bool *held = nullptr)
{
	char disk_path[VKCKPT_MAX_PATH + 1], side[VKCKPT_MAX_PATH + 32];
	sidecar_disk_path(path, -1, disk_path, sizeof disk_path);
	sidecar_path(disk_path, side, sizeof side);
	long fd = sys_open(side, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return fail_host((int)-fd, "disk: sidecar", side);
	long got = pread_all((int)fd, out, sizeof *out, 0);
	struct flock lock;
	memset(&lock, 0, sizeof lock);
	lock.l_type = F_WRLCK;
	if (held)
		*held = sys_fcntl((int)fd, F_OFD_GETLK, (long)&lock) >= 0 && lock.l_type != F_UNLCK;
	sys_close((int)fd);
	if (got < 0)
		return fail_host((int)-got, "disk: sidecar", side);
	if (got != (long)sizeof *out || !sidecar_valid(*out))
		return fail(EBADMSG, VKCKPT_R_SIDECAR_DAMAGED, "disk: sidecar", side);
	return success();
}

// The facts of a disk that is not opened: whoever asks may not read it.
Status look_at(const char *path, const struct vkckpt_f_sidecar &then, bool digested, bool *by_content)
{
	long fd = sys_open(path, O_PATH);
	struct stat st;
	long r = fd < 0 ? fd : sys_fstat((int)fd, &st);
	if (fd >= 0)
		sys_close((int)fd);
	if (r < 0)
		return fail((int)-r, VKCKPT_R_DISK_MISSING, "thaw: disk", path);
	*by_content = digested;
	if (!S_ISREG(st.st_mode))	// a device's size is known to who opens it
		return success();
	struct vkckpt_f_sidecar now;
	memset(&now, 0, sizeof now);
	sidecar_take_facts(st, now);
	Look look = compare(now, then, digested, false);
	*by_content = look == Look::by_content;
	return look == Look::differs ? changed(path) : success();
}

bool names_block_device(const char *path)
{
	struct stat st;
	return sys_stat(path, &st) == 0 && S_ISBLK(st.st_mode);
}

Status fits(const char *path, const struct vkckpt_source *source, struct vkckpt_f_sidecar *now, bool *by_content)
{
	memset(now, 0, sizeof *now);
	Fence fence;
	VK_TRY(read_fence(source, &fence));
	bool held = false;
	if (Status s = inspect(path, now, &held); s.code == ENOENT)
		return fence.ram_only || (*by_content = fence.digest && names_block_device(path)) ? success() : fail(ENOENT, VKCKPT_R_DISK_MISSING, "thaw: disk", path);
	else
		VK_TRY(s);
	if (held)
		return fail(EBUSY, VKCKPT_R_DISK_IN_USE, "thaw: disk", path, now->holder_pid);
	Proof proof;
	VK_TRY(judge(*now, fence, path, &proof));
	return proof == Proof::none ? success() : look_at(path, proof == Proof::sidecar ? *now : fence.proof, fence.digest != nullptr, by_content);
}

}  // namespace

Status disk_lend(const char *path, const struct vkckpt_source *source, struct vkckpt_disk *out)
{
	long fd = sys_open(path, O_RDONLY | O_NONBLOCK);
	if (fd < 0)
		return fail((int)-fd, VKCKPT_R_DISK_MISSING, "thaw: clone", path);
	out->disk_fd = (int)fd;
	Status s = lend(out, path, source);
	if (!s.ok())
		disk_give_back(out);
	return s;
}

void disk_give_back(struct vkckpt_disk *disk)
{
	unlock(disk);
	sys_close(disk->disk_fd);
}

}  // namespace vk

using namespace vk;

VK_EXPORT int vkckpt_disk_boot(struct vkckpt_disk *disk, const char *path, int disk_fd, struct vkckpt_error *err)
{
	return report(boot(disk, path, disk_fd), err);
}

VK_EXPORT void vkckpt_disk_shutdown(struct vkckpt_disk *disk)
{
	if (disk->sidecar_fd < 0)
		return;
	if (disk->now.state == VKCKPT_DISK_RUNNING) {
		struct vkckpt_f_sidecar next = disk->now;
		next.state = VKCKPT_DISK_IDLE;
		next.epoch++;
		next.holder_pid = 0;
		(void)sidecar_store(disk, next).ok();	// else it says "running" with no holder: a boot takes that for a crash
	}
	unlock(disk);
}

VK_EXPORT int vkckpt_disk_thaw(struct vkckpt_disk *disk, const char *path, int disk_fd, const struct vkckpt_source *source,
    struct vkckpt_error *err)
{
	return report(thaw(disk, path, disk_fd, source), err);
}

VK_EXPORT void vkckpt_disk_release(struct vkckpt_disk *disk) { unlock(disk); }

VK_EXPORT int vkckpt_disk_discard(const char *path, struct vkckpt_error *err) { return report(discard(path), err); }

VK_EXPORT int vkckpt_disk_inspect(const char *path, struct vkckpt_f_sidecar *out, struct vkckpt_error *err)
{
	return report(inspect(path, out), err);
}

VK_EXPORT int vkckpt_disk_fits(const char *path, const struct vkckpt_source *source, struct vkckpt_f_sidecar *now, struct vkckpt_error *err)
{
	bool by_content = false;
	int result = report(fits(path, source, now, &by_content), err);
	return result < 0 ? result : by_content;
}

VK_EXPORT int vkckpt_disk_forget(const char *path, const struct vkckpt_source *source, struct vkckpt_error *err)
{
	bool done = false;
	int result = report(discard(path, source, &done), err);
	return result < 0 ? result : done;
}
