/*
 * diskload WRITERS ROUNDS: each writer, a process of its own with its own part of /dev/vkd0, overwrites random blocks there with
 * bytes made from (writer, block, version), reads others back and compares, and calls fsync now and then. At the end each compares
 * its whole part with what it remembers, and the sum of the whole disk is printed.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kBlock = 4096, kBlocks = 256 };
static uint64_t random_state;
static uint64_t next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	return random_state ^= random_state << 17;
}

static void make(uint64_t *block, uint64_t writer, uint64_t number, uint64_t version)
{
	uint64_t x = (writer << 40 ^ number << 20 ^ version) * 0x9e3779b97f4a7c15ull + 1;
	for (int i = 0; i < kBlock / 8; i++)
		block[i] = version ? (x = x * 6364136223846793005ull + 1442695040888963407ull) : 0;
}

static int writer(int self, int rounds)
{
	static uint64_t version[kBlocks], want[kBlock / 8], got[kBlock / 8];
	int fd = open("/dev/vkd0", O_RDWR), wrong = 0;
	off_t base = (off_t)self * kBlocks * kBlock;

	random_state = (uint64_t)self * 77777 + 12345;
	for (int i = 0; i < rounds; i++) {
		uint64_t b = next() % kBlocks, c = next() % kBlocks;
		make(want, (uint64_t)self, b, ++version[b]);
		if (pwrite(fd, want, kBlock, base + (off_t)(b * kBlock)) != kBlock)
			return perror("diskload: write"), 1;
		make(want, (uint64_t)self, c, version[c]);
		if (pread(fd, got, kBlock, base + (off_t)(c * kBlock)) != kBlock || memcmp(want, got, kBlock))
			wrong++;
		if (i % 64 == 0 && fsync(fd) != 0)
			return perror("diskload: fsync"), 1;
	}
	for (uint64_t b = 0; b < kBlocks; b++) {
		make(want, (uint64_t)self, b, version[b]);
		if (pread(fd, got, kBlock, base + (off_t)(b * kBlock)) != kBlock || memcmp(want, got, kBlock))
			wrong++;
	}
	return wrong > 100 ? 100 : wrong;
}

int main(int argc, char **argv)
{
	int writers = argc > 1 ? atoi(argv[1]) : 1, rounds = argc > 2 ? atoi(argv[2]) : 1000, wrong = 0, status;
	static uint64_t block[kBlock / 8];
	uint64_t sum = 0;

	for (int i = 0; i < writers; i++)
		if (fork() == 0)
			_exit(writer(i, rounds));
	while (wait(&status) > 0)
		wrong += WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
	int fd = open("/dev/vkd0", O_RDONLY);
	while (read(fd, block, kBlock) == kBlock)
		for (int i = 0; i < kBlock / 8; i++)
			sum = sum * 31 + block[i];
	printf("writers %d wrong %d sum %016llx\n", writers, wrong, (unsigned long long)sum);
	return wrong != 0;
}
