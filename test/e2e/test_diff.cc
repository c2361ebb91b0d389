// vkckpt diff with images of real vkernels: what it says against what the guest is known to have done.
#include <catch2/catch.hpp>

#include <filesystem>

#include "test/e2e/place.h"

using namespace vktest;
namespace fs = std::filesystem;

namespace {

// The number behind the first `"key": ' after `from'.
uint64_t number(const std::string &json, const std::string &key, size_t from = 0)
{
	const size_t at = json.find("\"" + key + "\": ", from);
	REQUIRE(at != json.npos);
	return std::stoull(json.substr(at + key.size() + 4));
}

size_t process(const std::string &json, const std::string &name)
{
	const size_t at = json.find("\"name\": \"" + name + "\"", json.find("\"processes\""));
	REQUIRE(at != json.npos);
	return at;
}

}  // namespace

TEST_CASE("vkckpt diff: tells by process what changed from one image of a chain to the next", "[diff]")
{
	constexpr uint64_t kPage = 4096, kPages = 8 * 256;
	Place place;
	fs::create_directory(place / "root");
	fs::copy_file("build/test/guests/fill", place / "root/fill");
	Child child = place.boot({"/fill", "8", "dirty", "0", "1", "50"}, {"--root", place / "root", "--chain", "8", "--on-ckpt", "continue"});
	const Outcome end = child->end();
	INFO(end.err);
	REQUIRE(end.status == 0);
	auto diff = [&](const char *a, const char *b) {
		const Outcome told = place.tool({"diff", "--json", place / (std::string("vk.000") + a + ".ckpt"), place / (std::string("vk.000") + b + ".ckpt")});
		INFO(told.err);
		REQUIRE(told.status == 0);
		return told.out;
	};
	const std::string little = diff("1", "2"), much = diff("1", "3"), none = diff("2", "2"), back = diff("3", "1");
	CHECK(has(little, "\"relation\": \"the second is built on the first\""));
	// Its stack changes too, a page or two.
	const uint64_t one = number(little, "changed_bytes", process(little, "fill")) / kPage;
	CHECK(one >= kPages / 100);
	CHECK(one <= kPages / 100 + 4);
	const uint64_t half = number(much, "changed_bytes", process(much, "fill")) / kPage;
	CHECK(half >= kPages / 2);
	CHECK(half <= kPages / 2 + kPages / 100 + 4);
	CHECK(number(much, "changed_bytes") == number(back, "changed_bytes"));
	CHECK(number(none, "changed_bytes") + number(none, "added_bytes") + number(none, "gone_bytes") == 0);
	CHECK(has(place.tool({"diff", place / "vk.0002.ckpt", place / "vk.0002.ckpt"}).out, "no difference in RAM"));
	fs::remove(place / "vk.0001.ckpt");
	const Outcome broken = place.tool({"diff", place / "vk.0002.ckpt", place / "vk.0003.ckpt"});
	CHECK(broken.status == 1);
	CHECK(has(broken.err, "PARENT_MISSING"));
}

TEST_CASE("vkckpt diff: processes that came and went, with RAM of different sizes", "[diff]")
{
	Place place;
	fs::create_directory(place / "root");
	for (const char *guest : {"fill", "children"})
		fs::copy_file(std::string("build/test/guests/") + guest, place / "root/" + guest);
	Child first = place.boot({"/fill", "8"}, {"--root", place / "root", "--image", place / "one.ckpt"});
	REQUIRE(first->expect("ready"));
	REQUIRE(place.tool({"suspend", "vk"}).status == 0);
	(void)first->end();
	Child second = place.boot({"/children", "2"}, {"--root", place / "root", "-m", "96m", "--image", place / "two.ckpt"});
	REQUIRE(second->expect("ready"));
	REQUIRE(place.tool({"suspend", "vk"}).status == 0);
	(void)second->end();
	const Outcome json = place.tool({"diff", "--json", place / "one.ckpt", place / "two.ckpt"});
	INFO(json.err);
	REQUIRE(json.status == 0);
	CHECK(number(json.out, "first_ram_bytes") == 64u << 20);
	CHECK(number(json.out, "second_ram_bytes") == 96u << 20);
	const Outcome text = place.tool({"diff", place / "one.ckpt", place / "two.ckpt"});
	CHECK(has(text.out, "images of different vkernels"));
	CHECK(has(text.out, "ended"));
	CHECK(has(text.out, "new"));
	CHECK(has(text.out, "RAM of 64 MiB and of 96 MiB"));
	const std::string ended = json.out.substr(process(json.out, "fill"));
	CHECK(ended.find("\"in_second\": false") < ended.find("}"));
	CHECK(number(ended, "gone_bytes") + number(ended, "changed_bytes") > 0);
}

TEST_CASE("vkckpt diff: a damaged image is refused with its name", "[diff]")
{
	Place place;
	Child child = place.sh("echo ready; sleep 100");
	REQUIRE(child->expect("ready"));
	REQUIRE(place.tool({"suspend", "vk"}).status == 0);
	(void)child->end();
	fs::copy_file(place.image(), place / "cut.ckpt");
	fs::resize_file(place / "cut.ckpt", fs::file_size(place.image()) - 4096);
	const Outcome cut = place.tool({"diff", place.image(), place / "cut.ckpt"});
	CHECK(cut.status == 1);
	CHECK(cut.out.empty());
	CHECK(has(cut.err, "cut.ckpt"));
}
