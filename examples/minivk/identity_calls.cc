// Who a process is: pids, groups, sessions, user and group ids.
#include <cerrno>

#include "calls.h"

namespace minivk {
namespace {

long sys_getpid(Thread &t, const uint64_t *) { return t.process->pid; }
long sys_gettid(Thread &t, const uint64_t *) { return t.tid; }
long sys_getppid(Thread &t, const uint64_t *) { return t.process->parent ? t.process->parent->pid : 0; }
long sys_getpgrp(Thread &t, const uint64_t *) { return t.process->pgid; }

long sys_getpgid(Thread &t, const uint64_t *a)
{
	Process *p = a[0] ? process_find(int32_t(a[0])) : t.process.get();
	return p ? p->pgid : -ESRCH;
}

long sys_getsid(Thread &t, const uint64_t *a)
{
	Process *p = a[0] ? process_find(int32_t(a[0])) : t.process.get();
	return p ? p->sid : -ESRCH;
}

bool group_exists(int64_t pgid, int64_t sid)
{
	for (auto &[pid, p] : kernel().processes)
		if (p->pgid == pgid && p->sid == sid)
			return true;
	return false;
}

long sys_setpgid(Thread &t, const uint64_t *a)
{
	Process &self = *t.process;
	int64_t pid = int32_t(a[0]), pgid = int32_t(a[1]);
	Process *p = pid ? process_find(pid) : &self;
	if (pgid < 0)
		return -EINVAL;
	if (!p || (p != &self && p->parent != &self))
		return -ESRCH;
	if (p != &self && p->exec_done)
		return -EACCES;
	if (p->sid != self.sid || p->pid == p->sid)
		return -EPERM;
	if (pgid == 0)
		pgid = p->pid;
	if (pgid != p->pid && !group_exists(pgid, p->sid))
		return -EPERM;
	p->pgid = pgid;
	return 0;
}

long sys_setsid(Thread &t, const uint64_t *)
{
	Process &p = *t.process;
	for (auto &[pid, other] : kernel().processes)
		if (other->pgid == p.pid)
			return -EPERM;
	p.pgid = p.sid = p.pid;
	p.terminal = nullptr;
	return p.sid;
}

long sys_getuid(Thread &t, const uint64_t *) { return t.process->uid; }
long sys_geteuid(Thread &t, const uint64_t *) { return t.process->euid; }
long sys_getgid(Thread &t, const uint64_t *) { return t.process->gid; }
long sys_getegid(Thread &t, const uint64_t *) { return t.process->egid; }

struct Ids { uint32_t *real, *effective, *saved; };
Ids users(Process &p) { return {&p.uid, &p.euid, &p.suid}; }
Ids groups(Process &p) { return {&p.gid, &p.egid, &p.sgid}; }

bool may_become(const Process &p, const Ids &ids, uint32_t id)
{
	return p.euid == 0 || id == *ids.real || id == *ids.effective || id == *ids.saved;
}

long set_one(Process &p, const Ids &ids, uint32_t id)
{
	if (!may_become(p, ids, id))
		return -EPERM;
	if (p.euid == 0)
		*ids.real = *ids.saved = id;
	*ids.effective = id;
	return 0;
}

// -1 leaves a value as it is.
long set_three(Process &p, const Ids &ids, uint32_t real, uint32_t effective, uint32_t saved)
{
	const uint32_t kKeep = ~0u;
	for (uint32_t id : {real, effective, saved})
		if (id != kKeep && !may_become(p, ids, id))
			return -EPERM;
	if (real != kKeep)
		*ids.real = real;
	if (effective != kKeep)
		*ids.effective = effective;
	if (saved != kKeep)
		*ids.saved = saved;
	return 0;
}

long sys_setuid(Thread &t, const uint64_t *a) { return set_one(*t.process, users(*t.process), uint32_t(a[0])); }
long sys_setgid(Thread &t, const uint64_t *a) { return set_one(*t.process, groups(*t.process), uint32_t(a[0])); }
long sys_setreuid(Thread &t, const uint64_t *a)
{
	return set_three(*t.process, users(*t.process), uint32_t(a[0]), uint32_t(a[1]), ~0u);
}
long sys_setregid(Thread &t, const uint64_t *a)
{
	return set_three(*t.process, groups(*t.process), uint32_t(a[0]), uint32_t(a[1]), ~0u);
}
long sys_setresuid(Thread &t, const uint64_t *a)
{
	return set_three(*t.process, users(*t.process), uint32_t(a[0]), uint32_t(a[1]), uint32_t(a[2]));
}
long sys_setresgid(Thread &t, const uint64_t *a)
{
	return set_three(*t.process, groups(*t.process), uint32_t(a[0]), uint32_t(a[1]), uint32_t(a[2]));
}

long get_three(Thread &t, const uint64_t *a, const Ids &ids)
{
	AddressSpace &as = thread_space(t);
	return copy_out(as, a[0], *ids.real) < 0 || copy_out(as, a[1], *ids.effective) < 0 || copy_out(as, a[2], *ids.saved) < 0
	    ? -EFAULT : 0;
}
long sys_getresuid(Thread &t, const uint64_t *a) { return get_three(t, a, users(*t.process)); }
long sys_getresgid(Thread &t, const uint64_t *a) { return get_three(t, a, groups(*t.process)); }
long sys_setfsuid(Thread &t, const uint64_t *) { return t.process->euid; }
long sys_setfsgid(Thread &t, const uint64_t *) { return t.process->egid; }

long sys_getgroups(Thread &t, const uint64_t *a)
{
	const auto &g = t.process->groups;
	if (a[0] == 0)
		return long(g.size());
	if (a[0] < g.size())
		return -EINVAL;
	return copy_out(thread_space(t), a[1], g.data(), g.size() * 4) < 0 ? -EFAULT : long(g.size());
}

long sys_setgroups(Thread &t, const uint64_t *a)
{
	if (t.process->euid != 0)
		return -EPERM;
	if (a[0] > 1024)
		return -EINVAL;
	KVector<uint32_t> g(a[0]);
	if (copy_in(thread_space(t), a[1], g.data(), g.size() * 4) < 0)
		return -EFAULT;
	t.process->groups = std::move(g);
	return 0;
}

const SyscallEntry kEntries[] = {
	{39, "getpid", sys_getpid}, {102, "getuid", sys_getuid}, {104, "getgid", sys_getgid}, {105, "setuid", sys_setuid},
	{106, "setgid", sys_setgid}, {107, "geteuid", sys_geteuid}, {108, "getegid", sys_getegid},
	{109, "setpgid", sys_setpgid}, {110, "getppid", sys_getppid}, {111, "getpgrp", sys_getpgrp},
	{112, "setsid", sys_setsid}, {113, "setreuid", sys_setreuid}, {114, "setregid", sys_setregid},
	{115, "getgroups", sys_getgroups}, {116, "setgroups", sys_setgroups}, {117, "setresuid", sys_setresuid},
	{118, "getresuid", sys_getresuid}, {119, "setresgid", sys_setresgid}, {120, "getresgid", sys_getresgid},
	{121, "getpgid", sys_getpgid}, {122, "setfsuid", sys_setfsuid}, {123, "setfsgid", sys_setfsgid},
	{124, "getsid", sys_getsid}, {186, "gettid", sys_gettid},
};

}  // namespace

SyscallList identity_syscalls() { return {kEntries, sizeof kEntries / sizeof *kEntries}; }

}  // namespace minivk
