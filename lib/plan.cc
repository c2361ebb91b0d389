// Which frames go into the image: those of RAM that were ever touched (holes of the file behind it are not) and that the vkernel does not
// call free or secret; every frame of a region. The list is whole before the first chunk is encoded, because only the coordinating vCPU may
// call hooks, and so that workers take their share with one atomic addition. QUIET.
#include "lib/plan.h"

#include <errno.h>
#include <string.h>

#include "lib/sys.h"

namespace vk {
namespace {

// Where the file behind a segment has data: one extent at a time, from front to back.
class Extents {
public:
	Extents(int fd, uint64_t bytes) : fd_(fd), bytes_(bytes)
	{
		if (fd_ < 0)
			end_ = bytes_;
	}
	bool touched(uint64_t frame)
	{
		uint64_t offset = frame * VKCKPT_FRAME;
		while (offset >= end_ && end_ < bytes_)
			next(offset);
		return offset + VKCKPT_FRAME > start_ && offset < end_;
	}

private:
	void next(uint64_t offset)
	{
		long data = sys_lseek(fd_, (int64_t)offset, SEEK_DATA);
		if (data == -ENXIO) {		// only holes from here on
			start_ = end_ = bytes_;
			return;
		}
		long hole = data < 0 ? data : sys_lseek(fd_, data, SEEK_HOLE);
		if (hole < 0) {			// cannot tell: all of it counts
			start_ = 0;
			end_ = bytes_;
			return;
		}
		start_ = (uint64_t)data;
		end_ = (uint64_t)hole;
	}
	int fd_;
	uint64_t bytes_;
	uint64_t start_ = 0, end_ = 0;
};

uint64_t frames_in(uint64_t bytes) { return (bytes + VKCKPT_FRAME - 1) / VKCKPT_FRAME; }

void ask_states(struct vkckpt &ck, unsigned segment, uint64_t first, unsigned count)
{
	memset(ck.frame_state, VKCKPT_FRAME_LIVE, count);
	memset(ck.frame_class, VKCKPT_CLASS_OTHER, count);
	if (!ck.hooks.frame_states)
		return;
	unsigned asked = (count + VKCKPT_CHUNK_FRAMES - 1) & ~(VKCKPT_CHUNK_FRAMES - 1);
	ck.hooks.frame_states(ck.hooks.arg, segment, first, asked, ck.frame_state, ck.frame_class);
}

// Most chunks of a large RAM: one comparison for each.
bool all_free(const uint8_t *state)
{
	static_assert(VKCKPT_CHUNK_FRAMES == 16 && VKCKPT_FRAME_FREE == 1);
	uint64_t half[2];
	memcpy(half, state, sizeof half);
	return half[0] == 0x0101010101010101 && half[1] == half[0];
}

// The live frames of the chunk that begins at frame `first`; those left out are counted. kept: frames that are still in the image of a lazy
// thaw, or came from there while we look.
uint16_t live_mask(struct vkckpt &ck, Extents &extents, uint64_t skip, uint64_t first, uint64_t end, const uint8_t *state, uint16_t kept)
{
	struct vkckpt_f_stats &stats = ck.writer.stats();
	uint16_t mask = 0;
	for (unsigned f = 0; f < VKCKPT_CHUNK_FRAMES && first + f < end; f++) {
		if (first + f < skip)	// not RAM
			continue;
		stats.frames_total++;
		if (state[f] == VKCKPT_FRAME_FREE)
			stats.frames_free++;
		else if (state[f] == VKCKPT_FRAME_SECRET)
			stats.frames_secret++;
		else if (!extents.touched(first + f) && !(kept & 1u << f))
			stats.frames_hole++;
		else
			mask |= (uint16_t)(1u << f);
	}
	return mask;
}

// A hot one goes in front of the others; the place of the first of them is filled from there to the end.
void add(struct vkckpt &ck, uint64_t chunk, unsigned object, uint16_t mask, const uint8_t *page_class, bool hot)
{
	if (hot)
		ck.plan[ck.plan_count] = ck.plan[ck.plan_hot];
	PlanChunk &p = ck.plan[hot ? ck.plan_hot : ck.plan_count];
	ck.plan_count++;
	ck.plan_hot += hot;
	p.chunk = (uint32_t)chunk;
	p.object = (uint16_t)object;
	p.mask = mask;
	for (unsigned f = 0; f < VKCKPT_CHUNK_FRAMES; f++)
		p.page_class[f] = page_class[f] < VKCKPT_CLASS_COUNT ? page_class[f] : (uint8_t)VKCKPT_CLASS_OTHER;
}

void plan_segment(struct vkckpt &ck, unsigned number)
{
	const struct vkckpt_segment &segment = ck.segments[number];
	Extents extents(segment.fd, segment.size_bytes);
	uint64_t frames = frames_in(segment.size_bytes), skip = segment.skip_bytes / VKCKPT_FRAME;
	for (uint64_t first = 0; first < frames; first += kPlanFrames) {
		unsigned count = frames - first < kPlanFrames ? (unsigned)(frames - first) : kPlanFrames;
		ask_states(ck, number, first, count);
		for (unsigned at = 0; at < count; at += VKCKPT_CHUNK_FRAMES) {
			uint64_t chunk_end = first + at + VKCKPT_CHUNK_FRAMES;
			if (first + at >= skip && chunk_end <= frames && all_free(ck.frame_state + at)) {
				ck.writer.stats().frames_total += VKCKPT_CHUNK_FRAMES;
				ck.writer.stats().frames_free += VKCKPT_CHUNK_FRAMES;
				continue;
			}
			const uint8_t *state = ck.frame_state + at, *page_class = ck.frame_class + at;
			uint64_t chunk = (first + at) / VKCKPT_CHUNK_FRAMES;
			uint16_t kept = ck.fill_held ? ck.fill->frames_of(number, chunk) : uint16_t{0};
			uint16_t mask = live_mask(ck, extents, skip, first + at, frames, state, kept);
			if (mask)
				add(ck, chunk, number, mask, page_class, ck.hot.wants(number, chunk, mask, state, page_class));
		}
	}
}

void plan_region(struct vkckpt &ck, unsigned number)
{
	uint64_t frames = frames_in(ck.regions[number].size_bytes);
	memset(ck.frame_class, VKCKPT_CLASS_REGION, VKCKPT_CHUNK_FRAMES);
	ck.writer.stats().frames_total += frames;
	for (uint64_t first = 0; first < frames; first += VKCKPT_CHUNK_FRAMES) {
		uint64_t left = frames - first;
		uint16_t mask = left < VKCKPT_CHUNK_FRAMES ? (uint16_t)((1u << left) - 1) : (uint16_t)0xffff;
		add(ck, first / VKCKPT_CHUNK_FRAMES, VKCKPT_OBJECT_REGION + number, mask, ck.frame_class, true);
	}
}

}  // namespace

void plan_ram(struct vkckpt &ck)
{
	ck.plan_count = ck.plan_hot = 0;
	for (unsigned i = 0; i < ck.config.region_count; i++)
		plan_region(ck, i);
	for (unsigned i = 0; i < ck.config.segment_count; i++)
		plan_segment(ck, i);
}

}  // namespace vk
