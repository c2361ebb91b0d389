// The kernel's heap: pages cut into objects of one size class, larger objects as blocks of frames. The bookkeeping is in
// the FrameInfo of the page, the free list inside the free objects.
#include <cstring>

#include "kernel.h"
#include "mem_state.h"

namespace minivk {
namespace {

// The last class leaves two objects in a page; what is larger gets frames of its own.
constexpr uint16_t kClassBytes[kSizeClasses] = {16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1008, 1360, 2032};

FrameInfo *info(Frame f) { return &kernel().mem->frame[f]; }

unsigned class_of(size_t bytes)
{
	unsigned c = 0;
	while (kClassBytes[c] < bytes)
		++c;
	return c;
}

// Objects begin at the class' size, so that offset 0 can mean "none" (alignment stays that of the class).
uint16_t first_offset(unsigned c) { return kClassBytes[c] > 256 ? 16 : kClassBytes[c]; }

void link_page(Frame f, unsigned c)
{
	MemState &m = *kernel().mem;
	info(f)->previous = kNoIndex;
	info(f)->next = m.heap_page[c];
	if (m.heap_page[c] != kNoIndex)
		info(m.heap_page[c])->previous = uint32_t(f);
	m.heap_page[c] = uint32_t(f);
}

void unlink_page(Frame f, unsigned c)
{
	FrameInfo *i = info(f);
	if (i->previous == kNoIndex)
		kernel().mem->heap_page[c] = i->next;
	else
		info(i->previous)->next = i->next;
	if (i->next != kNoIndex)
		info(i->next)->previous = i->previous;
}

Frame new_page(unsigned c)
{
	Frame f = block_alloc(0, FrameUse::kKernel);
	if (f == kNoFrame)
		kernel_panic("the kernel's reserve of memory is gone");
	FrameInfo *i = info(f);
	i->heap_class = uint16_t(c + 1);
	i->heap_used = 0;
	i->heap_free = 0;
	char *page = static_cast<char *>(frame_ptr(f));
	for (uint32_t at = first_offset(c); at + kClassBytes[c] <= kPage; at += kClassBytes[c]) {
		*reinterpret_cast<uint32_t *>(page + at) = i->heap_free;
		i->heap_free = at;
	}
	link_page(f, c);
	return f;
}

void *alloc_block(size_t bytes)
{
	unsigned order = 0;
	while ((kPage << order) < bytes)
		++order;
	Frame f = order <= kMaxOrder ? block_alloc(order, FrameUse::kKernel) : kNoFrame;
	if (f == kNoFrame)
		kernel_panic("the kernel's reserve of memory is gone");
	info(f)->heap_class = 0;
	kernel().mem->heap_bytes += kPage << order;
	return frame_ptr(f);
}

}  // namespace

void heap_boot()
{
	for (uint32_t &head : kernel().mem->heap_page)
		head = kNoIndex;
}

void *kalloc(size_t bytes)
{
	if (bytes > kClassBytes[kSizeClasses - 1])
		return alloc_block(bytes);
	unsigned c = class_of(bytes);
	MemState &m = *kernel().mem;
	Frame f = m.heap_page[c] != kNoIndex ? m.heap_page[c] : new_page(c);
	FrameInfo *i = info(f);
	char *object = static_cast<char *>(frame_ptr(f)) + i->heap_free;
	i->heap_free = *reinterpret_cast<uint32_t *>(object);
	++i->heap_used;
	if (i->heap_free == 0)
		unlink_page(f, c);
	m.heap_bytes += kClassBytes[c];
	return object;
}

void kfree(void *p)
{
	if (!p)
		return;
	uintptr_t offset = reinterpret_cast<uintptr_t>(p) - kRamBase;
	Frame f = offset / kPage;
	FrameInfo *i = info(f);
	if (f >= kernel().mem->frame_count || i->use != FrameUse::kKernel)
		kernel_panic("kfree of something that is not the heap's");
	if (i->heap_class == 0) {
		kernel().mem->heap_bytes -= kPage << i->order;
		block_free(f, i->order);
		return;
	}
	unsigned c = i->heap_class - 1u;
	kernel().mem->heap_bytes -= kClassBytes[c];
	bool was_full = i->heap_free == 0;
	*static_cast<uint32_t *>(p) = i->heap_free;
	i->heap_free = uint32_t(offset % kPage);
	if (--i->heap_used == 0 && !was_full) {
		unlink_page(f, c);
		block_free(f, 0);
	} else if (was_full) {
		link_page(f, c);
	}
}

}  // namespace minivk
