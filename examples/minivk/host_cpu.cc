// The kernel lock, and how a vCPU's host thread sleeps and is woken. One futex word per vCPU: kicks come from signal
// handlers too.
#include "host_cpu.h"

#include <atomic>
#include <cerrno>
#include <climits>
#include <ctime>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <vkernel-hooks/linux/vmspace.h>

#include "kernel.h"

namespace minivk {
namespace {

pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

struct HostCpu {
	std::atomic<uint32_t> ticket{0};	// rises with every wake
	bool idle = false, in_guest = false;	// under the kernel lock
};
HostCpu cpus[kMaxCpus];
unsigned cpu_count = 0;

uint64_t clock_ns(clockid_t clock)
{
	timespec ts;
	clock_gettime(clock, &ts);
	return uint64_t(ts.tv_sec) * 1'000'000'000 + uint64_t(ts.tv_nsec);
}

void wake(HostCpu &c)
{
	int saved = errno;
	c.ticket.fetch_add(1);
	syscall(SYS_futex, &c.ticket, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
	errno = saved;
}

}  // namespace

uint64_t host_monotonic_ns() { return clock_ns(CLOCK_MONOTONIC); }
uint64_t host_realtime_ns() { return clock_ns(CLOCK_REALTIME); }
void kernel_lock() { pthread_mutex_lock(&lock); }
void kernel_unlock() { pthread_mutex_unlock(&lock); }
void host_cpus_init(unsigned count) { cpu_count = count; }

void host_kick_cpu(unsigned cpu)
{
	if (cpus[cpu].in_guest)
		vmspace_host_kick(cpu);
}

void host_kick_all()
{
	for (unsigned i = 0; i < cpu_count; i++) {
		vmspace_host_kick(i);
		wake(cpus[i]);
	}
}

void host_wake_idle_cpu()
{
	for (unsigned i = 0; i < cpu_count; i++)
		if (cpus[i].idle) {
			cpus[i].idle = false;	// the next one wakes another
			wake(cpus[i]);
			return;
		}
}

bool host_any_idle()
{
	for (unsigned i = 0; i < cpu_count; i++)
		if (cpus[i].idle)
			return true;
	return false;
}

uint32_t host_idle_ticket(unsigned cpu) { return cpus[cpu].ticket.load(); }
void host_set_idle(unsigned cpu, bool idle) { cpus[cpu].idle = idle; }
void host_set_in_guest(unsigned cpu, bool in_guest) { cpus[cpu].in_guest = in_guest; }
bool host_in_guest(unsigned cpu) { return cpus[cpu].in_guest; }

void host_idle(unsigned cpu, uint32_t ticket, uint64_t timeout_ns)
{
	timespec ts = {time_t(timeout_ns / 1'000'000'000), long(timeout_ns % 1'000'000'000)};
	syscall(SYS_futex, &cpus[cpu].ticket, FUTEX_WAIT_PRIVATE, ticket, timeout_ns ? &ts : nullptr, nullptr, 0);
}

}  // namespace minivk
