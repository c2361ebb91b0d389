// Walking page tables in an image (vkckpt/image.h): its tables are brought into an otherwise empty RAM, one by one, as the walk gets to them.
#include <vkckpt/image.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/export.h"
#include "lib/status.h"
#include "lib/sys.h"
#include "lib/walk.h"

namespace vk {
namespace {

// Room for a segment, and a stamp for each of its frames: only what is touched takes memory.
struct Room {
	uint8_t *ram = nullptr;
	uint32_t *stamps = nullptr;
	uint64_t ram_bytes = 0, stamp_bytes = 0;
};

struct Looking {
	struct vkckpt_image *image;
	Room room;
	uint32_t segment;
	void (*run)(void *arg, const struct vkckpt_image_run *);
	void *arg;
	struct vkckpt_error *err;
	int failed;		// the first frame that could not be read
};

Status map_empty(uint64_t bytes, void **out)
{
	long r = sys_mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (r < 0)
		return fail_host((int)-r, "walk: room for the page tables", "");
	*out = reinterpret_cast<void *>(r);
	return success();
}

void release(Room &room)
{
	if (room.ram)
		sys_munmap(room.ram, room.ram_bytes);
	if (room.stamps)
		sys_munmap(room.stamps, room.stamp_bytes);
	room = Room();
}

Status map_room(Room &room, uint64_t bytes)
{
	room.ram_bytes = bytes;
	room.stamp_bytes = bytes / VKCKPT_FRAME * sizeof(uint32_t);
	void *ram, *stamps;
	VK_TRY(map_empty(room.ram_bytes, &ram));
	room.ram = static_cast<uint8_t *>(ram);
	VK_TRY(map_empty(room.stamp_bytes, &stamps));
	room.stamps = static_cast<uint32_t *>(stamps);
	return success();
}

bool bring(void *arg, uint64_t frame)
{
	Looking &l = *static_cast<Looking *>(arg);
	int r = l.failed ? l.failed : vkckpt_image_frame(l.image, l.segment, frame, l.room.ram + frame * VKCKPT_FRAME, l.err);
	if (r < 0)
		l.failed = r;
	return r >= 0;
}

void tell_run(void *arg, const WalkRun &run)
{
	Looking &l = *static_cast<Looking *>(arg);
	const struct vkckpt_image_run out = { run.address, run.frame, run.frame_count, l.segment, 0 };
	l.run(l.arg, &out);
}

void tell_table(void *arg, uint64_t frame, unsigned)
{
	Looking &l = *static_cast<Looking *>(arg);
	const struct vkckpt_image_run out = { 0, frame, 1, l.segment, 1 };
	l.run(l.arg, &out);
}

Status walk_one(Looking &l, const struct vkckpt_f_mapping &mapping, const PageTableFormat &format)
{
	const struct vkckpt_f_header &header = *vkckpt_image_header(l.image);
	if (mapping.segment >= header.segment_count)
		return success();
	l.segment = mapping.segment;
	Status s = map_room(l.room, header.segment[mapping.segment].size_bytes);
	if (s.ok()) {
		WalkScratch scratch;
		scratch.stamp = l.room.stamps;
		scratch.frame_count = l.room.ram_bytes / VKCKPT_FRAME;
		scratch.first_frame = header.segment_skip[mapping.segment] / VKCKPT_FRAME;
		scratch.table_budget = scratch.frame_count;
		scratch.bring = bring;
		scratch.bring_arg = &l;
		WalkVisitor visitor;
		visitor.arg = &l;
		visitor.run = tell_run;
		visitor.table = tell_table;
		WalkCounts counts;
		walk_mapping(format, l.room.ram, l.room.ram_bytes, mapping, scratch, visitor, counts);
	}
	release(l.room);
	return s;
}

}  // namespace
}  // namespace vk

VK_EXPORT int vkckpt_image_walk(struct vkckpt_image *image, size_t i, void (*run)(void *arg, const struct vkckpt_image_run *), void *arg,
    struct vkckpt_error *err)
{
	using namespace vk;
	size_t bytes = 0;
	const uint8_t *record = static_cast<const uint8_t *>(vkckpt_image_record(image, VKCKPT_REC_VMSPACE, i, &bytes));
	const PageTableFormat *format = pagetable_format(vkckpt_image_identity(image)->pagetable_format);
	if (!record || bytes < sizeof(struct vkckpt_f_vmspace))
		return report(fail(ENOENT, VKCKPT_R_BAD_ARGUMENT, "walk: address space", "", i), err);
	if (!format)
		return report(fail(ENOTSUP, VKCKPT_R_FEATURE_UNKNOWN, "walk: format of page tables", "", vkckpt_image_identity(image)->pagetable_format), err);
	struct vkckpt_f_vmspace head;
	memcpy(&head, record, sizeof head);
	Looking looking = { image, Room(), 0, run, arg, err, 0 };
	for (uint32_t m = 0; m < head.mapping_count && (m + 1) * sizeof(struct vkckpt_f_mapping) <= bytes - sizeof head; m++) {
		struct vkckpt_f_mapping mapping;
		memcpy(&mapping, record + sizeof head + m * sizeof mapping, sizeof mapping);
		Status s = walk_one(looking, mapping, *format);
		if (!s.ok())
			return report(s, err);
		if (looking.failed)
			return looking.failed;
	}
	return 0;
}
