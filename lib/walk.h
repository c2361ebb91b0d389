// Walks the page tables that a vkernel keeps in its RAM. The walk yields owner, rights and heat of frames, never whether they are
// alive. Tables come from a guest that may be broken or hostile: every entry is checked, a table is followed once per walk, a budget
// bounds the whole; what is wrong is counted in bad_entries and is never an error. QUIET: no allocation, no system call.
#ifndef VKCKPT_LIB_WALK_H
#define VKCKPT_LIB_WALK_H

#include <stddef.h>
#include <stdint.h>

#include <vkckpt/format.h>

#include "lib/arena.h"

namespace vk {

// Entries are 8 bytes, tables one frame, an address is taken apart from the top: levels * 9 bits, then 12.
struct PageTableFormat {
	const char *name;
	uint32_t id;			// enum vkckpt_pagetable_format
	uint8_t levels;			// of tables: 4 for 512^4 frames
	uint8_t superpage_levels;	// bit l: an entry of a level-l table may map directly (level 1 holds leaves); bit levels + 1: the root
	bool root_is_entry;		// the root is itself an entry with rights; else the address of the top table
	bool rights_at_every_level;	// a right must be given by every entry on the way; else the leaf alone decides
	uint64_t table_valid;		// an entry of an upper table with any of these leads on
	uint64_t leaf_valid;		// a leaf with any of these is mapped
	uint64_t no_access;		// a leaf with any of these has no rights at all
	uint64_t writable;
	uint64_t execute_bit;		// 0: everything may be executed
	bool execute_bit_forbids;	// polarity: set means no execution
	uint64_t accessed, modified;
	uint64_t superpage;
	uint64_t frame_mask;		// the byte offset in the segment
};
// Null: no such format (VKCKPT_PT_NONE, or unknown to this library).
const PageTableFormat *pagetable_format(uint32_t id);

enum WalkFlags : uint32_t {
	kWalkWritable = 1, kWalkExecutable = 2, kWalkAccessed = 4, kWalkModified = 8, kWalkSuperpage = 16
};
// Frames of the segment that lie one after the other at consecutive addresses with the same flags.
struct WalkRun {
	uint64_t address;		// in the guest's address space
	uint64_t frame;			// in the segment
	uint64_t frame_count;
	uint32_t flags;
};
struct WalkVisitor {
	void *arg = nullptr;
	void (*run)(void *arg, const WalkRun &) = nullptr;
	void (*table)(void *arg, uint64_t frame, unsigned level) = nullptr;	// each frame that holds a table
};
struct WalkCounts {
	uint64_t frames_mapped = 0;	// superpages counted by their frames
	uint64_t frames_accessed = 0, frames_modified = 0, frames_writable = 0, frames_executable = 0;
	uint64_t table_frames = 0;
	uint64_t bad_entries = 0;
};

// Which tables this walk has been at: a stamp per frame of the largest segment, so that starting a walk costs nothing.
struct WalkScratch {
	uint32_t *stamp = nullptr;
	uint64_t frame_count = 0;
	uint64_t first_frame = 0;	// those before it are not RAM: no table is read there
	uint32_t epoch = 0;
	// Not null: gives a table's entries (RAM that is an image's), which stay until the next table of that level is asked for; null: none that
	// is to be followed. Stamps and budget are its own then.
	const uint64_t *(*bring)(void *arg, uint64_t frame, unsigned level) = nullptr;
	void *bring_arg = nullptr;
	uint64_t table_budget = 0;	// tables that may still be read, over all walks: set anew for each capture
};
size_t walk_scratch_bytes(uint64_t largest_segment_bytes);
void walk_scratch_init(WalkScratch &, Arena &, uint64_t largest_segment_bytes);

// One mapping of a vmspace; ram: the segment that mapping.segment names. Adds to counts.
void walk_mapping(const PageTableFormat &, const void *ram, uint64_t ram_bytes, const struct vkckpt_f_mapping &, WalkScratch &,
    const WalkVisitor &, WalkCounts &counts);
// Copies the counts to the fields of the record.
void walk_fill(struct vkckpt_f_vmspace &, const WalkCounts &);

}  // namespace vk
#endif
