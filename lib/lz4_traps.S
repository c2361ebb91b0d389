// Stand in for what lz4.o asks of libc on paths that are never taken: its allocating functions, which we never call, and the stack
// protector's failure. They become local when lz4.o is prelinked (mk/lz4.sh).
	.section .text.vkckpt_lz4_traps, "ax", @progbits
	.globl	malloc, calloc, free, __stack_chk_fail
	.type	malloc, @function
	.type	calloc, @function
	.type	free, @function
	.type	__stack_chk_fail, @function
malloc:
calloc:
free:
__stack_chk_fail:
	ud2
	.section .note.GNU-stack, "", @progbits
