// How values look to a person: sizes, times, ids, and columns. Names come from files and other processes, so everything
// that could steer a terminal is made visible first.
#ifndef VKCKPT_BIN_TEXT_H
#define VKCKPT_BIN_TEXT_H

#include <vkckpt/format.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace tool {

// Control characters and invalid UTF-8 become \xNN.
std::string printable(const std::string &);
// A field of fixed size that ends at the first NUL or at its end.
std::string field(const char *bytes, size_t room);
template <size_t N> std::string field(const char (&bytes)[N]) { return field(bytes, N); }

std::string human_size(uint64_t bytes);			// "35 MiB"
std::string human_count(uint64_t);			// "12,345"
std::string human_duration(uint64_t ns);		// "1.3 ms"
std::string human_time(uint64_t realtime_ns);		// "2026-11-20 19:04:54 UTC"
std::string iso_time(uint64_t realtime_ns);		// "2026-11-20T19:04:54Z"
std::string hex(const uint8_t *bytes, size_t count);
std::string uuid_text(const vkckpt_uuid &);
std::string address_text(uint64_t);			// "0x7f0000000000"
bool is_zero(const vkckpt_uuid &);
bool same(const vkckpt_uuid &, const vkckpt_uuid &);
std::string folder_of(const std::string &file);		// ".": it has none in its name

// Length of the UTF-8 character at s (1 to 4), 0 if the bytes there are none.
size_t utf8_length(const char *s, size_t room);

// Aligned columns; a column whose heading begins with '>' is set to the right.
class Table {
public:
	explicit Table(std::vector<std::string> headings, std::string indent = "");
	void row(std::vector<std::string> cells);
	void print() const;
	bool empty() const { return rows_.size() == 1; }

private:
	std::vector<std::vector<std::string>> rows_;
	std::vector<bool> right_;
	std::string indent_;
};

}  // namespace tool
#endif
