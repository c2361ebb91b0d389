/*
 * fill MIB: fills MIB mebibytes with bytes like a program's (its own text and data, each copy shifted and marked), prints
 * "ready", waits until it finds itself thawed (the generation in /dev/vkckpt has changed), checks every page and ends.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

extern char __executable_start[], etext[];

static void generation(char *line, size_t room)
{
	int fd = open("/dev/vkckpt", O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, line, room - 1);
	if (n < 0) {
		perror("fill: /dev/vkckpt");
		exit(1);
	}
	line[n] = 0;
	close(fd);
}

int main(int argc, char **argv)
{
	size_t pages = (size_t)(argc > 1 ? atoi(argv[1]) : 64) << 8;
	size_t source = (size_t)(etext - __executable_start) - 4096;
	char *data = mmap(0, pages << 12, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char then[128], now[128];

	if (data == MAP_FAILED) {
		perror("fill: mmap");
		return 1;
	}
	for (size_t i = 0; i < pages; i++) {
		memcpy(data + (i << 12), __executable_start + i * 2654435761u % source, 4096);
		*(uint64_t *)(data + (i << 12)) = i * 0x9e3779b97f4a7c15u;
	}
	generation(then, sizeof then);
	printf("ready\n");
	fflush(stdout);
	do {
		struct timespec t = { 0, 1000000 };
		nanosleep(&t, 0);
		generation(now, sizeof now);
	} while (!strcmp(then, now));
	printf("thawed\n");
	fflush(stdout);
	if (argc > 2)	/* the caller wants the check */
		for (size_t i = 0; i < pages; i++)
			if (*(uint64_t *)(data + (i << 12)) != i * 0x9e3779b97f4a7c15u ||
			    memcmp(data + (i << 12) + 8, __executable_start + i * 2654435761u % source + 8, 4088)) {
				printf("page %zu is wrong\n", i);
				return 1;
			}
	return 0;
}
