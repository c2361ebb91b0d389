// Hashes of the parent's frames. See parent.h. know: ARM, THAW; the rest QUIET: no allocation, no system call.
#include "lib/parent.h"

#include "lib/codec.h"
#include "lib/digest.h"
#include "lib/image_check.h"

namespace vk {
namespace {

const uint8_t *frame_at(const void *base, unsigned f) { return static_cast<const uint8_t *>(base) + f * size_t{VKCKPT_FRAME}; }

uint16_t bit(unsigned f) { return static_cast<uint16_t>(1u << f); }

}  // namespace

struct vkckpt_digest digest_of_frames(const void *base, uint16_t mask)
{
	if (mask_contiguous(mask))
		return digest_of(frame_at(base, mask_first(mask)), mask_count(mask) * size_t{VKCKPT_FRAME});
	DigestStream digest;
	for (unsigned f = 0; f < VKCKPT_CHUNK_FRAMES; f++)
		if (mask & bit(f))
			digest.add(frame_at(base, f), VKCKPT_FRAME);
	return digest.result();
}

size_t ParentHashes::arena_bytes(const ImageShape &shape)
{
	uint64_t first[VKCKPT_MAX_SEGMENTS + VKCKPT_MAX_REGIONS + 1];
	uint64_t chunks = first_chunks(shape, first);
	return Arena::room(chunks * sizeof(Frames)) + 3 * Arena::room(chunks * sizeof(uint16_t));
}

void ParentHashes::init(Arena &arena, const ImageShape &shape)
{
	segment_count_ = shape.segment_count;
	chunks_ = first_chunks(shape, first_chunk_);
	frames_ = arena.take_array<Frames>(chunks_);
	known_ = arena.take_array<uint16_t>(chunks_);
	piece_ = arena.take_array<uint16_t>(chunks_);
	fresh_ = arena.take_array<uint16_t>(chunks_);
	empty_ = true;
}

uint64_t ParentHashes::place(uint32_t object, uint64_t chunk) const
{
	uint32_t i = object < VKCKPT_OBJECT_REGION ? object : object - VKCKPT_OBJECT_REGION + segment_count_;
	uint64_t at = first_chunk_[i] + chunk;
	VK_CHECK(at < first_chunk_[i + 1]);
	return at;
}

void ParentHashes::know(const struct vkckpt_f_chunk &c)
{
	if (c.codec == VKCKPT_CODEC_ZERO)
		return;
	uint64_t i = place(c.object, c.chunk);
	if (piece_[i] == 0)
		piece_[i] = c.mask;
	known_[i] = static_cast<uint16_t>(known_[i] | c.mask);
	frames_[i].hash[mask_first(c.mask)] = c.content;
	empty_ = false;
}

void ParentHashes::forget()
{
	__builtin_memset(known_, 0, chunks_ * sizeof *known_);
	__builtin_memset(piece_, 0, chunks_ * sizeof *piece_);
	empty_ = true;
}

void ParentHashes::begin(bool full)
{
	full_ = full;
	__builtin_memset(fresh_, 0, chunks_ * sizeof *fresh_);
}

// From hashes of pieces to hashes of frames; what is unchanged of the pieces stays known.
uint16_t ParentHashes::split(uint64_t i, const void *base, uint16_t mask)
{
	uint16_t same = 0;
	const uint16_t pieces[2] = { piece_[i], static_cast<uint16_t>(known_[i] & ~piece_[i]) };
	for (uint16_t piece : pieces)
		if (piece != 0 && (piece & ~mask) == 0 &&
		    digest_equal(digest_of_frames(base, piece), frames_[i].hash[mask_first(piece)]))
			same = static_cast<uint16_t>(same | piece);
	known_[i] = same;
	piece_[i] = 0;
	for (unsigned f = 0; f < VKCKPT_CHUNK_FRAMES; f++)
		if (mask & bit(f))
			frames_[i].hash[f] = digest_of(frame_at(base, f), VKCKPT_FRAME);
	return same;
}

// A changed frame loses its place among the known ones at once: should this capture fail, the frame is no longer what the parent has.
uint16_t ParentHashes::unchanged(uint32_t object, uint64_t chunk, const void *base, uint16_t mask)
{
	uint64_t i = place(object, chunk);
	uint16_t same = 0;
	fresh_[i] = mask;
	if (piece_[i] != 0) {
		same = split(i, base, mask);
	} else {
		for (unsigned f = 0; f < VKCKPT_CHUNK_FRAMES; f++) {
			if (!(mask & bit(f)))
				continue;
			struct vkckpt_digest now = digest_of(frame_at(base, f), VKCKPT_FRAME);
			if (known_[i] & bit(f) && digest_equal(now, frames_[i].hash[f])) {
				same = static_cast<uint16_t>(same | bit(f));
			} else {
				known_[i] = static_cast<uint16_t>(known_[i] & ~bit(f));
				frames_[i].hash[f] = now;
			}
		}
	}
	return full_ ? uint16_t{0} : same;
}

bool ParentHashes::keep(uint32_t object, uint64_t chunk, uint16_t mask, const struct vkckpt_digest &content)
{
	uint64_t i = place(object, chunk);
	if (known_[i] != mask || piece_[i] != mask || !digest_equal(frames_[i].hash[mask_first(mask)], content))
		return false;
	fresh_[i] = mask;
	return true;
}

// Where a piece is left its chunk was kept, or is not in the image.
void ParentHashes::commit()
{
	uint16_t *old = known_;
	known_ = fresh_;
	fresh_ = old;
	for (uint64_t i = 0; i < chunks_; i++)
		if (known_[i] == 0)
			piece_[i] = 0;
	empty_ = false;
}

}  // namespace vk
