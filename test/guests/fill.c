/*
 * fill MIB [check|stay|dirty PERCENT...]: fills MIB mebibytes with the bytes of /content, again and again, and removes it; without that file with bytes like a
 * program's (its own text, each copy shifted and marked). Prints "ready", waits until it was thawed, prints "thawed" and ends; with `check'
 * it first compares the sum of all bytes with what it was, with `stay' it never ends.
 * With `dirty' it writes to so many of its pages, all over its memory, prints "dirtied PERCENT", has a checkpoint made, prints "saved PERCENT",
 * and so on with the next.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

extern char __executable_start[], etext[];

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t sum(const char *data, size_t bytes)
{
	uint64_t s = 0;
	for (const uint64_t *word = (const uint64_t *)data; (const char *)word < data + bytes; word++)
		s = (s << 7 | s >> 57) ^ *word * 0x9e3779b97f4a7c15u;
	return s;
}

static void fill_from_file(int fd, char *data, size_t bytes)
{
	off_t size = lseek(fd, 0, SEEK_END) & ~4095;
	if (size == 0)
		fail("fill: /content");
	for (size_t at = 0; at < bytes;) {
		size_t left = bytes - at < 1 << 20 ? bytes - at : 1 << 20;
		ssize_t n = pread(fd, data + at, left, at % size);
		if (n <= 0)
			fail("fill: /content");
		at += n;
	}
	close(fd);
	unlink("/content");
}

static void fill_from_text(char *data, size_t bytes)
{
	size_t source = (size_t)(etext - __executable_start) - 4096;
	for (size_t i = 0; i < bytes >> 12; i++) {
		memcpy(data + (i << 12), __executable_start + i * 2654435761u % source, 4096);
		*(uint64_t *)(data + (i << 12)) = i * 0x9e3779b97f4a7c15u;
	}
}

static void dirty(char *data, size_t bytes, int device, const char *percent)
{
	const size_t pages = bytes >> 12, count = pages * atoi(percent) / 100;
	for (size_t i = 0; i < count; i++)
		++*(uint64_t *)(data + (i * pages / count << 12));
	printf("dirtied %s\n", percent);
	fflush(stdout);
	if (write(device, "checkpoint", 10) != 10)
		fail("fill: checkpoint");
	printf("saved %s\n", percent);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	size_t bytes = (size_t)(argc > 1 ? atoi(argv[1]) : 64) << 20;
	const char *then = argc > 2 ? argv[2] : "";
	char *data = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct pollfd vkckpt = { .events = POLLIN };
	char line[128];
	uint64_t before;
	int content = open("/content", O_RDONLY);

	if (data == MAP_FAILED)
		fail("fill: mmap");
	if (content >= 0)
		fill_from_file(content, data, bytes);
	else
		fill_from_text(data, bytes);
	before = strcmp(then, "check") ? 0 : sum(data, bytes);
	vkckpt.fd = open("/dev/vkckpt", O_RDWR);
	if (vkckpt.fd < 0 || read(vkckpt.fd, line, sizeof line) < 0)
		fail("fill: /dev/vkckpt");
	if (!strcmp(then, "dirty")) {
		for (int i = 3; i < argc; i++)
			dirty(data, bytes, vkckpt.fd, argv[i]);
		return 0;
	}
	printf("ready\n");
	fflush(stdout);
	while (poll(&vkckpt, 1, -1) < 1 || !(vkckpt.revents & POLLIN))
		continue;
	printf("thawed\n");
	fflush(stdout);
	if (!strcmp(then, "check") && sum(data, bytes) != before) {
		printf("its memory is not what it was\n");
		return 1;
	}
	while (!strcmp(then, "stay"))
		pause();
	return 0;
}
