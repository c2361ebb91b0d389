/*
 * children N: makes N processes that wait for ever, prints "ready", waits until it was thawed, prints "thawed" and ends all.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 1;
	struct pollfd vkckpt = { .events = POLLIN };
	char line[128];

	vkckpt.fd = open("/dev/vkckpt", O_RDWR);
	if (vkckpt.fd < 0 || read(vkckpt.fd, line, sizeof line) < 0)
		fail("children: /dev/vkckpt");
	for (int i = 0; i < n; i++) {
		pid_t pid = fork();
		if (pid < 0)
			fail("children: fork");
		while (pid == 0)
			pause();
	}
	printf("ready\n");
	fflush(stdout);
	while (poll(&vkckpt, 1, -1) < 1 || !(vkckpt.revents & POLLIN))
		continue;
	printf("thawed\n");
	fflush(stdout);
	signal(SIGTERM, SIG_IGN);
	kill(0, SIGTERM);
	while (wait(0) > 0)
		continue;
	return 0;
}
