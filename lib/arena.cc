// The library's own memory. See arena.h.
#include "lib/arena.h"

#include <errno.h>

#include "lib/asan.h"
#include "lib/sys.h"

namespace vk {
namespace {

#ifdef VK_ASAN	// what was not taken, and a gap behind what was, may not be touched
constexpr size_t kGap = Arena::kAlign;
#else
constexpr size_t kGap = 0;
#endif

}  // namespace

size_t Arena::room(size_t bytes, size_t align)
{
	return ((bytes + kAlign - 1) & ~(kAlign - 1)) + kGap + (align > kAlign ? align : 0);
}

// Huge pages where the host has them: a thaw waits for this. A page that is touched stays what it is.
VK_NOT_ASAN Status Arena::touch(uint8_t *at, size_t bytes)
{
	(void)sys_madvise(at, bytes, MADV_HUGEPAGE);
	long r = sys_populate(at, bytes);
	if (r < 0)
		return fail_host(static_cast<int>(-r), "memory", "the library's own", bytes);
	for (size_t i = 0; r > 0 && i < bytes; i += 4096)
		(void)__atomic_fetch_or(at + i, uint8_t{0}, __ATOMIC_RELAXED);
	return success();
}

Status Arena::map(size_t bytes, Prefault prefault)
{
	VK_CHECK(base_ == nullptr && bytes > 0);
	bytes = (bytes + 4095) & ~size_t{4095};
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | (prefault == Prefault::no ? MAP_NORESERVE : 0);
	long at = sys_mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (at < 0)
		return fail_host(static_cast<int>(-at), "memory", "the library's own", bytes);
	// A core file is about the vkernel, not about our buffers; a refusal does not matter.
	(void)sys_madvise(reinterpret_cast<void *>(at), bytes, MADV_DONTDUMP);
	if (prefault == Prefault::yes)
		if (Status s = touch(reinterpret_cast<uint8_t *>(at), bytes); !s.ok()) {
			sys_munmap(reinterpret_cast<void *>(at), bytes);
			return s;
		}
	base_ = reinterpret_cast<uint8_t *>(at);
	size_ = bytes;
	used_ = 0;
	populated_ = prefault != Prefault::later;
	asan_poison(base_, size_);
	return success();
}

Status Arena::populate()
{
	if (__atomic_load_n(&populated_, __ATOMIC_ACQUIRE))
		return success();
	Status s = touch(base_, size_);
	if (s.ok())
		__atomic_store_n(&populated_, 1u, __ATOMIC_RELEASE);
	return s;
}

void Arena::release()
{
	if (base_ == nullptr)
		return;
	asan_unpoison(base_, size_);	// what lies there next is not ours
	VK_CHECK(sys_munmap(base_, size_) == 0);
	base_ = nullptr;
	size_ = used_ = 0;
}

void *Arena::take(size_t bytes, size_t align)
{
	VK_CHECK(align >= kAlign && (align & (align - 1)) == 0);
	uintptr_t end = reinterpret_cast<uintptr_t>(base_) + used_;
	uintptr_t start = (end + align - 1) & ~uintptr_t{align - 1};
	size_t offset = start - reinterpret_cast<uintptr_t>(base_);
	size_t padded = room(bytes);
	VK_CHECK(padded >= bytes && offset <= size_ && padded <= size_ - offset);
	used_ = offset + padded;
	asan_unpoison(base_ + offset, bytes);
	return base_ + offset;
}

}  // namespace vk
