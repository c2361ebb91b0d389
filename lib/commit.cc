// The image as a file. QUIET. NAME.part is locked while it is written: an unlocked one is left over from a process that died and is removed.
#include "lib/commit.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/image_place.h"
#include "lib/sys.h"
#include "lib/text.h"

namespace vk {
namespace {

constexpr const char *kWhere = "capture: image file";

// The image replaces what has its name: never a device, a pipe or a folder.
Status check_target(const char *path)
{
	struct stat st;
	if (sys_stat(path, &st) < 0 || S_ISREG(st.st_mode))
		return success();
	char subject[64];
	Text(subject, sizeof subject).add(path, text_length(path, 40)).add(": not a regular file");
	return fail(EINVAL, VKCKPT_R_BAD_ARGUMENT, kWhere, subject);
}

// Around the page cache where that is possible: faster, and what the host has cached stays cached. Some file systems take the flag and
// refuse the writes: one block, overwritten later, tells. block: 4096 bytes, aligned.
void write_around_cache(int fd, const void *block)
{
	long flags = sys_fcntl(fd, F_GETFL);
	if (flags >= 0 && sys_fcntl(fd, F_SETFL, flags | O_DIRECT) >= 0 && sys_pwrite(fd, block, VKCKPT_BLOCK, 0) != VKCKPT_BLOCK)
		sys_fcntl(fd, F_SETFL, flags);
}

// A pipe is opened once more, because O_NONBLOCK belongs to the open file that others share: a reader that does not read must not
// keep the vkernel from hearing that the request is cancelled. Other streams (sockets) are written to as they are.
void open_stream(int given, ImageFile &file)
{
	file.stream = true;
	file.fd = given;
	struct stat st;
	if (sys_fstat(given, &st) < 0 || !S_ISFIFO(st.st_mode))
		return;
	char path[32];
	Text(path, sizeof path).add("/proc/self/fd/").decimal((uint64_t)given);
	long fd = sys_open(path, O_WRONLY | O_NONBLOCK);
	if (fd >= 0) {
		file.fd = (int)fd;
		file.close_stream = true;
	}
}

void close_stream(ImageFile &file)
{
	if (file.close_stream)
		sys_close(file.fd);
	file.close_stream = false;
}

}  // namespace

Status image_file_open(struct vkckpt &ck, ImageFile &file)
{
	VK_TRY(uuid_make(&file.image_id));
	if (!ck.image_path[0]) {
		open_stream(ck.config.image_fd, file);
		ck.image_fd_used = true;
		return success();
	}
	file.final = ck.image_path;
	if (ck.lineage) {
		VK_TRY(lineage_next(ck));
		file.final = ck.lineage->path;
		file.existing = Replacement::Existing::keep;
	}
	VK_TRY(check_target(file.final));
	VK_TRY(check_image_place(ck, file.final, kWhere));
	if (ck.reserve_held) {	// the room set aside at arm is for this
		Text(file.part, sizeof file.part).add(ck.image_path).add(".reserve");
		sys_unlink(file.part);
		ck.reserve_held = 0;
	}
	Text(file.part, sizeof file.part).add(file.final).add(".part");
	Result<int> fd = part_create(file.part, kWhere);
	if (!fd.ok())
		return fd.status;
	file.fd = fd.value;
	write_around_cache(file.fd, ck.record);
	return success();
}

Status image_file_sync(ImageFile &file)
{
	struct stat st;
	if (file.stream && (sys_fstat(file.fd, &st) < 0 || !S_ISREG(st.st_mode)))
		return success();
	if (long r = sys_fsync(file.fd); r < 0)
		return fail_host((int)-r, "commit: fsync", file.part);
	return success();
}

Status image_file_replace(ImageFile &file)
{
	return file.stream ? success() : file.replacement.in(file.part, file.final, file.existing);
}

void image_file_revert(ImageFile &file)
{
	close_stream(file);
	if (file.stream || file.fd < 0)
		return;
	if (!file.replacement.back() && names_file(file.final, file.fd))
		sys_unlink(file.final);		// it was not committed: nobody may thaw it
	if (names_file(file.part, file.fd))
		sys_unlink(file.part);
	sys_close(file.fd);
	file.fd = -1;
}

void image_file_finish(ImageFile &file)
{
	close_stream(file);
	if (file.stream)
		return;
	file.replacement.finish();
	sys_close(file.fd);
	file.fd = -1;
}

}  // namespace vk
