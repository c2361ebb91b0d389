// The page-table walker against tables made by hand.
#include <catch2/catch.hpp>

#include <random>
#include <vector>

#include "lib/walk.h"

namespace {

using vk::WalkRun;

// RAM with tables in it; frame numbers as addresses.
class Ram {
public:
	explicit Ram(uint64_t frames) : words_(frames * 512) {}
	uint64_t &entry(uint64_t table_frame, unsigned i) { return words_[table_frame * 512 + i]; }
	const void *base() const { return words_.data(); }
	uint64_t bytes() const { return words_.size() * 8; }

private:
	std::vector<uint64_t> words_;
};

struct Seen {
	std::vector<WalkRun> runs;
	std::vector<std::pair<uint64_t, unsigned>> tables;
	vk::WalkCounts counts;
};

Seen walk(uint32_t format, const Ram &ram, vkckpt_f_mapping mapping, uint64_t budget = 0)
{
	Seen seen;
	vk::Arena arena;
	if (!arena.map(vk::walk_scratch_bytes(ram.bytes()) + 64, vk::Prefault::no).ok())
		std::abort();
	vk::WalkScratch scratch;
	vk::walk_scratch_init(scratch, arena, ram.bytes());
	if (budget)
		scratch.table_budget = budget;
	vk::WalkVisitor visitor;
	visitor.arg = &seen;
	visitor.run = [](void *arg, const WalkRun &run) { static_cast<Seen *>(arg)->runs.push_back(run); };
	visitor.table = [](void *arg, uint64_t frame, unsigned level) { static_cast<Seen *>(arg)->tables.push_back({ frame, level }); };
	vk::walk_mapping(*vk::pagetable_format(format), ram.base(), ram.bytes(), mapping, scratch, visitor, seen.counts);
	arena.release();
	return seen;
}

constexpr uint64_t V = 1, RW = 2, A = 0x20, M = 0x40, PS = 0x80, NX = 0x800;	// DragonFly's
constexpr uint64_t kWhole = 1ull << 48;
uint64_t vpte(uint64_t frame, uint64_t flags) { return frame << 12 | flags; }

// Tables in frames 1 (top) to 4 (leaves), all rights, for the lowest 2 MiB.
Ram dragonfly(uint64_t frames = 64)
{
	Ram ram(frames);
	for (unsigned t = 1; t < 4; t++)
		ram.entry(t, 0) = vpte(t + 1, V | RW);
	return ram;
}
vkckpt_f_mapping whole(uint64_t root) { return { 0, kWhole, 0, root, 0, 7 }; }

}  // namespace

TEST_CASE("DragonFly: each flag of a leaf is seen", "[walk]")
{
	struct { uint64_t bits; uint32_t flags; } const cases[] = {
		{ V, vk::kWalkExecutable }, { V | RW, vk::kWalkWritable | vk::kWalkExecutable }, { V | NX, 0 },
		{ V | RW | NX, vk::kWalkWritable }, { V | A | NX, vk::kWalkAccessed }, { V | M | NX, vk::kWalkModified },
		{ V | A | M | RW, vk::kWalkAccessed | vk::kWalkModified | vk::kWalkWritable | vk::kWalkExecutable },
		{ V | 4 | 0x100 | 0x200 | 0x400 | NX, 0 },	// U, G, WIRED, MANAGED mean nothing here
		{ V | PS | NX, 0 },				// PS in a leaf means nothing
	};
	for (auto &c : cases) {
		Ram ram = dragonfly();
		ram.entry(4, 5) = vpte(9, c.bits);
		Seen seen = walk(VKCKPT_PT_DRAGONFLY, ram, whole(vpte(1, V | RW)));
		INFO("bits " << std::hex << c.bits);
		REQUIRE(seen.runs.size() == 1);
		REQUIRE(seen.runs[0].address == 5 * 4096);
		REQUIRE(seen.runs[0].frame == 9);
		REQUIRE(seen.runs[0].frame_count == 1);
		REQUIRE(seen.runs[0].flags == c.flags);
		REQUIRE(seen.counts.frames_mapped == 1);
		REQUIRE(seen.counts.frames_writable == !!(c.flags & vk::kWalkWritable));
		REQUIRE(seen.counts.frames_executable == !!(c.flags & vk::kWalkExecutable));
		REQUIRE(seen.counts.frames_accessed == !!(c.flags & vk::kWalkAccessed));
		REQUIRE(seen.counts.frames_modified == !!(c.flags & vk::kWalkModified));
		REQUIRE(seen.counts.table_frames == 4);
		REQUIRE(seen.counts.bad_entries == 0);
	}
}

TEST_CASE("DragonFly: a right that any level withholds is withheld, the root included", "[walk]")
{
	for (unsigned level = 0; level < 4; level++) {
		Ram ram = dragonfly();
		ram.entry(4, 0) = vpte(9, V | RW);
		uint64_t root = vpte(1, V | RW);
		uint64_t &entry = level == 0 ? root : ram.entry(level, 0);
		entry = (entry & ~RW) | NX;
		Seen seen = walk(VKCKPT_PT_DRAGONFLY, ram, whole(root));
		INFO("level " << level);
		REQUIRE(seen.runs.size() == 1);
		REQUIRE(seen.runs[0].flags == 0);
		entry &= ~V;
		REQUIRE(walk(VKCKPT_PT_DRAGONFLY, ram, whole(root)).runs.empty());
	}
}

TEST_CASE("DragonFly: PS maps directly at every level up to the root", "[walk]")
{
	Ram ram = dragonfly(1024);
	ram.entry(3, 1) = vpte(512, V | RW | PS);	// 2 MiB
	Seen seen = walk(VKCKPT_PT_DRAGONFLY, ram, whole(vpte(1, V | RW)));
	REQUIRE(seen.runs.size() == 1);
	REQUIRE(seen.runs[0].address == 2 << 20);
	REQUIRE(seen.runs[0].frame_count == 512);
	REQUIRE((seen.runs[0].flags & vk::kWalkSuperpage) != 0);
	REQUIRE(seen.counts.frames_writable == 512);
	REQUIRE(seen.counts.table_frames == 4);

	// Larger than the RAM: only a window of it can be mapped, the rest is a bad entry.
	vkckpt_f_mapping window = { 0x7000000, 16 * 4096, 0, 0, 0, 7 };
	Ram empty(64);
	for (unsigned level = 2; level <= 4; level++) {	// 1 GiB, 512 GiB in tables; and the root itself
		Ram big = dragonfly();
		window.root = level < 4 ? vpte(1, V | RW) : vpte(3, V | RW | PS);
		big.entry(4 - level, 0) = vpte(3, V | RW | PS);
		Seen part = walk(VKCKPT_PT_DRAGONFLY, level < 4 ? big : empty, window);
		INFO("level " << level);
		REQUIRE(part.runs.size() == 1);
		REQUIRE(part.runs[0].address == 0x7000000);
		REQUIRE(part.runs[0].frame == 3);
		REQUIRE(part.runs[0].frame_count == 16);
		vkckpt_f_mapping all = window;
		all.size_bytes = 1ull << 30;
		REQUIRE(walk(VKCKPT_PT_DRAGONFLY, level < 4 ? big : empty, all).counts.bad_entries == 1);
	}
}

TEST_CASE("the mapping's offset takes part in the index and its address in the result", "[walk]")
{
	Ram ram = dragonfly();
	for (unsigned i = 0; i < 20; i++)
		ram.entry(4, i) = vpte(10 + i, V | RW);
	Seen seen = walk(VKCKPT_PT_DRAGONFLY, ram, { 0x5000000, 4 * 4096, 8 * 4096, vpte(1, V | RW), 0, 7 });
	REQUIRE(seen.runs.size() == 1);
	REQUIRE(seen.runs[0].address == 0x5000000);
	REQUIRE(seen.runs[0].frame == 18);
	REQUIRE(seen.runs[0].frame_count == 4);
	REQUIRE(seen.counts.frames_mapped == 4);
	// Windows at and behind the end of what the tables can name.
	REQUIRE(walk(VKCKPT_PT_DRAGONFLY, ram, { 0, 4096, kWhole, vpte(1, V | RW), 0, 7 }).runs.empty());
	REQUIRE(walk(VKCKPT_PT_DRAGONFLY, ram, { 0, ~0ull, ~0xfffull, vpte(1, V | RW), 0, 7 }).runs.empty());
	REQUIRE(walk(VKCKPT_PT_DRAGONFLY, ram, { 0, 0, 0, vpte(1, V | RW), 0, 7 }).runs.empty());
}

TEST_CASE("runs join as long as address, frame and flags go on, also over tables", "[walk]")
{
	Ram ram = dragonfly(2048);
	ram.entry(3, 1) = vpte(5, V | RW);
	for (unsigned i = 0; i < 512; i++) {
		ram.entry(4, i) = vpte(100 + i, V | RW);
		ram.entry(5, i) = vpte(612 + i, V | RW);
	}
	ram.entry(5, 300) |= M;
	Seen seen = walk(VKCKPT_PT_DRAGONFLY, ram, whole(vpte(1, V | RW)));
	REQUIRE(seen.runs.size() == 3);
	REQUIRE(seen.runs[0].frame_count == 812);
	REQUIRE(seen.runs[1].frame_count == 1);
	REQUIRE(seen.runs[2].frame_count == 211);
	REQUIRE(seen.tables.size() == 5);
	REQUIRE(seen.tables[0] == std::pair<uint64_t, unsigned>{ 1, 4 });
	REQUIRE(seen.tables[3] == std::pair<uint64_t, unsigned>{ 4, 1 });
}

TEST_CASE("entries out of range are counted and passed over", "[walk]")
{
	Ram ram = dragonfly();
	ram.entry(4, 0) = vpte(64, V | RW);			// one behind the end
	ram.entry(4, 1) = vpte(63, V | RW);			// the last frame
	ram.entry(4, 2) = vpte(0xffffffffff, V | RW);
	ram.entry(3, 7) = vpte(64, V | RW);			// a table behind the end
	ram.entry(2, 7) = 0x000ffffffffff000 | V;
	Seen seen = walk(VKCKPT_PT_DRAGONFLY, ram, whole(vpte(1, V | RW)));
	REQUIRE(seen.counts.bad_entries == 4);
	REQUIRE(seen.counts.frames_mapped == 1);
	REQUIRE(walk(VKCKPT_PT_DRAGONFLY, ram, whole(vpte(64, V | RW))).counts.bad_entries == 1);
	REQUIRE(walk(VKCKPT_PT_DRAGONFLY, ram, whole(0)).counts.bad_entries == 0);
}

TEST_CASE("tables that name themselves or each other end the walk and are counted", "[walk]")
{
	Ram self(8);
	for (unsigned i = 0; i < 512; i++)
		self.entry(1, i) = vpte(1, V | RW);
	Seen seen = walk(VKCKPT_PT_DRAGONFLY, self, whole(vpte(1, V | RW)));
	REQUIRE(seen.counts.bad_entries == 512);
	REQUIRE(seen.counts.table_frames == 1);

	// Every entry of every table is valid and points anywhere: without a bound 512^4 steps.
	std::mt19937_64 random(6);
	Ram wild(256);
	for (uint64_t t = 0; t < 256; t++)
		for (unsigned i = 0; i < 512; i++)
			wild.entry(t, i) = vpte(random() % 256, V | RW | (random() & (A | M)));
	seen = walk(VKCKPT_PT_DRAGONFLY, wild, whole(vpte(1, V | RW)));
	REQUIRE(seen.counts.table_frames <= 256);
	REQUIRE(seen.counts.bad_entries > 0);
	REQUIRE(seen.counts.frames_mapped <= 256 * 512);
}

TEST_CASE("the budget bounds the tables that are read", "[walk]")
{
	Ram ram = dragonfly();
	ram.entry(4, 0) = vpte(9, V);
	Seen seen = walk(VKCKPT_PT_DRAGONFLY, ram, whole(vpte(1, V | RW)), 3);
	REQUIRE(seen.counts.table_frames == 3);
	REQUIRE(seen.counts.bad_entries == 1);
	REQUIRE(seen.runs.empty());
}

TEST_CASE("User Mode Linux: three levels, PROTNONE, swap entries, rights of the pte alone", "[walk]")
{
	constexpr uint64_t P = 1, NewPage = 2, ProtNone = 0x10, Rw = 0x20, User = 0x40, Acc = 0x80, Dirty = 0x100;
	Ram ram(64);
	ram.entry(1, 0) = vpte(2, P);
	ram.entry(1, 1) = NewPage;				// as pgd_clear leaves it
	ram.entry(2, 3) = vpte(3, P);
	ram.entry(3, 0) = vpte(10, P | Rw | User | Acc | Dirty);
	ram.entry(3, 2) = vpte(12, P | User | Acc);
	ram.entry(3, 4) = vpte(14, P | Rw);			// the kernel's own: not executable by users
	ram.entry(3, 6) = vpte(16, ProtNone | Rw | User | Acc);
	ram.entry(3, 8) = vpte(18, NewPage | 5 << 5);		// swapped out
	Seen seen = walk(VKCKPT_PT_UML_X86_64, ram, { 0, 1ull << 39, 0, 1 << 12, 0, 7 });
	REQUIRE(seen.runs.size() == 4);
	uint64_t at = 3ull << 21;
	REQUIRE(seen.runs[0].address == at);
	REQUIRE(seen.runs[0].flags == (vk::kWalkWritable | vk::kWalkExecutable | vk::kWalkAccessed | vk::kWalkModified));
	REQUIRE(seen.runs[1].flags == (vk::kWalkExecutable | vk::kWalkAccessed));
	REQUIRE(seen.runs[2].flags == vk::kWalkWritable);
	REQUIRE(seen.runs[3].flags == vk::kWalkAccessed);
	REQUIRE(seen.runs[3].frame == 16);
	REQUIRE(seen.counts.table_frames == 3);
	REQUIRE(seen.counts.bad_entries == 0);
}

TEST_CASE("formats are found by the number in an image", "[walk]")
{
	REQUIRE(vk::pagetable_format(VKCKPT_PT_NONE) == nullptr);
	REQUIRE(vk::pagetable_format(99) == nullptr);
	REQUIRE(std::string(vk::pagetable_format(VKCKPT_PT_DRAGONFLY)->name) == "dragonfly");
	vkckpt_f_vmspace record = {};
	vk::WalkCounts counts;
	counts.frames_mapped = 1, counts.frames_accessed = 2, counts.frames_modified = 3, counts.frames_writable = 4;
	counts.frames_executable = 5, counts.table_frames = 6, counts.bad_entries = 7;
	vk::walk_fill(record, counts);
	REQUIRE(record.frames_mapped == 1);
	REQUIRE(record.frames_executable == 5);
	REQUIRE(record.bad_entries == 7);
}

TEST_CASE("the walker's scratch: what is not RAM is no table, frames are asked for first, nobody need look", "[walk]")
{
	Ram ram = dragonfly();
	ram.entry(4, 0) = vpte(9, V | RW);
	vk::Arena arena;
	REQUIRE(arena.map(vk::walk_scratch_bytes(ram.bytes()) + 64, vk::Prefault::no).ok());
	vk::WalkScratch scratch;
	vk::walk_scratch_init(scratch, arena, ram.bytes());
	auto walked = [&] {
		vk::WalkCounts counts;
		vk::walk_mapping(*vk::pagetable_format(VKCKPT_PT_DRAGONFLY), ram.base(), ram.bytes(), whole(vpte(1, V | RW)), scratch, {}, counts);
		return counts;
	};
	CHECK(walked().frames_mapped == 1);	// without a visitor
	scratch.first_frame = 3;		// the tables in frames 1 and 2 lie before it
	CHECK(walked().bad_entries == 1);
	CHECK(walked().frames_mapped == 0);
	scratch.first_frame = 0;
	struct Asked {
		Ram &ram;
		std::vector<uint64_t> frames;
		uint64_t not_had;
	} asked{ ram, {}, 3 };
	scratch.bring_arg = &asked;
	scratch.bring = [](void *arg, uint64_t frame, unsigned) {
		Asked &a = *static_cast<Asked *>(arg);
		a.frames.push_back(frame);
		return frame == a.not_had ? nullptr : reinterpret_cast<const uint64_t *>(a.ram.base()) + 512 * frame;
	};
	CHECK(walked().bad_entries == 1);	// the frame cannot be had
	CHECK(asked.frames == std::vector<uint64_t>{ 1, 2, 3 });
	asked.not_had = 0;
	CHECK(walked().frames_mapped == 1);
	scratch.bring = nullptr;
	scratch.frame_count = 2;		// stamps for fewer frames than the tables name
	CHECK(walked().bad_entries == 1);
	scratch.frame_count = ram.bytes() / VKCKPT_FRAME;
	// Stamps of 2^32 walks ago are no loop.
	for (uint64_t i = 0; i < scratch.frame_count; i++)
		scratch.stamp[i] = 1;
	scratch.epoch = ~0u;
	CHECK(walked().frames_mapped == 1);
	CHECK(scratch.epoch == 1);
	CHECK(walked().frames_mapped == 1);
	arena.release();
}
