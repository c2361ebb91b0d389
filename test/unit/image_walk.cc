// Page tables inside an image: walked as they are in RAM, by whoever looks into it, and hostile ones cost no more.
#include <catch2/catch.hpp>

#include "test/unit/image_support.h"

using namespace image_test;

namespace {

constexpr uint64_t kValid = 1, kWrite = 2;
uint64_t vpte(uint64_t frame, uint64_t flags) { return frame << 12 | flags; }

// Tables in frames 1 (top) to 4 (leaves) of 64, in DragonFly's format; frame 9 is mapped at 5 * 4096.
struct Tables {
	Frames frames;
	uint64_t root = vpte(1, kValid | kWrite), segment_bytes = 64 * VKCKPT_FRAME;
	uint32_t format = VKCKPT_PT_DRAGONFLY;

	Tables()
	{
		for (uint64_t t = 1; t <= 4; t++)
			frames[{ 0, t }] = Bytes(VKCKPT_FRAME);
		for (uint64_t t = 1; t < 4; t++)
			entry(t, 0) = vpte(t + 1, kValid | kWrite);
		entry(4, 5) = vpte(9, kValid | kWrite);
	}
	uint64_t &entry(uint64_t table, unsigned i) { return reinterpret_cast<uint64_t *>(frames[{ 0, table }].data())[i]; }
	Bytes image() { return image_with_tables(segment_bytes, frames, format, 1ull << 48, root); }
};

struct Seen {
	int result = 0;
	vkckpt_error err = {};
	uint64_t tables = 0;
	std::vector<vkckpt_image_run> runs;
};

Seen walk(const Bytes &bytes, size_t vmspace = 0)
{
	Seen seen;
	TempFile file(bytes);
	vkckpt_image *image = nullptr;
	REQUIRE(vkckpt_image_open(file.path().c_str(), &image, &seen.err) == 0);
	seen.result = vkckpt_image_walk(image, vmspace, [](void *arg, const vkckpt_image_run *run) {
		Seen &s = *static_cast<Seen *>(arg);
		if (run->table)
			s.tables++;
		else
			s.runs.push_back(*run);
	}, &seen, &seen.err);
	vkckpt_image_close(image);
	return seen;
}

}  // namespace

TEST_CASE("page tables in an image are walked as in RAM", "[image][walk]")
{
	Seen seen = walk(Tables().image());
	CHECK(seen.result == 0);
	CHECK(seen.tables == 4);
	REQUIRE(seen.runs.size() == 1);
	CHECK(seen.runs[0].address == 5 * VKCKPT_FRAME);
	CHECK(seen.runs[0].frame == 9);
	CHECK(seen.runs[0].frame_count == 1);
}

TEST_CASE("an address space or a format that is not there is refused", "[image][walk]")
{
	CHECK(walk(Tables().image(), 1).err.reason == VKCKPT_R_BAD_ARGUMENT);
	Tables t;
	for (uint32_t format : { 0u, 77u }) {
		t.format = format;
		CHECK(walk(t.image()).err.reason == VKCKPT_R_FEATURE_UNKNOWN);
	}
}

TEST_CASE("tables of an image that lie in no frame, in a circle, or outside RAM end the walk", "[image][walk][hostile]")
{
	Tables t;
	t.frames.erase({ 0, 4 });	// an empty table
	CHECK(walk(t.image()).runs.empty());
	for (unsigned i = 0; i < 512; i++)
		t.entry(3, i) = vpte(1 + i % 3, kValid | kWrite);
	Seen circle = walk(t.image());
	CHECK(circle.result == 0);
	CHECK(circle.tables == 3);
	t.root = vpte(1ull << 30, kValid);
	CHECK(walk(t.image()).tables == 0);
	t.segment_bytes = VKCKPT_MAX_SEGMENT_BYTES / 16;	// 1 TiB of address space, of which nothing is touched
	t.root = vpte(t.segment_bytes / VKCKPT_FRAME - 1, kValid);
	Seen far = walk(t.image());
	CHECK(far.result == 0);
	CHECK(far.tables == 0);
}

TEST_CASE("tables that an image claims and does not have take no memory", "[image][walk][hostile]")
{
	// 8 tables of 512 entries, each of which names a table of its own in a megabyte of its own; then one that is there.
	Tables t;
	t.segment_bytes = uint64_t{16} << 30;
	for (uint64_t table = 10; table < 18; table++) {
		t.frames[{ 0, table }] = Bytes(VKCKPT_FRAME);
		t.entry(2, static_cast<unsigned>(table - 10)) = vpte(table, kValid | kWrite);
		for (unsigned i = 0; i < 512; i++)
			t.entry(table, i) = vpte(256 * ((table - 10) * 512 + i + 1), kValid | kWrite);
	}
	t.entry(2, 8) = vpte(3, kValid | kWrite);
	struct Seen {
		long before = 0, at_end = 0;
		static long resident_bytes()
		{
			long size = 0, resident = 0;
			FILE *f = std::fopen("/proc/self/statm", "r");
			REQUIRE((f && std::fscanf(f, "%ld %ld", &size, &resident) == 2));
			std::fclose(f);
			return resident * 4096;
		}
	} seen;
	TempFile file(t.image());
	vkckpt_image *image = nullptr;
	REQUIRE(vkckpt_image_open(file.path().c_str(), &image, nullptr) == 0);
	seen.before = Seen::resident_bytes();
	CHECK(vkckpt_image_walk(image, 0, [](void *arg, const vkckpt_image_run *run) {
		if (!run->table)
			static_cast<Seen *>(arg)->at_end = Seen::resident_bytes();
	}, &seen, nullptr) == 0);
	vkckpt_image_close(image);
	REQUIRE(seen.at_end > 0);
	CHECK(seen.at_end - seen.before < (4 << 20));
}

TEST_CASE("the tables that are read for one image have a limit, however often they are led to", "[image][walk][hostile]")
{
	Tables t;
	for (uint64_t table = 10; table < 50; table++) {
		t.frames[{ 0, table }] = Bytes(VKCKPT_FRAME);
		t.entry(table, 1) = vpte(9, kValid);
		t.entry(3, static_cast<unsigned>(table)) = vpte(table, kValid | kWrite);
	}
	TempFile file(t.image());
	vkckpt_image *image = nullptr;
	REQUIRE(vkckpt_image_open(file.path().c_str(), &image, nullptr) == 0);
	vkckpt_error err = {};
	int result = 0;
	unsigned walks = 0;
	while (result == 0 && walks < 1000) {
		result = vkckpt_image_walk(image, 0, [](void *, const vkckpt_image_run *) {}, nullptr, &err);
		walks += result == 0;
	}
	vkckpt_image_close(image);
	CHECK(walks >= 4);
	CHECK(result == -ENOBUFS);
	CHECK(err.reason == VKCKPT_R_LIMIT);
}

TEST_CASE("a table that is damaged in the image fails the walk with its reason", "[image][walk][hostile]")
{
	Bytes bytes = Tables().image();
	uint64_t index = offset_of_type(bytes, VKCKPT_REC_INDEX) + sizeof(vkckpt_f_record) + sizeof(vkckpt_f_index);
	bytes[at<vkckpt_f_chunk>(bytes, index).offset + 2] ^= 1;
	Seen seen = walk(bytes);
	CHECK(seen.result == -EBADMSG);
	CHECK(seen.err.reason == VKCKPT_R_DAMAGED);
	CHECK(seen.runs.empty());
}
