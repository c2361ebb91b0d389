// Fuzz targets: each takes any bytes and must come back without a crash, an endless loop or a broken promise. With libFuzzer:
//
//	clang++ -std=c++20 -g -O1 -fsanitize=fuzzer,address -DVKCKPT_FUZZ_TARGET=fuzz_image -Iinclude -I. -o fuzz_image
//	    test/fuzz/*_target.cc test/fuzz/libfuzzer.cc build/lib/libvkckpt.a		(one line)
//
// In the ordinary tests test/fuzz/run.cc gives them the committed corpus and mutations of it.
#ifndef VKCKPT_TEST_FUZZ_H
#define VKCKPT_TEST_FUZZ_H

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

int fuzz_image(const uint8_t *data, size_t size);	// header and record stream, as it is
int fuzz_sealed(const uint8_t *data, size_t size);	// the same with all checksums put right: what lies behind them
int fuzz_cipher(const uint8_t *data, size_t size);	// and of an encrypted image, behind its seal
int fuzz_group(const uint8_t *data, size_t size);	// a group's descriptors
int fuzz_lz4(const uint8_t *data, size_t size);		// decoding a chunk
int fuzz_walk(const uint8_t *data, size_t size);	// page tables: the root, then RAM
int fuzz_device(const uint8_t *data, size_t size);	// a device's configuration and an override

#define FUZZ_CHECK(cond) \
	do { \
		if (!(cond)) { \
			std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
			std::abort(); \
		} \
	} while (0)

#endif
