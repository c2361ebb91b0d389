// Small text: building bounded strings, and the few string functions that the library may not take from libc. All of it is
// async-signal-safe; nothing allocates; a string that does not fit is cut and stays NUL-terminated.
#ifndef VKCKPT_LIB_TEXT_H
#define VKCKPT_LIB_TEXT_H

#include <stddef.h>
#include <stdint.h>

namespace vk {

size_t text_length(const char *);
size_t text_length(const char *, size_t room);	// room when there is no NUL in it
bool text_equal(const char *, const char *);
bool text_starts(const char *text, const char *prefix);
bool text_contains(const char *text, const char *part);
// Letters, digits, '-', '_' and '.', 1 to VKCKPT_MAX_NAME of them and no '.' first: what may become part of a file's name.
bool text_is_name(const char *);
// Copies with a NUL and fills the rest of the room with zeros (fields of the image must not carry rubbish). False: it was cut.
bool text_copy(char *out, size_t room, const char *text);
// Every byte of what is no UTF-8, and of control characters, becomes '?': names out of an image must not steer the reader's terminal.
void text_clean(char *text);
// Decimal, or hexadecimal after 0x; the whole text. False: not a number, or over 64 bits.
bool text_to_u64(const char *text, uint64_t *out);

class Text {
public:
	Text(char *out, size_t room);
	Text &add(const char *text);
	Text &add(const char *text, size_t bytes);
	Text &add(char c) { return add(&c, 1); }
	Text &decimal(uint64_t);
	Text &decimal_signed(int64_t);
	Text &hex(uint64_t, unsigned digits = 1);	// no 0x; at least so many digits
	Text &bytes_hex(const void *, size_t count);
	Text &json(const char *text);	// a JSON string with its quotes; what is no UTF-8, and control characters, become '?'
	size_t length() const { return length_; }
	bool cut() const { return cut_; }

private:
	char *out_;
	size_t room_;
	size_t length_ = 0;
	bool cut_ = false;
};

}  // namespace vk
#endif
