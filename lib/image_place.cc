// See image_place.h. Files are known again by device and inode, whatever links lead to them; names that are free now and taken later
// (DISK.vkckpt.new) by their folder's.
#include "lib/image_place.h"

#include <errno.h>
#include <sys/stat.h>

#include "lib/sys.h"
#include "lib/text.h"

namespace vk {
namespace {

constexpr size_t kRoom = VKCKPT_MAX_PATH + 40;
constexpr const char *kDiskFiles[] = { "", VKCKPT_SIDECAR_SUFFIX, VKCKPT_SIDECAR_SUFFIX ".new", VKCKPT_SIDECAR_SUFFIX ".new~" };
constexpr const char *kImageFiles[] = { "", ".part", ".part~", ".reserve" };

bool same_file(const struct stat &a, const struct stat &b) { return a.st_dev == b.st_dev && a.st_ino == b.st_ino; }

bool same_open_file(const struct stat &found, int fd)
{
	struct stat st;
	return fd >= 0 && sys_fstat(fd, &st) == 0 && same_file(found, st);
}

const char *base_of(const char *path)
{
	const char *base = path;
	for (const char *p = path; *p; p++)
		if (*p == '/')
			base = p + 1;
	return base;
}

bool same_folder(const char *a, const char *b)
{
	char folder[kRoom];
	struct stat of_a, of_b;
	Text(folder, sizeof folder).add(a, (size_t)(base_of(a) - a)).add(".");
	if (sys_stat(folder, &of_a) < 0)
		return false;
	Text(folder, sizeof folder).add(b, (size_t)(base_of(b) - b)).add(".");
	return sys_stat(folder, &of_b) == 0 && same_file(of_a, of_b);
}

bool is_file_of(const struct vkckpt_disk &disk, const char *path)
{
	struct stat found;
	if (sys_stat(path, &found) == 0 && (same_open_file(found, disk.disk_fd) || same_open_file(found, disk.sidecar_fd)))
		return true;
	for (const char *suffix : kDiskFiles) {
		char name[kRoom];
		Text(name, sizeof name).add(base_of(disk.path)).add(suffix);
		if (text_equal(base_of(path), name) && same_folder(path, disk.path))
			return true;
	}
	return false;
}

Status refuse(const char *where, const char *path, const char *device)
{
	char subject[64];
	const char *base = base_of(path);
	Text(subject, sizeof subject).add("image_path: ").add(base, text_length(base, 20)).add(" is a file of ").add(device);
	return fail(EINVAL, VKCKPT_R_BAD_ARGUMENT, where, subject);
}

}  // namespace

Status check_image_place(const struct vkckpt &ck, const char *path, const char *where)
{
	for (size_t i = 0; *path && i < ck.config.device_count; i++) {
		const struct vkckpt_device &d = ck.devices[i];
		const struct vkckpt_disk *disk = d.device_class->disk ? d.device_class->disk(d.device) : nullptr;
		if (!disk || disk->sidecar_fd < 0)
			continue;
		for (const char *suffix : kImageFiles) {
			char name[kRoom];
			Text(name, sizeof name).add(path).add(suffix);
			if (is_file_of(*disk, name))
				return refuse(where, name, d.name);
		}
	}
	return success();
}

}  // namespace vk
