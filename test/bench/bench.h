// What the parts of the benchmark share: rows of figures, the programs that are timed, the floors of a thaw, the report.
#ifndef VKCKPT_TEST_BENCH_H
#define VKCKPT_TEST_BENCH_H

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace bench {

// --- report.cc
enum class Unit { seconds, mebibytes };

// One figure with its runs.
struct Row {
	std::string group, name;
	Unit unit = Unit::seconds;
	std::vector<double> values;
	double median() const;
	double least() const;
	double most() const;
};
// A row divided by another of its group, of each the least of its runs: what disturbs a run only ever adds to it. limit 0: told, not asked for.
struct Ratio {
	std::string group, row, base;
	double limit = 0;
};
struct Report {
	std::string heading;
	std::vector<std::string> notes;
	std::vector<Row> rows;
	std::vector<Ratio> ratios;
	Row &row(const std::string &group, const std::string &name, Unit = Unit::seconds);
	void add(const std::string &group, const std::string &name, double value, Unit = Unit::seconds);
	void compare(const std::string &group, const std::string &row, const std::string &base, double limit = 0);
	double value(const Ratio &) const;	// 0: a row has no figures
};
void print(const Report &);
void write_json(const Report &, const std::string &path);
void write_html(const Report &, const std::string &path);

// --- baseline.cc: ratios kept in a file, one a line: ratio, group, row, base, separated by tabs
void write_baseline(const Report &, const std::string &path);
// Says what does not hold; true: nothing. A ratio fails if it is over its limit, unless the baseline is, or over kTolerance times the baseline.
constexpr double kTolerance = 1.3;
bool check(const Report &, const std::string &baseline_path);

// --- run.cc: programs
[[noreturn]] void die(const std::string &what);
double now();
bool have(const std::string &program);
// A child, killed at the end of its owner; its output goes to /dev/null or is read here.
class Program {
public:
	enum class Output { none, read };
	explicit Program(const std::vector<std::string> &args, Output = Output::none);
	~Program();
	Program(const Program &) = delete;
	Program &operator=(const Program &) = delete;
	pid_t pid() const { return pid_; }
	bool says(const std::string &word, double seconds = 120);	// waits for it on its output
	int end();							// its status
private:
	std::vector<std::string> args_;
	pid_t pid_ = -1;
	int out_ = -1;
	std::string text_;
};
// Seconds that it took. A status other than the wanted one ends the benchmark, unless it is to be given back.
double timed(const std::vector<std::string> &args, int wanted = 0, int *status = nullptr);

// --- vkernel.cc: minivk with a guest that has filled `mib' of its memory
struct Phases {
	double walk = 0, write = 0;	// of the image's statistics: quiesced to written, unsynced
	double committed = 0;		// from the signal to the image under its name: quiesce, fsync and commit too
	double whole = 0;		// from the signal to the exit
};
struct Setting {
	std::string dir;		// with the folders root and small, each with the guests and some content
	std::string name = "bench";
	std::string root = "root";
	std::string ram = "512m";
	std::vector<std::string> program = {"/fill", "256"};
	std::vector<std::string> options;	// of the boot
	std::vector<std::string> thaw_options;
	bool sealed = false;		// then its statistics cannot be read
	std::string image() const { return dir + "/" + name + ".ckpt"; }
};
Phases suspend(const Setting &);
double thaw(const Setting &);		// from exec to the guest's next step
std::vector<std::string> thaw_words(const Setting &);

// --- floor.cc: what any eager thaw of this image has to do, on so many threads
struct Floor {
	double populate = 0, decode = 0;
};
Floor floor_of(const std::string &image, unsigned threads);
uint64_t extract(const std::string &image, const std::string &out);	// the live frames, zeros included; their bytes

// --- peers.cc, qemu.cc: what people would use instead, on the same bytes. raw: a file of them; ram: what a machine of the guest's size has
void file_peers(Report &, const std::string &raw);
void process_peers(Report &, const std::string &raw);
void qemu_peers(Report &, const std::string &raw, const std::string &ram);
double file_mib(const std::string &path);

// --- sweeps.cc, each alone
struct Extent {
	int runs = 5;
	bool quick = false;
};
void sweep_ram(Report &, const Setting &, const Extent &);
void sweep_live(Report &, const Setting &, const Extent &);
void sweep_vmspaces(Report &, const Setting &, const Extent &);
void sweep_clones(Report &, const Setting &, const Extent &);
void sweep_lazy(Report &, const Setting &, const Extent &);	// lazy.cc
void sweep_dirty(Report &, const Setting &, const Extent &);
void uml_phases(Report &, const std::string &dir, const Extent &);	// uml.cc

}  // namespace bench
#endif
