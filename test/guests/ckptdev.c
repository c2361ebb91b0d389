/*
 * ckptdev: /dev/vkckpt as a C program uses it.
 *
 *   ckptdev notice ack|veto|ignore|late   registers and answers each notice so (veto: the first only, then ack; late: answers
 *                                         when it is over); ends when it finds itself thawed
 *   ckptdev ask go-on|exit                asks for a checkpoint and says how it ended
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../examples/minivk/guest_vkckpt.h"

static void generation(int fd, char *line, size_t room)
{
	ssize_t n = pread(fd, line, room - 1, 0);
	line[n < 0 ? 0 : n] = 0;
}

static int notice(const char *answer)
{
	int fd = open("/dev/vkckpt", O_RDWR), answered = 0;
	char then[128], now[128];

	if (fd < 0 || ioctl(fd, VKDEV_REGISTER) != 0)
		return perror("register"), 1;
	generation(fd, then, sizeof then);
	if (ioctl(fd, VKDEV_ACK) != -1 || errno != ENOMSG)
		return printf("an answer without a question\n"), 1;
	printf("ready\n");
	for (;;) {
		struct pollfd p = { fd, POLLIN | POLLPRI, 0 };
		fflush(stdout);
		if (poll(&p, 1, -1) != 1)
			return perror("poll"), 1;
		if (p.revents & POLLIN) {
			generation(fd, now, sizeof now);
			lseek(fd, 0, SEEK_SET);
			while (read(fd, now + 100, 1) == 1)
				;
			generation(fd, now, sizeof now);
			if (strcmp(then, now)) {
				printf("thawed, generation %s\n", memcmp(then, now, 43) ? "differs" : "is the same");
				return 0;
			}
		}
		if (!(p.revents & POLLPRI))
			continue;
		int left = ioctl(fd, VKDEV_DEADLINE);
		printf("notice %s\n", left > 0 && left <= 2000 ? "in time" : "out of time");
		fflush(stdout);
		if (!strcmp(answer, "ignore"))
			while (ioctl(fd, VKDEV_DEADLINE) > 0)
				usleep(1000);
		else if (!strcmp(answer, "veto") && !answered++)
			printf("veto %d\n", ioctl(fd, VKDEV_VETO));
		else
			printf("ack %d\n", ioctl(fd, VKDEV_ACK));
		fflush(stdout);
		usleep(20000);
	}
}

static int ask(int action)
{
	int fd = open("/dev/vkckpt", O_RDWR);
	int r = ioctl(fd, VKDEV_CHECKPOINT, action);
	printf("asked: %s\n", r == VKDEV_RESUMED ? "resumed" : r == VKDEV_THAWED ? "thawed" : strerror(errno));
	fflush(stdout);
	return r < 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "notice"))
		return notice(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "ask"))
		return ask(strcmp(argv[2], "exit") ? VKDEV_GO_ON : VKDEV_EXIT);
	return 2;
}
