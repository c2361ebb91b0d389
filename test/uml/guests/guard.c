/*
 * guard SECONDS COMMAND...: runs a test so that nothing of it is left on the host. Whatever it starts ends up below this process (a subreaper), its
 * mounts lie in a mount namespace of their own (as root), and when it has ended, was interrupted or has run for too long, everything that still
 * lives is named and killed. Status: the command's; 124 too long; 99 it passed, but had left something behind.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t stop_signal;
static void on_signal(int sig) { stop_signal = sig; }

/* 1: in state Z, which needs no killing; *parent is its parent */
static int stat_of(int pid, int *parent)
{
	char path[40], text[400], *end;
	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	FILE *f = fopen(path, "r");
	*parent = 0;
	if (!f)
		return 1;
	size_t n = fread(text, 1, sizeof text - 1, f);
	fclose(f);
	text[n] = 0;
	end = strrchr(text, ')');
	if (!end)
		return 1;
	*parent = atoi(end + 4);
	return end[2] == 'Z' || end[2] == 'X';
}

static void show(int pid)
{
	char path[40], text[300];
	snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
	FILE *f = fopen(path, "r");
	size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
	if (f)
		fclose(f);
	for (size_t i = 0; i < n; i++)
		if (!text[i])
			text[i] = ' ';
	printf("left behind: %d %.*s\n", pid, (int)n, text);
	fflush(stdout);
}

/* Everything below this process: counted, and with sig killed, with name named. */
static int descendants(int sig, int name)
{
	static int pids[65536], parents[65536], mine[65536];
	int n = 0, count = 0, more = 1;
	DIR *proc = opendir("/proc");
	for (struct dirent *e; proc && n < 65536 && (e = readdir(proc));) {
		int pid = atoi(e->d_name), parent;
		if (pid <= 0)
			continue;
		int dead = stat_of(pid, &parent);
		pids[n] = pid;
		parents[n] = parent;
		mine[n++] = dead ? -1 : 0;
	}
	if (proc)
		closedir(proc);
	while (more) {
		more = 0;
		for (int i = 0; i < n; i++) {
			int is = parents[i] == getpid();
			for (int k = 0; !is && k < n; k++)
				is = pids[k] == parents[i] && mine[k] == 1;
			if (mine[i] == 0 && is)
				more = mine[i] = 1;
		}
	}
	for (int i = 0; i < n; i++)
		if (mine[i] == 1) {
			count++;
			if (name)
				show(pids[i]);
			if (sig)
				kill(pids[i], sig);
		}
	return count;
}

static void reap(void)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_signal };
	int status = 0, left = 0;
	if (argc < 3)
		return 2;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (geteuid() == 0 && unshare(CLONE_NEWNS) == 0)
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	sigaction(SIGALRM, &sa, NULL);
	pid_t child = fork();
	if (child == 0) {
		execvp(argv[2], argv + 2);
		perror(argv[2]);
		_exit(127);
	}
	alarm(atoi(argv[1]));
	while (!stop_signal) {
		pid_t pid = waitpid(-1, &status, 0);
		if (pid == child)
			break;
		if (pid < 0 && errno != EINTR)
			break;
	}
	/* what was killed at the end of the test may take a moment to go, and its helpers with it; a tap longer. The test's own time is over. */
	alarm(0);
	for (int i = 0; i < 300 && !stop_signal && descendants(0, 0); i++) {
		usleep(100000);
		reap();
	}
	left = descendants(0, !stop_signal);
	for (int i = 0; i < 100 && descendants(SIGKILL, 0); i++) {
		usleep(50000);
		reap();
	}
	reap();
	if (stop_signal == SIGALRM) {
		printf("stopped after %s s\n", argv[1]);
		return 124;
	}
	if (stop_signal)
		return 128 + stop_signal;
	if (WIFSIGNALED(status))
		return 128 + WTERMSIG(status);
	return left && WEXITSTATUS(status) == 0 ? 99 : WEXITSTATUS(status);
}
