// What a capture takes for unchanged: by hashes of frames, or of the pieces that an index knows.
#include <catch2/catch.hpp>

#include "lib/parent.h"
#include "test/unit/image_support.h"

using namespace image_test;

namespace {

constexpr unsigned kChunks = 3;

struct Table {
	vk::ImageShape shape = shape_of({ kChunks * VKCKPT_CHUNK }, { 6000 });
	vk::Arena arena;
	vk::ParentHashes hashes;
	std::vector<uint8_t> ram = std::vector<uint8_t>(kChunks * VKCKPT_CHUNK);

	Table()
	{
		std::mt19937_64 random(3);
		for (uint8_t &b : ram)
			b = static_cast<uint8_t>(random());
		if (!arena.map(vk::ParentHashes::arena_bytes(shape), vk::Prefault::no).ok())
			std::abort();
		hashes.init(arena, shape);
	}
	~Table() { arena.release(); }
	uint8_t *chunk(uint64_t c) { return ram.data() + c * VKCKPT_CHUNK; }
	void touch(uint64_t c, unsigned frame) { chunk(c)[frame * VKCKPT_FRAME + 77]++; }
	uint16_t unchanged(uint64_t c, uint16_t mask = 0xffff) { return hashes.unchanged(0, c, chunk(c), mask); }
	// Entry of an index for what the chunk holds now.
	void know(uint64_t c, uint16_t mask, uint8_t codec = VKCKPT_CODEC_LZ4)
	{
		struct vkckpt_f_chunk entry = {};
		entry.chunk = c;
		entry.mask = mask;
		entry.codec = codec;
		if (codec != VKCKPT_CODEC_ZERO)
			entry.content = vk::digest_of_frames(chunk(c), mask);
		hashes.know(entry);
	}
};

}  // namespace

TEST_CASE("the digest of frames is that of the frames packed", "[parent]")
{
	Table t;
	for (uint16_t mask : { 0x0001, 0x8000, 0xffff, 0x0ff0, 0x8001, 0x5a5a }) {
		std::vector<uint8_t> packed;
		for (unsigned f = 0; f < 16; f++)
			if (mask & 1u << f)
				packed.insert(packed.end(), t.chunk(1) + f * VKCKPT_FRAME, t.chunk(1) + (f + 1) * VKCKPT_FRAME);
		REQUIRE(vk::digest_equal(vk::digest_of_frames(t.chunk(1), mask), vk::digest_of(packed.data(), packed.size())));
	}
}

TEST_CASE("without a parent everything has changed, after a commit nothing has", "[parent]")
{
	Table t;
	REQUIRE(t.hashes.empty());
	t.hashes.begin(false);
	REQUIRE(t.unchanged(0) == 0);
	REQUIRE(t.unchanged(1, 0x00f0) == 0);
	t.hashes.commit();
	REQUIRE(!t.hashes.empty());
	t.hashes.begin(false);
	REQUIRE(t.unchanged(0) == 0xffff);
	REQUIRE(t.unchanged(1) == 0x00f0);	// the others were not in that image
	REQUIRE(t.unchanged(2) == 0);
	REQUIRE(t.hashes.unchanged(VKCKPT_OBJECT_REGION, 0, t.chunk(0), 3) == 0);
}

TEST_CASE("a changed frame is the only one that has changed", "[parent]")
{
	Table t;
	t.hashes.begin(false);
	(void)t.unchanged(0);
	t.hashes.commit();
	t.touch(0, 5);
	t.touch(0, 15);
	t.hashes.begin(false);
	REQUIRE(t.unchanged(0) == (0xffff & ~(1u << 5 | 1u << 15)));
	t.hashes.commit();
	t.hashes.begin(false);
	REQUIRE(t.unchanged(0) == 0xffff);
}

TEST_CASE("a full image calls nothing unchanged and is a parent all the same", "[parent]")
{
	Table t;
	for (int i = 0; i < 2; i++) {
		t.hashes.begin(true);
		REQUIRE(t.unchanged(0) == 0);
		t.hashes.commit();
	}
	t.hashes.begin(false);
	REQUIRE(t.unchanged(0) == 0xffff);
}

TEST_CASE("a capture that failed leaves the old parent, and never calls a frame unchanged that differs from it", "[parent]")
{
	Table t;
	t.hashes.begin(false);
	(void)t.unchanged(0);
	t.hashes.commit();
	const std::vector<uint8_t> parent = t.ram;
	t.touch(0, 3);
	t.hashes.begin(false);
	REQUIRE(t.unchanged(0) == (0xffff & ~(1u << 3)));
	// no commit: the next one is built on the same parent
	t.hashes.begin(false);
	REQUIRE(t.unchanged(0) == (0xffff & ~(1u << 3)));	// as the failed image had it, but not as the parent
	t.ram = parent;
	t.touch(0, 4);
	t.hashes.begin(false);
	REQUIRE((t.unchanged(0) & (1u << 4)) == 0);
	REQUIRE(t.unchanged(0) != 0);
}

TEST_CASE("what an index knows is compared piece by piece, and frame by frame afterwards", "[parent]")
{
	Table t;
	t.know(0, 0x000c, VKCKPT_CODEC_ZERO);	// says nothing
	t.know(0, 0x00f0);
	t.know(0, 0xff00, VKCKPT_CODEC_PARENT);
	t.know(1, 0xffff);
	t.touch(0, 9);
	t.hashes.begin(false);
	REQUIRE(t.unchanged(0) == 0x00f0);	// the piece of frame 9 as a whole
	REQUIRE(t.unchanged(1, 0x7fff) == 0);	// a frame of the piece is not there any more
	t.hashes.commit();
	t.touch(0, 9);
	t.hashes.begin(false);
	REQUIRE(t.unchanged(0) == 0xfdff);
	REQUIRE(t.unchanged(1) == 0x7fff);
}

TEST_CASE("pieces survive a capture that failed", "[parent]")
{
	Table t;
	t.know(0, 0x00f0);
	t.know(0, 0xff00, VKCKPT_CODEC_PARENT);
	t.touch(0, 9);
	for (int i = 0; i < 3; i++) {
		t.hashes.begin(false);
		REQUIRE(t.unchanged(0) == 0x00f0);
	}
	t.hashes.forget();
	REQUIRE(t.hashes.empty());
	t.hashes.begin(false);
	REQUIRE(t.unchanged(0) == 0);
}

TEST_CASE("a chunk that nobody has read keeps its place only as the piece that the parent has", "[parent]")
{
	Table t;
	t.know(0, 0x00ff);
	t.know(1, 0x000f);
	t.know(1, 0x00f0, VKCKPT_CODEC_PARENT);
	const struct vkckpt_digest whole = vk::digest_of_frames(t.chunk(0), 0x00ff);
	t.hashes.begin(false);
	CHECK_FALSE(t.hashes.keep(0, 0, 0x000f, vk::digest_of_frames(t.chunk(0), 0x000f)));	// a part of it
	CHECK_FALSE(t.hashes.keep(0, 0, 0x00ff, vk::digest_of_frames(t.chunk(1), 0x00ff)));	// other content
	CHECK_FALSE(t.hashes.keep(0, 1, 0x00ff, vk::digest_of_frames(t.chunk(1), 0x00ff)));	// two pieces
	CHECK_FALSE(t.hashes.keep(0, 2, 0x00ff, vk::digest_of_frames(t.chunk(2), 0x00ff)));	// unknown
	for (int image = 0; image < 3; image++) {	// one that fails, two that are committed
		t.hashes.begin(false);
		CHECK(t.hashes.keep(0, 0, 0x00ff, whole));
		if (image > 0)
			t.hashes.commit();
	}
	t.touch(0, 3);
	t.hashes.begin(false);
	CHECK(t.unchanged(0, 0x00ff) == 0);		// read for the first time: the piece has changed
	t.hashes.commit();
	t.hashes.begin(false);
	CHECK(t.unchanged(0, 0x00ff) == 0x00ff);
	CHECK(t.unchanged(1, 0x00ff) == 0);		// it was not in the image before
	CHECK_FALSE(t.hashes.keep(0, 0, 0x00ff, whole));
}
