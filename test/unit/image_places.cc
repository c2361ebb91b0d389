// Forged images that name addresses, names or stored bytes that no vkernel can have written. All checksums are right.
#include <catch2/catch.hpp>

#include <cstring>
#include <functional>

#include "test/unit/image_support.h"

using namespace image_test;

namespace {

// Two segments of two frames at 0x100000000 and 0x110000000, regions at 0x400000 and 0x500000.
Bytes sample()
{
	std::mt19937_64 random(5);
	Frames frames;
	for (uint64_t f = 0; f < 20; f++)
		frames[{ 0, f }] = frame_of(f < 16 ? Fill::noise : Fill::text, random);
	frames[{ 1, 0 }] = frame_of(Fill::text, random);
	frames[{ VKCKPT_OBJECT_REGION, 0 }] = frame_of(Fill::text, random);
	return image_bytes(shape_of({ 20 * 4096, 2 * 4096 }, { 4000, 4096 }), frames);
}

uint32_t forged(const std::function<void(Bytes &)> &change, bool at_random = false)
{
	Bytes image = sample();
	std::vector<uint64_t> offsets = record_offsets(image);
	change(image);
	reseal(image, offsets);
	return at_random ? open_reason(image) : read_bytes(image).reason;
}

vkckpt_f_header &header(Bytes &image) { return at<vkckpt_f_header>(image, 0); }
// The n-th record of a type.
template <class T> T &payload(Bytes &image, uint16_t type, unsigned n = 0)
{
	for (uint64_t offset : record_offsets(image))
		if (at<vkckpt_f_record>(image, offset).type == type && n-- == 0)
			return at<T>(image, offset + sizeof(vkckpt_f_record));
	std::abort();
}
vkckpt_f_region &region(Bytes &image, unsigned n) { return payload<vkckpt_f_region>(image, VKCKPT_REC_REGION, n); }
vkckpt_f_chunk *index(Bytes &image)
{
	return reinterpret_cast<vkckpt_f_chunk *>(&payload<vkckpt_f_index>(image, VKCKPT_REC_INDEX) + 1);
}

}  // namespace

TEST_CASE("segments at addresses that none can have are DAMAGED", "[image][hostile]")
{
	REQUIRE(forged([](Bytes &) {}) == 0);
	for (uint64_t address : { uint64_t{0}, uint64_t{0x100000001}, uint64_t{1} << 47, ~uint64_t{0xfff}, (uint64_t{1} << 47) - 4096 })
		REQUIRE(forged([&](Bytes &i) { header(i).segment[0].address = address; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Bytes &i) { header(i).segment_skip[0] = 100; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Bytes &i) { header(i).segment_skip[0] = 20 * 4096; }) == VKCKPT_R_DAMAGED);
}

TEST_CASE("segments and regions that overlap are DAMAGED", "[image][hostile]")
{
	REQUIRE(forged([](Bytes &i) { header(i).segment[1].address = header(i).segment[0].address; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Bytes &i) { header(i).segment[1].address = header(i).segment[0].address + 19 * 4096; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Bytes &i) { header(i).segment[1].address = header(i).segment[0].address + 20 * 4096; }) == 0);
	REQUIRE(forged([](Bytes &i) { region(i, 0).address = header(i).segment[0].address; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Bytes &i) { region(i, 0).address = header(i).segment[1].address + 2 * 4096 - 1; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Bytes &i) { region(i, 0).address = header(i).segment[1].address + 2 * 4096; }) == 0);
	REQUIRE(forged([](Bytes &i) { region(i, 1).address = region(i, 0).address + 3999; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Bytes &i) { region(i, 1).address = region(i, 0).address + 4000; }) == 0);
	for (uint64_t address : { uint64_t{0}, uint64_t{1} << 47, ~uint64_t{0} - 100, (uint64_t{1} << 47) - 100 })
		REQUIRE(forged([&](Bytes &i) { region(i, 0).address = address; }) == VKCKPT_R_DAMAGED);
}

TEST_CASE("names that could steer a path or a terminal are DAMAGED", "[image][hostile]")
{
	for (const char *name : { "", "../up", ".hidden", "a/b", "a\x1b[2J", "a b", "\xc3\xa4" }) {
		INFO(name);
		auto put = [&](char *field, size_t room) {
			std::memset(field, 0, room);
			std::strcpy(field, name);
		};
		bool dot = *name == '.' && name[1] != '.';	// as ".data": a section may, a vkernel may not
		REQUIRE(forged([&](Bytes &i) { put(payload<vkckpt_f_identity>(i, VKCKPT_REC_IDENTITY).name, 64); }) == VKCKPT_R_DAMAGED);
		REQUIRE(forged([&](Bytes &i) { put(payload<vkckpt_f_identity>(i, VKCKPT_REC_IDENTITY).program, 64); }) == VKCKPT_R_DAMAGED);
		REQUIRE(forged([&](Bytes &i) { put(region(i, 0).name, 64); }) == (dot ? 0u : uint32_t{VKCKPT_R_DAMAGED}));
		REQUIRE(forged([&](Bytes &i) { put(payload<vkckpt_f_device>(i, VKCKPT_REC_DEVICE).name, 32); }) ==
		    (dot ? 0u : uint32_t{VKCKPT_R_DAMAGED}));
		REQUIRE(forged([&](Bytes &i) { put(payload<vkckpt_f_device>(i, VKCKPT_REC_DEVICE).device_class, 32); }) ==
		    (dot ? 0u : uint32_t{VKCKPT_R_DAMAGED}));
	}
	REQUIRE(forged([](Bytes &i) { payload<vkckpt_f_device>(i, VKCKPT_REC_DEVICE).policy = 3; }) == VKCKPT_R_DAMAGED);
}

TEST_CASE("random access refuses stored bytes that two chunks share", "[image][hostile]")
{
	auto stored = [](Bytes &i, unsigned n) {	// the n-th entry of the index that has a place
		vkckpt_f_chunk *c = index(i);
		while (c->stored_bytes == 0 || n-- > 0)
			c++;
		return c;
	};
	REQUIRE(forged([](Bytes &) {}, true) == 0);
	// The same bytes twice, checksum and all; and one that begins inside another.
	REQUIRE(forged([&](Bytes &i) {
		stored(i, 1)->offset = stored(i, 0)->offset;
		stored(i, 1)->digest = vk::digest_of(i.data() + stored(i, 1)->offset, stored(i, 1)->stored_bytes);
	}, true) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([&](Bytes &i) {
		stored(i, 1)->offset = stored(i, 0)->offset + 65536 - 16;
		stored(i, 1)->digest = vk::digest_of(i.data() + stored(i, 1)->offset, stored(i, 1)->stored_bytes);
	}, true) == VKCKPT_R_DAMAGED);
	// In the head, where records lie.
	REQUIRE(forged([&](Bytes &i) {
		stored(i, 1)->offset = sizeof(vkckpt_f_header);
		stored(i, 1)->digest = vk::digest_of(i.data() + stored(i, 1)->offset, stored(i, 1)->stored_bytes);
	}, true) == VKCKPT_R_DAMAGED);
}

TEST_CASE("random access finds STATS and INDEX only where the records' sequence has them", "[image][hostile]")
{
	auto record = [](Bytes &i, uint16_t type) -> vkckpt_f_record & { return at<vkckpt_f_record>(i, offset_of_type(i, type)); };
	REQUIRE(forged([&](Bytes &i) { record(i, VKCKPT_REC_INDEX).sequence++; }, true) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([&](Bytes &i) { record(i, VKCKPT_REC_STATS).sequence += 5; }, true) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Bytes &i) { at<vkckpt_f_trailer>(i, i.size() - 4096).record_count++; }, true) == VKCKPT_R_DAMAGED);
}
