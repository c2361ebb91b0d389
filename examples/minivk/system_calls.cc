// The rest of the core's system calls: limits, scheduling, the machine, odds and ends.
#include <cerrno>
#include <cstring>

#include "calls.h"
#include "host.h"

namespace minivk {
namespace {

long sys_uname(Thread &t, const uint64_t *a)
{
	char fields[6][65] = {"Linux", "", "6.1.0-minivk", "#1 SMP minivk", "x86_64", "(none)"};
	strncpy(fields[1], kernel().name, 64);
	return copy_out(thread_space(t), a[0], fields, sizeof fields);
}

long sys_sysinfo(Thread &t, const uint64_t *a)
{
	struct {
		int64_t uptime;
		uint64_t loads[3], total, free, shared, buffers, total_swap, free_swap;
		uint16_t processes, pad[3];
		uint64_t total_high, free_high;
		uint32_t unit, pad2;
	} info = {};
	static_assert(sizeof info == 112);
	info.uptime = int64_t(now_ns() / 1'000'000'000);
	info.total = frames_total() * kPage;
	info.free = frames_free() * kPage;
	info.processes = uint16_t(kernel().processes.size());
	info.unit = 1;
	return copy_out(thread_space(t), a[0], info);
}

struct KLimit { uint64_t soft, hard; };

long limits(Thread &t, uint64_t resource, uint64_t next_at, uint64_t old_at, Process &p)
{
	if (resource >= 16)
		return -EINVAL;
	auto &limit = p.limits[resource];
	KLimit old = {limit.soft, limit.hard}, next;
	if (next_at) {
		if (copy_in(thread_space(t), next_at, &next) < 0)
			return -EFAULT;
		if (next.soft > next.hard)
			return -EINVAL;
		if (next.hard > limit.hard && t.process->euid != 0)
			return -EPERM;
		limit = {next.soft, next.hard};
	}
	return old_at ? copy_out(thread_space(t), old_at, old) : 0;
}

long sys_prlimit64(Thread &t, const uint64_t *a)
{
	Process *p = a[0] ? process_find(int32_t(a[0])) : t.process.get();
	return p ? limits(t, a[1], a[2], a[3], *p) : -ESRCH;
}
long sys_getrlimit(Thread &t, const uint64_t *a) { return limits(t, a[0], 0, a[1], *t.process); }
long sys_setrlimit(Thread &t, const uint64_t *a) { return limits(t, a[0], a[1], 0, *t.process); }

long sys_arch_prctl(Thread &t, const uint64_t *a)
{
	constexpr uint64_t kSetGs = 0x1001, kSetFs = 0x1002, kGetFs = 0x1003, kGetGs = 0x1004;
	tls_info *fs = &t.ext.vx_tls.info[0], *gs = &t.ext.vx_tls.info[1];
	switch (a[0]) {
	case kSetFs:
	case kSetGs:
		if (a[1] >= VM_MAX_USER_ADDRESS)
			return -EPERM;
		(a[0] == kSetFs ? fs : gs)->base = a[1];
		return 0;
	case kGetFs: return copy_out(thread_space(t), a[1], fs->base);
	case kGetGs: return copy_out(thread_space(t), a[1], gs->base);
	default: return -EINVAL;
	}
}

long sys_prctl(Thread &t, const uint64_t *a)
{
	constexpr uint64_t kSetDeathSignal = 1, kGetDeathSignal = 2, kGetDumpable = 3, kSetDumpable = 4, kSetName = 15,
	    kGetName = 16, kSetNoNewPrivs = 38, kGetNoNewPrivs = 39;
	AddressSpace &as = thread_space(t);
	switch (a[0]) {
	case kSetDeathSignal:
		if (a[1] > 64)
			return -EINVAL;
		t.process->death_signal = a[1];
		return 0;
	case kGetDeathSignal: return copy_out(as, a[1], int32_t(t.process->death_signal));
	case kGetDumpable: return 1;
	case kSetDumpable:
	case kSetNoNewPrivs: return 0;
	case kGetNoNewPrivs: return 0;
	case kSetName: {
		KString name;
		long r = copy_in_string(as, a[1], &name, 15);
		if (r == -EFAULT)
			return r;
		memset(t.comm, 0, sizeof t.comm);
		memcpy(t.comm, name.data(), std::min<size_t>(name.size(), 15));
		if (t.process->leader() == &t)
			memcpy(t.process->comm, t.comm, sizeof t.comm);
		return 0;
	}
	case kGetName: return copy_out(as, a[1], t.comm, sizeof t.comm);
	default: return -EINVAL;
	}
}

long sys_sched_yield(Thread &t, const uint64_t *)
{
	kernel().cpu[t.cpu].since_ns = 0;	// its slice is over if somebody waits
	return 0;
}

long sys_sched_getaffinity(Thread &t, const uint64_t *a)
{
	uint64_t mask = kernel().cpu_count >= 64 ? ~0ull : (1ull << kernel().cpu_count) - 1;
	if (a[1] < 8)
		return -EINVAL;
	return copy_out(thread_space(t), a[2], mask) < 0 ? -EFAULT : 8;
}

long sys_getcpu(Thread &t, const uint64_t *a)
{
	AddressSpace &as = thread_space(t);
	if ((a[0] && copy_out(as, a[0], uint32_t(t.cpu)) < 0) || (a[1] && copy_out(as, a[1], uint32_t(0)) < 0))
		return -EFAULT;
	return 0;
}

long sys_zero(Thread &, const uint64_t *) { return 0; }
long sys_permission(Thread &, const uint64_t *) { return -EPERM; }
long sys_absent(Thread &, const uint64_t *) { return -ENOSYS; }	// known to be absent: not worth a line in the log

long sys_sched_param(Thread &t, const uint64_t *a) { return copy_out(thread_space(t), a[1], int32_t(0)); }

long sys_getpriority(Thread &t, const uint64_t *a)
{
	Process *p = a[0] == 0 && a[1] ? process_find(int32_t(a[1])) : t.process.get();
	return p ? 20 - p->nice : -ESRCH;
}

long sys_setpriority(Thread &t, const uint64_t *a)
{
	Process *p = a[0] == 0 && a[1] ? process_find(int32_t(a[1])) : t.process.get();
	if (!p)
		return -ESRCH;
	p->nice = std::max(-20, std::min(19, int32_t(a[2])));
	return 0;
}

long sys_getrandom(Thread &t, const uint64_t *a)
{
	char buffer[256];
	uint64_t bytes = std::min<uint64_t>(a[1], 1 << 20), done = 0;
	while (done < bytes) {
		size_t n = std::min<uint64_t>(bytes - done, sizeof buffer);
		host_random(buffer, n);
		if (copy_out(thread_space(t), a[0] + done, buffer, n) < 0)
			return done ? long(done) : -EFAULT;
		done += n;
	}
	return long(done);
}

long sys_membarrier(Thread &t, const uint64_t *a)
{
	constexpr int32_t kQuery = 0, kSupported = 1 | 2 | 4 | 8 | 16;
	if (int32_t(a[0]) == kQuery)
		return kSupported;
	// A thread that is not in the kernel now comes into it: its stores are visible then.
	for (Thread *other : t.process->threads)
		if (other != &t)
			kick_thread(*other);
	return (int32_t(a[0]) & ~kSupported) ? -EINVAL : 0;
}

const SyscallEntry kEntries[] = {
	{24, "sched_yield", sys_sched_yield}, {63, "uname", sys_uname}, {97, "getrlimit", sys_getrlimit},
	{99, "sysinfo", sys_sysinfo}, {103, "syslog", sys_permission}, {140, "getpriority", sys_getpriority},
	{141, "setpriority", sys_setpriority}, {142, "sched_setparam", sys_zero}, {143, "sched_getparam", sys_sched_param},
	{144, "sched_setscheduler", sys_zero}, {145, "sched_getscheduler", sys_zero},
	{146, "sched_get_priority_max", sys_zero}, {147, "sched_get_priority_min", sys_zero},
	{157, "prctl", sys_prctl}, {158, "arch_prctl", sys_arch_prctl}, {160, "setrlimit", sys_setrlimit},
	{169, "reboot", sys_permission}, {170, "sethostname", sys_permission}, {203, "sched_setaffinity", sys_zero},
	{204, "sched_getaffinity", sys_sched_getaffinity}, {302, "prlimit64", sys_prlimit64}, {309, "getcpu", sys_getcpu},
	{318, "getrandom", sys_getrandom}, {324, "membarrier", sys_membarrier}, {334, "rseq", sys_absent},
};

}  // namespace

SyscallList system_syscalls() { return {kEntries, sizeof kEntries / sizeof *kEntries}; }

// Joined once into host memory: rebuilt in every process.
SyscallList process_syscalls()
{
	static SyscallEntry joined[256];
	size_t n = 0;
	for (SyscallList list : {futex_syscalls(), clone_syscalls(), exit_syscalls(), exec_syscalls(), signal_syscalls(),
		 memory_syscalls(), time_syscalls(), identity_syscalls(), system_syscalls()}) {
		memcpy(joined + n, list.entries, list.count * sizeof(SyscallEntry));
		n += list.count;
	}
	return {joined, n};
}

}  // namespace minivk
