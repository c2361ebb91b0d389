// What the ratios were once, on a quiet machine of two cores, kept in the repository.
#include "test/bench/bench.h"

#include <cstdio>
#include <fstream>
#include <map>
#include <sstream>

namespace bench {
namespace {

std::string key_of(const Ratio &r) { return r.group + "\t" + r.row + "\t" + r.base; }

std::map<std::string, double> read_baseline(const std::string &path)
{
	std::map<std::string, double> known;
	std::ifstream in(path);
	if (!in)
		std::printf("bench-check: %s is not there: only the bars are held (make bench-baseline writes it)\n", path.c_str());
	for (std::string line; std::getline(in, line);) {
		size_t tab = line.find('\t');
		if (line.empty() || line[0] == '#' || tab == line.npos)
			continue;
		known[line.substr(tab + 1)] = std::stod(line.substr(0, tab));
	}
	return known;
}

}  // namespace

void write_baseline(const Report &report, const std::string &path)
{
	std::ofstream out(path);
	out << "# Ratios of make bench: ratio, group, row, base. Written by make bench-baseline.\n";
	for (const Ratio &r : report.ratios)
		if (report.value(r) > 0) {
			char value[32];
			std::snprintf(value, sizeof value, "%.3f", report.value(r));
			out << value << "\t" << key_of(r) << "\n";
		}
	if (!out.flush())
		die(path + ": cannot write");
}

bool check(const Report &report, const std::string &path)
{
	const std::map<std::string, double> known = read_baseline(path);
	unsigned held = 0, broken = 0;
	for (const Ratio &r : report.ratios) {
		const double value = report.value(r);
		if (value <= 0)
			continue;
		auto found = known.find(key_of(r));
		const double before = found == known.end() ? 0 : found->second;
		const bool excused = before > r.limit;	// over its bar already when the baseline was made: ARCHITECTURE.md says why
		const bool over_bar = r.limit > 0 && value > r.limit && !excused;
		const bool slower = before > 0 && value > before * kTolerance && (r.limit <= 0 || value > r.limit);
		if (over_bar || slower)
			std::printf("bench-check: %s: %s / %s is %.2f; bar %.2f, baseline %.2f\n", r.group.c_str(), r.row.c_str(), r.base.c_str(),
			    value, r.limit, before);
		(over_bar || slower ? broken : held)++;
	}
	std::printf("bench-check: %u ratios held, %u not (a ratio may be %.0f %% over the baseline, or up to its bar)\n", held, broken,
	    (kTolerance - 1) * 100);
	return broken == 0 && held > 0;
}

}  // namespace bench
