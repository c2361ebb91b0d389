// long vkckpt_thread_clone(long flags, void *stack_top, uint32_t *alive_tid, void (*entry)(void *), void *argument)
// The child cannot return from clone(2) through the caller's frame, which lies on another stack: it calls entry and ends here.
	.section .text.vkckpt_thread_clone, "ax", @progbits
	.globl	vkckpt_thread_clone
	.hidden	vkckpt_thread_clone
	.type	vkckpt_thread_clone, @function
vkckpt_thread_clone:
	and	$-16, %rsi
	sub	$16, %rsi
	mov	%rcx, 0(%rsi)		// entry and argument travel on the new stack
	mov	%r8, 8(%rsi)
	mov	%rdx, %r10		// child_tid; parent_tid is the same word
	xor	%r8d, %r8d		// no TLS of its own
	mov	$56, %eax		// __NR_clone
	syscall
	test	%rax, %rax
	jz	1f
	ret
1:	xor	%ebp, %ebp
	pop	%rax
	pop	%rdi
	call	*%rax
	xor	%edi, %edi
	mov	$60, %eax		// __NR_exit: this thread alone
	syscall
	ud2
	.size	vkckpt_thread_clone, .-vkckpt_thread_clone
	.section .note.GNU-stack, "", @progbits
