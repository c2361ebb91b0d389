// What brought a guest out of user mode: a system call, a fault, an exception.
#include "cpu_mask.h"
#include "host.h"
#include "vcpu.h"

namespace minivk {
namespace {

constexpr int kFpeIntDiv = 1, kFpeFltDiv = 3, kFpeFltOvf = 4, kFpeFltUnd = 5, kFpeFltRes = 6, kFpeFltInv = 7;

// Ends the process with the most memory, the first process last of all. The access that found none is made again.
void kill_for_memory()
{
	Process *victim = nullptr;
	for (auto &[pid, p] : kernel().processes)
		if (!p->zombie && p != kernel().init && (!victim || process_resident(*p) > process_resident(*victim)))
			victim = p;
	Process *init = kernel().init;
	if (!victim || process_resident(*victim) < process_resident(*init) / 4)
		victim = init;
	host_log("out of memory: %s (pid %lld) was killed, it had %llu KiB", victim->comm, static_cast<long long>(victim->pid),
	    static_cast<unsigned long long>(process_resident(*victim) * (kPage / 1024)));
	process_exit(*victim, kSigKill);
}

void page_fault(Thread &t)
{
	const trapframe &f = t.tf;
	Access access = f.tf_err & PGEX_W ? Access::kWrite : f.tf_err & PGEX_I ? Access::kExecute : Access::kRead;
	++t.process->faults;
	FaultResult r = t.process->space->fault(f.tf_addr, access);
	if (r.signal == 0)
		return;
	if (r.out_of_memory) {
		kill_for_memory();
		return;
	}
	force_signal(t, r.signal, r.code, f.tf_addr);
}

// Which of the unmasked exceptions it was, from the state of the unit that raised it.
int float_code(const Thread &t, bool sse)
{
	const uint8_t *image = static_cast<const uint8_t *>(t.xsave);
	uint32_t raised, masked;
	if (sse) {
		uint32_t mxcsr = *reinterpret_cast<const uint32_t *>(image + 24);
		raised = mxcsr & 0x3f;
		masked = (mxcsr >> 7) & 0x3f;
	} else {
		raised = *reinterpret_cast<const uint16_t *>(image + 2) & 0x3f;
		masked = *reinterpret_cast<const uint16_t *>(image) & 0x3f;
	}
	uint32_t e = raised & ~masked;
	return e & 1 ? kFpeFltInv : e & 4 ? kFpeFltDiv : e & 8 ? kFpeFltOvf : e & 0x12 ? kFpeFltUnd : kFpeFltRes;
}

}  // namespace

void handle_trap(Thread &t)
{
	const uint64_t rip = t.tf.tf_rip;
	switch (t.tf.tf_trapno) {
	case 0: return;		// a kick
	case T_FAST_SYSCALL: begin_call(t); return;
	case T_SYSCALL80: t.tf.tf_rax = uint64_t(-38); return;	// no 32-bit programs: ENOSYS
	case T_PAGEFLT: page_fault(t); return;
	case T_DIVIDE: force_signal(t, kSigFpe, kFpeIntDiv, rip); return;
	case T_ARITHTRAP: force_signal(t, kSigFpe, float_code(t, false), rip); return;
	case T_XMMFLT: force_signal(t, kSigFpe, float_code(t, true), rip); return;
	case T_BPTFLT: force_signal(t, kSigTrap, kSiKernel, 0); return;
	case T_TRCTRAP: force_signal(t, kSigTrap, 2, rip); return;
	case T_ALIGNFLT: force_signal(t, kSigBus, 1, 0); return;
	case T_PRIVINFLT: force_signal(t, kSigIll, 2, rip); return;
	case T_PROTFLT:
		if (answer_cpuid(t))
			return;
		[[fallthrough]];
	default: force_signal(t, kSigSegv, kSiKernel, 0); return;
	}
}

}  // namespace minivk
