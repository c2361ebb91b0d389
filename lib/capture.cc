// From quiet to committed: the stages of a capture, in order. QUIET: every vCPU parked, devices drained, all signals blocked, on the
// library's own stack. No allocation, no wait without an end; whatever fails leaves the vkernel, its disks and the old image as they were.
#include "lib/capture.h"

#include <errno.h>

#include "lib/commit.h"
#include "lib/context.h"
#include "lib/disks.h"
#include "lib/encode.h"
#include "lib/plan.h"
#include "lib/records.h"
#include "lib/signals.h"
#include "lib/sys.h"
#include "lib/vmspaces.h"

namespace vk {
namespace {

Status write_image(struct vkckpt &ck, ImageFile &file)
{
	uint64_t began = sys_clock_ns(CLOCK_MONOTONIC);
	ck.run.phase(VKCKPT_PHASE_WALK);
	VK_TRY(begin_image(ck, file));
	VK_TRY(write_host(ck));
	VK_TRY(write_identity(ck, file));
	VK_TRY(write_devices(ck));
	VK_TRY(write_vmspaces(ck));
	VK_TRY(write_regions(ck));
	VK_TRY(write_vcpus(ck));
	VK_TRY(ck.writer.head_end());
	plan_ram(ck);
	uint64_t walked = sys_clock_ns(CLOCK_MONOTONIC);
	ck.run.phase(VKCKPT_PHASE_WRITE);
	VK_TRY(write_ram(ck));
	struct vkckpt_f_stats &stats = ck.writer.stats();
	stats.workers = ck.crew.workers();
	stats.codec = ck.config.codec;
	stats.quiesce_ns = began - ck.quiesce_began_ns;
	stats.walk_ns = walked - began;
	stats.write_ns = sys_clock_ns(CLOCK_MONOTONIC) - walked;
	return ck.writer.finish();
}

// Until the last step of it everything can be taken back.
Status commit(struct vkckpt &ck, ImageFile &file)
{
	ck.run.phase(VKCKPT_PHASE_COMMIT);
	VK_TRY(image_file_sync(file));
	VK_TRY(disks_prepare(ck));
	if (request_cancelled(ck))
		return fail(ECANCELED, VKCKPT_R_CANCELLED, "commit");
	VK_TRY(image_file_replace(file));
	VK_TRY(disks_replace(ck));
	return success();
}

// What the next image is built on, and what whoever watches may know.
void note_image(struct vkckpt &ck, const ImageFile &file)
{
	if (Lineage *l = ck.lineage) {
		lineage_commit(*l, file.image_id);
		uint32_t &warning = ck.run.words()->warning_reason;
		if (l->warning || warning == VKCKPT_R_PARENT_MISSING || warning == VKCKPT_R_LIMIT)
			warning = l->warning;
	}
	ck.run.committed(file.final, ck.lineage ? ck.lineage->length : 1);
}

}  // namespace

Status capture_precheck(struct vkckpt &ck)
{
	if (!ck.image_path[0] && ck.image_fd_used)
		return fail(EINVAL, VKCKPT_R_BAD_ARGUMENT, "capture", "image_fd: takes one image");
	return disks_check(ck);
}

Status capture(struct vkckpt &ck)
{
	ImageFile file;
	ck.fill_held = ck.fill && ck.fill->hold();
	Status s = image_file_open(ck, file);
	if (s.ok())
		s = disks_freeze(ck, file);
	if (s.ok())
		s = write_image(ck, file);
	ck.writer.drop_key();
	if (ck.fill_held)
		ck.fill->release();
	ck.fill_held = false;
	if (s.ok())
		s = commit(ck, file);
	if (!s.ok()) {
		disks_revert(ck);
		image_file_revert(file);
		return s;
	}
	disks_finish(ck);
	note_image(ck, file);
	image_file_finish(file);
	return s;
}

}  // namespace vk
