// libFuzzer's entry points (make fuzz): the target is the one that the environment names in VKCKPT_FUZZ.
#include "test/fuzz/memory_bound.h"

#include <cstring>

extern "C" size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

namespace {

const FuzzTarget *target()
{
	static const FuzzTarget *found = nullptr;
	const char *name = std::getenv("VKCKPT_FUZZ");
	for (const FuzzTarget &t : kFuzzTargets)
		if (!found && name && std::strcmp(name, t.name) == 0)
			found = &t;
	if (!found) {
		std::fprintf(stderr, "fuzz: VKCKPT_FUZZ=%s: no such target\n", name ? name : "");
		std::exit(2);
	}
	return found;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	memory_bound::run(*target(), data, size);
	return 0;
}

// Our own changes know the format, libFuzzer's know what was compared with what: both, the latter more often where there is no format.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	fuzz::Random random(seed);
	if (random.below(4) == 0)
		return LLVMFuzzerMutate(data, size, max_size);
	fuzz::Bytes bytes(data, data + size);
	target()->mutate(bytes, random);
	if (bytes.size() > max_size)
		bytes.resize(max_size);
	if (!bytes.empty())
		std::memcpy(data, bytes.data(), bytes.size());
	return bytes.size();
}
