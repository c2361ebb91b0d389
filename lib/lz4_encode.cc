// LZ4 blocks of up to 64 KiB. See codec.h. QUIET; nothing here allocates or calls the host.
//
// Why not the library's own encoder, whose decoder we use: its table has 2^13 entries for blocks as small as ours, too few to remember 64 KiB. With
// 2^15 and a hash over five bytes the blocks of a Debian guest's memory get 1.9 % smaller at the same speed, more than it costs that a chunk
// refers to nothing before itself; taking a longer match one byte further on makes them 3.5 % smaller, in 1.1 times the time.
#include "lib/codec.h"

#include "lib/status.h"

namespace vk {
namespace {

// Of the format: the last five bytes are literals, and the last match begins twelve bytes before the end or earlier.
constexpr size_t kLastLiterals = 5, kLastMatch = 12, kLeastMatch = 4;
constexpr unsigned kHashBits = 15;
constexpr unsigned kPatience = 6;	// after 2^6 places without a match every second one is tried, after as many more every third ...
constexpr size_t kLazyBytes = 12;	// a match as long as that is taken without a look at the next byte

static_assert(kLz4StateBytes == sizeof(uint16_t) << kHashBits);

struct Block {
	const uint8_t *in, *end;
	const uint8_t *last_match, *match_end;
	uint16_t *table;			// where five bytes with this hash were last seen; 0 also stands for nowhere
	uint8_t *out, *out_end;
};

uint64_t load64(const uint8_t *at)
{
	uint64_t v;
	__builtin_memcpy(&v, at, sizeof v);
	return v;
}

uint32_t load32(const uint8_t *at)
{
	uint32_t v;
	__builtin_memcpy(&v, at, sizeof v);
	return v;
}

// Enters the place in the table and gives what stood there. The multiplier is one of XXH64's.
inline const uint8_t *seen_before(const Block &b, const uint8_t *at)
{
	uint64_t hash = (load64(at) << 24) * 0xcf1bbcdcb7a56463u >> (64 - kHashBits);
	const uint8_t *before = b.in + b.table[hash];
	b.table[hash] = static_cast<uint16_t>(at - b.in);
	return before;
}

inline bool is_match(const uint8_t *at, const uint8_t *before) { return before < at && load32(at) == load32(before); }

// Of a match of four bytes: all of it.
inline size_t match_bytes(const Block &b, const uint8_t *at, const uint8_t *before)
{
	const uint8_t *start = at;
	for (at += kLeastMatch, before += kLeastMatch; at + 8 <= b.match_end; at += 8, before += 8)
		if (uint64_t other = load64(at) ^ load64(before); other != 0)
			return static_cast<size_t>(at - start) + static_cast<unsigned>(__builtin_ctzll(other)) / 8;
	while (at < b.match_end && *at == *before)
		at++, before++;
	return static_cast<size_t>(at - start);
}

// The next place from `at` on that has a match; null: none.
inline const uint8_t *find(const Block &b, const uint8_t *at, const uint8_t **match)
{
	for (unsigned tries = 1u << kPatience; at <= b.last_match; at += tries++ >> kPatience) {
		*match = seen_before(b, at);
		if (is_match(at, *match))
			return at;
	}
	return nullptr;
}

// Goes on to the next byte as long as it has a longer match.
inline const uint8_t *find_longer(const Block &b, const uint8_t *at, const uint8_t **match, size_t *bytes)
{
	while (*bytes < kLazyBytes && at < b.last_match) {
		const uint8_t *other = seen_before(b, at + 1);
		size_t longer = is_match(at + 1, other) ? match_bytes(b, at + 1, other) : 0;
		if (longer <= *bytes)
			break;
		at++;
		*match = other;
		*bytes = longer;
	}
	return at;
}

inline uint8_t *put_length(uint8_t *out, size_t length)
{
	for (; length >= 255; length -= 255)
		*out++ = 255;
	*out++ = static_cast<uint8_t>(length);
	return out;
}

// The token's upper half and the literals from `from` to `to`. In pieces of 16 bytes where there is room for them on both sides.
inline void put_literals(Block &b, const uint8_t *from, const uint8_t *to)
{
	size_t count = static_cast<size_t>(to - from);
	uint8_t *out = b.out;
	*out++ = static_cast<uint8_t>((count < 15 ? count : 15) << 4);
	if (count >= 15)
		out = put_length(out, count - 15);
	b.out = out + count;
	if (b.out_end - b.out < 16 || b.end - to < 16) {
		__builtin_memcpy(out, from, count);
		return;
	}
	for (; out < b.out; out += 16, from += 16)
		__builtin_memcpy(out, from, 16);
}

// False: no room, also if it would just suffice.
inline bool put_sequence(Block &b, const uint8_t *literals, const uint8_t *at, const uint8_t *match, size_t bytes)
{
	size_t count = static_cast<size_t>(at - literals);
	if (count + count / 255 + bytes / 255 + 16 > static_cast<size_t>(b.out_end - b.out))
		return false;
	uint8_t *token = b.out;
	put_literals(b, literals, at);
	size_t offset = static_cast<size_t>(at - match), more = bytes - kLeastMatch;
	*b.out++ = static_cast<uint8_t>(offset);
	*b.out++ = static_cast<uint8_t>(offset >> 8);
	*token = static_cast<uint8_t>(*token | (more < 15 ? more : 15));
	if (more >= 15)
		b.out = put_length(b.out, more - 15);
	return true;
}

// All but the last literals, which begin at *literals then. False: no room.
template <bool lazy> bool put_matches(Block &b, const uint8_t **literals)
{
	const uint8_t *at = b.in + 1, *match;
	while ((at = find(b, at, &match)) != nullptr) {
		do {
			size_t bytes = match_bytes(b, at, match);
			if (lazy)
				at = find_longer(b, at, &match, &bytes);
			for (; at > *literals && match > b.in && at[-1] == match[-1]; bytes++)
				at--, match--;
			if (!put_sequence(b, *literals, at, match, bytes))
				return false;
			at += bytes;
			*literals = at;
			if (at > b.last_match)
				return true;
			(void)seen_before(b, at - 2);
			match = seen_before(b, at);
		} while (is_match(at, match));
		at++;
	}
	return true;
}

}  // namespace

size_t lz4_encode(void *state, const void *source, size_t source_bytes, void *out, size_t room, uint32_t level)
{
	VK_CHECK(source_bytes > 0 && source_bytes <= VKCKPT_CHUNK);
	const uint8_t *in = static_cast<const uint8_t *>(source), *end = in + source_bytes, *literals = in;
	uint8_t *to = static_cast<uint8_t *>(out);
	Block b = { in, end, in, in, static_cast<uint16_t *>(state), to, to + room };
	if (source_bytes > kLastMatch) {
		b.last_match = end - kLastMatch;
		b.match_end = end - kLastLiterals;
		__builtin_memset(state, 0, kLz4StateBytes);
		if (level > 1 ? !put_matches<true>(b, &literals) : !put_matches<false>(b, &literals))
			return 0;
	}
	size_t left = static_cast<size_t>(end - literals);
	if (left + left / 255 + 2 > static_cast<size_t>(b.out_end - b.out))
		return 0;
	put_literals(b, literals, end);
	return static_cast<size_t>(b.out - to);
}

}  // namespace vk
