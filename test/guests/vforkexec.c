/* vfork, posix_spawn and execve of itself, arguments and environment through each. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int status;
	if (argc > 2 && strcmp(argv[1], "child") == 0) {
		printf("child %s %s open:%d\n", argv[2], getenv("MARK"), fcntl(9, F_GETFD) >= 0);
		return atoi(argv[2]);
	}
	if (argc > 2 && strcmp(argv[1], "chain") == 0) {
		int n = atoi(argv[2]);
		char next[16], *args[] = {argv[0], "chain", next, NULL};
		if (n == 0)
			return printf("end of the chain\n"), 0;
		snprintf(next, sizeof next, "%d", n - 1);
		execv("/proc/self/exe", args);
		return 1;
	}
	dup2(1, 9);
	fcntl(9, F_SETFD, FD_CLOEXEC);
	setenv("MARK", "marked", 1);
	for (int i = 0; i < 10; i++) {
		char number[16], *args[] = {argv[0], "child", number, NULL};
		volatile int here = i;
		snprintf(number, sizeof number, "%d", i);
		pid_t pid = i % 2 ? vfork() : -2;
		if (pid == 0) {
			here += 100;	/* the parent sees it: the memory is shared until execve */
			execv("/proc/self/exe", args);
			_exit(77);
		}
		if (pid == -2 && posix_spawn(&pid, "/proc/self/exe", NULL, NULL, args, environ) != 0)
			return printf("posix_spawn failed\n"), 1;
		if (waitpid(pid, &status, 0) != pid || WEXITSTATUS(status) != i || here != (i % 2 ? i + 100 : i))
			return printf("round %d wrong: status %x here %d\n", i, status, here), 1;
	}
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		char *args[] = {argv[0], "chain", "20", NULL};
		execv("/proc/self/exe", args);
		_exit(1);
	}
	waitpid(pid, &status, 0);
	char *none[] = {"nothing", NULL};
	printf("missing: %d\n", execv("/no/such/program", none));
	return status;
}
