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

/* *(rbx) and *(rcx) are counted up for ever */
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
	.section .note.GNU-stack, "", @progbits
