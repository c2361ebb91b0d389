/*
 * A guest program that checks itself while its kernel is suspended and thawed under it: survive FOLDER [PERIOD_MS]. One process per trade;
 * every period a line SURV with what each has done and how many errors it found. A trade that stands still for a whole period counts as stuck, and is named.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <immintrin.h>
#include <math.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct slot { volatile unsigned long done, errors; };
static struct slot *slots, *me;
static const char *folder;

#define CHECK(c) do { if (!(c)) me->errors++; } while (0)

static void pause_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };
	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

static int read_all(int fd, void *buffer, size_t count)
{
	for (char *p = buffer; count > 0;) {
		ssize_t n = read(fd, p, count);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		p += n;
		count -= n;
	}
	return 0;
}

static int write_all(int fd, const void *buffer, size_t count)
{
	for (const char *p = buffer; count > 0;) {
		ssize_t n = write(fd, p, count);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		p += n;
		count -= n;
	}
	return 0;
}

/* --- registers */

static void x87_and_sse(void)
{
	long double first = 0;
	double second = 0;
	for (;; me->done++) {
		long double a = 1;
		double b = 1;
		for (int i = 1; i < 100000; i++) {
			a = a * 1.0000001L + sinl(i);
			b = b * 1.0000001 + sin(i);
		}
		if (!me->done) {
			first = a;
			second = b;
		}
		CHECK(a == first && b == second);
	}
}

/* Known values stay in the registers over a long loop that touches no memory. */
__attribute__((target("avx2"))) static void avx2(void)
{
	unsigned long seed = 0x1234567;
	if (!__builtin_cpu_supports("avx2"))
		for (;; me->done++)
			pause_ms(100);
	for (;; me->done++) {
		seed = seed * 6364136223846793005ul + 1442695040888963407ul;
		__m256i v0 = _mm256_set1_epi64x(seed), v1 = _mm256_set1_epi64x(~seed);
		unsigned long i = 0, out[8];
		__asm__ volatile("1: addq $1, %0\n cmpq $20000000, %0\n jne 1b" : "+r"(i), "+x"(v0), "+x"(v1));
		_mm256_storeu_si256((void *)out, v0);
		_mm256_storeu_si256((void *)(out + 4), v1);
		for (int k = 0; k < 4; k++)
			CHECK(out[k] == seed && out[4 + k] == ~seed);
	}
}

__attribute__((target("avx512f"))) static void avx512(void)
{
	unsigned long seed = 77;
	if (!__builtin_cpu_supports("avx512f"))
		for (;; me->done++)
			pause_ms(100);
	for (;; me->done++) {
		unsigned long in[8], low[8], high[8], i = 0, mask, mask_in;
		seed = seed * 6364136223846793005ul + 1442695040888963407ul;
		mask_in = seed & 0xffff;
		for (int k = 0; k < 8; k++)
			in[k] = seed ^ k * 0x9e3779b97f4a7c15ul;
		__asm__ volatile("vmovdqu64 (%[in]), %%zmm17\n vmovdqu64 (%[in]), %%zmm3\n kmovw %k[m], %%k5\n"
		    "1: addq $1, %[i]\n cmpq $20000000, %[i]\n jne 1b\n"
		    "vmovdqu64 %%zmm17, (%[high])\n vmovdqu64 %%zmm3, (%[low])\n kmovw %%k5, %k[mask]\n"
		    : [i] "+r"(i), [mask] "=&r"(mask)
		    : [in] "r"(in), [low] "r"(low), [high] "r"(high), [m] "r"(mask_in) : "xmm3", "memory");
		CHECK(!memcmp(in, low, 64) && !memcmp(in, high, 64) && (mask & 0xffff) == mask_in);
	}
}

/* --- threads, memory */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int turn;
static __thread unsigned long own;

static void *thread(void *arg)
{
	long number = (long)arg;
	unsigned long count = own = number * 1000003ul;
	for (;;) {
		pthread_mutex_lock(&mutex);
		while (turn != number)
			pthread_cond_wait(&changed, &mutex);
		CHECK(own == count);
		count = ++own;
		turn = (turn + 1) % 4;
		me->done++;
		pthread_cond_broadcast(&changed);
		pthread_mutex_unlock(&mutex);
		if (number == 0)
			pause_ms(5);
	}
	return 0;
}

static void threads(void)
{
	pthread_t t;
	for (long i = 0; i < 4; i++)
		pthread_create(&t, NULL, thread, (void *)i);
	for (;;)
		pause();
}

static void private_memory(void)
{
	size_t count = 6 << 20;
	unsigned *p = mmap(NULL, count * 4, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (size_t i = 0; i < count; i++)
		p[i] = i * 2654435761u;
	for (unsigned round = 0;; round++, me->done++) {
		size_t i = 0;
		while (i < count && p[i] == (unsigned)(i * 2654435761u + round))
			i++;
		CHECK(i == count);
		for (i = 0; i < count; i++)
			p[i]++;
		char *q = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		memset(q, round, 1 << 20);
		mprotect(q, 1 << 19, PROT_READ);
		CHECK(q[100] == (char)round);
		munmap(q, 1 << 20);
		pause_ms(20);
	}
}

static void shared_memory(void)
{
	volatile unsigned long *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (fork() == 0)
		for (;;) {
			while (!(p[0] & 1))
				pause_ms(2);
			p[1000] = p[0] * 3;
			__sync_synchronize();
			p[0]++;
		}
	for (;; me->done++) {
		unsigned long v = ++p[0];
		while (p[0] & 1)
			pause_ms(2);
		CHECK(p[1000] == v * 3);
	}
}

/* --- between processes */

static void echo(int ours, int theirs)
{
	unsigned long k, answer;
	char block[3000];
	if (fork() == 0)
		for (;;) {
			if (read_all(theirs, &k, 8) || read_all(theirs, block, sizeof block))
				_exit(1);
			k++;
			if (write_all(theirs, &k, 8))
				_exit(1);
		}
	for (k = 0;; k++, me->done++) {
		memset(block, k, sizeof block);
		if (write_all(ours, &k, 8) || write_all(ours, block, sizeof block) || read_all(ours, &answer, 8)) {
			me->errors++;
			pause_ms(500);
		}
		CHECK(answer == k + 1);
		pause_ms(3);
	}
}

static void pipes(void)
{
	int there[2], back[2];
	unsigned long k = 0, answer;
	if (pipe(there) || pipe(back))
		me->errors++;
	if (fork() == 0)
		for (;;) {
			if (read_all(there[0], &answer, 8))
				_exit(1);
			answer ^= 0x5555;
			write_all(back[1], &answer, 8);
		}
	for (;; k++, me->done++) {
		write_all(there[1], &k, 8);
		CHECK(!read_all(back[0], &answer, 8) && answer == (k ^ 0x5555));
		pause_ms(3);
	}
}

static void unix_sockets(void)
{
	int s[2];
	socketpair(AF_UNIX, SOCK_STREAM, 0, s);
	echo(s[0], s[1]);
}

static void tcp(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof a;
	int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (void *)&a, sizeof a) || listen(listener, 1) || getsockname(listener, (void *)&a, &n) ||
	    connect(client, (void *)&a, n)) {
		me->errors++;
		return;
	}
	echo(client, accept(listener, NULL, NULL));
}

/* --- time and signals */

static volatile unsigned long alarms;
static void on_alarm(int sig) { (void)sig; alarms++; }

static void interval_timer(void)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	struct itimerval it = { { 0, 50000 }, { 0, 50000 } };
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &it, NULL);
	for (;; me->done = alarms) {
		unsigned long before = alarms;
		sigset_t none;
		sigemptyset(&none);
		sigsuspend(&none);
		CHECK(alarms != before);
	}
}

static void timer_and_epoll(void)
{
	int timer = timerfd_create(CLOCK_MONOTONIC, 0), events = epoll_create1(0), counter = eventfd(0, 0);
	struct itimerspec it = { { 0, 40000000 }, { 0, 40000000 } };
	struct epoll_event e = { EPOLLIN, { .fd = timer } };
	struct timespec last = { 0, 0 }, now;
	timerfd_settime(timer, 0, &it, NULL);
	epoll_ctl(events, EPOLL_CTL_ADD, timer, &e);
	e.data.fd = counter;
	epoll_ctl(events, EPOLL_CTL_ADD, counter, &e);
	for (;;) {
		unsigned long v, one = 1;
		if (epoll_wait(events, &e, 1, 5000) <= 0) {
			CHECK(errno == EINTR);
			continue;
		}
		read_all(e.data.fd, &v, 8);
		if (e.data.fd == timer) {
			me->done += v;
			write_all(counter, &one, 8);
		}
		clock_gettime(CLOCK_MONOTONIC, &now);
		CHECK(now.tv_sec > last.tv_sec || (now.tv_sec == last.tv_sec && now.tv_nsec >= last.tv_nsec));
		last = now;
	}
}

static void traced(void)
{
	pid_t child = fork();
	if (child == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		for (;;)
			raise(SIGUSR1);
	}
	for (;; me->done++) {
		int status;
		if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) {
			me->errors++;
			pause_ms(500);
			continue;
		}
		CHECK(WSTOPSIG(status) == SIGUSR1);
		CHECK(ptrace(PTRACE_CONT, child, NULL, 0) == 0);
		pause_ms(3);
	}
}

/* --- a file on the disk */

static void file(void)
{
	char path[200];
	unsigned page[1024];
	snprintf(path, sizeof path, "%s/survive.dat", folder);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
	CHECK(fd >= 0);
	for (unsigned long k = 0;; k++, me->done++) {
		for (int i = 0; i < 1024; i++)
			page[i] = k * 7919 + i;
		CHECK(pwrite(fd, page, 4096, k % 2048 * 4096) == 4096);
		if (k % 8 == 0) {
			fdatasync(fd);
			posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		}
		unsigned long old = k > 3 ? k - 3 : 0;
		CHECK(pread(fd, page, 4096, old % 2048 * 4096) == 4096);
		for (int i = 0; i < 1024; i++)
			if (page[i] != (unsigned)(old * 7919 + i)) {
				me->errors++;
				break;
			}
		pause_ms(4);
	}
}

static const struct { const char *name; void (*run)(void); } trades[] = {
	{ "x87", x87_and_sse }, { "avx2", avx2 }, { "avx512", avx512 }, { "threads", threads }, { "private", private_memory },
	{ "shared", shared_memory }, { "pipe", pipes }, { "unix", unix_sockets }, { "tcp", tcp }, { "itimer", interval_timer },
	{ "timerfd", timer_and_epoll }, { "ptrace", traced }, { "file", file },
};
enum { TRADES = sizeof trades / sizeof trades[0] };

int main(int argc, char **argv)
{
	folder = argc > 1 ? argv[1] : "/tmp";
	int period = argc > 2 ? atoi(argv[2]) : 1000;
	unsigned long last[TRADES] = { 0 };
	slots = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < TRADES; i++)
		if (fork() == 0) {
			me = &slots[i];
			trades[i].run();
			_exit(1);
		}
	for (unsigned long t = 0;; t++) {
		unsigned long errors = 0;
		int stuck = 0, n;
		char line[1024], still[256] = "";
		pause_ms(period);
		n = snprintf(line, sizeof line, "SURV %lu", t);
		for (int i = 0; i < TRADES; i++) {
			n += snprintf(line + n, sizeof line - n, " %s=%lu", trades[i].name, slots[i].done);
			if (slots[i].errors)
				n += snprintf(line + n, sizeof line - n, "(ERR %lu)", slots[i].errors);
			errors += slots[i].errors;
			if (slots[i].done == last[i]) {
				stuck++;
				strcat(strcat(still, ":"), trades[i].name);
			}
			last[i] = slots[i].done;
		}
		printf("%s errors=%lu stuck=%d%s\n", line, errors, stuck, still);
		fflush(stdout);
	}
}
