// The loop of a vCPU: safe point, news of the host, timers, a thread, RUN, its trap. Guest code runs without the kernel
// lock; everything else here holds it.
#include "vcpu.h"

#include <cerrno>
#include <cstring>

#include "ckpt.h"
#include "host.h"
#include "host_cpu.h"

namespace minivk {

TestCheckpoint test_checkpoint;

namespace {

bool suspended = false;		// of this process; under the kernel lock
bool said_no_process = false;	// likewise

void take_news()
{
	if (!host_has_news())
		return;
	HostNews news = host_take_news();
	if (news.console)
		console_interrupt();
	if (news.resized)
		console_resized();
	if (news.disk)
		disk_interrupt();
	if (news.terminate) {
		kernel().halted = true;
		kernel().exit_status = 128 + news.terminate;
	}
}

Thread *current(unsigned cpu)
{
	Cpu &c = kernel().cpu[cpu];
	if (!c.running) {
		c.running = pick_thread();
		if (!c.running)
			return nullptr;
		c.running->ref();
		c.running->cpu = int32_t(cpu);
		c.running->state = ThreadState::kRunning;
		c.since_ns = host_monotonic_ns();
		++kernel().switch_count;
	}
	return c.running;
}

// The thread leaves the vCPU: to the run queue if it could go on, else it is found by whatever it waits for.
void leave(unsigned cpu)
{
	Cpu &c = kernel().cpu[cpu];
	Thread *t = c.running;
	c.running = nullptr;
	t->cpu = -1;
	if (t->state == ThreadState::kRunning)
		make_runnable(*t);
	t->unref();
}

bool may_run(const Thread &t) { return t.state == ThreadState::kRunning && !t.process->stopped; }

// Everything that stands between the thread and user mode.
bool prepare(Thread &t)
{
	if (t.in_call && may_run(t)) {
		continue_call(t);
		return may_run(t) && !t.in_call;
	}
	if (may_run(t) && deliverable(t))
		deliver_signals(t, 0, false);
	return may_run(t);
}

void set_alarm(const Cpu &c)
{
	uint64_t at = anyone_runnable() ? c.since_ns + kSliceNs : 0;
	if (uint64_t timer = next_timer_ns()) {
		uint64_t host_time = timer - uint64_t(kernel().monotonic_offset_ns);
		at = at && at < host_time ? at : host_time;
	}
	if (at)
		host_alarm_at(at);
}

void count_trap()
{
	uint64_t n = ++kernel().trap_count;
	if (n == test_checkpoint.at_trap || (test_checkpoint.every && n % test_checkpoint.every == 0))
		(void)ckpt_ask(CkptAction::kConfigured);
}

// The host gives no process for this address space now (a limit): others may run, and some of them end.
void wait_for_host_process(unsigned cpu, const Thread &t)
{
	constexpr uint64_t kPauseNs = 5'000'000;
	if (!said_no_process)
		host_log("%s (pid %lld) waits: the host gives no process for its address space (limits: ulimit -u, pids.max)",
		    t.process->comm, static_cast<long long>(t.process->pid));
	said_no_process = true;
	kernel().cpu[cpu].since_ns = 0;		// its slice is over if somebody waits
	uint32_t ticket = host_idle_ticket(cpu);
	host_set_idle(cpu, true);
	kernel_unlock();
	host_idle(cpu, ticket, kPauseNs);
	kernel_lock();
	host_set_idle(cpu, false);
}

void run(unsigned cpu, Thread &t)
{
	Ref<AddressSpace> space = t.process->space;	// outlives the RUN, whatever other vCPUs do to the process
	set_alarm(kernel().cpu[cpu]);
	host_set_in_guest(cpu, true);
	kernel_unlock();
	uint64_t begin = host_monotonic_ns();
	int r = vmspace_host_run(space.get(), &t.tf, &t.ext, t.xsave);
	int error = errno;
	uint64_t end = host_monotonic_ns();
	kernel_lock();
	host_set_in_guest(cpu, false);
	t.user_ns += end - begin;
	if (t.state == ThreadState::kDead)
		return;
	if (r != 0 && error == EAGAIN) {	// of a thaw, and not made yet
		wait_for_host_process(cpu, t);
		return;
	}
	if (r != 0) {
		host_log("%s (pid %lld) was killed: its address space was lost at the host (%s)", t.process->comm,
		    static_cast<long long>(t.process->pid), strerror(error));
		process_exit(*t.process, kSigKill);
		return;
	}
	if (t.tf.tf_trapno != 0)
		count_trap();
	handle_trap(t);
	t.system_ns += host_monotonic_ns() - end;
}

void idle(unsigned cpu, uint32_t ticket, bool soon)
{
	host_set_idle(cpu, true);
	uint64_t timeout = soon ? 1'000'000 : 0;
	if (uint64_t timer = next_timer_ns(); timer && !soon) {
		uint64_t now = now_ns();
		timeout = timer > now ? timer - now : 1;
	}
	bool work = anyone_runnable() || host_has_news();
	kernel_unlock();
	if (!work)
		host_idle(cpu, ticket, timeout);
	kernel_lock();
	host_set_idle(cpu, false);
}

// One turn under the lock; a checkpoint that is being prepared keeps it short. ticket: of before the safe point.
void turn(unsigned cpu, uint32_t ticket, bool checkpoint_pending)
{
	take_news();
	run_timers();
	if (kernel().halted)
		return;
	Thread *t = current(cpu);
	if (!t) {
		idle(cpu, ticket, checkpoint_pending);
		return;
	}
	if (prepare(*t)) {
		if (checkpoint_pending)
			host_alarm_at(host_monotonic_ns() + 1'000'000);
		run(cpu, *t);
	}
	bool slice_over = anyone_runnable() && host_monotonic_ns() - kernel().cpu[cpu].since_ns >= kSliceNs;
	if (!may_run(*t) || slice_over)
		leave(cpu);
}

}  // namespace

bool vcpu_was_suspended() { return suspended; }

void vcpu_loop(unsigned cpu)
{
	for (;;) {
		// First, or a request that comes behind the safe point would find nobody asleep and would not be heard in the sleep that follows.
		const uint32_t ticket = host_idle_ticket(cpu);
		int verdict = ckpt_safe_point(cpu);
		KernelLock lock;
		if (verdict == VKCKPT_EXIT)
			suspended = true;
		if (suspended || kernel().halted)
			break;
		turn(cpu, ticket, verdict == VKCKPT_PENDING);
	}
	host_kick_all();
}

}  // namespace minivk
