// What is made of several system calls: whole reads and writes. Every context.
#include "lib/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>

namespace vk {
namespace {

constexpr int kPatienceMs = 50;

// True when the call is to be made again: interrupted, or a non-blocking descriptor that became ready meanwhile.
bool again(long result, int fd, short events, const Patience &patience = {})
{
	if (result == -EINTR)
		return true;
	if (result != -EAGAIN)
		return false;
	struct pollfd poll = { fd, events, 0 };
	long ready;
	do
		ready = sys_call(SYS_poll, reinterpret_cast<long>(&poll), 1, patience.ended ? kPatienceMs : -1);
	while (ready == -EINTR || (ready == 0 && !patience.ended(patience.arg)));
	return ready > 0;
}

// O_DIRECT takes whole blocks, and the limit on the size of files may cut a write within one: through the page cache the host says what is wrong.
bool leave_direct(int fd)
{
	const long flags = sys_fcntl(fd, F_GETFL, 0);
	return flags >= 0 && (flags & O_DIRECT) && sys_fcntl(fd, F_SETFL, flags & ~O_DIRECT) >= 0;
}

}  // namespace

long write_all(int fd, const void *buffer, size_t bytes)
{
	struct iovec vec = { const_cast<void *>(buffer), bytes };
	return writev_all(fd, &vec, 1);
}

long writev_all(int fd, struct iovec *vec, int count, const Patience &patience)
{
	while (count > 0) {
		if (vec->iov_len == 0) {
			vec++;
			count--;
			continue;
		}
		long done = sys_writev(fd, vec, count);
		if (again(done, fd, POLLOUT, patience))
			continue;
		if (done == -EAGAIN && patience.ended)
			return -ECANCELED;
		if (done == -EINVAL && leave_direct(fd))
			continue;
		if (done <= 0)
			return done < 0 ? done : -EIO;	// 0 for a write of more than 0 bytes: no progress to be had
		size_t left = static_cast<size_t>(done);
		for (; count > 0 && left >= vec->iov_len; vec++, count--)
			left -= vec->iov_len;
		if (count > 0) {
			vec->iov_base = static_cast<uint8_t *>(vec->iov_base) + left;
			vec->iov_len -= left;
		}
	}
	return 0;
}

long pwrite_all(int fd, const void *buffer, size_t bytes, uint64_t offset)
{
	const uint8_t *at = static_cast<const uint8_t *>(buffer);
	while (bytes > 0) {
		long done = sys_pwrite(fd, at, bytes, offset);
		if (again(done, fd, POLLOUT))
			continue;
		if (done <= 0)
			return done < 0 ? done : -EIO;
		at += done;
		offset += static_cast<uint64_t>(done);
		bytes -= static_cast<size_t>(done);
	}
	return 0;
}

long read_all(int fd, void *buffer, size_t bytes)
{
	uint8_t *at = static_cast<uint8_t *>(buffer);
	size_t got = 0;
	while (got < bytes) {
		long done = sys_read(fd, at + got, bytes - got);
		if (again(done, fd, POLLIN))
			continue;
		if (done < 0)
			return done;
		if (done == 0)
			break;
		got += static_cast<size_t>(done);
	}
	return static_cast<long>(got);
}

long pread_all(int fd, void *buffer, size_t bytes, uint64_t offset)
{
	uint8_t *at = static_cast<uint8_t *>(buffer);
	size_t got = 0;
	while (got < bytes) {
		long done = sys_pread(fd, at + got, bytes - got, offset + got);
		if (again(done, fd, POLLIN))
			continue;
		if (done < 0)
			return done;
		if (done == 0)
			break;
		got += static_cast<size_t>(done);
	}
	return static_cast<long>(got);
}

namespace {
struct DirEntry {	// struct linux_dirent64
	uint64_t inode;
	int64_t next;
	uint16_t bytes;
	uint8_t type;
	char name[];
};
}  // namespace

long list_folder(int dir, void (*name)(void *arg, const char *), void *arg)
{
	alignas(8) char buffer[2048];
	long got;
	while ((got = sys_call(SYS_getdents64, dir, (long)buffer, sizeof buffer)) > 0)
		for (long at = 0; at < got;) {
			const DirEntry *e = reinterpret_cast<const DirEntry *>(buffer + at);
			name(arg, e->name);
			at += e->bytes;
		}
	return got;
}

}  // namespace vk
