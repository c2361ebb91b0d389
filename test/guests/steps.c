/* steps: a short deterministic program of many kinds of traps: pipes, files, memory, time, a child. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void check(int ok, const char *what)
{
	if (!ok) {
		printf("wrong: %s\n", what);
		exit(1);
	}
}

int main(void)
{
	char buf[64] = "", *nonce = getenv("NONCE");
	int p[2], fd;
	struct timespec nap = { 0, 2000000 }, before, after;

	printf("start %s\n", nonce);
	fflush(stdout);
	check(pipe(p) == 0, "pipe");
	check(write(p[1], "through a pipe", 15) == 15, "write to a pipe");
	check(read(p[0], buf, sizeof buf) == 15 && !strcmp(buf, "through a pipe"), "read from a pipe");
	fd = open("/file", O_RDWR | O_CREAT, 0644);
	check(fd >= 0 && write(fd, nonce, strlen(nonce)) == (ssize_t)strlen(nonce), "write a file");
	char *m = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(m != MAP_FAILED, "mmap");
	for (int i = 0; i < 16; i++)
		m[i * 4096] = (char)i;
	clock_gettime(CLOCK_MONOTONIC, &before);
	check(nanosleep(&nap, 0) == 0, "nanosleep");
	clock_gettime(CLOCK_MONOTONIC, &after);
	check(after.tv_sec > before.tv_sec || after.tv_nsec - before.tv_nsec >= nap.tv_nsec, "monotonic time");
	check(after.tv_sec - before.tv_sec < 30, "monotonic time does not count the gap");
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		check(read(p[0], buf, 4) == 4 && !memcmp(buf, "wake", 4), "the child reads");
		m[5 * 4096] = 99;
		_exit(m[5 * 4096] - 57);
	}
	int status;
	check(write(p[1], "wake", 4) == 4, "wake the child");
	check(wait(&status) == child && WEXITSTATUS(status) == 42, "wait");
	for (int i = 0; i < 16; i++)
		check(m[i * 4096] == i, "memory");
	check(munmap(m, 65536) == 0, "munmap");
	memset(buf, 0, sizeof buf);
	check(pread(fd, buf, sizeof buf - 1, 0) == (ssize_t)strlen(nonce), "read the file");
	printf("end %s\n", buf);
	return 0;
}
