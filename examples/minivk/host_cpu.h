// The host's side of the vCPUs: clocks, the kernel lock, waking and kicking. Nothing of it is in RAM.
#ifndef MINIVK_HOST_CPU_H
#define MINIVK_HOST_CPU_H

#include <cstdint>

namespace minivk {

uint64_t host_monotonic_ns();
uint64_t host_realtime_ns();

void kernel_lock();
void kernel_unlock();
class KernelLock {
public:
	KernelLock() { kernel_lock(); }
	~KernelLock() { kernel_unlock(); }
	KernelLock(const KernelLock &) = delete;
};

void host_cpus_init(unsigned count);
// AS-safe, any thread.
void host_kick_cpu(unsigned cpu);	// out of RUN
void host_kick_all();			// out of RUN and out of idle
// Under the kernel lock.
void host_wake_idle_cpu();		// one that idles, if there is one
bool host_any_idle();
uint32_t host_idle_ticket(unsigned cpu);	// before the last look for work
void host_idle(unsigned cpu, uint32_t ticket, uint64_t timeout_ns);	// called without the lock; 0: no timeout
void host_set_idle(unsigned cpu, bool idle);
void host_set_in_guest(unsigned cpu, bool in_guest);
bool host_in_guest(unsigned cpu);

constexpr uint64_t kSliceNs = 10'000'000;

// The event thread (host_events.cc): watches the console and the clock. News of the host, fetched by a vCPU.
struct HostNews {
	bool console, resized, disk;
	int terminate = 0;	// the signal that tells this process to end
};
bool host_has_news();
HostNews host_take_news();
void host_post_news(HostNews);		// any thread
void host_block_signals();		// those that the event thread takes; before any thread is made
void host_events_start();
void host_events_stop();
// Asks for a look at the kernel at this host time (slices and timers while all vCPUs run guests).
void host_alarm_at(uint64_t host_ns);

}  // namespace minivk
#endif
