#include "test/e2e/oracle.h"

#include <stdlib.h>
#include <sys/stat.h>

#include <cstring>
#include <filesystem>
#include <random>

#include <vkckpt/run.h>

#include "test/e2e/vk.h"

namespace vktest {

namespace fs = std::filesystem;

Scratch::Scratch()
{
	std::string pattern = (fs::temp_directory_path() / "vkckpt-test-XXXXXX").string();
	if (!mkdtemp(pattern.data()))
		abort();
	path_ = pattern;
}

Scratch::~Scratch()
{
	std::error_code ignored;
	fs::remove_all(path_, ignored);
}

namespace {

// A value that only this run's RAM knows: a guest that starts again instead of going on cannot print it.
std::string nonce()
{
	static std::mt19937_64 random{std::random_device{}()};
	return std::to_string(random());
}

struct Legs {
	const Case &what;
	Scratch dir;
	std::string image = dir / "oracle.ckpt";
	std::string secret = nonce();
	Run run;

	explicit Legs(const Case &c) : what(c) {}

	Outcome leg(std::vector<std::string> options, bool boot)
	{
		Spec spec;
		spec.options = std::move(options);
		if (!boot)
			spec.options.insert(spec.options.end(), what.thaw_options.begin(), what.thaw_options.end());
		spec.deadline_s = 120;
		spec.folder = dir.path();
		if (boot) {
			spec.options.insert(spec.options.end(), {"--name", "oracle", "--image", image, "-e", "NONCE=" + secret, "-n",
			    std::to_string(what.cpus)});
			if (!what.root.empty())
				spec.options.insert(spec.options.end(), {"--root", what.root});
			spec.options.insert(spec.options.end(), what.options.begin(), what.options.end());
			spec.program = what.program;
		}
		Outcome o = vktest::run(spec);
		run.out += o.out;
		run.status = o.status;
		return o;
	}

	// The outputs of two runs differ in their secret; everything else must be equal.
	Run done()
	{
		size_t found = 0;
		for (size_t at; (at = run.out.find(secret)) != std::string::npos; found++)
			run.out.replace(at, secret.size(), "NONCE");
		if (run.trouble.empty() && found != 2)
			run.trouble = "the nonce was printed " + std::to_string(found) + " times, not twice; output: " + run.out;
		return run;
	}
};

bool suspended(const Outcome &o) { return o.status == VKCKPT_EXIT_SUSPENDED; }

}  // namespace

Run straight(const Case &c)
{
	Legs legs(c);
	Outcome o = legs.leg({}, true);
	if (o.status != 0)
		legs.run.trouble = "status " + std::to_string(o.status) + ": " + o.err;
	return legs.done();
}

Run suspended_at(const Case &c, uint64_t trap)
{
	Legs legs(c);
	Outcome o = legs.leg({"--test-ckpt-at-trap", std::to_string(trap)}, true);
	if (suspended(o)) {
		++legs.run.legs;
		o = legs.leg({"--thaw", legs.image}, false);
	}
	if (o.status != 0)
		legs.run.trouble = "leg " + std::to_string(legs.run.legs) + ": status " + std::to_string(o.status) + ": " + o.err;
	return legs.done();
}

Run suspended_every(const Case &c, uint64_t step)
{
	Legs legs(c);
	const std::vector<std::string> at = {"--test-ckpt-every", std::to_string(step)};
	Outcome o = legs.leg(at, true);
	while (suspended(o)) {
		++legs.run.legs;
		std::vector<std::string> options = {"--thaw", legs.image};
		options.insert(options.end(), at.begin(), at.end());
		o = legs.leg(options, false);
	}
	if (o.status != 0)
		legs.run.trouble = "leg " + std::to_string(legs.run.legs) + ": status " + std::to_string(o.status) + ": " + o.err;
	return legs.done();
}

std::string guest_root(const std::string &name)
{
	static Scratch all;
	fs::path root = fs::path(all / ("root-" + name));
	if (!fs::exists(root)) {
		fs::create_directories(root / "bin");
		fs::copy_file("/bin/busybox", root / "bin/sh");
		fs::copy_file(fs::path(minivk_path()).parent_path().parent_path() / "test/guests" / name, root / name);
	}
	return root.string();
}

}  // namespace vktest
