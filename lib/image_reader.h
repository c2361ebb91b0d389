// Reads an image from front to back, from a pipe or a file, and checks every byte of it: read_head first (everything that can be refused
// is known then), then read_ram to the very end. Errors: NOT_AN_IMAGE, VERSION_UNKNOWN, FEATURE_UNKNOWN, RECORD_UNKNOWN,
// CODEC_UNKNOWN, TRUNCATED, DAMAGED, TRAILING_DATA, LIMIT, or the host's. THAW and tools.
#ifndef VKCKPT_LIB_IMAGE_READER_H
#define VKCKPT_LIB_IMAGE_READER_H

#include "lib/digest.h"
#include "lib/image_head.h"
#include "lib/input.h"

namespace vk {

// Where chunks go. base returns where frame 16 * chunk of the object belongs: frames of the mask are written to base + f * 4096
// and nothing else is touched, so a mask that ends before the 16th frame needs no more room than that. Null: the chunk is decoded and
// dropped. Memory must be zero beforehand: zero frames are not written (zero, if set, is told of them instead).
struct ChunkTarget {
	void *arg = nullptr;
	uint8_t *(*base)(void *arg, uint32_t object, uint64_t chunk, uint16_t mask) = nullptr;
	void (*zero)(void *arg, uint32_t object, uint64_t chunk, uint16_t mask) = nullptr;
};

class ImageReader {
public:
	// fd stays the caller's and stands at the image's first byte. Maps the reader's own memory (about 1.5 MiB; for RAM, a bit
	// per frame more).
	Status open(int fd);
	void watch(void (*progress)(void *, uint64_t bytes), void *arg) { in_.watch(progress, arg); }
	Status read_head();
	ImageHead &head() { return head_; }
	const ImageHead &head() const { return head_; }
	// All groups, statistics, index, trailer, end of file. What was delivered counts only when this succeeds.
	Status read_ram(const ChunkTarget &);
	const struct vkckpt_f_stats &stats() const { return stats_; }
	uint64_t file_bytes() const { return in_.position(); }
	void close();				// idempotent; frees all that head() gave

private:
	struct Sum { uint64_t low = 0, high = 0; };	// of the digests of descriptors, whatever their order
	Status next_record(struct vkckpt_f_record &, bool *known);
	static void begin_payload(const struct vkckpt_f_record &, DigestStream &);
	Status end_payload(const struct vkckpt_f_record &, DigestStream &);
	Status read_payload(const struct vkckpt_f_record &, void *out);
	Status skip_record(const struct vkckpt_f_record &);
	Status begin_ram();
	Status read_group(const struct vkckpt_f_record &, const ChunkTarget &);
	Status read_group_data(const struct vkckpt_f_group &, const ChunkTarget &);
	Status read_stats(const struct vkckpt_f_record &);
	Status read_index(const struct vkckpt_f_record &);
	Status check_index_entry(const struct vkckpt_f_chunk &, const struct vkckpt_f_chunk &before, Sum &);
	Status read_trailer();
	Status claim_frames(const struct vkckpt_f_chunk &);
	Status deliver(const struct vkckpt_f_chunk &, const uint8_t *stored, const ChunkTarget &);
	static void sum_add(Sum &, const struct vkckpt_f_chunk &);

	Arena arena_;				// buffers
	Arena present_arena_;
	Input in_;
	ImageHead head_;
	struct vkckpt_f_stats stats_ = {};
	uint8_t *group_ = nullptr;		// payload of a group's record
	uint8_t *data_ = nullptr;		// stored bytes, a batch at a time; pieces of other records
	uint8_t *scratch_ = nullptr;		// one decoded chunk
	uint16_t *present_ = nullptr;		// of each chunk, frames seen: each occurs once
	uint64_t first_chunk_[VKCKPT_MAX_SEGMENTS + VKCKPT_MAX_REGIONS + 1] = {};
	uint64_t sequence_ = 0;
	uint64_t chunk_count_ = 0;
	uint64_t stats_offset_ = 0, index_offset_ = 0, record_offset_ = 0;
	Sum seen_;
	DigestStream whole_;
};

}  // namespace vk
#endif
