/*
 * The walk of a DragonFly vpagetable in RAM, as the host kernel of DragonFly does it: V, RW and NX count at every level
 * including the root; PS ends the walk at any level; A and M are set by compare-and-set in every entry on the way.
 *
 * The tables are the guest kernel's and change while we read them: an entry is loaded once and used from the copy. The
 * number of levels bounds every walk, however the tables point at each other.
 */
#include "vkernel-hooks/linux/internal.h"

namespace vmspace {
namespace {

constexpr unsigned kRootShift = 36;	/* log2 of the pages below the root */
constexpr unsigned kLevelBits = 9;

bool permits(vpte_t entry, Access access) {
	if ((entry & VPTE_V) == 0)
		return false;
	if (access == Access::kWrite)
		return (entry & VPTE_RW) != 0;
	return access != Access::kExecute || (entry & VPTE_NX) == 0;
}

/* Loads an entry and leaves its A (and, for a write, M) set; what it returns is what then stood there. */
vpte_t load_and_mark(vpte_t *slot, Access access) {
	const vpte_t marks = access == Access::kWrite ? VPTE_A | VPTE_M : VPTE_A;
	vpte_t entry = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
	while (permits(entry, access) && (entry & marks) != marks) {
		if (__atomic_compare_exchange_n(slot, &entry, entry | marks, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			return entry | marks;
	}
	return entry;
}

}  // namespace

bool walk(const Ram &ram, vpte_t root, uint64_t page_index, Access access, Marking marking, Page *page) {
	vpte_t entry = root;
	unsigned shift = kRootShift;
	bool writable = true, executable = true;
	for (;;) {
		if (!permits(entry, access))
			return false;
		if (marking == Marking::kPeek && shift != kRootShift && (entry & VPTE_A) == 0)
			return false;
		writable = writable && (entry & VPTE_RW) != 0;
		executable = executable && (entry & VPTE_NX) == 0;
		if ((entry & VPTE_PS) != 0 || shift == 0)
			break;
		const uint64_t table = entry & VPTE_FRAME;
		if (table >= ram.bytes)
			return false;
		shift -= kLevelBits;
		vpte_t *slot = reinterpret_cast<vpte_t *>(ram.base + table) + ((page_index >> shift) & 511);
		entry = marking == Marking::kMark ? load_and_mark(slot, access) : __atomic_load_n(slot, __ATOMIC_ACQUIRE);
	}
	const uint64_t frame = (entry & VPTE_FRAME) + ((page_index & ((1ULL << shift) - 1)) << kPageShift);
	if (frame >= ram.bytes)
		return false;
	/* The root is no entry in RAM: there is no place to set its M, so a write is all that is asked for. */
	const bool modified = (entry & VPTE_M) != 0 || (shift == kRootShift && access == Access::kWrite);
	*page = {frame, shift, writable && modified, executable};
	return true;
}

}  // namespace vmspace
