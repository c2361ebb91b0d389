// What the floor of a lazy thaw and those who make its file know of it.
#ifndef VKCKPT_TEST_BENCH_START_H
#define VKCKPT_TEST_BENCH_START_H

namespace bench {
constexpr unsigned long kTail = 65536;	// behind the RAM, for the guest's page tables
}
#endif
