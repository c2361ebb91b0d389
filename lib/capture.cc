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

uint32_t us(uint64_t ns) { return ns / 1000 < UINT32_MAX ? (uint32_t)(ns / 1000) : UINT32_MAX; }

// As vkckpt_stats_time_ns reads it, at number t.
uint64_t packed_time(unsigned t, uint64_t ns)
{
	uint64_t m = ns / VKCKPT_TIME_STEP_NS + (ns % VKCKPT_TIME_STEP_NS != 0), e = 0;
	for (; m > 0x3f; e++)
		m = (m + 1) / 2;
	return (e > 0xf ? 0x3ff : e << 6 | m) << 10 * t;
}

// What the vkernel told, or else what the state machine saw of devices and vCPUs.
void tell_quiesce(struct vkckpt &ck, uint64_t quiet_ns)
{
	const struct vkckpt_times &told = ck.times;
	bool all = told.sync_ns || told.freeze_ns || told.devices_ns;
	uint64_t devices_ns = all ? told.devices_ns : ck.drained_ns - ck.quiesce_began_ns;
	uint64_t freeze_ns = all ? told.freeze_ns : quiet_ns - ck.drained_ns;
	struct vkckpt_f_stats &stats = ck.writer.stats();
	stats.quiesce_ns = told.sync_ns + freeze_ns + devices_ns;
	stats.times = packed_time(VKCKPT_TIME_FREEZE, freeze_ns) | packed_time(VKCKPT_TIME_DEVICES, devices_ns) |
	    packed_time(VKCKPT_TIME_THAW_LOAD, told.thaw_load_ns) | packed_time(VKCKPT_TIME_THAW_VMSPACES, told.thaw_vmspaces_ns) |
	    packed_time(VKCKPT_TIME_THAW_DEVICES, told.thaw_devices_ns) | packed_time(VKCKPT_TIME_THAW_TASKS, told.thaw_tasks_ns);
	struct vkckpt_run_entry &run = *ck.run.words();
	run.sync_us = us(told.sync_ns);
	run.freeze_us = us(freeze_ns);
	run.devices_us = us(devices_ns);
}

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
	stats.codec = (uint8_t)ck.config.codec;
	tell_quiesce(ck, began);
	stats.walk_ns = walked - began;
	stats.write_ns = sys_clock_ns(CLOCK_MONOTONIC) - walked;
	return ck.writer.finish();
}

// Until the last step of it everything can be taken back.
Status commit(struct vkckpt &ck, ImageFile &file)
{
	ck.run.phase(VKCKPT_PHASE_COMMIT);
	uint64_t began = sys_clock_ns(CLOCK_MONOTONIC);
	VK_TRY(image_file_sync(file));
	VK_TRY(disks_prepare(ck));
	if (request_cancelled(ck))
		return fail(ECANCELED, VKCKPT_R_CANCELLED, "commit");
	VK_TRY(image_file_replace(file));
	VK_TRY(disks_replace(ck));
	struct vkckpt_run_entry &run = *ck.run.words();
	run.walk_us = us(ck.writer.stats().walk_ns);
	run.write_us = us(ck.writer.stats().write_ns);
	run.commit_us = us(sys_clock_ns(CLOCK_MONOTONIC) - began);
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
	Status s = ck.bulk.populate();
	if (s.ok())
		s = image_file_open(ck, file);
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
