// Files in memory, so that an input costs no system call: the programs of this folder are linked with --wrap for the seam's functions that
// read files (mk/table.sh), and paths below /fuzz/ lead here. Nothing of the library is changed for it.
#ifndef VKCKPT_TEST_FUZZ_MEMORY_HOST_H
#define VKCKPT_TEST_FUZZ_MEMORY_HOST_H

#include <cstddef>
#include <cstdint>

namespace memory_host {

constexpr int kFile = 1 << 20;		// the descriptor of the one file; its position is 0 after put
constexpr int kParent = kFile + 1;
constexpr const char *kPath = "/fuzz/file";

// The content of the file from now on, and of no other; the memory stays the caller's.
void put(const void *content, size_t bytes);
// Until the next put: what every other path below /fuzz/ leads to.
void put_parent(const void *content, size_t bytes);

}  // namespace memory_host
#endif
