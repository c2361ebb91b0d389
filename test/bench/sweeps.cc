// One thing at a time is made larger. All sizes of a sweep take turns in every run.
#include "test/bench/bench.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <memory>
#include <sstream>

namespace bench {
namespace {

constexpr const char *kLazily = ": thaw, lazy";

void one(Report &r, const std::string &group, const std::string &row, const Setting &s, bool lazily = false)
{
	Phases p = suspend(s);
	r.add(group + ": capture", row, p.walk + p.write);
	r.add(group + ": thaw", row, thaw(s));
	if (lazily) {
		Setting lazy = s;
		lazy.thaw_options = {"--lazy=required"};
		r.add(group + kLazily, row, thaw(lazy));
	}
	r.add(group + ": image", row, file_mib(s.image()), Unit::mebibytes);
}

// Fork, exit and wait in a small static program (not in this one, whose memory would be copied too).
double cost_of_process()
{
	constexpr int kCount = 1000;
	auto run = [](int count) { return timed({"build/test/bench/start", "--forks", std::to_string(count)}); };
	const double none = run(0);
	return (run(kCount) - none) / kCount;
}

// What a process and its guests hold alone, and their share of what is shared, in MiB.
double own_mib(pid_t vkernel)
{
	std::vector<pid_t> all = {vkernel};
	std::ifstream children("/proc/" + std::to_string(vkernel) + "/task/" + std::to_string(vkernel) + "/children");
	for (pid_t child; children >> child;)
		all.push_back(child);
	double kib = 0;
	for (pid_t pid : all) {
		std::ifstream maps("/proc/" + std::to_string(pid) + "/smaps_rollup");
		for (std::string line; std::getline(maps, line);)
			if (line.compare(0, 4, "Pss:") == 0)
				kib += std::stod(line.substr(4));
	}
	return kib / 1024;
}

// n at the same time: until the guest of the last one runs, and what they hold then.
void start_clones(Report &r, const std::string &group, const Setting &s, int n)
{
	std::vector<std::unique_ptr<Program>> clones;
	double t = now();
	for (int k = 0; k < n; k++) {
		Setting clone = s;
		clone.thaw_options.push_back("--clone=c" + std::to_string(k));
		clones.push_back(std::make_unique<Program>(thaw_words(clone), Program::Output::read));
	}
	for (auto &clone : clones)
		if (!clone->says("thawed"))
			die("a clone does not run");
	t = now() - t;
	double mib = 0;
	for (auto &clone : clones)
		mib += own_mib(clone->pid());
	const std::string row = std::to_string(n) + (n == 1 ? " clone" : " clones");
	r.add(group + ": until all run", row, t);
	r.add(group + ": time for each", row, t / n);
	r.add(group + ": memory of each", row, mib / n, Unit::mebibytes);
}

}  // namespace

void sweep_ram(Report &r, const Setting &base, const Extent &extent)
{
	const std::vector<std::string> sizes = extent.quick ? std::vector<std::string>{"64m", "2g"} : std::vector<std::string>{"64m", "256m", "2g", "8g"};
	const std::string group = "RAM, 32 MiB live";
	for (int i = 0; i < extent.runs; i++)
		for (const std::string &ram : sizes) {
			Setting s = base;
			s.root = "small";
			s.ram = ram;
			s.program = {"/fill", "32"};
			one(r, group, "RAM " + ram, s);
		}
	for (const char *what : {": capture", ": thaw"}) {
		r.compare(group + what, "RAM 2g", "RAM 64m", 1.2);
		if (!extent.quick)
			r.compare(group + what, "RAM 8g", "RAM 64m");
	}
}

void sweep_live(Report &r, const Setting &base, const Extent &extent)
{
	const std::vector<int> sizes = extent.quick ? std::vector<int>{64, 256} : std::vector<int>{64, 256, 1024, 4096};
	for (int i = 0; i < extent.runs; i++)
		for (int mib : sizes) {
			Setting s = base;
			s.root = mib < 256 ? "small" : "root";
			s.ram = std::to_string(mib + mib / 4 + 128) + "m";
			s.program = {"/fill", std::to_string(mib)};
			one(r, "Live set", "live " + std::to_string(mib) + " MiB", s);
		}
}

void sweep_vmspaces(Report &r, const Setting &base, const Extent &extent)
{
	const std::vector<int> counts = extent.quick ? std::vector<int>{1, 100} : std::vector<int>{1, 10, 100, 1000};
	const std::string group = "vmspaces";
	for (int i = 0; i < extent.runs; i++) {
		for (int n : counts) {
			Setting s = base;
			s.root = "small";
			s.ram = "1g";
			s.program = {"/children", std::to_string(n)};
			one(r, group, std::to_string(n) + " vmspaces", s, true);
		}
		for (const char *what : {": capture", ": thaw", kLazily})
			r.add(group + what, "fork, exit and wait of a process", cost_of_process());
	}
	const int few = counts[counts.size() / 2 - 1], many = counts.back();
	for (const std::string what : {": capture", ": thaw", kLazily}) {
		double a = r.row(group + what, std::to_string(few) + " vmspaces").least();
		double b = r.row(group + what, std::to_string(many) + " vmspaces").least();
		r.add(group + what, "each vmspace more", std::max(0.0, b - a) / (many - few));
		r.compare(group + what, "each vmspace more", "fork, exit and wait of a process", what == ": capture" ? 0.2 : what == kLazily ? 1.5 : 0);
	}
}

// Many out of one image, whole and on demand.
void sweep_clones(Report &r, const Setting &base, const Extent &extent)
{
	const std::vector<int> counts = extent.quick ? std::vector<int>{1, 4} : std::vector<int>{1, 5, 20};
	for (int i = 0; i < extent.runs; i++) {
		Setting s = base;
		s.root = "small";
		s.ram = "256m";
		s.program = {"/fill", "64", "stay"};
		suspend(s);
		for (int n : counts) {
			start_clones(r, "Clones of 64 MiB live", s, n);
			s.thaw_options = {"--lazy=required,demand"};
			start_clones(r, "Clones of 64 MiB live, on demand", s, n);
			s.thaw_options.clear();
		}
	}
}

}  // namespace bench
