// Zero detection, decoding, gathering of frames. See codec.h, and lz4_encode.cc for encoding. QUIET and THAW; nothing here allocates or calls the host.
#include "lib/codec.h"

// The prelinked LZ4 (mk/lz4.sh): renamed, so that a kernel with an LZ4 of its own can link us. Declared here, because lz4.h has only
// the original names.
extern "C" {
int vkckpt_lz4_decompress_safe(const char *source, char *out, int source_bytes, int room);
}

namespace vk {
namespace {

typedef uint64_t Words __attribute__((vector_size(64), aligned(8), may_alias));

bool line_is_zero(const uint8_t *at)
{
	const Words &w = *reinterpret_cast<const Words *>(at);
	return (w[0] | w[1] | w[2] | w[3] | w[4] | w[5] | w[6] | w[7]) == 0;
}

}  // namespace

// A first word that is not zero ends most calls; else 256 bytes a round, which the compiler turns into vector code.
bool is_zero(const void *memory, size_t bytes)
{
	const uint8_t *at = static_cast<const uint8_t *>(memory);
	const uint8_t *end = at + bytes;
	for (; at + 256 <= end; at += 256) {
		Words w = *reinterpret_cast<const Words *>(at) | *reinterpret_cast<const Words *>(at + 64) |
		    *reinterpret_cast<const Words *>(at + 128) | *reinterpret_cast<const Words *>(at + 192);
		if ((w[0] | w[1] | w[2] | w[3] | w[4] | w[5] | w[6] | w[7]) != 0)
			return false;
	}
	for (; at < end; at += 64)
		if (!line_is_zero(at))
			return false;
	return true;
}

bool lz4_decode(const void *stored, size_t stored_bytes, void *out, size_t out_bytes)
{
	int decoded = vkckpt_lz4_decompress_safe(static_cast<const char *>(stored), static_cast<char *>(out),
	    static_cast<int>(stored_bytes), static_cast<int>(out_bytes));
	return decoded >= 0 && static_cast<size_t>(decoded) == out_bytes;
}

void frames_gather(void *out, const void *base, uint16_t mask)
{
	uint8_t *to = static_cast<uint8_t *>(out);
	for (unsigned f = 0; f < VKCKPT_CHUNK_FRAMES; f++)
		if (mask & 1u << f) {
			__builtin_memcpy(to, static_cast<const uint8_t *>(base) + f * VKCKPT_FRAME, VKCKPT_FRAME);
			to += VKCKPT_FRAME;
		}
}

void frames_scatter(void *base, const void *packed, uint16_t mask)
{
	const uint8_t *from = static_cast<const uint8_t *>(packed);
	for (unsigned f = 0; f < VKCKPT_CHUNK_FRAMES; f++)
		if (mask & 1u << f) {
			__builtin_memcpy(static_cast<uint8_t *>(base) + f * VKCKPT_FRAME, from, VKCKPT_FRAME);
			from += VKCKPT_FRAME;
		}
}

}  // namespace vk
