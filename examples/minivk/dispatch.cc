// System calls: one table from all areas' lists; how a call begins, blocks, is called again and ends.
#include <cerrno>

#include "call_names.h"
#include "host.h"
#include "syscall.h"
#include "vcpu.h"

namespace minivk {
namespace {

constexpr uint32_t kTableSize = 512;
SyscallHandler table[kTableSize];

// Its result is -ENOSYS; each number is named in the log once in the vkernel's life.
long sys_unknown(Thread &t, const uint64_t *)
{
	uint32_t number = t.call.number < kTableSize ? t.call.number : kTableSize - 1;
	if (kernel().unknown[number].count++ == 0)
		host_log("%s (pid %lld) uses system call %u (%s), which is not there: ENOSYS", t.process->comm,
		    static_cast<long long>(t.process->pid), t.call.number, call_name(t.call.number));
	return -ENOSYS;
}

void add(SyscallList list)
{
	for (size_t i = 0; i < list.count; i++)
		table[list.entries[i].number] = list.entries[i].handler;
}

}  // namespace

void calls_boot()
{
	for (SyscallHandler &h : table)
		h = sys_unknown;
	add(process_syscalls());
	add(file_syscalls());
}

void begin_call(Thread &t)
{
	const trapframe &f = t.tf;
	t.call = {};
	t.call.arg[0] = f.tf_rdi, t.call.arg[1] = f.tf_rsi, t.call.arg[2] = f.tf_rdx;
	t.call.arg[3] = f.tf_r10, t.call.arg[4] = f.tf_r8, t.call.arg[5] = f.tf_r9;
	t.call.number = uint32_t(f.tf_rax);
	t.in_call = true;
	continue_call(t);
}

void continue_call(Thread &t)
{
	CallState &call = t.call;
	call.interrupted = deliverable(t) && call_must_end(t);
	if (t.process->stopped || t.state == ThreadState::kDead)
		return;		// the call goes on when the process does
	t.woken = false;
	t.registers_set = false;
	t.uninterruptible = false;
	SyscallHandler handler = call.number < kTableSize ? table[call.number] : sys_unknown;
	long result = handler(t, call.arg);
	if (t.state == ThreadState::kDead)
		return;
	if (result == kBlocked) {
		call.again = true;
		call.timed_out = false;
		bool stays = !call.interrupted || (t.uninterruptible && !death_is_first(t));
		if (stays && !t.woken)
			t.state = ThreadState::kBlockedState;
		else if (stays)
			stop_waiting(t);	// woken meanwhile: runnable, and called again
		if (stays)
			return;
		result = kRestartSys;
	}
	stop_waiting(t);
	t.in_call = false;
	t.waiting_for = 0;
	bool set = t.registers_set;
	if (!set && result != kRestartSys && result != kRestartNoHand)
		t.tf.tf_rax = uint64_t(result);
	deliver_signals(t, set ? 0 : result, !set);
}

}  // namespace minivk
