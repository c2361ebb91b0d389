// poll, ppoll, select, pselect6: looks at every file; when none is ready, waits on all their queues and looks again.
#include <algorithm>
#include <cstring>
#include <poll.h>
#include <sys/select.h>
#include <sys/time.h>

#include "file_calls.h"

namespace minivk {

namespace {

constexpr uint64_t kNoTimeout = ~0ull, kSecondNs = 1'000'000'000;
static_assert(POLLIN == kPollIn && POLLPRI == kPollPri && POLLOUT == kPollOut && POLLERR == kPollErr && POLLHUP == kPollHup);

// What one descriptor has of what is wanted; waits on its queues when asked to.
uint32_t look(Thread &t, int fd, uint32_t wanted, bool wait)
{
	Ref<File> file = thread_files(t).get(fd);
	if (!file)
		return kPollNval;
	WaitQueue *queue[2] = {};
	uint32_t bits = file->poll(t, queue);
	if (bits & kPollIn)
		bits |= POLLRDNORM;
	if (bits & kPollOut)
		bits |= POLLWRNORM;
	if (wait)
		for (WaitQueue *q : queue)
			if (q)
				wait_on(t, *q);
	return bits & (wanted | kPollErr | kPollHup | kPollNval);
}

long timeout_of(Thread &t, uint64_t va, uint64_t *out)
{
	timespec ts;
	*out = kNoTimeout;
	if (!va)
		return 0;
	if (copy_in(thread_space(t), va, &ts) != 0)
		return -EFAULT;
	if (ts.tv_sec < 0 || uint64_t(ts.tv_nsec) >= kSecondNs)
		return -EINVAL;
	*out = std::min<uint64_t>(uint64_t(ts.tv_sec), 1ull << 32) * kSecondNs + uint64_t(ts.tv_nsec);
	return 0;
}

// Nothing was ready: 0 to give up now, kBlocked with the deadline set, or how an interrupted call ends. The caller has
// still to register on the queues when this is kBlocked.
long may_wait(Thread &t, uint64_t timeout_ns, const uint64_t *mask)
{
	CallState &call = thread_call(t);
	if (!call.again && timeout_ns != kNoTimeout)
		call.deadline_ns = now_ns() + timeout_ns;
	if (mask && !call.again)
		use_temporary_mask(t, *mask);
	if (call.interrupted)
		return kRestartNoHand;
	if (timeout_ns == 0 || call.timed_out || (call.deadline_ns && now_ns() >= call.deadline_ns))
		return 0;
	if (call.deadline_ns)
		wait_until(t, call.deadline_ns);
	return kBlocked;
}

long poll_files(Thread &t, uint64_t fds_va, uint64_t n, uint64_t timeout_ns, const uint64_t *mask)
{
	if (n > FdTable::kMax)
		return -EINVAL;
	pollfd fds[FdTable::kMax];
	if (copy_in(thread_space(t), fds_va, fds, n * sizeof *fds) != 0)
		return -EFAULT;
	long ready = 0;
	for (size_t i = 0; i < n; ++i) {
		fds[i].revents = fds[i].fd < 0 ? short(0) : short(look(t, fds[i].fd, uint16_t(fds[i].events), false));
		ready += fds[i].revents != 0;
	}
	if (!ready) {
		const long r = may_wait(t, timeout_ns, mask);
		if (r == kBlocked)
			for (size_t i = 0; i < n; ++i)
				if (fds[i].fd >= 0)
					look(t, fds[i].fd, 0, true);
		if (r != 0)
			return r;
	}
	return copy_out(thread_space(t), fds_va, fds, n * sizeof *fds) ? -EFAULT : ready;
}

struct Sets { uint64_t bits[3][FdTable::kMax / 64]; };	// read, write, exceptional
constexpr uint32_t kWanted[3] = {kPollIn | kPollHup | kPollErr, kPollOut | kPollErr, kPollPri};

// The sets a guest's select works on, in whole words of its descriptors.
long sets_in(Thread &t, const uint64_t *va, size_t n, Sets *out)
{
	*out = {};
	for (int s = 0; s < 3; ++s)
		if (va[s] && copy_in(thread_space(t), va[s], out->bits[s], (n + 63) / 64 * 8) != 0)
			return -EFAULT;
	return 0;
}

bool wants(const Sets &sets, int s, size_t fd) { return sets.bits[s][fd / 64] >> (fd % 64) & 1; }

long scan(Thread &t, const Sets &in, size_t n, Sets *out, bool wait)
{
	long ready = 0;
	*out = {};
	for (size_t fd = 0; fd < n; ++fd) {
		if (!wants(in, 0, fd) && !wants(in, 1, fd) && !wants(in, 2, fd))
			continue;
		const uint32_t bits = look(t, int(fd), ~0u, wait);
		if (bits & kPollNval)
			return -EBADF;
		for (int s = 0; s < 3; ++s)
			if (wants(in, s, fd) && (bits & kWanted[s])) {
				out->bits[s][fd / 64] |= 1ull << (fd % 64);
				++ready;
			}
	}
	return ready;
}

// va: the guest's three sets.
long select_files(Thread &t, uint64_t count, const uint64_t *va, uint64_t timeout_ns, const uint64_t *mask)
{
	if (int(count) < 0)
		return -EINVAL;
	const size_t n = std::min<uint64_t>(count, FdTable::kMax);
	Sets in, out;
	if (const long r = sets_in(t, va, n, &in))
		return r;
	const long ready = scan(t, in, n, &out, false);
	if (ready < 0)
		return ready;
	if (ready == 0) {
		const long r = may_wait(t, timeout_ns, mask);
		if (r == kBlocked) {
			Sets unused;
			scan(t, in, n, &unused, true);
		}
		if (r != 0)
			return r;
	}
	for (int s = 0; s < 3; ++s)
		if (va[s] && copy_out(thread_space(t), va[s], out.bits[s], (n + 63) / 64 * 8) != 0)
			return -EFAULT;
	return ready;
}

}  // namespace

long sys_poll(Thread &t, const uint64_t *a)
{
	return poll_files(t, a[0], a[1], int(a[2]) < 0 ? kNoTimeout : uint64_t(int(a[2])) * 1'000'000, nullptr);
}

// a: descriptors, count, timeout, mask, size of the mask.
long sys_ppoll(Thread &t, const uint64_t *a)
{
	uint64_t timeout, mask = 0;
	if (const long r = timeout_of(t, a[2], &timeout))
		return r;
	if (a[3] && copy_in(thread_space(t), a[3], &mask) != 0)
		return -EFAULT;
	return poll_files(t, a[0], a[1], timeout, a[3] ? &mask : nullptr);
}

long sys_select(Thread &t, const uint64_t *a)
{
	uint64_t timeout = kNoTimeout;
	timeval tv;
	if (a[4]) {
		if (copy_in(thread_space(t), a[4], &tv) != 0)
			return -EFAULT;
		if (tv.tv_sec < 0 || tv.tv_usec < 0)
			return -EINVAL;
		timeout = std::min<uint64_t>(uint64_t(tv.tv_sec), 1ull << 32) * kSecondNs + uint64_t(tv.tv_usec) * 1000;
	}
	const long r = select_files(t, a[0], a + 1, timeout, nullptr);
	if (a[4] && r >= 0 && thread_call(t).deadline_ns) {	// Linux leaves what is left of the time
		const uint64_t now = now_ns(), end = thread_call(t).deadline_ns, left = end > now ? end - now : 0;
		tv = {time_t(left / kSecondNs), suseconds_t(left % kSecondNs / 1000)};
		copy_out(thread_space(t), a[4], tv);
	}
	return r;
}

// a: count, three sets, timeout, {mask, size of the mask}.
long sys_pselect6(Thread &t, const uint64_t *a)
{
	uint64_t timeout, mask = 0, where[2] = {};
	if (const long r = timeout_of(t, a[4], &timeout))
		return r;
	if (a[5] && copy_in(thread_space(t), a[5], &where) != 0)
		return -EFAULT;
	if (where[0] && copy_in(thread_space(t), where[0], &mask) != 0)
		return -EFAULT;
	return select_files(t, a[0], a + 1, timeout, where[0] ? &mask : nullptr);
}

}  // namespace minivk
