// Page faults: anonymous memory, files, copy-on-write.
#include <cerrno>
#include <cstring>

#include "kernel.h"
#include "mem_state.h"
#include "vm.h"

namespace minivk {
namespace {

constexpr int kBus = 7, kSegv = 11;
constexpr int kMapErr = 1, kAccErr = 2, kBusAdrErr = 2;
constexpr unsigned kAheadPages = 8;	// of memory that is written in order, and of files

const FaultResult kOk = {};
const FaultResult kNoMemory = {9, 0x80, true};

uint64_t leaf_bits(const Mapping &m, bool writable)
{
	return VPTE_V | VPTE_U | (writable ? VPTE_RW : 0) | (m.prot & 4 ? 0 : VPTE_NX);
}

vpte_t load(vpte_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }

Frame copy_of(Frame from)
{
	const bool secret = from != kNoFrame && frame_use(from) == FrameUse::kSecret;
	Frame f = frame_alloc(secret ? FrameUse::kSecret : FrameUse::kAnon);
	if (f != kNoFrame && from != kNoFrame && from != kernel().zero_frame)
		memcpy(frame_ptr(f), frame_ptr(from), kPage);
	return f;
}

}  // namespace

const Mapping *AddressSpace::find(uint64_t va) const
{
	auto it = mappings_.upper_bound(va);
	if (it == mappings_.begin())
		return nullptr;
	--it;
	return va < it->second.end ? &it->second : nullptr;
}

bool AddressSpace::grow_stack(uint64_t va)
{
	auto above = mappings_.upper_bound(va);
	if (above == mappings_.end() || !above->second.grows_down || above->second.end - va > stack_limit)
		return false;
	uint64_t start = va & ~(kPage - 1);
	if (above != mappings_.begin() && std::prev(above)->second.end > start)
		return false;
	Mapping m = above->second;
	mappings_.erase(above);
	mapped_bytes_ += m.start - start;
	m.start = start;
	mappings_.emplace(start, std::move(m));
	return true;
}

FaultResult AddressSpace::fault(uint64_t va, Access access)
{
	if (va >= VM_MAX_USER_ADDRESS)
		return {kSegv, kMapErr};
	const Mapping *m = find(va);
	if (!m && grow_stack(va))
		m = find(va);
	if (!m)
		return {kSegv, kMapErr};
	uint32_t needed = access == Access::kWrite ? 2 : access == Access::kExecute ? 4 : 7;
	if (!(m->prot & needed))
		return {kSegv, kAccErr};
	va &= ~(kPage - 1);
	vpte_t *slot = leaf(va, true);
	if (!slot)
		return kNoMemory;
	vpte_t e = load(slot);
	if (e == 0)
		return fault_in(*m, slot, va, access);
	if (access == Access::kWrite && !(e & VPTE_RW))
		return break_sharing(*m, slot, va);
	return kOk;	// another vCPU was first
}

FaultResult AddressSpace::fault_in(const Mapping &m, vpte_t *slot, uint64_t va, Access access)
{
	bool write = access == Access::kWrite;
	if (!m.inode) {
		Frame f = write ? copy_of(kNoFrame) : kernel().zero_frame;
		if (f == kNoFrame)
			return kNoMemory;
		if (!write)
			frame_ref(f);
		install(slot, f, va, leaf_bits(m, write));
		if (write)
			fault_around(m, va);
		return kOk;
	}
	uint64_t index = (m.offset + (va - m.start)) / kPage;
	if (index * kPage >= m.inode->size())
		return {kBus, kBusAdrErr};
	Frame f = m.inode->page(index, m.shared && (m.prot & 2));
	if (m.shared && f == kNoFrame)
		f = m.inode->page(index, true);
	if (m.shared && f == kNoFrame)
		return kNoMemory;
	if (!m.shared && write) {
		f = copy_of(f);
		if (f == kNoFrame)
			return kNoMemory;
	} else {
		if (f == kNoFrame)
			f = kernel().zero_frame;
		frame_ref(f);
	}
	install(slot, f, va, leaf_bits(m, m.shared ? m.prot & 2 : write));
	if (!write || m.shared)
		fault_around(m, va);
	return kOk;
}

// More pages at once, where it is likely that they are wanted: a fault is dear. A (and M) are set on them, because the
// host maps along with a fault only what has been used.
void AddressSpace::fault_around(const Mapping &m, uint64_t va)
{
	if (!m.inode && va > m.start) {		// only memory that is being written in order
		vpte_t *before = leaf(va - kPage, false);
		if (!before || !(load(before) & VPTE_RW))
			return;
	} else if (!m.inode) {
		return;
	}
	if (frames_free() < frames_total() / 8)
		return;
	uint64_t last = std::min(m.end, (va & ~(kPage * 512 - 1)) + kPage * 512);	// the leaf table of va
	for (unsigned i = 1; i < kAheadPages && va + i * kPage < last; i++) {
		uint64_t at = va + i * kPage;
		vpte_t *slot = leaf(at, false);
		if (!slot || load(slot) != 0)
			return;
		Frame f;
		if (!m.inode) {
			f = frame_alloc(FrameUse::kAnon);
			if (f == kNoFrame)
				return;
			install(slot, f, at, leaf_bits(m, true) | VPTE_A | VPTE_M);
			continue;
		}
		uint64_t index = (m.offset + (at - m.start)) / kPage;
		f = index * kPage < m.inode->size() ? m.inode->page(index, false) : kNoFrame;
		if (f == kNoFrame)
			return;
		frame_ref(f);
		install(slot, f, at, leaf_bits(m, m.shared && (m.prot & 2)) | VPTE_A);
	}
}

FaultResult AddressSpace::break_sharing(const Mapping &m, vpte_t *slot, uint64_t va)
{
	Frame f = (load(slot) & VPTE_FRAME) / kPage;
	if (m.shared || (frame_is_private(f) && frame_refs(f) == 1)) {
		__atomic_fetch_or(slot, VPTE_RW, __ATOMIC_ACQ_REL);
		return kOk;
	}
	Frame copy = copy_of(f);
	if (copy == kNoFrame)
		return kNoMemory;
	install(slot, copy, va, leaf_bits(m, true));
	return kOk;
}

long AddressSpace::make_secret(uint64_t va, uint64_t bytes)
{
	if (va % kPage || bytes % kPage || bytes == 0 || va >= VM_MAX_USER_ADDRESS || bytes > VM_MAX_USER_ADDRESS - va)
		return -EINVAL;
	for (uint64_t at = va; at < va + bytes; at += kPage) {
		const Mapping *m = find(at);
		if (!m || m->shared || !touch(at, Access::kWrite))
			return -EFAULT;
		const Frame f = (load(leaf(at, false)) & VPTE_FRAME) / kPage;
		if (!frame_is_private(f) || frame_refs(f) != 1)
			return -EFAULT;
		frame_set_use(f, FrameUse::kSecret);
	}
	return 0;
}

char *AddressSpace::touch(uint64_t va, Access access)
{
	if (va >= VM_MAX_USER_ADDRESS)
		return nullptr;
	vpte_t *slot = leaf(va, false);
	vpte_t e = slot ? load(slot) : 0;
	if (!(e & VPTE_V) || (access == Access::kWrite && !(e & VPTE_RW))) {
		if (fault(va, access).signal != 0)
			return nullptr;
		slot = leaf(va, false);
		e = load(slot);
	}
	return static_cast<char *>(frame_ptr((e & VPTE_FRAME) / kPage)) + va % kPage;
}

}  // namespace minivk
