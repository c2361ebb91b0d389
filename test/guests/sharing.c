/* What processes and mappings share and what not: robust mutexes over death, execve and exit while threads run, file mappings. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void check(const char *what, int ok) { printf("%s: %s\n", what, ok ? "ok" : "WRONG"); fflush(stdout); }

static void *spin(void *arg)
{
	for (volatile int i = 0;; i++)
		;
	return arg;
}

/* Forks a child that has three spinning threads and then ends as told. */
static int child_with_threads(int do_exec, char *self)
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		pthread_t t[3];
		for (int i = 0; i < 3; i++)
			pthread_create(&t[i], NULL, spin, NULL);
		usleep(20000);
		if (do_exec)
			execl(self, self, "child", NULL);
		_exit(3);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void robust(void)
{
	pthread_mutex_t *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_mutexattr_t a;
	pthread_mutexattr_init(&a);
	pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(m, &a);
	if (fork() == 0) {
		pthread_mutex_lock(m);
		_exit(0);
	}
	wait(NULL);
	check("robust mutex", pthread_mutex_lock(m) == EOWNERDEAD);
}

static void files(void)
{
	char name[] = "/tmp/sharing.XXXXXX", b[6] = "";
	int fd = mkstemp(name);
	unlink(name);
	if (ftruncate(fd, 10000) != 0)
		return;
	char *shared = mmap(NULL, 12288, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	strcpy(shared + 5000, "hello");
	check("mapping to file", pread(fd, b, 5, 5000) == 5 && strcmp(b, "hello") == 0);
	check("file to mapping", pwrite(fd, "world", 5, 5000) == 5 && memcmp(shared + 5000, "world", 5) == 0);
	char *private = mmap(NULL, 12288, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	private[5000] = 'W';
	check("private", pread(fd, b, 5, 5000) == 5 && strcmp(b, "world") == 0 && memcmp(private + 5000, "World", 5) == 0);
}

static void memory(void)
{
	int bad = 0;
	check("too much", mmap(NULL, 1ull << 42, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
	for (int i = 0; i < 50; i++) {
		char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		memset(p, i + 1, 1 << 20);
		madvise(p, 1 << 20, MADV_DONTNEED);
		for (int k = 0; k < 1 << 20; k += 4096)
			bad += p[k] != 0;
		munmap(p, 1 << 20);
	}
	check("given back", bad == 0);
	volatile char *stack = __builtin_alloca(6 << 20);
	stack[0] = 1;
	check("deep stack", stack[0] == 1);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return 5;
	robust();
	check("execve ends threads", child_with_threads(1, argv[0]) == 5);
	check("exit ends threads", child_with_threads(0, argv[0]) == 3);
	files();
	memory();
	return 0;
}
