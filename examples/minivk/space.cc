// Address spaces: their life, and the list of mappings behind mmap and its relatives.
#include <cerrno>
#include <sys/mman.h>

#include "kernel.h"
#include "mem_state.h"
#include "vm.h"

namespace minivk {
namespace {

constexpr uint64_t kLowest = 65536;	// the host maps nothing below (vm.mmap_min_addr)
constexpr uint64_t kTop = VM_MAX_USER_ADDRESS - kPage;
constexpr uint64_t kStackRoom = 64ull << 20;	// below the stack's top, kept clear of other mappings
constexpr size_t kMaxMappings = 65530;

uint64_t page_up(uint64_t n) { return (n + kPage - 1) & ~(kPage - 1); }

// Shared memory without a name: its pages come when they are first touched.
class AnonymousInode : public Inode {
public:
	explicit AnonymousInode(uint64_t bytes) : bytes_(bytes) { mode = 0600; nlink = 0; }
	~AnonymousInode() override
	{
		for (auto &[index, frame] : pages_)
			frame_unref(frame);
	}
	uint64_t size() const override { return bytes_; }
	uint64_t frames() const override { return pages_.size(); }
	long open(Thread &, uint32_t, Ref<File> *) override { return -ENXIO; }
	Frame page(uint64_t index, bool write) override
	{
		auto it = pages_.find(index);
		if (it != pages_.end())
			return it->second;
		Frame f = write && index * kPage < bytes_ ? frame_alloc(FrameUse::kAnon) : kNoFrame;
		if (f != kNoFrame)
			pages_.emplace(index, f);
		return f;
	}
private:
	uint64_t bytes_;
	KMap<uint64_t, Frame> pages_;
};

bool mergeable(const Mapping &a, const Mapping &b)
{
	return a.end == b.start && a.prot == b.prot && a.shared == b.shared && a.inode == b.inode
	    && !a.grows_down && !b.grows_down && (!a.inode || a.offset + (a.end - a.start) == b.offset);
}

}  // namespace

Ref<Inode> anonymous_inode(uint64_t bytes) { return kmake<AnonymousInode>(bytes); }

// A guest that forks is told at once if the host has no process for it; after a thaw each gets its own when it first runs.
bool AddressSpace::make_vmspace(VmspaceWhen when)
{
	if ((when == VmspaceWhen::kNow ? vmspace_create(this, 0, nullptr) : vmspace_host_create_later(this)) != 0)
		return false;
	has_vmspace_ = true;
	return vmspace_mmap(this, nullptr, VM_MAX_USER_ADDRESS, PROT_READ | PROT_WRITE | PROT_EXEC,
	    DF_MAP_SHARED | DF_MAP_FIXED | DF_MAP_VPAGETABLE, kernel().ram_fd, 0) != MAP_FAILED
	    && vmspace_mcontrol(this, nullptr, VM_MAX_USER_ADDRESS, DF_MADV_SETMAP, off_t(root_vpte())) == 0;
}

Ref<AddressSpace> AddressSpace::create()
{
	Frame root = kernel_memory_ok() ? frame_alloc(FrameUse::kPageTable) : kNoFrame;
	if (root == kNoFrame)
		return {};
	Ref<AddressSpace> as = kmake<AddressSpace>();
	as->root_ = root;
	as->room_below_ = as->stack_top = kTop;
	kernel().spaces.push_back(as.get());
	if (!as->make_vmspace(VmspaceWhen::kNow))
		return {};
	return as;
}

AddressSpace::~AddressSpace()
{
	if (has_vmspace_)
		(void)vmspace_destroy(this);
	if (root_ != kNoFrame)
		free_tables();
	for (auto it = kernel().spaces.begin(); it != kernel().spaces.end(); ++it)
		if (*it == this) {
			kernel().spaces.erase(it);
			break;
		}
}

Ref<AddressSpace> AddressSpace::fork()
{
	Ref<AddressSpace> child = create();
	if (!child)
		return {};
	child->mapped_bytes_ = mapped_bytes_;
	child->brk_start = brk_start;
	child->brk_end = brk_end;
	child->stack_top = stack_top;
	child->stack_limit = stack_limit;
	child->room_below_ = room_below_;
	for (auto &[start, m] : mappings_) {
		child->mappings_.emplace(start, m);
		if (!copy_tables(*child, m))
			return {};
	}
	return child;
}

void AddressSpace::split(uint64_t at)
{
	auto it = mappings_.upper_bound(at);
	if (it == mappings_.begin())
		return;
	--it;
	if (at <= it->second.start || at >= it->second.end)
		return;
	Mapping upper = it->second;
	it->second.end = at;
	if (upper.inode)
		upper.offset += at - upper.start;
	upper.start = at;
	mappings_.emplace(at, std::move(upper));
}

void AddressSpace::merge_around(uint64_t at)
{
	auto it = mappings_.find(at);
	if (it == mappings_.end())
		return;
	auto after = std::next(it);
	if (after != mappings_.end() && mergeable(it->second, after->second)) {
		it->second.end = after->second.end;
		mappings_.erase(after);
	}
	if (it != mappings_.begin() && mergeable(std::prev(it)->second, it->second)) {
		std::prev(it)->second.end = it->second.end;
		mappings_.erase(it);
	}
}

// The highest gap below where the last one was found; when there is none, below the stack.
uint64_t AddressSpace::find_room(uint64_t bytes, uint64_t hint) const
{
	auto is_free = [&](uint64_t at) {
		auto next = mappings_.lower_bound(at);
		return at >= kLowest && at + bytes <= kTop && at + bytes > at && (next == mappings_.end() || next->first >= at + bytes)
		    && (next == mappings_.begin() || std::prev(next)->second.end <= at);
	};
	hint &= ~(kPage - 1);
	if (hint && is_free(hint))
		return hint;
	const uint64_t ceiling = stack_top - kStackRoom;
	for (uint64_t from : {std::min(room_below_, ceiling), ceiling}) {
		uint64_t end = from;
		auto next = mappings_.lower_bound(end);
		while (end >= bytes + kLowest) {
			if (next == mappings_.begin())
				return end - bytes;
			--next;
			uint64_t below = next->second.end;
			if (below <= end && end - below >= bytes)
				return end - bytes;
			end = std::min(end, next->first);
		}
	}
	return 0;
}

long AddressSpace::map(uint64_t address, uint64_t bytes, uint32_t prot, uint32_t flags, Ref<Inode> inode, uint64_t offset,
    const KString &path)
{
	constexpr uint32_t kFixedNoReplace = 0x100000;
	bytes = page_up(bytes);
	if (bytes == 0 || offset % kPage)
		return -EINVAL;
	if (bytes > VM_MAX_USER_ADDRESS || mappings_.size() >= kMaxMappings || !kernel_memory_ok())
		return -ENOMEM;
	const bool shared = flags & MAP_SHARED;
	if (!shared && (prot & PROT_WRITE) && !(flags & MAP_NORESERVE) && bytes > frames_total() * kPage)
		return -ENOMEM;
	if (flags & (MAP_FIXED | kFixedNoReplace)) {
		if (address % kPage)
			return -EINVAL;
		if (address < kLowest)
			return -EPERM;
		if (address > kTop || bytes > kTop - address)
			return -ENOMEM;
		auto next = mappings_.upper_bound(address);
		bool taken = find(address) || (next != mappings_.end() && next->first < address + bytes);
		if (taken && !(flags & MAP_FIXED))
			return -EEXIST;
		if (taken)
			unmap(address, bytes);
	} else {
		address = find_room(bytes, address);
		if (!address)
			return -ENOMEM;
		if (address < room_below_)
			room_below_ = address;
	}
	Mapping m;
	m.start = address;
	m.end = address + bytes;
	m.prot = prot & 7;
	m.shared = shared;
	m.grows_down = flags & MAP_GROWSDOWN;
	m.inode = inode ? inode : shared ? anonymous_inode(bytes) : Ref<Inode>();
	m.offset = m.inode ? offset : 0;
	m.path = path;
	mappings_.emplace(address, std::move(m));
	mapped_bytes_ += bytes;
	merge_around(address);
	return long(address);
}

long AddressSpace::unmap(uint64_t address, uint64_t bytes)
{
	bytes = page_up(bytes);
	if (address % kPage || bytes == 0 || address >= VM_MAX_USER_ADDRESS || bytes > VM_MAX_USER_ADDRESS - address)
		return -EINVAL;
	if (mappings_.size() + 1 >= kMaxMappings)
		return -ENOMEM;
	const uint64_t end = address + bytes;
	split(address);
	split(end);
	// Ref to what goes: an inode's frames stay until the host has forgotten them.
	KVector<Ref<Inode>> gone;
	for (auto it = mappings_.lower_bound(address); it != mappings_.end() && it->first < end;) {
		mapped_bytes_ -= it->second.end - it->second.start;
		if (it->second.inode)
			gone.push_back(it->second.inode);
		it = mappings_.erase(it);
	}
	clear_range(address, end);
	if (end > room_below_)
		room_below_ = end;
	return 0;
}

long AddressSpace::protect(uint64_t address, uint64_t bytes, uint32_t prot)
{
	bytes = page_up(bytes);
	if (address % kPage || address > VM_MAX_USER_ADDRESS || bytes > VM_MAX_USER_ADDRESS - address)
		return -EINVAL;
	if (bytes == 0)
		return 0;
	const uint64_t end = address + bytes;
	for (uint64_t at = address; at < end;) {
		const Mapping *m = find(at);
		if (!m)
			return -ENOMEM;
		at = m->end;
	}
	if (mappings_.size() + 2 >= kMaxMappings)
		return -ENOMEM;
	split(address);
	split(end);
	KVector<uint64_t> starts;
	for (auto it = mappings_.lower_bound(address); it != mappings_.end() && it->first < end; ++it) {
		it->second.prot = prot & 7;
		protect_range(it->second.start, it->second.end, prot & 7, it->second.shared);
		starts.push_back(it->first);
	}
	for (uint64_t start : starts)
		merge_around(start);
	if (mappings_.count(end))
		merge_around(end);
	return 0;
}

uint64_t AddressSpace::set_brk(uint64_t wanted)
{
	if (wanted < brk_start || wanted > brk_start + (1ull << 40))
		return brk_end;
	uint64_t old_end = page_up(brk_end), new_end = page_up(wanted);
	if (new_end > old_end) {
		constexpr uint32_t kFixedNoReplace = 0x100000;
		if (map(old_end, new_end - old_end, 3, MAP_PRIVATE | kFixedNoReplace, {}, 0) < 0)
			return brk_end;
	} else if (new_end < old_end) {
		unmap(new_end, old_end - new_end);
	}
	return brk_end = wanted;
}

}  // namespace minivk
