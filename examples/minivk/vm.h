// Guest address spaces: mappings, page faults, copy-on-write, DragonFly vpagetables in RAM.
#ifndef MINIVK_VM_H
#define MINIVK_VM_H

#include "vfs.h"

namespace minivk {

struct Mapping {
	uint64_t start = 0, end = 0;
	uint32_t prot = 0;		// PROT_READ 1, WRITE 2, EXEC 4
	bool shared = false;
	bool grows_down = false;
	Ref<Inode> inode;		// file, or shared anonymous memory (an inode without a name); null: private anonymous
	uint64_t offset = 0;		// of start in the inode
	KString path;			// for /proc/PID/maps
};

// How an access ends that could not be made.
struct FaultResult {
	int signal = 0;			// 0: the page is there now
	int code = 0;
	bool out_of_memory = false;
};
enum class Access : uint8_t { kRead, kWrite, kExecute };
enum class VmspaceWhen : uint8_t { kNow, kLater };	// the host's process: at once, or when it first runs

// A guest address space: its mappings and its vpagetable in RAM. The host's vmspace has its address as its id, from
// creation to destruction. Every leaf that is not 0 holds a reference to its frame, also while V is clear (PROT_NONE).
class AddressSpace : public Counted {
public:
	static Ref<AddressSpace> create();	// null: no memory, or the host has no more processes
	~AddressSpace() override;
	Ref<AddressSpace> fork();		// null as create

	// Addresses and lengths are multiples of pages where Linux wants it. Address, or -errno.
	long map(uint64_t address, uint64_t bytes, uint32_t prot, uint32_t flags, Ref<Inode> inode, uint64_t offset,
	    const KString &path = {});
	long unmap(uint64_t address, uint64_t bytes);
	long protect(uint64_t address, uint64_t bytes, uint32_t prot);
	long remap(uint64_t old, uint64_t old_bytes, uint64_t bytes, uint32_t flags, uint64_t to);
	long advise(uint64_t address, uint64_t bytes, int advice);
	uint64_t set_brk(uint64_t wanted);	// the new end, or the old one

	FaultResult fault(uint64_t va, Access);
	// The frame behind an address, faulted in for this access: a kernel pointer to the byte, or null.
	char *touch(uint64_t va, Access);

	// No image will hold these pages: own frames of private mappings, faulted in. 0, -EINVAL, -EFAULT.
	long make_secret(uint64_t va, uint64_t bytes);

	const Mapping *find(uint64_t va) const;
	const KMap<uint64_t, Mapping> &mappings() const { return mappings_; }
	uint64_t mapped_bytes() const { return mapped_bytes_; }
	uint64_t resident_frames() const { return resident_; }
	uint64_t root_vpte() const { return root_ * kPage | VPTE_V | VPTE_RW | VPTE_U; }
	int64_t owner_pid = -1;			// for the image's list of processes
	uint64_t brk_start = 0, brk_end = 0, stack_top = 0, stack_limit = 0;

	bool make_vmspace(VmspaceWhen);		// false: errno
private:
	vpte_t *leaf(uint64_t va, bool make);	// null: no table (and none could be made)
	void clear_range(uint64_t from, uint64_t to);
	void free_tables();
	void invalidate(uint64_t from, uint64_t to);
	void free_empty_tables(uint64_t from, uint64_t to);
	void protect_range(uint64_t from, uint64_t to, uint32_t prot, bool shared);
	bool install(vpte_t *slot, Frame, uint64_t va, uint64_t bits);
	FaultResult fault_in(const Mapping &, vpte_t *, uint64_t va, Access);
	FaultResult break_sharing(const Mapping &, vpte_t *, uint64_t va);
	void fault_around(const Mapping &, uint64_t va);
	bool grow_stack(uint64_t va);
	uint64_t find_room(uint64_t bytes, uint64_t hint) const;
	void split(uint64_t at);
	void merge_around(uint64_t at);
	bool copy_tables(AddressSpace &to, const Mapping &);
	bool move_pages(uint64_t from, uint64_t to, uint64_t bytes);

	KMap<uint64_t, Mapping> mappings_;	// by start
	Frame root_ = kNoFrame;
	bool has_vmspace_ = false;
	uint64_t mapped_bytes_ = 0, resident_ = 0;
	uint64_t room_below_ = 0;		// above it no gap was found lately
};

// Memory that is shared and has no name: MAP_SHARED | MAP_ANONYMOUS.
Ref<Inode> anonymous_inode(uint64_t bytes);

// Guest memory, from the kernel. Faults pages in; breaks copy-on-write for writes. 0 or -EFAULT.
long copy_in(AddressSpace &, uint64_t va, void *to, size_t bytes);
long copy_out(AddressSpace &, uint64_t va, const void *from, size_t bytes);
long copy_in_string(AddressSpace &, uint64_t va, KString *out, size_t max);	// -ENAMETOOLONG past max
template <class T> long copy_in(AddressSpace &as, uint64_t va, T *to) { return copy_in(as, va, to, sizeof *to); }
template <class T> long copy_out(AddressSpace &as, uint64_t va, const T &from) { return copy_out(as, va, &from, sizeof from); }

// A guest's iovec as an IoBuffer.
struct UserIovec { uint64_t base, bytes; };
class UserBuffer : public IoBuffer {
public:
	UserBuffer(AddressSpace &as, const UserIovec *v, size_t n, uint64_t skip) : as_(as), v_(v), n_(n) { advance(skip); }
	size_t left() const override;
	long put(const void *from, size_t n) override;
	long get(void *to, size_t n) override;
private:
	void advance(uint64_t bytes);
	AddressSpace &as_;
	const UserIovec *v_;
	size_t n_, at_ = 0;
	uint64_t done_ = 0;	// of v_[at_]
};
class KernelBuffer : public IoBuffer {
public:
	KernelBuffer(void *p, size_t n) : p_(static_cast<char *>(p)), n_(n) {}
	size_t left() const override { return n_; }
	long put(const void *from, size_t n) override;
	long get(void *to, size_t n) override;
private:
	char *p_;
	size_t n_;
};

}  // namespace minivk
#endif
