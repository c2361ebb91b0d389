/*
 * VMSPACE_CTL_RUN: let a vCPU's executor go, wait until it stops, and deal with the stop or hand it to the vkernel.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "vkernel-hooks/linux/internal.h"

namespace vmspace {
namespace {

/*
 * Linux lets this one number pass every seccomp filter (since 6.14, for the trampolines of its own probes) and answers it
 * with a SIGILL sent by the kernel, no host effect. For the guest it is a system call like any other.
 */
constexpr uint64_t kUretprobe = 335;

enum class Next { kReturn, kAgain };

/* DragonFly's number of an x86 exception. */
uint64_t trap_number(uint64_t vector) {
	switch (vector) {
	case 0: return T_DIVIDE;
	case 1: return T_TRCTRAP;
	case 3: return T_BPTFLT;
	case 4: return T_OFLOW;
	case 5: return T_BOUND;
	case 6: return T_PRIVINFLT;
	case 7: return T_DNA;
	case 11: return T_SEGNPFLT;
	case 12: return T_STKFLT;
	case 14: return T_PAGEFLT;
	case 16: return T_ARITHTRAP;
	case 17: return T_ALIGNFLT;
	case 19: return T_XMMFLT;
	default: return T_PROTFLT;
	}
}

Access access_of(uint64_t error) {
	if ((error & PGEX_W) != 0)
		return Access::kWrite;
	return (error & PGEX_I) != 0 ? Access::kExecute : Access::kRead;
}

bool take_kick(Vcpu &vcpu) { return vcpu.kick_pending.load() != 0 && vcpu.kick_pending.exchange(0) != 0; }

/* Waits for the stop; a signal of this thread becomes a kick, so that the guest is stopped before RUN returns. */
int wait_for_stop(const Stub &stub, Executor &executor, Report *report) {
	for (;;) {
		switch (await_stop(stub, executor)) {
		case Stop::kStopped:
			return read_report(executor, report) ? 0 : EIO;
		case Stop::kInterrupted:
			note_signal();
			break;
		case Stop::kDied:
			return EIO;
		}
	}
}

Next handle_page_fault(Vmspace &vm, const Report &report, trapframe *tf, int *error) {
	switch (resolve_fault(vm, report.address, access_of(report.error), error)) {
	case Fault::kMapped:
		return Next::kAgain;
	case Fault::kFailed:
		return Next::kReturn;
	case Fault::kForVkernel:
		break;
	}
	tf->tf_trapno = T_PAGEFLT;
	tf->tf_addr = report.address;
	tf->tf_err = report.error & (PGEX_P | PGEX_W | PGEX_U | PGEX_I);
	return Next::kReturn;
}

Next handle_stop(Vmspace &vm, Executor &executor, const Report &report, trapframe *tf, int *error) {
	switch (report.signal) {
	case SIGUSR1:	/* a kick; whether one is due is decided where all pending kicks are looked at */
		__atomic_store_n(reinterpret_cast<uint32_t *>(executor.slot + CTL_KICK), 0, __ATOMIC_SEQ_CST);
		return Next::kAgain;
	case SIGSYS:
		tf->tf_trapno = report.compatible ? T_SYSCALL80 : T_FAST_SYSCALL;
		return Next::kReturn;
	case SIGILL:
		if (report.code == SI_KERNEL) {
			tf->tf_trapno = T_FAST_SYSCALL;
			tf->tf_rax = kUretprobe;
			return Next::kReturn;
		}
		break;
	case SIGBUS:
		if (report.trap == 14) {	/* mapped, but the host has no page: RAM cut short, or host memory at its end */
			*error = EIO;
			return Next::kReturn;
		}
		break;
	default:
		break;
	}
	if (trap_number(report.trap) == T_PAGEFLT)
		return handle_page_fault(vm, report, tf, error);
	tf->tf_trapno = trap_number(report.trap);
	tf->tf_err = report.error;
	return Next::kReturn;
}

/* One turn in the guest. kAgain: nothing for the vkernel yet. */
Next run_once(Vmspace &vm, Executor &executor, trapframe *tf, vextframe *vf, int *error) {
	load_registers(executor, *tf, *vf);
	Report report;
	*error = let_go(executor) ? wait_for_stop(*vm.stub.load(), executor, &report) : EIO;
	if (*error != 0)
		return Next::kReturn;
	tf->tf_trapno = tf->tf_err = tf->tf_addr = 0;
	if (report.entered)
		save_registers(executor, tf, vf);
	return handle_stop(vm, executor, report, tf, error);
}

}  // namespace

int run_vmspace(Vmspace &vm, unsigned vcpu_number, trapframe *tf, vextframe *vf, void *xsave) {
	Vcpu &vcpu = host.vcpus[vcpu_number];
	Stub *stub;
	if (find_stub(vm, &stub) != 0)
		return EAGAIN;	/* whatever it was: nothing has happened, and later the host may give a process */
	Executor &executor = stub->executors[vcpu_number];
	if (xsave != nullptr)
		load_xsave(executor, xsave);
	vcpu.run_number.fetch_add(1);
	vcpu.running.store(&executor);	/* from here on a kick stops the executor too */
	int error = 0;
	for (;;) {
		if (take_kick(vcpu)) {
			tf->tf_trapno = 0;
			break;
		}
		if (run_once(vm, executor, tf, vf, &error) == Next::kReturn)
			break;
	}
	vcpu.running.store(nullptr);
	if (error == EIO)
		stub_kill(*stub);	/* whatever went wrong, it shall not run on unobserved */
	else if (xsave != nullptr)
		save_xsave(executor, xsave);
	return error;
}

}  // namespace vmspace
