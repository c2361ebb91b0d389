// Small text. See text.h.
#include "lib/text.h"

#include <vkckpt/format.h>

namespace vk {

size_t text_length(const char *text)
{
	size_t n = 0;
	while (text[n] != '\0')
		n++;
	return n;
}

size_t text_length(const char *text, size_t room)
{
	size_t n = 0;
	while (n < room && text[n] != '\0')
		n++;
	return n;
}

bool text_equal(const char *a, const char *b)
{
	for (; *a != '\0' && *a == *b; a++, b++)
		;
	return *a == *b;
}

bool text_starts(const char *text, const char *prefix)
{
	for (; *prefix != '\0'; text++, prefix++)
		if (*text != *prefix)
			return false;
	return true;
}

bool text_contains(const char *text, const char *part)
{
	for (;; text++) {
		if (text_starts(text, part))
			return true;
		if (*text == '\0')
			return false;
	}
}

bool text_is_name(const char *text)
{
	if (*text == '\0' || *text == '.' || text_length(text, VKCKPT_MAX_NAME + 1) > VKCKPT_MAX_NAME)
		return false;
	for (const char *p = text; *p != '\0'; p++)
		if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || *p == '-' || *p == '_' ||
		    *p == '.'))
			return false;
	return true;
}

bool text_copy(char *out, size_t room, const char *text)
{
	size_t i = 0;
	for (; i + 1 < room && text[i] != '\0'; i++)
		out[i] = text[i];
	bool whole = text[i] == '\0';
	for (; i < room; i++)
		out[i] = '\0';
	return whole;
}

bool text_to_u64(const char *text, uint64_t *out)
{
	unsigned base = 10;
	if (text_starts(text, "0x") || text_starts(text, "0X")) {
		base = 16;
		text += 2;
	}
	if (*text == '\0')
		return false;
	uint64_t value = 0;
	for (; *text != '\0'; text++) {
		unsigned digit = base;
		if (*text >= '0' && *text <= '9')
			digit = static_cast<unsigned>(*text - '0');
		else if ((*text | 0x20) >= 'a' && (*text | 0x20) <= 'f')
			digit = static_cast<unsigned>((*text | 0x20) - 'a') + 10;
		if (digit >= base || __builtin_mul_overflow(value, uint64_t{base}, &value) ||
		    __builtin_add_overflow(value, uint64_t{digit}, &value))
			return false;
	}
	*out = value;
	return true;
}

namespace {

bool continues(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

// Bytes of the well-formed UTF-8 character at *p (Unicode, table 3-7); 0: it is none.
size_t utf8_bytes(const char *p)
{
	unsigned char a = static_cast<unsigned char>(p[0]), b = a ? static_cast<unsigned char>(p[1]) : 0;
	if (a < 0x80)
		return 1;
	if (a >= 0xc2 && a < 0xe0)
		return continues(p[1]) ? 2 : 0;
	if (a >= 0xe0 && a < 0xf0) {
		bool second = b >= (a == 0xe0 ? 0xa0 : 0x80) && b <= (a == 0xed ? 0x9f : 0xbf);
		return second && continues(p[2]) ? 3 : 0;
	}
	if (a >= 0xf0 && a < 0xf5) {
		bool second = b >= (a == 0xf0 ? 0x90 : 0x80) && b <= (a == 0xf4 ? 0x8f : 0xbf);
		return second && continues(p[2]) && continues(p[3]) ? 4 : 0;
	}
	return 0;
}

// Bytes of the character at *p, which steers no terminal; 0: it is none, or a control character (Unicode's C0, DEL and C1).
size_t printable_bytes(const char *p)
{
	unsigned char a = static_cast<unsigned char>(p[0]);
	size_t n = a < 0x20 || a == 0x7f ? 0 : utf8_bytes(p);
	return n == 2 && a == 0xc2 && static_cast<unsigned char>(p[1]) < 0xa0 ? 0 : n;
}

}  // namespace

void text_clean(char *text)
{
	while (*text != '\0') {
		size_t n = printable_bytes(text);
		if (n == 0)
			*text = '?';
		text += n == 0 ? 1 : n;
	}
}

Text::Text(char *out, size_t room) : out_(out), room_(room)
{
	if (room_ > 0)
		out_[0] = '\0';
}

Text &Text::add(const char *text) { return add(text, text_length(text)); }

Text &Text::add(const char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		if (length_ + 1 >= room_) {
			cut_ = true;
			break;
		}
		out_[length_++] = text[i];
	}
	if (room_ > 0)
		out_[length_] = '\0';
	return *this;
}

Text &Text::decimal(uint64_t value)
{
	char digits[20];
	size_t n = sizeof digits;
	do
		digits[--n] = static_cast<char>('0' + value % 10);
	while ((value /= 10) != 0);
	return add(digits + n, sizeof digits - n);
}

Text &Text::decimal_signed(int64_t value)
{
	if (value >= 0)
		return decimal(static_cast<uint64_t>(value));
	return add('-').decimal(0 - static_cast<uint64_t>(value));
}

Text &Text::hex(uint64_t value, unsigned least)
{
	char digits[16];
	size_t n = sizeof digits;
	do
		digits[--n] = "0123456789abcdef"[value & 15];
	while ((value >>= 4) != 0 || (sizeof digits - n < least && n > 0));
	return add(digits + n, sizeof digits - n);
}

Text &Text::bytes_hex(const void *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		hex(static_cast<const uint8_t *>(bytes)[i], 2);
	return *this;
}

Text &Text::json(const char *text)
{
	add('"');
	while (*text != '\0') {
		size_t n = printable_bytes(text);
		if (n == 0) {
			add('?');
			text++;
			continue;
		}
		if (*text == '"' || *text == '\\')
			add('\\');
		add(text, n);
		text += n;
	}
	return add('"');
}

}  // namespace vk
