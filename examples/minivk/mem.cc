// Frames of RAM: a buddy allocator whose every word lies in RAM. One FrameInfo per frame behind the kernel's root.
// Free blocks of 2^order frames stand in a list per order; a block's first FrameInfo describes it.
#include <cstdio>
#include <cstring>

#include "kernel.h"
#include "mem_state.h"

namespace minivk {
namespace {

FrameInfo *info(Frame f) { return &kernel().mem->frame[f]; }

void list_add(Frame f, unsigned order)
{
	MemState &m = *kernel().mem;
	FrameInfo *i = info(f);
	i->use = FrameUse::kFree;
	i->order = uint8_t(order);
	i->head = true;
	i->previous = kNoIndex;
	i->next = m.free_list[order];
	if (i->next != kNoIndex)
		info(i->next)->previous = uint32_t(f);
	m.free_list[order] = uint32_t(f);
}

void list_remove(Frame f)
{
	MemState &m = *kernel().mem;
	FrameInfo *i = info(f);
	if (i->previous == kNoIndex)
		m.free_list[i->order] = i->next;
	else
		info(i->previous)->next = i->next;
	if (i->next != kNoIndex)
		info(i->next)->previous = i->previous;
	i->head = false;
}

}  // namespace

Frame block_alloc(unsigned order, FrameUse use)
{
	MemState &m = *kernel().mem;
	unsigned o = order;
	while (o <= kMaxOrder && m.free_list[o] == kNoIndex)
		++o;
	if (o > kMaxOrder)
		return kNoFrame;
	Frame f = m.free_list[o];
	list_remove(f);
	while (o > order) {
		--o;
		list_add(f + (1ull << o), o);
	}
	for (Frame i = f; i < f + (1ull << order); i++) {
		info(i)->use = use;
		info(i)->refs = 1;
		info(i)->order = uint8_t(order);
	}
	m.free_frames -= 1ull << order;
	return f;
}

void block_free(Frame f, unsigned order)
{
	MemState &m = *kernel().mem;
	for (Frame i = f; i < f + (1ull << order); i++) {
		info(i)->use = FrameUse::kFree;
		info(i)->refs = 0;
		info(i)->dirty = true;
		info(i)->head = false;
	}
	m.free_frames += 1ull << order;
	while (order < kMaxOrder) {
		Frame buddy = f ^ (1ull << order);
		if (buddy + (1ull << order) > m.frame_count || !info(buddy)->head || info(buddy)->order != order)
			break;
		list_remove(buddy);
		f &= ~(1ull << order);
		++order;
	}
	list_add(f, order);
}

// The largest block comes first, so that entries within it are not looked at.
Frame free_block_at(Frame f, unsigned *order)
{
	for (unsigned o = kMaxOrder + 1; o-- > 0;) {
		Frame first = f & ~((1ull << o) - 1);
		if (info(first)->head && first + (1ull << info(first)->order) > f) {
			*order = info(first)->order;
			return first;
		}
	}
	return kNoFrame;
}

void mem_boot(uint64_t ram_bytes)
{
	static_assert(sizeof(Kernel) < (256 << 10));
	MemState *m = reinterpret_cast<MemState *>(kRamBase + ((sizeof(Kernel) + kPage - 1) & ~(kPage - 1)));
	new (m) MemState;
	kernel().mem = m;
	m->frame_count = ram_bytes / kPage;
	m->frame = reinterpret_cast<FrameInfo *>(m + 1);
	for (uint32_t &head : m->free_list)
		head = kNoIndex;
	uint64_t used = (reinterpret_cast<uintptr_t>(m->frame + m->frame_count) - kRamBase + kPage - 1) / kPage;
	for (Frame f = 0; f < used; f++) {
		info(f)->use = FrameUse::kKernel;
		info(f)->refs = 1;
	}
	m->reserve = m->frame_count / 32 < 4096 ? m->frame_count / 32 : 4096;
	Frame f = used;
	while (f < m->frame_count) {	// the largest aligned blocks that fit
		unsigned order = 0;
		while (order < kMaxOrder && !(f & (1ull << order)) && f + (2ull << order) <= m->frame_count)
			++order;
		list_add(f, order);
		m->free_frames += 1ull << order;
		f += 1ull << order;
	}
}

Frame frame_alloc(FrameUse use)
{
	MemState &m = *kernel().mem;
	// Files leave something to programs: a full file system is an error of write(2), a full memory kills.
	uint64_t margin = use == FrameUse::kKernel ? 0 : use == FrameUse::kFile ? m.reserve + m.frame_count / 16 : m.reserve;
	if (margin && m.free_frames <= margin)
		return kNoFrame;
	Frame f = block_alloc(0, use);
	// RAM starts out zero; only what was used before has to be cleared.
	if (f != kNoFrame && info(f)->dirty)
		memset(frame_ptr(f), 0, kPage);
	return f;
}

void frame_ref(Frame f) { ++info(f)->refs; }

void frame_unref(Frame f)
{
	if (info(f)->refs == 0)
		kernel_panic("a frame was released once too often");
	if (--info(f)->refs == 0)
		block_free(f, 0);
}

uint32_t frame_refs(Frame f) { return info(f)->refs; }
FrameUse frame_use(Frame f) { return info(f)->use; }
void frame_set_use(Frame f, FrameUse use) { info(f)->use = use; }
uint64_t frames_free() { return kernel().mem->free_frames; }
uint64_t frames_total() { return kernel().mem->frame_count; }
bool kernel_memory_ok() { return kernel().mem->free_frames > kernel().mem->reserve / 2; }

}  // namespace minivk
