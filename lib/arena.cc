// The library's own memory. See arena.h.
#include "lib/arena.h"

#include "lib/sys.h"

namespace vk {

Status Arena::map(size_t bytes, Prefault prefault)
{
	VK_CHECK(base_ == nullptr && bytes > 0);
	bytes = (bytes + 4095) & ~size_t{4095};
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | (prefault == Prefault::yes ? MAP_POPULATE : MAP_NORESERVE);
	long at = sys_mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (at < 0)
		return fail_host(static_cast<int>(-at), "memory", "the library's own", bytes);
	base_ = reinterpret_cast<uint8_t *>(at);
	size_ = bytes;
	used_ = 0;
	// A core file is about the vkernel, not about our buffers; a refusal does not matter.
	(void)sys_madvise(base_, size_, MADV_DONTDUMP);
	return success();
}

void Arena::release()
{
	if (base_ == nullptr)
		return;
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
	return base_ + offset;
}

}  // namespace vk
