/*
 * hostcall kill|enospc N PID: acts at the N-th step of the checkpoint that process PID takes next. A step is a call to the host that has to do with
 * files of the image or of a fence (found by .part, .vkckpt or a folder in its place): open, write, fsync, rename, unlink, clone. Of many
 * writes to one file the 1st, 2nd, 4th, 8th ... count.
 *
 *   kill     the process is killed before the host has done the step
 *   enospc   the step fails with ENOSPC instead, if it is one that can
 *
 * Says "ready" when the checkpoint may be asked for, then what it did. Status 0 acted, 3 the checkpoint had fewer steps (or the step cannot fail
 * with ENOSPC: 4). Ends by itself when the process has ended or, without a step for 60 seconds, anyway.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TASKS = 64 };
static struct { pid_t tid; int in_call, fail; } tasks[TASKS];
static int pid, wanted, killing, count, open_images;
static long writes;
static char last_written[300];

static void file_of(int fd, char *out, size_t room)
{
	char link[64];
	snprintf(link, sizeof link, "/proc/%d/fd/%d", pid, fd);
	ssize_t n = readlink(link, out, room - 1);
	out[n > 0 ? n : 0] = 0;
}

static void text_at(unsigned long address, char *out, size_t room)
{
	struct iovec here = { out, room - 1 }, there = { (void *)address, room - 1 };
	memset(out, 0, room);
	if (process_vm_readv(pid, &here, 1, &there, 1, 0) <= 0) {
		here.iov_len = there.iov_len = 4096 - address % 4096 < room ? 4096 - address % 4096 : room - 1;
		process_vm_readv(pid, &here, 1, &there, 1, 0);
	}
}

static int ours(const char *path)
{
	return strstr(path, ".part") || strstr(path, ".vkckpt");
}

/* The name of the step, or NULL: not one. *can: it can end with ENOSPC. */
static const char *step_of(struct user_regs_struct *r, char *path, int *can)
{
	*can = 1;
	switch (r->orig_rax) {
	case SYS_openat:
		text_at(r->rsi, path, 300);
		*can = (r->rdx & O_CREAT) != 0;
		return (r->rdx & O_CREAT) && ours(path) ? "create" : NULL;
	case SYS_write: case SYS_pwrite64: case SYS_writev: case SYS_pwritev:
		file_of(r->rdi, path, 300);
		if (!ours(path))
			return NULL;
		if (strcmp(path, last_written))
			writes = 0;
		strcpy(last_written, path);
		writes++;
		return (writes & (writes - 1)) == 0 ? "write" : NULL;
	case SYS_fsync: case SYS_fdatasync:
		file_of(r->rdi, path, 300);
		return open_images || ours(path) ? "sync" : NULL;
	case SYS_fallocate: case SYS_ftruncate:
		file_of(r->rdi, path, 300);
		return ours(path) ? "size" : NULL;
	case SYS_renameat2: case SYS_renameat:
		text_at(r->r10, path, 300);
		return "rename";
	case SYS_rename:
		text_at(r->rsi, path, 300);
		return "rename";
	case SYS_unlink:
		text_at(r->rdi, path, 300);
		*can = 0;
		return ours(path) ? "unlink" : NULL;
	case SYS_unlinkat:
		text_at(r->rsi, path, 300);
		*can = 0;
		return ours(path) ? "unlink" : NULL;
	}
	return NULL;
}

static void seize(void)
{
	char path[40];
	snprintf(path, sizeof path, "/proc/%d/task", pid);
	DIR *d = opendir(path);
	int n = 0;
	for (struct dirent *e; d && n < TASKS && (e = readdir(d));) {
		int tid = atoi(e->d_name);
		if (tid <= 0)
			continue;
		if (ptrace(PTRACE_SEIZE, tid, 0, PTRACE_O_TRACESYSGOOD) == 0 && ptrace(PTRACE_INTERRUPT, tid, 0, 0) == 0)
			tasks[n++].tid = tid;
		else
			perror("hostcall: seize");
	}
	if (d)
		closedir(d);
	if (!n)
		exit(2);
}

static void on_call(int i)
{
	pid_t tid = tasks[i].tid;
	struct user_regs_struct r;
	char path[300] = "";
	int can;
	if (ptrace(PTRACE_GETREGS, tid, 0, &r))
		return;
	tasks[i].in_call ^= 1;
	if (!tasks[i].in_call) {
		if (tasks[i].fail) {
			r.rax = -ENOSPC;
			ptrace(PTRACE_SETREGS, tid, 0, &r);
			tasks[i].fail = 0;
			exit(0);		/* which lets the process go */
		}
		return;
	}
	const char *step = step_of(&r, path, &can);
	if (!step || ++count != wanted)
		return;
	char *base = strrchr(path, '/');
	printf("%d %s %s\n", count, step, base && base[1] ? base + 1 : path);
	fflush(stdout);
	if (killing) {
		kill(pid, SIGKILL);
		exit(0);
	}
	if (!can)
		exit(4);
	r.orig_rax = -1;
	ptrace(PTRACE_SETREGS, tid, 0, &r);
	tasks[i].fail = 1;
}

static void on_alarm(int sig) { (void)sig; _exit(3); }

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	killing = !strcmp(argv[1], "kill");
	wanted = atoi(argv[2]);
	pid = atoi(argv[3]);
	open_images = 1;
	signal(SIGALRM, on_alarm);
	alarm(60);
	seize();
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		int status, i;
		pid_t tid = waitpid(-1, &status, __WALL);
		if (tid < 0)
			return 3;
		for (i = 0; i < TASKS && tasks[i].tid != tid; i++)
			;
		if (i == TASKS || !WIFSTOPPED(status)) {
			if (tid == pid)
				return 3;
			continue;
		}
		int sig = WSTOPSIG(status);
		if (sig == (SIGTRAP | 0x80)) {
			on_call(i);
			sig = 0;
		} else if (status >> 16) {
			sig = 0;	/* an event of ptrace, not a signal */
		}
		ptrace(PTRACE_SYSCALL, tid, 0, sig);
	}
}
