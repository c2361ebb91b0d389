// Builds one RAM group in memory: encodes chunks one behind the other, with their descriptors. A builder belongs to one thread; several
// threads with a builder each may fill groups at the same time and hand them to ImageWriter::write_group in turn.
// init: ARM. The rest: QUIET.
#ifndef VKCKPT_LIB_GROUP_H
#define VKCKPT_LIB_GROUP_H

#include <vkckpt/format.h>

#include "lib/arena.h"
#include "lib/codec.h"
#include "lib/seal.h"

namespace vk {

class OpenImage;
class ParentHashes;

// Frames to be written, at their places: frame f of the chunk at base + f * 4096. They may not change during the call; who
// cannot promise that copies them first and hands in the copy.
struct ChunkSource {
	const void *base = nullptr;
	uint64_t chunk = 0;
	uint16_t object = 0;
	uint16_t mask = 0;			// live frames; not 0
	const uint8_t *page_class = nullptr;	// of the 16 frames; null: all VKCKPT_CLASS_OTHER
};

class GroupBuilder {
public:
	// Full when this much is stored: writes big enough for any disk, and each worker has a buffer of this size all the time.
	static constexpr size_t kFullBytes = 2 << 20;
	static constexpr size_t kDataRoom = kFullBytes + VKCKPT_CHUNK + VKCKPT_BLOCK;
	static size_t arena_bytes();

	void init(Arena &);
	void clear();
	void set_codec(uint8_t codec) { codec_ = codec; }	// VKCKPT_CODEC_LZ4 (at first) or _RAW
	void set_level(uint32_t level) { level_ = level; }	// of LZ4: kLz4Quick (at first) or kLz4Small; also between two chunks
	void set_seal(const Seal *seal) { seal_ = seal; }	// null (at first): what is stored is not encrypted
	// For an image with FEATURE_INCREMENTAL: descriptors get content hashes, and frames that `hashes` knows become PARENT. null: neither.
	void set_content(bool wanted, ParentHashes *hashes) { content_ = wanted, hashes_ = hashes; }
	// Encodes one chunk (up to three descriptors: zero frames, those of the parent, and the others). Only when there is room().
	void add(const ChunkSource &);
	// A chunk of another image: its descriptor, and its stored bytes in clear; kept as they are, sealed if this image is.
	void add_encoded(const struct vkckpt_f_chunk &, const void *stored, size_t stored_bytes);
	// The same for a chunk that another image has stored, with just the frames of the source's mask: its stored bytes are checked and taken
	// over as they are; or, where there are `hashes` (that have kept it) and the image is no full one, it becomes PARENT. base is not
	// looked at. Only when there is room(). An error: that image cannot be read, or is damaged.
	Status add_copy(const ChunkSource &, const struct vkckpt_f_chunk &stored, const OpenImage &);
	bool room() const { return count_ + 3 <= VKCKPT_GROUP_CHUNKS && data_bytes_ < kFullBytes; }
	bool empty() const { return count_ == 0; }
	uint64_t frames_in() const { return frames_in_; }	// of all chunks since clear
	// Pads the data to a multiple of 4096, and digests it where the image is sealed; nothing is added after that. For whoever
	// fills a builder outside the writer's lock; ImageWriter::write_group does what was not done.
	void complete();

private:
	friend class ImageWriter;
	void add_zero(const ChunkSource &, uint16_t mask);
	void add_parent(const ChunkSource &, uint16_t mask);
	void add_stored(const ChunkSource &, uint16_t mask);
	void place(struct vkckpt_f_chunk &, size_t start, size_t stored);
	size_t begin_stored(size_t room_bytes);
	void count(const ChunkSource &, uint16_t zero, uint16_t same);
	struct vkckpt_f_chunk &descriptor(const ChunkSource &, uint16_t mask, uint8_t codec);

	struct vkckpt_f_chunk *chunk_ = nullptr;	// offsets relative to the data
	uint8_t *data_ = nullptr;
	uint8_t *scratch_ = nullptr;		// frames of a mask with gaps, packed
	void *lz4_state_ = nullptr;
	uint8_t codec_ = VKCKPT_CODEC_LZ4;
	uint32_t level_ = kLz4Quick;
	const Seal *seal_ = nullptr;
	Status failure_;			// of the seal; the group is not to be written then
	bool complete_ = false;
	struct vkckpt_digest data_digest_ = {};	// sealed images only
	bool content_ = false;
	ParentHashes *hashes_ = nullptr;
	uint32_t count_ = 0;
	size_t data_bytes_ = 0;
	uint64_t frames_in_ = 0, frames_stored_ = 0, frames_zero_ = 0, frames_parent_ = 0, stored_bytes_ = 0;
	uint64_t class_frames_[VKCKPT_CLASS_COUNT] = {};
	uint64_t class_bytes_[VKCKPT_CLASS_COUNT] = {};
};

}  // namespace vk
#endif
