// What the parts of the benchmark share: rows of times, the programs that are timed, the floors of a thaw, the report.
#ifndef VKCKPT_TEST_BENCH_H
#define VKCKPT_TEST_BENCH_H

#include <cstdint>
#include <string>
#include <sys/types.h>
#include <vector>

namespace bench {

// One figure: its runs in seconds, and the row of the same run that it is compared with.
struct Row {
	std::string group, name;
	std::string base;		// name of a row of the same group; "": none
	double bar = 0;			// the ratio that is asked for; 0: none
	std::vector<double> seconds;
	double median() const;
	double least() const;
	double most() const;
};

struct Report {
	std::string heading;
	std::vector<Row> rows;
	std::vector<std::pair<std::string, double>> facts;	// sizes and ratios that are no times
	Row &row(const std::string &group, const std::string &name, const std::string &base = "", double bar = 0);
	void add(const std::string &group, const std::string &name, double seconds) { row(group, name).seconds.push_back(seconds); }
	double ratio(const Row &) const;	// to its base; 0: none
};
void print(const Report &);
void write_json(const Report &, const std::string &path);
void write_html(const Report &, const std::string &path);

// run.cc: programs
[[noreturn]] void die(const std::string &what);
double now();
double timed(const std::vector<std::string> &args, int wanted = 0);
bool have(const std::string &program);

// vkernel.cc: minivk with a guest that has filled `mib` of its memory
struct Phases {
	double walk = 0, write = 0;	// of the image's statistics: quiesced to written, unsynced
	double committed = 0;		// from the signal to the image under its name: quiesce, fsync and commit too
	double whole = 0;		// from the signal to the exit
};
struct Setting {
	std::string dir;		// with root/fill
	std::string ram = "512m";
	int mib = 256;
	int workers = 0;
	std::string codec = "lz4";
	std::string image() const { return dir + "/bench.ckpt"; }
};
Phases suspend(const Setting &);
double thaw(const Setting &);		// from exec to the guest's own end: its next step after the thaw

// floor.cc: what any eager thaw of this image has to do, on so many threads
struct Floor {
	double populate = 0, decode = 0;
};
Floor floor_of(const std::string &image, unsigned threads);
uint64_t extract(const std::string &image, const std::string &out);	// the frames that it stores, decoded; their bytes

}  // namespace bench
#endif
