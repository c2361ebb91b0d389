// The head records but those of vmspaces (vmspaces.cc). QUIET.
#include "lib/records.h"

#include <errno.h>
#include <string.h>

#include "lib/disks.h"
#include "lib/signals.h"
#include "lib/sys.h"
#include "lib/text.h"

namespace vk {

Status begin_image(struct vkckpt &ck, const ImageFile &file)
{
	return ck.writer.begin(file.fd, file.image_id, sys_clock_ns(CLOCK_REALTIME), { request_ended, &ck });
}

Status write_host(struct vkckpt &ck)
{
	struct vkckpt_f_host host = ck.host;
	host.realtime_ns = sys_clock_ns(CLOCK_REALTIME);
	host.monotonic_ns = sys_clock_ns(CLOCK_MONOTONIC);
	return ck.writer.record(VKCKPT_REC_HOST, &host, sizeof host);
}

Status write_identity(struct vkckpt &ck, const ImageFile &file)
{
	struct vkckpt_f_identity id;
	memset(&id, 0, sizeof id);
	id.image_id = file.image_id;
	id.vkernel_id = ck.birth.vkernel_id;
	id.generation = ck.birth.generation;
	id.thaw_count = ck.birth.thaw_count;
	id.action = request_action(ck);
	id.pagetable_format = ck.config.pagetable_format;
	memcpy(id.build_id, ck.build_id, ck.build_id_bytes);
	id.build_id_bytes = ck.build_id_bytes;
	id.vcpu_count = ck.config.vcpu_count;
	id.layout = ck.layout;
	if (ck.lineage && !ck.lineage->full) {
		id.parent_id = ck.lineage->member[ck.lineage->length - 1].id;
		text_copy(id.parent_path, sizeof id.parent_path, ck.lineage->parent_path);
	}
	text_copy(id.program, sizeof id.program, ck.program);
	text_copy(id.name, sizeof id.name, ck.name);
	text_copy(id.library, sizeof id.library, VKCKPT_LIBRARY_VERSION);
	return ck.writer.record(VKCKPT_REC_IDENTITY, &id, sizeof id);
}

Status write_devices(struct vkckpt &ck)
{
	for (size_t i = 0; i < ck.config.device_count; i++) {
		const struct vkckpt_device &d = ck.devices[i];
		const DiskStep &step = ck.disk_steps[i];
		struct vkckpt_sink *sink = ck.writer.device_begin(d.device_class->name, d.name, d.device_class->version, d.policy,
		    step.disk ? 1 : 0);
		int r = d.device_class->save ? d.device_class->save(d.device, sink) : 0;
		if (r < 0)
			return fail(-r, VKCKPT_R_HOOK_FAILED, "capture: save", d.name);
		if (step.disk)
			disk_save_fence(step, sink);
		VK_TRY(ck.writer.device_end());
	}
	return success();
}

Status write_regions(struct vkckpt &ck)
{
	for (size_t i = 0; i < ck.config.region_count; i++) {
		struct vkckpt_f_region region;
		memset(&region, 0, sizeof region);
		text_copy(region.name, sizeof region.name, ck.regions[i].name);
		region.address = (uint64_t)ck.regions[i].address;
		region.size_bytes = ck.regions[i].size_bytes;
		VK_TRY(ck.writer.record(VKCKPT_REC_REGION, &region, sizeof region));
	}
	return success();
}

// In an image, counted from the stack's upper end.
static bool is_saved(const struct vkckpt &ck, uint64_t stack)
{
	for (size_t i = 0; i < ck.config.segment_count; i++) {
		const struct vkckpt_segment &s = ck.segments[i];
		if (uint64_t start = (uint64_t)s.address + s.skip_bytes; stack > start && stack - start <= s.size_bytes - s.skip_bytes)
			return true;
	}
	for (size_t i = 0; i < ck.config.region_count; i++)
		if (uint64_t start = (uint64_t)ck.regions[i].address; stack > start && stack - start <= ck.regions[i].size_bytes)
			return true;
	return false;
}

Status write_vcpus(struct vkckpt &ck)
{
	for (uint32_t i = 0; i < ck.config.vcpu_count; i++) {
		struct vkckpt_f_vcpu vcpu;
		memset(&vcpu, 0, sizeof vcpu);
		vcpu.number = i;
		bool context = ck.config.resume_kind == VKCKPT_RESUME_CONTEXT;
		if (context && !is_saved(ck, ck.vcpus[i].context.rsp))
			return fail(EINVAL, VKCKPT_R_BAD_ARGUMENT, "capture", "a vCPU's stack lies in neither RAM nor a region", i);
		vcpu.kind = context ? VKCKPT_VCPU_CONTEXT : VKCKPT_VCPU_ENTRY;
		vcpu.state_bytes = context ? sizeof(struct vkckpt_f_context) : 0;
		VK_TRY(ck.writer.record(VKCKPT_REC_VCPU, &vcpu, sizeof vcpu, &ck.vcpus[i].context, vcpu.state_bytes));
	}
	return success();
}

}  // namespace vk
