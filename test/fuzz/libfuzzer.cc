// libFuzzer's entry point for the target named at compile time; see fuzz.h. Empty in the ordinary build.
#include "test/fuzz/fuzz.h"

#ifdef VKCKPT_FUZZ_TARGET
extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return VKCKPT_FUZZ_TARGET(data, size); }
#endif
