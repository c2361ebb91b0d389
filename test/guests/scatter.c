/* Much memory in many pieces: mappings, holes, protections, moves; every page is checked. Argument: MiB (256). */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { kPage = 4096, kPiece = 16 };	/* pages of a piece, one unmapped, one read-only */
static uint64_t value(size_t page) { return page * 0x9e3779b97f4a7c15ull + 1; }

int main(int argc, char **argv)
{
	size_t pages = (size_t)(argc > 1 ? atoi(argv[1]) : 256) * 256, pieces = pages / kPiece, bad = 0;
	char **piece = malloc(pieces * sizeof *piece);
	for (size_t i = 0; i < pieces; i++) {
		piece[i] = mmap(NULL, kPiece * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (piece[i] == MAP_FAILED)
			return printf("mmap %zu failed\n", i), 1;
		for (size_t p = 0; p < kPiece; p++)
			*(uint64_t *)(piece[i] + p * kPage + i % 500 * 8) = value(i * kPiece + p);
		munmap(piece[i] + 3 * kPage, kPage);
		mprotect(piece[i] + 7 * kPage, kPage, PROT_READ);
	}
	for (size_t i = 0; i < pieces; i += 10) {	/* move some of them */
		char *to = mremap(piece[i] + 8 * kPage, 8 * kPage, 8 * kPage, MREMAP_MAYMOVE | MREMAP_FIXED,
		    (char *)0x200000000000 + i * 0x100000);
		if (to == MAP_FAILED)
			return printf("mremap %zu failed\n", i), 1;
		for (size_t p = 8; p < kPiece; p++)
			bad += *(uint64_t *)(to + (p - 8) * kPage + i % 500 * 8) != value(i * kPiece + p);
		mremap(to, 8 * kPage, 8 * kPage, MREMAP_MAYMOVE | MREMAP_FIXED, piece[i] + 8 * kPage);
	}
	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i < pieces; i++)
			for (size_t p = 0; p < kPiece; p++)
				if (p != 3)
					bad += *(uint64_t *)(piece[i] + p * kPage + i % 500 * 8) != value(i * kPiece + p);
	printf("pages %zu wrong %zu\n", pages, bad);
	return bad != 0;
}
