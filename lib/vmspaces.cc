// The walk: every vmspace, its mappings, and what its page tables say. A bad table is counted, never an error; a hook that
// contradicts what was armed is one. QUIET.
#include "lib/vmspaces.h"

#include <errno.h>
#include <string.h>

#include "lib/image_check.h"
#include "lib/text.h"

namespace vk {
namespace {

Status check_vmspace(const struct vkckpt &ck, struct vkckpt_vmspace &v)
{
	v.name[sizeof v.name - 1] = 0;
	if (v.mapping_count > VKCKPT_MAX_MAPPINGS)
		return fail(ENOBUFS, VKCKPT_R_LIMIT, "capture: vmspace_next", v.name, v.mapping_count);
	const uint32_t bad = bad_mapping(v.mapping, v.mapping_count, (uint32_t)ck.config.segment_count);	// no reader would take it
	return bad == v.mapping_count ? success() : fail(EINVAL, VKCKPT_R_HOOK_FAILED, "capture: vmspace_next", v.name, bad);
}

struct Place { struct vkckpt *ck; uint32_t segment; };

void note_run(void *arg, const WalkRun &run)
{
	Place &place = *static_cast<Place *>(arg);
	if (run.flags & kWalkAccessed)
		place.ck->hot.accessed(place.segment, run.frame, run.frame_count);
}

Status write_vmspace(struct vkckpt &ck, const PageTableFormat *format, const struct vkckpt_vmspace &v)
{
	struct vkckpt_f_vmspace record;
	memset(&record, 0, sizeof record);
	record.id = v.id;
	record.pid = v.pid;
	text_copy(record.name, sizeof record.name, v.name);
	record.mapping_count = v.mapping_count;
	WalkCounts counts;
	for (uint32_t i = 0; format && i < v.mapping_count; i++) {
		const struct vkckpt_segment &segment = ck.segments[v.mapping[i].segment];
		ck.walk.first_frame = segment.skip_bytes / VKCKPT_FRAME;
		Place place = { &ck, v.mapping[i].segment };
		WalkVisitor visitor;
		visitor.arg = &place;
		visitor.run = note_run;
		walk_mapping(*format, segment.address, segment.size_bytes, v.mapping[i], ck.walk, visitor, counts);
	}
	walk_fill(record, counts);
	return ck.writer.record(VKCKPT_REC_VMSPACE, &record, sizeof record, v.mapping, v.mapping_count * sizeof v.mapping[0]);
}

}  // namespace

Status write_vmspaces(struct vkckpt &ck)
{
	ck.hot.clear();
	if (!ck.hooks.vmspace_next)
		return success();
	const PageTableFormat *format = pagetable_format(ck.config.pagetable_format);
	// Honest tables lie in RAM and are shared by few; twice the frames there are bounds what a hostile guest can make us read.
	ck.walk.table_budget = 65536;
	for (size_t i = 0; i < ck.config.segment_count; i++)
		ck.walk.table_budget += 2 * ck.segments[i].size_bytes / VKCKPT_FRAME;
	uint64_t cursor = 0;
	for (uint64_t count = 0;; count++) {
		struct vkckpt_vmspace v;
		memset(&v, 0, sizeof v);
		if (ck.hooks.vmspace_next(ck.hooks.arg, &cursor, &v) <= 0)
			return success();
		if (count == VKCKPT_MAX_VMSPACES)
			return fail(ENOBUFS, VKCKPT_R_LIMIT, "capture: vmspaces", "", count);
		VK_TRY(check_vmspace(ck, v));
		VK_TRY(write_vmspace(ck, format, v));
	}
}

}  // namespace vk
