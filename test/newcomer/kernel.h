/* kernel.h: a very small kernel: four counting tasks, each with its registers in a page of one guest address space. */
#ifndef NEWCOMER_KERNEL_H
#define NEWCOMER_KERNEL_H

#include <stdatomic.h>
#include <stdint.h>

enum { RAM_BYTES = 4 << 20, TASKS = 4, STACK_BYTES = 64 << 10, FRAME = 4096, MAX_VCPUS = 4 };
#define GUEST_BASE 0x400000ull

/* Frame 0 of RAM. Frames below `next_free` are in use; stacks of vCPUs lie at the end of RAM. */
struct kernel {
	_Atomic uint32_t lock, notified, acknowledged;
	uint64_t rounds, next_free, root, passes[MAX_VCPUS];
	uint32_t running[TASKS];
};

/*
 *   newcomer [-c] [-n NAME] [-l LOG] [ROUNDS]    boots; -c: vCPUs keep their stacks in RAM and are thawed on them
 *   newcomer [-c] -t IMAGE [-o DEVICE.KEY=VALUE] thaws
 */
struct options {
	int contexts;
	const char *name, *log, *image, *override;
	uint64_t rounds;
};
struct options read_options(int argc, char **argv);

/* A log: text is put behind its end, which can be set back. */
struct log {
	int fd;
	char path[256];
};
int log_start(struct log *log, const char *path, int flags);	/* 0 or -errno */
uint64_t log_end(const struct log *log);
void log_cut(const struct log *log, uint64_t end);

void kernel_boot(void *ram, uint64_t rounds);
/* Runs one round of one task: 0 when all tasks have ended, 1 after a round, 2 when the others are busy. */
int kernel_step(void *ram, const struct log *log);
int kernel_frame_is_free(const void *ram, uint64_t frame);
#endif
