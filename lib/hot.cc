// Which chunks are wanted first. See hot.h.
#include "lib/hot.h"

namespace vk {
namespace {

// An accessed bit that nobody ages says little, so those are few: 8 MiB. Tables and kernel: 32 MiB. Both are loaded in some ten milliseconds.
constexpr unsigned kMostAccessed = 128, kMostWanted = 512;

uint64_t chunks_in(const struct vkckpt_segment &s) { return (s.size_bytes + VKCKPT_CHUNK - 1) / VKCKPT_CHUNK; }

bool wanted_frame(uint8_t state, uint8_t page_class)
{
	if (state == VKCKPT_FRAME_HOT || page_class == VKCKPT_CLASS_PAGETABLE)
		return true;
	return state == VKCKPT_FRAME_LIVE && (page_class == VKCKPT_CLASS_KERNEL || page_class == VKCKPT_CLASS_SLAB);
}

}  // namespace

size_t HotSet::arena_bytes(const struct vkckpt_segment *segments, size_t count)
{
	uint64_t chunks = 0;
	for (size_t i = 0; i < count; i++)
		chunks += chunks_in(segments[i]);
	return Arena::room((chunks + 63) / 64 * sizeof(uint64_t));
}

void HotSet::init(Arena &arena, const struct vkckpt_segment *segments, size_t count)
{
	uint64_t chunks = 0;
	for (size_t i = 0; i < count; i++) {
		first_chunk_[i] = chunks;
		chunks_[i] = chunks_in(segments[i]);
		chunks += chunks_[i];
	}
	words_ = (chunks + 63) / 64;
	accessed_ = arena.take_array<uint64_t>(words_);
}

void HotSet::clear()
{
	__builtin_memset(accessed_, 0, words_ * sizeof *accessed_);
	accessed_left_ = kMostAccessed;
	wanted_left_ = kMostWanted;
}

void HotSet::accessed(uint32_t segment, uint64_t first, uint64_t count)
{
	uint64_t end = (first + count + VKCKPT_CHUNK_FRAMES - 1) / VKCKPT_CHUNK_FRAMES;
	for (uint64_t chunk = first / VKCKPT_CHUNK_FRAMES; chunk < end && chunk < chunks_[segment] && accessed_left_ > 0; chunk++) {
		uint64_t n = first_chunk_[segment] + chunk, bit = uint64_t{1} << n % 64;
		if (!(accessed_[n / 64] & bit))
			accessed_left_--;
		accessed_[n / 64] |= bit;
	}
}

bool HotSet::wants(uint32_t segment, uint64_t chunk, uint16_t mask, const uint8_t *state, const uint8_t *page_class)
{
	uint64_t n = first_chunk_[segment] + chunk;
	if (accessed_[n / 64] >> n % 64 & 1)
		return true;
	for (unsigned f = 0; wanted_left_ > 0 && f < VKCKPT_CHUNK_FRAMES; f++)
		if (mask & 1u << f && wanted_frame(state[f], page_class[f])) {
			wanted_left_--;
			return true;
		}
	return false;
}

}  // namespace vk
