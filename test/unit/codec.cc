// Digests and codecs: against values computed elsewhere, and on bad input.
#include <catch2/catch.hpp>

#include <cstring>
#include <lz4.h>
#include <random>
#include <string>
#include <vector>

#include "lib/codec.h"
#include "lib/digest.h"

namespace {

std::string hex(const vkckpt_digest &digest)
{
	std::string out;
	char byte[3];
	for (uint8_t b : digest.bytes) {
		std::snprintf(byte, sizeof byte, "%02x", b);
		out += byte;
	}
	return out;
}

alignas(64) uint8_t state[vk::kLz4StateBytes];

}  // namespace

TEST_CASE("digests are XXH3-128 in canonical form", "[digest]")
{
	// Published values of XXH128 with seed 0.
	REQUIRE(hex(vk::digest_of("", 0)) == "99aa06d3014798d86001c324468d497f");
	REQUIRE(hex(vk::digest_of("abc", 3)) == "06b05ab6733a618578af5f94892f3950");
}

TEST_CASE("a digest in pieces is that of the whole, and asking for it changes nothing", "[digest]")
{
	std::mt19937_64 random(1);
	std::vector<uint8_t> data(100000);
	for (uint8_t &b : data)
		b = static_cast<uint8_t>(random());
	vk::DigestStream stream;
	for (size_t at = 0; at < data.size();) {
		size_t part = std::min<size_t>(random() % 5000, data.size() - at);
		stream.add(data.data() + at, part);
		at += part;
		REQUIRE(vk::digest_equal(stream.result(), vk::digest_of(data.data(), at)));
	}
	stream.reset();
	REQUIRE(vk::digest_equal(stream.result(), vk::digest_of("", 0)));
	vkckpt_digest zero = {};
	REQUIRE(vk::digest_is_zero(zero));
	REQUIRE(!vk::digest_is_zero(vk::digest_of("", 0)));
}

TEST_CASE("uuids differ, and say that they are random", "[digest]")
{
	vkckpt_uuid a = {}, b = {};
	REQUIRE(vk::uuid_is_zero(a));
	REQUIRE(vk::uuid_make(&a).ok());
	REQUIRE(vk::uuid_make(&b).ok());
	REQUIRE(!vk::uuid_equal(a, b));
	REQUIRE((a.bytes[6] >> 4) == 4);
	REQUIRE((a.bytes[8] >> 6) == 2);
}

TEST_CASE("one set bit anywhere is not zero", "[codec]")
{
	alignas(64) static uint8_t frame[4096];
	REQUIRE(vk::is_zero(frame, sizeof frame));
	for (size_t i = 0; i < sizeof frame; i++) {
		frame[i] = static_cast<uint8_t>(1u << i % 8);
		REQUIRE(!vk::is_zero(frame, sizeof frame));
		frame[i] = 0;
	}
	REQUIRE(vk::is_zero(frame, 64));
	REQUIRE(vk::is_zero(frame, 0));
	frame[64] = 1;
	REQUIRE(vk::is_zero(frame, 64));
	REQUIRE(!vk::is_zero(frame, 128));
}

TEST_CASE("LZ4 blocks are LZ4's own, both ways", "[codec]")
{
	const uint32_t level = GENERATE(vk::kLz4Quick, vk::kLz4Small);
	std::vector<uint8_t> in(65536), out(65536), back(65536);
	for (size_t i = 0; i < in.size(); i++)
		in[i] = static_cast<uint8_t>(i / 7 % 50);
	size_t stored = vk::lz4_encode(state, in.data(), in.size(), out.data(), out.size(), level);
	REQUIRE(stored > 0);
	REQUIRE(LZ4_decompress_safe(reinterpret_cast<char *>(out.data()), reinterpret_cast<char *>(back.data()), static_cast<int>(stored),
		    65536) == 65536);
	REQUIRE(back == in);
	REQUIRE(vk::lz4_decode(out.data(), stored, back.data(), back.size()));
	// Any other length than the right one is damage.
	REQUIRE(!vk::lz4_decode(out.data(), stored, back.data(), back.size() - 1));
	REQUIRE(!vk::lz4_decode(out.data(), stored - 1, back.data(), back.size()));
	std::vector<uint8_t> more(65537);
	REQUIRE(!vk::lz4_decode(out.data(), stored, more.data(), more.size()));
	REQUIRE(!vk::lz4_decode(out.data(), 0, back.data(), back.size()));
}

// Bytes with matches of all lengths and distances, literals between them, and noise: `kind' says how much of each.
std::vector<uint8_t> mixture(std::mt19937_64 &random, size_t bytes, unsigned kind)
{
	std::vector<uint8_t> out;
	while (out.size() < bytes) {
		size_t count = 1 + random() % (random() % 4 ? 20 : 700);
		if (out.empty() || random() % 8 < kind) {
			for (; count > 0; count--)
				out.push_back(static_cast<uint8_t>(kind == 1 ? random() % 3 : random()));
		} else {
			for (size_t from = random() % out.size(); count > 0; count--)
				out.push_back(out[from++]);
		}
	}
	out.resize(bytes);
	return out;
}

TEST_CASE("the encoder gives what LZ4 decodes, for every kind of block, and stays within its room", "[codec]")
{
	std::mt19937_64 random(4);
	for (int round = 0; round < 6000; round++) {
		const size_t bytes = round < 64 ? static_cast<size_t>(round) + 1 : round % 7 == 0 ? 65536 : 1 + random() % 8192;
		const std::vector<uint8_t> in = mixture(random, bytes, static_cast<unsigned>(round % 8));
		const uint32_t level = round & 8 ? vk::kLz4Small : vk::kLz4Quick;
		std::vector<uint8_t> out(bytes + bytes / 255 + 64, 0xee), back(bytes);
		const size_t stored = vk::lz4_encode(state, in.data(), bytes, out.data(), out.size(), level);
		INFO("round " << round << ", " << bytes << " bytes");
		REQUIRE(stored > 0);
		REQUIRE(LZ4_decompress_safe(reinterpret_cast<char *>(out.data()), reinterpret_cast<char *>(back.data()),
			    static_cast<int>(stored), static_cast<int>(bytes)) == static_cast<int>(bytes));
		REQUIRE(back == in);
		// Whatever room there is: the same block, or none, and nothing behind it.
		const size_t room = random() % (stored + 40);
		std::vector<uint8_t> small(room + 64, 0xee);
		const size_t again = vk::lz4_encode(state, in.data(), bytes, small.data(), room, level);
		REQUIRE((again == 0 || (again == stored && room >= stored)));
		REQUIRE((again == 0 || std::memcmp(small.data(), out.data(), stored) == 0));
		for (size_t i = room; i < small.size(); i++)
			if (small[i] != 0xee)
				FAIL("byte " << i << " of a room of " << room << " was written");
	}
}

TEST_CASE("blocks are not larger than those of the distribution's LZ4, at the second level smaller", "[codec]")
{
	std::vector<char> lz4(static_cast<size_t>(LZ4_sizeofState()));
	std::vector<uint8_t> in(65536), out(65536 + 512);
	FILE *self = fopen("/proc/self/exe", "r");
	size_t theirs = 0, quick = 0, small = 0;
	for (int i = 0; i < 32 && fread(in.data(), 1, in.size(), self) == in.size(); i++) {
		theirs += static_cast<size_t>(LZ4_compress_fast_extState(lz4.data(), reinterpret_cast<char *>(in.data()),
		    reinterpret_cast<char *>(out.data()), 65536, static_cast<int>(out.size()), 1));
		quick += vk::lz4_encode(state, in.data(), in.size(), out.data(), out.size(), vk::kLz4Quick);
		small += vk::lz4_encode(state, in.data(), in.size(), out.data(), out.size(), vk::kLz4Small);
	}
	fclose(self);
	REQUIRE(theirs > 0);
	REQUIRE(quick < theirs);
	REQUIRE(small < quick);
}

TEST_CASE("what does not shrink is given up", "[codec]")
{
	const uint32_t level = GENERATE(vk::kLz4Quick, vk::kLz4Small);
	std::mt19937_64 random(2);
	std::vector<uint8_t> in(65536), out(65536 + 64, 0xee);
	for (uint8_t &b : in)
		b = static_cast<uint8_t>(random());
	REQUIRE(vk::lz4_encode(state, in.data(), in.size(), out.data(), in.size() - 1, level) == 0);
	for (size_t i = in.size() - 1; i < out.size(); i++)
		REQUIRE(out[i] == 0xee);
}

TEST_CASE("decoding rubbish never writes behind the room", "[codec]")
{
	std::mt19937_64 random(3);
	for (int round = 0; round < 20000; round++) {
		std::vector<uint8_t> in(random() % 200 + 1), out(4096 + 32, 0x5a);
		for (uint8_t &b : in)
			b = static_cast<uint8_t>(random());
		(void)vk::lz4_decode(in.data(), in.size(), out.data(), 4096);
		for (size_t i = 4096; i < out.size(); i++)
			if (out[i] != 0x5a)
				FAIL("byte " << i << " was written in round " << round);
	}
}

TEST_CASE("masks: counts, first, contiguity, for all of them", "[codec]")
{
	for (uint32_t m = 1; m < 65536; m++) {
		uint16_t mask = static_cast<uint16_t>(m);
		unsigned count = 0, first = 16, last = 0;
		for (unsigned f = 0; f < 16; f++)
			if (m & 1u << f)
				count++, first = std::min(first, f), last = f;
		bool right = vk::mask_count(mask) == count && vk::mask_first(mask) == first &&
		    vk::mask_contiguous(mask) == (last - first + 1 == count);
		if (!right)
			FAIL("mask " << m);
	}
	REQUIRE(vk::mask_count(0) == 0);
}

TEST_CASE("gather and scatter are each other's inverse and touch nothing else", "[codec]")
{
	std::vector<uint8_t> base(65536), packed(65536, 1), back(65536, 7);
	for (size_t i = 0; i < base.size(); i++)
		base[i] = static_cast<uint8_t>(i / 4096 + 100);
	uint16_t mask = 0b1000000000100110;
	vk::frames_gather(packed.data(), base.data(), mask);
	REQUIRE(packed[0] == 101);
	REQUIRE(packed[4096] == 102);
	REQUIRE(packed[2 * 4096] == 105);
	REQUIRE(packed[3 * 4096] == 115);
	REQUIRE(packed[4 * 4096] == 1);
	vk::frames_scatter(back.data(), packed.data(), mask);
	for (unsigned f = 0; f < 16; f++)
		REQUIRE(back[f * 4096 + 9] == (mask & 1u << f ? 100 + f : 7));
}
