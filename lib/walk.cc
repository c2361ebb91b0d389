// Walks page tables in RAM. See walk.h. QUIET: no allocation, no system call; depth of recursion is the format's levels.
#include "lib/walk.h"

namespace vk {
namespace {

constexpr unsigned kBits = 9;
constexpr uint64_t kEntries = 512;

constexpr uint64_t frames_below(unsigned level) { return uint64_t{1} << (kBits * level); }	// of an entry in a table of level+1

// Rights as far as they were collected on the way down.
struct Rights {
	bool write = true;
	bool execute = true;
};

class Walk {
public:
	Walk(const PageTableFormat &format, const void *ram, uint64_t ram_bytes, const struct vkckpt_f_mapping &mapping,
	    WalkScratch &scratch, const WalkVisitor &visitor, WalkCounts &counts)
	    : format_(format), ram_(static_cast<const uint8_t *>(ram)), ram_frames_(ram_bytes / VKCKPT_FRAME), scratch_(scratch),
	      visitor_(visitor), counts_(counts)
	{
		// The mapping's window in index space: frames [first_, end_); bias_ leads back to the guest's addresses.
		first_ = mapping.offset / VKCKPT_FRAME;
		uint64_t all = frames_below(format.levels);
		uint64_t count = mapping.size_bytes / VKCKPT_FRAME;
		end_ = first_ >= all ? first_ : (count > all - first_ ? all : first_ + count);
		bias_ = mapping.address - mapping.offset;
	}

	void root(uint64_t value)
	{
		if (first_ >= end_)
			return;
		if (format_.root_is_entry)
			entry(value, format_.levels + 1u, 0, Rights());
		else
			table(value, format_.levels, 0, Rights());
		emit();
	}

private:
	// An entry in a table of `level` (the root: levels + 1), for indices from `at`.
	void entry(uint64_t value, unsigned level, uint64_t at, Rights rights)
	{
		bool leaf = level == 1 || (value & format_.superpage && format_.superpage_levels & 1u << level);
		if (!(value & (leaf ? format_.leaf_valid : format_.table_valid)))
			return;
		if (format_.rights_at_every_level || leaf) {
			rights.write = rights.write && value & format_.writable;
			rights.execute = rights.execute && (format_.execute_bit == 0 ||
			    !(value & format_.execute_bit) == format_.execute_bit_forbids);
		}
		if (leaf)
			this->leaf(value, level, at, rights);
		else
			table(value & format_.frame_mask, level - 1, at, rights);
	}

	void leaf(uint64_t value, unsigned level, uint64_t at, Rights rights)
	{
		uint64_t count = frames_below(level - 1);
		uint64_t from = at < first_ ? first_ - at : 0;
		uint64_t to = at + count > end_ ? end_ - at : count;
		uint64_t frame = (value & format_.frame_mask) / VKCKPT_FRAME;
		if (frame >= ram_frames_ || to > ram_frames_ - frame) {
			counts_.bad_entries++;
			return;
		}
		bool access = !(value & format_.no_access);
		uint32_t flags = (rights.write && access ? kWalkWritable : 0u) | (rights.execute && access ? kWalkExecutable : 0u) |
		    (value & format_.accessed ? kWalkAccessed : 0u) | (value & format_.modified ? kWalkModified : 0u) |
		    (level > 1 ? kWalkSuperpage : 0u);
		count = to - from;
		counts_.frames_mapped += count;
		counts_.frames_accessed += flags & kWalkAccessed ? count : 0;
		counts_.frames_modified += flags & kWalkModified ? count : 0;
		counts_.frames_writable += flags & kWalkWritable ? count : 0;
		counts_.frames_executable += flags & kWalkExecutable ? count : 0;
		join({ bias_ + (at + from) * VKCKPT_FRAME, frame + from, count, flags });
	}

	// A run goes on as long as address, frame and flags do.
	void join(const WalkRun &run)
	{
		if (visitor_.run == nullptr)
			return;
		if (run_.frame_count != 0 && run_.flags == run.flags && run_.frame + run_.frame_count == run.frame &&
		    run_.address + run_.frame_count * VKCKPT_FRAME == run.address) {
			run_.frame_count += run.frame_count;
			return;
		}
		emit();
		run_ = run;
	}

	void emit()
	{
		if (run_.frame_count != 0)
			visitor_.run(visitor_.arg, run_);
		run_.frame_count = 0;
	}

	// A table that was met before in this walk is a loop or a forged alias: without this, tables that name each other would make
	// 512^4 steps.
	const uint64_t *in_ram(uint64_t frame)
	{
		if (frame >= scratch_.frame_count || scratch_.stamp[frame] == scratch_.epoch || scratch_.table_budget == 0)
			return nullptr;
		scratch_.table_budget--;
		scratch_.stamp[frame] = scratch_.epoch;
		return reinterpret_cast<const uint64_t *>(ram_ + frame * VKCKPT_FRAME);
	}

	const uint64_t *enter(uint64_t frame, unsigned level)
	{
		bool there = frame >= scratch_.first_frame && frame < ram_frames_;
		const uint64_t *entries = !there ? nullptr : scratch_.bring ? scratch_.bring(scratch_.bring_arg, frame, level) : in_ram(frame);
		if (entries)
			counts_.table_frames++;
		else
			counts_.bad_entries++;
		return entries;
	}

	// Eight empty entries at a time: most tables are sparse.
	void table(uint64_t address, unsigned level, uint64_t at, Rights rights)
	{
		const uint64_t frame = address / VKCKPT_FRAME, *entries = enter(frame, level);
		if (!entries)
			return;
		if (visitor_.table)
			visitor_.table(visitor_.arg, frame, level);
		uint64_t step = frames_below(level - 1);
		uint64_t begin = at < first_ ? (first_ - at) / step : 0;
		uint64_t end = end_ - at < kEntries * step ? (end_ - at + step - 1) / step : kEntries;
		uint64_t valid = format_.table_valid | format_.leaf_valid;
		for (uint64_t i = begin; i < end; i++) {
			if (i % 8 == 0) {
				const uint64_t *e = entries + i;
				if (!((e[0] | e[1] | e[2] | e[3] | e[4] | e[5] | e[6] | e[7]) & valid)) {
					i += 7;
					continue;
				}
			}
			if (entries[i] & valid)
				entry(entries[i], level, at + i * step, rights);
		}
	}

	const PageTableFormat &format_;
	const uint8_t *ram_;
	uint64_t ram_frames_;
	WalkScratch &scratch_;
	const WalkVisitor &visitor_;
	WalkCounts &counts_;
	uint64_t first_, end_, bias_;
	WalkRun run_ = {};
};

}  // namespace

size_t walk_scratch_bytes(uint64_t largest_segment_bytes)
{
	return Arena::room((largest_segment_bytes / VKCKPT_FRAME) * sizeof(uint32_t));
}

void walk_scratch_init(WalkScratch &scratch, Arena &arena, uint64_t largest_segment_bytes)
{
	scratch.frame_count = largest_segment_bytes / VKCKPT_FRAME;
	scratch.stamp = arena.take_array<uint32_t>(scratch.frame_count);
	scratch.epoch = 0;
	scratch.table_budget = 4 * scratch.frame_count;
}

void walk_mapping(const PageTableFormat &format, const void *ram, uint64_t ram_bytes, const struct vkckpt_f_mapping &mapping,
    WalkScratch &scratch, const WalkVisitor &visitor, WalkCounts &counts)
{
	if (++scratch.epoch == 0) {	// after 2^32 walks old stamps could be taken for new ones
		for (uint64_t i = 0; i < scratch.frame_count; i++)
			scratch.stamp[i] = 0;
		scratch.epoch = 1;
	}
	Walk walk(format, ram, ram_bytes, mapping, scratch, visitor, counts);
	walk.root(mapping.root);
}

void walk_fill(struct vkckpt_f_vmspace &record, const WalkCounts &counts)
{
	record.frames_mapped = counts.frames_mapped;
	record.frames_accessed = counts.frames_accessed;
	record.frames_modified = counts.frames_modified;
	record.frames_writable = counts.frames_writable;
	record.frames_executable = counts.frames_executable;
	record.table_frames = counts.table_frames;
	record.bad_entries = counts.bad_entries;
}

}  // namespace vk
