// Programs that the benchmark starts, times and waits for.
#include "test/bench/bench.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
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

bool have(const std::string &program) { return std::system(("command -v " + program + " >/dev/null").c_str()) == 0; }

Program::Program(const std::vector<std::string> &args, Output output) : args_(args)
{
	std::vector<char *> argv;
	for (auto &a : args_)
		argv.push_back(a.data());
	argv.push_back(nullptr);
	int pipes[2] = {-1, -1};
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	if (output == Output::read) {
		if (pipe2(pipes, O_CLOEXEC) != 0)
			die("pipe");
		posix_spawn_file_actions_adddup2(&actions, pipes[1], 1);
	} else {
		posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	}
	if (int rc = posix_spawnp(&pid_, argv[0], &actions, nullptr, argv.data(), environ))
		die(args_[0] + ": " + std::strerror(rc));
	posix_spawn_file_actions_destroy(&actions);
	if (pipes[1] >= 0)
		close(pipes[1]);
	out_ = pipes[0];
}

Program::~Program()
{
	if (pid_ > 0) {
		kill(pid_, SIGKILL);
		waitpid(pid_, nullptr, 0);
	}
	if (out_ >= 0)
		close(out_);
}

bool Program::says(const std::string &word, double seconds)
{
	for (double deadline = now() + seconds; text_.find(word) == std::string::npos;) {
		pollfd in = {out_, POLLIN, 0};
		char bytes[4096];
		const double left = deadline - now();
		if (left <= 0 || poll(&in, 1, static_cast<int>(left * 1e3) + 1) <= 0)
			return false;
		ssize_t n = read(out_, bytes, sizeof bytes);
		if (n <= 0)
			return false;
		text_.append(bytes, static_cast<size_t>(n));
	}
	return true;
}

int Program::end()
{
	int status = 0;
	if (waitpid(pid_, &status, 0) != pid_)
		die(args_[0] + ": waitpid");
	pid_ = -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

double timed(const std::vector<std::string> &args, int wanted, int *status)
{
	double t = now();
	Program program(args);
	int got = program.end();
	t = now() - t;
	if (status)
		*status = got;
	else if (got != wanted)
		die(args[0] + ": ended with status " + std::to_string(got));
	return t;
}

}  // namespace bench
