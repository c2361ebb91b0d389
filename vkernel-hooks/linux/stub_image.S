/* The stub's executable, carried inside the library. */
	.section .rodata
	.globl	vmspace_stub_image, vmspace_stub_image_end
	.balign	16
vmspace_stub_image:
	.incbin	"build/vkernel-hooks/linux/vmspace_stub"
vmspace_stub_image_end:
	.section .note.GNU-stack, "", @progbits
