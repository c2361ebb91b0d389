// See memory_bound.h.
#include "test/fuzz/memory_bound.h"

#include <algorithm>
#include <vector>

#include <sys/mman.h>

#include <vkckpt/format.h>

namespace memory_bound {
namespace {

// Buffers of one size for any image, of which 0.8 MB were touched at most; and copies of head and index, once for each time that a target reads
// its input.
constexpr size_t kFixed = 2 << 20, kPerByte = 16;
// A reader keeps 2 bytes for each 64 KiB of the RAM that a head claims, and touches those of the chunks that the file has.
constexpr size_t kMostAddresses = (size_t{16} << 20) + VKCKPT_MAX_RAM_BYTES / VKCKPT_CHUNK * 2;

// Of one input. Addresses cost nothing until they are touched (MAP_NORESERVE), so the two have bounds of their own.
struct Use {
	size_t addresses;	// bytes mapped at the same time, at most
	size_t touched;		// bytes of pages that were there when their mapping was given back, all together
} use;
size_t mapped;		// now: nothing of an input may be left

size_t resident(void *address, size_t bytes)
{
	static std::vector<unsigned char> pages;
	pages.resize((bytes + 4095) / 4096);
	if (mincore(address, bytes, pages.data()) != 0)
		return 0;	// some of it is not there
	return static_cast<size_t>(std::count_if(pages.begin(), pages.end(), [](unsigned char page) { return page & 1; })) * 4096;
}

}  // namespace

void run(const FuzzTarget &target, const uint8_t *data, size_t size)
{
	use = {};
	mapped = 0;
	target.run(data, size);
	FUZZ_CHECK(mapped == 0);
	FUZZ_CHECK(use.addresses <= kMostAddresses);
	FUZZ_CHECK(use.touched <= kFixed + kPerByte * size);
}

}  // namespace memory_bound

extern "C" {

long __real__ZN2vk8sys_mmapEPvmiiim(void *, size_t, int, int, int, uint64_t);
long __wrap__ZN2vk8sys_mmapEPvmiiim(void *address, size_t bytes, int protection, int flags, int fd, uint64_t offset)
{
	long at = __real__ZN2vk8sys_mmapEPvmiiim(address, bytes, protection, flags, fd, offset);
	if (at > 0 && !(flags & MAP_FIXED)) {
		memory_bound::mapped += bytes;
		memory_bound::use.addresses = std::max(memory_bound::use.addresses, memory_bound::mapped);
	}
	return at;
}

long __real__ZN2vk10sys_munmapEPvm(void *, size_t);
long __wrap__ZN2vk10sys_munmapEPvm(void *address, size_t bytes)
{
	memory_bound::use.touched += memory_bound::resident(address, bytes);
	memory_bound::mapped -= bytes;
	return __real__ZN2vk10sys_munmapEPvm(address, bytes);
}

}  // extern "C"
