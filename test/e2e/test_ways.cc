// The ways of an image: through pipes and descriptors, with other settings of devices, tried dry; and what a wrong word gets.
#include <catch2/catch.hpp>

#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

#include <vkckpt/error.h>

#include "test/e2e/command_util.h"
#include "test/e2e/place.h"

using namespace vktest;
using command_test::JsonReader;
using command_test::JsonValue;
namespace fs = std::filesystem;

namespace {

const char kAlive[] = "x=alive; echo ready; thawed; echo $x";

struct Suspended : Place {
	Suspended()
	{
		Child child = sh(kAlive);
		REQUIRE(child->expect("ready"));
		REQUIRE(suspend(*child) == "");
	}
	// Status and reason of a thaw that must not happen.
	void refused(const std::vector<std::string> &options, int status, const std::string &part)
	{
		const Outcome o = thawed(options);
		INFO(o.err);
		CHECK(o.status == status);
		CHECK(o.out == "");
		CHECK(has(o.err, part));
	}
};

// A reader that takes 12 MB a second at most.
void read_slowly(int fd, const std::string &path)
{
	std::ofstream out(path, std::ios::binary);
	std::vector<char> piece(256 << 10);
	for (size_t have = 0;;) {
		const ssize_t n = read(fd, piece.data() + have, piece.size() - have);
		have += n > 0 ? size_t(n) : 0;
		if (n > 0 && have < piece.size())
			continue;
		out.write(piece.data(), std::streamsize(have));
		have = 0;
		if (n <= 0)
			return;
		pause_ms(20);
	}
}

}  // namespace

TEST_CASE("an image goes through a pipe from one vkernel into the next", "[ways]")
{
	for (const char *source : {"-", "fd:1"}) {
		Place place;
		int link[2];
		REQUIRE(pipe2(link, O_CLOEXEC) == 0);
		std::vector<std::string> words = place.boot_words({"/bin/sh", "-c", "read a b c n </dev/vkckpt; echo ready; "
		    "while read a b c m </dev/vkckpt; [ $m = $n ]; do sleep 0.02; done; echo alive $m"},
		    {"--console", "log:" + (place / "log"), "--image", source});
		auto from = std::make_unique<Process>(Process::Setup{.words = words, .out = link[1], .folder = place.path()});
		Process to({.words = {minivk_path(), "--thaw", "-", "--console", "stdio"}, .in = link[0], .folder = place.path()});
		close(link[0]);
		close(link[1]);
		REQUIRE(await([&] { return has(contents(place / "log"), "ready"); }));
		from->signal(VKCKPT_SIGCKPT);
		CHECK(from->end().status == VKCKPT_EXIT_SUSPENDED);
		const Outcome o = to.end();
		INFO(o.err);
		CHECK(o.status == 0);
		CHECK(o.out == "alive 1\n");
		CHECK(fs::directory_iterator(place.path()) != fs::directory_iterator());
		CHECK(!fs::exists(place.image()));
	}
}

TEST_CASE("an image is written to a descriptor and thawed from one", "[ways]")
{
	Place place;
	const std::string path = place / "through.fd";
	Process child({.words = place.boot_words({"/bin/sh", "-c", "read a b c n </dev/vkckpt; echo ready; "
	    "while read a b c m </dev/vkckpt; [ $m = $n ]; do sleep 0.02; done; echo alive $m"}, {"--image", "fd:9"}),
	    .folder = place.path(), .before_exec = [&] { dup2(open(path.c_str(), O_RDWR | O_CREAT, 0600), 9); }});
	REQUIRE(child.expect("ready"));
	REQUIRE(suspend(child) == "");
	CHECK(place.tool({"verify", path}).status == 0);
	Process after({.words = {minivk_path(), "--thaw", "fd:7"}, .folder = place.path(),
	    .before_exec = [&] { dup2(open(path.c_str(), O_RDONLY), 7); }});
	CHECK(after.end().out == "alive 1\n");
}

TEST_CASE("workers that wait for a slow reader make the image smaller meanwhile, and the image tells so", "[ways]")
{
	for (const char *workers : {"1", "3"}) {
		Place place;
		int link[2];
		REQUIRE(pipe2(link, O_CLOEXEC) == 0);
		Process child({.words = place.boot_words({"/fill", "40"}, {"--root", full_root({"fill"}), "--console", "log:" + (place / "log"),
		    "--workers", workers, "--image", "-"}), .out = link[1], .folder = place.path()});
		close(link[1]);
		std::thread reader([&] { read_slowly(link[0], place.image()); });
		const bool ready = await([&] { return has(contents(place / "log"), "ready"); });
		child.signal(ready ? VKCKPT_SIGCKPT : SIGKILL);
		const Outcome o = child.end();
		reader.join();
		close(link[0]);
		CHECK(o.status == VKCKPT_EXIT_SUSPENDED);
		const Outcome info = place.tool({"info", "--json", place.image()});
		REQUIRE(info.status == 0);
		JsonValue statistics = JsonReader::parse(info.out)["statistics"];
		CHECK(statistics["workers"].number() == std::stoul(workers));
		CHECK(statistics["waited_percent"].number() > 10);
		const std::vector<JsonValue> levels = statistics["levels"].items;
		REQUIRE(!levels.empty());
		CHECK(levels.back().number() == (workers[0] == '1' ? 1u : 2u));	// alone nobody waits for his turn
		CHECK(has(place.tool({"info", place.image()}).out, workers[0] == '1' ? "1 worker, LZ4 at level 1, " : "LZ4 at levels 1 and 2, "));
		CHECK(place.thawed({"--console", "stdio"}, place.image()).out == "thawed\n");
	}
}

TEST_CASE("an image into a pipe that nobody reads fails and the vkernel runs on", "[ways]")
{
	Place place;
	int link[2];
	REQUIRE(pipe2(link, O_CLOEXEC) == 0);
	Process child({.words = place.boot_words({"/bin/sh", "-c", "echo ready; while :; do echo tick; sleep 0.05; done"},
	    {"--console", "log:" + (place / "log"), "--image", "-"}), .out = link[1], .folder = place.path()});
	close(link[1]);
	REQUIRE(await([&] { return has(contents(place / "log"), "ready") && place.armed(child.pid()); }));
	close(link[0]);
	const Outcome o = place.tool({"suspend", "vk"});
	INFO(o.err);
	CHECK(o.status == 1);
	CHECK(has(o.err, "runs on"));
	CHECK(child.running());
	const size_t seen = contents(place / "log").size();
	CHECK(await([&] { return contents(place / "log").size() > seen + 20; }));
}

TEST_CASE("a dry run says whether a thaw would work and touches nothing", "[ways]")
{
	Suspended s;
	const std::string before = contents(s.image());
	for (int i = 0; i < 2; i++) {
		const Outcome o = s.thawed({"--dry-run"});
		INFO(o.err);
		CHECK(o.status == 0);
		CHECK(has(o.out, "can be thawed"));
		CHECK(!has(o.out, "alive"));
	}
	s.refused({"--dry-run", "-o", "disk0.path=/x"}, 1, "(OVERRIDE_UNKNOWN)");
	CHECK(contents(s.image()) == before);
	CHECK(s.thawed().out == "alive\n");
	fs::remove(s.image());
	s.refused({"--dry-run"}, 1, "(NOT_FOUND)");
}

TEST_CASE("a dry run tells a program all that speaks against a thaw", "[ways]")
{
	Suspended s;
	Outcome o = s.thawed({"--dry-run", "--json"});
	CHECK(o.status == 0);
	JsonValue json = JsonReader::parse(o.out);
	CHECK(json["thawable"].truth);
	CHECK(json["refusals"].items.empty());

	o = s.thawed({"--dry-run", "--json", "-o", "disk0.path=/x", "-o", "console.kind=log:/nowhere/log"});
	INFO(o.out);
	CHECK(o.status == 1);
	CHECK(o.err == "");
	json = JsonReader::parse(o.out);
	CHECK(!json["thawable"].truth);
	REQUIRE(json["refusals"].items.size() == 2);
	CHECK(json["refusals"][0]["reason"].text == "OVERRIDE_UNKNOWN");
	CHECK(json["refusals"][0]["code"].number() == VKCKPT_R_OVERRIDE_UNKNOWN);
	CHECK(json["refusals"][0]["subject"].text == "disk0.path=/x");
	CHECK(json["refusals"][1]["reason"].text == "DEVICE_MISSING");
	CHECK(has(json["refusals"][1]["message"].text, "/nowhere/log"));

	fs::resize_file(s.image(), 100);
	o = s.thawed({"--dry-run", "--json"});
	CHECK(o.status == 1);
	CHECK(JsonReader::parse(o.out)["refusals"][0]["reason"].text == "TRUNCATED");
	CHECK(s.thawed({"--json"}).status == 2);
}

TEST_CASE("the console of a thaw is the recorded one or the one that is asked for", "[ways]")
{
	Suspended s;
	Outcome o = s.thawed({"--console", "log:" + (s / "log1")});
	CHECK(o.status == 0);
	CHECK(o.out == "");
	CHECK(contents(s / "log1") == "alive\n");
	o = s.thawed({"-o", "console.kind=log:" + (s / "log2")});
	INFO(o.err);
	CHECK(o.status == 0);
	CHECK(o.out == "");
	CHECK(contents(s / "log2") == "alive\n");
	o = s.thawed({"--console", "null"});
	CHECK(o.status == 0);
	CHECK(o.out == "");
	s.refused({"--console", "log:" + (s / "no/such/folder/log")}, 1, "no/such/folder");
	CHECK(s.thawed().out == "alive\n");
}

TEST_CASE("a console that had come to its end is waited for again when the thaw brings one with input", "[ways]")
{
	Place place;
	Child child = place.sh("read x || echo ended; thawed; echo listening; read x; echo heard $x");
	REQUIRE(child->expect("ended"));
	REQUIRE(suspend(*child) == "");
	int link[2];
	REQUIRE(pipe2(link, O_CLOEXEC) == 0);
	Process thaw({.words = place.thaw_words(), .in = link[0], .folder = place.path()});
	close(link[0]);
	REQUIRE(thaw.expect("listening"));
	signal(SIGPIPE, SIG_IGN);
	pause_ms(100);		// it would find the old end
	REQUIRE(write(link[1], "word\n", 5) == 5);
	close(link[1]);
	CHECK(thaw.end().out == "listening\nheard word\n");
	CHECK(place.thawed().out == "listening\nheard\n");
}

TEST_CASE("wrong overrides and options of a thaw are named", "[ways]")
{
	Suspended s;
	s.refused({"-o", "tape0.path=/x"}, 1, "(OVERRIDE_UNKNOWN)");
	s.refused({"-o", "tape0.path=/x"}, 1, "tape0");
	s.refused({"-o", "console.colour=red"}, 1, "(OVERRIDE_UNKNOWN)");
	s.refused({"-o", "console.colour=red"}, 1, "colour");
	s.refused({"-o", "console.kind=tape"}, 1, "tape");
	s.refused({"-o", "nonsense"}, 2, "device.key=value");
	s.refused({"-m", "64m"}, 2, "--thaw");
	s.refused({"-r", "/x"}, 2, "--thaw");
	s.refused({"--", "/bin/sh"}, 2, "--thaw");
	CHECK(s.thawed().out == "alive\n");
}

TEST_CASE("a refused disk override leaves the disk as it was", "[ways]")
{
	Place place;
	const std::string disk = place.make_disk();
	Child child = place.sh(kAlive, {"-r", disk});
	REQUIRE(child->expect("ready"));
	REQUIRE(suspend(*child) == "");
	for (const char *path : {"/dev/null", "/", "/nonexistent/disk", ""}) {
		const Outcome o = place.thawed({"-o", std::string("disk0.path=") + path});
		INFO(path << ": " << o.err);
		CHECK(o.status == 1);
		CHECK(has(o.err, "(DISK_"));
	}
	CHECK(place.thawed().out == "alive\n");
}

TEST_CASE("an image is the owner's alone", "[ways]")
{
	Suspended s;
	struct stat st;
	REQUIRE(stat(s.image().c_str(), &st) == 0);
	CHECK((st.st_mode & 07777) == 0600);
	CHECK(st.st_uid == getuid());
	REQUIRE(stat(s.run_dir().c_str(), &st) == 0);
	CHECK((st.st_mode & 07777) == 0700);
}
