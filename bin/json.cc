#include "bin/json.h"
#include "bin/text.h"

#include <assert.h>
#include <stdio.h>

namespace tool {

std::string json_quote(const std::string &text)
{
	std::string out = "\"";
	for (size_t i = 0; i < text.size();) {
		unsigned char c = text[i];
		size_t length = utf8_length(text.data() + i, text.size() - i);
		if (length == 0) {
			out += "\\ufffd";	// JSON has no other bytes than UTF-8
			i++;
		} else if (c == '"' || c == '\\') {
			out += {'\\', static_cast<char>(c)};
			i++;
		} else if (c < 0x20 || c == 0x7f) {
			char escaped[8];
			snprintf(escaped, sizeof escaped, "\\u%04x", c);
			out += escaped;
			i++;
		} else {
			out.append(text, i, length);
			i += length;
		}
	}
	return out + '"';
}

void Json::lead(const char *key)
{
	if (!has_members_.empty()) {
		fputs(has_members_.back() ? ",\n" : "\n", stdout);
		has_members_.back() = true;
		for (size_t i = 0; i < has_members_.size(); i++)
			fputs("  ", stdout);
	}
	if (*key)
		printf("%s: ", json_quote(key).c_str());
}

void Json::raw(const char *key, const std::string &text)
{
	lead(key);
	fputs(text.c_str(), stdout);
}

void Json::begin(const char *key, char bracket)
{
	lead(key);
	putchar(bracket);
	has_members_.push_back(false);
}

void Json::end(char bracket)
{
	assert(!has_members_.empty());
	bool had = has_members_.back();
	has_members_.pop_back();
	if (had) {
		putchar('\n');
		for (size_t i = 0; i < has_members_.size(); i++)
			fputs("  ", stdout);
	}
	putchar(bracket);
}

void Json::number(const char *key, uint64_t value) { raw(key, std::to_string(value)); }
void Json::signed_number(const char *key, int64_t value) { raw(key, std::to_string(value)); }
void Json::string(const char *key, const std::string &value) { raw(key, json_quote(value)); }
void Json::boolean(const char *key, bool value) { raw(key, value ? "true" : "false"); }
void Json::null(const char *key) { raw(key, "null"); }

void Json::real(const char *key, double value)
{
	char text[32];
	snprintf(text, sizeof text, "%.3f", value);
	raw(key, text);
}

void Json::finish()
{
	assert(has_members_.empty());
	putchar('\n');
}

}  // namespace tool
