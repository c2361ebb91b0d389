/* In the guest: a process with a segment of its own, until the file named by its argument appears. */
#include <asm/ldt.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct user_desc d = { .entry_number = 0, .base_addr = 0x1000, .limit = 0xfff, .seg_32bit = 1, .useable = 1 };

	if (argc != 2 || syscall(SYS_modify_ldt, 1, &d, sizeof d) != 0) {
		perror("modify_ldt");
		return 1;
	}
	puts("LDT written");
	fflush(stdout);
	while (access(argv[1], F_OK))
		usleep(100000);
	puts("LDT gone");
	return 0;
}
