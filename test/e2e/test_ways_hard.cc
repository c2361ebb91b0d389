// Ways of an image that are slow, end too early or lack what the usual ones have: the right result or a clear error, and never a hang.
#include <catch2/catch.hpp>

#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "test/e2e/place.h"
#include "test/skip.h"

using namespace vktest;
namespace fs = std::filesystem;

namespace {

// 24 MB that nothing makes smaller, and their sum; after a thaw they must be the same.
const char kData[] = "head -c 24000000 /dev/urandom >/tmp/data; sha256sum /tmp/data >/tmp/sum; echo ready; thawed; sha256sum -c /tmp/sum";
const char kGood[] = "/tmp/data: OK\n";

// A vkernel that writes its image to `out', which is closed here.
Child to_descriptor(const Place &place, int out, const std::string &script)
{
	Child child = std::make_unique<Process>(Process::Setup{.words = place.boot_words({"/bin/sh", "-c",
	    "read a b c thaws </dev/vkckpt; thawed() { while read a b c now </dev/vkckpt; [ $now = $thaws ]; do sleep 0.05; done; }; " + script},
	    {"--console", "log:" + (place / "log"), "--image", "-"}), .out = out, .folder = place.path()});
	close(out);
	REQUIRE(await([&] { return has(contents(place / "log"), "ready") && place.armed(child->pid()); }));
	return child;
}

void runs_on(const Place &place, Process &child)
{
	CHECK(child.running());
	const size_t seen = contents(place / "log").size();
	CHECK(await([&] { return contents(place / "log").size() > seen + 10; }));
}

const std::string kDataAndTicks = std::string("head -c 24000000 /dev/urandom >/tmp/data; ") + kTicks;

struct Link {
	int in, out;
	Link()
	{
		int ends[2];
		REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
		in = ends[0];
		out = ends[1];
	}
};

size_t take_some(int fd, size_t bytes)
{
	std::string buffer(65536, '\0');
	size_t got = 0;
	for (ssize_t n; got < bytes && (n = read(fd, buffer.data(), buffer.size())) > 0;)
		got += size_t(n);
	return got;
}

}  // namespace

TEST_CASE("numbers of workers that cannot be are refused, and the outer ones that can be serve", "[ways]")
{
	Place place;
	for (const char *number : {"0", "100", "65", "-1", "many"}) {
		const Outcome o = place.sh("echo booted", {"--workers", number})->end();
		INFO(number << ": " << o.err);
		CHECK(o.status == 2);
		CHECK(has(o.err, std::string("--workers ") + number));
		CHECK(has(o.err, "1 to 64"));
	}
	for (const char *number : {"1", "64"}) {
		Child child = place.sh(kData, {"--workers", number});
		REQUIRE(child->expect("ready"));
		REQUIRE(suspend(*child) == "");
		CHECK(place.tool({"verify", place.image()}).status == 0);
		CHECK(place.thawed({"--workers", number}).out == kGood);
	}
}

TEST_CASE("a reader of an image that dies in the middle: the vkernel runs on, and what it got is refused", "[ways]")
{
	Place place;
	Link link;
	Child child = to_descriptor(place, link.out, kDataAndTicks);
	child->signal(VKCKPT_SIGCKPT);
	const std::string half = place / "half.ckpt";
	std::string bytes(4 << 20, '\0');
	size_t got = 0;
	for (ssize_t n; got < bytes.size() && (n = read(link.in, bytes.data() + got, bytes.size() - got)) > 0;)
		got += size_t(n);
	REQUIRE(got == bytes.size());
	close(link.in);
	write_file(half, bytes);
	runs_on(place, *child);
	for (const char *source : {"file", "pipe"}) {
		Process thaw({.words = place.thaw_words({}, source[0] == 'f' ? half : "-"), .in = open(half.c_str(), O_RDONLY | O_CLOEXEC),
		    .folder = place.path()});
		const Outcome o = thaw.end();
		INFO(source << ": " << o.err);
		CHECK(o.status == 1);
		CHECK(has(o.err, "(TRUNCATED)"));
		CHECK(o.out == "");
	}
}

TEST_CASE("a reader of an image that stops: the request can be cancelled, and the vkernel runs on", "[ways]")
{
	Place place;
	Link link;
	Child child = to_descriptor(place, link.out, kDataAndTicks);
	Process tool({.words = {tool_path(), "suspend", "vk"}, .folder = place.path()});
	REQUIRE(take_some(link.in, 1 << 20) >= 1 << 20);	// and no more
	pause_ms(200);
	CHECK(child->running());
	tool.signal(SIGINT);
	const Outcome o = tool.end();
	INFO(o.err);
	CHECK(o.status != 0);
	runs_on(place, *child);
	close(link.in);
}

TEST_CASE("an image over a way that is slower than any processor arrives whole", "[ways]")
{
	Place place;
	Link link;
	Child child = to_descriptor(place, link.out, kData);
	child->signal(VKCKPT_SIGCKPT);
	std::string bytes, part(65536, '\0');
	for (ssize_t n; (n = read(link.in, part.data(), part.size())) > 0; pause_ms(2))
		bytes.append(part, 0, size_t(n));
	close(link.in);
	CHECK(child->end().status == VKCKPT_EXIT_SUSPENDED);
	write_file(place / "slow.ckpt", bytes);
	const std::string image = place / "slow.ckpt";
	const Outcome verify = place.tool({"verify", image});
	INFO(verify.err);
	CHECK(verify.status == 0);
	const Outcome o = place.thawed({"--console", "stdio"}, image);
	INFO(o.err);
	CHECK(o.out == kGood);
}

TEST_CASE("an image on a file system that cannot be written around the page cache", "[ways]")
{
	if (geteuid() != 0)
		TEST_SKIP("only root can mount a file system without O_DIRECT");
	Place place;
	const std::string folder = place / "plain";
	fs::create_directory(folder);
	REQUIRE(mount("ramfs", folder.c_str(), "ramfs", 0, nullptr) == 0);
	struct Unmount {
		std::string at;
		~Unmount() { umount2(at.c_str(), MNT_DETACH); }
	} unmount{folder};
	const int direct = open((folder + "/probe").c_str(), O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);
	if (direct >= 0) {
		close(direct);
		TEST_SKIP("ramfs of this host has O_DIRECT");
	}
	for (const char *codec : {"lz4", "raw"}) {
		const std::string image = folder + "/" + codec + ".ckpt";
		Child child = place.sh(kData, {"--image", image, "--codec", codec});
		REQUIRE(child->expect("ready"));
		REQUIRE(suspend(*child) == "");
		CHECK(place.tool({"verify", image}).status == 0);
		CHECK(place.thawed({}, image).out == kGood);
	}
}

TEST_CASE("a host without huge pages", "[ways]")
{
	Place place;
	const auto without = [] { prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0); };
	Process child({.words = place.boot_words({"/bin/sh", "-c", "read a b c n </dev/vkckpt; echo ready; "
	    "while read a b c m </dev/vkckpt; [ $m = $n ]; do sleep 0.02; done; echo alive"}), .folder = place.path(), .before_exec = without});
	REQUIRE(child.expect("ready"));
	REQUIRE(suspend(child) == "");
	Process after({.words = place.thaw_words(), .folder = place.path(), .before_exec = without});
	CHECK(after.end().out == "alive\n");
}
