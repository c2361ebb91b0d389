// Signals: what is pending, what is to be done. Layouts are those of Linux on x86-64.
#ifndef MINIVK_SIGNAL_H
#define MINIVK_SIGNAL_H

#include "thread.h"

namespace minivk {

enum : int {
	kSigHup = 1, kSigInt = 2, kSigQuit = 3, kSigIll = 4, kSigTrap = 5, kSigAbrt = 6, kSigBus = 7, kSigFpe = 8, kSigKill = 9,
	kSigUsr1 = 10, kSigSegv = 11, kSigUsr2 = 12, kSigPipe = 13, kSigAlrm = 14, kSigTerm = 15, kSigChld = 17, kSigCont = 18,
	kSigStop = 19, kSigTstp = 20, kSigTtin = 21, kSigTtou = 22, kSigUrg = 23, kSigXfsz = 25, kSigWinch = 28, kSigSys = 31
};
constexpr uint64_t signal_bit(int sig) { return 1ull << (sig - 1); }
constexpr uint64_t kUnblockable = signal_bit(kSigKill) | signal_bit(kSigStop);
constexpr uint64_t kStopSignals = signal_bit(kSigStop) | signal_bit(kSigTstp) | signal_bit(kSigTtin) | signal_bit(kSigTtou);

struct SignalAction { uint64_t handler, flags, restorer, mask; };
constexpr uint64_t kSaNoCldStop = 1, kSaNoCldWait = 2, kSaSigInfo = 4, kSaRestorer = 0x4000000, kSaOnStack = 0x8000000,
    kSaRestart = 0x10000000, kSaNoDefer = 0x40000000, kSaResetHand = 0x80000000;

// siginfo_t. first: si_pid and si_uid, or si_addr; second: si_status or si_value; the rest is zero.
struct SigInfo {
	int32_t signo = 0, error = 0, code = 0, pad = 0;
	union {
		struct { int32_t pid; uint32_t uid; } sender;
		uint64_t address;
	};
	uint64_t value = 0;		// si_status in its low half
	uint64_t rest[12] = {};
	SigInfo() : address(0) {}
};
static_assert(sizeof(SigInfo) == 128);
constexpr int kSiUser = 0, kSiKernel = 0x80, kSiQueue = -1, kSiTimer = -2, kSiTkill = -6;

struct SignalQueue {
	uint64_t set = 0;
	KVector<SigInfo> infos;		// in order; one for each signal below 32, several for real-time signals
	void clear() { set = 0; infos.clear(); }
};

int send_signal(Process &, Thread *only, const SigInfo &);	// the general form of thread.h's three; only may be null
uint64_t deliverable(const Thread &);				// pending, not blocked (its own and the process')
bool take_signal(Thread &, uint64_t among, SigInfo *out);	// the lowest of them
void flush_signals(Process &, uint64_t set);
// Before the thread goes (back) to user mode: default actions, handlers' frames, restart of the call that ended with *result.
// False: the thread may not run (stopped or dead).
bool deliver_signals(Thread &, long call_result, bool call_ended);
// Of a blocked or starting call: is there a handler to run or a death to die? Stops and ignored signals are dealt with.
bool call_must_end(Thread &);
bool death_is_first(const Thread &);	// after call_must_end: what waits first kills
// A fault of the guest itself: cannot be blocked or ignored.
void force_signal(Thread &, int sig, int code, uint64_t address);
bool push_signal_frame(Thread &, int sig, const SignalAction &, const SigInfo &, uint64_t mask_to_restore);
long sys_rt_sigreturn(Thread &, const uint64_t *);

}  // namespace minivk
#endif
