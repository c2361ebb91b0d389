// bench: what an operator waits for, side by side with the tools he would use instead, on the same bytes and the same disk. Every figure is
// shown as the median of its runs with their spread, every ratio is within this run, and the runs of all rows take turns, so that a busy
// host hurts all alike. Called by test/bench/run.sh.
//
// usage: run bench DIR [quick]        report.html, results.json and the table, with DIR/content as guests' memory
//        run check DIR BASELINE       the same, held against the bars and a baseline; status 1: something does not hold
//        run baseline DIR BASELINE    the same, and the baseline is written anew
//        run extract IMAGE OUT        the live frames of an image, zeros included
//        run sample FILE OUT MIB      MIB mebibytes of it, in pieces of 64 KiB from all over it
//        run hold FILE                a process with the bytes of FILE in its memory, for peers that save processes
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "test/bench/bench.h"

using namespace bench;

namespace {

void ours(Report &r, const Setting &s, const std::string &name)
{
	Phases p = suspend(s);
	r.add("Capture, unsynced", name, p.walk + p.write);
	r.add("Capture, synced", name, p.committed);
	r.add("Size", name, file_mib(s.image()), Unit::mebibytes);
	r.add("Pause: from the signal until the process has ended", name, p.whole);
	if (name != "ours, lz4")
		return;
	r.add("Phases of ours, lz4", "walk and plan", p.walk);
	r.add("Phases of ours, lz4", "encode and write", p.write);
	r.add("Phases of ours, lz4", "signal to committed, fsync included", p.committed);
	r.add("Phases of ours, lz4", "signal to exit", p.whole);
}

void thaws(Report &r, Setting s, unsigned threads)
{
	const std::string group = "Thaw, eager";
	Floor floor = floor_of(s.image(), threads);
	r.add(group, "floor: populate", floor.populate);
	r.add(group, "floor: decode", floor.decode);
	r.add(group, "floor: populate + decode", floor.populate + floor.decode);
	r.add(group, "ours, exec to the guest's next step", thaw(s));
	s.thaw_options = {"--workers", "1"};
	r.add(group, "ours, 1 worker", thaw(s));
	s.thaw_options = {"--workers", "2"};
	r.add(group, "ours, 2 workers", thaw(s));
}

// The same sealed to a raw key, from the signal to the image under its name, and back.
void sealed(Report &r, const Setting &base)
{
	Setting s = base;
	const std::string key = s.dir + "/raw.key";
	if (access(key.c_str(), F_OK) != 0)
		(void)timed({"build/bin/vkckpt", "keygen", "-q", "--raw", s.dir + "/raw"});
	s.sealed = true;
	s.options = {"--seal-key", key};
	s.thaw_options = {"--key", key};
	r.add("Capture, synced", "ours, lz4, sealed", suspend(s).committed);
	r.add("Thaw, eager", "ours, sealed", thaw(s));
}

void bars(Report &r)
{
	r.compare("Capture, unsynced", "ours, lz4", "lz4 -1", 0.6);
	r.compare("Capture, unsynced", "ours, lz4", "QEMU exec:lz4 -1", 0.5);
	r.compare("Capture, unsynced", "ours, raw", "cp", 1.2);
	r.compare("Capture, unsynced", "ours, raw", "dd, O_DIRECT");
	r.compare("Capture, unsynced", "ours, lz4, 2 workers", "ours, lz4, 1 worker");
	r.compare("Capture, synced", "ours, lz4", "lz4 -1");
	r.compare("Capture, synced", "ours, raw", "cp");
	r.compare("Thaw, eager", "ours, exec to the guest's next step", "floor: populate + decode", 1.25);
	r.compare("Thaw, eager", "ours, exec to the guest's next step", "QEMU exec:lz4 -1");
	r.compare("Size", "ours, lz4", "lz4 -1", 1.0);
	r.compare("Capture, synced", "ours, lz4, sealed", "ours, lz4");
	r.compare("Thaw, eager", "ours, sealed", "ours, exec to the guest's next step");
}

void side_by_side(Report &r, const Setting &s, const Extent &extent)
{
	const std::string raw = s.dir + "/raw";
	for (int i = 0; i < extent.runs; i++) {
		Setting one = s, two = s, stored = s;
		one.options = {"--workers", "1"};
		two.options = {"--workers", "2"};
		stored.options = {"--codec", "raw"};
		ours(r, stored, "ours, raw");
		r.add("Thaw, eager", "ours, raw", thaw(s));
		ours(r, one, "ours, lz4, 1 worker");
		ours(r, two, "ours, lz4, 2 workers");
		ours(r, s, "ours, lz4");
		r.add("Size", "live bytes", static_cast<double>(extract(s.image(), raw)) / (1 << 20), Unit::mebibytes);
		thaws(r, s, std::thread::hardware_concurrency());
		file_peers(r, raw);
		qemu_peers(r, raw, s.ram);
		process_peers(r, raw);
		sealed(r, s);
	}
	unlink(raw.c_str());
	bars(r);
}

Report measure(const std::string &dir, bool quick)
{
	Setting s;
	s.dir = dir;
	Extent extent;
	extent.quick = quick;
	if (quick) {
		extent.runs = 2;
		s.ram = "256m";
		s.root = "small";
		s.program = {"/fill", "96"};
	}
	if (const char *runs = getenv("BENCH_RUNS"); runs && std::atoi(runs) > 0)
		extent.runs = std::atoi(runs);
	Report r;
	r.heading = s.program[1] + " MiB of a Debian guest's memory in a guest of " + s.ram + ", " +
	    std::to_string(std::thread::hardware_concurrency()) + " CPUs; medians of " + std::to_string(extent.runs) +
	    " runs with their spread, ratios of the least" + (quick ? "; QUICK: too few and too small to mean much" : "");
	side_by_side(r, s, extent);
	sweep_ram(r, s, extent);
	sweep_live(r, s, extent);
	sweep_vmspaces(r, s, extent);
	sweep_clones(r, s, extent);
	sweep_lazy(r, s, extent);
	sweep_dirty(r, s, extent);
	uml_phases(r, dir, extent);
	print(r);
	write_json(r, dir + "/results.json");
	write_html(r, dir + "/report.html");
	return r;
}

int sample(const char *from, const char *to, uint64_t pieces)
{
	constexpr size_t kPiece = 64 << 10;
	int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	const uint64_t there = static_cast<uint64_t>(lseek(in, 0, SEEK_END)) / kPiece;
	std::vector<char> piece(kPiece);
	for (uint64_t i = 0; i < pieces; i++)
		if (pread(in, piece.data(), kPiece, static_cast<off_t>(i * there / pieces * kPiece)) != static_cast<ssize_t>(kPiece) ||
		    write(out, piece.data(), kPiece) != static_cast<ssize_t>(kPiece))
			die(std::string(to) + ": cannot be filled from " + from);
	close(in);
	return close(out);
}

int hold(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t bytes = lseek(fd, 0, SEEK_END);
	void *memory = mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (off_t at = 0; at < bytes;) {
		ssize_t n = pread(fd, static_cast<char *>(memory) + at, static_cast<size_t>(bytes - at), at);
		if (n <= 0)
			die(std::string(path) + ": cannot be read");
		at += n;
	}
	close(fd);
	std::printf("ready\n");
	std::fflush(stdout);
	for (;;)
		pause();
}

}  // namespace

int main(int argc, char **argv)
{
	const std::string word = argc > 1 ? argv[1] : "";
	if (word == "hold" && argc == 3)
		return hold(argv[2]);
	if (word == "extract" && argc == 4)
		return extract(argv[2], argv[3]) == 0;
	if (word == "sample" && argc == 5)
		return sample(argv[2], argv[3], std::strtoull(argv[4], nullptr, 10) * 16);
	if (word == "bench" && argc >= 3) {
		measure(argv[2], argc > 3 && std::strcmp(argv[3], "quick") == 0);
		return 0;
	}
	if (word == "baseline" && argc == 4) {
		write_baseline(measure(argv[2], false), argv[3]);
		return 0;
	}
	if (word == "check" && argc == 4)
		return check(measure(argv[2], false), argv[3]) ? 0 : 1;
	die("usage: see the top of test/bench/bench.cc");
}
