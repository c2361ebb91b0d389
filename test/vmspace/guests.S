/* Guests of a few instructions; the tests copy them into RAM. None refers to its own address. */
	.macro	GUEST name
	.globl	\name, \name\()_end
	.balign	16
\name:
	.endm
	.macro	END name
\name\()_end:
	.endm
	.section .rodata

/* syscall with every register as given; then again */
GUEST guest_syscall
1:	syscall
	jmp	1b
END guest_syscall

GUEST guest_spin
1:	jmp	1b
END guest_spin

/* the word at rbx is counted up for ever */
GUEST guest_count
1:	incq	(%rbx)
	jmp	1b
END guest_count

GUEST guest_read
	mov	(%rbx), %rax
	syscall
END guest_read

GUEST guest_write
	mov	%rax, (%rbx)
	syscall
END guest_write

GUEST guest_jump
	jmp	*%rbx
END guest_jump

GUEST guest_int80
1:	int	$0x80
	jmp	1b
END guest_int80

GUEST guest_ud2
	ud2
END guest_ud2
GUEST guest_int3
	int3
END guest_int3
GUEST guest_divide
	xor	%ecx, %ecx
	div	%ecx
END guest_divide
GUEST guest_hlt
	hlt
END guest_hlt
GUEST guest_single_step
	pushq	$0x302
	popfq
	nop
	nop
END guest_single_step
GUEST guest_unaligned
	pushq	$0x40202
	popfq
	mov	1(%rsp), %rax
END guest_unaligned
GUEST guest_nested_task
	pushq	$0x4202
	popfq
	syscall
END guest_nested_task

/* Changes its own FS and GS base, tells the old ones in rbx, rbp. */
GUEST guest_bases
	rdfsbase %rbx
	rdgsbase %rbp
	wrfsbase %r12
	wrgsbase %r13
	syscall
END guest_bases

/* Adds xmm0/ymm0 to itself and MXCSR's rounding mode stays; result stays in the register. */
GUEST guest_vector
1:	vaddpd	%ymm0, %ymm0, %ymm0
	syscall
	jmp	1b
END guest_vector

/*
 * Counts: a system call with rax = 1024 n is made once for each n, and the word at rbx is increased once per call. A lost,
 * doubled or replayed call shows in the difference. fs base (r15), xmm5 and r14 must survive; ud2 if not.
 */
GUEST guest_stress
	movq	%r14, %xmm5
1:	inc	%r12
	incq	(%rbx)
	mov	%r12, %rax
	shl	$10, %rax
	lea	5(%r12), %r13
	syscall
	cmp	$4242, %rax
	jne	2f
	lea	-5(%r13), %rax
	cmp	%r12, %rax
	jne	2f
	cmp	%r12, (%rbx)
	jne	2f
	movq	%xmm5, %rax
	cmp	%rax, %r14
	jne	2f
	rdfsbase %rax
	cmp	%rax, %r15
	jne	2f
	jmp	1b
2:	ud2
END guest_stress

/* Touches r13 pages from r12 on, then a system call. */
GUEST guest_touch
	mov	%r12, %rbx
	mov	%r13, %rcx
1:	incq	(%rbx)
	add	$4096, %rbx
	dec	%rcx
	jnz	1b
	syscall
	jmp	guest_touch
END guest_touch

/*
 * Attacks. Each tries to make a folder at the path in r15, or something else that the test looks for. The path is touched
 * first: a page that is not mapped would spoil the attack, not the guard.
 */
GUEST attack_syscall
	testb	$0, (%r15)
	mov	%r15, %rdi
	mov	$0777, %esi
	mov	$83, %eax
	syscall
	ud2
END attack_syscall

GUEST attack_int80
	testb	$0, (%r15)
	mov	%r15, %rbx
	mov	$0777, %ecx
	mov	$39, %eax
	int	$0x80
	ud2
END attack_int80

GUEST attack_x32
	testb	$0, (%r15)
	mov	%r15, %rdi
	mov	$0777, %esi
	mov	$(83 | 0x40000000), %eax
	syscall
	ud2
END attack_x32

GUEST attack_sysenter
	testb	$0, (%r15)
	mov	%r15, %rbx
	mov	$0777, %ecx
	mov	$39, %eax
	mov	%rsp, %rbp
	sysenter
	ud2
END attack_sysenter

GUEST attack_compat
	testb	$0, (%r15)
	sub	$16, %rsp
	lea	1f(%rip), %rax
	mov	%eax, (%rsp)
	movl	$0x23, 4(%rsp)
	ljmp	*(%rsp)
	.code32
1:	mov	%edi, %ebx
	mov	$0777, %ecx
	mov	$39, %eax
	int	$0x80
	ud2
	.code64
END attack_compat

/* r12: address of a system call instruction in the stub; the other registers as given */
GUEST attack_jump
	testb	$0, (%r15)
	jmp	*%r12
END attack_jump

GUEST attack_sigreturn
	mov	$15, %eax
	syscall
	ud2
END attack_sigreturn

GUEST attack_vsyscall
	movabs	$0xffffffffff600400, %rax
	call	*%rax
	mov	%rax, %rbx
	ud2
END attack_vsyscall

/* Fills rcx bytes at rdi with al. */
GUEST attack_fill
	rep stosb
	mov	$39, %eax
	syscall
	ud2
END attack_fill

GUEST attack_store
	movl	$7, (%rdi)
	ud2
END attack_store

GUEST attack_fsbase
	wrfsbase %rdi
	ud2
END attack_fsbase

GUEST attack_pkru
	mov	$0xffffffff, %eax
	xor	%ecx, %ecx
	xor	%edx, %edx
	wrpkru
	mov	$39, %eax
	syscall
	ud2
END attack_pkru

GUEST attack_direction
	std
	mov	$39, %eax
	syscall
	ud2
END attack_direction

/* rsp = rdi, then a trap or a system call. */
GUEST attack_stack_trap
	mov	%rdi, %rsp
	ud2
END attack_stack_trap
GUEST attack_stack_syscall
	mov	%rdi, %rsp
	mov	$39, %eax
	syscall
	ud2
END attack_stack_syscall

/* Claims all the time in its mailbox (rdi) that it stopped for a system call, the esi-th stop; counts on at rbx. */
GUEST attack_forged_stop
1:	incq	(%rbx)
	movl	$31, 8(%rdi)
	mov	%esi, (%rdi)
	jmp	1b
END attack_forged_stop
	.section .note.GNU-stack, "", @progbits
