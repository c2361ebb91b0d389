/* crash HOW: segv, null (a jump there), ill, div, stack, again (a handler that returns to the fault for ever), exit, abort. */
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int deep(int left)
{
	volatile char room[65536];
	room[left & 0xffff] = 1;
	return left ? deep(left - 1) + room[1] : 0;
}
static void again(int sig) { (void)sig; }

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";
	volatile size_t zero = 0;

	printf("%s\n", how);
	fflush(stdout);
	if (!strcmp(how, "segv"))
		*(volatile int *)0x10 = 1;
	if (!strcmp(how, "null"))
		((void (*)(void))zero)();
	if (!strcmp(how, "ill"))
		__asm__ volatile("ud2");
	if (!strcmp(how, "div"))
		__asm__ volatile("xor %%ecx, %%ecx\n idiv %%ecx" ::: "rax", "rcx", "rdx", "cc");
	if (!strcmp(how, "stack"))
		return deep(1000000);
	if (!strcmp(how, "abort"))
		abort();
	if (!strcmp(how, "again")) {
		signal(SIGSEGV, again);
		*(volatile int *)0x10 = 1;
	}
	return 7;
}
