// minivk with a guest that has filled its memory: suspended and thawed under the clock.
#include "test/bench/bench.h"

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include <vkckpt/image.h>
#include <vkckpt/run.h>

extern char **environ;

namespace bench {
namespace {

void wait_for(const std::string &file, const char *word)
{
	for (double end = now() + 120; now() < end; usleep(2000)) {
		char text[4096] = {};
		if (std::FILE *in = std::fopen(file.c_str(), "r")) {
			text[std::fread(text, 1, sizeof text - 1, in)] = 0;
			std::fclose(in);
		}
		if (std::strstr(text, word))
			return;
	}
	die(std::string("the guest did not say \"") + word + "\" in " + file);
}

Phases phases_of(const std::string &image)
{
	vkckpt_error err{};
	vkckpt_image *img = nullptr;
	if (vkckpt_image_open(image.c_str(), &img, &err) != 0)
		die(err.message);
	const vkckpt_f_stats *stats = vkckpt_image_stats(img);
	Phases p;
	p.walk = static_cast<double>(stats->walk_ns) * 1e-9;
	p.write = static_cast<double>(stats->write_ns) * 1e-9;
	vkckpt_image_close(img);
	return p;
}

}  // namespace

Phases suspend(const Setting &s)
{
	const std::string log = s.dir + "/console";
	unlink(log.c_str());
	unlink(s.image().c_str());
	std::vector<std::string> args = {"build/bin/minivk", "-m", s.ram, "--name", "bench", "--image", s.image(), "--root",
	    s.dir + "/root", "--console", "log:" + log, "--codec", s.codec};
	if (s.workers)
		args.insert(args.end(), {"--workers", std::to_string(s.workers)});
	args.insert(args.end(), {"--", "/fill", std::to_string(s.mib)});
	std::vector<char *> argv;
	for (auto &a : args)
		argv.push_back(a.data());
	argv.push_back(nullptr);
	pid_t pid;
	if (int rc = posix_spawn(&pid, argv[0], nullptr, nullptr, argv.data(), environ))
		die(args[0] + ": " + std::strerror(rc));
	wait_for(log, "ready");
	double t = now();
	kill(pid, VKCKPT_SIGCKPT);
	while (access(s.image().c_str(), F_OK) != 0 && now() < t + 120)
		usleep(200);
	double committed = now() - t;
	int status = 0;
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != VKCKPT_EXIT_SUSPENDED)
		die("minivk ended with wait status " + std::to_string(status));
	double whole = now() - t;
	Phases p = phases_of(s.image());
	p.committed = committed;
	p.whole = whole;
	return p;
}

double thaw(const Setting &s)
{
	std::vector<std::string> args = {"build/bin/minivk", "--thaw", s.image(), "--console", "null"};
	if (s.workers)
		args.insert(args.end(), {"--workers", std::to_string(s.workers)});
	return timed(args);
}

}  // namespace bench
