// Processes and threads: their making and their end.
#include <cerrno>
#include <cstring>

#include "futex.h"
#include "host.h"
#include "process.h"
#include "tty.h"

namespace minivk {
namespace {

void thread_timed_out(void *arg)
{
	Thread &t = *static_cast<Thread *>(arg);
	t.call.timed_out = true;
	wake_thread(t);
}

void real_timer_fired(void *arg)
{
	Process &p = *static_cast<Process *>(arg);
	if (p.real_interval_ns)
		timer_arm(p.real_timer, now_ns() + p.real_interval_ns);
	signal_process(p, kSigAlrm, kSiKernel);
}

int64_t new_pid()
{
	Kernel &k = kernel();
	while (k.processes.count(k.next_pid) || k.threads.count(k.next_pid))
		k.next_pid = k.next_pid >= 4'000'000 ? 2 : k.next_pid + 1;
	return k.next_pid++;
}

}  // namespace

Process::Process()
{
	for (auto &l : limits)
		l.soft = l.hard = ~0ull;
	limits[3] = {8 << 20, ~0ull};			// RLIMIT_STACK
	limits[4] = {0, 0};				// RLIMIT_CORE: there are none
	limits[6] = {4096, 4096};			// RLIMIT_NPROC
	limits[7] = {FdTable::kMax, FdTable::kMax};	// RLIMIT_NOFILE
	real_timer.fire = real_timer_fired;
	real_timer.arg = this;
	start_ns = now_ns();
}

Process::~Process() { timer_cancel(real_timer); }

Thread::~Thread()
{
	kfree(xsave);
}

int64_t thread_tid(const Thread &t) { return t.tid; }
Process &thread_process(const Thread &t) { return *t.process; }
AddressSpace &thread_space(const Thread &t) { return *t.process->space; }
CallState &thread_call(Thread &t) { return t.call; }
FsContext &thread_fs(const Thread &t) { return *t.process->fs; }
FdTable &thread_files(const Thread &t) { return *t.process->files; }

Process *process_find(int64_t pid)
{
	auto it = kernel().processes.find(pid);
	return it == kernel().processes.end() ? nullptr : it->second;
}

Thread *thread_find(int64_t tid)
{
	auto it = kernel().threads.find(tid);
	return it == kernel().threads.end() ? nullptr : it->second;
}

Process *process_new(Process *parent)
{
	Process *p = knew<Process>();
	p->ref();		// of the table; given back when it is reaped
	p->pid = new_pid();
	p->pgid = p->sid = p->pid;
	p->parent = parent;
	if (parent)
		parent->children.push_back(p);
	kernel().processes.emplace(p->pid, p);
	++kernel().fork_count;
	return p;
}

Thread *thread_new(Process &p, int64_t tid)
{
	Thread *t = knew<Thread>();
	t->ref();		// of the process
	t->tid = tid ? tid : new_pid();
	t->process = Ref<Process>(&p);
	t->timeout.fire = thread_timed_out;
	t->timeout.arg = t;
	t->xsave = kalloc(kernel().xsave_bytes < 4096 ? 4096 : kernel().xsave_bytes);
	vmspace_host_xsave_init(t->xsave);
	memcpy(t->comm, p.comm, sizeof t->comm);
	p.threads.push_back(t);
	kernel().threads.emplace(t->tid, t);
	return t;
}

namespace {

// Out of every table; a vCPU that still runs it drops it at its next trap.
void thread_end(Thread &t)
{
	Process &p = *t.process;
	stop_waiting(t);
	futex_thread_ended(t);
	unqueue_thread(t);
	kick_thread(t);
	t.state = ThreadState::kDead;
	t.in_call = false;
	p.user_ns += t.user_ns;
	p.system_ns += t.system_ns;
	kernel().threads.erase(t.tid);
	std::erase(p.threads, &t);
	t.unref();
}

// The parent no longer watches over the group of its child. If nobody else of the session does, and a member is stopped, the
// group is told so: nobody is left to continue it.
void release_group(const Process &child, const Process *parent)
{
	const int64_t pgid = child.pgid;
	if (!parent || parent->pgid == pgid || parent->sid != child.sid || !group_is_orphaned(pgid))
		return;
	for (auto &[pid, q] : kernel().processes)
		if (q->pgid == pgid && q->stopped && !q->zombie) {
			signal_group(pgid, kSigHup);
			signal_group(pgid, kSigCont);
			return;
		}
}

void hand_over_children(Process &p)
{
	Process *init = kernel().init;
	for (Process *child : p.children) {
		child->parent = init == &p ? nullptr : init;
		if (!child->parent)
			continue;
		init->children.push_back(child);
		if (child->death_signal)
			signal_process(*child, int(child->death_signal));
		if (child->zombie)
			init->child_changed.wake_all();
		release_group(*child, &p);
	}
	p.children.clear();
}

void tell_parent(Process &p)
{
	Process *parent = p.parent;
	if (!parent)
		return;
	const SignalAction &action = parent->actions[kSigChld];
	bool ignored = p.exit_signal == kSigChld && (action.handler == 1 || (action.flags & kSaNoCldWait));
	if (p.exit_signal) {
		SigInfo info;
		info.signo = p.exit_signal;
		info.code = (p.wait_status & 0x7f) ? 2 : 1;	// CLD_KILLED, CLD_EXITED
		info.sender = {int32_t(p.pid), p.uid};
		info.value = (p.wait_status & 0x7f) ? p.wait_status & 0x7f : (p.wait_status >> 8) & 0xff;
		send_signal(*parent, nullptr, info);
	}
	parent->child_changed.wake_all();
	if (ignored)
		process_reap(p);
}

}  // namespace

void process_wake_vfork_parent(Process &p)
{
	if (p.vfork_pending) {
		p.vfork_pending = false;
		p.vfork_done.wake_all();
	}
}

void process_exit(Process &process, int32_t wait_status)
{
	Ref<Process> keep(&process);
	Process &p = process;
	if (p.dying)
		return;
	p.dying = true;
	p.wait_status = wait_status;
	while (!p.threads.empty()) {
		Thread &t = *p.threads.back();
		if (p.space)
			futex_exit_robust(t);
		if (p.space && p.space->refs() > 1)	// somebody else may look at it: other processes that share the memory
			futex_clear_child_tid(t);
		thread_end(t);
	}
	timer_cancel(p.real_timer);
	process_wake_vfork_parent(p);
	p.files = {};
	p.fs = {};
	p.space = {};
	p.pending.clear();
	p.stopped = false;
	p.zombie = true;
	hand_over_children(p);
	if (p.pid == p.sid && p.terminal)
		tty_session_ended(p.sid);
	p.terminal = nullptr;
	if (&p == kernel().init) {
		kernel().halted = true;
		kernel().exit_status = (wait_status & 0x7f) ? 128 + (wait_status & 0x7f) : (wait_status >> 8) & 0xff;
	}
	p.ended.wake_all();
	release_group(p, p.parent);
	tell_parent(p);
}

void thread_exit(Thread &t, int32_t wait_status)
{
	Ref<Process> p = t.process;
	if (p->threads.size() == 1) {
		process_exit(*p, wait_status);
		return;
	}
	futex_exit_robust(t);
	futex_clear_child_tid(t);
	thread_end(t);
}

void kill_other_threads(Thread &keep)
{
	Process &p = *keep.process;
	while (p.threads.size() > 1)
		thread_end(*(p.threads.back() == &keep ? p.threads.front() : p.threads.back()));
	if (keep.tid != p.pid) {	// what execve leaves is the leader
		kernel().threads.erase(keep.tid);
		keep.tid = p.pid;
		kernel().threads[keep.tid] = &keep;
	}
}

void process_reap(Process &p)
{
	if (p.parent) {
		uint64_t user, system;
		process_times(p, &user, &system);
		p.parent->child_user_ns += user + p.child_user_ns;
		p.parent->child_system_ns += system + p.child_system_ns;
		std::erase(p.parent->children, &p);
	}
	kernel().processes.erase(p.pid);
	p.unref();
}

void process_stop(Process &p, int sig)
{
	if (p.stopped)
		return;
	p.stopped = true;
	p.stop_signal = sig;
	p.report = StopReport::kStopped;
	for (Thread *t : p.threads)
		kick_thread(*t);
	if (p.parent) {
		if (!(p.parent->actions[kSigChld].flags & kSaNoCldStop)) {
			SigInfo info;
			info.signo = kSigChld;
			info.code = 5;	// CLD_STOPPED
			info.sender = {int32_t(p.pid), p.uid};
			info.value = uint64_t(sig);
			send_signal(*p.parent, nullptr, info);
		}
		p.parent->child_changed.wake_all();
	}
}

void process_continue(Process &p)
{
	if (!p.stopped)
		return;
	p.stopped = false;
	p.report = StopReport::kContinued;
	for (Thread *t : p.threads)
		if (t->state == ThreadState::kStopped)
			make_runnable(*t);
	if (p.parent) {
		if (!(p.parent->actions[kSigChld].flags & kSaNoCldStop)) {
			SigInfo info;
			info.signo = kSigChld;
			info.code = 6;	// CLD_CONTINUED
			info.sender = {int32_t(p.pid), p.uid};
			info.value = kSigCont;
			send_signal(*p.parent, nullptr, info);
		}
		p.parent->child_changed.wake_all();
	}
}

void process_times(const Process &p, uint64_t *user_ns, uint64_t *system_ns)
{
	*user_ns = p.user_ns;
	*system_ns = p.system_ns;
	for (const Thread *t : p.threads) {
		*user_ns += t->user_ns;
		*system_ns += t->system_ns;
	}
}

uint64_t process_resident(const Process &p) { return p.space ? p.space->resident_frames() : 0; }

}  // namespace minivk
