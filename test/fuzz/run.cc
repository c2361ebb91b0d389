// Gives every fuzz target its committed corpus and mutations of it, without libFuzzer:
//
//	run CORPUS [INPUTS [TARGET [FIRST]]]	INPUTS per target, or so many of TARGET, from number FIRST on
//	run --list				the names of the targets
//	run --make CORPUS			writes the seeds that this program makes (test/fuzz/seeds.cc)
//
// CORPUS has a folder per target. The same inputs every time; a failure prints the command that repeats it.
#include "test/fuzz/memory_bound.h"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <unistd.h>

#include "test/fuzz/seeds.h"

namespace {

using fuzz::Bytes;

char g_doing[512];	// what a crash is to be repeated with

void on_crash(int signal)
{
	if (write(2, g_doing, std::strlen(g_doing)) < 0)
		_exit(3);
	std::signal(signal, SIG_DFL);
	raise(signal);
}

std::vector<Bytes> read_corpus(const std::string &folder)
{
	std::vector<std::filesystem::path> files;
	std::error_code error;
	for (auto &entry : std::filesystem::directory_iterator(folder, error))
		files.push_back(entry.path());
	std::sort(files.begin(), files.end());
	std::vector<Bytes> corpus;
	for (auto &path : files) {
		std::ifstream in(path, std::ios::binary);
		corpus.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
	}
	return corpus;
}

// Every input begins with a seed; half of them with one that was changed before, so that changes add up.
void run_target(const FuzzTarget &target, const char *folder, std::vector<Bytes> corpus, unsigned long inputs, unsigned long first)
{
	const size_t seeds = corpus.size();
	for (const Bytes &seed : corpus)
		memory_bound::run(target, seed.data(), seed.size());
	for (unsigned long n = first; n < first + inputs; n++) {
		std::snprintf(g_doing, sizeof g_doing, "fuzz: target %s, input %lu; repeat: build/test/fuzz/run %s %lu %s %lu\n", target.name, n,
		    folder, n % 1000 + 1, target.name, n / 1000 * 1000);
		if (n % 1000 == 0)	// from here on by itself: what is to be repeated is short
			corpus.resize(seeds);
		fuzz::Random random(n * 2654435761u + seeds);
		Bytes bytes = corpus[random.below(corpus.size())];
		target.mutate(bytes, random);
		memory_bound::run(target, bytes.data(), bytes.size());
		if (corpus.size() < 4 * seeds + 16 && random.below(16) == 0 && bytes.size() < (1 << 17))
			corpus.push_back(bytes);
	}
}

unsigned long number_of(const char *text) { return std::strtoul(text, nullptr, 10); }

}  // namespace

int main(int argc, char **argv)
{
	if (argc == 3 && std::strcmp(argv[1], "--make") == 0) {
		seeds::make(argv[2]);
		return 0;
	}
	if (argc == 2 && std::strcmp(argv[1], "--list") == 0) {
		for (const FuzzTarget &target : kFuzzTargets)
			std::printf("%s\n", target.name);
		return 0;
	}
	if (argc < 2) {
		std::fprintf(stderr, "usage: run CORPUS [INPUTS [TARGET [FIRST]]] | run --list | run --make CORPUS\n");
		return 2;
	}
	unsigned long inputs = argc > 2 ? number_of(argv[2]) : 20000, first = argc > 4 ? number_of(argv[4]) : 0, targets = 0;
	for (int signal : { SIGSEGV, SIGBUS, SIGILL, SIGABRT, SIGFPE, SIGALRM })
		std::signal(signal, on_crash);
	for (const FuzzTarget &target : kFuzzTargets) {
		if (argc > 3 && std::strcmp(argv[3], target.name) != 0)
			continue;
		std::vector<Bytes> corpus = read_corpus(std::string(argv[1]) + "/" + target.name);
		if (corpus.empty()) {
			std::fprintf(stderr, "fuzz: %s/%s: no corpus\n", argv[1], target.name);
			return 1;
		}
		unsigned long count = argc > 3 ? inputs : inputs * target.weight / 100;
		if (argc <= 3)
			alarm(600);	// an endless loop must end
		size_t files = corpus.size();
		run_target(target, argv[1], std::move(corpus), count, first);
		std::printf("%-8s %3zu files, %8lu inputs\n", target.name, files, count + files);
		std::fflush(stdout);
		targets++;
	}
	if (targets == 0)
		std::fprintf(stderr, "fuzz: %s: no such target\n", argv[3]);
	return targets == 0;
}
