/*
 * In the guest: watches the clocks, timers, random numbers and /dev/vkckpt over one thaw. Says "WATCHING", then after the thaw one line each:
 *
 *   CLOCKS real=MS mono=MS boot=MS   how far each clock went over the step that had the thaw in it
 *   TIMER name=yes|no                whether a timer had rung 500 ms after it: 30 s of the wall clock and of the boot clock, 30 s of the monotonic one
 *   SET yes|no                       a timer that asks to be told when the wall clock is set was told
 *   POLL yes|no                      poll of /dev/vkckpt said that its line had changed
 *   BACK N                           how often the monotonic or the boot clock went back
 *   QUIET yes|no                     read once more, it has not
 *   RANDOM HEX HWRNG HEX             of getrandom and of the host's generator
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static long long now_ms(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static int timer(clockid_t clock, int ahead_s, int flags)
{
	struct itimerspec t = { .it_value.tv_sec = now_ms(clock) / 1000 + ahead_s };
	int fd = timerfd_create(clock, TFD_NONBLOCK);
	if (fd < 0 || timerfd_settime(fd, TFD_TIMER_ABSTIME | flags, &t, NULL))
		perror("timerfd");
	return fd;
}

static const char *rung(int fd)
{
	uint64_t n;
	return read(fd, &n, sizeof n) == sizeof n ? "yes" : "no";
}

static void hex(const char *name, const unsigned char *b, int n)
{
	printf("%s ", name);
	for (int i = 0; i < n; i++)
		printf("%02x", b[i]);
}

int main(void)
{
	static const clockid_t clocks[3] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME };
	int dev = open("/dev/vkckpt", O_RDONLY), raw = open("/dev/hwrng", O_RDONLY), back = 0;
	int set = timer(CLOCK_REALTIME, 100000, TFD_TIMER_CANCEL_ON_SET);
	int t[3] = { timer(CLOCK_REALTIME, 30, 0), timer(CLOCK_MONOTONIC, 30, 0), timer(CLOCK_BOOTTIME, 30, 0) };
	struct pollfd p = { dev, POLLIN, 0 };
	long long last[3], was[3], gap[3] = { 0 };
	unsigned char random[16], hardware[16] = { 0 };
	char line[128];
	uint64_t n;
	if (dev < 0 || raw < 0 || read(dev, line, sizeof line) <= 0)
		perror("clocks");
	for (int i = 0; i < 3; i++)
		last[i] = now_ms(clocks[i]);
	printf("WATCHING\n");
	fflush(stdout);
	for (;;) {
		for (int i = 0; i < 3; i++) {
			was[i] = last[i];
			last[i] = now_ms(clocks[i]);
			back += i && last[i] < was[i];
		}
		if ((last[2] - was[2]) - (last[1] - was[1]) > 1000)	/* the boot clock counts the time away */
			break;
		usleep(10000);
	}
	for (int i = 0; i < 3; i++)
		gap[i] = last[i] - was[i];
	printf("CLOCKS real=%lld mono=%lld boot=%lld\n", gap[0], gap[1], gap[2]);
	usleep(500000);
	printf("TIMER real=%s mono=%s boot=%s\n", rung(t[0]), rung(t[1]), rung(t[2]));
	printf("SET %s\n", read(set, &n, sizeof n) < 0 && errno == ECANCELED ? "yes" : "no");
	printf("POLL %s\n", poll(&p, 1, 0) == 1 && (p.revents & POLLIN) ? "yes" : "no");
	lseek(dev, 0, SEEK_SET);
	printf("QUIET %s\n", read(dev, line, sizeof line) >= 0 && read(dev, line, sizeof line) >= 0 && poll(&p, 1, 0) == 0 ? "yes" : "no");
	printf("BACK %d\n", back);
	if (getrandom(random, sizeof random, 0) != sizeof random || read(raw, hardware, sizeof hardware) <= 0)
		perror("random");
	hex("RANDOM", random, sizeof random);
	hex(" HWRNG", hardware, sizeof hardware);
	printf("\nEND\n");
	return 0;
}
