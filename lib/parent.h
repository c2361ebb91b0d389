// What is known of the content of the parent image: a hash of each of its frames, in the arena, from the last capture of this process or
// from the parent's index. By these alone a capture decides which frames have not changed: no write is tracked, because no host can see
// all of them (DMA by a device's thread, a guest task's own mapping, pwrite to the RAM's file).
#ifndef VKCKPT_LIB_PARENT_H
#define VKCKPT_LIB_PARENT_H

#include <vkckpt/format.h>

#include "lib/arena.h"
#include "lib/image_writer.h"

namespace vk {

// Over the frames of the mask at their places, in order.
struct vkckpt_digest digest_of_frames(const void *base, uint16_t mask);

class ParentHashes {
public:
	// 262 bytes for each chunk of 64 KiB.
	static size_t arena_bytes(const ImageShape &);
	void init(Arena &, const ImageShape &);

	// ARM, THAW: one entry of the parent's index, in its order. Its hash is that of the whole mask: until the next capture frames of it are
	// taken for unchanged only together.
	void know(const struct vkckpt_f_chunk &);
	void forget();				// there is no parent
	bool empty() const { return empty_; }

	// QUIET. A capture begins; full: nothing will be called unchanged, but the hashes are still taken.
	void begin(bool full);
	// Several threads, each chunk once: the frames of the mask (live, not zero; at their places from base) that are as in the parent. What they
	// are now is kept aside.
	uint16_t unchanged(uint32_t object, uint64_t chunk, const void *base, uint16_t mask);
	// As unchanged, for a chunk that nobody has read: it is known by other means that the frames of the mask are as they were when this was their
	// content. True: the parent has just these together, and they keep their place. False: nothing has changed here.
	bool keep(uint32_t object, uint64_t chunk, uint16_t mask, const struct vkckpt_digest &content);
	bool full() const { return full_; }
	// The image is committed: it is the parent from now on. Without this the old one stays the parent, and what differed from it counts as
	// changed.
	void commit();

private:
	struct Frames { struct vkckpt_digest hash[VKCKPT_CHUNK_FRAMES]; };
	uint64_t place(uint32_t object, uint64_t chunk) const;
	uint16_t split(uint64_t i, const void *base, uint16_t mask);

	Frames *frames_ = nullptr;		// per chunk
	uint16_t *known_ = nullptr;		// per chunk: frames that the parent has, whose hash is known
	uint16_t *piece_ = nullptr;		// 0, or hash[] is of whole pieces: this mask, and the rest of known_; each in the place of its first frame
	uint16_t *fresh_ = nullptr;		// frames of the image that is being written
	uint64_t first_chunk_[VKCKPT_MAX_SEGMENTS + VKCKPT_MAX_REGIONS + 1] = {};
	uint32_t segment_count_ = 0;
	uint64_t chunks_ = 0;
	bool empty_ = true, full_ = true;
};

}  // namespace vk
#endif
