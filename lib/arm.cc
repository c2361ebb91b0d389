// ARM: what a vkernel tells us is copied here (after the checks of arm_check.cc), and every buffer that a capture will need is sized and mapped.
#include <errno.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

#include "lib/arm_check.h"
#include "lib/context.h"
#include "lib/cpu.h"
#include "lib/export.h"
#include "lib/host.h"
#include "lib/image_check.h"
#include "lib/image_place.h"
#include "lib/signals.h"
#include "lib/sys.h"
#include "lib/text.h"

// <new> belongs to libstdc++.
inline void *operator new(size_t, void *place) noexcept { return place; }

namespace vk {
namespace {

// --- sizes

ImageShape shape_of(const struct vkckpt_config &c)
{
	ImageShape shape;
	shape.features = chain_limit(c) != 0 ? VKCKPT_FEATURE_INCREMENTAL : 0;
	shape.segment_count = (uint32_t)c.segment_count;
	for (size_t i = 0; i < c.segment_count; i++) {
		shape.segment[i] = { (uint64_t)c.segments[i].address, c.segments[i].size_bytes };
		shape.segment_skip[i] = c.segments[i].skip_bytes;
	}
	shape.region_count = (uint32_t)c.region_count;
	for (size_t i = 0; i < c.region_count; i++)
		shape.region_bytes[i] = c.regions[i].size_bytes;
	return shape;
}

uint64_t largest_segment(const ImageShape &shape)
{
	uint64_t largest = 0;
	for (uint32_t i = 0; i < shape.segment_count; i++)
		if (shape.segment[i].size_bytes > largest)
			largest = shape.segment[i].size_bytes;
	return largest;
}

uint64_t chunk_count(const ImageShape &shape)
{
	uint64_t first[VKCKPT_MAX_SEGMENTS + VKCKPT_MAX_REGIONS + 1];
	return first_chunks(shape, first);
}

// own_bytes and bulk_bytes mirror take_own and take_bulk line by line; the arena traps if they differ.
size_t own_bytes(const struct vkckpt_config &c, unsigned workers)
{
	size_t bytes = Arena::room(sizeof(struct vkckpt), 4096) + Arena::room(4096, 4096);
	bytes += Arena::room(c.segment_count * sizeof(struct vkckpt_segment));
	bytes += Arena::room(c.region_count * sizeof(struct vkckpt_region)) + c.region_count * Arena::room(64);
	bytes += Arena::room(c.secret_count * sizeof(struct vkckpt_secret));
	bytes += Arena::room(c.device_count * sizeof(struct vkckpt_device)) + c.device_count * Arena::room(64);
	bytes += Arena::room(c.vcpu_count * sizeof(Vcpu)) + c.vcpu_count * Arena::room(kGuardBytes + kVcpuStackBytes, 4096);
	bytes += Arena::room(kGuardBytes + kCaptureStackBytes, 4096);
	bytes += Arena::room((c.device_count + 1) * sizeof(DiskStep)) + Arena::room(VKCKPT_MAX_RECORD, 4096);
	return bytes + Watch::arena_bytes() + Crew::arena_bytes(workers);
}

size_t bulk_bytes(const struct vkckpt_config &c, const ImageShape &shape, unsigned workers)
{
	size_t bytes = 2 * Arena::room(kPlanFrames) + HotSet::arena_bytes(c.segments, c.segment_count);
	bytes += Arena::room(workers * sizeof(GroupBuilder)) + (workers - 1) * GroupBuilder::arena_bytes();
	bytes += Arena::room(workers * size_t{VKCKPT_CHUNK}, 4096);
	bytes += chain_limit(c) != 0 ? lineage_arena_bytes(shape) : 0;
	return bytes + ram_cost_bytes(shape);
}

const char *copy_name(Arena &arena, const char *name)
{
	char *out = static_cast<char *>(arena.take(64));
	text_copy(out, 64, name);
	return out;
}

// A stack in the arena, with a page below it that faults: a hook that needs more must not write over its neighbour. Returns its top.
uint8_t *take_stack(Arena &arena, size_t bytes)
{
	uint8_t *base = static_cast<uint8_t *>(arena.take(kGuardBytes + bytes, 4096));
	sys_mprotect(base, kGuardBytes, PROT_NONE);	// a help, not a need
	return base + kGuardBytes + bytes;
}

void take_own(struct vkckpt &ck, const struct vkckpt_config &c, unsigned workers)
{
	Arena &arena = ck.arena;
	ck.segments = arena.take_array<struct vkckpt_segment>(c.segment_count);
	memcpy(ck.segments, c.segments, c.segment_count * sizeof *c.segments);
	ck.regions = arena.take_array<struct vkckpt_region>(c.region_count);
	for (size_t i = 0; i < c.region_count; i++)
		ck.regions[i] = { copy_name(arena, c.regions[i].name), c.regions[i].address, c.regions[i].size_bytes };
	ck.secrets = arena.take_array<struct vkckpt_secret>(c.secret_count);
	for (size_t i = 0; i < c.secret_count; i++)
		ck.secrets[i] = c.secrets[i];
	ck.devices = arena.take_array<struct vkckpt_device>(c.device_count);
	for (size_t i = 0; i < c.device_count; i++) {
		ck.devices[i] = c.devices[i];
		ck.devices[i].name = copy_name(arena, c.devices[i].name);
	}
	ck.vcpus = arena.take_array<Vcpu>(c.vcpu_count);
	for (uint32_t i = 0; i < c.vcpu_count; i++) {
		ck.vcpus[i].owner = &ck;
		ck.vcpus[i].number = i;
		ck.vcpus[i].stack_top = take_stack(arena, kVcpuStackBytes);
	}
	ck.capture_stack_top = take_stack(arena, kCaptureStackBytes);
	ck.disk_steps = arena.take_array<DiskStep>(c.device_count + 1);
	ck.record = static_cast<uint8_t *>(arena.take(VKCKPT_MAX_RECORD, 4096));
	ck.watch.init(arena);
	ck.crew.init(arena, workers);
}

void take_bulk(struct vkckpt &ck, const struct vkckpt_config &c, const ImageShape &shape, unsigned workers)
{
	Arena &arena = ck.bulk;
	ck.frame_state = static_cast<uint8_t *>(arena.take(kPlanFrames));
	ck.frame_class = static_cast<uint8_t *>(arena.take(kPlanFrames));
	ck.hot.init(arena, c.segments, c.segment_count);
	walk_scratch_init(ck.walk, arena, largest_segment(shape));
	ck.writer.init(arena, shape);
	ck.builders = arena.take_array<GroupBuilder>(workers);
	for (unsigned i = 0; i < workers - 1; i++)
		(new (&ck.builders[i]) GroupBuilder())->init(arena);
	ck.copies = static_cast<uint8_t *>(arena.take(workers * size_t{VKCKPT_CHUNK}, 4096));
	ck.plan = arena.take_array<PlanChunk>(chunk_count(shape));
	ck.lineage = chain_limit(c) != 0 ? lineage_make(arena, shape, chain_limit(c)) : nullptr;
}

// --- copying

Status copy_path(struct vkckpt &ck, const char *path)
{
	if (!path)
		return success();
	Text text(ck.image_path, sizeof ck.image_path);
	if (*path != '/') {
		char here[VKCKPT_MAX_PATH + 1];
		long n = sys_call(SYS_getcwd, (long)here, sizeof here);
		if (n < 0)
			return fail_host((int)-n, "arm: getcwd");
		text.add(here).add("/");
	}
	text.add(path);
	return text.cut() || text.length() > VKCKPT_MAX_PATH - 16 ? bad_config("image_path") : success();
}

Status copy_config(struct vkckpt &ck, const struct vkckpt_config &c, const Birth &birth)
{
	ck.config = c;
	ck.birth = birth;
	memcpy(&ck.hooks, c.hooks, c.hooks->size);
	text_copy(ck.name, sizeof ck.name, c.name);
	text_copy(ck.program, sizeof ck.program, c.program);
	VK_TRY(copy_path(ck, c.image_path));
	if (ck.lineage)
		VK_TRY(lineage_begin(*ck.lineage, ck.image_path));
	if (c.build_id) {
		memcpy(ck.build_id, c.build_id, c.build_id_bytes);
		ck.build_id_bytes = (uint32_t)c.build_id_bytes;
	} else {
		ck.build_id_bytes = (uint32_t)program_build_id(ck.build_id, sizeof ck.build_id);
	}
	if (c.resume_kind == VKCKPT_RESUME_CONTEXT && program_is_relocated())
		return bad_config("resume_kind: contexts need a program linked -no-pie");
	if (ck.build_id_bytes == 0 && (c.region_count || c.resume_kind == VKCKPT_RESUME_CONTEXT))
		return bad_config("build_id: the program has none (link with -Wl,--build-id)");
	ck.layout = digest_of(c.layout, c.layout_count * sizeof *c.layout);
	ck.config.name = ck.name;
	ck.config.program = ck.program;
	ck.config.image_path = c.image_path ? ck.image_path : nullptr;
	ck.config.hooks = &ck.hooks;
	ck.config.segments = ck.segments;
	ck.config.regions = ck.regions;
	ck.config.secrets = ck.secrets;
	ck.config.devices = ck.devices;
	ck.config.build_id = ck.build_id;
	ck.config.build_id_bytes = ck.build_id_bytes;
	ck.config.layout = nullptr;
	ck.config.parent_path = nullptr;
	ck.config.places = nullptr;
	ck.config.place_count = 0;
	if (!ck.config.codec)
		ck.config.codec = VKCKPT_CODEC_LZ4;
	if (!ck.config.quiesce_timeout_ns)
		ck.config.quiesce_timeout_ns = kQuiesceTimeout;
	if (!ck.config.notice_timeout_ns)
		ck.config.notice_timeout_ns = kNoticeTimeout;
	VK_TRY(host_facts(&ck.host));
	if (c.cpu && c.cpu->masked)
		cpu_show(*c.cpu, &ck.host);
	ck.config.cpu = nullptr;
	return success();
}

// --- the run directory, and room for an image

// An upper bound: every frame stored raw, with its descriptors twice.
uint64_t estimate_bytes(const struct vkckpt_config &c)
{
	uint64_t bytes = 4u << 20;
	for (size_t i = 0; i < c.segment_count; i++)
		bytes += c.segments[i].size_bytes + c.segments[i].size_bytes / 256;
	for (size_t i = 0; i < c.region_count; i++)
		bytes += c.regions[i].size_bytes + VKCKPT_CHUNK;
	return bytes;
}

void folder_of(const char *path, char *out, size_t room)
{
	size_t end = 0;
	for (size_t i = 0; path[i]; i++)
		if (path[i] == '/')
			end = i;
	Text(out, room).add(path, end ? end : 1);
}

Status reserve_room(struct vkckpt &ck, uint64_t bytes)
{
	char path[VKCKPT_MAX_PATH + 16];
	Text(path, sizeof path).add(ck.image_path).add(".reserve");
	long removed = sys_unlink(path);
	long fd = sys_open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (fd < 0)	// what stands there and cannot be removed is why
		return fail_host((int)(fd == -EEXIST && removed < 0 ? -removed : -fd), "arm: reserve_image", path);
	long r = sys_fallocate((int)fd, 0, 0, bytes);
	sys_close((int)fd);
	if (r < 0) {
		sys_unlink(path);
		return fail_host((int)-r, "arm: reserve_image", path, bytes);
	}
	ck.reserve_held = 1;
	return success();
}

// Room for an image: set aside if the vkernel chose so, else only looked at; too little is a warning for whoever watches.
Status look_for_room(struct vkckpt &ck, struct vkckpt_run_entry &entry)
{
	if (!ck.image_path[0])
		return success();
	if (ck.run.image_is_shared())	// the last to be suspended would replace the image of the other
		entry.warning_reason = VKCKPT_R_IMAGE_IN_USE;
	if (ck.config.reserve_image)
		return reserve_room(ck, entry.estimate_bytes);
	char folder[VKCKPT_MAX_PATH + 1];
	folder_of(ck.image_path, folder, sizeof folder);
	struct statfs st;
	long r = sys_call(SYS_statfs, (long)folder, (long)&st);
	if (r < 0)
		entry.warning_reason = r == -ENOENT ? VKCKPT_R_NOT_FOUND : VKCKPT_R_IO_ERROR;
	else if ((uint64_t)st.f_bavail * (uint64_t)st.f_bsize < entry.estimate_bytes)
		entry.warning_reason = VKCKPT_R_NO_SPACE;
	return success();
}

Status make_entry(struct vkckpt &ck, void *page)
{
	VK_TRY(ck.run.open(ck.config.run_dir, ck.name, page));
	struct vkckpt_run_entry &e = *ck.run.words();
	e.pid = (uint64_t)sys_getpid();
	e.start_time = process_start_time();
	text_copy(e.name, sizeof e.name, ck.name);
	text_copy(e.program, sizeof e.program, ck.program);
	text_copy(e.image_path, sizeof e.image_path, ck.image_path);
	for (size_t i = 0; i < ck.config.segment_count; i++)
		e.ram_bytes += ck.segments[i].size_bytes;
	e.estimate_bytes = estimate_bytes(ck.config);
	e.on_ckpt = ck.config.on_ckpt;
	e.chain_limit = chain_limit(ck.config);
	return look_for_room(ck, e);
}

}  // namespace

uint64_t ram_cost_bytes(const ImageShape &shape)
{
	return walk_scratch_bytes(largest_segment(shape)) + ImageWriter::arena_bytes(shape) + Arena::room(chunk_count(shape) * sizeof(PlanChunk));
}

void reserve_again(struct vkckpt &ck)
{
	struct vkckpt_run_entry &entry = *ck.run.words();
	if (!ck.config.reserve_image || !ck.image_path[0] || ck.reserve_held)
		return;
	Status s = reserve_room(ck, entry.estimate_bytes);
	entry.warning_reason = s.reason;
}

Status context_make(const struct vkckpt_config &given, const Birth &birth, Prefault bulk, struct vkckpt **out)
{
	if (given.size != sizeof given && given.size != offsetof(struct vkckpt_config, chain) &&
	    given.size != offsetof(struct vkckpt_config, crypto) && given.size != offsetof(struct vkckpt_config, workers))
		return bad_config("size", given.size);
	struct vkckpt_config config = {};	// what a shorter one does not have is 0
	memcpy(&config, &given, given.size);
	VK_TRY(check_config(config));
	ImageShape shape = shape_of(config);
	unsigned workers = Crew::workers_for(config.workers);
	Arena arena;
	VK_TRY(arena.map(own_bytes(config, workers), Prefault::yes));
	struct vkckpt *ck = new (arena.take(sizeof(struct vkckpt), 4096)) struct vkckpt();
	ck->arena = arena;
	void *page = ck->arena.take(4096, 4096);
	take_own(*ck, config, workers);
	Status s = ck->bulk.map(bulk_bytes(config, shape, workers), bulk);
	if (s.ok())
		take_bulk(*ck, config, shape, workers);
	if (s.ok())
		s = copy_config(*ck, config, birth);
	if (s.ok() && config.crypto && config.crypto->make_key)
		s = ck->writer.seal_with(*config.crypto);
	if (s.ok() && config.parent_path)
		s = lineage_adopt(*ck->lineage, config.parent_path, shape, config.crypto);
	if (s.ok())
		s = check_image_place(*ck, ck->image_path, "arm: config");
	if (s.ok())
		s = make_entry(*ck, page);
	if (s.ok())
		s = ck->crew.start();
	if (s.ok() && !config.quiesces_itself)
		s = ck->watch.start(*ck);
	if (!s.ok()) {
		context_destroy(ck);
		return s;
	}
	*out = ck;
	return success();
}

void context_publish(struct vkckpt &ck)
{
	install_handlers(&ck);
	ck.run.publish();
	uint64_t commands = signal_bit(VKCKPT_SIGCKPT) | signal_bit(VKCKPT_SIGCKPTEXIT);
	sys_sigprocmask(SIG_UNBLOCK, &commands, nullptr);
}

void context_destroy(struct vkckpt *ck)
{
	ck->watch.stop();
	ck->crew.stop();
	if (ck->fill)
		ck->fill->end();
	ck->run.withdraw();
	if (ck->reserve_held) {
		char path[VKCKPT_MAX_PATH + 16];
		Text(path, sizeof path).add(ck->image_path).add(".reserve");
		sys_unlink(path);
	}
	ck->writer.release();
	ck->bulk.release();
	Arena arena = ck->arena;	// the context itself lies in it
	arena.release();
}

}  // namespace vk

using namespace vk;

VK_EXPORT int vkckpt_arm(const struct vkckpt_config *config, struct vkckpt **out, struct vkckpt_error *err)
{
	*out = nullptr;
	if (!config)
		return report(bad_config("config"), err);
	if (armed_vkernel())
		return report(fail(EEXIST, VKCKPT_R_BUSY, "arm", config->name ? config->name : ""), err);
	const uint64_t ignored = ignore_write_signals();
	Birth birth = {};
	Status s = uuid_make(&birth.vkernel_id);
	if (s.ok())
		s = uuid_make(&birth.generation);
	struct vkckpt *ck = nullptr;
	if (s.ok())
		s = context_make(*config, birth, Prefault::yes, &ck);
	if (!s.ok()) {
		heed_write_signals(ignored);
		return report(s, err);
	}
	*out = ck;
	ck->ignored_signals = ignored;
	context_publish(*ck);
	return 0;
}

VK_EXPORT void vkckpt_disarm(struct vkckpt *ck)
{
	const uint64_t ignored = ck->ignored_signals;
	remove_handlers();
	context_destroy(ck);
	heed_write_signals(ignored);
}

VK_EXPORT struct vkckpt_uuid vkckpt_generation(const struct vkckpt *ck) { return ck->birth.generation; }
VK_EXPORT uint64_t vkckpt_thaw_count(const struct vkckpt *ck) { return ck->birth.thaw_count; }
VK_EXPORT uint32_t vkckpt_vcpu_count(const struct vkckpt *ck) { return ck->config.vcpu_count; }
VK_EXPORT const char *vkckpt_name(const struct vkckpt *ck) { return ck->name; }

VK_EXPORT const char *vkckpt_last_image(const struct vkckpt *ck, uint32_t *chain_length)
{
	const struct vkckpt_run_entry *entry = const_cast<struct vkckpt *>(ck)->run.words();
	if (chain_length)
		*chain_length = entry->chain_length;
	return entry->last_image;
}

VK_EXPORT const struct vkckpt_device *vkckpt_device_at(const struct vkckpt *ck, size_t i)
{
	return i < ck->config.device_count ? &ck->devices[i] : nullptr;
}
