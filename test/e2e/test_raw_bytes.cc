// What the raw bytes of a sealed image, of its increment and of its signature give away: none of what the guest holds, is called or runs, no path,
// no host, no content hash. The same image unsealed is the counter-check: there all of it is found.
#include <catch2/catch.hpp>

#include <cstring>
#include <filesystem>
#include <set>
#include <sys/utsname.h>

#include <vkckpt/image.h>

#include "test/e2e/place.h"

using namespace vktest;
namespace fs = std::filesystem;

namespace {

struct Mark {
	const char *what;
	std::string bytes;
};

// Every digest in the index of an image in clear: of frames' contents and of stored bytes.
std::set<std::string> hashes_in(const std::string &file)
{
	vkckpt_image *image = nullptr;
	vkckpt_error err = {};
	const int opened = vkckpt_image_open(file.c_str(), &image, &err);
	INFO(err.message);
	REQUIRE(opened == 0);
	uint64_t count = 0;
	const vkckpt_f_chunk *chunks = vkckpt_image_chunks(image, &count);
	std::set<std::string> all;
	const std::string none(sizeof chunks->content, '\0');
	for (uint64_t i = 0; i < count; i++)
		for (const vkckpt_digest &d : { chunks[i].content, chunks[i].digest })
			if (std::string bytes(reinterpret_cast<const char *>(&d), sizeof d); bytes != none)
				all.insert(bytes);
	vkckpt_image_close(image);
	return all;
}

size_t found_of(const std::set<std::string> &hashes, const std::string &file)
{
	std::set<std::string> seen;
	const std::string bytes = contents(file);
	constexpr size_t kBytes = sizeof(vkckpt_digest);
	for (size_t at = 0; at + kBytes <= bytes.size(); at += 8)	// they lie at multiples of 8 in every record
		if (std::string word = bytes.substr(at, kBytes); hashes.count(word))
			seen.insert(word);
	return seen.size();
}

}  // namespace

TEST_CASE("the bytes of a sealed chain and of its signatures give nothing away", "[seal]")
{
	Place place;
	const std::string disk = place.make_disk(1 << 20, "mark-of-the-disk.img"), secret = "mark-of-memory-" + std::to_string(getpid());
	REQUIRE(place.tool({"keygen", "-q", place / "op"}).status == 0);
	REQUIRE(place.tool({"keygen", "-q", "--sign", place / "by"}).status == 0);
	utsname host;
	REQUIRE(uname(&host) == 0);
	// A shell that holds the secret, a file with it, a process with a name of its own, and much else that is stored as it is.
	Child child = place.sh("cp /bin/busybox /tmp/mark-of-a-process; ln -s /tmp/mark-of-a-process /tmp/sleep; /tmp/sleep 1000 mark-of-an-argument & "
	    "echo $SECRET >/tmp/mark-of-a-file; head -c 300000 /dev/urandom >/tmp/noise; echo ready; thawed; echo again; thawed; echo end",
	    {"--chain", "4", "--codec", "raw", "--seal-to", place / "op.pub", "-r", disk, "-e", "SECRET=" + secret, "--console",
		"log:" + (place / "mark-of-the-console")});
	REQUIRE(await([&] { return has(contents(place / "mark-of-the-console"), "ready"); }));
	REQUIRE(suspend(*child) == "");
	child = place.thaw({"--key", place / "op.key"}, place / "vk.0001.ckpt");
	REQUIRE(await([&] { return has(contents(place / "mark-of-the-console"), "again"); }));
	REQUIRE(suspend(*child) == "");

	const std::vector<Mark> marks = { { "RAM", secret }, { "a name in the guest's file system", "mark-of-a-file" }, { "a process", "mark-of-a-process" },
		{ "an argument", "mark-of-an-argument" }, { "the disk's path", "mark-of-the-disk" }, { "the console's path", "mark-of-the-console" },
		{ "the folder", place.path() }, { "the host's system", host.release }, { "the kind of vkernel", "minivk" }, { "a device", "disk0" } };
	for (const char *name : { "vk.0001.ckpt", "vk.0002.ckpt" }) {
		INFO(name);
		const std::string sealed = place / name, plain = place / "plain.ckpt";
		fs::remove(plain);
		REQUIRE(place.tool({"sign", "-q", "--key", place / "by.key", sealed}).status == 0);
		const Outcome opened = place.tool({"unseal", "-q", "--key", place / "op.key", sealed, plain});
		INFO(opened.err);
		REQUIRE(opened.status == 0);
		const std::string hidden = contents(sealed) + contents(sealed + ".sig"), clear = contents(plain);
		REQUIRE(hidden.size() > (std::string(name) == "vk.0001.ckpt" ? 300000u : 20000u));
		for (const Mark &mark : marks) {
			INFO(mark.what << ": " << mark.bytes);
			CHECK(hidden.find(mark.bytes) == std::string::npos);
			if (std::string(name) == "vk.0001.ckpt")	// the next one has of RAM only what has changed
				CHECK(clear.find(mark.bytes) != std::string::npos);
		}
		const std::set<std::string> hashes = hashes_in(plain);
		REQUIRE(hashes.size() > 10);
		CHECK(found_of(hashes, plain) == hashes.size());
		CHECK(found_of(hashes, sealed) == 0);
		CHECK(found_of(hashes, sealed + ".sig") == 0);
	}
}
