// The corpus: small inputs of every target, made with the library's own writer, so that a new feature of the format gets its seeds by a few
// lines here. build/test/fuzz/run --make FOLDER writes them.
#ifndef VKCKPT_TEST_FUZZ_SEEDS_H
#define VKCKPT_TEST_FUZZ_SEEDS_H

#include <cstdint>
#include <string>
#include <vector>

namespace seeds {

// Where the images have RAM and regions, and how much of it target `thaw' allows there.
constexpr uint64_t kRam = 0x300000000000, kRamRoom = 16 << 20, kRegions = 0x310000000000, kRegionsRoom = 4 << 20;
constexpr char kSigner[] = "the seed of who signs, 32 bytes.";	// of target `signature'
static_assert(sizeof kSigner - 1 == 32);
constexpr char kBuild[4] = { 'f', 'u', 'z', 'z' };

// An image and an increment that is built on it (as "parent"), both under the seal that target `cipher' takes off.
struct SealedChain {
	std::vector<uint8_t> parent, child;
};
SealedChain sealed_chain();

void make(const std::string &folder);

}  // namespace seeds
#endif
