// Which chunks of RAM a vkernel wants first after a thaw: they stand first in the image. By the vkernel's own word, by class (page tables, the
// kernel), and what the page tables call accessed; each within a bound, so that the time of a lazy thaw does not grow with RAM.
// init: ARM. The rest: QUIET.
#ifndef VKCKPT_LIB_HOT_H
#define VKCKPT_LIB_HOT_H

#include <vkckpt/vkckpt.h>

#include "lib/arena.h"

namespace vk {

class HotSet {
public:
	static size_t arena_bytes(const struct vkckpt_segment *, size_t count);
	void init(Arena &, const struct vkckpt_segment *, size_t count);
	void clear();
	// The walk has found these frames of a segment accessed.
	void accessed(uint32_t segment, uint64_t first, uint64_t count);
	// Is this chunk wanted first? Of its 16 frames, those of the mask count.
	bool wants(uint32_t segment, uint64_t chunk, uint16_t mask, const uint8_t *state, const uint8_t *page_class);

private:
	uint64_t first_chunk_[VKCKPT_MAX_SEGMENTS] = {}, chunks_[VKCKPT_MAX_SEGMENTS] = {};
	uint64_t words_ = 0;
	uint64_t *accessed_ = nullptr;		// a bit per chunk
	unsigned accessed_left_ = 0, wanted_left_ = 0;	// chunks that may still be added
};

}  // namespace vk
#endif
