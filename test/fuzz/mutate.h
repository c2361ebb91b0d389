// Changes to inputs: of plain bytes, and of images by their structure, so that what is changed comes past the checksums. The same seed gives the
// same change.
#ifndef VKCKPT_TEST_FUZZ_MUTATE_H
#define VKCKPT_TEST_FUZZ_MUTATE_H

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace fuzz {

using Bytes = std::vector<uint8_t>;

// A small fast generator: a mutation must not cost more than the input it makes.
class Random {
public:
	explicit Random(uint64_t seed) : state_(seed) {}
	uint64_t operator()()
	{
		uint64_t z = state_ += 0x9e3779b97f4a7c15;
		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
		z = (z ^ z >> 27) * 0x94d049bb133111eb;
		return z ^ z >> 31;
	}
	uint64_t below(uint64_t n) { return n ? operator()() % n : 0; }

private:
	uint64_t state_;
};

// One to four changes: bits, interesting numbers at any place, copied, cut or repeated pieces.
void mutate_bytes(Bytes &, Random &);
// The same inside bytes that keep their length.
void change_bytes(uint8_t *bytes, size_t count, Random &);
// One to four changes of an image's fields, records, descriptors or stored bytes; mostly everything else is then made to fit.
void mutate_image(Bytes &, Random &);
// Two images: the length of the first in four bytes, the first, the second. Either is changed as by mutate_image, or both.
void mutate_chain(Bytes &, Random &);
// A block whose last 16 bytes are the digest of the rest.
void mutate_block(Bytes &, Random &);

}  // namespace fuzz
#endif
