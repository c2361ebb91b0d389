// The system calls about signals.
#include <cerrno>

#include "calls.h"

namespace minivk {
namespace {

bool valid_signal(uint64_t sig) { return sig >= 1 && sig <= 64; }

long sys_rt_sigaction(Thread &t, const uint64_t *a)
{
	if (!valid_signal(a[0]) || a[3] != 8)
		return -EINVAL;
	int sig = int(a[0]);
	Process &p = *t.process;
	SignalAction next, old = p.actions[sig];
	if (a[1]) {
		if (kUnblockable & signal_bit(sig))
			return -EINVAL;
		if (copy_in(*p.space, a[1], &next) < 0)
			return -EFAULT;
		next.mask &= ~kUnblockable;
		p.actions[sig] = next;
		// What is ignored now is forgotten, also if it waits already.
		if (next.handler == 1 || (next.handler == 0 && (sig == kSigChld || sig == kSigUrg || sig == kSigWinch)))
			flush_signals(p, signal_bit(sig));
	}
	return a[2] ? copy_out(*p.space, a[2], old) : 0;
}

long sys_rt_sigprocmask(Thread &t, const uint64_t *a)
{
	if (a[3] != 8)
		return -EINVAL;
	uint64_t old = t.blocked_signals, set;
	if (a[1]) {
		if (copy_in(thread_space(t), a[1], &set) < 0)
			return -EFAULT;
		switch (a[0]) {
		case 0: t.blocked_signals |= set; break;
		case 1: t.blocked_signals &= ~set; break;
		case 2: t.blocked_signals = set; break;
		default: return -EINVAL;
		}
		t.blocked_signals &= ~kUnblockable;
	}
	return a[2] ? copy_out(thread_space(t), a[2], old) : 0;
}

long sys_rt_sigpending(Thread &t, const uint64_t *a)
{
	uint64_t set = (t.pending.set | t.process->pending.set) & t.blocked_signals;
	return copy_out(thread_space(t), a[0], &set, std::min<uint64_t>(a[1], 8));
}

long sys_rt_sigsuspend(Thread &t, const uint64_t *a)
{
	uint64_t mask;
	if (a[1] != 8)
		return -EINVAL;
	if (!t.call.again) {
		if (copy_in(thread_space(t), a[0], &mask) < 0)
			return -EFAULT;
		use_temporary_mask(t, mask);
	}
	return t.call.interrupted ? kRestartNoHand : kBlocked;
}

long sys_pause(Thread &t, const uint64_t *) { return t.call.interrupted ? kRestartNoHand : kBlocked; }

// a: set, info, timeout, bytes of the set.
long sys_rt_sigtimedwait(Thread &t, const uint64_t *a)
{
	if (a[3] != 8)
		return -EINVAL;
	uint64_t set;
	if (copy_in(thread_space(t), a[0], &set) < 0)
		return -EFAULT;
	set &= ~kUnblockable;
	SigInfo info;
	if (take_signal(t, set, &info)) {
		t.waiting_for = 0;
		if (a[1] && copy_out(thread_space(t), a[1], info) < 0)
			return -EFAULT;
		return info.signo;
	}
	if (!t.call.again && a[2]) {
		KTimespec ts;
		if (copy_in(thread_space(t), a[2], &ts) < 0)
			return -EFAULT;
		if (!ts.valid())
			return -EINVAL;
		t.call.deadline_ns = saturating_add(now_ns(), ts.ns());
	}
	if (t.call.deadline_ns && now_ns() >= t.call.deadline_ns)
		return -EAGAIN;
	if (t.call.interrupted)
		return -EINTR;
	t.waiting_for = set;
	wait_until(t, t.call.deadline_ns);
	return kBlocked;
}

long sys_sigaltstack(Thread &t, const uint64_t *a)
{
	struct { uint64_t pointer; int32_t flags, pad; uint64_t bytes; } next, old = {};
	bool inside = t.alt_bytes && t.tf.tf_rsp > t.alt_stack && t.tf.tf_rsp - t.alt_stack <= t.alt_bytes;
	old.pointer = t.alt_stack;
	old.bytes = t.alt_bytes;
	old.flags = !t.alt_bytes ? 2 : inside ? 1 : 0;
	if (a[0]) {
		if (copy_in(thread_space(t), a[0], &next) < 0)
			return -EFAULT;
		if (inside)
			return -EPERM;
		if (next.flags & 2) {
			t.alt_stack = t.alt_bytes = 0;
		} else {
			if (next.flags & 0x7ffffffd & ~1)
				return -EINVAL;
			if (next.bytes < 2048)
				return -ENOMEM;
			t.alt_stack = next.pointer;
			t.alt_bytes = next.bytes;
		}
	}
	return a[1] ? copy_out(thread_space(t), a[1], old) : 0;
}

SigInfo info_from(const Thread &t, int sig, int code)
{
	SigInfo i;
	i.signo = sig;
	i.code = code;
	i.sender = {int32_t(t.process->pid), t.process->uid};
	return i;
}

bool may_signal(const Process &from, const Process &to)
{
	return from.euid == 0 || from.euid == to.uid || from.uid == to.uid || from.euid == to.suid || from.uid == to.suid;
}

long send_checked(Thread &t, Process &to, Thread *only, const SigInfo &info)
{
	if (!may_signal(*t.process, to) && !(info.signo == kSigCont && to.sid == t.process->sid))
		return -EPERM;
	return info.signo ? send_signal(to, only, info) : 0;
}

long sys_kill(Thread &t, const uint64_t *a)
{
	int64_t pid = int32_t(a[0]);
	if (a[1] > 64)
		return -EINVAL;
	SigInfo info = info_from(t, int(a[1]), kSiUser);
	if (pid > 0) {
		Process *p = process_find(pid);
		if (!p)
			if (Thread *other = thread_find(pid))
				p = other->process.get();
		return p ? send_checked(t, *p, nullptr, info) : -ESRCH;
	}
	int64_t group = pid == 0 ? t.process->pgid : -pid;
	long result = -ESRCH;
	KVector<Ref<Process>> targets;
	for (auto &[id, p] : kernel().processes) {
		bool wanted = pid == -1 ? p != kernel().init && p != t.process.get() : p->pgid == group;
		if (wanted)
			targets.push_back(Ref<Process>(p));
	}
	for (auto &p : targets) {
		long r = send_checked(t, *p, nullptr, info);
		if (r == 0 || result == -ESRCH)
			result = r;
	}
	return result;
}

long signal_one(Thread &t, int64_t tgid, int64_t tid, uint64_t sig, const SigInfo &info)
{
	if (sig > 64 || tid <= 0)
		return -EINVAL;
	Thread *to = thread_find(tid);
	if (!to || (tgid > 0 && to->process->pid != tgid)) {
		Process *zombie = process_find(tid);	// its last thread is gone already
		return zombie && zombie->zombie && (tgid <= 0 || tgid == tid) ? 0 : -ESRCH;
	}
	return send_checked(t, *to->process, to, info);
}

long sys_tkill(Thread &t, const uint64_t *a)
{
	return signal_one(t, -1, int32_t(a[0]), a[1], info_from(t, int(a[1]), kSiTkill));
}

long sys_tgkill(Thread &t, const uint64_t *a)
{
	if (int32_t(a[0]) <= 0)
		return -EINVAL;
	return signal_one(t, int32_t(a[0]), int32_t(a[1]), a[2], info_from(t, int(a[2]), kSiTkill));
}

long read_info(Thread &t, uint64_t at, uint64_t sig, bool to_self, SigInfo *info)
{
	if (copy_in(thread_space(t), at, info) < 0)
		return -EFAULT;
	info->signo = int32_t(sig);
	return !to_self && (info->code >= 0 || info->code == kSiTkill) ? -EPERM : 0;
}

long sys_rt_sigqueueinfo(Thread &t, const uint64_t *a)
{
	Process *p = process_find(int32_t(a[0]));
	SigInfo info;
	if (a[1] > 64)
		return -EINVAL;
	if (!p)
		return -ESRCH;
	long r = read_info(t, a[2], a[1], p == t.process.get(), &info);
	return r < 0 ? r : send_checked(t, *p, nullptr, info);
}

long sys_rt_tgsigqueueinfo(Thread &t, const uint64_t *a)
{
	SigInfo info;
	if (a[2] > 64)
		return -EINVAL;
	long r = read_info(t, a[3], a[2], int32_t(a[0]) == t.process->pid, &info);
	return r < 0 ? r : signal_one(t, int32_t(a[0]), int32_t(a[1]), a[2], info);
}

const SyscallEntry kEntries[] = {
	{13, "rt_sigaction", sys_rt_sigaction},
	{14, "rt_sigprocmask", sys_rt_sigprocmask},
	{15, "rt_sigreturn", sys_rt_sigreturn},
	{34, "pause", sys_pause},
	{62, "kill", sys_kill},
	{127, "rt_sigpending", sys_rt_sigpending},
	{128, "rt_sigtimedwait", sys_rt_sigtimedwait},
	{129, "rt_sigqueueinfo", sys_rt_sigqueueinfo},
	{130, "rt_sigsuspend", sys_rt_sigsuspend},
	{131, "sigaltstack", sys_sigaltstack},
	{200, "tkill", sys_tkill},
	{234, "tgkill", sys_tgkill},
	{297, "rt_tgsigqueueinfo", sys_rt_tgsigqueueinfo},
};

}  // namespace

SyscallList signal_syscalls() { return {kEntries, sizeof kEntries / sizeof *kEntries}; }

}  // namespace minivk
