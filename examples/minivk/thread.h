// Guest threads and processes, how they wait, and how a system call blocks.
//
// There are no kernel stacks to save: a system call that must wait registers on wait queues and returns kBlocked; when
// the thread is woken its handler is called again from the start with the same arguments and the scratch it left in
// Thread::call. So at a safe point the whole state of a guest thread is data in RAM.
#ifndef MINIVK_THREAD_H
#define MINIVK_THREAD_H

#include <vkernel-hooks/linux/vmspace.h>

#include "mem.h"

namespace minivk {

struct Thread;
struct Process;
class AddressSpace;	// vm.h
class FdTable;		// vfs.h
class Tty;		// tty.h
struct FsContext;	// vfs.h: cwd, root, umask

constexpr long kBlocked = -100000;
// What a handler returns instead of -EINTR when a signal interrupted it (values of Linux, never seen by a guest).
constexpr long kRestartSys = -512;	// restart if SA_RESTART or no handler, else EINTR
constexpr long kRestartNoHand = -514;	// restart only if no handler ran, else EINTR

// Threads waiting for one thing. Embedded in the thing, in RAM.
class WaitQueue {
public:
	~WaitQueue();		// wakes all
	void wake_all();
	void wake_one();
	bool empty() const { return head_ == nullptr; }
private:
	friend void wait_on(Thread &, WaitQueue &);
	friend struct WaitEntry;
	struct WaitEntry *head_ = nullptr, *tail_ = nullptr;
};

// Called by handlers before they return kBlocked; several queues and one deadline may be combined; waking takes the
// thread off all of them. Deadlines are guest monotonic nanoseconds; 0 is none.
void wait_on(Thread &, WaitQueue &);
void wait_until(Thread &, uint64_t deadline_ns);

// The system call under way. Cleared when a new one begins; kept when a handler returned kBlocked.
struct CallState {
	uint64_t arg[6];
	uint32_t number;
	bool again;		// this is not the first call of the handler
	bool interrupted;	// a signal is waiting to be delivered: finish now (partial result, or kRestart...)
	bool timed_out;		// the deadline passed
	uint64_t progress;	// bytes done so far and the like: the handler's own
	uint64_t deadline_ns;	// the handler's own: an absolute deadline computed at the first call
	uint64_t scratch[4];	// the handler's own
};

// For ppoll, pselect and sigsuspend, before they block the first time: another signal mask until the call has ended and
// what it let through was delivered. A call that is called again finds it in place.
void use_temporary_mask(Thread &, uint64_t mask);

enum class ThreadState : uint8_t { kRunnable, kRunning, kBlockedState, kStopped, kDead };

uint64_t now_ns();		// guest CLOCK_MONOTONIC
uint64_t realtime_ns();		// guest CLOCK_REALTIME

int64_t thread_tid(const Thread &);
Process &thread_process(const Thread &);
AddressSpace &thread_space(const Thread &);
CallState &thread_call(Thread &);
bool thread_signal_pending(const Thread &);	// an unblocked, not ignored one

// Signals, as kill(2) does them. 0 or -ESRCH. code is si_code (SI_KERNEL 0x80, SI_USER 0, ...).
int signal_process(Process &, int sig, int code = 0x80);
int signal_thread(Thread &, int sig, int code = 0x80);
int signal_group(int64_t pgid, int sig, int code = 0x80);
bool signal_is_blocked_or_ignored(const Thread &, int sig);	// for SIGTTIN, SIGTTOU
bool group_is_orphaned(int64_t pgid);

}  // namespace minivk
#endif
