// Guest address spaces: mappings, page faults, copy-on-write, DragonFly vpagetables in RAM.
#ifndef MINIVK_VM_H
#define MINIVK_VM_H

#include "vfs.h"

namespace minivk {

class AddressSpace;

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
