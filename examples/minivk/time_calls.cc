// Clocks, sleeping, interval timers. The monotonic clock stands still while the vkernel is suspended; the wall clock is the
// host's.
#include <cerrno>

#include "calls.h"

namespace minivk {
namespace {

enum : int32_t {
	kRealtime = 0, kMonotonic = 1, kProcessCpu = 2, kThreadCpu = 3, kMonotonicRaw = 4, kRealtimeCoarse = 5,
	kMonotonicCoarse = 6, kBoottime = 7, kRealtimeAlarm = 8, kBoottimeAlarm = 9, kTai = 11
};

bool clock_now(Thread &t, int32_t clock, uint64_t *ns)
{
	uint64_t user, system;
	switch (clock) {
	case kRealtime: case kRealtimeCoarse: case kRealtimeAlarm: case kTai:
		*ns = realtime_ns();
		return true;
	case kMonotonic: case kMonotonicRaw: case kMonotonicCoarse: case kBoottime: case kBoottimeAlarm:
		*ns = now_ns();
		return true;
	case kProcessCpu:
		process_times(*t.process, &user, &system);
		*ns = user + system;
		return true;
	case kThreadCpu:
		*ns = t.user_ns + t.system_ns;
		return true;
	}
	if (clock >= 0)
		return false;
	// A process' or thread's clock: ~id in the upper bits, 4 for "thread" below.
	int64_t id = ~(clock >> 3);
	if (clock & 4) {
		Thread *other = id ? thread_find(id) : &t;
		if (!other)
			return false;
		*ns = other->user_ns + other->system_ns;
		return true;
	}
	Process *p = id ? process_find(id) : t.process.get();
	if (!p)
		return false;
	process_times(*p, &user, &system);
	*ns = user + system;
	return true;
}

long sys_clock_gettime(Thread &t, const uint64_t *a)
{
	uint64_t ns;
	if (!clock_now(t, int32_t(a[0]), &ns))
		return -EINVAL;
	return copy_out(thread_space(t), a[1], KTimespec::of(ns));
}

long sys_clock_getres(Thread &t, const uint64_t *a)
{
	uint64_t ns;
	if (!clock_now(t, int32_t(a[0]), &ns))
		return -EINVAL;
	return a[1] ? copy_out(thread_space(t), a[1], KTimespec{0, 1}) : 0;
}

long sys_clock_settime(Thread &, const uint64_t *) { return -EPERM; }	// the wall clock is the host's

long sys_gettimeofday(Thread &t, const uint64_t *a)
{
	struct { int32_t minutes_west, dst; } zone = {0, 0};
	if (a[0] && copy_out(thread_space(t), a[0], KTimeval::of(realtime_ns())) < 0)
		return -EFAULT;
	return a[1] ? copy_out(thread_space(t), a[1], zone) : 0;
}

long sys_time(Thread &t, const uint64_t *a)
{
	int64_t now = int64_t(realtime_ns() / 1'000'000'000);
	if (a[0] && copy_out(thread_space(t), a[0], now) < 0)
		return -EFAULT;
	return now;
}

// Sleeps until call.deadline_ns; what is left goes to `rest` when a signal ends it.
long sleep(Thread &t, uint64_t rest)
{
	uint64_t now = now_ns();
	if (now >= t.call.deadline_ns)
		return 0;
	if (t.call.interrupted) {
		if (rest && copy_out(thread_space(t), rest, KTimespec::of(t.call.deadline_ns - now)) < 0)
			return -EFAULT;
		return -EINTR;
	}
	wait_until(t, t.call.deadline_ns);
	return kBlocked;
}

long read_timespec(Thread &t, uint64_t from, uint64_t *ns)
{
	KTimespec ts;
	if (copy_in(thread_space(t), from, &ts) < 0)
		return -EFAULT;
	if (!ts.valid())
		return -EINVAL;
	*ns = ts.ns();
	return 0;
}

long sys_nanosleep(Thread &t, const uint64_t *a)
{
	if (!t.call.again) {
		uint64_t ns;
		if (long r = read_timespec(t, a[0], &ns); r < 0)
			return r;
		t.call.deadline_ns = saturating_add(now_ns(), ns);
	}
	return sleep(t, a[1]);
}

long sys_clock_nanosleep(Thread &t, const uint64_t *a)
{
	constexpr uint64_t kAbsolute = 1;
	if (!t.call.again) {
		uint64_t ns, clock;
		if (!clock_now(t, int32_t(a[0]), &clock) || int32_t(a[0]) == kThreadCpu)
			return -EINVAL;
		if (long r = read_timespec(t, a[2], &ns); r < 0)
			return r;
		if (a[1] & kAbsolute)
			ns = ns > clock ? ns - clock : 0;
		t.call.deadline_ns = saturating_add(now_ns(), ns);
	}
	return sleep(t, a[1] & kAbsolute ? 0 : a[3]);
}

uint64_t real_timer_left(const Process &p)
{
	uint64_t now = now_ns(), at = p.real_timer.deadline_ns;
	return !at ? 0 : at > now ? at - now : 1000;
}

long sys_alarm(Thread &t, const uint64_t *a)
{
	Process &p = *t.process;
	uint64_t left = real_timer_left(p);
	p.real_interval_ns = 0;
	if (uint32_t(a[0]))
		timer_arm(p.real_timer, now_ns() + uint64_t(uint32_t(a[0])) * 1'000'000'000);
	else
		timer_cancel(p.real_timer);
	return long((left + 999'999'999) / 1'000'000'000);
}

struct KItimer { KTimeval interval, value; };

long sys_getitimer(Thread &t, const uint64_t *a)
{
	if (a[0] > 2)
		return -EINVAL;
	KItimer out = {};
	if (a[0] == 0)
		out = {KTimeval::of(t.process->real_interval_ns), KTimeval::of(real_timer_left(*t.process))};
	return copy_out(thread_space(t), a[1], out);
}

// The CPU-time timers (1, 2) are not there.
long sys_setitimer(Thread &t, const uint64_t *a)
{
	Process &p = *t.process;
	if (a[0] != 0)
		return -EINVAL;
	KItimer next = {}, old = {KTimeval::of(p.real_interval_ns), KTimeval::of(real_timer_left(p))};
	if (a[1] && copy_in(thread_space(t), a[1], &next) < 0)
		return -EFAULT;
	if (!next.value.valid() || !next.interval.valid())
		return -EINVAL;
	if (a[2] && copy_out(thread_space(t), a[2], old) < 0)
		return -EFAULT;
	p.real_interval_ns = next.interval.ns();
	if (next.value.ns())
		timer_arm(p.real_timer, saturating_add(now_ns(), next.value.ns()));
	else
		timer_cancel(p.real_timer);
	return 0;
}

const SyscallEntry kEntries[] = {
	{35, "nanosleep", sys_nanosleep},
	{36, "getitimer", sys_getitimer},
	{37, "alarm", sys_alarm},
	{38, "setitimer", sys_setitimer},
	{96, "gettimeofday", sys_gettimeofday},
	{164, "settimeofday", sys_clock_settime},
	{201, "time", sys_time},
	{227, "clock_settime", sys_clock_settime},
	{228, "clock_gettime", sys_clock_gettime},
	{229, "clock_getres", sys_clock_getres},
	{230, "clock_nanosleep", sys_clock_nanosleep},
};

}  // namespace

SyscallList time_syscalls() { return {kEntries, sizeof kEntries / sizeof *kEntries}; }

}  // namespace minivk
