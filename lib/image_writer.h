// Writes an image from front to back, without seeking: begin, the head's records in the order of their types, head_end, chunks in any
// order, finish. All memory comes from the arena at init; nothing is allocated afterwards. Commit (fsync, rename) is the caller's.
//
// init: ARM. The rest: QUIET. An error ends the image: the caller drops the file, and begins again when it is asked again.
#ifndef VKCKPT_LIB_IMAGE_WRITER_H
#define VKCKPT_LIB_IMAGE_WRITER_H

#include <vkckpt/vkckpt.h>

#include "lib/digest.h"
#include "lib/group.h"
#include "lib/output.h"
#include "lib/source.h"

namespace vk {

// What an image can hold at most: sizes of the objects that chunks belong to.
struct ImageShape {
	uint32_t segment_count = 0;
	struct vkckpt_f_segment segment[VKCKPT_MAX_SEGMENTS] = {};
	uint64_t segment_skip[VKCKPT_MAX_SEGMENTS] = {};
	uint32_t region_count = 0;
	uint64_t region_bytes[VKCKPT_MAX_REGIONS] = {};
	uint32_t tag_bytes = 0;			// behind each chunk's stored bytes, counted in them: VKCKPT_TAG_BYTES in a sealed image
	uint64_t features = 0;			// required ones, of the header: what descriptors may say
	bool has_parent = false;		// they may say PARENT

	bool incremental() const { return features & VKCKPT_FEATURE_INCREMENTAL; }
	// Frames of an object (a partial last frame counts); 0: there is no such object.
	uint64_t frames(uint32_t object) const;
	// Its first frame: not 0 where a segment begins with what is no RAM.
	uint64_t first_frame(uint32_t object) const { return object < segment_count ? segment_skip[object] / VKCKPT_FRAME : 0; }
	// Objects by their place: segments, then regions. object_at(i) for i < object_count().
	uint32_t object_count() const { return segment_count + region_count; }
	uint32_t object_at(uint32_t i) const { return i < segment_count ? i : VKCKPT_OBJECT_REGION + i - segment_count; }
};

class ImageWriter {
public:
	static size_t arena_bytes(const ImageShape &);
	void init(Arena &, const ImageShape &);
	// ARM: images are sealed with this table from now on.
	Status seal_with(const struct vkckpt_crypto &crypto) { return seal_.init(crypto); }
	void release() { seal_.release(); }	// what init and seal_with did not take from the arena

	// Starts an image at the place where fd stands (file or pipe, also O_DIRECT). Its features are those of the shape.
	Status begin(int fd, const struct vkckpt_uuid &image_id, uint64_t created_realtime_ns, const Patience &patience = {});

	// One head record; types must not decrease. Its payload may be given in two pieces (struct and what follows).
	Status record(uint16_t type, const void *payload, size_t bytes, const void *more = nullptr, size_t more_bytes = 0);
	// A REC_DEVICE: begin, save hook with the sink, end (returns the first error of a put).
	struct vkckpt_sink *device_begin(const char *device_class, const char *name, uint32_t version, uint32_t policy, uint32_t flags);
	Status device_end();
	Status head_end();

	// One chunk, through the writer's own builder: buffered, written in big pieces. Each (object, chunk) once.
	Status chunk(const ChunkSource &);
	// A group built elsewhere; one caller at a time. The builder is cleared.
	Status write_group(GroupBuilder &);
	GroupBuilder &own_builder() { return builder_; }
	// For other builders of this image; null: it is not sealed. Valid from begin to drop_key.
	const Seal *seal() const { return seal_.active() ? &seal_ : nullptr; }
	// The image has ended, whole or not: its key is wiped.
	void drop_key() { seal_.wipe(); }

	// Statistics so far. frames_stored, frames_zero, stored_bytes and the classes are kept by the writer; the caller fills
	// frames_total, frames_free, frames_hole and the times before finish.
	struct vkckpt_f_stats &stats() { return stats_; }
	uint64_t frames_done() const { return frames_done_; }
	uint64_t bytes_written() const { return out_.position(); }

	// STATS, INDEX, trailer; everything is handed to the host (not synced).
	Status finish();
	uint64_t file_bytes() const { return out_.position(); }

private:
	void record_head(struct vkckpt_f_record &, uint16_t type, uint64_t payload_bytes);
	Status record_emit(const struct vkckpt_f_record &, const void *payload, size_t bytes, const void *more, size_t more_bytes);
	Status record_write(const struct vkckpt_f_record &, const void *payload, size_t bytes, const void *more, size_t more_bytes);
	Status begin_sealed(const struct vkckpt_f_key &, uint64_t created_realtime_ns);
	bool sealed(uint16_t type) const { return seal_.active() && type != VKCKPT_REC_KEY; }
	void index_add(const struct vkckpt_f_chunk &);
	uint64_t index_compact();
	Status write_index();

	ImageShape shape_;
	Output out_;
	GroupBuilder builder_;
	struct vkckpt_f_stats stats_ = {};
	struct vkckpt_f_header *header_ = nullptr;
	uint8_t *scratch_ = nullptr;		// a device's record; a payload while it is sealed; the trailer
	Seal seal_;
	struct vkckpt_f_sealed_group sealed_group_ = {};	// of the group that is being written
	struct vkckpt_f_device *device_ = nullptr;
	struct vkckpt_sink sink_ = {};
	// The index under construction: two places per chunk of each object (zero, stored; with FEATURE_INCREMENTAL a third, parent), so
	// that it is sorted by itself.
	struct vkckpt_f_index *index_head_ = nullptr;	// directly before index_
	struct vkckpt_f_chunk *index_ = nullptr;
	uint64_t *index_used_ = nullptr;	// a bit per place: big RAM with little in it costs little
	unsigned places_ = 2;
	uint64_t first_chunk_[VKCKPT_MAX_SEGMENTS + VKCKPT_MAX_REGIONS + 1] = {};
	uint64_t sequence_ = 0;
	uint64_t frames_done_ = 0;
	uint64_t stats_offset_ = 0, index_offset_ = 0;
	struct vkckpt_uuid image_id_ = {};
	DigestStream whole_;
	uint16_t last_type_ = 0;
	enum class Stage : uint8_t { idle, head, device, ram, done } stage_ = Stage::idle;
};

}  // namespace vk
#endif
