/*
 * The seccomp filters of a stub, as data in its read-only image. Jump targets are labels: a wrong hand-counted offset
 * opens a filter without a sign.
 *
 * An executor has two filters, because only the first can be installed before the listener is handed over, and handing
 * it over takes system calls:
 *	notify	the hand-off address gives a notification, everything else passes;
 *	lock	the hand-off address passes, everything else traps.
 * The kernel takes the stricter answer: a notification at one exact instruction, a trap for every other call whatever
 * its number, architecture or origin.
 */
#include "stub_layout.h"

#define LD_NR		.short 0x20; .byte 0, 0; .long 0
#define LD_ARCH		.short 0x20; .byte 0, 0; .long 4
#define LD_IP_LOW	.short 0x20; .byte 0, 0; .long 8
#define LD_IP_HIGH	.short 0x20; .byte 0, 0; .long 12
#define LD_ARG_LOW(n)	.short 0x20; .byte 0, 0; .long 16 + 8 * (n)
#define LD_ARG_HIGH(n)	.short 0x20; .byte 0, 0; .long 20 + 8 * (n)
#define AND_K(k)	.short 0x54; .byte 0, 0; .long (k)
#define RETURN(k)	.short 0x06; .byte 0, 0; .long (k)

#define RET_KILL_PROCESS	0x80000000
#define RET_TRAP		0x00030000
#define RET_USER_NOTIF		0x7fc00000
#define RET_ALLOW		0x7fff0000
#define ARCH_X86_64		0xc000003e
#define IP_HIGH			(STUB_BASE >> 32)
#define LOW(address)		((address) & 0xffffffff)

	/* Go on if equal to k, else to `other`. */
	.macro	NEED k, other
	.short	0x15
	.byte	0, (\other - 9f) / 8
	.long	\k
9:
	.endm
	/* Go to `target` if equal to k. */
	.macro	IF_EQ k, target
	.short	0x15
	.byte	(\target - 9f) / 8, 0
	.long	\k
9:
	.endm
	/* Go on if >= k, else to `other`; go on if < k, else to `other`. */
	.macro	NEED_GE k, other
	.short	0x35
	.byte	0, (\other - 9f) / 8
	.long	\k
9:
	.endm
	.macro	NEED_LT k, other
	.short	0x35
	.byte	(\other - 9f) / 8, 0
	.long	\k
9:
	.endm
	/* struct sock_fprog */
	.macro	PROGRAM name, first, end
	.globl	\name
	.balign	8
\name:	.short	(\end - \first) / 8
	.short	0, 0, 0
	.quad	\first
	.endm

	.section .rodata
	.balign	8
notify:
	LD_IP_LOW
	NEED	stub_notify_ip_low, 1f
	LD_IP_HIGH
	NEED	IP_HIGH, 1f
	RETURN(RET_USER_NOTIF)
1:	RETURN(RET_ALLOW)
notify_end:

lock:
	LD_ARCH
	NEED	ARCH_X86_64, 1f
	LD_IP_HIGH
	NEED	IP_HIGH, 1f
	LD_IP_LOW
	NEED	stub_notify_ip_low, 1f
	LD_NR
	NEED	24, 1f
	RETURN(RET_ALLOW)
1:	RETURN(RET_TRAP)
lock_end:

/*
 * The fallback: FUTEX_WAKE of one waiter on some mailbox's turn, and FUTEX_WAIT without a timeout on some slot's go, each
 * at its one instruction. Which executor's they are is not checked: all belong to one guest process.
 */
lock_futex:
	LD_ARCH
	NEED	ARCH_X86_64, trap
	LD_IP_HIGH
	NEED	IP_HIGH, trap
	LD_NR
	NEED	202, trap
	LD_ARG_HIGH(0)
	NEED	IP_HIGH, trap
	LD_IP_LOW
	IF_EQ	stub_futex_wait_ip_low, wait
	NEED	stub_futex_wake_ip_low, trap
	LD_ARG_LOW(1)
	NEED	1, trap
	LD_ARG_LOW(0)
	NEED_GE	LOW(STUB_MAILBOX), trap
	NEED_LT	LOW(STUB_MAILBOX + STUB_MAX_EXECUTORS * STUB_MAILBOX_BYTES), trap
	AND_K(STUB_MAILBOX_BYTES - 1)
	NEED	MB_TURN, trap
	RETURN(RET_ALLOW)
wait:
	LD_ARG_LOW(1)
	NEED	0, trap
	LD_ARG_LOW(3)
	NEED	0, trap
	LD_ARG_HIGH(3)
	NEED	0, trap
	LD_ARG_LOW(0)
	NEED_GE	LOW(STUB_CTL), trap
	NEED_LT	LOW(STUB_CTL) + CTL_MODE, trap
	AND_K(63)
	NEED	CTL_GO, trap
	RETURN(RET_ALLOW)
trap:
	RETURN(RET_TRAP)
lock_futex_end:

/*
 * The mapper is stopped by notifications of its own. It runs no guest code and reads nothing the guest can write, so
 * its lock is a second line: few calls, each at its instruction.
 */
notify_mapper:
	LD_IP_LOW
	NEED	stub_mapper_notify_ip_low, 1f
	LD_IP_HIGH
	NEED	IP_HIGH, 1f
	RETURN(RET_USER_NOTIF)
1:	RETURN(RET_ALLOW)
notify_mapper_end:

lock_mapper:
	LD_ARCH
	NEED	ARCH_X86_64, kill
	LD_IP_HIGH
	NEED	IP_HIGH, kill
	LD_IP_LOW
	IF_EQ	stub_mapper_notify_ip_low, at_notify
	IF_EQ	stub_mapper_order_ip_low, at_order
	IF_EQ	stub_mapper_map_ip_low, at_map
	IF_EQ	stub_mapper_unmap_ip_low, at_unmap
	IF_EQ	stub_mapper_answer_ip_low, at_answer
	NEED	stub_mapper_exit_ip_low, kill
	LD_NR
	NEED	231, kill
	RETURN(RET_ALLOW)
at_notify:
	LD_NR
	NEED	24, kill
	RETURN(RET_ALLOW)
at_order:
	LD_NR
	NEED	0, kill
	RETURN(RET_ALLOW)
at_map:
	LD_NR
	NEED	9, kill
	RETURN(RET_ALLOW)
at_unmap:
	LD_NR
	NEED	11, kill
	RETURN(RET_ALLOW)
at_answer:
	LD_NR
	NEED	1, kill
	RETURN(RET_ALLOW)
kill:
	RETURN(RET_KILL_PROCESS)
lock_mapper_end:

	PROGRAM	stub_filter_notify, notify, notify_end
	PROGRAM	stub_filter_lock, lock, lock_end
	PROGRAM	stub_filter_lock_futex, lock_futex, lock_futex_end
	PROGRAM	stub_filter_notify_mapper, notify_mapper, notify_mapper_end
	PROGRAM	stub_filter_lock_mapper, lock_mapper, lock_mapper_end

	.section .note.GNU-stack, "", @progbits
