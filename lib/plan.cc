// Which frames go into the image: those of RAM that were ever touched (holes of the file behind it are not) and that the vkernel does not
// call free; every frame of a region. Nobody writes RAM now, so chunks are encoded from where they are; a region is copied first, because
// its last frame may be a partial one.
#include "lib/plan.h"

#include <errno.h>
#include <string.h>

#include "lib/signals.h"
#include "lib/sys.h"
#include "lib/text.h"

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

uint64_t all_bytes(const struct vkckpt &ck)
{
	uint64_t bytes = 0;
	for (size_t i = 0; i < ck.config.segment_count; i++)
		bytes += ck.segments[i].size_bytes;
	for (size_t i = 0; i < ck.config.region_count; i++)
		bytes += ck.regions[i].size_bytes;
	return bytes;
}

// Between chunks: is it still wanted, and how far is it.
Status pause_point(struct vkckpt &ck, uint64_t done, uint64_t total)
{
	ck.run.progress(done, total);
	return request_cancelled(ck) ? fail(ECANCELED, VKCKPT_R_CANCELLED, "capture: write") : success();
}

void ask_states(struct vkckpt &ck, unsigned segment, uint64_t first, unsigned count)
{
	memset(ck.frame_state, VKCKPT_FRAME_LIVE, count);
	memset(ck.frame_class, VKCKPT_CLASS_OTHER, count);
	if (!ck.hooks.frame_states)
		return;
	unsigned asked = (count + VKCKPT_CHUNK_FRAMES - 1) & ~(VKCKPT_CHUNK_FRAMES - 1);
	ck.hooks.frame_states(ck.hooks.arg, segment, first, asked, ck.frame_state, ck.frame_class);
	for (unsigned i = 0; i < count; i++)
		if (ck.frame_class[i] >= VKCKPT_CLASS_COUNT)
			ck.frame_class[i] = VKCKPT_CLASS_OTHER;
}

// The live frames of the chunk that begins at frame `first`; those left out are counted.
uint16_t live_mask(struct vkckpt &ck, Extents &extents, uint64_t skip, uint64_t first, uint64_t end, const uint8_t *state)
{
	struct vkckpt_f_stats &stats = ck.writer.stats();
	uint16_t mask = 0;
	for (unsigned f = 0; f < VKCKPT_CHUNK_FRAMES && first + f < end; f++) {
		if (first + f < skip)	// not RAM
			continue;
		stats.frames_total++;
		if (state[f] == VKCKPT_FRAME_FREE)
			stats.frames_free++;
		else if (!extents.touched(first + f))
			stats.frames_hole++;
		else
			mask |= (uint16_t)(1u << f);
	}
	return mask;
}

Status write_segment(struct vkckpt &ck, unsigned number, uint64_t *done, uint64_t total)
{
	const struct vkckpt_segment &segment = ck.segments[number];
	const uint8_t *base = static_cast<const uint8_t *>(segment.address);
	Extents extents(segment.fd, segment.size_bytes);
	uint64_t frames = frames_in(segment.size_bytes), skip = segment.skip_bytes / VKCKPT_FRAME;
	for (uint64_t first = 0; first < frames; first += kPlanFrames) {
		unsigned count = frames - first < kPlanFrames ? (unsigned)(frames - first) : kPlanFrames;
		ask_states(ck, number, first, count);
		for (unsigned at = 0; at < count; at += VKCKPT_CHUNK_FRAMES) {
			ChunkSource source;
			source.base = base + (first + at) * VKCKPT_FRAME;
			source.chunk = (first + at) / VKCKPT_CHUNK_FRAMES;
			source.object = (uint16_t)number;
			source.mask = live_mask(ck, extents, skip, first + at, frames, ck.frame_state + at);
			source.page_class = ck.frame_class + at;
			if (source.mask)
				VK_TRY(ck.writer.chunk(source));
		}
		*done += (uint64_t)count * VKCKPT_FRAME;
		VK_TRY(pause_point(ck, *done, total));
	}
	return success();
}

Status write_region(struct vkckpt &ck, unsigned number, uint64_t *done, uint64_t total)
{
	const struct vkckpt_region &region = ck.regions[number];
	memset(ck.frame_class, VKCKPT_CLASS_REGION, VKCKPT_CHUNK_FRAMES);
	for (uint64_t at = 0; at < region.size_bytes; at += VKCKPT_CHUNK) {
		size_t count = region.size_bytes - at < VKCKPT_CHUNK ? region.size_bytes - at : VKCKPT_CHUNK;
		size_t frames = frames_in(count);
		memcpy(ck.record, static_cast<const uint8_t *>(region.address) + at, count);
		memset(ck.record + count, 0, frames * VKCKPT_FRAME - count);
		ChunkSource source;
		source.base = ck.record;
		source.chunk = at / VKCKPT_CHUNK;
		source.object = (uint16_t)(VKCKPT_OBJECT_REGION + number);
		source.mask = (uint16_t)((1u << frames) - 1);
		source.page_class = ck.frame_class;
		ck.writer.stats().frames_total += frames;
		VK_TRY(ck.writer.chunk(source));
		*done += count;
		VK_TRY(pause_point(ck, *done, total));
	}
	return success();
}

}  // namespace

Status write_ram(struct vkckpt &ck)
{
	uint64_t done = 0, total = all_bytes(ck);
	for (unsigned i = 0; i < ck.config.segment_count; i++)
		VK_TRY(write_segment(ck, i, &done, total));
	for (unsigned i = 0; i < ck.config.region_count; i++)
		VK_TRY(write_region(ck, i, &done, total));
	return success();
}

}  // namespace vk
