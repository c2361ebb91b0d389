// The fences of all writable disks. A suspend: the image gets its name first, then each sidecar is exchanged; both were complete and synced
// before, both exchanges can be taken back. Should the process die between the two, the disk says "running" in the epoch before the
// image's, unlocked: a boot is allowed (and makes the image useless), and so is the thaw as long as nobody has booted. Never two, never none.
// A thaw exchanges them one after the other before its guest runs: one that died in between can be done again (thaw_devices.cc).
#include "lib/disks.h"

#include <errno.h>
#include <string.h>
#include <linux/fs.h>
#include <sys/stat.h>

#include "lib/copy_data.h"
#include "lib/disk_digest.h"
#include "lib/replace.h"
#include "lib/sidecar.h"
#include "lib/signals.h"
#include "lib/sys.h"
#include "lib/text.h"

namespace vk {
namespace {

struct vkckpt_disk *disk_of(const struct vkckpt_device &d)
{
	return d.device_class->disk ? d.device_class->disk(d.device) : nullptr;
}

bool freezes_copies(const struct vkckpt &ck)
{
	return request_action(ck) == VKCKPT_ACTION_CONTINUE && !(request_flags(ck) & VKCKPT_REQUEST_RAM_ONLY);
}

Status not_frozen(const char *name, int code) { return fail(code, VKCKPT_R_DISK_NOT_FROZEN, "capture: freeze", name); }

Status copy_disk(struct vkckpt &ck, const char *name, int disk_fd, int to)
{
	constexpr const char *kWhere = "capture: copy the disk";
	static_assert(kCopyBuffer <= VKCKPT_MAX_RECORD);
	char self[48];		// a description of our own, because the vkernel's may have a position that counts
	Text(self, sizeof self).add("/proc/self/fd/").decimal((uint64_t)disk_fd);
	long from = sys_open(self, O_RDONLY);
	if (from < 0)
		return fail_host((int)-from, kWhere, name);
	long size = disk_size((int)from);
	Status s = size < 0 ? fail_host((int)-size, kWhere, name) :
	    copy_data((int)from, to, (uint64_t)size, ck.record, kWhere, name, { request_ended, &ck });
	sys_close((int)from);
	return s;
}

// As a clone, which costs nothing; else as a copy where the disk or the request allows one.
Status clone_or_copy(struct vkckpt &ck, const char *name, const struct vkckpt_disk &disk, int to)
{
	long r = sys_ioctl(to, FICLONE, (void *)(intptr_t)disk.disk_fd);
	if (r >= 0)
		return success();
	if (disk.copies || request_flags(ck) & VKCKPT_REQUEST_COPY_DISKS)
		return copy_disk(ck, name, disk.disk_fd, to);
	return not_frozen(name, (int)-r);
}

// Where the vkernel wants it, the content itself is known, too.
Status take_proof(struct vkckpt &ck, const char *name, DiskStep &step, int fd)
{
	VK_TRY(sidecar_take_proof(fd, name, step.next));
	step.digested = step.disk->digests != 0;
	static_assert(kDiskBuffer <= VKCKPT_MAX_RECORD);
	return step.digested ? disk_digest(fd, step.next.size_bytes, ck.record, name, &step.digest, { request_ended, &ck }) : success();
}

// IMAGE.NAME-1a2b3c4d5e6f7081: an own name per image, so that it replaces nothing that may be in use.
Status freeze_copy(struct vkckpt &ck, const char *name, DiskStep &step, const ImageFile &file)
{
	if (!file.final[0])
		return not_frozen(name, ENOTSUP);
	Text path(step.frozen_path, sizeof step.frozen_path);
	path.add(file.final).add(".").add(name).add("-").bytes_hex(file.image_id.bytes, 8);
	if (path.cut() || path.length() > VKCKPT_MAX_PATH - 32)
		return fail(ENAMETOOLONG, VKCKPT_R_LIMIT, "capture: freeze", name);
	if (long r = sys_fsync(step.disk->disk_fd); r < 0)
		return fail_host((int)-r, "capture: freeze", name);
	long fd = sys_open(step.frozen_path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (fd < 0) {
		step.frozen_path[0] = 0;
		return fail_host((int)-fd, "capture: freeze", name);
	}
	Status s = clone_or_copy(ck, name, *step.disk, (int)fd);
	step.next.epoch = 1;
	if (s.ok())
		s = uuid_make(&step.next.disk_id);
	if (s.ok())
		s = take_proof(ck, name, step, (int)fd);
	sys_close((int)fd);
	return s;
}

Status freeze(struct vkckpt &ck, const char *name, DiskStep &step, const ImageFile &file)
{
	step.next = step.disk->now;
	step.next.image_id = file.image_id;
	text_copy(step.next.image_path, sizeof step.next.image_path, file.final);
	if (request_action(ck) == VKCKPT_ACTION_EXIT || freezes_copies(ck)) {
		step.next.state = VKCKPT_DISK_SUSPENDED;
		step.next.epoch++;
		step.next.holder_pid = 0;
	}
	if (freezes_copies(ck))
		return freeze_copy(ck, name, step, file);
	step.ram_only = request_action(ck) == VKCKPT_ACTION_CONTINUE;
	return take_proof(ck, name, step, step.disk->disk_fd);
}

Status prepare(DiskStep &step)
{
	const char *disk_path = step.frozen_path[0] ? step.frozen_path : step.disk->path;
	sidecar_path(disk_path, step.sidecar, sizeof step.sidecar);
	Text temporary(step.temporary, sizeof step.temporary);
	temporary.add(step.sidecar);
	if (!step.frozen_path[0])
		temporary.add(".new");
	VK_TRY(sidecar_write(step.temporary, step.next, &step.fresh_fd));
	// The copy must be there after a power loss if the image is: the image replaces one that has a copy of its own.
	return step.frozen_path[0] ? sync_folder(step.frozen_path) : success();
}

// Steps of this request; device i's is steps[i]. False past the end.
DiskStep *step_at(struct vkckpt &ck, size_t i) { return ck.disk_steps[i].disk ? &ck.disk_steps[i] : nullptr; }

void begin_steps(struct vkckpt &ck)
{
	for (size_t i = 0; i < ck.config.device_count; i++) {
		memset(static_cast<void *>(&ck.disk_steps[i]), 0, sizeof ck.disk_steps[i]);
		ck.disk_steps[i].fresh_fd = -1;
		ck.disk_steps[i].disk = disk_of(ck.devices[i]);
	}
}

// The way back is barred: what the name led to is made anew. Where not even that can be done the new file is held in its place: nobody gets the disk
// while this process lives, and after that its state says what its image may do.
void restore(DiskStep &step)
{
	Replacement anew;
	struct vkckpt_f_sidecar was = step.disk->now;
	int fd = -1;
	if (sidecar_write(step.temporary, was, &fd).ok()) {
		(void)anew.in(step.temporary, step.sidecar).ok();
		if (anew.done()) {
			anew.finish();
			sys_close(step.disk->sidecar_fd);
			step.disk->sidecar_fd = fd;
			return;
		}
		sys_close(fd);
	}
	sys_close(step.disk->sidecar_fd);
	step.disk->sidecar_fd = step.fresh_fd;
	step.disk->now.epoch = step.next.epoch;
	step.fresh_fd = -1;
}

}  // namespace

Status disks_check(struct vkckpt &ck)
{
	for (size_t i = 0; i < ck.config.device_count; i++) {
		struct vkckpt_disk *disk = disk_of(ck.devices[i]);
		if (!disk)
			continue;
		if (disk->sidecar_fd < 0)
			return fail(EINVAL, VKCKPT_R_HOOK_FAILED, "capture: disk is not fenced (vkckpt_disk_boot)", ck.devices[i].name);
		if (freezes_copies(ck) && !ck.image_path[0])
			return not_frozen(ck.devices[i].name, ENOTSUP);
	}
	return success();
}

Status disks_freeze(struct vkckpt &ck, const ImageFile &file)
{
	begin_steps(ck);
	for (size_t i = 0; i < ck.config.device_count; i++)
		if (DiskStep *step = step_at(ck, i))
			VK_TRY(freeze(ck, ck.devices[i].name, *step, file));
	return success();
}

void disk_save_fence(const DiskStep &step, struct vkckpt_sink *sink)
{
	const struct vkckpt_f_sidecar &s = step.next;
	vkckpt_put_bytes(sink, "fence_disk_id", &s.disk_id, sizeof s.disk_id);
	vkckpt_put_bytes(sink, "fence_image_id", &s.image_id, sizeof s.image_id);
	vkckpt_put_u64(sink, "fence_epoch", s.epoch);
	vkckpt_put_u64(sink, "fence_device", s.device);
	vkckpt_put_u64(sink, "fence_inode", s.inode);
	vkckpt_put_u64(sink, "fence_size", s.size_bytes);
	vkckpt_put_u64(sink, "fence_ctime", s.ctime_ns);
	vkckpt_put_bytes(sink, "fence_boot_id", s.boot_id, sizeof s.boot_id);
	if (step.digested)
		vkckpt_put_bytes(sink, "fence_digest", &step.digest, sizeof step.digest);
	if (step.ram_only)
		vkckpt_put_u64(sink, "fence_ram_only", 1);
	if (step.frozen_path[0])
		vkckpt_put_string(sink, "fence_frozen", step.frozen_path);
}

Status disks_prepare(struct vkckpt &ck)
{
	for (size_t i = 0; i < ck.config.device_count; i++)
		if (DiskStep *step = step_at(ck, i); step && !step->ram_only)
			VK_TRY(prepare(*step));
	return success();
}

Status disks_prepare_running(struct vkckpt &ck)
{
	begin_steps(ck);
	for (size_t i = 0; i < ck.config.device_count; i++)
		if (DiskStep *step = step_at(ck, i)) {
			step->next = step->disk->now;
			step->next.state = VKCKPT_DISK_RUNNING;
			step->next.epoch++;
			step->next.holder_pid = (uint64_t)sys_getpid();
			VK_TRY(prepare(*step));
		}
	return success();
}

Status disks_replace(struct vkckpt &ck)
{
	for (size_t i = 0; i < ck.config.device_count; i++)
		if (DiskStep *step = step_at(ck, i); step && step->fresh_fd >= 0 && !step->frozen_path[0])
			VK_TRY(step->replacement.in(step->temporary, step->sidecar));
	return success();
}

void disks_revert(struct vkckpt &ck)
{
	for (size_t i = ck.config.device_count; i-- > 0;) {
		DiskStep *step = step_at(ck, i);
		if (!step)
			continue;
		const bool made = step->fresh_fd >= 0;
		if (!step->replacement.back())
			restore(*step);
		if (made)
			sys_unlink(step->temporary);
		if (step->fresh_fd >= 0)
			sys_close(step->fresh_fd);
		step->fresh_fd = -1;
		if (step->frozen_path[0])
			sys_unlink(step->frozen_path);
		step->disk = nullptr;
	}
}

void disks_finish(struct vkckpt &ck)
{
	for (size_t i = 0; i < ck.config.device_count; i++) {
		DiskStep *step = step_at(ck, i);
		if (!step || step->fresh_fd < 0)
			continue;
		if (step->frozen_path[0]) {	// nobody holds the copy
			sys_close(step->fresh_fd);
		} else {
			step->replacement.finish();
			sys_close(step->disk->sidecar_fd);
			step->disk->sidecar_fd = step->fresh_fd;
			step->disk->now = step->next;
		}
		step->fresh_fd = -1;
		step->disk = nullptr;
	}
}

}  // namespace vk
