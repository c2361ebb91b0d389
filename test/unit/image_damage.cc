// A damaged, short or lengthened image is never taken for a good one, and the reason is the right one.
#include <catch2/catch.hpp>

#include <cstdio>
#include <set>

#include "test/unit/image_support.h"

using namespace image_test;

namespace {

// Two groups' worth of everything in little space: zero frames, LZ4, raw, gaps in masks.
Bytes small_image()
{
	std::mt19937_64 random(77);
	Frames frames;
	frames[{ 0, 0 }] = frame_of(Fill::text, random);
	frames[{ 0, 2 }] = frame_of(Fill::text, random);
	frames[{ 0, 3 }] = frame_of(Fill::zero, random);
	frames[{ 0, 17 }] = frame_of(Fill::noise, random);
	frames[{ VKCKPT_OBJECT_REGION, 0 }] = frame_of(Fill::text, random);
	return image_bytes(shape_of({ 20 * 4096 }, { 4000 }), frames);
}

bool damage_reason(uint32_t reason)
{
	static const std::set<uint32_t> reasons = { VKCKPT_R_DAMAGED, VKCKPT_R_NOT_AN_IMAGE, VKCKPT_R_VERSION_UNKNOWN };
	return reasons.count(reason) != 0;
}

}  // namespace

TEST_CASE("a flipped bit in any byte is found by the streaming reader", "[image][damage]")
{
	const Bytes good = small_image();
	REQUIRE(read_bytes(good).reason == 0);
	TempFile file(good);
	std::mt19937_64 random(1);
	for (size_t i = 0; i < good.size(); i++) {
		uint8_t bad = static_cast<uint8_t>(good[i] ^ (1u << random() % 8));
		REQUIRE(pwrite(file.fd(), &bad, 1, static_cast<off_t>(i)) == 1);
		lseek(file.fd(), 0, SEEK_SET);
		uint32_t reason = read_image(file.fd(), nullptr).reason;
		INFO("byte " << i << " reason " << vkckpt_reason_name(reason));
		bool expected = i < 8 ? reason == VKCKPT_R_NOT_AN_IMAGE
				      : (i < 12 ? reason == VKCKPT_R_VERSION_UNKNOWN : reason == VKCKPT_R_DAMAGED);
		REQUIRE(expected);
		REQUIRE(pwrite(file.fd(), &good[i], 1, static_cast<off_t>(i)) == 1);
	}
	std::printf("figure: damage-bytes-flipped %zu\n", good.size());
}

TEST_CASE("a flipped byte is found at random access wherever a frame or the tables are concerned", "[image][damage]")
{
	const Bytes good = small_image();
	REQUIRE(open_reason(good) == 0);
	vkckpt_f_trailer trailer;
	std::memcpy(&trailer, good.data() + good.size() - sizeof trailer, sizeof trailer);
	uint64_t ram = 0;
	{
		Bytes copy = good;
		ram = offset_of_type(copy, VKCKPT_REC_RAM_GROUP);
	}
	for (size_t i = 0; i < good.size(); i += (i > 400 && i < 4000) || i > good.size() - 3900 ? 61 : 1) {
		Bytes bad = good;
		bad[i] ^= 0x10;
		uint32_t reason = open_reason(bad);
		INFO("byte " << i << " reason " << vkckpt_reason_name(reason));
		// Groups' heads and gaps are not read when a file is opened: the index stands for them.
		bool covered = i < ram || i >= trailer.stats_offset;
		if (covered && !(i >= trailer.index_offset && i < good.size() - sizeof trailer))
			REQUIRE(damage_reason(reason));
		if (!covered)
			REQUIRE((reason == 0 || reason == VKCKPT_R_DAMAGED));
	}
}

TEST_CASE("every truncation is TRUNCATED", "[image][damage]")
{
	const Bytes good = small_image();
	TempFile file(good);
	for (size_t n = good.size(); n-- > 0;) {
		REQUIRE(ftruncate(file.fd(), static_cast<off_t>(n)) == 0);
		lseek(file.fd(), 0, SEEK_SET);
		vk::Status status = read_image(file.fd(), nullptr);
		INFO("length " << n);
		REQUIRE(status.reason == VKCKPT_R_TRUNCATED);
		REQUIRE(status.code == EBADMSG);
		if (n % 97 == 0 || n < 16 || n + 4200 > good.size()) {
			struct vkckpt_error err = {};
			struct vkckpt_image *image = nullptr;
			REQUIRE(vkckpt_image_open(file.path().c_str(), &image, &err) == -EBADMSG);
			REQUIRE(err.reason == VKCKPT_R_TRUNCATED);
		}
	}
	std::printf("figure: damage-lengths-cut %zu\n", good.size());
}

TEST_CASE("bytes behind the end are TRAILING_DATA", "[image][damage]")
{
	const Bytes good = small_image();
	for (size_t more : { size_t{1}, size_t{15}, size_t{4095}, size_t{4096}, size_t{100000} }) {
		Bytes bad = good;
		bad.resize(good.size() + more, static_cast<uint8_t>(more % 3));
		REQUIRE(read_bytes(bad).reason == VKCKPT_R_TRAILING_DATA);
		REQUIRE(open_reason(bad) == VKCKPT_R_TRAILING_DATA);
	}
	constexpr size_t kMost = 2 * VKCKPT_BLOCK;
	TempFile file(good);
	for (size_t more = 1; more <= kMost; more++) {
		REQUIRE(ftruncate(file.fd(), static_cast<off_t>(good.size() + more)) == 0);
		lseek(file.fd(), 0, SEEK_SET);
		INFO("appended " << more);
		REQUIRE(read_image(file.fd(), nullptr).reason == VKCKPT_R_TRAILING_DATA);
	}
	std::printf("figure: damage-lengths-appended %zu\n", kMost);
	Bytes twice = good;
	twice.insert(twice.end(), good.begin(), good.end());
	REQUIRE(read_bytes(twice).reason == VKCKPT_R_TRAILING_DATA);
	REQUIRE(open_reason(twice) != 0);
}

TEST_CASE("what is no image is NOT_AN_IMAGE", "[image][damage]")
{
	Bytes text(5000, 'x');
	REQUIRE(read_bytes(text).reason == VKCKPT_R_NOT_AN_IMAGE);
	REQUIRE(open_reason(text) == VKCKPT_R_NOT_AN_IMAGE);
	REQUIRE(read_bytes({ 'E', 'L', 'F' }).reason == VKCKPT_R_NOT_AN_IMAGE);
	REQUIRE(read_bytes({}).reason == VKCKPT_R_TRUNCATED);
	REQUIRE(open_reason(Bytes(4096)) == VKCKPT_R_NOT_AN_IMAGE);
}

TEST_CASE("a folder, a missing file and a pipe cannot be opened at random", "[image][damage]")
{
	struct vkckpt_error err = {};
	struct vkckpt_image *image = nullptr;
	REQUIRE(vkckpt_image_open("/", &image, &err) == -EINVAL);
	REQUIRE(err.reason == VKCKPT_R_BAD_ARGUMENT);
	REQUIRE(vkckpt_image_open("/nonexistent/image", &image, &err) == -ENOENT);
	REQUIRE(err.reason == VKCKPT_R_NOT_FOUND);
	REQUIRE(image == nullptr);
	REQUIRE(vkckpt_image_verify("/nonexistent/image", -1, nullptr, nullptr, &err) == -ENOENT);
	vkckpt_image_close(nullptr);
}

TEST_CASE("verify reads it all and reports progress", "[image]")
{
	TempFile file(small_image());
	struct vkckpt_error err = {};
	REQUIRE(vkckpt_image_verify(file.path().c_str(), -1, nullptr, nullptr, &err) == 0);
	struct Seen {
		uint64_t bytes = 0;
		pid_t thread = gettid();
		bool in_order = true;
	} seen;
	auto progress = [](void *arg, uint64_t bytes) {
		Seen &s = *static_cast<Seen *>(arg);
		s.in_order = s.in_order && bytes >= s.bytes && gettid() == s.thread;
		s.bytes = bytes;
	};
	REQUIRE(vkckpt_image_verify(file.path().c_str(), -1, progress, &seen, &err) == 0);
	CHECK(seen.in_order);
	CHECK(seen.bytes == file.content().size());
	Bytes bad = file.content();
	bad[bad.size() / 2] ^= 1;
	TempFile damaged(bad);
	REQUIRE(vkckpt_image_verify(damaged.path().c_str(), -1, nullptr, nullptr, &err) == -EBADMSG);
	REQUIRE(std::string(err.message).find("(DAMAGED)") != std::string::npos);
}
