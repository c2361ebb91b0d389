// Checks of what arm is told. See arm_check.h.
#include "lib/arm_check.h"

#include <errno.h>
#include <sys/stat.h>

#include "lib/codec.h"
#include "lib/image_check.h"
#include "lib/sys.h"
#include "lib/text.h"
#include "lib/walk.h"

namespace vk {
namespace {

constexpr const char *kWhere = "arm: config";

Status too_many(const char *field, uint64_t number) { return fail(ENOBUFS, VKCKPT_R_LIMIT, kWhere, field, number); }

// "segments[3].address"
Status bad_element(const char *array, size_t i, const char *field, int code = EINVAL, uint32_t reason = VKCKPT_R_BAD_ARGUMENT)
{
	char subject[64];
	Text(subject, sizeof subject).add(array).add("[").decimal(i).add("]").add(field);
	return fail(code, reason, kWhere, subject, i);
}

// A descriptor's holes say which frames were never touched, so another file than that of the RAM would lose frames. What tells is
// that it is no file or a shorter one, as when the field was forgotten and is the standard input.
bool is_ram_file(int fd, uint64_t size_bytes)
{
	struct stat st;
	return fd < 0 || (sys_fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size >= size_bytes);
}

bool is_range(const void *address, uint64_t bytes) { return address_range((uint64_t)address, bytes); }

bool overlap(const void *a, uint64_t a_bytes, const void *b, uint64_t b_bytes)
{
	return ranges_overlap((uint64_t)a, a_bytes, (uint64_t)b, b_bytes);
}

const void *ram_start(const struct vkckpt_segment &s) { return static_cast<const uint8_t *>(s.address) + s.skip_bytes; }
uint64_t ram_bytes(const struct vkckpt_segment &s) { return s.size_bytes - s.skip_bytes; }

Status check_segments(const struct vkckpt_config &c)
{
	if (c.segment_count == 0 || !c.segments)
		return bad_config("segments");
	if (c.segment_count > VKCKPT_MAX_SEGMENTS)
		return too_many("segment_count", c.segment_count);
	uint64_t ram = 0;
	for (size_t i = 0; i < c.segment_count; i++) {
		const struct vkckpt_segment &s = c.segments[i];
		if ((uint64_t)s.address % VKCKPT_FRAME || !is_range(s.address, s.size_bytes))
			return bad_element("segments", i, ".address");
		if (s.size_bytes == 0 || s.size_bytes % VKCKPT_FRAME)
			return bad_element("segments", i, ".size_bytes");
		if (s.skip_bytes % VKCKPT_FRAME || s.skip_bytes >= s.size_bytes)
			return bad_element("segments", i, ".skip_bytes");
		if (!is_ram_file(s.fd, s.size_bytes))
			return bad_element("segments", i, ".fd");
		if (s.size_bytes > VKCKPT_MAX_RAM_BYTES - ram)
			return bad_element("segments", i, ".size_bytes", ENOBUFS, VKCKPT_R_LIMIT);
		for (size_t j = 0; j < i; j++)
			if (overlap(ram_start(s), ram_bytes(s), ram_start(c.segments[j]), ram_bytes(c.segments[j])))
				return bad_element("segments", i, ".address: overlaps");
		ram += s.size_bytes;
	}
	return success();
}

Status check_regions(const struct vkckpt_config &c)
{
	if (c.region_count > VKCKPT_MAX_REGIONS)
		return too_many("region_count", c.region_count);
	if (c.region_count && !c.regions)
		return bad_config("regions");
	for (size_t i = 0; i < c.region_count; i++) {
		const struct vkckpt_region &r = c.regions[i];
		if (!is_name(r.name))
			return bad_element("regions", i, ".name");
		if (r.size_bytes == 0 || !is_range(r.address, r.size_bytes))
			return bad_element("regions", i, ".address");
		if (r.size_bytes > VKCKPT_MAX_REGION_BYTES)
			return bad_element("regions", i, ".size_bytes", ENOBUFS, VKCKPT_R_LIMIT);
		for (size_t j = 0; j < c.segment_count; j++)
			if (overlap(r.address, r.size_bytes, ram_start(c.segments[j]), ram_bytes(c.segments[j])))
				return bad_element("regions", i, ".address: overlaps RAM");
		for (size_t j = 0; j < i; j++)
			if (overlap(r.address, r.size_bytes, c.regions[j].address, c.regions[j].size_bytes))
				return bad_element("regions", i, ".address: overlaps");
	}
	return success();
}

bool inside(const struct vkckpt_secret &s, const void *address, uint64_t bytes)
{
	uint64_t at = (uint64_t)s.address - (uint64_t)address;	// wraps to something large when it lies before
	return at < bytes && s.size_bytes <= bytes - at;
}

Status check_secrets(const struct vkckpt_config &c)
{
	if (c.secret_count > VKCKPT_MAX_SECRETS)
		return too_many("secret_count", c.secret_count);
	if (c.secret_count && !c.secrets)
		return bad_config("secrets");
	for (size_t i = 0; i < c.secret_count; i++) {
		bool known = false;
		for (size_t j = 0; j < c.segment_count; j++)
			known = known || inside(c.secrets[i], ram_start(c.segments[j]), ram_bytes(c.segments[j]));
		for (size_t j = 0; j < c.region_count; j++)
			known = known || inside(c.secrets[i], c.regions[j].address, c.regions[j].size_bytes);
		if (!known || c.secrets[i].size_bytes == 0)
			return bad_element("secrets", i, ": not inside a segment or region");
	}
	return success();
}

// What a thaw of the image would refuse is refused at once.
Status check_places(const struct vkckpt_config &c)
{
	for (size_t i = 0; i < c.segment_count; i++)
		if (!place_allowed(c, (uint64_t)ram_start(c.segments[i]), ram_bytes(c.segments[i])))
			return bad_element("segments", i, ".address: in none of the places");
	for (size_t i = 0; i < c.region_count; i++)
		if (!place_allowed(c, (uint64_t)c.regions[i].address, c.regions[i].size_bytes))
			return bad_element("regions", i, ".address: in none of the places");
	return success();
}

Status check_devices(const struct vkckpt_config &c)
{
	if (c.device_count > VKCKPT_MAX_DEVICES)
		return too_many("device_count", c.device_count);
	if (c.device_count && !c.devices)
		return bad_config("devices");
	for (size_t i = 0; i < c.device_count; i++) {
		const struct vkckpt_device &d = c.devices[i];
		if (!d.device_class || d.device_class->size != sizeof *d.device_class)
			return bad_element("devices", i, ".device_class");
		if (!is_name(d.device_class->name) || text_length(d.device_class->name) > 31)
			return bad_element("devices", i, ".device_class->name");
		if (!is_name(d.name) || text_length(d.name) > 31)
			return bad_element("devices", i, ".name");
		if (d.policy > VKCKPT_POLICY_FAIL)
			return bad_element("devices", i, ".policy");
		for (size_t j = 0; j < i; j++)
			if (text_equal(d.name, c.devices[j].name))
				return bad_element("devices", i, ".name: occurs twice");
	}
	return success();
}

Status check_chain(const struct vkckpt_config &c)
{
	if (c.chain > VKCKPT_MAX_CHAIN && c.chain != VKCKPT_CHAIN_OFF)
		return too_many("chain", c.chain);
	if (chain_limit(c) != 0 && !c.image_path)
		return bad_config("chain: its images need names; set image_path");
	if (c.parent_path && chain_limit(c) == 0)
		return bad_config("parent_path: set chain too");
	return success();
}

}  // namespace

Status bad_config(const char *field, uint64_t number) { return fail(EINVAL, VKCKPT_R_BAD_ARGUMENT, kWhere, field, number); }

uint32_t chain_limit(const struct vkckpt_config &c) { return c.chain == VKCKPT_CHAIN_OFF ? 0 : c.chain; }

Status check_config(const struct vkckpt_config &c)
{
	if (!is_name(c.program))
		return bad_config("program");
	if (!is_name(c.name))
		return bad_config("name");
	if (c.image_path ? (!*c.image_path || text_length(c.image_path) > VKCKPT_MAX_PATH - 16) : c.image_fd < 0)
		return bad_config("image_path");
	if (c.on_ckpt != VKCKPT_ACTION_EXIT && c.on_ckpt != VKCKPT_ACTION_CONTINUE)
		return bad_config("on_ckpt", c.on_ckpt);
	if (c.resume_kind > VKCKPT_RESUME_CONTEXT)
		return bad_config("resume_kind", c.resume_kind);
	if (c.vcpu_count == 0)
		return bad_config("vcpu_count");
	if (c.vcpu_count > VKCKPT_MAX_VCPUS)
		return too_many("vcpu_count", c.vcpu_count);
	if (c.pagetable_format != VKCKPT_PT_NONE && !pagetable_format(c.pagetable_format))
		return bad_config("pagetable_format", c.pagetable_format);
	if (c.build_id ? c.build_id_bytes == 0 || c.build_id_bytes > 32 : c.build_id_bytes != 0)
		return bad_config("build_id_bytes", c.build_id_bytes);
	if (c.layout_count > (1u << 20) || (c.layout_count && !c.layout))
		return bad_config("layout_count", c.layout_count);
	if (!c.hooks || c.hooks->size == 0 || c.hooks->size > sizeof *c.hooks)
		return bad_config("hooks");
	if (c.quiesces_itself > 1)
		return bad_config("quiesces_itself", c.quiesces_itself);
	if (c.workers > VKCKPT_MAX_WORKERS)
		return too_many("workers", c.workers);
	if (c.codec != 0 && c.codec != VKCKPT_CODEC_RAW && c.codec != VKCKPT_CODEC_LZ4)
		return bad_config("codec", c.codec);
	if (c.level > kLz4Small || (c.level != 0 && c.codec == VKCKPT_CODEC_RAW))
		return bad_config("level", c.level);
	VK_TRY(check_chain(c));
	if (c.place_count && !c.places)
		return bad_config("places");
	VK_TRY(check_segments(c));
	VK_TRY(check_regions(c));
	VK_TRY(check_secrets(c));
	VK_TRY(check_places(c));
	return check_devices(c);
}

bool place_allowed(const struct vkckpt_config &c, uint64_t address, uint64_t bytes)
{
	bool allowed = c.place_count == 0;
	for (size_t i = 0; i < c.place_count && !allowed; i++)
		allowed = address >= c.places[i].address && bytes <= c.places[i].size_bytes &&
		    address - c.places[i].address <= c.places[i].size_bytes - bytes;
	return allowed;
}

bool is_name(const char *text) { return text && text_is_name(text); }

}  // namespace vk
