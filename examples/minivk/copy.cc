// Guest memory from the kernel's side: page by page through the same faults a guest takes.
#include <cerrno>
#include <cstring>

#include "vm.h"

namespace minivk {
namespace {

size_t in_page(uint64_t va, size_t bytes)
{
	size_t room = kPage - (va & (kPage - 1));
	return room < bytes ? room : bytes;
}

}  // namespace

long copy_in(AddressSpace &as, uint64_t va, void *to, size_t bytes)
{
	char *at = static_cast<char *>(to);
	while (bytes) {
		char *from = as.touch(va, Access::kRead);
		if (!from)
			return -EFAULT;
		size_t n = in_page(va, bytes);
		memcpy(at, from, n);
		at += n, va += n, bytes -= n;
	}
	return 0;
}

long copy_out(AddressSpace &as, uint64_t va, const void *from, size_t bytes)
{
	const char *at = static_cast<const char *>(from);
	while (bytes) {
		char *to = as.touch(va, Access::kWrite);
		if (!to)
			return -EFAULT;
		size_t n = in_page(va, bytes);
		memcpy(to, at, n);
		at += n, va += n, bytes -= n;
	}
	return 0;
}

long copy_in_string(AddressSpace &as, uint64_t va, KString *out, size_t max)
{
	out->clear();
	while (out->size() <= max) {
		const char *from = as.touch(va, Access::kRead);
		if (!from)
			return -EFAULT;
		size_t n = in_page(va, max + 1 - out->size());
		size_t length = strnlen(from, n);
		out->append(from, length);
		if (length < n)
			return 0;
		va += n;
	}
	return -ENAMETOOLONG;
}

size_t UserBuffer::left() const
{
	size_t sum = 0;
	for (size_t i = at_; i < n_; i++)
		sum += v_[i].bytes;
	return at_ < n_ ? sum - done_ : 0;
}

void UserBuffer::advance(uint64_t bytes)
{
	while (at_ < n_ && bytes >= v_[at_].bytes - done_) {
		bytes -= v_[at_].bytes - done_;
		++at_;
		done_ = 0;
	}
	if (at_ < n_)
		done_ += bytes;
}

long UserBuffer::put(const void *from, size_t n)
{
	size_t moved = 0;
	while (moved < n && at_ < n_) {
		uint64_t va = v_[at_].base + done_;
		char *to = as_.touch(va, Access::kWrite);
		if (!to)
			return moved ? long(moved) : -EFAULT;
		size_t k = in_page(va, std::min<uint64_t>(n - moved, v_[at_].bytes - done_));
		memcpy(to, static_cast<const char *>(from) + moved, k);
		moved += k;
		advance(k);
	}
	return long(moved);
}

long UserBuffer::get(void *to, size_t n)
{
	size_t moved = 0;
	while (moved < n && at_ < n_) {
		uint64_t va = v_[at_].base + done_;
		const char *from = as_.touch(va, Access::kRead);
		if (!from)
			return moved ? long(moved) : -EFAULT;
		size_t k = in_page(va, std::min<uint64_t>(n - moved, v_[at_].bytes - done_));
		memcpy(static_cast<char *>(to) + moved, from, k);
		moved += k;
		advance(k);
	}
	return long(moved);
}

long KernelBuffer::put(const void *from, size_t n)
{
	n = std::min(n, n_);
	memcpy(p_, from, n);
	p_ += n, n_ -= n;
	return long(n);
}

long KernelBuffer::get(void *to, size_t n)
{
	n = std::min(n, n_);
	memcpy(to, p_, n);
	p_ += n, n_ -= n;
	return long(n);
}

}  // namespace minivk
