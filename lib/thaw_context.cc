// THAW: the new armed vkernel, made while everything can still be refused, and what it is told before its first instruction.
#include <errno.h>
#include <string.h>

#include "lib/digest.h"
#include "lib/sys.h"
#include "lib/text.h"
#include "lib/thaw_state.h"

namespace vk {
namespace {

// What the image says takes the place of what the caller cannot know.
struct vkckpt_config vkernel_config(Thaw &t)
{
	const struct vkckpt_f_identity &id = t.image->head().identity();
	struct vkckpt_config c = t.config->vkernel;
	bool in_chain = t.image->head().shape().incremental();
	if (!c.image_path && c.image_fd < 0) {
		if (!t.config->path || t.clone)
			Text(t.default_image, sizeof t.default_image).add(t.name).add(".ckpt");
		else if (in_chain)	// others may need this one: nothing ever takes its place
			lineage_plain_name(t.config->path, t.default_image, sizeof t.default_image);
		else
			text_copy(t.default_image, sizeof t.default_image, t.config->path);
		c.image_path = t.default_image;
	}
	if (c.chain == 0 && in_chain && c.image_path && !t.clone)
		c.chain = VKCKPT_CHAIN_DEFAULT;
	c.name = t.name;
	c.vcpu_count = id.vcpu_count;
	c.segments = t.segments;
	c.segment_count = t.segment_count;
	c.regions = t.regions;
	c.region_count = t.region_count;
	c.devices = t.devices;
	c.device_count = t.device_count;
	c.cpu = t.cpu.masked ? &t.cpu : nullptr;
	return c;
}

void take_contexts(Thaw &t)
{
	if (t.config->vkernel.resume_kind != VKCKPT_RESUME_CONTEXT)
		return;
	for (uint32_t i = 0; i < t.ck->config.vcpu_count; i++) {
		const uint8_t *record = static_cast<const uint8_t *>(t.image->head().record(VKCKPT_REC_VCPU, i));
		memcpy(&t.ck->vcpus[i].context, record + sizeof(struct vkckpt_f_vcpu), sizeof(struct vkckpt_f_context));
	}
}

// From the image's record; the hook gets the vkernel's own form.
void vmspace_of(const void *record, struct vkckpt_vmspace *out)
{
	const struct vkckpt_f_vmspace *f = static_cast<const struct vkckpt_f_vmspace *>(record);
	memset(out, 0, sizeof *out);
	out->id = f->id;
	out->pid = f->pid;
	memcpy(out->name, f->name, sizeof out->name);
	out->name[sizeof out->name - 1] = 0;
	out->mapping_count = f->mapping_count;
	memcpy(out->mapping, f + 1, f->mapping_count * sizeof out->mapping[0]);
}

// The next image is built on the one that is thawed, if that can be found again; else it is a full one, and what was wrong with the chain is a
// warning in the run directory.
void go_on_with_chain(Thaw &t)
{
	if (!t.ck->lineage || !t.config->path || !t.image->head().shape().incremental())
		return;
	Status s = lineage_adopt(*t.ck->lineage, t.config->path, t.image->head().shape(), t.config->crypto);
	if (!s.ok())
		t.ck->run.words()->warning_reason = s.reason;
}

}  // namespace

Status thaw_make_context(Thaw &t)
{
	const struct vkckpt_f_identity &id = t.image->head().identity();
	Birth birth = {};
	birth.vkernel_id = id.vkernel_id;
	birth.thaw_count = id.thaw_count + 1;
	if (t.clone)
		VK_TRY(uuid_make(&birth.vkernel_id));
	VK_TRY(uuid_make(&birth.generation));
	t.info.size = sizeof t.info;
	t.info.image_id = id.image_id;
	t.info.generation = birth.generation;
	t.info.vkernel_id = birth.vkernel_id;
	t.info.thaw_count = birth.thaw_count;
	t.info.name = t.name;
	t.info.clone = t.clone;
	if (long r = sys_getrandom(t.info.entropy, sizeof t.info.entropy); r < 0)
		return fail_host((int)-r, "thaw: getrandom");
	struct vkckpt_config c = vkernel_config(t);
	// What only captures need is made by the fill's thread, or the watch, once the guest runs.
	VK_TRY(context_make(c, birth, t.fill || !c.quiesces_itself ? Prefault::later : Prefault::yes, &t.ck));
	t.ck->fill = t.fill;
	t.ck->not_lazy = t.not_lazy;
	t.ck->thawed = true;
	go_on_with_chain(t);
	take_contexts(t);
	return success();
}

Status thaw_ram_ready(Thaw &t)
{
	struct vkckpt_hooks &hooks = t.ck->hooks;
	for (uint32_t i = 0; hooks.ram_ready && i < t.segment_count; i++) {
		int r = hooks.ram_ready(hooks.arg, i, t.segments[i].address, t.segments[i].size_bytes, t.segments[i].fd);
		if (r < 0)
			return fail(-r, VKCKPT_R_HOOK_FAILED, "thaw: ram_ready", "", i);
	}
	return success();
}

Status thaw_make_vmspaces(Thaw &t)
{
	struct vkckpt_hooks &hooks = t.ck->hooks;
	ImageHead &head = t.image->head();
	for (size_t i = 0; hooks.vmspace_make && i < head.count(VKCKPT_REC_VMSPACE); i++) {
		struct vkckpt_vmspace v;
		vmspace_of(head.record(VKCKPT_REC_VMSPACE, i), &v);
		int r = hooks.vmspace_make(hooks.arg, &v);
		if (r < 0)
			return fail(-r, VKCKPT_R_HOOK_FAILED, "thaw: vmspace_make", v.name, v.id);
	}
	return success();
}

void thaw_set_clocks(Thaw &t)
{
	const struct vkckpt_f_host &then = t.image->head().host();
	t.info.realtime_gap_ns = (int64_t)(sys_clock_ns(CLOCK_REALTIME) - then.realtime_ns);
	t.info.monotonic_then_ns = then.monotonic_ns;
	t.info.monotonic_now_ns = sys_clock_ns(CLOCK_MONOTONIC);
	if (t.ck->hooks.thawed)
		t.ck->hooks.thawed(t.ck->hooks.arg, &t.info);
}

}  // namespace vk
