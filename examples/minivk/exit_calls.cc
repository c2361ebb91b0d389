// exit, exit_group, wait4, waitid, getrusage, times.
#include <cerrno>
#include <sys/wait.h>

#include "calls.h"

namespace minivk {
namespace {

long sys_exit(Thread &t, const uint64_t *a)
{
	thread_exit(t, int32_t((a[0] & 0xff) << 8));
	return 0;
}

long sys_exit_group(Thread &t, const uint64_t *a)
{
	process_exit(*t.process, int32_t((a[0] & 0xff) << 8));
	return 0;
}

struct KRusage {
	KTimeval user, system;
	int64_t max_resident_kib, unused[3], minor_faults, major_faults, unused2[8];
};
static_assert(sizeof(KRusage) == 144);

KRusage usage_of(uint64_t user_ns, uint64_t system_ns, const Process *p)
{
	KRusage r = {};
	r.user = KTimeval::of(user_ns);
	r.system = KTimeval::of(system_ns);
	if (p) {
		r.max_resident_kib = int64_t(process_resident(*p) * (kPage / 1024));
		r.minor_faults = int64_t(p->faults);
	}
	return r;
}

// Whom a wait is for: pid > 0 that child, 0 own group, -1 any, < -1 that group.
bool matches(const Process &self, const Process &child, int64_t pid)
{
	return pid == -1 || pid == child.pid || (pid == 0 && child.pgid == self.pgid) || (pid < -1 && child.pgid == -pid);
}

struct Found {
	Process *child = nullptr;
	int32_t status = 0;	// as wait4 gives it
	bool any = false;	// there is somebody to wait for
};

Found look(Process &self, int64_t pid, uint32_t options)
{
	Found f;
	for (Process *child : self.children) {
		if (!matches(self, *child, pid))
			continue;
		f.any = true;
		if (child->zombie && (options & WEXITED))
			f.child = child, f.status = child->wait_status;
		else if (child->report == StopReport::kStopped && (options & WSTOPPED))
			f.child = child, f.status = child->stop_signal << 8 | 0x7f;
		else if (child->report == StopReport::kContinued && (options & WCONTINUED))
			f.child = child, f.status = 0xffff;
		if (f.child)
			return f;
	}
	return f;
}

// Blocks, or finds a child; 0 without a child: WNOHANG.
long wait_for_child(Thread &t, int64_t pid, uint32_t options, Found *found)
{
	*found = look(*t.process, pid, options);
	if (found->child)
		return 0;
	if (!found->any)
		return -ECHILD;
	if (options & WNOHANG)
		return 0;
	if (t.call.interrupted)
		return kRestartSys;
	wait_on(t, t.process->child_changed);
	return kBlocked;
}

void consume(Process &child, uint32_t options)
{
	if (options & WNOWAIT)
		return;
	if (child.zombie)
		process_reap(child);
	else
		child.report = StopReport::kNone;
}

long put_rusage(Thread &t, uint64_t to, const Process &child)
{
	if (!to)
		return 0;
	uint64_t user, system;
	process_times(child, &user, &system);
	return copy_out(thread_space(t), to, usage_of(user + child.child_user_ns, system + child.child_system_ns, &child));
}

long sys_wait4(Thread &t, const uint64_t *a)
{
	int64_t pid = int32_t(a[0]);
	constexpr uint32_t kKnown = WNOHANG | WUNTRACED | WCONTINUED | 0xe0000000;	// and the __W flags of clone
	if (uint32_t(a[2]) & ~kKnown)
		return -EINVAL;
	uint32_t options = (uint32_t(a[2]) & (WNOHANG | WUNTRACED | WCONTINUED)) | WEXITED;
	Found f;
	long r = wait_for_child(t, pid, options, &f);
	if (r != 0 || !f.child)
		return r;
	long child_pid = f.child->pid;
	if ((a[1] && copy_out(thread_space(t), a[1], f.status) < 0) || put_rusage(t, a[3], *f.child) < 0)
		return -EFAULT;
	consume(*f.child, options);
	return child_pid;
}

SigInfo wait_info(const Found &f)
{
	SigInfo info;
	info.signo = kSigChld;
	info.sender = {int32_t(f.child->pid), f.child->uid};
	if (f.status == 0xffff)
		info.code = CLD_CONTINUED, info.value = kSigCont;
	else if ((f.status & 0xff) == 0x7f)
		info.code = CLD_STOPPED, info.value = uint64_t(f.status >> 8) & 0xff;
	else if (f.status & 0x7f)
		info.code = CLD_KILLED, info.value = uint64_t(f.status & 0x7f);
	else
		info.code = CLD_EXITED, info.value = uint64_t(f.status >> 8) & 0xff;
	return info;
}

long sys_waitid(Thread &t, const uint64_t *a)
{
	uint32_t options = uint32_t(a[3]);
	if ((options & ~uint32_t(WNOHANG | WNOWAIT | WEXITED | WSTOPPED | WCONTINUED | 0xe0000000))
	    || !(options & (WEXITED | WSTOPPED | WCONTINUED)))
		return -EINVAL;
	int64_t id = int32_t(a[1]), pid;
	switch (a[0]) {
	case P_ALL: pid = -1; break;
	case P_PID: pid = id; break;
	case P_PGID: pid = id ? -id : 0; break;
	default: return -EINVAL;
	}
	if (a[0] == P_PID && id <= 0)
		return -EINVAL;
	Found f;
	long r = wait_for_child(t, pid, options, &f);
	if (r != 0)
		return r;
	SigInfo info;
	if (f.child)
		info = wait_info(f);
	if (a[2] && copy_out(thread_space(t), a[2], info) < 0)
		return -EFAULT;
	if (!f.child)
		return 0;
	if (put_rusage(t, a[4], *f.child) < 0)
		return -EFAULT;
	consume(*f.child, options);
	return 0;
}

long sys_getrusage(Thread &t, const uint64_t *a)
{
	uint64_t user, system;
	switch (int32_t(a[0])) {
	case 0: process_times(*t.process, &user, &system); break;
	case -1: user = t.process->child_user_ns, system = t.process->child_system_ns; break;
	case 1: user = t.user_ns, system = t.system_ns; break;
	default: return -EINVAL;
	}
	return copy_out(thread_space(t), a[1], usage_of(user, system, int32_t(a[0]) == -1 ? nullptr : t.process.get()));
}

long sys_times(Thread &t, const uint64_t *a)
{
	constexpr uint64_t kTick = 10'000'000;	// USER_HZ 100
	uint64_t user, system;
	process_times(*t.process, &user, &system);
	uint64_t out[4] = {user / kTick, system / kTick, t.process->child_user_ns / kTick, t.process->child_system_ns / kTick};
	if (a[0] && copy_out(thread_space(t), a[0], out) < 0)
		return -EFAULT;
	return long(now_ns() / kTick);
}

const SyscallEntry kEntries[] = {
	{60, "exit", sys_exit},
	{61, "wait4", sys_wait4},
	{98, "getrusage", sys_getrusage},
	{100, "times", sys_times},
	{231, "exit_group", sys_exit_group},
	{247, "waitid", sys_waitid},
};

}  // namespace

SyscallList exit_syscalls() { return {kEntries, sizeof kEntries / sizeof *kEntries}; }

}  // namespace minivk
