// Walking page tables in an image (vkckpt/image.h): one table of each level is in memory at a time. Who forges tables owns both ends of every
// entry, so a frame that the image does not have is an empty table for which nothing is done, and the tables that are read are numbered by the
// frames that it has.
#include <vkckpt/image.h>

#include <errno.h>
#include <string.h>

#include "lib/export.h"
#include "lib/image_open.h"
#include "lib/walk.h"

namespace vk {
namespace {

// Mappings of an honest guest share the tables on the way down to their ends, its address spaces hardly any; a tool may walk them a few times.
constexpr uint64_t kPerFrame = 4, kPerMapping = 16;

struct Looking {
	struct vkckpt_image *image;
	uint32_t segment;
	void (*run)(void *arg, const struct vkckpt_image_run *);
	void *arg;
	struct vkckpt_error *err;
	int failed;		// the first frame that could not be read
};

Status make_tables(struct vkckpt_image &image, const PageTableFormat &format)
{
	ImageTables &t = image.tables;
	if (t.met)
		return success();
	const uint64_t count = image.file.index_count();
	VK_TRY(t.memory.map(Arena::room(count * sizeof *t.met) + Arena::room(format.levels * sizeof *t.level, VKCKPT_FRAME), Prefault::no));
	t.met = t.memory.take_array<ImageTables::Met>(count);
	t.level = static_cast<decltype(t.level)>(t.memory.take(format.levels * sizeof *t.level, VKCKPT_FRAME));
	for (uint64_t i = 0; i < count; i++)
		if (image.file.index()[i].codec != VKCKPT_CODEC_ZERO)
			t.left += kPerFrame * mask_count(image.file.index()[i].mask);
	return success();
}

// Once in a walk: what is met again is a loop or a forged alias.
bool meet(ImageTables::Met &met, uint64_t walk, unsigned frame)
{
	if (met.walk != walk)
		met = { walk & 0xffffffffffff, 0 };
	const bool first = !(met.frames >> frame & 1);
	met.frames = static_cast<uint16_t>(met.frames | 1u << frame);
	return first;
}

const uint64_t *bring(void *arg, uint64_t frame, unsigned level)
{
	Looking &l = *static_cast<Looking *>(arg);
	ImageTables &t = l.image->tables;
	const struct vkckpt_f_chunk *c = l.image->file.find_frame(l.segment, frame);
	if (l.failed || !c || c->codec == VKCKPT_CODEC_ZERO)
		return nullptr;
	if (!meet(t.met[c - l.image->file.index()], t.walk, frame % VKCKPT_CHUNK_FRAMES))
		return nullptr;
	if (t.left == 0) {
		l.failed = report(fail(ENOBUFS, VKCKPT_R_LIMIT, "walk: page tables", "", t.walk), l.err);
		return nullptr;
	}
	t.left--;
	const int r = vkckpt_image_frame(l.image, l.segment, frame, t.level[level - 1], l.err);
	l.failed = r < 0 ? r : 0;
	return r < 0 ? nullptr : t.level[level - 1];
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

void walk_one(Looking &l, const struct vkckpt_f_mapping &mapping, const PageTableFormat &format)
{
	const struct vkckpt_f_header &header = *vkckpt_image_header(l.image);
	if (mapping.segment >= header.segment_count)
		return;
	l.segment = mapping.segment;
	ImageTables &t = l.image->tables;
	t.walk++;
	t.left += kPerMapping;
	WalkScratch scratch;
	scratch.first_frame = header.segment_skip[mapping.segment] / VKCKPT_FRAME;
	scratch.bring = bring;
	scratch.bring_arg = &l;
	WalkVisitor visitor;
	visitor.arg = &l;
	visitor.run = tell_run;
	visitor.table = tell_table;
	WalkCounts counts;
	walk_mapping(format, nullptr, header.segment[mapping.segment].size_bytes, mapping, scratch, visitor, counts);
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
	if (Status s = make_tables(*image, *format); !s.ok())
		return report(s, err);
	struct vkckpt_f_vmspace head;
	memcpy(&head, record, sizeof head);
	Looking looking = { image, 0, run, arg, err, 0 };
	for (uint32_t m = 0; m < head.mapping_count && (m + 1) * sizeof(struct vkckpt_f_mapping) <= bytes - sizeof head && !looking.failed; m++) {
		struct vkckpt_f_mapping mapping;
		memcpy(&mapping, record + sizeof head + m * sizeof mapping, sizeof mapping);
		walk_one(looking, mapping, *format);
	}
	return looking.failed;
}
