// Writes an image from front to back. See image_writer.h; the layout: vkckpt/format.h. init: ARM. The rest: QUIET, no allocation.
#include "lib/image_writer.h"

#include <errno.h>

#include "lib/codec.h"
#include "lib/image_check.h"
#include "lib/text.h"

namespace vk {
namespace {

constexpr size_t kDeviceRoom = VKCKPT_MAX_RECORD;
constexpr size_t kScratchRoom = kDeviceRoom + sizeof(struct vkckpt_f_sealed_group) + VKCKPT_TAG_BYTES;
static_assert(VKCKPT_SEALED_PIECE == kDeviceRoom);	// so that only the index has more than one piece
constexpr size_t kGroupHeadRoom = sizeof(struct vkckpt_f_record) + sizeof(struct vkckpt_f_group) +
    VKCKPT_GROUP_CHUNKS * sizeof(struct vkckpt_f_chunk);
static_assert(kGroupHeadRoom < kDeviceRoom && VKCKPT_BLOCK < kDeviceRoom);

uint64_t chunk_total(const ImageShape &shape)
{
	uint64_t first[VKCKPT_MAX_SEGMENTS + VKCKPT_MAX_REGIONS + 1];
	return first_chunks(shape, first);
}

unsigned places_of(const ImageShape &shape) { return shape.incremental() ? 3 : 2; }

// Words of 64 bits for a bit per place of the index.
uint64_t index_words(uint64_t places) { return (places + 63) / 64; }

unsigned place_of(uint8_t codec) { return codec == VKCKPT_CODEC_ZERO ? 0 : codec == VKCKPT_CODEC_PARENT ? 2 : 1; }

// The index with its head and the tags that it gets in a sealed image.
uint64_t index_bytes(uint64_t places)
{
	return sealed_bytes(sizeof(struct vkckpt_f_index) + places * sizeof(struct vkckpt_f_chunk));
}

}  // namespace

uint64_t ImageShape::frames(uint32_t object) const
{
	uint64_t bytes = 0;
	if (object < segment_count)
		bytes = segment[object].size_bytes;
	else if (object >= VKCKPT_OBJECT_REGION && object - VKCKPT_OBJECT_REGION < region_count)
		bytes = region_bytes[object - VKCKPT_OBJECT_REGION];
	return (bytes + VKCKPT_FRAME - 1) / VKCKPT_FRAME;
}

size_t ImageWriter::arena_bytes(const ImageShape &shape)
{
	uint64_t places = chunk_total(shape) * places_of(shape);
	return Output::arena_bytes() + GroupBuilder::arena_bytes() + Arena::room(sizeof(struct vkckpt_f_header)) +
	    Arena::room(kScratchRoom) + Arena::room(index_bytes(places)) +
	    Arena::room(index_words(places) * sizeof(uint64_t));
}

void ImageWriter::init(Arena &arena, const ImageShape &shape)
{
	VK_CHECK(shape.segment_count <= VKCKPT_MAX_SEGMENTS && shape.region_count <= VKCKPT_MAX_REGIONS);
	shape_ = shape;
	out_.init(arena);
	builder_.init(arena);
	header_ = arena.take_array<struct vkckpt_f_header>(1);
	scratch_ = static_cast<uint8_t *>(arena.take(kScratchRoom));
	places_ = places_of(shape);
	uint64_t places = chunk_total(shape) * places_;
	index_head_ = static_cast<struct vkckpt_f_index *>(arena.take(index_bytes(places)));
	index_ = reinterpret_cast<struct vkckpt_f_chunk *>(index_head_ + 1);
	index_used_ = arena.take_array<uint64_t>(index_words(places));
	(void)first_chunks(shape_, first_chunk_);
	stage_ = Stage::idle;
}

Status ImageWriter::begin(int fd, const struct vkckpt_uuid &image_id, uint64_t created_realtime_ns, const Patience &patience)
{
	out_.begin(fd, patience);
	builder_.clear();
	whole_.reset();
	stats_ = {};
	sequence_ = frames_done_ = stats_offset_ = index_offset_ = 0;
	last_type_ = 0;
	image_id_ = image_id;
	__builtin_memset(index_used_, 0, index_words(first_chunk_[shape_.object_count()] * places_) * sizeof *index_used_);

	struct vkckpt_f_header &h = *header_;
	h = {};
	__builtin_memcpy(h.magic, VKCKPT_MAGIC, sizeof h.magic);
	h.version_major = VKCKPT_VERSION_MAJOR;
	h.version_minor = VKCKPT_VERSION_MINOR;
	h.header_bytes = sizeof h;
	h.frame_bytes = VKCKPT_FRAME;
	h.required_features = shape_.features & VKCKPT_FEATURE_INCREMENTAL;	// whether it is sealed, the seal says
	h.arch = VKCKPT_ARCH_X86_64;
	h.digest_id = VKCKPT_DIGEST_XXH3_128;
	h.image_id = image_id;
	struct vkckpt_f_key key;
	if (seal_.ready()) {
		h.required_features |= VKCKPT_FEATURE_SEALED;
		h.cipher_id = VKCKPT_CIPHER_XCHACHA20_POLY1305;
	} else {
		h.segment_count = shape_.segment_count;
		h.created_realtime_ns = created_realtime_ns;
		__builtin_memcpy(h.segment, shape_.segment, sizeof h.segment);
		__builtin_memcpy(h.segment_skip, shape_.segment_skip, sizeof h.segment_skip);
	}
	h.digest = digest_of(&h, offsetof(struct vkckpt_f_header, digest));
	whole_.add(&h.digest, sizeof h.digest);
	stage_ = Stage::head;
	if (seal_.ready())
		VK_TRY(seal_.make(h, &key));
	builder_.set_seal(seal());
	VK_TRY(out_.append(&h, sizeof h));
	return seal_.ready() ? begin_sealed(key, created_realtime_ns) : success();
}

// The key in clear, then what the header does not show.
Status ImageWriter::begin_sealed(const struct vkckpt_f_key &key, uint64_t created_realtime_ns)
{
	struct vkckpt_f_record head;
	record_head(head, VKCKPT_REC_KEY, sizeof key);
	VK_TRY(record_emit(head, &key, sizeof key, nullptr, 0));
	struct vkckpt_f_shape shape = {};
	shape.created_realtime_ns = created_realtime_ns;
	shape.segment_count = shape_.segment_count;
	__builtin_memcpy(shape.segment, shape_.segment, sizeof shape.segment);
	__builtin_memcpy(shape.segment_skip, shape_.segment_skip, sizeof shape.segment_skip);
	record_head(head, VKCKPT_REC_SHAPE, sizeof shape);
	return record_emit(head, &shape, sizeof shape, nullptr, 0);
}

void ImageWriter::record_head(struct vkckpt_f_record &record, uint16_t type, uint64_t payload_bytes)
{
	record = {};
	record.magic = VKCKPT_RECORD_MAGIC;
	record.type = type;
	record.version = 1;
	record.sequence = sequence_++;
	record.payload_bytes = sealed(type) ? sealed_prefix(type) + sealed_bytes(payload_bytes) : payload_bytes;
	record.flags = VKCKPT_RECORD_REQUIRED;
	record.head_check = static_cast<uint32_t>(digest64_of(&record, offsetof(struct vkckpt_f_record, head_check)));
}

// A record whose head is made: seals its payload, if need be in a copy (a device's stands in scratch_ already), and writes it.
Status ImageWriter::record_emit(const struct vkckpt_f_record &head, const void *payload, size_t bytes, const void *more,
    size_t more_bytes)
{
	if (!sealed(head.type))
		return record_write(head, payload, bytes, more, more_bytes);
	size_t prefix = sealed_prefix(head.type);
	VK_CHECK(head.payload_bytes <= kScratchRoom);
	if (bytes != 0)
		__builtin_memmove(scratch_ + prefix, payload, bytes);
	if (more_bytes != 0)
		__builtin_memcpy(scratch_ + prefix + bytes, more, more_bytes);
	__builtin_memcpy(scratch_, &sealed_group_, prefix);
	VK_TRY(seal_.seal_payload(head, scratch_, scratch_ + prefix, bytes + more_bytes));
	return record_write(head, scratch_, head.payload_bytes, nullptr, 0);
}

// Completes the digest and writes the record with the zeros behind it.
Status ImageWriter::record_write(const struct vkckpt_f_record &head, const void *payload, size_t bytes, const void *more,
    size_t more_bytes)
{
	static constexpr uint8_t kZeros[16] = {};
	size_t pad = (16 - (sizeof head + bytes + more_bytes) % 16) % 16;
	struct vkckpt_f_record record = head;
	VK_CHECK(record.payload_bytes == bytes + more_bytes && out_.position() % 16 == 0);
	DigestStream digest;
	digest.add(&record, offsetof(struct vkckpt_f_record, digest));
	digest.add(payload, bytes);
	digest.add(more, more_bytes);
	digest.add(kZeros, pad);
	record.digest = digest.result();
	whole_.add(&record.digest, sizeof record.digest);
	VK_TRY(out_.append(&record, sizeof record));
	VK_TRY(out_.append(payload, bytes));
	VK_TRY(out_.append(more, more_bytes));
	return out_.append(kZeros, pad);
}

Status ImageWriter::record(uint16_t type, const void *payload, size_t bytes, const void *more, size_t more_bytes)
{
	VK_CHECK(stage_ == Stage::head && type >= VKCKPT_REC_HOST && type < VKCKPT_REC_HEAD_END && type >= last_type_);
	if (bytes > VKCKPT_MAX_RECORD || more_bytes > VKCKPT_MAX_RECORD - bytes)
		return fail(ENOBUFS, VKCKPT_R_LIMIT, "write", "a record", bytes + more_bytes);
	last_type_ = type;
	struct vkckpt_f_record head;
	record_head(head, type, bytes + more_bytes);
	return record_emit(head, payload, bytes, more, more_bytes);
}

struct vkckpt_sink *ImageWriter::device_begin(const char *device_class, const char *name, uint32_t version, uint32_t policy,
    uint32_t flags)
{
	VK_CHECK(stage_ == Stage::head);
	device_ = reinterpret_cast<struct vkckpt_f_device *>(scratch_);
	*device_ = {};
	(void)text_copy(device_->device_class, sizeof device_->device_class, device_class);
	(void)text_copy(device_->name, sizeof device_->name, name);
	device_->version = version;
	device_->policy = policy;
	device_->flags = flags;
	sink_begin(&sink_, scratch_ + sizeof *device_, kDeviceRoom - sizeof *device_);
	stage_ = Stage::device;
	return &sink_;
}

Status ImageWriter::device_end()
{
	VK_CHECK(stage_ == Stage::device);
	stage_ = Stage::head;
	if (sink_.error != 0)
		return fail(-sink_.error, sink_.error == -ENOBUFS ? VKCKPT_R_LIMIT : VKCKPT_R_BAD_ARGUMENT, "write: device configuration",
		    sink_.error_key);
	device_->config_count = sink_.count;
	return record(VKCKPT_REC_DEVICE, scratch_, sizeof *device_ + sink_.used);
}

Status ImageWriter::head_end()
{
	VK_CHECK(stage_ == Stage::head);
	stage_ = Stage::ram;
	struct vkckpt_f_record head;
	record_head(head, VKCKPT_REC_HEAD_END, 0);
	return record_emit(head, nullptr, 0, nullptr, 0);
}

Status ImageWriter::chunk(const ChunkSource &source)
{
	if (!builder_.room())
		VK_TRY(write_group(builder_));
	builder_.add(source);
	return success();
}

// The places of a chunk are in the order of the index: written once each, or the caller has given a chunk twice.
void ImageWriter::index_add(const struct vkckpt_f_chunk &chunk)
{
	uint32_t i = chunk.object < VKCKPT_OBJECT_REGION ? chunk.object : chunk.object - VKCKPT_OBJECT_REGION + shape_.segment_count;
	VK_CHECK(chunk.object < shape_.segment_count || chunk.object >= VKCKPT_OBJECT_REGION);
	VK_CHECK(i < shape_.object_count());
	uint64_t place = first_chunk_[i] + chunk.chunk;
	VK_CHECK(place < first_chunk_[i + 1]);
	VK_CHECK(place_of(chunk.codec) < places_);
	place = place * places_ + place_of(chunk.codec);
	VK_CHECK(!(index_used_[place / 64] >> place % 64 & 1));
	index_used_[place / 64] |= uint64_t{1} << place % 64;
	index_[place] = chunk;
}

Status ImageWriter::write_group(GroupBuilder &b)
{
	VK_CHECK(stage_ == Stage::ram);
	if (b.empty())
		return success();
	b.complete();
	VK_TRY(b.failure_);
	size_t descriptors = b.count_ * sizeof(struct vkckpt_f_chunk);
	size_t record_bytes = sizeof(struct vkckpt_f_record) + sizeof(struct vkckpt_f_group) + descriptors;
	struct vkckpt_f_group group = {};
	group.chunk_count = b.count_;
	group.data_bytes = b.data_bytes_;
	if (seal_.active())
		record_bytes = sizeof(struct vkckpt_f_record) + sizeof sealed_group_ + sealed_bytes(sizeof group + descriptors);
	sealed_group_ = { b.data_bytes_, 0, b.data_digest_ };
	uint64_t record_end = out_.position() + ((record_bytes + 15) & ~size_t{15});
	group.data_offset = (record_end + VKCKPT_BLOCK - 1) & ~uint64_t{VKCKPT_BLOCK - 1};
	for (uint32_t i = 0; i < b.count_; i++) {
		if (has_stored_bytes(b.chunk_[i].codec))
			b.chunk_[i].offset += group.data_offset;
		index_add(b.chunk_[i]);
	}
	struct vkckpt_f_record head;
	record_head(head, VKCKPT_REC_RAM_GROUP, sizeof group + descriptors);
	VK_TRY(record_emit(head, &group, sizeof group, b.chunk_, descriptors));
	VK_TRY(out_.align(VKCKPT_BLOCK));
	VK_CHECK(out_.position() == group.data_offset);
	VK_TRY(out_.append_blocks(b.data_, b.data_bytes_));
	stats_.frames_stored += b.frames_stored_;
	stats_.frames_zero += b.frames_zero_;
	stats_.frames_parent += b.frames_parent_;
	stats_.stored_bytes += b.stored_bytes_;
	frames_done_ += b.frames_in_;
	for (unsigned c = 0; c < VKCKPT_CLASS_COUNT; c++) {
		stats_.class_frames[c] += b.class_frames_[c];
		stats_.class_bytes[c] += b.class_bytes_[c];
	}
	b.clear();
	return success();
}

// Moves the used places together; their order is the index's own.
uint64_t ImageWriter::index_compact()
{
	uint64_t used = 0, words = index_words(first_chunk_[shape_.object_count()] * places_);
	for (uint64_t w = 0; w < words; w++)
		for (uint64_t bits = index_used_[w]; bits != 0; bits &= bits - 1) {
			uint64_t i = w * 64 + static_cast<unsigned>(__builtin_ctzll(bits));
			if (used != i)
				index_[used] = index_[i];
			used++;
		}
	return used;
}

// Sealed where it stands: it is not needed any more.
Status ImageWriter::write_index()
{
	*index_head_ = { index_compact(), 0 };
	index_offset_ = out_.position();
	uint64_t bytes = sizeof *index_head_ + index_head_->entry_count * sizeof *index_;
	struct vkckpt_f_record head;
	record_head(head, VKCKPT_REC_INDEX, bytes);
	if (sealed(VKCKPT_REC_INDEX))
		VK_TRY(seal_.seal_payload(head, nullptr, index_head_, bytes));
	return record_write(head, index_head_, head.payload_bytes, nullptr, 0);
}

Status ImageWriter::finish()
{
	VK_CHECK(stage_ == Stage::ram);
	VK_TRY(write_group(builder_));
	stage_ = Stage::done;
	stats_offset_ = out_.position();
	struct vkckpt_f_record head;
	record_head(head, VKCKPT_REC_STATS, sizeof stats_);
	VK_TRY(record_emit(head, &stats_, sizeof stats_, nullptr, 0));
	VK_TRY(write_index());
	VK_TRY(out_.align(VKCKPT_BLOCK));
	struct vkckpt_f_trailer &t = *reinterpret_cast<struct vkckpt_f_trailer *>(scratch_);
	t = {};
	__builtin_memcpy(t.magic, VKCKPT_TRAILER_MAGIC, sizeof t.magic);
	t.file_bytes = out_.position() + sizeof t;
	t.stats_offset = stats_offset_;
	t.index_offset = index_offset_;
	t.record_count = sequence_;
	t.image_id = image_id_;
	t.whole = whole_.result();
	t.digest = digest_of(&t, offsetof(struct vkckpt_f_trailer, digest));
	drop_key();
	VK_TRY(out_.append(&t, sizeof t));
	return out_.flush();
}

}  // namespace vk
