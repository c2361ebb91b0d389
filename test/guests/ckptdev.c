/*
 * ckptdev: /dev/vkckpt as a C program uses it.
 *
 *   ckptdev notice ack|veto|ignore|late   registers and answers each notice so (veto: the first only, then ack; late: answers
 *                                         when it is over); ends when it finds itself thawed
 *   ckptdev secret SEED                   keeps a key that no image may hold, and one (of SEED + 1) that it does; so does a child; says
 *                                         what has become of them whenever that changes, and ends when one is not there
 *   ckptdev ask go-on|exit                asks for a checkpoint and says how it ended
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
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

enum { kKey = 64 };

static char key_byte(int seed, int i)
{
	return (char)(33 + (seed * 31 + i * i * 7 + i) % 90);
}

static const char *state(const char *key, int seed)
{
	int same = 0, zero = 0;
	for (int i = 0; i < kKey; i++)
		same += key[i] == key_byte(seed, i), zero += key[i] == 0;
	return same == kKey ? "there" : zero == kKey ? "gone" : "torn";
}

static int secret(int seed)
{
	int fd = open("/dev/vkckpt", O_RDWR), status;
	char *page = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *open_page = page + 8192;
	struct vkdev_secret odd = { (unsigned long long)page + 1, 4096 }, none = { 4096, 4096 };
	struct vkdev_secret range = { (unsigned long long)page, 8192 };

	if (ioctl(fd, VKDEV_SECRET, &odd) != -1 || errno != EINVAL || ioctl(fd, VKDEV_SECRET, &none) != -1 || errno != EFAULT)
		return printf("a wrong range was taken\n"), 1;
	if (ioctl(fd, VKDEV_SECRET, &range) != 0)
		return perror("secret"), 1;
	for (int i = 0; i < kKey; i++)
		page[4000 + i] = key_byte(seed, i), page[4096 + 4000 - i] = 1, open_page[i] = key_byte(seed + 1, i);
	if (fork() == 0) {	/* its pages are copies, of its own from here on */
		page[0] = 1, open_page[100] = 1;
		raise(SIGSTOP);
		_exit(strcmp(state(page + 4000, seed), "gone") != 0);
	}
	waitpid(-1, &status, WUNTRACED);
	const char *now, *then = "";
	do {
		now = state(page + 4000, seed);
		if (strcmp(now, then))
			printf("%s %s\n", now, state(open_page, seed + 1));
		then = now;
		fflush(stdout);
		usleep(5000);
	} while (!strcmp(now, "there"));
	kill(0, SIGCONT);
	while (wait(&status) < 0)
		;
	return printf("the child's is %s\n", status == 0 ? "gone" : "not gone"), 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "notice"))
		return notice(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "ask"))
		return ask(strcmp(argv[2], "exit") ? VKDEV_GO_ON : VKDEV_EXIT);
	if (argc == 3 && !strcmp(argv[1], "secret"))
		return secret(atoi(argv[2]));
	return 2;
}
