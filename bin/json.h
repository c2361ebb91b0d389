// Writes JSON to stdout, indented. Integers are exact; addresses are strings, because many readers keep numbers as doubles.
#ifndef VKCKPT_BIN_JSON_H
#define VKCKPT_BIN_JSON_H

#include <cstdint>
#include <string>
#include <vector>

namespace tool {

std::string json_quote(const std::string &);

class Json {
public:
	// key "" inside an array and for the outermost value.
	void begin_object(const char *key = "") { begin(key, '{'); }
	void end_object() { end('}'); }
	void begin_array(const char *key = "") { begin(key, '['); }
	void end_array() { end(']'); }
	void number(const char *key, uint64_t value);
	void signed_number(const char *key, int64_t value);
	void real(const char *key, double value);
	void string(const char *key, const std::string &value);
	void boolean(const char *key, bool value);
	void null(const char *key);
	// The outermost value has ended.
	void finish();

private:
	void begin(const char *key, char bracket);
	void end(char bracket);
	void lead(const char *key);
	void raw(const char *key, const std::string &text);

	std::vector<bool> has_members_;
};

}  // namespace tool
#endif
