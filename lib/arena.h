// The library's own memory: one anonymous mapping, taken from front to back, given back as a whole. Its size is computed up front by
// summing Arena::room() of everything that will be taken, so running out is our own bug and traps.
//
// map and release: ARM or THAW. take: any context, one thread at a time; it makes no system call.
#ifndef VKCKPT_LIB_ARENA_H
#define VKCKPT_LIB_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "lib/status.h"

namespace vk {

enum class Prefault { no, yes, later };

class Arena {
public:
	static constexpr size_t kAlign = 64;
	// What a take of this many bytes costs.
	static size_t room(size_t bytes, size_t align = kAlign);

	// Prefault::yes: every page is there when it returns, so that a capture meets no page fault and no shortage. later: when populate does.
	Status map(size_t bytes, Prefault);
	// QUIET, or a thread of the library's; several may. What was taken stays as it is. Does nothing when it was done.
	Status populate();
	void release();

	// Zeroed memory (nothing is taken twice). align: a power of two, 64 or more.
	void *take(size_t bytes, size_t align = kAlign);
	template <class T> T *take_array(size_t count, size_t align = kAlign)
	{
		return static_cast<T *>(take(count * sizeof(T), align));
	}

	uint8_t *base() const { return base_; }
	size_t size_bytes() const { return size_; }
	size_t used_bytes() const { return used_; }

private:
	static Status touch(uint8_t *at, size_t bytes);
	uint8_t *base_ = nullptr;
	size_t size_ = 0;
	size_t used_ = 0;
	uint32_t populated_ = 0;
};

}  // namespace vk
#endif
