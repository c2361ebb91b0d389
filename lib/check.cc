// THAW: the image, this host and this vkernel: do they fit? Nothing is touched. A thaw ends at the first refusal; a dry run tells all.
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/arm_check.h"
#include "lib/codec.h"
#include "lib/cpu.h"
#include "lib/digest.h"
#include "lib/host.h"
#include "lib/sys.h"
#include "lib/text.h"
#include "lib/thaw_state.h"

namespace vk {
namespace {

constexpr const char *kWhere = "thaw: check";

Status refuse(uint32_t reason, const char *subject, int code = ENOTSUP, uint64_t number = 0)
{
	return fail(code, reason, kWhere, subject, number);
}

Status check_arch(Thaw &t)
{
	uint32_t arch = t.image->head().header().arch;
	return arch == VKCKPT_ARCH_X86_64 ? success() : refuse(VKCKPT_R_ARCH_DIFFERS, "", ENOTSUP, arch);
}

// What guests are to be shown of the processor: what the image says, or the caller, who may not take away what they know of.
Status check_shown(Thaw &t)
{
	const struct vkckpt_f_host &then = t.image->head().host();
	const struct vkckpt_config &v = t.config->vkernel;
	const struct vkckpt_hooks *hooks = v.hooks;
	const struct vkckpt_cpu *given = v.size > offsetof(struct vkckpt_config, cpu) ? v.cpu : nullptr;
	t.cpu = given ? *given : cpu_shown(then);
	if (!t.cpu.masked)
		return success();
	struct vkckpt_f_host shown = t.here;
	cpu_show(t.cpu, &shown);
	if (Status s = cpu_check(then, shown); !s.ok()) {
		char subject[64];
		Text(subject, sizeof subject).add("cpu: its guests were shown ").add(s.subject);
		VK_TRY(go_on(t, refuse(VKCKPT_R_BAD_ARGUMENT, subject, EINVAL)));
	}
	bool can = hooks && hooks->size > offsetof(struct vkckpt_hooks, cpu_masked) && hooks->cpu_masked &&
	    hooks->cpu_masked(hooks->arg, &t.cpu) >= 0;
	return can ? success() : refuse(VKCKPT_R_CPU_UNMASKED, "");
}

Status check_host(Thaw &t)
{
	const struct vkckpt_f_host &then = t.image->head().host();
	VK_TRY(host_facts(&t.here));
	VK_TRY(go_on(t, check_arch(t)));
	if (then.page_bytes != t.here.page_bytes)
		VK_TRY(go_on(t, refuse(VKCKPT_R_PAGE_SIZE_DIFFERS, "", ENOTSUP, then.page_bytes)));
	VK_TRY(go_on(t, cpu_check_features(then, t.here)));
	VK_TRY(go_on(t, cpu_check_xstate(then, t.here)));
	return go_on(t, check_shown(t));
}

Status check_build(const struct vkckpt_config &v, const struct vkckpt_f_identity &id)
{
	uint8_t own[32] = {};
	size_t own_bytes = v.build_id_bytes;
	if (v.build_id && own_bytes <= sizeof own)
		memcpy(own, v.build_id, own_bytes);
	else
		own_bytes = program_build_id(own, sizeof own);
	char text[64];
	Text(text, sizeof text).add("written by build ").bytes_hex(id.build_id, id.build_id_bytes < 20 ? id.build_id_bytes : 20);
	if (own_bytes != id.build_id_bytes || memcmp(own, id.build_id, own_bytes))
		return refuse(VKCKPT_R_BUILD_DIFFERS, text);
	return success();
}

Status check_layout(const struct vkckpt_config &v, const struct vkckpt_f_identity &id)
{
	if (!digest_equal(digest_of(v.layout, v.layout_count * sizeof *v.layout), id.layout))
		return refuse(VKCKPT_R_LAYOUT_DIFFERS, "layout");
	if (v.pagetable_format != id.pagetable_format)
		return refuse(VKCKPT_R_LAYOUT_DIFFERS, "pagetable_format", ENOTSUP, id.pagetable_format);
	return success();
}

Status check_vkernel(Thaw &t)
{
	const struct vkckpt_config &v = t.config->vkernel;
	const struct vkckpt_f_identity &id = t.image->head().identity();
	char kind[64];
	Text(kind, sizeof kind).add(id.program, text_length(id.program, sizeof id.program));
	if (!v.program || !text_equal(v.program, kind))
		return go_on(t, refuse(VKCKPT_R_PROGRAM_DIFFERS, kind));	// build and layout of another program say nothing more
	VK_TRY(go_on(t, check_build(v, id)));
	return go_on(t, check_layout(v, id));
}

// Addresses only where this vkernel says that they may be: what lies elsewhere would be mapped or written over.
Status check_places(Thaw &t)
{
	const struct vkckpt_config &v = t.config->vkernel;
	ImageHead &head = t.image->head();
	const ImageShape &shape = head.shape();
	bool has_places = v.size > offsetof(struct vkckpt_config, places);
	if (has_places && v.place_count && !v.places)
		return fail(EINVAL, VKCKPT_R_BAD_ARGUMENT, "thaw: config", "places");
	for (uint32_t i = 0; has_places && i < shape.segment_count; i++)
		if (uint64_t address = shape.segment[i].address + shape.segment_skip[i];
		    !place_allowed(v, address, shape.segment[i].size_bytes - shape.segment_skip[i]))
			return refuse(VKCKPT_R_LAYOUT_DIFFERS, "RAM lies in none of the vkernel's places", ENOTSUP, address);
	for (size_t i = 0; has_places && i < head.count(VKCKPT_REC_REGION); i++)
		if (const struct vkckpt_f_region *r = head.as<struct vkckpt_f_region>(VKCKPT_REC_REGION, i);
		    !place_allowed(v, r->address, r->size_bytes))
			return refuse(VKCKPT_R_LAYOUT_DIFFERS, "a region lies in none of the vkernel's places", ENOTSUP, r->address);
	return success();
}

bool in_ram_or_region(Thaw &t, uint64_t address)
{
	const ImageShape &shape = t.image->head().shape();
	for (uint32_t i = 0; i < shape.segment_count; i++)
		if (uint64_t start = shape.segment[i].address + shape.segment_skip[i];
		    address - start <= shape.segment[i].size_bytes - shape.segment_skip[i] && address != start)
			return true;
	for (size_t i = 0; i < t.image->head().count(VKCKPT_REC_REGION); i++) {
		const struct vkckpt_f_region *r = t.image->head().as<struct vkckpt_f_region>(VKCKPT_REC_REGION, i);
		if (address - r->address <= r->size_bytes && address != r->address)
			return true;
	}
	return false;
}

// One record per vCPU, in order, of the kind that this program resumes.
Status check_vcpus(Thaw &t)
{
	ImageHead &head = t.image->head();
	uint32_t wanted = t.config->vkernel.resume_kind == VKCKPT_RESUME_CONTEXT ? VKCKPT_VCPU_CONTEXT : VKCKPT_VCPU_ENTRY;
	uint32_t count = head.identity().vcpu_count;
	if (count == 0 || count > VKCKPT_MAX_VCPUS || head.count(VKCKPT_REC_VCPU) != count)
		return refuse(VKCKPT_R_DAMAGED, "vCPU records", EBADMSG, count);
	for (uint32_t i = 0; i < count; i++) {
		size_t bytes = 0;
		const uint8_t *record = static_cast<const uint8_t *>(head.record(VKCKPT_REC_VCPU, i, &bytes));
		struct vkckpt_f_vcpu vcpu;
		memcpy(&vcpu, record, sizeof vcpu);
		if (vcpu.number != i)
			return refuse(VKCKPT_R_DAMAGED, "vCPU records", EBADMSG, i);
		if (vcpu.kind != wanted)
			return refuse(VKCKPT_R_RESUME_DIFFERS, "resume_kind", ENOTSUP, vcpu.kind);
		if (wanted != VKCKPT_VCPU_CONTEXT)
			continue;
		struct vkckpt_f_context context;
		if (bytes != sizeof vcpu + sizeof context)
			return refuse(VKCKPT_R_DAMAGED, "vCPU records", EBADMSG, i);
		memcpy(&context, record + sizeof vcpu, sizeof context);
		if (!in_ram_or_region(t, context.rsp))
			return refuse(VKCKPT_R_LAYOUT_DIFFERS, "a vCPU's stack lies in neither RAM nor a region", ENOTSUP, i);
	}
	return success();
}

Status check_name(Thaw &t)
{
	const char *clone = t.config->clone, *own = t.image->head().identity().name;
	t.clone = clone != nullptr;
	Text name(t.name, sizeof t.name);
	name.add(clone && *clone ? clone : own);
	if (clone && !*clone)
		name.add("-").decimal((uint64_t)sys_getpid());
	if (t.clone && (name.cut() || !is_name(t.name)))
		return refuse(VKCKPT_R_BAD_ARGUMENT, "the clone's name", EINVAL);
	return success();
}

Status check_devices(Thaw &t)
{
	ImageHead &head = t.image->head();
	for (size_t i = 0; i < head.count(VKCKPT_REC_DEVICE); i++) {
		const struct vkckpt_f_device *d = head.as<struct vkckpt_f_device>(VKCKPT_REC_DEVICE, i);
		bool known = false;
		for (size_t k = 0; k < t.config->class_count; k++)
			known = known || (text_equal(t.config->classes[k]->name, d->device_class) &&
			    t.config->classes[k]->version >= d->version);
		if (!known && d->policy != VKCKPT_POLICY_DROP) {
			char subject[64];
			Text(subject, sizeof subject).add(d->name).add(": class ").add(d->device_class).add(" version ").decimal(d->version);
			VK_TRY(go_on(t, refuse(VKCKPT_R_DEVICE_UNKNOWN, subject, ENODEV)));
		}
	}
	for (size_t i = 0; i < head.count(VKCKPT_REC_DEVICE); i++)
		source_follow_frozen(*head.sources()[i]);
	for (size_t i = 0; i < t.config->override_count; i++)
		VK_TRY(go_on(t, source_override(head.sources(), head.count(VKCKPT_REC_DEVICE), t.config->overrides[i])));
	return success();
}

// Frames with content, and the page tables and such that the host needs for them.
uint64_t content_bytes(const OpenImage &image)
{
	uint64_t frames = 0;
	for (uint64_t i = 0; i < image.index_count(); i++)
		if (const struct vkckpt_f_chunk &c = image.index()[i]; c.codec != VKCKPT_CODEC_ZERO)
			frames += (uint64_t)mask_count(c.mask) * (c.object >= VKCKPT_OBJECT_REGION ? 2 : 1);	// a region is loaded aside first
	return frames * (VKCKPT_FRAME + VKCKPT_FRAME / 128);
}

// What the new vkernel sets aside at once for so much RAM, and its content: at most all of RAM; if that is too much, what the index says; of an
// image that comes through a descriptor no more is known than what is stored, compressed: who passes may run out, before the point of no return.
Status check_memory(Thaw &t)
{
	struct stat st;
	if (t.userfault >= 0)	// takes what is touched
		return success();
	const ImageShape &shape = t.image->head().shape();
	const uint64_t host = host_memory_available(), group = group_memory_available(), room = host < group ? host : group;
	uint64_t fixed = ram_cost_bytes(shape), bytes = fixed;
	for (uint32_t i = 0; i < shape.segment_count; i++)
		bytes += shape.segment[i].size_bytes;
	for (uint32_t i = 0; i < shape.region_count; i++)
		bytes += 2 * shape.region_bytes[i];
	if (bytes + bytes / 128 <= room)
		return success();
	bool file = sys_fstat(t.fd, &st) == 0 && S_ISREG(st.st_mode);
	bytes = fixed + (file ? (uint64_t)st.st_size : 0);
	if (file && t.config->path) {
		VK_TRY(t.image->read_index());
		bytes = fixed + content_bytes(*t.image);
	}
	char subject[64];
	Text(subject, sizeof subject).decimal(room >> 20).add(group < host ? " MiB left by the control group's limit" : " MiB left on the host");
	return bytes > room ? refuse(VKCKPT_R_MEMORY_SHORT, subject, ENOMEM, bytes) : success();
}

}  // namespace

Status go_on(Thaw &t, const Status &s)
{
	if (s.ok() || !t.config->dry_run)
		return s;
	struct vkckpt_error err;
	(void)report(s, &err);
	if (t.device_error.message[0])
		err = t.device_error;		// the class knows better what is wrong
	memset(&t.device_error, 0, sizeof t.device_error);
	if (t.config->refusal)
		t.config->refusal(t.config->refusal_arg, &err);
	if (t.refused.ok()) {
		t.refused = s;
		t.refused_error = err;
	}
	return success();
}

Status thaw_check(Thaw &t)
{
	VK_TRY(check_host(t));
	VK_TRY(check_vkernel(t));
	VK_TRY(go_on(t, check_places(t)));
	VK_TRY(go_on(t, check_vcpus(t)));
	VK_TRY(go_on(t, check_name(t)));
	VK_TRY(check_devices(t));
	return go_on(t, check_memory(t));
}

}  // namespace vk
