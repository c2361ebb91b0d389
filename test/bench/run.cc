// Programs that the benchmark times.
#include "test/bench/bench.h"

#include <spawn.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

extern char **environ;

namespace bench {

double now()
{
	timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

void die(const std::string &what)
{
	std::fprintf(stderr, "bench: %s\n", what.c_str());
	std::exit(1);
}

double timed(const std::vector<std::string> &args, int wanted)
{
	std::vector<char *> argv;
	for (const auto &a : args)
		argv.push_back(const_cast<char *>(a.c_str()));
	argv.push_back(nullptr);
	double t = now();
	pid_t pid;
	if (int rc = posix_spawnp(&pid, argv[0], nullptr, nullptr, argv.data(), environ))
		die(args[0] + ": " + std::strerror(rc));
	int status = 0;
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != wanted)
		die(args[0] + ": ended with wait status " + std::to_string(status));
	return now() - t;
}

bool have(const std::string &program) { return std::system(("command -v " + program + " >/dev/null").c_str()) == 0; }

}  // namespace bench
