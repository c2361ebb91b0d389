// fork, vfork, clone, clone3.
#include <cerrno>
#include <cstring>
#include <sched.h>

#include "calls.h"

namespace minivk {
namespace {

struct CloneArguments {
	uint64_t flags, exit_signal, stack, parent_tid, child_tid, tls;
};

void copy_registers(const Thread &from, Thread &to, const CloneArguments &c)
{
	to.tf = from.tf;
	to.ext = from.ext;
	memcpy(to.xsave, from.xsave, kernel().xsave_bytes);
	to.tf.tf_rax = 0;
	if (c.stack)
		to.tf.tf_rsp = c.stack;
	if (c.flags & CLONE_SETTLS)
		to.ext.vx_tls.info[0].base = c.tls;
	to.blocked_signals = from.restore_mask ? from.saved_mask : from.blocked_signals;
	if ((c.flags & (CLONE_VM | CLONE_VFORK)) != CLONE_VM) {
		to.alt_stack = from.alt_stack;
		to.alt_bytes = from.alt_bytes;
	}
}

long set_tids(Thread &parent, Thread &child, const CloneArguments &c)
{
	uint32_t tid = uint32_t(child.tid);
	if ((c.flags & CLONE_PARENT_SETTID) && copy_out(thread_space(parent), c.parent_tid, tid) < 0)
		return -EFAULT;
	if ((c.flags & CLONE_CHILD_SETTID) && copy_out(thread_space(child), c.child_tid, tid) < 0)
		return -EFAULT;
	if (c.flags & CLONE_CHILD_CLEARTID)
		child.clear_child_tid = c.child_tid;
	return 0;
}

void inherit(const Process &from, Process &to)
{
	to.pgid = from.pgid;
	to.sid = from.sid;
	to.terminal = from.terminal;
	memcpy(to.actions, from.actions, sizeof to.actions);
	to.uid = from.uid, to.euid = from.euid, to.suid = from.suid;
	to.gid = from.gid, to.egid = from.egid, to.sgid = from.sgid;
	to.groups = from.groups;
	memcpy(to.limits, from.limits, sizeof to.limits);
	memcpy(to.comm, from.comm, sizeof to.comm);
	to.exe = from.exe;
	to.arg_start = from.arg_start, to.arg_end = from.arg_end;
	to.env_start = from.env_start, to.env_end = from.env_end;
	to.nice = from.nice;
}

// The child as a process of its own; null if there is no memory for it.
Process *clone_process(Thread &t, const CloneArguments &c)
{
	Process &parent = *t.process;
	Ref<AddressSpace> space = c.flags & CLONE_VM ? parent.space : parent.space->fork();
	if (!space)
		return nullptr;
	Process *p = process_new(&parent);
	inherit(parent, *p);
	if (!(c.flags & CLONE_VM))
		space->owner_pid = p->pid;
	p->space = space;
	p->files = c.flags & CLONE_FILES ? parent.files : parent.files->copy();
	if (c.flags & CLONE_FS) {
		p->fs = parent.fs;
	} else {
		p->fs = kmake<FsContext>();
		p->fs->root = parent.fs->root;
		p->fs->cwd = parent.fs->cwd;
		p->fs->umask = parent.fs->umask;
	}
	p->exit_signal = int32_t(c.exit_signal);
	return p;
}

long wait_for_vfork(Thread &t)
{
	Process *child = process_find(int64_t(t.call.progress));
	if (!child || !child->vfork_pending || child->parent != t.process.get())
		return long(t.call.progress);
	t.uninterruptible = true;
	wait_on(t, child->vfork_done);
	return kBlocked;
}

long clone_thread(Thread &t, const CloneArguments &c)
{
	if (!(c.flags & CLONE_VM) || !(c.flags & CLONE_SIGHAND))
		return -EINVAL;
	Thread *n = thread_new(*t.process, 0);
	copy_registers(t, *n, c);
	memcpy(n->comm, t.comm, sizeof n->comm);
	if (long r = set_tids(t, *n, c); r < 0) {
		thread_exit(*n, 0);
		return r;
	}
	long tid = n->tid;
	make_runnable(*n);
	return tid;
}

long clone_with(Thread &t, const CloneArguments &c)
{
	if (t.call.again)
		return wait_for_vfork(t);
	constexpr uint64_t kNamespaces = 0x7e020000;
	if ((c.flags & kNamespaces) || (c.flags & CLONE_PIDFD) || c.exit_signal > 64)
		return -EINVAL;
	if (!kernel_memory_ok())
		return -EAGAIN;
	if (c.flags & CLONE_THREAD)
		return clone_thread(t, c);
	Process *p = clone_process(t, c);
	if (!p)
		return -EAGAIN;
	Thread *n = thread_new(*p, p->pid);
	copy_registers(t, *n, c);
	memcpy(n->comm, t.comm, sizeof n->comm);
	if (long r = set_tids(t, *n, c); r < 0) {
		p->exit_signal = 0;
		process_exit(*p, 0);
		process_reap(*p);
		return r;
	}
	long pid = p->pid;
	make_runnable(*n);
	if (!(c.flags & CLONE_VFORK))
		return pid;
	p->vfork_pending = true;
	t.call.progress = uint64_t(pid);
	return wait_for_vfork(t);
}

long sys_fork(Thread &t, const uint64_t *) { return clone_with(t, {0, kSigChld, 0, 0, 0, 0}); }
long sys_vfork(Thread &t, const uint64_t *) { return clone_with(t, {CLONE_VM | CLONE_VFORK, kSigChld, 0, 0, 0, 0}); }

long sys_clone(Thread &t, const uint64_t *a)
{
	return clone_with(t, {a[0] & ~0xffull, a[0] & 0xff, a[1], a[2], a[3], a[4]});
}

long sys_clone3(Thread &t, const uint64_t *a)
{
	struct {
		uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_bytes, tls, set_tid, set_tid_count, cgroup;
	} args = {};
	if (a[1] < 64)
		return -EINVAL;
	if (a[1] > 4096)
		return -E2BIG;
	if (copy_in(thread_space(t), a[0], &args, std::min<uint64_t>(a[1], sizeof args)) < 0)
		return -EFAULT;
	if (args.set_tid_count || args.cgroup || (args.flags & 0xff))
		return -EINVAL;
	return clone_with(t, {args.flags, args.exit_signal, args.stack ? args.stack + args.stack_bytes : 0, args.parent_tid,
	    args.child_tid, args.tls});
}

const SyscallEntry kEntries[] = {
	{56, "clone", sys_clone},
	{57, "fork", sys_fork},
	{58, "vfork", sys_vfork},
	{435, "clone3", sys_clone3},
};

}  // namespace

SyscallList clone_syscalls() { return {kEntries, sizeof kEntries / sizeof *kEntries}; }

}  // namespace minivk
