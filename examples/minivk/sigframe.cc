// The frame of a signal handler on the guest's stack, as Linux lays it out on x86-64: rt_sigframe, and above it the XSAVE
// image with the marks that tell its size.
#include <cerrno>
#include <cstring>

#include "process.h"

namespace minivk {
namespace {

struct SigContext {
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, rflags;
	uint16_t cs, gs, fs, ss;
	uint64_t err, trapno, oldmask, cr2, fpstate, reserved[8];
};
static_assert(sizeof(SigContext) == 256);
struct UserContext {
	uint64_t flags, link;
	uint64_t stack_pointer;
	int32_t stack_flags, pad;
	uint64_t stack_bytes;
	SigContext context;
	uint64_t mask;
};
struct SignalFrame {
	uint64_t return_address;
	UserContext uc;
	SigInfo info;
};
static_assert(sizeof(SignalFrame) == 8 + 304 + 128);

struct XsaveMarks {	// at kMarksOffset of the legacy area: free for software
	uint32_t magic1, extended_bytes;
	uint64_t features;
	uint32_t xstate_bytes, padding[7];
};
constexpr size_t kMarksOffset = 464, kHeaderOffset = 512, kMxcsrOffset = 24;
constexpr uint32_t kMagic1 = 0x46505853, kMagic2 = 0x46505845;
constexpr uint64_t kUcXstate = 1, kUcSs = 2, kUcStrictSs = 4;
constexpr uint64_t kUserFlags = 0x50dd5;	// of rflags, what a frame may change
constexpr uint64_t kDirectionTrap = 0x500;

uint64_t linux_trapno(const trapframe &tf)
{
	switch (tf.tf_trapno) {
	case T_PAGEFLT: return 14;
	case T_PROTFLT: return 13;
	case T_DIVIDE: return 0;
	case T_BPTFLT: return 3;
	case T_TRCTRAP: return 1;
	case T_PRIVINFLT: return 6;
	case T_ARITHTRAP: return 16;
	case T_ALIGNFLT: return 17;
	case T_XMMFLT: return 19;
	default: return 0;
	}
}

void save_registers(const Thread &t, SigContext *c)
{
	const trapframe &f = t.tf;
	*c = {};
	c->r8 = f.tf_r8, c->r9 = f.tf_r9, c->r10 = f.tf_r10, c->r11 = f.tf_r11;
	c->r12 = f.tf_r12, c->r13 = f.tf_r13, c->r14 = f.tf_r14, c->r15 = f.tf_r15;
	c->rdi = f.tf_rdi, c->rsi = f.tf_rsi, c->rbp = f.tf_rbp, c->rbx = f.tf_rbx;
	c->rdx = f.tf_rdx, c->rax = f.tf_rax, c->rcx = f.tf_rcx, c->rsp = f.tf_rsp;
	c->rip = f.tf_rip, c->rflags = f.tf_rflags;
	c->cs = 0x33, c->ss = 0x2b;
	c->err = f.tf_err, c->trapno = linux_trapno(f), c->cr2 = f.tf_addr;
}

void load_registers(Thread &t, const SigContext &c)
{
	trapframe &f = t.tf;
	f.tf_r8 = c.r8, f.tf_r9 = c.r9, f.tf_r10 = c.r10, f.tf_r11 = c.r11;
	f.tf_r12 = c.r12, f.tf_r13 = c.r13, f.tf_r14 = c.r14, f.tf_r15 = c.r15;
	f.tf_rdi = c.rdi, f.tf_rsi = c.rsi, f.tf_rbp = c.rbp, f.tf_rbx = c.rbx;
	f.tf_rdx = c.rdx, f.tf_rax = c.rax, f.tf_rcx = c.rcx, f.tf_rsp = c.rsp;
	f.tf_rip = c.rip;
	f.tf_rflags = (f.tf_rflags & ~kUserFlags) | (c.rflags & kUserFlags);
}

// An XSAVE image that came from the guest: what would fault in XRSTOR is set right.
void sanitize_xsave(uint8_t *image)
{
	uint32_t mxcsr;
	memcpy(&mxcsr, image + kMxcsrOffset, 4);
	mxcsr &= 0xffff;
	memcpy(image + kMxcsrOffset, &mxcsr, 4);
	uint64_t features;
	memcpy(&features, image + kHeaderOffset, 8);
	features &= kernel().xcr0;
	memset(image + kHeaderOffset, 0, 64);
	memcpy(image + kHeaderOffset, &features, 8);
}

long save_xsave(Thread &t, uint64_t to)
{
	AddressSpace &as = *t.process->space;
	const uint32_t bytes = kernel().xsave_bytes;
	XsaveMarks marks = {kMagic1, bytes + 4, kernel().xcr0, bytes, {}};
	if (copy_out(as, to, t.xsave, bytes) < 0 || copy_out(as, to + kMarksOffset, marks) < 0)
		return -EFAULT;
	return copy_out(as, to + bytes, kMagic2);
}

long load_xsave(Thread &t, uint64_t from)
{
	AddressSpace &as = *t.process->space;
	const uint32_t bytes = kernel().xsave_bytes;
	if (from == 0) {
		vmspace_host_xsave_init(t.xsave);
		return 0;
	}
	uint8_t *image = static_cast<uint8_t *>(t.xsave);
	XsaveMarks marks;
	if (copy_in(as, from + kMarksOffset, &marks) < 0)
		return -EFAULT;
	// Without the marks only the legacy area is there, as in programs older than XSAVE.
	bool whole = marks.magic1 == kMagic1 && marks.xstate_bytes <= bytes && marks.xstate_bytes >= kHeaderOffset + 64;
	vmspace_host_xsave_init(image);
	if (copy_in(as, from, image, whole ? marks.xstate_bytes : kHeaderOffset) < 0)
		return -EFAULT;
	if (!whole) {
		uint64_t legacy = 3;
		memset(image + kHeaderOffset, 0, 64);
		memcpy(image + kHeaderOffset, &legacy, 8);
	}
	memset(image + kMarksOffset, 0, sizeof marks);
	sanitize_xsave(image);
	return 0;
}

bool on_alt_stack(const Thread &t, uint64_t sp) { return sp > t.alt_stack && sp - t.alt_stack <= t.alt_bytes; }

}  // namespace

bool push_signal_frame(Thread &t, int sig, const SignalAction &action, const SigInfo &info, uint64_t mask)
{
	AddressSpace &as = *t.process->space;
	uint64_t sp = t.tf.tf_rsp - 128;	// below the red zone
	if ((action.flags & kSaOnStack) && t.alt_bytes && !on_alt_stack(t, t.tf.tf_rsp))
		sp = t.alt_stack + t.alt_bytes;
	uint64_t fpstate = (sp - kernel().xsave_bytes - 4) & ~63ull;
	uint64_t at = ((fpstate - sizeof(SignalFrame)) & ~15ull) - 8;

	SignalFrame frame = {};
	frame.return_address = action.restorer;
	frame.uc.flags = kUcXstate | kUcSs | kUcStrictSs;
	frame.uc.stack_pointer = t.alt_stack;
	frame.uc.stack_flags = t.alt_bytes ? (on_alt_stack(t, t.tf.tf_rsp) ? 1 : 0) : 2;
	frame.uc.stack_bytes = t.alt_bytes;
	save_registers(t, &frame.uc.context);
	frame.uc.context.fpstate = fpstate;
	frame.uc.context.oldmask = mask;
	frame.uc.mask = mask;
	frame.info = info;
	if (!(action.flags & kSaRestorer) || save_xsave(t, fpstate) < 0 || copy_out(as, at, frame) < 0)
		return false;

	t.tf.tf_rsp = at;
	t.tf.tf_rip = action.handler;
	t.tf.tf_rdi = uint64_t(sig);
	t.tf.tf_rsi = at + offsetof(SignalFrame, info);
	t.tf.tf_rdx = at + offsetof(SignalFrame, uc);
	t.tf.tf_rax = 0;
	t.tf.tf_rflags &= ~kDirectionTrap;
	return true;
}

long sys_rt_sigreturn(Thread &t, const uint64_t *)
{
	AddressSpace &as = *t.process->space;
	SignalFrame frame;
	uint64_t at = t.tf.tf_rsp - 8;	// the handler's ret took the return address
	t.registers_set = true;
	if (copy_in(as, at, &frame) < 0 || load_xsave(t, frame.uc.context.fpstate) < 0) {
		force_signal(t, kSigSegv, kSiKernel, 0);
		return 0;
	}
	load_registers(t, frame.uc.context);
	t.blocked_signals = frame.uc.mask & ~kUnblockable;
	if (!on_alt_stack(t, t.tf.tf_rsp)) {
		t.alt_stack = frame.uc.stack_pointer;
		t.alt_bytes = frame.uc.stack_flags & 2 ? 0 : frame.uc.stack_bytes;
	}
	return 0;
}

}  // namespace minivk
