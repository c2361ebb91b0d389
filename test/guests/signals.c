/* Signals and timers: handlers, masks, alternate stack, nested and queued signals, faults, timers in flight. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t count[65], order[64], order_n, alarms;
static void on_signal(int sig) { count[sig]++; if (order_n < 64) order[order_n++] = sig; }
static void on_alarm(int sig) { (void)sig; alarms++; }

static sigjmp_buf back;
static volatile int fault_code, fault_signal;
static volatile void *fault_address;
static volatile int on_alternate;
static char alternate[65536];
static void on_fault(int sig, siginfo_t *info, void *context)
{
	char here;
	(void)context;
	fault_signal = sig;
	fault_code = info->si_code;
	fault_address = info->si_addr;
	on_alternate = &here >= alternate && &here < alternate + sizeof alternate;
	siglongjmp(back, 1);
}

static void check(const char *what, int ok) { printf("%s: %s\n", what, ok ? "ok" : "WRONG"); fflush(stdout); }

static void faults(void)
{
	struct sigaction a = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
	sigaltstack(&stack, NULL);
	sigaction(SIGSEGV, &a, NULL);
	sigaction(SIGFPE, &a, NULL);
	sigaction(SIGILL, &a, NULL);
	sigaction(SIGBUS, &a, NULL);
	if (!sigsetjmp(back, 1))
		*(volatile int *)0x1234 = 1;
	check("unmapped", fault_signal == SIGSEGV && fault_code == SEGV_MAPERR && fault_address == (void *)0x1234);
	check("alternate stack", on_alternate);
	char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!sigsetjmp(back, 1))
		*(volatile char *)(page + 5) = 1;
	check("read-only", fault_signal == SIGSEGV && fault_code == SEGV_ACCERR && fault_address == page + 5);
	if (!sigsetjmp(back, 1)) {
		volatile int zero = 0, one = 1;
		one = one / zero;
	}
	check("division", fault_signal == SIGFPE && fault_code == FPE_INTDIV);
	if (!sigsetjmp(back, 1))
		__asm__ volatile("ud2");
	check("instruction", fault_signal == SIGILL);
	if (!sigsetjmp(back, 1))
		((void (*)(void))page)();
	check("execute", fault_signal == SIGSEGV && fault_address == page);
}

static void masks(void)
{
	struct sigaction a = {.sa_handler = on_signal};
	sigset_t set, old, pending;
	sigaction(SIGUSR1, &a, NULL);
	sigaction(SIGUSR2, &a, NULL);
	sigaction(SIGRTMIN, &a, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, &old);
	for (int i = 0; i < 3; i++) {
		union sigval v = {.sival_int = i};
		kill(getpid(), SIGUSR2);
		kill(getpid(), SIGUSR1);
		sigqueue(getpid(), SIGRTMIN, v);
	}
	sigpending(&pending);
	check("pending", sigismember(&pending, SIGUSR1) && sigismember(&pending, SIGUSR2) && count[SIGUSR1] == 0);
	sigset_t rt;
	sigemptyset(&rt);
	sigaddset(&rt, SIGRTMIN);
	siginfo_t info;
	check("sigwaitinfo", sigwaitinfo(&rt, &info) == SIGRTMIN && info.si_value.sival_int == 0 && info.si_code == SI_QUEUE);
	sigprocmask(SIG_SETMASK, &old, NULL);
	check("delivered", count[SIGUSR1] == 1 && count[SIGUSR2] == 1 && count[SIGRTMIN] == 2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	kill(getpid(), SIGUSR1);
	sigemptyset(&set);
	check("sigsuspend", sigsuspend(&set) == -1 && errno == EINTR && count[SIGUSR1] == 2);
	struct timespec none = {0, 1000000}, zero = {0, 0}, long_wait = {100, 0};
	int pipes[2];
	if (pipe(pipes) != 0)
		return;
	struct pollfd nothing = {.fd = pipes[0], .events = POLLIN}, room = {.fd = pipes[1], .events = POLLOUT};
	fd_set fds;
	FD_ZERO(&fds);
	FD_SET(pipes[0], &fds);
	kill(getpid(), SIGUSR1);	/* what was pending comes at once */
	check("ppoll", ppoll(&nothing, 1, &long_wait, &set) == -1 && errno == EINTR && count[SIGUSR1] == 3);
	kill(getpid(), SIGUSR1);
	check("pselect", pselect(pipes[0] + 1, &fds, NULL, NULL, &long_wait, &set) == -1 && errno == EINTR && count[SIGUSR1] == 4);
	kill(getpid(), SIGUSR1);
	check("ppoll without waiting", ppoll(&nothing, 1, &zero, &set) == -1 && errno == EINTR && count[SIGUSR1] == 5);
	check("ppoll of nothing", ppoll(&nothing, 1, &zero, &set) == 0);
	kill(getpid(), SIGUSR1);
	check("ppoll of something", ppoll(&room, 1, &long_wait, &set) == 1 && count[SIGUSR1] == 5);
	sigpending(&pending);
	check("still pending", sigismember(&pending, SIGUSR1));
	close(pipes[0]);
	close(pipes[1]);
	check("sigtimedwait", sigtimedwait(&rt, &info, &none) == -1 && errno == EAGAIN);
	sigprocmask(SIG_SETMASK, &old, NULL);
}

static void timers(void)
{
	struct sigaction a = {.sa_handler = on_alarm};
	sigaction(SIGALRM, &a, NULL);
	struct itimerval every = {{0, 10000}, {0, 10000}}, off = {0};
	setitimer(ITIMER_REAL, &every, NULL);
	while (alarms < 5)
		pause();
	volatile unsigned long spin = 0;
	while (alarms < 10)	/* comes while it computes */
		spin++;
	setitimer(ITIMER_REAL, &off, NULL);
	check("timer", 1);
	a.sa_flags = SA_RESTART;
	sigaction(SIGALRM, &a, NULL);
	int pipes[2];
	char c;
	if (pipe(pipes) != 0)
		return;
	every.it_interval.tv_usec = 0;
	setitimer(ITIMER_REAL, &every, NULL);
	pid_t child = fork();
	if (child == 0) {
		usleep(40000);
		_exit(write(pipes[1], "x", 1) != 1);
	}
	check("restarted read", read(pipes[0], &c, 1) == 1 && c == 'x');
	waitpid(child, NULL, 0);
	a.sa_flags = 0;
	sigaction(SIGALRM, &a, NULL);
	every.it_interval.tv_usec = 10000;	/* the first one may come before the call */
	setitimer(ITIMER_REAL, &every, NULL);
	check("interrupted read", read(pipes[0], &c, 1) == -1 && errno == EINTR);
	struct timespec long_sleep = {100, 0}, rest;
	setitimer(ITIMER_REAL, &every, NULL);
	check("interrupted sleep", nanosleep(&long_sleep, &rest) == -1 && errno == EINTR && rest.tv_sec >= 98);
	setitimer(ITIMER_REAL, &off, NULL);
	struct timespec before, after;
	clock_gettime(CLOCK_MONOTONIC, &before);
	usleep(20000);
	clock_gettime(CLOCK_MONOTONIC, &after);
	check("slept", (after.tv_sec - before.tv_sec) * 1000000000L + after.tv_nsec - before.tv_nsec >= 20000000L);
}

static void children(void)
{
	int status;
	pid_t child = fork();
	if (child == 0)
		for (;;)
			pause();
	kill(child, SIGSTOP);
	check("stopped", waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	kill(child, SIGCONT);
	check("continued", waitpid(child, &status, WCONTINUED) == child && WIFCONTINUED(status));
	kill(child, SIGTERM);
	check("terminated", waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	child = fork();
	if (child == 0)
		for (volatile int i = 0;; i++)
			;
	usleep(10000);
	kill(child, SIGKILL);
	check("killed", waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	check("no more", waitpid(-1, &status, 0) == -1 && errno == ECHILD);
}

int main(void)
{
	masks();
	faults();
	timers();
	children();
	return 0;
}
