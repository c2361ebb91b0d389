// Gives every fuzz target its committed corpus and mutations of it: run CORPUS [MUTATIONS]. CORPUS has a folder per target. The same
// numbers every time; a failure prints the command that repeats it.
#include "test/fuzz/fuzz.h"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include <unistd.h>

namespace {

using Bytes = std::vector<uint8_t>;

struct Target {
	const char *name;
	int (*run)(const uint8_t *, size_t);
	unsigned weight;	// mutations per file, in hundredths of what was asked for
};
constexpr Target kTargets[] = {
	{ "image", fuzz_image, 20 }, { "sealed", fuzz_sealed, 100 }, { "cipher", fuzz_cipher, 100 }, { "group", fuzz_group, 400 },
	{ "lz4", fuzz_lz4, 400 }, { "walk", fuzz_walk, 100 }, { "device", fuzz_device, 400 },
};

char g_doing[512];	// what a crash is to be repeated with

void on_crash(int signal)
{
	if (write(2, g_doing, std::strlen(g_doing)) < 0)
		_exit(3);
	std::signal(signal, SIG_DFL);
	raise(signal);
}

Bytes read_file(const std::filesystem::path &path)
{
	std::ifstream in(path, std::ios::binary);
	return Bytes(std::istreambuf_iterator<char>(in), {});
}

// One to four changes: bits, interesting numbers at any place, copied, cut or repeated pieces.
void mutate(Bytes &bytes, std::mt19937_64 &random)
{
	static const uint64_t numbers[] = { 0, 1, 0xff, 0x1000, 0xffff, 0x10000, 0x7fffffff, 0xffffffff, 1ull << 32, 1ull << 63, ~0ull, ~0xfffull };
	for (unsigned n = 1 + random() % 4; n > 0 && !bytes.empty(); n--) {
		size_t at = random() % bytes.size(), length = std::min<size_t>(1 + random() % 64, bytes.size() - at);
		uint64_t number = numbers[random() % std::size(numbers)];
		switch (random() % 8) {
		case 0: case 1:
			bytes[at] ^= static_cast<uint8_t>(1u << random() % 8);
			break;
		case 2:
			bytes[at] = static_cast<uint8_t>(random());
			break;
		case 3: case 4:
			at &= ~size_t{3};
			std::memcpy(bytes.data() + at, &number, std::min<size_t>(random() % 2 ? 8 : 4, bytes.size() - at));
			break;
		case 5: {
			size_t from = random() % (bytes.size() - length + 1);
			std::memmove(bytes.data() + at, bytes.data() + from, length);
			break;
		}
		case 6:
			if (random() % 4 == 0)
				bytes.resize(at);
			break;
		default:
			if (random() % 4 == 0)
				bytes.insert(bytes.begin() + static_cast<long>(at), length, static_cast<uint8_t>(random()));
		}
	}
}

unsigned long run_file(const Target &target, const std::filesystem::path &path, unsigned long mutations)
{
	const Bytes seed = read_file(path);
	target.run(seed.data(), seed.size());
	unsigned long count = mutations * target.weight / 100;
	for (unsigned long m = 0; m < count; m++) {
		std::snprintf(g_doing, sizeof g_doing, "fuzz: target %s, %s, mutation %lu; repeat: build/test/fuzz/run %s %lu\n", target.name,
		    path.c_str(), m, path.parent_path().parent_path().c_str(), mutations);
		std::mt19937_64 random(m * 2654435761u + seed.size());
		Bytes bytes = seed;
		mutate(bytes, random);
		target.run(bytes.data(), bytes.size());
	}
	return count + 1;
}

}  // namespace

int main(int argc, char **argv)
{
	if (argc < 2) {
		std::fprintf(stderr, "usage: run CORPUS [MUTATIONS]\n");
		return 2;
	}
	unsigned long mutations = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 500;
	for (int signal : { SIGSEGV, SIGBUS, SIGILL, SIGABRT, SIGFPE, SIGALRM })
		std::signal(signal, on_crash);
	for (const Target &target : kTargets) {
		std::vector<std::filesystem::path> files;
		std::error_code error;
		for (auto &entry : std::filesystem::directory_iterator(std::string(argv[1]) + "/" + target.name, error))
			files.push_back(entry.path());
		if (error || files.empty()) {
			std::fprintf(stderr, "fuzz: %s/%s: no corpus\n", argv[1], target.name);
			return 1;
		}
		std::sort(files.begin(), files.end());
		unsigned long inputs = 0;
		alarm(600);	// an endless loop must end
		for (auto &file : files)
			inputs += run_file(target, file, mutations);
		std::printf("%-8s %3zu files, %7lu inputs\n", target.name, files.size(), inputs);
	}
	return 0;
}
