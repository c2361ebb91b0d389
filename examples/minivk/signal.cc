// Signals: sending, what is deliverable, default actions, and the moment before a thread goes back to user mode.
#include "signal.h"

#include <cerrno>

#include "host.h"
#include "process.h"

namespace minivk {
namespace {

constexpr uint64_t kIgnoredByDefault =
    signal_bit(kSigChld) | signal_bit(kSigCont) | signal_bit(kSigUrg) | signal_bit(kSigWinch);
constexpr size_t kMaxQueued = 1024;

bool is_ignored(const Process &p, int sig)
{
	uint64_t handler = p.actions[sig].handler;
	return handler == 1 || (handler == 0 && (kIgnoredByDefault & signal_bit(sig)));
}

void discard(SignalQueue &q, uint64_t set)
{
	q.set &= ~set;
	std::erase_if(q.infos, [&](const SigInfo &i) { return set & signal_bit(i.signo); });
}

bool wants(const Thread &t, int sig) { return (~t.blocked_signals | t.waiting_for) & signal_bit(sig); }

void notify(Thread &t)
{
	if (t.state == ThreadState::kBlockedState)
		wake_thread(t);
	else
		kick_thread(t);
}

bool take_from(SignalQueue &q, uint64_t among, SigInfo *out)
{
	uint64_t set = q.set & among;
	if (!set)
		return false;
	int sig = __builtin_ctzll(set) + 1;
	bool more = false;
	for (size_t i = 0; i < q.infos.size(); i++) {
		if (q.infos[i].signo != sig)
			continue;
		*out = q.infos[i];
		q.infos.erase(q.infos.begin() + long(i));
		for (const SigInfo &other : q.infos)
			more = more || other.signo == sig;
		break;
	}
	if (!more)
		q.set &= ~signal_bit(sig);
	return true;
}

// What continuing and stopping do at the moment of sending, whatever becomes of the signal itself.
void prepare(Process &p, int sig)
{
	auto discard_all = [&](uint64_t set) {
		discard(p.pending, set);
		for (Thread *t : p.threads)
			discard(t->pending, set);
	};
	if (sig == kSigCont) {
		discard_all(kStopSignals);
		process_continue(p);
	} else if (kStopSignals & signal_bit(sig)) {
		discard_all(signal_bit(kSigCont));
	} else if (sig == kSigKill && p.stopped) {
		process_continue(p);
		p.report = StopReport::kNone;
	}
}

}  // namespace

int send_signal(Process &p, Thread *only, const SigInfo &info)
{
	int sig = info.signo;
	if (sig == 0 || p.zombie || p.dying)
		return 0;
	prepare(p, sig);
	Thread *target = only;
	for (Thread *t : p.threads)
		if (!target && wants(*t, sig))
			target = t;
	bool blocked_everywhere = !target || !wants(*target, sig);
	if (is_ignored(p, sig) && !blocked_everywhere && !(target->waiting_for & signal_bit(sig)))
		return 0;
	SignalQueue &q = only ? only->pending : p.pending;
	if (sig < 32 && (q.set & signal_bit(sig)))
		return 0;
	if (q.infos.size() >= kMaxQueued)
		return sig < 32 ? 0 : -EAGAIN;
	q.set |= signal_bit(sig);
	q.infos.push_back(info);
	if (target && wants(*target, sig))
		notify(*target);
	return 0;
}

namespace {

SigInfo simple_info(int sig, int code)
{
	SigInfo i;
	i.signo = sig;
	i.code = code;
	return i;
}

}  // namespace

int signal_process(Process &p, int sig, int code) { return send_signal(p, nullptr, simple_info(sig, code)); }
int signal_thread(Thread &t, int sig, int code) { return send_signal(*t.process, &t, simple_info(sig, code)); }

int signal_group(int64_t pgid, int sig, int code)
{
	KVector<Ref<Process>> members;
	for (auto &[pid, p] : kernel().processes)
		if (p->pgid == pgid && !p->zombie)
			members.push_back(Ref<Process>(p));
	for (auto &p : members)
		send_signal(*p, nullptr, simple_info(sig, code));
	return members.empty() ? -ESRCH : 0;
}

bool signal_is_blocked_or_ignored(const Thread &t, int sig)
{
	return (t.blocked_signals & signal_bit(sig)) || is_ignored(*t.process, sig);
}

// No member has a parent in the same session but another group: nobody who could continue it.
bool group_is_orphaned(int64_t pgid)
{
	for (auto &[pid, p] : kernel().processes)
		if (p->pgid == pgid && !p->zombie && p->parent && p->parent->pgid != pgid && p->parent->sid == p->sid)
			return false;
	return true;
}

uint64_t deliverable(const Thread &t)
{
	return (t.pending.set | t.process->pending.set) & ~t.blocked_signals;
}

bool thread_signal_pending(const Thread &t)
{
	for (uint64_t set = deliverable(t); set; set &= set - 1) {
		int sig = __builtin_ctzll(set) + 1;
		if (!is_ignored(*t.process, sig))
			return true;
	}
	return false;
}

bool take_signal(Thread &t, uint64_t among, SigInfo *out)
{
	uint64_t own = t.pending.set & among, shared = t.process->pending.set & among;
	bool own_first = own && (!shared || __builtin_ctzll(own) <= __builtin_ctzll(shared));
	return take_from(own_first ? t.pending : t.process->pending, among, out);
}

void flush_signals(Process &p, uint64_t set)
{
	discard(p.pending, set);
	for (Thread *t : p.threads)
		discard(t->pending, set);
}

void use_temporary_mask(Thread &t, uint64_t mask)
{
	t.saved_mask = t.blocked_signals;
	t.restore_mask = true;
	t.blocked_signals = mask & ~kUnblockable;
	t.call.interrupted = deliverable(t) && call_must_end(t);	// by what was pending until now
}

namespace {

// Takes the next signal if nothing but this kernel has to do with it. False: nothing of the kind is first.
bool settle_one(Thread &t)
{
	uint64_t set = deliverable(t);
	if (!set)
		return false;
	Process &p = *t.process;
	int sig = __builtin_ctzll(set) + 1;
	bool stops = p.actions[sig].handler == 0 && (kStopSignals & signal_bit(sig));
	if (sig == kSigKill || (!is_ignored(p, sig) && !stops && sig != kSigStop))
		return false;
	SigInfo info;
	take_signal(t, signal_bit(sig), &info);
	if (stops && (sig == kSigStop || !group_is_orphaned(p.pgid)))
		process_stop(p, sig);
	return true;
}

void die(Thread &t, int sig)
{
	process_exit(*t.process, sig);
}

// What a call that was interrupted gives back: it is begun again, or ends with EINTR.
void end_interrupted(Thread &t, long result, const SignalAction *handler)
{
	bool again = !handler || (result == kRestartSys && (handler->flags & kSaRestart));
	if (again) {
		t.tf.tf_rip -= 2;	// the syscall instruction
		t.tf.tf_rax = t.call.number;
	} else {
		t.tf.tf_rax = uint64_t(-EINTR);
	}
}

}  // namespace

bool death_is_first(const Thread &t)
{
	uint64_t set = deliverable(t);
	return set && ((set & signal_bit(kSigKill)) || t.process->actions[__builtin_ctzll(set) + 1].handler <= 1);
}

bool call_must_end(Thread &t)
{
	if (deliverable(t) & signal_bit(kSigKill))
		return true;
	while (!t.process->stopped && settle_one(t))
		;
	return !t.process->stopped && deliverable(t) != 0;
}

bool deliver_signals(Thread &t, long result, bool call_ended)
{
	Process &p = *t.process;
	bool interrupted = call_ended && (result == kRestartSys || result == kRestartNoHand);
	if (deliverable(t) & signal_bit(kSigKill)) {
		die(t, kSigKill);
		return false;
	}
	for (;;) {
		while (!p.stopped && settle_one(t))
			;
		if (p.stopped || !deliverable(t))
			break;
		SigInfo info;
		take_signal(t, deliverable(t), &info);
		SignalAction action = p.actions[info.signo];
		if (action.handler <= 1) {
			die(t, info.signo);
			return false;
		}
		if (interrupted)
			end_interrupted(t, result, &action);
		interrupted = false;
		if (action.flags & kSaResetHand)
			p.actions[info.signo].handler = 0;
		uint64_t mask = t.restore_mask ? t.saved_mask : t.blocked_signals;
		t.restore_mask = false;
		if (!push_signal_frame(t, info.signo, action, info, mask)) {
			die(t, kSigSegv);
			return false;
		}
		t.blocked_signals |= action.mask | (action.flags & kSaNoDefer ? 0 : signal_bit(info.signo));
		t.blocked_signals &= ~kUnblockable;
	}
	if (interrupted)
		end_interrupted(t, result, nullptr);
	if (t.restore_mask && !p.stopped) {
		t.restore_mask = false;
		t.blocked_signals = t.saved_mask;
	}
	return !p.stopped;
}

void force_signal(Thread &t, int sig, int code, uint64_t address)
{
	SignalAction &action = t.process->actions[sig];
	if ((t.blocked_signals & signal_bit(sig)) || action.handler == 1)
		action.handler = 0;
	t.blocked_signals &= ~signal_bit(sig);
	SigInfo info;
	info.signo = sig;
	info.code = code;
	info.address = address;
	if (t.pending.set & signal_bit(sig))
		discard(t.pending, signal_bit(sig));
	send_signal(*t.process, &t, info);
}

}  // namespace minivk
