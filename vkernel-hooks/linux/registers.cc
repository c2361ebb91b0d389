/*
 * Registers between the vkernel's trapframe and an executor's signal frame.
 *
 * The frame lies in the mailbox, which every task of the guest process can write, also now. So everything is loaded
 * once, addresses are checked before use, and what comes out of a smashed mailbox is at worst other guest registers.
 */
#include <cpuid.h>
#include <linux/audit.h>
#include <signal.h>
#include <string.h>

#include "vkernel-hooks/linux/internal.h"

namespace vmspace {
namespace {

constexpr uint64_t kUserFlags = 0x250dd5;	/* CF PF AF ZF SF TF DF OF RF AC ID; not NT, which would fault in iretq */
constexpr uint64_t kForcedFlags = 0x202;	/* reserved bit and IF */
constexpr unsigned kXsaveLegacyBytes = 464;	/* what XRSTOR loads of the FXSAVE area; then 48 bytes of the kernel's own */
constexpr unsigned kXsaveHeaderAt = 512, kXsaveHeaderBytes = 64;
constexpr unsigned kMxcsrAt = 24;
constexpr uint32_t kMxcsrBits = 0xffff;		/* every CPU with FSGSBASE has all of them */
constexpr uint64_t kPkru = 1 << 9;		/* not restored: guests have no protection keys */
constexpr uint64_t kAmxTiles = 1 << 18;		/* a process has them only on request, and a stub does not ask */

template <typename T> T load(const uint8_t *address) {
	T value;
	memcpy(&value, address, sizeof value);
	return value;
}
template <typename T> void store(uint8_t *address, T value) { memcpy(address, &value, sizeof value); }

struct Pair {
	unsigned frame_offset;
	uint64_t trapframe::*member;
};
constexpr Pair kGeneralRegisters[] = {
	{SF_R8, &trapframe::tf_r8}, {SF_R9, &trapframe::tf_r9}, {SF_R10, &trapframe::tf_r10}, {SF_R11, &trapframe::tf_r11},
	{SF_R12, &trapframe::tf_r12}, {SF_R13, &trapframe::tf_r13}, {SF_R14, &trapframe::tf_r14},
	{SF_R15, &trapframe::tf_r15}, {SF_RDI, &trapframe::tf_rdi}, {SF_RSI, &trapframe::tf_rsi},
	{SF_RBP, &trapframe::tf_rbp}, {SF_RBX, &trapframe::tf_rbx}, {SF_RDX, &trapframe::tf_rdx},
	{SF_RAX, &trapframe::tf_rax}, {SF_RCX, &trapframe::tf_rcx},
};

struct XsaveLayout {
	uint64_t components;
	size_t bytes;
};

XsaveLayout read_xsave_layout() {
	uint32_t low, high;
	asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	XsaveLayout layout = {((static_cast<uint64_t>(high) << 32) | low) & ~kAmxTiles, kXsaveHeaderAt + kXsaveHeaderBytes};
	for (unsigned i = 2; i < 63; i++) {
		if ((layout.components >> i & 1) == 0)
			continue;
		unsigned size, offset, c, d;
		__cpuid_count(0xd, i, size, offset, c, d);
		if (offset + size > layout.bytes)
			layout.bytes = offset + size;
	}
	return layout;
}

const XsaveLayout &xsave_layout() {
	static XsaveLayout layout = {0, 0};
	if (layout.bytes == 0)
		layout = read_xsave_layout();
	return layout;
}

}  // namespace

bool read_report(Executor &executor, Report *report) {
	const uint32_t signal = load<uint32_t>(executor.mailbox + MB_SIGNAL);
	const uint64_t frame_offset = load<uint64_t>(executor.mailbox + MB_FRAME) - executor.stub_address;
	if (frame_offset < MB_STACK || frame_offset > STUB_MAILBOX_BYTES - SF_BYTES || frame_offset % 8 != 0)
		return false;
	const uint8_t *frame = executor.mailbox + frame_offset;
	const uint64_t fpstate_offset = load<uint64_t>(frame + SF_FPSTATE) - executor.stub_address;
	if (fpstate_offset < MB_STACK || fpstate_offset % 64 != 0
	    || fpstate_offset > STUB_MAILBOX_BYTES - xsave_layout().bytes)
		return false;
	executor.frame_offset = static_cast<uint32_t>(frame_offset);
	executor.fpstate_offset = static_cast<uint32_t>(fpstate_offset);
	report->signal = static_cast<int>(signal & 0xff);
	report->code = load<int32_t>(frame + SF_SI_CODE);
	report->entered = (signal & MB_NOT_ENTERED) == 0;
	report->compatible = load<uint32_t>(frame + SF_SI_ARCH) != AUDIT_ARCH_X86_64;
	report->trap = load<uint64_t>(frame + SF_TRAPNO);
	report->error = load<uint64_t>(frame + SF_ERR);
	report->address = load<uint64_t>(frame + SF_CR2);
	return true;
}

void save_registers(const Executor &executor, trapframe *tf, vextframe *vf) {
	const uint8_t *frame = executor.mailbox + executor.frame_offset;
	for (const Pair &pair : kGeneralRegisters)
		tf->*pair.member = load<uint64_t>(frame + pair.frame_offset);
	const uint64_t selectors = load<uint64_t>(frame + SF_SELECTORS);
	tf->tf_cs = selectors & 0xffff;
	tf->tf_ss = selectors >> 48;
	tf->tf_rip = load<uint64_t>(frame + SF_RIP);
	tf->tf_rsp = load<uint64_t>(frame + SF_RSP);
	tf->tf_rflags = load<uint64_t>(frame + SF_RFLAGS);
	vf->vx_tls.info[0].base = load<uint64_t>(executor.mailbox + MB_FSBASE);
	vf->vx_tls.info[1].base = load<uint64_t>(executor.mailbox + MB_GSBASE);
}

void load_registers(const Executor &executor, const trapframe &tf, const vextframe &vf) {
	uint8_t *frame = executor.mailbox + executor.frame_offset;
	for (const Pair &pair : kGeneralRegisters)
		store(frame + pair.frame_offset, tf.*pair.member);
	/* Again with every entry: a guest that scribbled over its frame must not spoil the next one to run here. */
	store<uint64_t>(frame + SF_FPSTATE, executor.stub_address + executor.fpstate_offset);
	store<uint64_t>(frame + SF_UC_LINK, executor.stub_address + MB_IRET);
	store<uint64_t>(executor.mailbox + MB_FSBASE, vf.vx_tls.info[0].base);
	store<uint64_t>(executor.mailbox + MB_GSBASE, vf.vx_tls.info[1].base);
	const uint64_t iret[] = {tf.tf_rip, STUB_GUEST_CS, (tf.tf_rflags & kUserFlags) | kForcedFlags, tf.tf_rsp, STUB_GUEST_SS};
	memcpy(executor.mailbox + MB_IRET, iret, sizeof iret);
}

void save_xsave(const Executor &executor, void *xsave) {
	memcpy(xsave, executor.mailbox + executor.fpstate_offset, xsave_layout().bytes);
	memset(static_cast<uint8_t *>(xsave) + kXsaveLegacyBytes, 0, kXsaveHeaderAt - kXsaveLegacyBytes);
}

void load_xsave(const Executor &executor, const void *xsave) {
	const uint8_t *from = static_cast<const uint8_t *>(xsave);
	uint8_t *to = executor.mailbox + executor.fpstate_offset;
	memcpy(to, from, kXsaveLegacyBytes);
	store<uint32_t>(to + kMxcsrAt, load<uint32_t>(from + kMxcsrAt) & kMxcsrBits);
	memset(to + kXsaveHeaderAt, 0, kXsaveHeaderBytes);	/* compaction and reserved bits would fault */
	store<uint64_t>(to + kXsaveHeaderAt, load<uint64_t>(from + kXsaveHeaderAt) & xsave_layout().components & ~kPkru);
	const unsigned extended = kXsaveHeaderAt + kXsaveHeaderBytes;
	memcpy(to + extended, from + extended, xsave_layout().bytes - extended);
}

}  // namespace vmspace

size_t vmspace_host_xsave_bytes(void) { return vmspace::xsave_layout().bytes; }

uint64_t vmspace_host_xcr0(void) { return vmspace::xsave_layout().components; }

void vmspace_host_xsave_init(void *xsave) {
	uint8_t *image = static_cast<uint8_t *>(xsave);
	memset(image, 0, vmspace_host_xsave_bytes());
	vmspace::store<uint16_t>(image, 0x37f);
	vmspace::store<uint32_t>(image + vmspace::kMxcsrAt, 0x1f80);
	vmspace::store<uint64_t>(image + vmspace::kXsaveHeaderAt, 3);	/* x87 and SSE are given, the rest is initial */
}
