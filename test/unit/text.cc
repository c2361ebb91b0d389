#include <catch2/catch.hpp>

#include <cstring>
#include <string>

#include "lib/text.h"

TEST_CASE("numbers become text", "[text]")
{
	char out[128];
	vk::Text(out, sizeof out).decimal(0).add(' ').decimal(UINT64_MAX).add(' ').decimal_signed(INT64_MIN).add(' ').hex(0).add(' ').hex(0xabc, 6);
	REQUIRE(std::string(out) == "0 18446744073709551615 -9223372036854775808 0 000abc");
	vk::Text(out, sizeof out).hex(UINT64_MAX).add(' ').hex(1, 40).add(' ').bytes_hex("\x01\xff", 2);
	REQUIRE(std::string(out) == "ffffffffffffffff 0000000000000001 01ff");
}

TEST_CASE("what does not fit is cut, stays a string, and is said", "[text]")
{
	char out[8];
	std::memset(out, 'x', sizeof out);
	vk::Text text(out, 5);
	text.add("abc");
	REQUIRE(!text.cut());
	text.add("def");
	REQUIRE(text.cut());
	REQUIRE(std::string(out) == "abcd");
	REQUIRE(out[5] == 'x');
	vk::Text none(out, 0);
	none.add("q");
	REQUIRE(none.cut());
	REQUIRE(out[0] == 'a');
}

TEST_CASE("copies fill their field with zeros and tell when they cut", "[text]")
{
	char field[8];
	std::memset(field, 'x', sizeof field);
	REQUIRE(vk::text_copy(field, sizeof field, "seven77"));
	REQUIRE(std::string(field) == "seven77");
	REQUIRE(!vk::text_copy(field, sizeof field, "eight888"));
	REQUIRE(std::string(field) == "eight88");
	REQUIRE(vk::text_copy(field, sizeof field, ""));
	REQUIRE(std::memcmp(field, "\0\0\0\0\0\0\0\0", 8) == 0);
}

TEST_CASE("texts are numbers only as a whole", "[text]")
{
	uint64_t n = 5;
	REQUIRE(vk::text_to_u64("0", &n));
	REQUIRE(n == 0);
	REQUIRE(vk::text_to_u64("18446744073709551615", &n));
	REQUIRE(n == UINT64_MAX);
	REQUIRE(vk::text_to_u64("0xFfFfFfFfFfFfFfFf", &n));
	REQUIRE(n == UINT64_MAX);
	REQUIRE(vk::text_to_u64("0X10", &n));
	REQUIRE(n == 16);
	for (const char *bad : { "", "0x", "-1", "+1", " 1", "1 ", "1k", "a", "0xg", "18446744073709551616", "0x10000000000000000", "1.0" }) {
		INFO(bad);
		REQUIRE(!vk::text_to_u64(bad, &n));
	}
	REQUIRE(n == 16);
}

TEST_CASE("lengths, equality, beginnings", "[text]")
{
	REQUIRE(vk::text_length("abc") == 3);
	REQUIRE(vk::text_length("abc", 2) == 2);
	REQUIRE(vk::text_equal("", ""));
	REQUIRE(!vk::text_equal("a", "ab"));
	REQUIRE(!vk::text_equal("ab", "a"));
	REQUIRE(vk::text_starts("disk0.path", "disk0"));
	REQUIRE(!vk::text_starts("disk", "disk0"));
}
