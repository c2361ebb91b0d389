// minivk with a guest that has filled its memory: suspended and thawed under the clock.
#include "test/bench/bench.h"

#include <signal.h>
#include <unistd.h>

#include <vkckpt/image.h>
#include <vkckpt/run.h>

namespace bench {
namespace {

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
	unlink(s.image().c_str());
	std::vector<std::string> args = {"build/bin/minivk", "-m", s.ram, "--name", s.name, "--image", s.image(), "--root",
	    s.dir + "/" + s.root};
	args.insert(args.end(), s.options.begin(), s.options.end());
	args.push_back("--");
	args.insert(args.end(), s.program.begin(), s.program.end());
	Program vkernel(args, Program::Output::read);
	if (!vkernel.says("ready"))
		die("the guest did not say \"ready\"");
	double t = now();
	kill(vkernel.pid(), VKCKPT_SIGCKPT);
	while (access(s.image().c_str(), F_OK) != 0 && now() < t + 120)
		usleep(200);
	double committed = now() - t;
	if (int status = vkernel.end(); status != VKCKPT_EXIT_SUSPENDED)
		die("minivk ended with status " + std::to_string(status));
	double whole = now() - t;
	Phases p = s.sealed ? Phases() : phases_of(s.image());
	p.committed = committed;
	p.whole = whole;
	return p;
}

std::vector<std::string> thaw_words(const Setting &s)
{
	std::vector<std::string> words = {"build/bin/minivk", "--thaw", s.image(), "--console", "stdio"};
	words.insert(words.end(), s.thaw_options.begin(), s.thaw_options.end());
	return words;
}

double thaw(const Setting &s)
{
	double t = now();
	Program vkernel(thaw_words(s), Program::Output::read);
	if (!vkernel.says("thawed"))
		die("the guest did not go on after the thaw");
	t = now() - t;
	if (int status = vkernel.end(); status != 0)
		die("minivk ended with status " + std::to_string(status) + " after a thaw");
	return t;
}

}  // namespace bench
