#include "bin/text.h"

#include <libutil.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <algorithm>

namespace tool {

size_t utf8_length(const char *s, size_t room)
{
	auto byte = [&](size_t i) { return static_cast<unsigned char>(s[i]); };
	auto follows = [&](size_t i) { return i < room && (byte(i) & 0xc0) == 0x80; };
	if (room == 0)
		return 0;
	unsigned char first = byte(0);
	if (first < 0x80)
		return 1;
	if (first >= 0xc2 && first <= 0xdf)
		return follows(1) ? 2 : 0;
	if (first >= 0xe0 && first <= 0xef) {
		if (!follows(1) || !follows(2))
			return 0;
		unsigned point = (first & 15u) << 12 | (byte(1) & 63u) << 6 | (byte(2) & 63u);
		return point >= 0x800 && (point < 0xd800 || point > 0xdfff) ? 3 : 0;
	}
	if (first >= 0xf0 && first <= 0xf4) {
		if (!follows(1) || !follows(2) || !follows(3))
			return 0;
		unsigned point = (first & 7u) << 18 | (byte(1) & 63u) << 12 | (byte(2) & 63u) << 6 | (byte(3) & 63u);
		return point >= 0x10000 && point <= 0x10ffff ? 4 : 0;
	}
	return 0;
}

std::string printable(const std::string &text)
{
	std::string out;
	for (size_t i = 0; i < text.size();) {
		size_t length = utf8_length(text.data() + i, text.size() - i);
		unsigned char c = text[i];
		// C1 controls (U+0080 .. U+009f) steer some terminals as well.
		bool c1 = length == 2 && c == 0xc2 && static_cast<unsigned char>(text[i + 1]) < 0xa0;
		if (length == 0 || c < 0x20 || c == 0x7f || c1) {
			char escaped[8];
			snprintf(escaped, sizeof escaped, "\\x%02x", c);
			out += escaped;
			i++;
		} else {
			out.append(text, i, length);
			i += length;
		}
	}
	return out;
}

std::string field(const char *bytes, size_t room)
{
	return std::string(bytes, strnlen(bytes, room));
}

std::string human_size(uint64_t bytes)
{
	// humanize_number scales until the number fits: room for three digits, a blank and "MiB".
	char text[3 + 1 + 3 + 1];
	if (bytes > INT64_MAX || humanize_number(text, sizeof text, static_cast<int64_t>(bytes), "B", HN_AUTOSCALE,
	    HN_DECIMAL | HN_IEC_PREFIXES) < 0)
		return std::to_string(bytes) + " B";
	return text;
}

std::string human_count(uint64_t value)
{
	std::string digits = std::to_string(value), out;
	for (size_t i = 0; i < digits.size(); i++) {
		if (i > 0 && (digits.size() - i) % 3 == 0)
			out += ',';
		out += digits[i];
	}
	return out;
}

std::string human_duration(uint64_t ns)
{
	char text[32];
	double value = static_cast<double>(ns);
	if (ns < 1'000'000)
		snprintf(text, sizeof text, "%.0f us", value / 1e3);
	else if (ns < 1'000'000'000)
		snprintf(text, sizeof text, "%.1f ms", value / 1e6);
	else
		snprintf(text, sizeof text, "%.2f s", value / 1e9);
	return text;
}

static std::string format_time(uint64_t realtime_ns, const char *format)
{
	time_t seconds = static_cast<time_t>(realtime_ns / 1'000'000'000);
	tm broken{};
	char text[64];
	if (!gmtime_r(&seconds, &broken) || strftime(text, sizeof text, format, &broken) == 0)
		return std::to_string(seconds) + " s since 1970";
	return text;
}

std::string human_time(uint64_t realtime_ns) { return format_time(realtime_ns, "%Y-%m-%d %H:%M:%S UTC"); }
std::string iso_time(uint64_t realtime_ns) { return format_time(realtime_ns, "%Y-%m-%dT%H:%M:%SZ"); }

std::string hex(const uint8_t *bytes, size_t count)
{
	std::string out;
	for (size_t i = 0; i < count; i++) {
		char two[3];
		snprintf(two, sizeof two, "%02x", bytes[i]);
		out += two;
	}
	return out;
}

std::string uuid_text(const vkckpt_uuid &id)
{
	std::string digits = hex(id.bytes, sizeof id.bytes), out;
	for (size_t i = 0; i < digits.size(); i++) {
		if (i == 8 || i == 12 || i == 16 || i == 20)
			out += '-';
		out += digits[i];
	}
	return out;
}

std::string address_text(uint64_t address)
{
	char text[24];
	snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(address));
	return text;
}

bool is_zero(const vkckpt_uuid &id) { return same(id, vkckpt_uuid{}); }
bool same(const vkckpt_uuid &a, const vkckpt_uuid &b) { return memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0; }

Table::Table(std::vector<std::string> headings, std::string indent) : indent_(std::move(indent))
{
	for (std::string &heading : headings) {
		right_.push_back(heading[0] == '>');
		if (right_.back())
			heading.erase(0, 1);
	}
	rows_.push_back(std::move(headings));
}

void Table::row(std::vector<std::string> cells)
{
	for (std::string &cell : cells)
		cell = printable(cell);
	rows_.push_back(std::move(cells));
}

// Columns a terminal gives to the text: characters, not bytes.
static size_t width_of(const std::string &text)
{
	return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; });
}

std::string folder_of(const std::string &file)
{
	size_t slash = file.rfind('/');
	return slash == file.npos ? "." : slash ? file.substr(0, slash) : "/";
}

void Table::print() const
{
	std::vector<size_t> width(right_.size());
	for (const auto &row : rows_)
		for (size_t i = 0; i < row.size(); i++)
			width[i] = std::max(width[i], width_of(row[i]));
	for (const auto &row : rows_) {
		std::string line = indent_;
		for (size_t i = 0; i < row.size(); i++) {
			std::string pad(width[i] - width_of(row[i]), ' ');
			bool last = i + 1 == row.size();
			line += right_[i] ? pad + row[i] : last ? row[i] : row[i] + pad;
			if (!last)
				line += "  ";
		}
		puts(line.c_str());
	}
}

}  // namespace tool
