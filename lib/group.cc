// Builds one RAM group in memory. See group.h. QUIET: no allocation, no system call.
#include "lib/group.h"

#include "lib/asan.h"
#include "lib/codec.h"
#include "lib/digest.h"
#include "lib/image_file.h"
#include "lib/parent.h"

namespace vk {
namespace {

// The class of most frames of the mask; the lowest of those that tie.
uint8_t majority(const ChunkSource &source, uint16_t mask)
{
	if (source.page_class == nullptr)
		return VKCKPT_CLASS_OTHER;
	uint8_t votes[VKCKPT_CLASS_COUNT] = {};
	uint8_t best = VKCKPT_CLASS_OTHER;
	for (unsigned f = 0; f < VKCKPT_CHUNK_FRAMES; f++)
		if (mask & 1u << f && source.page_class[f] < VKCKPT_CLASS_COUNT)
			votes[source.page_class[f]]++;
	for (uint8_t c = 0; c < VKCKPT_CLASS_COUNT; c++)
		if (votes[c] > votes[best])
			best = c;
	return best;
}

}  // namespace

size_t GroupBuilder::arena_bytes()
{
	return Arena::room(VKCKPT_GROUP_CHUNKS * sizeof(struct vkckpt_f_chunk)) + Arena::room(kDataRoom, VKCKPT_BLOCK) +
	    Arena::room(VKCKPT_CHUNK, VKCKPT_BLOCK) + Arena::room(kLz4StateBytes);
}

void GroupBuilder::init(Arena &arena)
{
	chunk_ = arena.take_array<struct vkckpt_f_chunk>(VKCKPT_GROUP_CHUNKS);
	data_ = static_cast<uint8_t *>(arena.take(kDataRoom, VKCKPT_BLOCK));
	scratch_ = static_cast<uint8_t *>(arena.take(VKCKPT_CHUNK, VKCKPT_BLOCK));
	lz4_state_ = arena.take(kLz4StateBytes);
	clear();
}

void GroupBuilder::clear()
{
	failure_ = success();
	complete_ = false;
	count_ = 0;
	data_bytes_ = 0;
	frames_in_ = frames_stored_ = frames_zero_ = frames_parent_ = stored_bytes_ = 0;
	for (unsigned c = 0; c < VKCKPT_CLASS_COUNT; c++)
		class_frames_[c] = class_bytes_[c] = 0;
}

void GroupBuilder::add(const ChunkSource &source)
{
	VK_CHECK(room() && source.mask != 0 && !complete_);
	asan_unpoison(source.base, VKCKPT_CHUNK);	// stacks lie in RAM too, and have gaps in them
	uint16_t zero = 0;
	for (unsigned f = 0; f < VKCKPT_CHUNK_FRAMES; f++)
		if (source.mask & 1u << f &&
		    is_zero(static_cast<const uint8_t *>(source.base) + f * VKCKPT_FRAME, VKCKPT_FRAME))
			zero |= static_cast<uint16_t>(1u << f);
	if (zero != 0)
		add_zero(source, zero);
	uint16_t stored = static_cast<uint16_t>(source.mask & ~zero), same = 0;
	if (stored != 0 && hashes_ != nullptr)
		same = hashes_->unchanged(source.object, source.chunk, source.base, stored);
	if (same != 0)
		add_parent(source, same);
	stored = static_cast<uint16_t>(stored & ~same);
	if (stored != 0)
		add_stored(source, stored);
	count(source, zero, same);
}

// The image that gives the bytes holds frames that are not zero.
Status GroupBuilder::add_copy(const ChunkSource &source, const struct vkckpt_f_chunk &stored, const OpenImage &image)
{
	VK_CHECK(room() && !complete_ && source.mask != 0 && source.mask == stored.mask);
	if (hashes_ && !hashes_->full()) {
		descriptor(source, stored.mask, VKCKPT_CODEC_PARENT).content = stored.content;
		count(source, 0, source.mask);
		return success();
	}
	size_t start = begin_stored(image.plain_stored(stored));
	VK_TRY(image.read_stored(stored, data_ + start));
	struct vkckpt_f_chunk &chunk = descriptor(source, stored.mask, stored.codec);
	if (content_)
		chunk.content = stored.content;
	place(chunk, start, image.plain_stored(stored));
	count(source, 0, 0);
	return success();
}

void GroupBuilder::count(const ChunkSource &source, uint16_t zero, uint16_t same)
{
	for (unsigned f = 0; f < VKCKPT_CHUNK_FRAMES; f++)
		if (source.mask & 1u << f) {
			unsigned c = source.page_class ? source.page_class[f] : 0u;
			class_frames_[c < VKCKPT_CLASS_COUNT ? c : 0u]++;	// 0: VKCKPT_CLASS_OTHER
		}
	frames_in_ += mask_count(source.mask);
	frames_zero_ += mask_count(zero);
	frames_stored_ += mask_count(source.mask) - mask_count(zero) - mask_count(same);
	frames_parent_ += mask_count(same);
}

// Where the next stored bytes begin: up to room_bytes of them.
size_t GroupBuilder::begin_stored(size_t room_bytes)
{
	size_t start = (data_bytes_ + 15) & ~size_t{15};
	VK_CHECK(start + room_bytes + VKCKPT_TAG_BYTES <= kDataRoom);
	__builtin_memset(data_ + data_bytes_, 0, start - data_bytes_);
	return start;
}

struct vkckpt_f_chunk &GroupBuilder::descriptor(const ChunkSource &source, uint16_t mask, uint8_t codec)
{
	VK_CHECK(count_ < VKCKPT_GROUP_CHUNKS);
	struct vkckpt_f_chunk &chunk = chunk_[count_++];
	chunk = {};
	chunk.chunk = source.chunk;
	chunk.object = source.object;
	chunk.mask = mask;
	chunk.codec = codec;
	chunk.page_class = majority(source, mask);
	return chunk;
}

void GroupBuilder::add_zero(const ChunkSource &source, uint16_t mask) { (void)descriptor(source, mask, VKCKPT_CODEC_ZERO); }

// The hash is over what is in RAM now: when the chain yields something else, a reader finds out.
void GroupBuilder::add_parent(const ChunkSource &source, uint16_t mask)
{
	descriptor(source, mask, VKCKPT_CODEC_PARENT).content = digest_of_frames(source.base, mask);
}

// Encodes straight from the source when the frames lie together. LZ4 gets one byte less room than raw frames take: what does not
// shrink is stored as it is, and LZ4 gives up at the end of its room without a second pass.
void GroupBuilder::add_stored(const ChunkSource &source, uint16_t mask)
{
	const uint8_t *frames = static_cast<const uint8_t *>(source.base) + mask_first(mask) * VKCKPT_FRAME;
	if (!mask_contiguous(mask)) {
		frames_gather(scratch_, source.base, mask);
		frames = scratch_;
	}
	size_t bytes = mask_count(mask) * size_t{VKCKPT_FRAME};
	size_t start = begin_stored(bytes);
	size_t stored = codec_ == VKCKPT_CODEC_LZ4 ? lz4_encode(lz4_state_, frames, bytes, data_ + start, bytes - 1, level_) : 0;
	struct vkckpt_f_chunk &chunk = descriptor(source, mask, stored ? VKCKPT_CODEC_LZ4 : VKCKPT_CODEC_RAW);
	if (stored == 0) {
		__builtin_memcpy(data_ + start, frames, bytes);
		stored = bytes;
	}
	if (content_)
		chunk.content = digest_of(frames, bytes);
	place(chunk, start, stored);
}

// The stored bytes stand at start, in clear: sealed if need be, and entered in the descriptor.
void GroupBuilder::place(struct vkckpt_f_chunk &chunk, size_t start, size_t stored)
{
	if (seal_) {
		if (Status s = seal_->seal_chunk(chunk, data_ + start, stored); !s.ok() && failure_.ok())
			failure_ = s;
		stored += VKCKPT_TAG_BYTES;
	}
	chunk.offset = start;
	chunk.stored_bytes = static_cast<uint32_t>(stored);
	chunk.digest = digest_of(data_ + start, stored);
	data_bytes_ = start + stored;
	stored_bytes_ += stored;
	class_bytes_[chunk.page_class < VKCKPT_CLASS_COUNT ? chunk.page_class : 0u] += stored;
}

void GroupBuilder::add_encoded(const struct vkckpt_f_chunk &c, const void *bytes, size_t stored_bytes)
{
	VK_CHECK(room() && !complete_);
	struct vkckpt_f_chunk &chunk = chunk_[count_++];
	chunk = c;
	frames_in_ += mask_count(c.mask);
	if (!has_stored_bytes(c.codec)) {
		(c.codec == VKCKPT_CODEC_ZERO ? frames_zero_ : frames_parent_) += mask_count(c.mask);
		return;
	}
	frames_stored_ += mask_count(c.mask);
	size_t start = begin_stored(stored_bytes);
	__builtin_memcpy(data_ + start, bytes, stored_bytes);
	place(chunk, start, stored_bytes);
}

void GroupBuilder::complete()
{
	if (complete_)
		return;
	size_t end = (data_bytes_ + VKCKPT_BLOCK - 1) & ~size_t{VKCKPT_BLOCK - 1};
	VK_CHECK(end <= kDataRoom);
	__builtin_memset(data_ + data_bytes_, 0, end - data_bytes_);
	data_bytes_ = end;
	if (seal_)
		data_digest_ = digest_of(data_, data_bytes_);
	complete_ = true;
}

}  // namespace vk
