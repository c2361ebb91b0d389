// Guest processes (thread groups) and threads: all data, no kernel stacks. See thread.h for how a thread waits.
#ifndef MINIVK_PROCESS_H
#define MINIVK_PROCESS_H

#include "kernel.h"
#include "signal.h"
#include "vm.h"

namespace minivk {

struct WaitEntry {
	Thread *thread = nullptr;
	WaitQueue *queue = nullptr;
	WaitEntry *next = nullptr, *previous = nullptr;	// in the queue
	WaitEntry *sibling = nullptr;			// of the same thread
	void unlink();
};

struct FutexKey {
	uint64_t space = 0, address = 0;	// shared memory: space 0, address = frame and offset
	bool operator==(const FutexKey &) const = default;
};
struct FutexWait {
	FutexKey key;
	uint32_t bitset = 0;
	bool queued = false;
	Thread *next = nullptr, *previous = nullptr;
};

struct Thread : Counted {
	int64_t tid = 0;
	Ref<Process> process;
	ThreadState state = ThreadState::kRunnable;

	struct trapframe tf = {};
	struct vextframe ext = {};
	void *xsave = nullptr;		// kernel().xsave_bytes, page-aligned

	CallState call = {};
	bool in_call = false;		// its handler returned kBlocked
	bool registers_set = false;	// by rt_sigreturn and execve: the call's result does not go to rax
	bool uninterruptible = false;	// only death ends this wait (vfork)
	WaitEntry *waits = nullptr;
	bool woken = false;		// a wake came while the handler was still at work
	Timer timeout;
	FutexWait futex;

	uint64_t blocked_signals = 0;	// bit n-1: signal n
	uint64_t waiting_for = 0;	// rt_sigtimedwait: these wake it although they are blocked
	uint64_t saved_mask = 0;
	bool restore_mask = false;	// saved_mask comes back when the call has ended and signals were delivered
	SignalQueue pending;
	uint64_t alt_stack = 0, alt_bytes = 0;
	uint32_t alt_flags = 2;		// SS_DISABLE

	uint64_t clear_child_tid = 0;
	uint64_t robust_list = 0, robust_bytes = 0;
	char comm[16] = {};

	Thread *run_next = nullptr;
	bool queued = false;		// on the run queue
	int32_t cpu = -1;		// that runs it
	uint64_t user_ns = 0, system_ns = 0;

	~Thread() override;
};

enum class StopReport : uint8_t { kNone, kStopped, kContinued };

struct Process : Counted {
	int64_t pid = 0, pgid = 0, sid = 0;
	Process *parent = nullptr;
	KVector<Process *> children;
	KVector<Thread *> threads;	// alive; counted
	Ref<AddressSpace> space;
	Ref<FdTable> files;
	Ref<FsContext> fs;
	Tty *terminal = nullptr;	// controlling
	bool zombie = false, dying = false, stopped = false, exec_done = false;
	int32_t wait_status = 0;	// as wait4 gives it
	int32_t exit_signal = 17;
	StopReport report = StopReport::kNone;
	int32_t stop_signal = 0;
	WaitQueue child_changed;	// for wait4 of this process
	WaitQueue ended;		// zombie (pidfd-like waits, vfork)
	bool vfork_pending = false;	// its parent waits until it execs or exits
	WaitQueue vfork_done;

	SignalAction actions[65] = {};
	SignalQueue pending;

	uint32_t uid = 0, euid = 0, suid = 0, gid = 0, egid = 0, sgid = 0;
	KVector<uint32_t> groups;
	struct { uint64_t soft, hard; } limits[16];
	char comm[16] = {};
	KString exe;
	uint64_t arg_start = 0, arg_end = 0, env_start = 0, env_end = 0;	// in its memory, for /proc
	uint64_t start_ns = 0;		// monotonic
	uint64_t user_ns = 0, system_ns = 0;			// of threads that ended
	uint64_t child_user_ns = 0, child_system_ns = 0;	// of children waited for
	uint64_t faults = 0;
	Timer real_timer;		// setitimer(ITIMER_REAL), alarm
	uint64_t real_interval_ns = 0;
	uint64_t death_signal = 0;
	int32_t nice = 0;

	Process();
	~Process() override;
	Thread *leader() const { return threads.empty() ? nullptr : threads[0]; }
};

Process *process_find(int64_t pid);	// zombies too; null
Thread *thread_find(int64_t tid);
Process *process_new(Process *parent);	// in the table, with a pid
Thread *thread_new(Process &, int64_t tid);
// The whole process ends; wait_status as wait4 gives it.
void process_exit(Process &, int32_t wait_status);
// One thread ends; the last one ends the process with its status.
void thread_exit(Thread &, int32_t wait_status);
void process_reap(Process &);
void process_stop(Process &, int sig);
void process_continue(Process &);
void process_wake_vfork_parent(Process &);
void kill_other_threads(Thread &);	// execve
void process_times(const Process &, uint64_t *user_ns, uint64_t *system_ns);
uint64_t process_resident(const Process &);	// frames

// sched.cc
void make_runnable(Thread &);
void wake_thread(Thread &);		// if it is blocked: off all queues, its handler is called again
void stop_waiting(Thread &);		// off all queues, timeout cancelled
void kick_thread(Thread &);		// if a vCPU runs it, that one comes back into the kernel soon
void unqueue_thread(Thread &);		// off the run queue
Thread *pick_thread();			// off the run queue; null
bool anyone_runnable();
void run_timers();			// those that are due
uint64_t next_timer_ns();		// guest monotonic; 0: none

}  // namespace minivk
#endif
