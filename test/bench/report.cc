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

const char *unit_of(const Row &r) { return r.unit == Unit::seconds ? "ms" : "MiB"; }
double shown(const Row &r, double value) { return r.unit == Unit::seconds ? value * 1e3 : value; }

std::vector<std::string> groups_of(const Report &report)
{
	std::vector<std::string> groups;
	for (const Row &r : report.rows)
		if (std::find(groups.begin(), groups.end(), r.group) == groups.end())
			groups.push_back(r.group);
	return groups;
}

const char *verdict(const Report &report, const Ratio &r)
{
	if (r.limit <= 0)
		return "";
	return report.value(r) <= r.limit ? "held" : "NOT HELD";
}

// `text' between quotes; of what we write only these two need a sign before them.
std::string quoted(const std::string &text)
{
	std::string out = "\"";
	for (char c : text) {
		if (c == '"' || c == '\\')
			out += '\\';
		out += c == '\n' ? ' ' : c;
	}
	return out + "\"";
}

std::string html(const std::string &text)
{
	std::string out;
	for (char c : text)
		out += c == '<' ? "&lt;" : c == '&' ? "&amp;" : std::string(1, c);
	return out;
}

// One bar for each row, from 0: the median, the spread as a line over it.
void plot(std::FILE *out, const Report &report, const std::string &group)
{
	double most = 0;
	int count = 0;
	for (const Row &r : report.rows)
		if (r.group == group) {
			most = std::max(most, r.most());
			count++;
		}
	std::fprintf(out, "<svg width=900 height=%d font-size=13>", count * 24);
	int y = 0;
	for (const Row &r : report.rows) {
		if (r.group != group)
			continue;
		auto x = [&](double value) { return most > 0 ? 360 + 420 * value / most : 360; };
		std::fprintf(out, "<text x=350 y=%d text-anchor=end>%s</text><rect x=360 y=%d width=%.1f height=14 class=%s />"
		    "<line x1=%.1f x2=%.1f y1=%d y2=%d stroke=#222 /><text x=%.1f y=%d>%.1f</text>", y + 16, html(r.name).c_str(), y + 5,
		    x(r.median()) - 360, r.name.compare(0, 4, "ours") == 0 || r.name.compare(0, 4, "RAM ") == 0 ? "o" : "p", x(r.least()),
		    x(r.most()), y + 12, y + 12, x(r.most()) + 6, y + 16, shown(r, r.median()));
		y += 24;
	}
	std::fprintf(out, "</svg>");
}

}  // namespace

double Row::median() const
{
	std::vector<double> s = values;
	std::sort(s.begin(), s.end());
	return s.empty() ? 0 : s[s.size() / 2];
}
double Row::least() const { return values.empty() ? 0 : *std::min_element(values.begin(), values.end()); }
double Row::most() const { return values.empty() ? 0 : *std::max_element(values.begin(), values.end()); }

Row &Report::row(const std::string &group, const std::string &name, Unit unit)
{
	for (Row &r : rows)
		if (r.group == group && r.name == name)
			return r;
	rows.push_back({group, name, unit, {}});
	return rows.back();
}

void Report::add(const std::string &group, const std::string &name, double value, Unit unit) { row(group, name, unit).values.push_back(value); }

void Report::compare(const std::string &group, const std::string &name, const std::string &base, double limit)
{
	ratios.push_back({group, name, base, limit});
}

double Report::value(const Ratio &ratio) const
{
	double row = 0, base = 0;
	for (const Row &r : rows) {
		if (r.group == ratio.group && r.name == ratio.row)
			row = r.least();
		if (r.group == ratio.group && r.name == ratio.base)
			base = r.least();
	}
	return base > 0 ? row / base : 0;
}

void print(const Report &report)
{
	std::printf("%s\n", report.heading.c_str());
	for (const std::string &note : report.notes)
		std::printf("note: %s\n", note.c_str());
	for (const std::string &group : groups_of(report)) {
		std::printf("\n%s\n", group.c_str());
		for (const Row &r : report.rows)
			if (r.group == group)
				std::printf("  %-44s %9.1f %-3s  (%.1f .. %.1f)\n", r.name.c_str(), shown(r, r.median()), unit_of(r),
				    shown(r, r.least()), shown(r, r.most()));
		for (const Ratio &ratio : report.ratios)
			if (ratio.group == group && report.value(ratio) > 0) {
				std::printf("  = %s / %s: %.2f", ratio.row.c_str(), ratio.base.c_str(), report.value(ratio));
				if (ratio.limit > 0)
					std::printf("  [bar %.2f: %s]", ratio.limit, verdict(report, ratio));
				std::printf("\n");
			}
	}
}

void write_json(const Report &report, const std::string &path)
{
	std::FILE *out = create(path);
	std::fprintf(out, "{\n\"heading\": %s,\n\"notes\": [", quoted(report.heading).c_str());
	for (size_t i = 0; i < report.notes.size(); i++)
		std::fprintf(out, "%s%s", i ? ", " : "", quoted(report.notes[i]).c_str());
	std::fprintf(out, "],\n\"rows\": [\n");
	for (size_t i = 0; i < report.rows.size(); i++) {
		const Row &r = report.rows[i];
		std::fprintf(out, "  {\"group\": %s, \"name\": %s, \"unit\": \"%s\", \"median\": %.6f, \"least\": %.6f, \"most\": %.6f, \"runs\": [",
		    quoted(r.group).c_str(), quoted(r.name).c_str(), r.unit == Unit::seconds ? "s" : "MiB", r.median(), r.least(), r.most());
		for (size_t k = 0; k < r.values.size(); k++)
			std::fprintf(out, "%s%.6f", k ? ", " : "", r.values[k]);
		std::fprintf(out, "]}%s\n", i + 1 < report.rows.size() ? "," : "");
	}
	std::fprintf(out, "],\n\"ratios\": [\n");
	for (size_t i = 0; i < report.ratios.size(); i++) {
		const Ratio &r = report.ratios[i];
		std::fprintf(out, "  {\"group\": %s, \"row\": %s, \"base\": %s, \"ratio\": %.4f, \"bar\": %.2f}%s\n", quoted(r.group).c_str(),
		    quoted(r.row).c_str(), quoted(r.base).c_str(), report.value(r), r.limit, i + 1 < report.ratios.size() ? "," : "");
	}
	std::fprintf(out, "]\n}\n");
	std::fclose(out);
}

void write_html(const Report &report, const std::string &path)
{
	std::FILE *out = create(path);
	std::fprintf(out, "<!doctype html><meta charset=utf-8><title>vkckpt bench</title><style>body{font:15px sans-serif;max-width:"
	    "60em;margin:2em auto}td,th{padding:.15em .6em;text-align:left}td.n{text-align:right}rect.o{fill:#47a}rect.p{fill:#bbb}"
	    ".no{color:#b00;font-weight:bold}</style><h1>vkckpt bench</h1><p>%s", html(report.heading).c_str());
	for (const std::string &note : report.notes)
		std::fprintf(out, "<p>Note: %s", html(note).c_str());
	for (const std::string &group : groups_of(report)) {
		std::fprintf(out, "<h2>%s</h2>", html(group).c_str());
		plot(out, report, group);
		std::fprintf(out, "<table><tr><th>what<th>median<th>spread");
		for (const Row &r : report.rows)
			if (r.group == group)
				std::fprintf(out, "<tr><td>%s<td class=n>%.1f %s<td class=n>%.1f .. %.1f", html(r.name).c_str(),
				    shown(r, r.median()), unit_of(r), shown(r, r.least()), shown(r, r.most()));
		std::fprintf(out, "</table><table>");
		for (const Ratio &r : report.ratios)
			if (r.group == group && report.value(r) > 0) {
				std::fprintf(out, "<tr><td>%s / %s<td class=n>%.2f", html(r.row).c_str(), html(r.base).c_str(), report.value(r));
				if (r.limit > 0)
					std::fprintf(out, "<td>bar %.2f<td class=%s>%s", r.limit, report.value(r) <= r.limit ? "ok" : "no",
					    verdict(report, r));
			}
		std::fprintf(out, "</table>");
	}
	std::fprintf(out, "\n");
	std::fclose(out);
}

}  // namespace bench
