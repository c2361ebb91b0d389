// The table on standard output, results.json, and report.html, which needs nothing but itself.
#include "test/bench/bench.h"

#include <algorithm>
#include <cstdio>

namespace bench {
namespace {

std::FILE *create(const std::string &path)
{
	std::FILE *out = std::fopen(path.c_str(), "w");
	if (!out)
		die(path + ": cannot write");
	return out;
}

}  // namespace

double Row::median() const
{
	std::vector<double> s = seconds;
	std::sort(s.begin(), s.end());
	return s.empty() ? 0 : s[s.size() / 2];
}
double Row::least() const { return seconds.empty() ? 0 : *std::min_element(seconds.begin(), seconds.end()); }
double Row::most() const { return seconds.empty() ? 0 : *std::max_element(seconds.begin(), seconds.end()); }

Row &Report::row(const std::string &group, const std::string &name, const std::string &base, double bar)
{
	for (Row &r : rows)
		if (r.group == group && r.name == name)
			return r;
	rows.push_back({group, name, base, bar, {}});
	return rows.back();
}

double Report::ratio(const Row &row) const
{
	for (const Row &r : rows)
		if (r.group == row.group && r.name == row.base && r.median() > 0)
			return row.median() / r.median();
	return 0;
}

void print(const Report &report)
{
	std::printf("%s\n", report.heading.c_str());
	std::string group;
	for (const Row &r : report.rows) {
		if (r.group != group)
			std::printf("\n%s\n", r.group.c_str());
		group = r.group;
		std::printf("  %-50s %8.1f ms  (%.1f .. %.1f)", r.name.c_str(), r.median() * 1e3, r.least() * 1e3, r.most() * 1e3);
		if (!r.base.empty())
			std::printf("  x%.2f of %s", report.ratio(r), r.base.c_str());
		if (r.bar > 0)
			std::printf(" [bar %.2f: %s]", r.bar, report.ratio(r) <= r.bar ? "held" : "NOT HELD");
		std::printf("\n");
	}
	std::printf("\n");
	for (const auto &[name, value] : report.facts)
		std::printf("  %-50s %.10g\n", name.c_str(), value);
}

// Names are our own: nothing in them needs escaping.
void write_json(const Report &report, const std::string &path)
{
	std::FILE *out = create(path);
	std::fprintf(out, "{\n\"heading\": \"%s\",\n\"rows\": [\n", report.heading.c_str());
	for (size_t i = 0; i < report.rows.size(); i++) {
		const Row &r = report.rows[i];
		std::fprintf(out, "  {\"group\": \"%s\", \"name\": \"%s\", \"median_s\": %.6f, \"least_s\": %.6f, \"most_s\": %.6f",
		    r.group.c_str(), r.name.c_str(), r.median(), r.least(), r.most());
		if (!r.base.empty())
			std::fprintf(out, ", \"base\": \"%s\", \"ratio\": %.4f", r.base.c_str(), report.ratio(r));
		if (r.bar > 0)
			std::fprintf(out, ", \"bar\": %.2f", r.bar);
		std::fprintf(out, ", \"runs_s\": [");
		for (size_t k = 0; k < r.seconds.size(); k++)
			std::fprintf(out, "%s%.6f", k ? ", " : "", r.seconds[k]);
		std::fprintf(out, "]}%s\n", i + 1 < report.rows.size() ? "," : "");
	}
	std::fprintf(out, "],\n\"facts\": {");
	for (size_t i = 0; i < report.facts.size(); i++)
		std::fprintf(out, "%s\n  \"%s\": %.10g", i ? "," : "", report.facts[i].first.c_str(), report.facts[i].second);
	std::fprintf(out, "\n}\n}\n");
	std::fclose(out);
}

void write_html(const Report &report, const std::string &path)
{
	std::FILE *out = create(path);
	std::fprintf(out, "<!doctype html><meta charset=utf-8><title>vkckpt bench</title><style>body{font:15px sans-serif;max-width:"
	    "70em;margin:2em auto}td,th{padding:.2em .6em;text-align:left}td.n{text-align:right}i{display:inline-block;height:1em;"
	    "background:#47a}i.s{background:#f82;opacity:.7}.no{color:#b00;font-weight:bold}</style><h1>vkckpt bench</h1><p>%s",
	    report.heading.c_str());
	std::string group;
	double most = 1;
	for (const Row &r : report.rows) {
		if (r.group != group) {
			most = 0;
			for (const Row &other : report.rows)
				if (other.group == r.group)
					most = std::max(most, other.most());
			std::fprintf(out, "%s<h2>%s</h2><table><tr><th>what<th>median<th>spread<th>ratio<th>bar<th>",
			    group.empty() ? "" : "</table>", r.group.c_str());
		}
		group = r.group;
		std::fprintf(out, "<tr><td>%s<td class=n>%.1f ms<td class=n>%.1f .. %.1f<td>", r.name.c_str(), r.median() * 1e3,
		    r.least() * 1e3, r.most() * 1e3);
		if (!r.base.empty())
			std::fprintf(out, "%.2f of %s", report.ratio(r), r.base.c_str());
		std::fprintf(out, "<td>");
		if (r.bar > 0)
			std::fprintf(out, "<span class=%s>%.2f</span>", report.ratio(r) <= r.bar ? "ok" : "no", r.bar);
		std::fprintf(out, "<td><i style=width:%.0fpx></i><i class=s style=width:%.0fpx></i>", 300 * r.median() / most,
		    300 * (r.most() - r.median()) / most);
	}
	std::fprintf(out, "</table><h2>Facts</h2><table>");
	for (const auto &[name, value] : report.facts)
		std::fprintf(out, "<tr><td>%s<td class=n>%.10g", name.c_str(), value);
	std::fprintf(out, "</table>\n");
	std::fclose(out);
}

}  // namespace bench
