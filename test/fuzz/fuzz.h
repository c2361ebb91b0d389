// Fuzz targets: each takes any bytes and must come back without a crash, an endless loop or a broken promise. In the ordinary tests
// test/fuzz/run.cc gives them the committed corpus and mutations of it; `make fuzz' gives them to libFuzzer.
#ifndef VKCKPT_TEST_FUZZ_H
#define VKCKPT_TEST_FUZZ_H

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "test/fuzz/mutate.h"

void fuzz_image(const uint8_t *data, size_t size);	// header and record stream, front to back; then the same at random
void fuzz_random(const uint8_t *data, size_t size);	// index and chunks by random access
void fuzz_header(const uint8_t *data, size_t size);	// block 0 alone
void fuzz_records(const uint8_t *data, size_t size);	// head records of every type, one behind the other
void fuzz_cipher(const uint8_t *data, size_t size);	// an encrypted image, behind its seal
void fuzz_chain(const uint8_t *data, size_t size);	// an increment and the image that it is built on
void fuzz_group(const uint8_t *data, size_t size);	// a group's descriptors
void fuzz_lz4(const uint8_t *data, size_t size);	// decoding a chunk, and encoding one
void fuzz_walk(const uint8_t *data, size_t size);	// page tables: the root, then RAM
void fuzz_owners(const uint8_t *data, size_t size);	// page tables that lie in an image
void fuzz_device(const uint8_t *data, size_t size);	// a device's configuration and an override
void fuzz_sidecar(const uint8_t *data, size_t size);	// the file beside a disk, and the fence that a thaw holds against it
void fuzz_keyfile(const uint8_t *data, size_t size);	// a file with a key
void fuzz_signature(const uint8_t *data, size_t size);	// the file beside a signed image
void fuzz_thaw(const uint8_t *data, size_t size);	// a whole thaw, up to the point of no return

struct FuzzTarget {
	const char *name;
	void (*run)(const uint8_t *, size_t);
	void (*mutate)(fuzz::Bytes &, fuzz::Random &);
	unsigned weight;	// inputs in the ordinary tests, in hundredths of what was asked for
};
inline constexpr FuzzTarget kFuzzTargets[] = {
	{ "image", fuzz_image, fuzz::mutate_image, 100 },
	{ "random", fuzz_random, fuzz::mutate_image, 100 },
	{ "cipher", fuzz_cipher, fuzz::mutate_bytes, 10 },
	{ "chain", fuzz_chain, fuzz::mutate_chain, 20 },
	{ "header", fuzz_header, fuzz::mutate_block, 200 },
	{ "records", fuzz_records, fuzz::mutate_bytes, 200 },
	{ "group", fuzz_group, fuzz::mutate_bytes, 400 },
	{ "lz4", fuzz_lz4, fuzz::mutate_bytes, 100 },
	{ "walk", fuzz_walk, fuzz::mutate_bytes, 50 },
	{ "owners", fuzz_owners, fuzz::mutate_image, 50 },
	{ "device", fuzz_device, fuzz::mutate_bytes, 200 },
	{ "sidecar", fuzz_sidecar, fuzz::mutate_block, 200 },
	{ "keyfile", fuzz_keyfile, fuzz::mutate_bytes, 20 },
	{ "signature", fuzz_signature, fuzz::mutate_bytes, 20 },
	{ "thaw", fuzz_thaw, fuzz::mutate_image, 10 },
};

#define FUZZ_CHECK(cond) \
	do { \
		if (!(cond)) { \
			std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
			std::abort(); \
		} \
	} while (0)

#endif
