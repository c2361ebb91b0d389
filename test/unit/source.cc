// A device's configuration: saved, parsed, overridden; and forged.
#include <catch2/catch.hpp>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include <vkckpt/image.h>

#include "lib/source.h"

namespace {

// A REC_DEVICE payload under construction, and its source.
class Device {
public:
	explicit Device(const char *name = "disk0")
	{
		std::strcpy(head().device_class, "disk");
		std::strcpy(head().name, name);
		vk::sink_begin(&sink_, bytes_.data() + sizeof(vkckpt_f_device), bytes_.size() - sizeof(vkckpt_f_device));
	}
	~Device() { arena_.release(); }
	vkckpt_f_device &head() { return *reinterpret_cast<vkckpt_f_device *>(bytes_.data()); }
	vkckpt_sink *sink() { return &sink_; }
	uint8_t *entries() { return bytes_.data() + sizeof(vkckpt_f_device); }
	vk::Status parse(long more = 0)
	{
		arena_.release();
		head().config_count = count_ >= 0 ? static_cast<uint32_t>(count_) : sink_.count;
		VK_TRY(arena_.map(vk::source_arena_bytes(head()) + 64, vk::Prefault::no));
		return vk::source_parse(arena_, bytes_.data(), sizeof(vkckpt_f_device) + sink_.used + static_cast<size_t>(more), &source);
	}
	vkckpt_source *source = nullptr;
	long count_ = -1;

private:
	std::vector<uint8_t> bytes_ = std::vector<uint8_t>(1 << 20);
	vkckpt_sink sink_ = {};
	vk::Arena arena_;
};

}  // namespace

TEST_CASE("what is put is got, by key and in order", "[source]")
{
	Device d;
	REQUIRE(vkckpt_put_u64(d.sink(), "size", UINT64_MAX) == 0);
	REQUIRE(vkckpt_put_string(d.sink(), "path", "/a b/c") == 0);
	REQUIRE(vkckpt_put_string(d.sink(), "empty", "") == 0);
	REQUIRE(vkckpt_put_bytes(d.sink(), "state", "\0\1\2", 3) == 0);
	REQUIRE(vkckpt_put_bytes(d.sink(), "nothing", nullptr, 0) == 0);
	REQUIRE(d.parse().reason == 0);
	REQUIRE(vkckpt_get_u64(d.source, "size", 1) == UINT64_MAX);
	REQUIRE(std::string(vkckpt_get_string(d.source, "path")) == "/a b/c");
	REQUIRE(std::string(vkckpt_get_string(d.source, "empty")).empty());
	size_t count = 9;
	REQUIRE(std::memcmp(vkckpt_get_bytes(d.source, "state", &count), "\0\1\2", 3) == 0);
	REQUIRE(count == 3);
	REQUIRE(vkckpt_get_bytes(d.source, "nothing", &count) != nullptr);
	REQUIRE(count == 0);
	REQUIRE(vkckpt_get_u64(d.source, "path", 42) == 42);
	REQUIRE(vkckpt_get_u64(d.source, "absent", 42) == 42);
	REQUIRE(vkckpt_get_string(d.source, "size") == nullptr);
	REQUIRE(vkckpt_get_bytes(d.source, "path", &count) == nullptr);
	const char *key;
	const void *value;
	uint32_t type;
	size_t bytes;
	REQUIRE(vkckpt_source_entry(d.source, 1, &key, &type, &value, &bytes) == 1);
	REQUIRE(std::string(key) == "path");
	REQUIRE(type == VKCKPT_VALUE_STRING);
	REQUIRE(bytes == 6);
	REQUIRE(vkckpt_source_entry(d.source, 5, &key, &type, &value, &bytes) == 0);
}

TEST_CASE("limits of keys and values: the first error sticks and names its key", "[source]")
{
	Device d;
	std::string key(VKCKPT_MAX_NAME, 'k'), path(VKCKPT_MAX_PATH, 'p');
	REQUIRE(vkckpt_put_string(d.sink(), key.c_str(), path.c_str()) == 0);
	REQUIRE(vkckpt_put_string(d.sink(), "long", (path + "p").c_str()) == -ENOBUFS);
	REQUIRE(vkckpt_put_u64(d.sink(), "fine", 1) == -ENOBUFS);
	REQUIRE(std::string(d.sink()->error_key) == "long");
	REQUIRE(d.sink()->count == 1);

	Device e;
	REQUIRE(vkckpt_put_u64(e.sink(), (key + "k").c_str(), 1) == -ENOBUFS);
	Device f;
	REQUIRE(vkckpt_put_u64(f.sink(), "", 1) == -EINVAL);
	Device g;
	std::vector<uint8_t> big(VKCKPT_MAX_VALUE + 1);
	REQUIRE(vkckpt_put_bytes(g.sink(), "big", big.data(), VKCKPT_MAX_VALUE) == 0);
	REQUIRE(vkckpt_put_bytes(g.sink(), "big2", big.data(), big.size()) == -ENOBUFS);
	Device h;
	for (unsigned i = 0; i < VKCKPT_MAX_CONFIG; i++)
		REQUIRE(vkckpt_put_u64(h.sink(), ("k" + std::to_string(i)).c_str(), i) == 0);
	REQUIRE(vkckpt_put_u64(h.sink(), "one more", 1) == -ENOBUFS);
	Device full;
	for (unsigned i = 0; i < 15; i++)
		REQUIRE(vkckpt_put_bytes(full.sink(), ("k" + std::to_string(i)).c_str(), big.data(), VKCKPT_MAX_VALUE) == 0);
	REQUIRE(vkckpt_put_bytes(full.sink(), "no room", big.data(), VKCKPT_MAX_VALUE) == -ENOBUFS);
	REQUIRE(full.parse().reason == 0);
}

TEST_CASE("forged entries are DAMAGED", "[source]")
{
	auto forged = [](auto change) {
		Device d;
		(void)vkckpt_put_u64(d.sink(), "number", 1);	// 8 + 7 + 8 -> 24 bytes
		(void)vkckpt_put_string(d.sink(), "path", "abc");
		change(d, *reinterpret_cast<vkckpt_f_value *>(d.entries()), *reinterpret_cast<vkckpt_f_value *>(d.entries() + 24));
		return d.parse().reason;
	};
	using V = vkckpt_f_value;
	REQUIRE(forged([](Device &, V &, V &) {}) == 0);
	REQUIRE(forged([](Device &, V &a, V &) { a.type = 0; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Device &, V &a, V &) { a.type = 4; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Device &, V &a, V &) { a.type = VKCKPT_VALUE_STRING; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Device &, V &a, V &) { a.key_bytes = 1; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Device &, V &a, V &) { a.key_bytes = 6; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Device &, V &a, V &) { a.key_bytes = 65; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Device &, V &a, V &) { a.value_bytes = 7; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Device &, V &a, V &) { a.value_bytes = ~0u; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Device &, V &, V &b) { b.value_bytes = 0; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Device &, V &, V &b) { b.value_bytes = 3; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Device &, V &, V &b) { b.value_bytes = 5; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Device &d, V &, V &) { d.entries()[23] = 1; }) == VKCKPT_R_DAMAGED);		// padding
	REQUIRE(forged([](Device &d, V &, V &) { d.entries()[10] = 0; }) == VKCKPT_R_DAMAGED);		// NUL inside the key
	REQUIRE(forged([](Device &d, V &, V &) { d.count_ = 1; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Device &d, V &, V &) { d.count_ = 3; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Device &d, V &, V &) { d.count_ = VKCKPT_MAX_CONFIG + 1; }) == VKCKPT_R_DAMAGED);
	Device twice;
	(void)vkckpt_put_u64(twice.sink(), "a", 1);
	(void)vkckpt_put_u64(twice.sink(), "a", 2);
	REQUIRE(twice.parse().reason == VKCKPT_R_DAMAGED);
	Device slack;
	(void)vkckpt_put_u64(slack.sink(), "a", 1);
	REQUIRE(slack.parse(8).reason == VKCKPT_R_DAMAGED);
	REQUIRE(slack.parse(-8).reason == VKCKPT_R_DAMAGED);
}

TEST_CASE("the first error of a save hook sticks, whatever comes behind it", "[source]")
{
	const std::string path(VKCKPT_MAX_PATH + 1, 'p');
	Device d;
	REQUIRE(vkckpt_put_string(d.sink(), "first", path.c_str()) == -ENOBUFS);
	REQUIRE(vkckpt_put_string(d.sink(), "second", path.c_str()) == -ENOBUFS);
	REQUIRE(std::string(d.sink()->error_key) == "first");
	Device e;
	REQUIRE(vkckpt_put_string(e.sink(), nullptr, path.c_str()) < 0);
	REQUIRE(std::string(e.sink()->error_key).empty());
}

TEST_CASE("a source says that no copy of its disk was made", "[source]")
{
	Device d;
	REQUIRE(d.parse().ok());
	const char *name = "x";
	REQUIRE(vkckpt_source_clone(d.source, &name) == VKCKPT_CLONE_NONE);
	REQUIRE(name == nullptr);
	REQUIRE(vkckpt_source_clone(d.source, nullptr) == VKCKPT_CLONE_NONE);
}

TEST_CASE("a null pointer instead of a key or a value is an error of the save hook", "[source]")
{
	Device value, key, bytes;
	REQUIRE(vkckpt_put_string(value.sink(), "path", nullptr) == -EINVAL);
	REQUIRE(std::string(value.sink()->error_key) == "path");
	REQUIRE(vkckpt_put_u64(key.sink(), nullptr, 1) == -EINVAL);
	REQUIRE(vkckpt_put_bytes(bytes.sink(), "state", nullptr, 4) == -EINVAL);
}

TEST_CASE("overrides change a key of the device they name", "[source]")
{
	Device a("disk0"), b("disk01");
	for (Device *d : { &a, &b }) {
		(void)vkckpt_put_string(d->sink(), "path", "/old");
		(void)vkckpt_put_u64(d->sink(), "rate", 5);
		(void)vkckpt_put_bytes(d->sink(), "state", "x", 1);
		REQUIRE(d->parse().reason == 0);
	}
	vkckpt_source *both[] = { a.source, b.source };
	REQUIRE(vk::source_override(both, 2, "disk01.path=/new=1.img").reason == 0);
	REQUIRE(std::string(vkckpt_get_string(b.source, "path")) == "/new=1.img");
	REQUIRE(std::string(vkckpt_get_string(a.source, "path")) == "/old");
	REQUIRE(vk::source_override(both, 2, "disk0.rate=0x20").reason == 0);
	REQUIRE(vkckpt_get_u64(a.source, "rate", 0) == 32);
	REQUIRE(vk::source_override(both, 2, "disk0.path=").reason == 0);
	REQUIRE(std::string(vkckpt_get_string(a.source, "path")).empty());
}

TEST_CASE("overrides that cannot be are refused", "[source]")
{
	Device a;
	(void)vkckpt_put_string(a.sink(), "path", "/old");
	(void)vkckpt_put_u64(a.sink(), "rate", 5);
	(void)vkckpt_put_bytes(a.sink(), "state", "x", 1);
	REQUIRE(a.parse().reason == 0);
	auto reason = [&](const std::string &text) { return vk::source_override(&a.source, 1, text.c_str()).reason; };
	REQUIRE(reason("disk1.path=x") == VKCKPT_R_OVERRIDE_UNKNOWN);
	REQUIRE(reason("disk.path=x") == VKCKPT_R_OVERRIDE_UNKNOWN);
	REQUIRE(reason("disk0.pat=x") == VKCKPT_R_OVERRIDE_UNKNOWN);
	REQUIRE(reason("disk0.path2=x") == VKCKPT_R_OVERRIDE_UNKNOWN);
	for (const char *form : { "", "=", ".", "disk0", "disk0.path", "disk0=x", ".path=x", "disk0.=x", "disk0=a.path=b" }) {
		INFO(form);
		REQUIRE(reason(form) == VKCKPT_R_BAD_ARGUMENT);
	}
	REQUIRE(reason("disk0.rate=fast") == VKCKPT_R_BAD_ARGUMENT);
	REQUIRE(reason("disk0.rate=") == VKCKPT_R_BAD_ARGUMENT);
	REQUIRE(reason("disk0.state=x") == VKCKPT_R_BAD_ARGUMENT);
	REQUIRE(reason("disk0.path=" + std::string(VKCKPT_MAX_PATH + 1, 'x')) == VKCKPT_R_LIMIT);
	REQUIRE(reason("disk0.path=" + std::string(VKCKPT_MAX_PATH, 'x')) == 0);
	REQUIRE(std::string(vk::source_override(&a.source, 1, "disk0.rate=fast").subject) == "disk0.rate=fast: not a number");
}
