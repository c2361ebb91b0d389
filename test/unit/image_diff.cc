// Who the frames of an image belong to, for `vkckpt diff', when its page tables are forged.
#include <catch2/catch.hpp>

#include <algorithm>

#include "bin/image_diff.h"
#include "test/unit/image_support.h"

using namespace image_test;

namespace {

constexpr uint64_t kValid = 1, kWrite = 2, kSuperpage = 0x80;
constexpr uint64_t kFrames = 16384, kTables = 60;
uint64_t vpte(uint64_t frame, uint64_t flags) { return frame << 12 | flags; }

// With one address space, whose top table is frame 1.
Bytes image_of(const Frames &frames)
{
	return image_with_tables(kFrames * VKCKPT_FRAME, frames, VKCKPT_PT_DRAGONFLY, 1ull << 48, vpte(1, kValid | kWrite));
}

}  // namespace

TEST_CASE("superpages of many tables over the same frames: each frame counts once", "[image][diff][hostile]")
{
	// Frame 1 leads to 2, which names the tables from 10 on; each of their 512 superpages maps 512 frames between 100 and 8292.
	Frames frames;
	for (uint64_t f = 100; f < kFrames; f++)
		frames[{ 0, f }] = Bytes(VKCKPT_FRAME);
	auto entry = [&](uint64_t table, unsigned i) -> uint64_t & {
		Bytes &frame = frames[{ 0, table }];
		frame.resize(VKCKPT_FRAME);
		return reinterpret_cast<uint64_t *>(frame.data())[i];
	};
	entry(1, 0) = vpte(2, kValid | kWrite);
	for (uint64_t t = 0; t < kTables; t++) {
		entry(2, static_cast<unsigned>(t)) = vpte(10 + t, kValid | kWrite);
		for (unsigned i = 0; i < 512; i++)
			entry(10 + t, i) = vpte(100 + (i * 977 + t * 31) % (8192 - 512), kValid | kWrite | kSuperpage);
	}
	const TempFile first(image_of(frames));
	for (auto &[key, frame] : frames)
		if (key.second >= 100)
			frame[0] = 1;
	const TempFile second(image_of(frames));

	tool::ImageFile a, b;
	std::string problem;
	REQUIRE(a.open(first.path().c_str(), &problem, nullptr));
	REQUIRE(b.open(second.path().c_str(), &problem, nullptr));
	tool::ImageDiff diff;
	const bool told = tool::diff_images(a, b, &diff, &problem);
	INFO(problem);
	REQUIRE(told);
	CHECK(diff.all.changed == kFrames - 100);
	REQUIRE(diff.processes.size() == 1);
	std::vector<bool> mapped(kFrames);
	for (uint64_t t = 0; t < kTables; t++)
		for (unsigned i = 0; i < 512; i++)
			for (unsigned f = 0; f < 512; f++)
				mapped[100 + (i * 977 + t * 31) % (8192 - 512) + f] = true;
	CHECK(diff.processes[0].frames.changed == static_cast<uint64_t>(std::count(mapped.begin(), mapped.end(), true)));
	CHECK(diff.shared.all() == 0);
	CHECK(diff.unowned.changed == diff.all.changed - diff.processes[0].frames.changed);
}
