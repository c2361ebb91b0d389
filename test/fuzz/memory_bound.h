// How much memory an input may cost: the library makes all of its own by sys_mmap, which leads here.
#ifndef VKCKPT_TEST_MEMORY_BOUND_H
#define VKCKPT_TEST_MEMORY_BOUND_H

#include "test/fuzz/fuzz.h"

namespace memory_bound {

// target.run, and a trap if the library took more than this many bytes of input justify, or did not give it back.
void run(const FuzzTarget &target, const uint8_t *data, size_t size);

}  // namespace memory_bound
#endif
