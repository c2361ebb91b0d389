#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { V = 1, RW = 2, A = 0x20, M = 0x40 };
#define FRAME_MASK 0x000FFFFFFFFFF000ull

struct task { uint64_t round, value; };

struct options read_options(int argc, char **argv)
{
	struct options o = { .name = "box", .log = "log", .rounds = 1000 };
	for (int c; (c = getopt(argc, argv, "ct:o:l:n:")) != -1;)
		switch (c) {
		case 'c': o.contexts = 1; break;
		case 't': o.image = optarg; break;
		case 'o': o.override = optarg; break;
		case 'l': o.log = optarg; break;
		case 'n': o.name = optarg; break;
		default: _exit(2);
		}
	if (optind < argc)
		o.rounds = strtoull(argv[optind], NULL, 0);
	return o;
}

int log_start(struct log *log, const char *path, int flags)
{
	snprintf(log->path, sizeof log->path, "%s", path);
	log->fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | flags, 0600);
	return log->fd < 0 ? -errno : 0;
}

uint64_t log_end(const struct log *log) { return (uint64_t)lseek(log->fd, 0, SEEK_END); }

void log_cut(const struct log *log, uint64_t end)
{
	if (ftruncate(log->fd, (off_t)end) < 0)
		perror(log->path);
}

static uint64_t *frame(void *ram, uint64_t entry) { return (uint64_t *)((char *)ram + (entry & FRAME_MASK)); }

static uint64_t new_frame(void *ram)
{
	return ((struct kernel *)ram)->next_free++ * FRAME;
}

/* The walk of the page tables: four levels, the root is an entry. `make` fills what is missing. */
static void *translate(void *ram, uint64_t *root, uint64_t va, int make)
{
	uint64_t *entry = root;
	for (int level = 4; level >= 0; level--) {
		if (!(*entry & V)) {
			if (!make)
				return NULL;
			*entry = new_frame(ram) | V | RW;
		}
		*entry |= A | M;
		if (level > 0)
			entry = frame(ram, *entry) + (va >> (12 + 9 * (level - 1)) & 511);
	}
	return (char *)frame(ram, *entry) + (va & (FRAME - 1));
}

static struct task *task_of(void *ram, int i)
{
	return translate(ram, &((struct kernel *)ram)->root, GUEST_BASE + (uint64_t)i * FRAME, 0);
}

void kernel_boot(void *ram, uint64_t rounds)
{
	struct kernel *k = ram;
	k->rounds = rounds;
	k->next_free = 1;
	for (int i = 0; i < TASKS; i++) {
		struct task *t = translate(ram, &k->root, GUEST_BASE + (uint64_t)i * FRAME, 1);
		t->value = (uint64_t)i + 1;
	}
	/* Rubbish in a frame that is free: an image must not carry it. */
	memset((char *)ram + RAM_BYTES / 2, 0x5a, 16 * FRAME);
}

static void lock(struct kernel *k) { while (atomic_exchange(&k->lock, 1)) ; }
static void unlock(struct kernel *k) { atomic_store(&k->lock, 0); }

int kernel_step(void *ram, const struct log *log)
{
	struct kernel *k = ram;
	int chosen = -1, ended = 0;
	lock(k);
	if (k->notified)
		k->acknowledged = 1;
	for (int i = 0; i < TASKS; i++) {
		struct task *t = task_of(ram, i);
		if (t->round == k->rounds)
			ended++;
		else if (!k->running[i] && (chosen < 0 || t->round < task_of(ram, chosen)->round))
			chosen = i;
	}
	if (chosen >= 0)
		k->running[chosen] = 1;
	unlock(k);
	if (chosen < 0)
		return ended == TASKS ? 0 : 2;

	struct task *t = task_of(ram, chosen);
	for (int i = 0; i < 1000; i++)
		t->value = t->value * 6364136223846793005ull + 1442695040888963407ull;
	t->round++;
	char line[64];
	snprintf(line, sizeof line, "task %d round %llu value %016llx\n", chosen, (unsigned long long)t->round,
	    (unsigned long long)t->value);
	if (write(log->fd, line, strlen(line)) < 0)
		_exit(1);
	lock(k);
	k->running[chosen] = 0;
	unlock(k);
	return 1;
}

int kernel_frame_is_free(const void *ram, uint64_t frame)
{
	const struct kernel *k = ram;
	uint64_t stacks = (RAM_BYTES - MAX_VCPUS * STACK_BYTES) / FRAME;
	return frame >= k->next_free && frame < stacks;
}
