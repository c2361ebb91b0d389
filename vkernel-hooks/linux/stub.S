/*
 * The stub's code that runs while guest code may run beside it: the signal handler of the executors, which is the only
 * way out of and into the guest, and the loop of the mapper.
 *
 * Whatever stands here is also the guest's: it can jump to any instruction with any registers and can write the
 * mailboxes at any time. So nothing here is trusted. Containment rests on three things the guest cannot reach: the
 * seccomp filters (stub_filters.S), the control page, which is mapped read-only, and the fact that an executor stops
 * inside the kernel, in a seccomp notification that only the vkernel can answer.
 */
#include "stub_layout.h"

#define SYS_read		0
#define SYS_write		1
#define SYS_mmap		9
#define SYS_munmap		11
#define SYS_sched_yield		24
#define SYS_clone		56
#define SYS_futex		202
#define SYS_exit_group		231
#define SYS_seccomp		317
#define FUTEX_WAIT		0
#define FUTEX_WAKE		1
#define KICK_SIGNAL		10	/* SIGUSR1 */
/* VM | SIGHAND | THREAD | SYSVSEM: an own descriptor table, so that an executor can empty it */
#define EXECUTOR_CLONE_FLAGS	0x50900

	.text
	.globl	stub_start, stub_handler, stub_clone_executor, stub_first_trap, stub_become_mapper
	.globl	stub_notify_ip, stub_futex_wake_ip, stub_futex_wait_ip
	.globl	stub_mapper_notify_ip, stub_mapper_order_ip, stub_mapper_map_ip, stub_mapper_unmap_ip, stub_mapper_answer_ip, stub_mapper_exit_ip

stub_start:
	xor	%ebp, %ebp
	and	$-16, %rsp
	call	stub_main
	ud2

/*
 * The signal handler. In: rsp = signal frame, edi = signal; on the executor's alternate stack, whose address gives the
 * mailbox (rbx) and the control slot (r10).
 *
 * A signal can also hit the handler itself (a kick, or a fault caused by registers that cannot be loaded). What then
 * has to happen depends only on how far the outer run had come, which its rip tells:
 *
 *	stub_handler .. published	its frame is recorded, but nobody was told. Everything up to there depends on the
 *					frame alone: do it again on the outer frame. The inner signal was a kick, and kicks
 *					are also told by CTL_KICK, so it may be forgotten.
 *	published .. stub_notify_ip	(but for hit_wait) it waits, or is about to: wait again. The system call did not happen, or was
 *					interrupted and its rip set back to it (SA_RESTART).
 *	stub_notify_ip .. enter_guest	it was let go but the guest was not entered: report this signal in its place, with
 *					MB_NOT_ENTERED, so that the vkernel keeps the registers it gave.
 *	enter_guest			every register is the guest's but those iretq loads: complete them in the inner
 *					frame, which then is a frame of the guest.
 *
 * "Outer frame" must lie higher on the stack than the inner one, so that no forged frame makes this loop.
 */
stub_handler:
	mov	%rsp, %rbx
	and	$-STUB_MAILBOX_BYTES, %rbx
	movabs	$STUB_MAILBOX, %rax
	mov	%rbx, %r10
	sub	%rax, %r10
	shr	$(STUB_MAILBOX_SHIFT - CTL_SLOT_SHIFT), %r10
	movabs	$STUB_CTL, %rax
	add	%rax, %r10

	mov	SF_RIP(%rsp), %rax
	lea	stub_handler(%rip), %rcx
	cmp	%rcx, %rax
	jb	fresh
	lea	handler_end(%rip), %rcx
	cmp	%rcx, %rax
	jae	fresh
	lea	enter_guest(%rip), %rcx
	cmp	%rcx, %rax
	je	hit_entry
	mov	SF_RSP(%rsp), %rcx
	or	$8, %rcx		/* frames end in 8; the one push below may be in flight */
	lea	published(%rip), %rdx
	cmp	%rdx, %rax
	jb	hit_prologue
	lea	hit_wait(%rip), %rdx
	cmp	%rdx, %rax
	je	hit_prologue
	cmp	MB_FRAME(%rbx), %rcx
	jne	fresh
	lea	stub_notify_ip(%rip), %rdx
	cmp	%rdx, %rax
	jb	hit_wait

	/* Let go, not entered. */
	mov	SF_ERR(%rsp), %rax
	mov	%rax, SF_ERR(%rcx)
	mov	SF_TRAPNO(%rsp), %rax
	mov	%rax, SF_TRAPNO(%rcx)
	mov	SF_CR2(%rsp), %rax
	mov	%rax, SF_CR2(%rcx)
	or	$MB_NOT_ENTERED, %edi
	mov	%edi, SF_SIGINFO(%rcx)	/* a repeat of the prologue must find this event, not the old one */
	mov	%rcx, %rsp
	jmp	report

hit_prologue:
	cmp	%rsp, %rcx
	jbe	fresh
	lea	STUB_MAILBOX_BYTES - 0x300(%rbx), %rax
	cmp	%rax, %rcx
	ja	fresh
	mov	%rcx, %rsp
	mov	SF_SIGINFO(%rsp), %edi
	test	$MB_NOT_ENTERED, %edi
	jnz	report			/* its registers are the vkernel's: do not record fs and gs again */
	jmp	stub_handler

hit_entry:				/* rip last: until then a repeat comes here again */
	mov	MB_IRET + 16(%rbx), %rax
	mov	%rax, SF_RFLAGS(%rsp)
	mov	MB_IRET + 24(%rbx), %rax
	mov	%rax, SF_RSP(%rsp)
	mov	MB_IRET + 0(%rbx), %rax
	mov	%rax, SF_RIP(%rsp)

fresh:
	mov	%rsp, MB_FRAME(%rbx)
	rdfsbase %rax
	mov	%rax, MB_FSBASE(%rbx)
	rdgsbase %rax
	mov	%rax, MB_GSBASE(%rbx)
	lea	MB_IRET(%rbx), %rax
	mov	%rax, SF_UC_LINK(%rsp)
report:
	mov	%edi, MB_SIGNAL(%rbx)
	mov	CTL_GO(%r10), %eax
	mov	%eax, MB_TURN(%rbx)	/* with futexes, this store is what tells the vkernel; it must not be repeated */
published:
	jmp	wait
hit_wait:				/* still on the inner frame here, as in the prologue */
	mov	%rcx, %rsp
wait:
	movabs	$STUB_CTL, %rax
	cmpl	$STUB_MODE_FUTEX, CTL_MODE(%rax)
	jne	notify

	lea	MB_TURN(%rbx), %rdi
	mov	$FUTEX_WAKE, %esi
	mov	$1, %edx
	mov	$SYS_futex, %eax
	syscall
stub_futex_wake_ip:
1:	mov	MB_TURN(%rbx), %edx
	cmp	CTL_GO(%r10), %edx
	jne	let_go
	lea	CTL_GO(%r10), %rdi
	mov	%r10, %r12		/* the fourth argument, the timeout, goes in r10 */
	xor	%r10d, %r10d
	mov	$FUTEX_WAIT, %esi
	mov	$SYS_futex, %eax
	syscall
stub_futex_wait_ip:
	mov	%r12, %r10
	jmp	1b

notify:
	mov	$SYS_sched_yield, %eax	/* any call would do: the filter turns it into the notification */
	syscall
stub_notify_ip:
	test	%eax, %eax		/* the vkernel answers 0; anything else means there is no vkernel any more */
	jnz	wait
let_go:
	cmpl	$0, CTL_KICK(%r10)
	je	1f
	mov	$(MB_NOT_ENTERED | KICK_SIGNAL), %edi
	mov	%edi, SF_SIGINFO(%rsp)
	jmp	report
1:	pushq	$2			/* NT would make iretq fault; the guest may have left it set */
	popfq
	mov	MB_FSBASE(%rbx), %rax
	wrfsbase %rax
	mov	MB_GSBASE(%rbx), %rax
	wrgsbase %rax
	mov	SF_FPSTATE(%rsp), %rsi
	mov	$0xfffffdff, %eax	/* every component but PKRU */
	mov	$0x7fffffff, %edx
	xrstor64 (%rsi)
	mov	SF_R8(%rsp), %r8
	mov	SF_R9(%rsp), %r9
	mov	SF_R10(%rsp), %r10
	mov	SF_R11(%rsp), %r11
	mov	SF_R12(%rsp), %r12
	mov	SF_R13(%rsp), %r13
	mov	SF_R14(%rsp), %r14
	mov	SF_R15(%rsp), %r15
	mov	SF_RDI(%rsp), %rdi
	mov	SF_RSI(%rsp), %rsi
	mov	SF_RBP(%rsp), %rbp
	mov	SF_RBX(%rsp), %rbx
	mov	SF_RDX(%rsp), %rdx
	mov	SF_RAX(%rsp), %rax
	mov	SF_RCX(%rsp), %rcx
	mov	SF_UC_LINK(%rsp), %rsp
enter_guest:
	iretq
handler_end:

/*
 * long stub_clone_executor(unsigned index, void *stack): the new task calls stub_executor(index) on `stack`.
 * Returns its thread id or -errno.
 */
stub_clone_executor:
	mov	%rdi, %r8
	mov	$EXECUTOR_CLONE_FLAGS, %edi
	xor	%edx, %edx
	xor	%r10d, %r10d
	mov	%r8, %r9
	xor	%r8d, %r8d
	mov	$SYS_clone, %eax
	syscall
	test	%rax, %rax
	jnz	1f
	mov	%r9, %rdi
	xor	%ebp, %ebp
	call	stub_executor
	ud2
1:	ret

/* The first stop of an executor: an ordinary trap, from a state that is no guest's. */
stub_first_trap:
	xor	%esp, %esp
1:	ud2
	jmp	1b

/*
 * void stub_become_mapper(mapper's sock_fprog): removes everything but the stub's own pages - this stack, the vdso -
 * locks itself and serves orders for ever. Uses no stack and no memory the guest could have changed.
 */
stub_become_mapper:
	mov	%rdi, %rbp
	xor	%edi, %edi
	movabs	$STUB_BASE, %rsi
	mov	$SYS_munmap, %eax
	syscall
	test	%rax, %rax
	jnz	mapper_exit
	movabs	$STUB_CTL, %rbx
	mov	CTL_EXECUTORS(%rbx), %edi
	shl	$STUB_MAILBOX_SHIFT, %rdi
	movabs	$STUB_MAILBOX, %rax
	add	%rax, %rdi
	movabs	$STUB_TASK_END, %rsi
	sub	%rdi, %rsi
	mov	$SYS_munmap, %eax
	syscall
	test	%rax, %rax
	jnz	mapper_exit
	mov	$1, %edi		/* SECCOMP_SET_MODE_FILTER */
	xor	%esi, %esi
	mov	%rbp, %rdx
	mov	$SYS_seccomp, %eax
	syscall
	test	%rax, %rax
	jnz	mapper_exit
	xor	%r13d, %r13d		/* the first answer says: ready */

mapper_answer:				/* r13 = 0 or an errno */
	movabs	$STUB_CTL, %rbx
	cmpl	$STUB_MODE_FUTEX, CTL_MODE(%rbx)
	je	1f
	mov	%r13, %rdi		/* the notification carries the answer, its end is the next order */
	mov	$SYS_sched_yield, %eax
	syscall
stub_mapper_notify_ip:
	test	%eax, %eax
	jz	mapper_order
	jmp	mapper_exit

1:	mov	$STUB_FD_ANSWER, %edi
	lea	answers(%rip), %rsi
	lea	(%rsi, %r13, 8), %rsi
	mov	$8, %edx
	mov	$SYS_write, %eax
	syscall
stub_mapper_answer_ip:
	cmp	$8, %rax
	jne	mapper_exit
	mov	$STUB_FD_ORDER, %edi
	movabs	$(STUB_MAILBOX + MB_SCRATCH), %rsi
	mov	$8, %edx
	mov	$SYS_read, %eax
	syscall
stub_mapper_order_ip:
	cmp	$8, %rax
	jne	mapper_exit

mapper_order:
	mov	CTL_ORDER_COUNT(%rbx), %r12d
	lea	CTL_ORDERS(%rbx), %r14
	xor	%r13d, %r13d
1:	test	%r12d, %r12d
	jz	mapper_answer
	mov	0(%r14), %rdi
	mov	8(%r14), %rsi
	mov	16(%r14), %edx
	mov	20(%r14), %r10d
	mov	24(%r14), %r9
	test	%r10d, %r10d
	jz	2f
	mov	$STUB_FD_RAM, %r8d
	mov	$SYS_mmap, %eax
	syscall
stub_mapper_map_ip:
	jmp	3f
2:	mov	$SYS_munmap, %eax
	syscall
stub_mapper_unmap_ip:
3:	cmp	$-4095, %rax
	jae	4f
	add	$32, %r14
	dec	%r12d
	jmp	1b
4:	neg	%rax
	mov	%rax, %r13
	and	$255, %r13d
	jmp	mapper_answer

mapper_exit:
	mov	$77, %edi
	mov	$SYS_exit_group, %eax
	syscall
stub_mapper_exit_ip:
	ud2

	.balign	8
answers:				/* the mapper has no memory of its own to build one in */
	.set	number, 1
	.rept	256
	.quad	number
	.set	number, number + 1
	.endr

	.section .note.GNU-stack, "", @progbits
