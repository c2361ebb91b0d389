// The vpagetable of an address space: four levels of vptes in RAM, which the host walks while guests run.
//
// The host sets A and M by compare-and-set at any time, so every change here is atomic. After a vpte has lost a right or
// its frame the host's copies are dropped (INVAL) before the frame may be used for something else; a vpte whose A was never
// set has no copy.
#include <cerrno>

#include "kernel.h"
#include "mem_state.h"
#include "vm.h"

namespace minivk {
namespace {

constexpr unsigned kLevels = 4;
constexpr uint64_t kTableBits = VPTE_V | VPTE_RW | VPTE_U;

vpte_t *table_of(vpte_t entry) { return static_cast<vpte_t *>(frame_ptr((entry & VPTE_FRAME) / kPage)); }
vpte_t load(vpte_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
uint64_t span(unsigned level) { return kPage << (9 * level); }	// covered by an entry of that level; leaves are level 0

// Calls visit(leaf slot, its address) for every leaf that is not 0 in the range.
template <class F> void each_leaf(vpte_t *table, unsigned level, uint64_t base, uint64_t from, uint64_t to, F &&visit)
{
	uint64_t first = from > base ? (from - base) / span(level) : 0;
	for (uint64_t i = first; i < 512 && base + i * span(level) < to; i++) {
		vpte_t e = load(&table[i]);
		if (e == 0)
			continue;
		if (level == 0)
			visit(&table[i], base + i * span(0));
		else
			each_leaf(table_of(e), level - 1, base + i * span(level), from, to, visit);
	}
}

}  // namespace

vpte_t *AddressSpace::leaf(uint64_t va, bool make)
{
	vpte_t *table = static_cast<vpte_t *>(frame_ptr(root_));
	for (unsigned level = kLevels - 1; level > 0; level--) {
		vpte_t *slot = &table[(va / span(level)) & 511];
		if (load(slot) == 0) {
			Frame f = make ? frame_alloc(FrameUse::kPageTable) : kNoFrame;
			if (f == kNoFrame)
				return nullptr;
			__atomic_store_n(slot, f * kPage | kTableBits, __ATOMIC_RELEASE);
		}
		table = table_of(load(slot));
	}
	return &table[(va / kPage) & 511];
}

// Takes over the caller's reference to the frame. What stood there is released.
bool AddressSpace::install(vpte_t *slot, Frame frame, uint64_t va, uint64_t bits)
{
	vpte_t old = __atomic_exchange_n(slot, frame * kPage | bits, __ATOMIC_ACQ_REL);
	if (old == 0) {
		++resident_;
		return true;
	}
	if (old & VPTE_A)
		invalidate(va, va + kPage);
	frame_unref((old & VPTE_FRAME) / kPage);
	return true;
}

// Forgets the pages of a range: first no vpte is valid, then the host forgets, then the frames are free.
void AddressSpace::clear_range(uint64_t from, uint64_t to)
{
	vpte_t *root = static_cast<vpte_t *>(frame_ptr(root_));
	uint64_t low = to, high = from;
	each_leaf(root, kLevels - 1, 0, from, to, [&](vpte_t *slot, uint64_t va) {
		if (__atomic_fetch_and(slot, ~uint64_t(VPTE_V), __ATOMIC_ACQ_REL) & VPTE_A) {
			low = std::min(low, va);
			high = std::max(high, va + kPage);
		}
	});
	if (low < high)
		invalidate(low, high);
	each_leaf(root, kLevels - 1, 0, from, to, [&](vpte_t *slot, uint64_t) {
		Frame f = (load(slot) & VPTE_FRAME) / kPage;
		__atomic_store_n(slot, 0, __ATOMIC_RELEASE);
		frame_unref(f);
		--resident_;
	});
	free_empty_tables(from, to);
}

// Gives back the leaf tables that lie wholly in a range that was cleared.
void AddressSpace::free_empty_tables(uint64_t from, uint64_t to)
{
	vpte_t *root = static_cast<vpte_t *>(frame_ptr(root_));
	for (uint64_t va = (from + span(1) - 1) & ~(span(1) - 1); va + span(1) <= to && va + span(1) > va;) {
		vpte_t *table = root;
		unsigned level = kLevels - 1;
		while (level > 1 && load(&table[(va / span(level)) & 511]))
			table = table_of(load(&table[(va / span(level)) & 511])), --level;
		vpte_t *slot = &table[(va / span(level)) & 511];
		if (level == 1 && load(slot)) {
			// The host walks tables without our lock: INVAL waits for a walk that is under way.
			Frame f = (__atomic_exchange_n(slot, 0, __ATOMIC_ACQ_REL) & VPTE_FRAME) / kPage;
			invalidate(va, va + kPage);
			frame_unref(f);
		}
		va = (va & ~(span(level) - 1)) + span(level);
	}
}

// Changes the rights of present pages; frames shared with somebody stay read-only (copied at the next write).
void AddressSpace::protect_range(uint64_t from, uint64_t to, uint32_t prot, bool shared)
{
	uint64_t low = to, high = from;
	each_leaf(static_cast<vpte_t *>(frame_ptr(root_)), kLevels - 1, 0, from, to, [&](vpte_t *slot, uint64_t va) {
		vpte_t old = load(slot), next;
		do {
			next = old & ~uint64_t(VPTE_V | VPTE_RW | VPTE_NX);
			Frame f = (old & VPTE_FRAME) / kPage;
			if (prot != 0)
				next |= VPTE_V;
			if (!(prot & 4))
				next |= VPTE_NX;
			if ((prot & 2) && (shared || (frame_refs(f) == 1 && frame_is_private(f))))
				next |= VPTE_RW;
		} while (!__atomic_compare_exchange_n(slot, &old, next, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
		bool less = (old & VPTE_V & ~next) || (old & VPTE_RW & ~next) || (next & VPTE_NX & ~old);
		if (less && (old & VPTE_A)) {
			low = std::min(low, va);
			high = std::max(high, va + kPage);
		}
	});
	if (low < high)
		invalidate(low, high);
}

// Fork: both sides get the same frames; private ones lose the right to be written on both.
bool AddressSpace::copy_tables(AddressSpace &to, const Mapping &m)
{
	uint64_t low = m.end, high = m.start;
	bool ok = true;
	each_leaf(static_cast<vpte_t *>(frame_ptr(root_)), kLevels - 1, 0, m.start, m.end, [&](vpte_t *slot, uint64_t va) {
		vpte_t *target = ok ? to.leaf(va, true) : nullptr;
		if (!target) {
			ok = false;
			return;
		}
		vpte_t old = load(slot);
		if (!m.shared)
			old = __atomic_fetch_and(slot, ~uint64_t(VPTE_RW), __ATOMIC_ACQ_REL);
		if (!m.shared && (old & VPTE_RW) && (old & VPTE_M)) {	// only then the host maps it writable
			low = std::min(low, va);
			high = std::max(high, va + kPage);
		}
		frame_ref((old & VPTE_FRAME) / kPage);
		vpte_t copy = old & ~uint64_t(VPTE_M);
		__atomic_store_n(target, m.shared ? copy : copy & ~uint64_t(VPTE_RW), __ATOMIC_RELEASE);
		++to.resident_;
	});
	if (low < high)
		invalidate(low, high);
	return ok;
}

void AddressSpace::free_tables()
{
	auto drop = [](auto &self, vpte_t *table, unsigned level) -> void {
		for (unsigned i = 0; i < 512; i++) {
			vpte_t e = load(&table[i]);
			if (e == 0)
				continue;
			if (level > 0)
				self(self, table_of(e), level - 1);
			frame_unref((e & VPTE_FRAME) / kPage);
		}
	};
	drop(drop, static_cast<vpte_t *>(frame_ptr(root_)), kLevels - 1);
	frame_unref(root_);
	root_ = kNoFrame;
}

void AddressSpace::invalidate(uint64_t from, uint64_t to)
{
	// It fails when the host's task is dead: then there is nothing left to forget, and the next RUN says so.
	if (has_vmspace_)
		(void)vmspace_mcontrol(this, reinterpret_cast<void *>(from), to - from, DF_MADV_INVAL, 0);
}

}  // namespace minivk
