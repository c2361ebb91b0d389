// Encoding of frames: zero detection and LZ4 blocks. LZ4's state and all buffers are the caller's; nothing here allocates.
#ifndef VKCKPT_LIB_CODEC_H
#define VKCKPT_LIB_CODEC_H

#include <stddef.h>
#include <stdint.h>

#include <vkckpt/format.h>

namespace vk {

constexpr size_t kLz4StateBytes = 64 << 10;
constexpr uint32_t kLz4Quick = 1, kLz4Small = 2;	// levels (vkckpt_config.level)

// All zero? bytes is a multiple of 64. Stops at the first line that is not.
bool is_zero(const void *memory, size_t bytes);

// One LZ4 block from source_bytes (a chunk at most) to at most room bytes: its size, or 0 when it does not fit (then the frames are stored
// raw). state: kLz4StateBytes, 8-byte aligned. The same bytes at the same level give the same block.
size_t lz4_encode(void *state, const void *source, size_t source_bytes, void *out, size_t room, uint32_t level);
// Exactly out_bytes, or false: damaged. Never writes behind out_bytes, never reads behind stored_bytes.
bool lz4_decode(const void *stored, size_t stored_bytes, void *out, size_t out_bytes);

// Without __builtin_popcount, which calls libgcc where the processor is not known to have the instruction.
inline unsigned mask_count(uint16_t mask)
{
	unsigned m = mask - ((mask >> 1) & 0x5555u);
	m = (m & 0x3333u) + ((m >> 2) & 0x3333u);
	m = (m + (m >> 4)) & 0x0f0fu;
	return (m + (m >> 8)) & 0x1fu;
}
inline unsigned mask_first(uint16_t mask) { return static_cast<unsigned>(__builtin_ctz(mask)); }
// The frames of the mask lie one after the other.
inline bool mask_contiguous(uint16_t mask)
{
	uint32_t m = static_cast<uint32_t>(mask) >> mask_first(mask);
	return (m & (m + 1)) == 0;
}
// Chunks of this codec have bytes of their own in the image.
inline bool has_stored_bytes(uint8_t codec) { return codec != VKCKPT_CODEC_ZERO && codec != VKCKPT_CODEC_PARENT; }
// Frames of the mask from their places (frame f at base + f * 4096) one after the other to out, and back.
void frames_gather(void *out, const void *base, uint16_t mask);
void frames_scatter(void *base, const void *packed, uint16_t mask);

}  // namespace vk
#endif
