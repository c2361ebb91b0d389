// The seam to userfaultfd(2). See userfault.h.
#include "lib/userfault.h"

#include <errno.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "lib/sys.h"

#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif

namespace vk {
namespace {

constexpr unsigned kMost = 16;		// messages read at once
constexpr uint64_t kFrame = 4096;

long open_any()
{
	long fd = sys_call(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (fd != -EPERM)
		return fd;
	long device = sys_open("/dev/userfaultfd", O_RDWR);
	if (device < 0)
		return fd;		// of the two errors the one that is always possible
	long made = sys_call(SYS_ioctl, device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
	sys_close(static_cast<int>(device));
	return made < 0 ? fd : made;
}

struct uffdio_range range_of(const void *address, uint64_t bytes)
{
	return { reinterpret_cast<uint64_t>(address), bytes };
}

}  // namespace

long userfault_open()
{
	long fd = open_any();
	if (fd < 0)
		return fd;
	struct uffdio_api api = {};
	api.api = UFFD_API;
	api.features = UFFD_FEATURE_MISSING_SHMEM;
	long r = sys_ioctl(static_cast<int>(fd), UFFDIO_API, &api);
	if (r < 0)
		sys_close(static_cast<int>(fd));
	return r < 0 ? r : fd;
}

long userfault_register(int fd, void *address, uint64_t bytes)
{
	struct uffdio_register r = {};
	r.range = range_of(address, bytes);
	r.mode = UFFDIO_REGISTER_MODE_MISSING;
	return sys_ioctl(fd, UFFDIO_REGISTER, &r);
}

long userfault_unregister(int fd, void *address, uint64_t bytes)
{
	struct uffdio_range r = range_of(address, bytes);
	return sys_ioctl(fd, UFFDIO_UNREGISTER, &r);
}

long userfault_read(int fd, uint64_t *address, unsigned room)
{
	struct uffd_msg message[kMost];
	long got = sys_read(fd, message, (room < kMost ? room : kMost) * sizeof *message);
	if (got == -EAGAIN || got == -EINTR)
		return 0;
	if (got < 0)
		return got;
	long count = 0;
	for (unsigned i = 0; i < static_cast<size_t>(got) / sizeof *message; i++)
		if (message[i].event == UFFD_EVENT_PAGEFAULT)
			address[count++] = message[i].arg.pagefault.address & ~(kFrame - 1);
	return count;
}

// The kernel copies a part when somebody else changes the address space meanwhile: then the rest is asked for again.
long userfault_copy(int fd, void *to, const void *from, uint64_t bytes)
{
	for (uint64_t done = 0; done < bytes;) {
		struct uffdio_copy c = {};
		c.dst = reinterpret_cast<uint64_t>(to) + done;
		c.src = reinterpret_cast<uint64_t>(from) + done;
		c.len = bytes - done;
		long r = sys_ioctl(fd, UFFDIO_COPY, &c);
		if (r >= 0)
			return 0;
		if (r != -EAGAIN && r != -EINTR)
			return r;
		if (c.copy > 0)
			done += static_cast<uint64_t>(c.copy);
	}
	return 0;
}

long userfault_zero(int fd, void *to)
{
	for (;;) {
		struct uffdio_zeropage z = {};
		z.range = range_of(to, kFrame);
		long r = sys_ioctl(fd, UFFDIO_ZEROPAGE, &z);
		if (r == -EEXIST) {
			struct uffdio_range wake = range_of(to, kFrame);
			return sys_ioctl(fd, UFFDIO_WAKE, &wake);
		}
		if (r != -EAGAIN && r != -EINTR)
			return r;
	}
}

}  // namespace vk
