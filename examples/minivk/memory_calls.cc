// mmap and its relatives as system calls.
#include <cerrno>
#include <fcntl.h>
#include <sys/mman.h>

#include "calls.h"

namespace minivk {
namespace {

// What a descriptor can be mapped as: the inode of a regular file, or null for /dev/zero.
long mappable(Thread &t, int fd, uint32_t prot, uint32_t flags, Ref<Inode> *inode, KString *path)
{
	constexpr uint64_t kDevZero = 1 << 8 | 5;
	Ref<File> f = thread_files(t).get(fd);
	if (!f)
		return -EBADF;
	uint32_t mode = f->flags & O_ACCMODE;
	if (mode == O_WRONLY || ((flags & MAP_SHARED) && (prot & PROT_WRITE) && mode != O_RDWR))
		return -EACCES;
	if (f->inode && f->inode->kind == InodeKind::kCharDevice && f->inode->rdev == kDevZero)
		return 0;
	if (!f->inode || f->inode->kind != InodeKind::kFile)
		return -ENODEV;
	*inode = f->inode;
	*path = f->path;
	return 0;
}

// a: address, bytes, prot, flags, fd, offset.
long sys_mmap(Thread &t, const uint64_t *a)
{
	uint32_t prot = uint32_t(a[2]), flags = uint32_t(a[3]);
	uint32_t kind = flags & MAP_TYPE;
	if (kind != MAP_PRIVATE && kind != MAP_SHARED && kind != MAP_SHARED_VALIDATE)
		return -EINVAL;
	if (a[1] == 0)
		return -EINVAL;
	Ref<Inode> inode;
	KString path;
	if (!(flags & MAP_ANONYMOUS)) {
		if (long r = mappable(t, int32_t(a[4]), prot, flags, &inode, &path); r < 0)
			return r;
	}
	if (kind == MAP_SHARED_VALIDATE)
		flags = (flags & ~uint32_t(MAP_TYPE)) | MAP_SHARED;
	else if (kind == MAP_PRIVATE)
		flags &= ~uint32_t(MAP_SHARED);
	return thread_space(t).map(a[0], a[1], prot, flags, inode, flags & MAP_ANONYMOUS ? 0 : a[5], path);
}

long sys_munmap(Thread &t, const uint64_t *a) { return thread_space(t).unmap(a[0], a[1]); }
long sys_mprotect(Thread &t, const uint64_t *a) { return thread_space(t).protect(a[0], a[1], uint32_t(a[2])); }
long sys_brk(Thread &t, const uint64_t *a) { return long(thread_space(t).set_brk(a[0])); }
long sys_madvise(Thread &t, const uint64_t *a) { return thread_space(t).advise(a[0], a[1], int32_t(a[2])); }
long sys_mremap(Thread &t, const uint64_t *a) { return thread_space(t).remap(a[0], a[1], a[2], uint32_t(a[3]), a[4]); }
long sys_msync(Thread &, const uint64_t *) { return 0; }	// a file's pages are the mapping's
long sys_mlock(Thread &, const uint64_t *) { return 0; }	// RAM is all there is

// Which pages are there: of a range that is mapped.
long sys_mincore(Thread &t, const uint64_t *a)
{
	if (a[0] % kPage)
		return -EINVAL;
	AddressSpace &as = thread_space(t);
	for (uint64_t at = a[0], i = 0; at < a[0] + a[1]; at += kPage, i++) {
		if (!as.find(at))
			return -ENOMEM;
		if (copy_out(as, a[2] + i, uint8_t(1)) < 0)
			return -EFAULT;
	}
	return 0;
}

const SyscallEntry kEntries[] = {
	{9, "mmap", sys_mmap},
	{10, "mprotect", sys_mprotect},
	{11, "munmap", sys_munmap},
	{12, "brk", sys_brk},
	{25, "mremap", sys_mremap},
	{26, "msync", sys_msync},
	{27, "mincore", sys_mincore},
	{28, "madvise", sys_madvise},
	{149, "mlock", sys_mlock},
	{150, "munlock", sys_mlock},
	{151, "mlockall", sys_mlock},
	{152, "munlockall", sys_mlock},
	{325, "mlock2", sys_mlock},
};

}  // namespace

SyscallList memory_syscalls() { return {kEntries, sizeof kEntries / sizeof *kEntries}; }

}  // namespace minivk
