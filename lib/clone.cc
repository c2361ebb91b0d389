// The disks of a clone. See clone.h. A copy appears under its name only whole: it is made as NAME.part, locked, and synced. What is left when
// the process dies is a copy that no running vkernel uses; the image's own disk and its sidecar are only read.
#include "lib/clone.h"

#include <errno.h>
#include <linux/fs.h>
#include <string.h>

#include "lib/copy_data.h"
#include "lib/digest.h"
#include "lib/replace.h"
#include "lib/sidecar.h"
#include "lib/sys.h"
#include "lib/text.h"

namespace vk {
namespace {

constexpr const char *kWhere = "thaw: clone";

Status fill(int from, int to, const char *path, uint64_t size, uint8_t *buffer, uint32_t *how)
{
	*how = VKCKPT_CLONE_REFLINK;
	if (sys_ioctl(to, FICLONE, (void *)(intptr_t)from) < 0) {
		*how = VKCKPT_CLONE_COPY;
		VK_TRY(copy_data(from, to, size, buffer, kWhere, path));
	}
	struct stat st;
	if (sys_fstat(to, &st) < 0 || (uint64_t)st.st_size != size)
		return fail(ESTALE, VKCKPT_R_DISK_CHANGED, kWhere, path, size);
	if (long r = sys_fsync(to); r < 0)
		return fail_host((int)-r, kWhere, path);
	return success();
}

void set_value(struct vkckpt_source &source, const char *key, const void *value, size_t bytes)
{
	for (uint32_t i = 0; i < source.count; i++)
		if (text_equal(source.entry[i].key, key)) {
			source.entry[i].value = value;
			source.entry[i].bytes = (uint32_t)bytes;
		}
}

void set_number(struct vkckpt_source &source, const char *key, uint64_t number)
{
	for (uint32_t i = 0; i < source.count; i++)
		if (text_equal(source.entry[i].key, key))
			source.entry[i].number = number;
}

Status already_there(const char *path)
{
	struct stat st;
	char side[VKCKPT_MAX_PATH + 32];
	sidecar_path(path, side, sizeof side);
	if (sys_lstat(path, &st) == 0 || sys_lstat(side, &st) == 0)
		return fail(EEXIST, VKCKPT_R_CLONE_EXISTS, kWhere, path);
	return success();
}

}  // namespace

Status CloneDisks::copy(Disk &disk, const char *from, int from_fd, const struct vkckpt_source &source, uint32_t *how)
{
	struct stat st;
	if (long r = sys_fstat(from_fd, &st); r < 0)
		return fail_host((int)-r, kWhere, from);
	char part[VKCKPT_MAX_PATH + 16];
	Text(part, sizeof part).add(disk.path).add(".part");
	Result<int> to = part_create(part, kWhere);
	VK_TRY(to.status);
	Status s = fill(from_fd, to.value, disk.path, (uint64_t)st.st_size, buffer_, how);
	if (s.ok())
		if (long r = sys_renameat2(AT_FDCWD, part, AT_FDCWD, disk.path, 1); r < 0)	// RENAME_NOREPLACE
			s = r == -EEXIST ? fail(EEXIST, VKCKPT_R_CLONE_EXISTS, kWhere, disk.path) : fail_host((int)-r, kWhere, disk.path);
	if (!s.ok()) {
		sys_unlink(part);
		sys_close(to.value);
		return s;
	}
	count_++;		// from here on remove() has something to do
	memset(&disk.fence, 0, sizeof disk.fence);
	memcpy(disk.fence.magic, VKCKPT_SIDECAR_MAGIC, sizeof disk.fence.magic);
	disk.fence.version = 1;
	disk.fence.state = VKCKPT_DISK_SUSPENDED;
	disk.fence.epoch = 1;
	size_t bytes = 0;
	if (const void *id = vkckpt_get_bytes(&source, "fence_image_id", &bytes); id && bytes == sizeof disk.fence.image_id)
		memcpy(&disk.fence.image_id, id, bytes);
	s = uuid_make(&disk.fence.disk_id);
	if (s.ok())
		s = sidecar_take_proof(to.value, disk.path, disk.fence);
	sys_close(to.value);
	char side[VKCKPT_MAX_PATH + 32];
	sidecar_path(disk.path, side, sizeof side);
	int side_fd = -1;
	if (s.ok())
		s = sidecar_write(side, disk.fence, &side_fd);
	if (side_fd >= 0)
		sys_close(side_fd);
	return s.ok() ? sync_folder(disk.path) : s;
}

Status CloneDisks::add(struct vkckpt_source &source, const char *clone, bool look_only)
{
	source.clone = clone;
	source.clone_disk = VKCKPT_CLONE_SHARED;
	const char *from = vkckpt_get_string(&source, "path");
	if (!from || !vkckpt_get_bytes(&source, "fence_disk_id", nullptr))
		return success();	// no writable disk
	if (!disks_) {
		VK_TRY(arena_.map(Arena::room(VKCKPT_MAX_DEVICES * sizeof(Disk)) + Arena::room(kCopyBuffer, 4096), Prefault::no));
		disks_ = arena_.take_array<Disk>(VKCKPT_MAX_DEVICES);
		buffer_ = static_cast<uint8_t *>(arena_.take(kCopyBuffer, 4096));
	}
	VK_CHECK(count_ < VKCKPT_MAX_DEVICES);
	Disk &disk = disks_[count_];
	struct vkckpt_disk lent;
	VK_TRY(disk_lend(from, &source, &lent));
	Text path(disk.path, sizeof disk.path);
	path.add(lent.path).add(".").add(clone);
	Status s = path.cut() || path.length() > VKCKPT_MAX_PATH - 32 ? fail(ENAMETOOLONG, VKCKPT_R_LIMIT, kWhere, from) :
	    already_there(disk.path);
	if (s.ok() && !look_only)
		s = copy(disk, from, lent.disk_fd, source, &source.clone_disk);
	disk_give_back(&lent);
	if (!s.ok() || look_only)
		return s;
	set_value(source, "path", disk.path, path.length());
	set_value(source, "fence_disk_id", &disk.fence.disk_id, sizeof disk.fence.disk_id);
	set_number(source, "fence_epoch", disk.fence.epoch);
	set_number(source, "fence_ram_only", 0);
	return success();
}

void CloneDisks::remove()
{
	while (count_ > 0) {
		const char *path = disks_[--count_].path;
		char side[VKCKPT_MAX_PATH + 32];
		sidecar_path(path, side, sizeof side);
		sys_unlink(side);
		sys_unlink(path);
	}
}

}  // namespace vk
