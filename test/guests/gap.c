/* gap: sleeps 1.5 s and says in milliseconds how long that was by three clocks. */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static long now_ms(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int main(void)
{
	long monotonic = now_ms(CLOCK_MONOTONIC), real = now_ms(CLOCK_REALTIME), boottime = now_ms(CLOCK_BOOTTIME);
	struct timespec nap = { 1, 500000000 };

	printf("asleep\n");
	fflush(stdout);
	if (nanosleep(&nap, NULL) != 0)
		return 1;
	printf("monotonic %ld real %ld boottime %ld\n", now_ms(CLOCK_MONOTONIC) - monotonic, now_ms(CLOCK_REALTIME) - real,
	    now_ms(CLOCK_BOOTTIME) - boottime);
	return 0;
}
