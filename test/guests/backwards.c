/*
 * Memory that is touched in an adverse order: every page once, none beside the last one, first read, then written. Arguments: MiB
 * (32), rounds (1). Each round begins when the vkernel was thawed once more and its console has something to say, be it that it has
 * ended; what it finds and leaves is checked by the next.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { kPage = 4096 };
static uint64_t value(size_t page, int round) { return (page + 1) * 0x9e3779b97f4a7c15ull + (uint64_t)round; }

static long thaws(void)
{
	char a[64], b[64], c[64];
	long n = -1;
	FILE *f = fopen("/dev/vkckpt", "r");
	if (!f || fscanf(f, "%63s %63s %63s %ld", a, b, c, &n) != 4)
		n = -1;
	if (f)
		fclose(f);
	return n;
}

int main(int argc, char **argv)
{
	size_t pages = (size_t)(argc > 1 ? atoi(argv[1]) : 32) * 256, wrong = 0;
	int rounds = argc > 2 ? atoi(argv[2]) : 1;
	char *memory = mmap(NULL, pages * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return printf("mmap failed\n"), 1;
	for (size_t i = 0; i < pages; i++)
		for (size_t at = 0; at < kPage; at += 512)
			*(uint64_t *)(memory + i * kPage + at) = value(i, 0) ^ at;
	for (int round = 0; round < rounds; round++) {
		long now = thaws();
		printf("ready %d\n", round);
		fflush(stdout);
		while (thaws() == now)
			nanosleep(&(struct timespec){0, 20000000}, NULL);
		(void)!read(0, &(char){0}, 1);
		size_t step = pages * 5 / 8 | 1;	/* odd, and the number of pages is a power of two times 256 */
		for (size_t i = 0, page = pages - 1; i < pages; i++, page = (page + step) % pages)
			for (size_t at = 0; at < kPage; at += 512) {
				uint64_t *word = (uint64_t *)(memory + page * kPage + at);
				wrong += *word != (value(page, round) ^ at);
				*word = value(page, round + 1) ^ at;
			}
		printf("round %d wrong %zu\n", round, wrong);
		fflush(stdout);
	}
	return wrong != 0;
}
