/* A tree of processes: each sums its children's results, passed through shared memory and exit codes. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned *shared;
static unsigned private_data[4096];

static unsigned tree(int depth, unsigned id)
{
	unsigned sum = id;
	for (int i = 0; i < 4096; i++)
		private_data[i] = private_data[i] * 3 + id;	/* copied by every fork */
	if (depth > 0) {
		pid_t pid[2];
		for (unsigned i = 0; i < 2; i++) {
			pid[i] = fork();
			if (pid[i] < 0)
				exit(99);
			if (pid[i] == 0) {
				unsigned child = id * 2 + i;
				shared[child] = tree(depth - 1, child);
				_exit((int)(child & 0x3f));
			}
		}
		for (unsigned i = 0; i < 2; i++) {
			int status;
			if (waitpid(pid[i], &status, 0) != pid[i] || !WIFEXITED(status)
			    || (unsigned)WEXITSTATUS(status) != ((id * 2 + i) & 0x3f))
				exit(98);
			sum += shared[id * 2 + i];
		}
	}
	for (int i = 0; i < 4096; i++)
		sum = sum * 5 + private_data[i];
	return sum;
}

int main(int argc, char **argv)
{
	int depth = argc > 1 ? atoi(argv[1]) : 4;
	shared = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	printf("%08x\n", tree(depth, 1));
	return 0;
}
