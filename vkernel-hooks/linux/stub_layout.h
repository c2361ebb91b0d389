/*
 * Where things lie in a stub process, known to the stub (assembly and C++) and to the library.
 *
 * A stub is the host process behind one vmspace. Everything below STUB_BASE belongs to the guest; the stub itself
 * lives in the last 2 MiB of the address space, which DragonFly's VM_MAX_USER_ADDRESS leaves free:
 *
 *	STUB_BASE	code	r-x	the image of the stub
 *	STUB_CTL	control	r--	orders of the vkernel; nothing the guest does can change them
 *	STUB_MAILBOX	rw-		one mailbox per executor: signal frames and what comes with them. The guest can write
 *					here, so the vkernel believes nothing it reads from one.
 *
 * Control page and mailboxes are one memfd, which the vkernel maps read-write.
 */
#ifndef VMSPACE_STUB_LAYOUT_H
#define VMSPACE_STUB_LAYOUT_H

#define STUB_BASE		0x7fffffe00000
#define STUB_CODE_BYTES		0x4000
#define STUB_CTL		0x7fffffe04000
#define STUB_CTL_BYTES		0x4000
#define STUB_MAILBOX		0x7fffffe08000
#define STUB_MAILBOX_SHIFT	15
#define STUB_MAILBOX_BYTES	0x8000
#define STUB_MAX_EXECUTORS	32
#define STUB_TASK_END		0x7ffffffff000	/* first address no Linux process has (4-level tables) */

/* Descriptors a stub is started with. The mapper keeps the first three, an executor none. */
#define STUB_FD_RAM		3
#define STUB_FD_ORDER		4	/* eventfds, used where there are no notifications: an order is ready, */
#define STUB_FD_ANSWER		5	/* ... and 1 + errno of it */
#define STUB_FD_SOCKET		6	/* hellos */
#define STUB_FD_SHARED		7

/* Control: an executor's slot at STUB_CTL + 64 * index, then the fields of the whole stub. */
#define CTL_SLOT_SHIFT		6
#define CTL_GO			0	/* futex hand-off: number of the last permission to run */
#define CTL_KICK		4	/* set: do not enter the guest, report a kick */
#define CTL_MODE		0x800	/* STUB_MODE_* */
#define CTL_EXECUTORS		0x804
#define CTL_PARENT		0x808	/* pid of the vkernel */
#define CTL_ORDER_COUNT		0x80c
#define CTL_TRAP_CPUID		0x810	/* 1: CPUID faults in every task of the stub */
#define CTL_ORDERS		0x1000
#define CTL_MAX_ORDERS		128

#define STUB_MODE_NOTIFY	0	/* hand-off by seccomp notification */
#define STUB_MODE_FUTEX		1	/* hand-off by futex */

/* Mailbox. The alternate signal stack fills it from MB_STACK on. */
#define MB_TURN			0x00	/* futex hand-off: CTL_GO as it was when this executor stopped */
#define MB_SIGNAL		0x08	/* why it stopped: signal number, and MB_NOT_ENTERED */
#define MB_FRAME		0x10	/* address of the signal frame with the guest's registers */
#define MB_FSBASE		0x18
#define MB_GSBASE		0x20
#define MB_IRET			0x40	/* rip cs rflags rsp ss: the last step into the guest */
#define MB_SCRATCH		0x80	/* of the first mailbox: where the mapper reads what nobody looks at */
#define MB_STACK		0x400
#define MB_NOT_ENTERED		0x100	/* the guest did not run since the last hand-off */

/* struct rt_sigframe of x86-64 Linux, from rsp at the handler's first instruction. */
#define SF_UC_LINK		16	/* unused by the kernel's frame: holds the address of the iret block */
#define SF_GREGS		48
#define SF_R8			48
#define SF_R9			56
#define SF_R10			64
#define SF_R11			72
#define SF_R12			80
#define SF_R13			88
#define SF_R14			96
#define SF_R15			104
#define SF_RDI			112
#define SF_RSI			120
#define SF_RBP			128
#define SF_RBX			136
#define SF_RDX			144
#define SF_RAX			152
#define SF_RCX			160
#define SF_RSP			168
#define SF_RIP			176
#define SF_RFLAGS		184
#define SF_SELECTORS		192	/* cs, gs, fs, ss: 16 bits each */
#define SF_ERR			200
#define SF_TRAPNO		208
#define SF_CR2			224
#define SF_FPSTATE		232
#define SF_SIGINFO		312
#define SF_SI_CODE		320
#define SF_SI_ARCH		340
#define SF_BYTES		440	/* up to the end of siginfo; the FPU state follows, aligned to 64 */

#define STUB_GUEST_CS		0x33
#define STUB_GUEST_SS		0x2b

#ifndef __ASSEMBLER__
#include <stdint.h>

namespace vmspace {

/* One step for the mapper: map `length` bytes of RAM at `ram_offset`, or remove what is there. */
struct Order {
	uint64_t address;
	uint64_t length;
	uint32_t prot;
	uint32_t map_flags;	/* 0: unmap */
	uint64_t ram_offset;
};
static_assert(sizeof(Order) == 32);
static_assert(CTL_ORDERS + CTL_MAX_ORDERS * sizeof(Order) <= STUB_CTL_BYTES);
static_assert(STUB_MAX_EXECUTORS << CTL_SLOT_SHIFT <= CTL_MODE);
static_assert(STUB_MAILBOX + STUB_MAX_EXECUTORS * STUB_MAILBOX_BYTES <= STUB_TASK_END);

/* What a task says once, before it locks itself; its listener travels with it as SCM_RIGHTS. */
struct Hello {
	uint32_t task;		/* number of the executor; their count: the mapper */
	int32_t tid;
	int32_t error;		/* errno of what failed, or 0 */
};

}  // namespace vmspace
#endif
#endif
