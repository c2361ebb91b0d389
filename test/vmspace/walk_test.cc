/* The walk of hand-made vpagetables: every flag at every level, superpages at every level, loops, bad frames. */
#include <sys/mman.h>

#include <catch2/catch.hpp>

#include "vkernel-hooks/linux/internal.h"

using vmspace::Access;
using vmspace::Marking;
using vmspace::Page;
using vmspace::Ram;

namespace {

constexpr uint64_t kRamBytes = 1 << 20;
constexpr vpte_t kBits = VPTE_V | VPTE_RW | VPTE_U;
constexpr unsigned kIndex[4] = {9, 8, 7, 6};	/* leaf table first */
constexpr uint64_t kPageIndex = 6ULL << 27 | 7ULL << 18 | 8ULL << 9 | 9;

/* Tables in frames 1 (top) to 4 (leaf table), the page in frame 16. */
struct Tables {
	alignas(4096) uint8_t memory[kRamBytes] = {};
	vpte_t root = 0x1000 | kBits;
	Tables() {
		for (unsigned level = 3; level > 0; level--)
			at(level) = (5 - level) * 0x1000 | kBits;
		at(0) = 0x10000 | kBits;
	}
	/* The entry `level` levels above the leaf; 4 is the root. */
	vpte_t &at(unsigned level) {
		return level == 4 ? root : reinterpret_cast<vpte_t *>(memory + (4 - level) * 0x1000)[kIndex[level]];
	}
	bool walk(Access access, Page *page, Marking marking = Marking::kMark, uint64_t index = kPageIndex) {
		return vmspace::walk(Ram{memory, kRamBytes}, root, index, access, marking, page);
	}
};

}  // namespace

TEST_CASE("a walk finds the frame and sets A on every entry but the root") {
	Tables tables;
	Page page;
	REQUIRE(tables.walk(Access::kRead, &page));
	CHECK(page.frame == 0x10000);
	CHECK(page.shift == 0);
	CHECK_FALSE(page.writable);	/* M is not set */
	CHECK(page.executable);
	CHECK(tables.root == (0x1000 | kBits));
	for (unsigned level = 0; level < 4; level++)
		CHECK((tables.at(level) & (VPTE_A | VPTE_M)) == VPTE_A);
}

TEST_CASE("a walk for writing sets A and M on every entry and makes the page writable") {
	Tables tables;
	Page page;
	REQUIRE(tables.walk(Access::kWrite, &page));
	CHECK(page.writable);
	for (unsigned level = 0; level < 4; level++)
		CHECK((tables.at(level) & (VPTE_A | VPTE_M)) == (VPTE_A | VPTE_M));
	REQUIRE(tables.walk(Access::kRead, &page));
	CHECK(page.writable);
}

TEST_CASE("each level can refuse an access, and sets nothing below the refusal") {
	for (unsigned level = 0; level <= 4; level++) {
		CAPTURE(level);
		Page page;
		{
			Tables tables;
			tables.at(level) &= ~VPTE_V;
			CHECK_FALSE(tables.walk(Access::kRead, &page));
			CHECK((tables.at(level) & VPTE_A) == 0);
		}
		{
			Tables tables;
			tables.at(level) &= ~VPTE_RW;
			CHECK_FALSE(tables.walk(Access::kWrite, &page));
			CHECK((tables.at(level) & (VPTE_A | VPTE_M)) == 0);
			CHECK(tables.walk(Access::kExecute, &page));
			tables.at(0) |= VPTE_M;
			CHECK(tables.walk(Access::kRead, &page));
			CHECK_FALSE(page.writable);
		}
		{
			Tables tables;
			tables.at(level) |= VPTE_NX;
			CHECK_FALSE(tables.walk(Access::kExecute, &page));
			CHECK(tables.walk(Access::kWrite, &page));
			CHECK_FALSE(page.executable);
		}
	}
}

TEST_CASE("PS ends the walk at any level, the root included") {
	for (unsigned level = 1; level <= 4; level++) {
		CAPTURE(level);
		Tables tables;
		tables.at(level) = 0x8000 | kBits | VPTE_PS;
		Page page;
		const uint64_t index = (kPageIndex >> 9 * level << 9 * level) + 5;
		REQUIRE(tables.walk(Access::kWrite, &page, Marking::kMark, level == 4 ? 5 : index));
		CHECK(page.frame == 0x8000 + 5 * 4096);
		CHECK(page.shift == 9 * level);
		CHECK(page.writable);
		CHECK((tables.at(level) & VPTE_M) == (level == 4 ? 0 : VPTE_M));
	}
}

TEST_CASE("tables and frames outside RAM are refused, at every level") {
	for (unsigned level = 0; level <= 4; level++) {
		for (uint64_t frame : {uint64_t(kRamBytes), uint64_t(kRamBytes + 4096), uint64_t(VPTE_FRAME)}) {
			CAPTURE(level, frame);
			Tables tables;
			tables.at(level) = frame | kBits;
			Page page;
			CHECK_FALSE(tables.walk(Access::kRead, &page));
			if (level > 0) {
				tables.at(level) = frame | kBits | VPTE_PS;
				CHECK_FALSE(tables.walk(Access::kRead, &page));
			}
		}
	}
	Tables tables;	/* a superpage that begins inside RAM and ends outside */
	tables.at(1) = (kRamBytes - 4096) | kBits | VPTE_PS;
	Page page;
	CHECK(tables.walk(Access::kRead, &page, Marking::kMark, kPageIndex & ~511ULL));
	CHECK_FALSE(tables.walk(Access::kRead, &page, Marking::kMark, (kPageIndex & ~511ULL) + 1));
}

TEST_CASE("a table that points at itself ends the walk after four levels") {
	Tables tables;
	tables.root = 0x1000 | kBits;
	vpte_t *table = reinterpret_cast<vpte_t *>(tables.memory + 0x1000);
	for (unsigned i = 0; i < 512; i++)
		table[i] = 0x1000 | kBits;
	Page page;
	REQUIRE(tables.walk(Access::kWrite, &page));
	CHECK(page.frame == 0x1000);
	CHECK(page.shift == 0);
}

TEST_CASE("a peek changes nothing and sees only what was accessed before") {
	Tables tables;
	Page page;
	CHECK_FALSE(tables.walk(Access::kRead, &page, Marking::kPeek));
	for (unsigned level = 0; level < 4; level++)
		CHECK((tables.at(level) & VPTE_A) == 0);
	REQUIRE(tables.walk(Access::kRead, &page));
	for (unsigned level = 0; level < 4; level++) {
		tables.at(level) &= ~VPTE_A;
		CHECK_FALSE(tables.walk(Access::kRead, &page, Marking::kPeek));
		tables.at(level) |= VPTE_A;
	}
	CHECK(tables.walk(Access::kRead, &page, Marking::kPeek));
	CHECK_FALSE(page.writable);
}
