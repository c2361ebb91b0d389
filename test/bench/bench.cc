// bench: what an operator waits for, side by side with the tools he would use instead, on the same bytes and the same disk. Every figure is the
// median of kRuns with its spread, every ratio is within this run, and the runs of all rows take turns, so that a busy host hurts all alike.
// Called by test/bench/run.sh.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

#include "test/bench/bench.h"

using namespace bench;

namespace {

constexpr int kRuns = 5;

double size_of(const std::string &path)
{
	struct stat st;
	return stat(path.c_str(), &st) == 0 ? static_cast<double>(st.st_size) : -1;
}

// A peer's program, and a sync of what it wrote.
void peer(Report &r, const std::string &name, const std::vector<std::string> &args, const std::string &out)
{
	unlink(out.c_str());
	double t = timed(args);
	r.add("Capture, unsynced", name, t);
	r.add("Capture, synced", name, t + timed({"sync", out}));
}

void peers(Report &r, const std::string &raw)
{
	peer(r, "cp", {"cp", raw, raw + ".cp"}, raw + ".cp");
	peer(r, "lz4 -1", {"lz4", "-1", "-q", "-f", raw, raw + ".lz4"}, raw + ".lz4");
	if (have("zstd"))
		peer(r, "zstd -1 -T0", {"zstd", "-1", "-T0", "-q", "-f", raw, "-o", raw + ".zst"}, raw + ".zst");
}

void capture_rows(Report &r)
{
	for (const char *group : {"Capture, unsynced", "Capture, synced"}) {
		bool strict = group[9] == 'u';
		r.row(group, "cp");
		r.row(group, "lz4 -1");
		if (have("zstd"))
			r.row(group, "zstd -1 -T0", "lz4 -1");
		r.row(group, "ours, lz4", "lz4 -1", strict ? 0.6 : 0);
		r.row(group, "ours, lz4, 1 worker", "lz4 -1");
		r.row(group, "ours, lz4, 2 workers", "lz4 -1");
		r.row(group, "ours, raw", "cp", strict ? 1.2 : 0);
	}
}

void ours(Report &r, const Setting &s, const std::string &name)
{
	Phases p = suspend(s);
	r.add("Capture, unsynced", name, p.walk + p.write);
	r.add("Capture, synced", name, p.committed);
	if (name == "ours, lz4") {
		r.add("Phases of ours, lz4", "walk and plan", p.walk);
		r.add("Phases of ours, lz4", "encode and write", p.write);
		r.add("Phases of ours, lz4", "signal to committed, fsync included", p.committed);
		r.add("Phases of ours, lz4", "signal to exit", p.whole);
	}
}

void thaws(Report &r, Setting s, unsigned threads)
{
	Floor floor = floor_of(s.image(), threads);
	r.add("Thaw, eager", "populate", floor.populate);
	r.add("Thaw, eager", "decode", floor.decode);
	r.row("Thaw, eager", "populate + decode (the floor)").seconds.push_back(floor.populate + floor.decode);
	r.row("Thaw, eager", "ours, exec to the guest's next step", "populate + decode (the floor)", 1.25);
	r.add("Thaw, eager", "ours, exec to the guest's next step", thaw(s));
	s.workers = 1;
	r.row("Thaw, eager", "ours, 1 worker", "populate + decode (the floor)").seconds.push_back(thaw(s));
}

// The same live set in 32 times the RAM, and in 128 times.
void sweep(Report &r, const Setting &base)
{
	const std::vector<std::string> sizes = {"64m", "256m", "2g", "8g"};
	auto row = [&](const char *group, const std::string &ram) -> Row & {
		return r.row(group, "RAM " + ram, ram == sizes[0] ? "" : "RAM " + sizes[0], ram == "2g" ? 1.2 : 0);
	};
	for (const char *group : {"Live 32 MiB, capture", "Live 32 MiB, thaw"})
		for (const std::string &ram : sizes)
			row(group, ram);
	for (int i = 0; i < kRuns; i++)
		for (const std::string &ram : sizes) {
			Setting s = base;
			s.ram = ram;
			s.mib = 32;
			Phases p = suspend(s);
			row("Live 32 MiB, capture", ram).seconds.push_back(p.walk + p.write);
			row("Live 32 MiB, thaw", ram).seconds.push_back(thaw(s));
		}
}

}  // namespace

int main(int argc, char **argv)
{
	Setting s;
	s.dir = argc > 1 ? argv[1] : ".";
	const std::string raw = s.dir + "/raw";
	const unsigned cpus = std::thread::hardware_concurrency();
	Report r;
	r.heading = std::to_string(s.mib) + " MiB filled by a guest of " + s.ram + ", " + std::to_string(cpus) +
	    " CPUs; medians of " + std::to_string(kRuns) + " runs";
	capture_rows(r);
	for (int i = 0; i < kRuns; i++) {
		Setting one = s, two = s, stored = s;
		one.workers = 1;
		two.workers = 2;
		stored.codec = "raw";
		ours(r, stored, "ours, raw");
		ours(r, one, "ours, lz4, 1 worker");
		ours(r, two, "ours, lz4, 2 workers");
		ours(r, s, "ours, lz4");
		if (i == 0)
			r.facts.push_back({"live bytes", static_cast<double>(extract(s.image(), raw))});
		thaws(r, s, cpus);
		peers(r, raw);
	}
	double image = size_of(s.image()), lz4 = size_of(raw + ".lz4");
	r.facts.push_back({"image bytes, lz4", image});
	r.facts.push_back({"lz4 -1 bytes", lz4});
	r.facts.push_back({"image to lz4 -1 (bar 1)", image / lz4});
	sweep(r, s);
	print(r);
	write_json(r, s.dir + "/results.json");
	write_html(r, s.dir + "/report.html");
	return 0;
}
