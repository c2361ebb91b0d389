// What the allocators keep in RAM; for mem.cc and heap.cc, and for the checkpoint glue that tells free frames.
#ifndef MINIVK_MEM_STATE_H
#define MINIVK_MEM_STATE_H

#include "mem.h"

namespace minivk {

constexpr uint32_t kNoIndex = 0;		// frame 0 is the kernel's root
constexpr unsigned kMaxOrder = 15;		// 128 MiB
constexpr unsigned kSizeClasses = 14;

// All zero is a free frame inside a block: the entries of frames that were never used are never written, so they take no memory and no
// place in an image, however much RAM there is. Nobody may read them either, that would make their pages: see free_block_at.
struct FrameInfo {
	uint32_t refs = 0;
	uint32_t next = kNoIndex, previous = kNoIndex;	// of free blocks, and of heap pages with room
	FrameUse use = FrameUse::kFree;
	uint8_t order = 0;		// of the block that begins here
	bool head = false;		// a free block begins here
	bool dirty = false;		// not known to be zero
	uint16_t heap_class = 0;	// heap page: its size class + 1; 0: the block is one object
	uint16_t heap_used = 0;
	uint32_t heap_free = 0;		// byte offset of the first free object in the page; 0 none
};

struct MemState {
	uint64_t frame_count = 0, free_frames = 0;
	uint64_t reserve = 0;		// frames kept for the kernel
	uint32_t free_list[kMaxOrder + 1];
	uint32_t heap_page[kSizeClasses];	// pages with room
	uint64_t heap_bytes = 0;
	FrameInfo *frame = nullptr;
};

void mem_boot(uint64_t ram_bytes);	// RAM is mapped and zero, the Kernel constructed
void heap_boot();
Frame block_alloc(unsigned order, FrameUse use);	// 2^order frames side by side, not cleared; kNoFrame
void block_free(Frame, unsigned order);
// The free block that the frame lies in: its first frame and *order; kNoFrame: it is in use. Reads no entry of a frame within a block.
Frame free_block_at(Frame, unsigned *order);
[[noreturn]] void kernel_panic(const char *why);

}  // namespace minivk
#endif
