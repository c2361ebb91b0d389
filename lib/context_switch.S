/*
 * Saving and leaving a stack. x86-64, System V.
 *
 * vkckpt_safe_point and vkckpt_capture save the registers of their CALLER as they are to be after the return, so that no
 * frame of this library lies on a stack that an image holds: the thaw returns straight into the vkernel, whatever the
 * library was linked as and wherever it is mapped. Nothing here touches memory outside the stack and its arguments.
 */
	.text

/* struct vkckpt_f_context at (%rsp), 16 bytes of padding behind it: %rsp is a multiple of 16 for the call. */
	.macro SAVE_CALLER
	subq	$88, %rsp
	.cfi_adjust_cfa_offset 88
	movq	%rbx, 0(%rsp)
	movq	%rbp, 8(%rsp)
	movq	%r12, 16(%rsp)
	movq	%r13, 24(%rsp)
	movq	%r14, 32(%rsp)
	movq	%r15, 40(%rsp)
	leaq	96(%rsp), %rax		/* the stack pointer after our return */
	movq	%rax, 48(%rsp)
	movq	88(%rsp), %rax		/* and where the return goes */
	movq	%rax, 56(%rsp)
	stmxcsr	64(%rsp)
	fnstcw	68(%rsp)
	movw	$0, 70(%rsp)
	.endm

	.macro FUNCTION name
	.globl	\name
	.type	\name, @function
	.balign	16
\name:
	.cfi_startproc
	.endm
	.macro END name
	.cfi_endproc
	.size	\name, . - \name
	.endm

/* int vkckpt_safe_point(struct vkckpt *, unsigned vcpu): struct vkckpt begins with the word `wanted` */
FUNCTION vkckpt_safe_point
	cmpl	$0, (%rdi)
	jne	1f
	xorl	%eax, %eax
	ret
1:	SAVE_CALLER
	movq	%rsp, %rdx
	call	vk_safe_point
	addq	$88, %rsp
	.cfi_adjust_cfa_offset -88
	ret
END vkckpt_safe_point

/* int vkckpt_capture(struct vkckpt *, unsigned vcpu, uint32_t action, struct vkckpt_error *) */
FUNCTION vkckpt_capture
	SAVE_CALLER
	movq	%rsp, %r8
	call	vk_capture
	addq	$88, %rsp
	.cfi_adjust_cfa_offset -88
	ret
END vkckpt_capture

/* int vk_call_on(void *stack_top, int (*function)(void *), void *arg) */
	.hidden	vk_call_on
FUNCTION vk_call_on
	pushq	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbp, 0
	movq	%rsp, %rbp
	.cfi_def_cfa_register %rbp
	andq	$-16, %rdi
	movq	%rdi, %rsp
	movq	%rdx, %rdi
	call	*%rsi
	movq	%rbp, %rsp
	popq	%rbp
	.cfi_def_cfa %rsp, 8
	ret
END vk_call_on

/* void vk_jump(const struct vkckpt_f_context *, int value): the saved call returns value */
	.hidden	vk_jump
FUNCTION vk_jump
	movl	%esi, %eax
	movq	0(%rdi), %rbx
	movq	8(%rdi), %rbp
	movq	16(%rdi), %r12
	movq	24(%rdi), %r13
	movq	32(%rdi), %r14
	movq	40(%rdi), %r15
	ldmxcsr	64(%rdi)
	fldcw	68(%rdi)
	movq	56(%rdi), %rdx
	movq	48(%rdi), %rsp
	jmp	*%rdx
END vk_jump

/* void vk_overwrite(const struct Overwrite *list, size_t count): {to, from, bytes}; calls nothing, keeps all in registers */
	.hidden	vk_overwrite
FUNCTION vk_overwrite
	movq	%rdi, %rax
	movq	%rsi, %rdx
	cld
1:	testq	%rdx, %rdx
	jz	2f
	movq	0(%rax), %rdi
	movq	8(%rax), %rsi
	movq	16(%rax), %rcx
	rep movsb
	addq	$24, %rax
	decq	%rdx
	jmp	1b
2:	ret
END vk_overwrite

/* void vkckpt_enter_stack(void *stack_top, void (*entry)(void *), void *arg): does not return */
FUNCTION vkckpt_enter_stack
	andq	$-16, %rdi
	movq	%rdi, %rsp
	xorl	%ebp, %ebp
	movq	%rdx, %rdi
	call	*%rsi
	ud2
END vkckpt_enter_stack

	.section .note.GNU-stack, "", @progbits
