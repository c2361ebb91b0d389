// mremap and madvise: what changes the pages of mappings that stay.
#include <cerrno>
#include <sys/mman.h>

#include "kernel.h"
#include "vm.h"

namespace minivk {
namespace {

uint64_t page_up(uint64_t n) { return (n + kPage - 1) & ~(kPage - 1); }

}  // namespace

// Moves what is present from one range to another that is mapped and empty.
bool AddressSpace::move_pages(uint64_t from, uint64_t to, uint64_t bytes)
{
	for (uint64_t at = 0; at < bytes; at += kPage) {
		vpte_t *slot = leaf(from + at, false);
		if (slot && *slot && !leaf(to + at, true))
			return false;
	}
	for (uint64_t at = 0; at < bytes; at += kPage)
		if (vpte_t *slot = leaf(from + at, false))
			__atomic_fetch_and(slot, ~uint64_t(VPTE_V), __ATOMIC_ACQ_REL);
	invalidate(from, from + bytes);
	for (uint64_t at = 0; at < bytes; at += kPage) {
		vpte_t *slot = leaf(from + at, false);
		vpte_t e = slot ? __atomic_exchange_n(slot, 0, __ATOMIC_ACQ_REL) : 0;
		if (e)
			__atomic_store_n(leaf(to + at, true), (e | VPTE_V) & ~uint64_t(VPTE_A | VPTE_M), __ATOMIC_RELEASE);
	}
	const Mapping *m = find(to);
	if (m && m->prot == 0)
		protect_range(to, to + bytes, 0, m->shared);
	return true;
}

long AddressSpace::remap(uint64_t old, uint64_t old_bytes, uint64_t bytes, uint32_t flags, uint64_t to)
{
	old_bytes = page_up(old_bytes);
	bytes = page_up(bytes);
	if (old % kPage || bytes == 0 || old_bytes == 0 || (flags & ~3u) || ((flags & MREMAP_FIXED) && !(flags & MREMAP_MAYMOVE)))
		return -EINVAL;
	const Mapping *found = find(old);
	if (!found || found->end - old < old_bytes)
		return -EFAULT;
	if ((flags & MREMAP_FIXED) && (to % kPage || (to < old + old_bytes && old < to + bytes)))
		return -EINVAL;
	if (bytes <= old_bytes && !(flags & MREMAP_FIXED)) {
		if (bytes < old_bytes)
			unmap(old + bytes, old_bytes - bytes);
		return long(old);
	}
	Mapping m = *found;
	const uint64_t offset = m.inode ? m.offset + (old - m.start) : 0;
	const uint32_t kind = (m.shared ? MAP_SHARED : MAP_PRIVATE) | MAP_NORESERVE;
	constexpr uint32_t kFixedNoReplace = 0x100000;
	if (!(flags & MREMAP_FIXED) && m.end == old + old_bytes
	    && map(m.end, bytes - old_bytes, m.prot, kind | kFixedNoReplace, m.inode, m.inode ? offset + old_bytes : 0, m.path) >= 0)
		return long(old);
	if (!(flags & MREMAP_MAYMOVE))
		return -ENOMEM;
	long target = map(to, bytes, m.prot, kind | (flags & MREMAP_FIXED ? MAP_FIXED : 0), m.inode, offset, m.path);
	if (target < 0)
		return target;
	if (!move_pages(old, uint64_t(target), std::min(old_bytes, bytes))) {
		unmap(uint64_t(target), bytes);
		return -ENOMEM;
	}
	unmap(old, old_bytes);
	return target;
}

long AddressSpace::advise(uint64_t address, uint64_t bytes, int advice)
{
	bytes = page_up(bytes);
	if (address % kPage || address > VM_MAX_USER_ADDRESS || bytes > VM_MAX_USER_ADDRESS - address)
		return -EINVAL;
	switch (advice) {
	case MADV_DONTNEED:
	case MADV_FREE:
		for (uint64_t at = address; at < address + bytes;) {
			const Mapping *m = find(at);
			if (!m)
				return -ENOMEM;
			uint64_t end = std::min(m->end, address + bytes);
			clear_range(at, end);
			at = end;
		}
		return 0;
	case MADV_NORMAL: case MADV_RANDOM: case MADV_SEQUENTIAL: case MADV_WILLNEED: case MADV_HUGEPAGE:
	case MADV_NOHUGEPAGE: case MADV_DONTDUMP: case MADV_DODUMP: case MADV_COLD: case MADV_PAGEOUT: case MADV_MERGEABLE:
	case MADV_UNMERGEABLE:
		return 0;
	default:
		return -EINVAL;
	}
}

}  // namespace minivk
