// /dev/vkckpt from inside a guest, and guests at a terminal: what a program learns of its suspends, and what it has to say.
#include <catch2/catch.hpp>

#include <csignal>
#include <filesystem>

#include "test/e2e/command_util.h"
#include "test/e2e/place.h"

using namespace vktest;
using command_test::JsonReader;

namespace {

Child boot(const Place &place, const std::vector<std::string> &words, const std::vector<std::string> &more = {})
{
	std::vector<std::string> options = {"--root", guest_root("ckptdev")};
	options.insert(options.end(), more.begin(), more.end());
	return place.boot(words, options);
}

}  // namespace

TEST_CASE("a guest process is told of a checkpoint and acknowledges", "[guest]")
{
	Place place;
	Child child = boot(place, {"/ckptdev", "notice", "ack"});
	REQUIRE(child->expect("ready\n"));
	CHECK(place.tool({"checkpoint", "vk"}).status == 0);
	CHECK(child->expect("notice in time\nack 0\n"));
	REQUIRE(suspend(*child) == "");
	// With the answer the suspend goes on: the guest may say so before it or after the thaw.
	const Outcome o = place.thawed();
	INFO(o.out << o.err);
	CHECK(o.status == 0);
	CHECK(child->out() + o.out == "ready\nnotice in time\nack 0\nnotice in time\nack 0\nthawed, generation differs\n");
}

TEST_CASE("a guest process vetoes a checkpoint and the vkernel runs on", "[guest]")
{
	Place place;
	Child child = boot(place, {"/ckptdev", "notice", "veto"});
	REQUIRE(child->expect("ready\n"));
	const Outcome refused = place.tool({"suspend", "vk"});
	CHECK(refused.status == 1);
	CHECK(has(refused.err, "(VETOED)"));
	CHECK(has(refused.err, "runs on"));
	CHECK(child->expect("veto 0\n"));
	CHECK(child->running());
	CHECK(!std::filesystem::exists(place.image()));
	CHECK(!std::filesystem::exists(place.image() + ".part"));
	CHECK(place.entry(child->pid()).result_reason == VKCKPT_R_VETOED);
	REQUIRE(suspend(*child) == "");		// only the first one was vetoed
	CHECK(has(place.thawed().out, "thawed, generation differs\n"));
}

TEST_CASE("a guest process that does not answer holds a checkpoint up until the deadline", "[guest]")
{
	Place place;
	Child child = boot(place, {"/ckptdev", "notice", "ignore"});
	REQUIRE(child->expect("ready\n"));
	CHECK(place.tool({"suspend", "vk"}).status == 0);
	CHECK(child->end().status == VKCKPT_EXIT_SUSPENDED);
	CHECK(has(child->out(), "notice in time\n"));
	CHECK(place.thawed().out == "thawed, generation differs\n");
}

TEST_CASE("a guest that asks for a checkpoint learns whether it was resumed or thawed", "[guest]")
{
	Place place;
	Child child = boot(place, {"/bin/sh", "-c", "/ckptdev ask go-on; echo then"});
	const Outcome original = child->end();
	CHECK(original.status == 0);
	CHECK(original.out == "asked: resumed\nthen\n");
	const Outcome thawed = place.thawed();
	INFO(thawed.err);
	CHECK(thawed.status == 0);
	CHECK(thawed.out == "asked: thawed\nthen\n");
}

TEST_CASE("a guest that asks for its suspend goes on when it is thawed", "[guest]")
{
	for (const char *cpus : {"1", "2"}) {
		Place place;
		Child child = boot(place, {"/bin/sh", "-c", "echo before; /ckptdev ask exit; echo then; echo suspend >/dev/vkckpt; echo end"}, {"-n", cpus});
		Outcome o = child->end();
		CHECK(o.status == VKCKPT_EXIT_SUSPENDED);
		CHECK(o.out == "before\n");
		o = place.thawed();
		CHECK(o.status == VKCKPT_EXIT_SUSPENDED);
		CHECK(o.out == "asked: thawed\nthen\n");
		CHECK(place.thawed().out == "end\n");
	}
}

TEST_CASE("a guest that asks is told when there is no image", "[guest]")
{
	Place place;
	Child child = place.boot({"/bin/sh", "-c", "/ckptdev notice veto >/tmp/said & until grep -q ready /tmp/said; do sleep 0.05; done; /ckptdev ask go-on; /ckptdev ask exit"},
	    {"--root", full_root({"ckptdev"})});
	Outcome o = child->end();
	INFO(o.out << o.err);
	CHECK(o.status == VKCKPT_EXIT_SUSPENDED);
	CHECK(has(o.out, "asked: Operation canceled\n"));
	CHECK(has(o.err, "(VETOED)"));
	// Nowhere to write to.
	child = boot(place, {"/ckptdev", "ask", "exit"}, {"--image", place / "no/such/folder.ckpt"});
	o = child->end();
	CHECK(o.status == 1);
	CHECK(o.out == "asked: No such file or directory\n");
	CHECK(has(o.err, "(NOT_FOUND)"));
}

TEST_CASE("what a guest calls secret is in no image, and unchanged in the vkernel that goes on", "[guest]")
{
	constexpr int kSeed = 4711;
	auto key = [](int seed) {
		std::string text;
		for (int i = 0; i < 64; i++)
			text += char(33 + (seed * 31 + i * i * 7 + i) % 90);
		return text;
	};
	Place place;
	Child child = boot(place, {"/ckptdev", "secret", std::to_string(kSeed)}, {"--codec", "raw"});
	REQUIRE(child->expect("there there\n"));
	REQUIRE(place.tool({"checkpoint", "vk"}).status == 0);
	CHECK(!has(contents(place.image()), key(kSeed)));
	CHECK(has(contents(place.image()), key(kSeed + 1)));
	CHECK(JsonReader::parse(place.tool({"info", "--json", place.image()}).out)["statistics"]["frames_secret"].number() == 3);
	REQUIRE(place.tool({"suspend", "vk"}).status == 0);
	CHECK(!has(contents(place.image()), key(kSeed)));
	CHECK(child->end().out == "there there\n");
	CHECK(place.thawed().out == "gone there\nthe child's is gone\n");
}

TEST_CASE("what a guest calls secret is in no image of a chain, nor in one that is made of a lazy thaw", "[guest]")
{
	constexpr int kSeed = 815;
	std::string key;
	for (int i = 0; i < 64; i++)
		key += char(33 + (kSeed * 31 + i * i * 7 + i) % 90);
	Place place;
	Child child = boot(place, {"/ckptdev", "secret", std::to_string(kSeed)}, {"--codec", "raw", "--chain", "4"});
	REQUIRE(child->expect("there there\n"));
	for (int i = 0; i < 2; i++)
		REQUIRE(place.tool({"checkpoint", "vk"}).status == 0);
	REQUIRE(place.tool({"suspend", "vk"}).status == 0);
	REQUIRE(child->end().status == VKCKPT_EXIT_SUSPENDED);
	const std::string last = place / "vk.0003.ckpt", again = place / "again.ckpt";
	for (const char *name : {"vk.0001.ckpt", "vk.0002.ckpt", "vk.0003.ckpt"})
		CHECK(!has(contents(place / name), key));
	REQUIRE(place.tool({"flatten", "-o", again, last}).status == 0);
	CHECK(!has(contents(again), key));
	// Thawed lazily and suspended before anything is there: its stored chunks are copied as they are.
	child = place.thaw({"--lazy=demand", "--codec", "raw", "--chain", "off", "--image", again}, last);
	REQUIRE(await([&] { return place.armed(child->pid()); }));
	child->signal(VKCKPT_SIGCKPTEXIT);
	const Outcome o = child->end();
	INFO(o.err);
	if (o.status == VKCKPT_EXIT_SUSPENDED)		// else the guest had come to its end first
		CHECK(!has(contents(again), key));
}

TEST_CASE("two guest processes ask at once and one is told that it is busy or both are served", "[guest]")
{
	Place place;
	Child child = place.boot({"/bin/sh", "-c", "for i in 1 2 3 4 5 6; do /ckptdev ask go-on & done; wait; echo end"},
	    {"--root", full_root({"ckptdev"}), "-n", "2"});
	const Outcome o = child->end();
	INFO(o.out << o.err);
	CHECK(o.status == 0);
	size_t resumed = 0, busy = 0;
	for (size_t at = 0; (at = o.out.find("asked: resumed\n", at)) != std::string::npos; at++)
		resumed++;
	for (size_t at = 0; (at = o.out.find("asked: Device or resource busy\n", at)) != std::string::npos; at++)
		busy++;
	CHECK(resumed >= 1);
	CHECK(resumed + busy == 6);
	CHECK(has(o.out, "end\n"));
	CHECK(place.tool({"verify", place.image()}).status == 0);
}

TEST_CASE("a thawed guest learns the size of its new terminal by SIGWINCH", "[guest][terminal]")
{
	Place place;
	Session before({"-m", "64m", "--image", place.image(), "--root", guest_root("winch"), "--", "/winch"}, 24, 80);
	REQUIRE(before.expect("size 24 80"));
	before.resize(25, 90);
	REQUIRE(before.expect("size 25 90"));
	kill(before.pid(), VKCKPT_SIGCKPT);
	REQUIRE(before.wait() == VKCKPT_EXIT_SUSPENDED);
	Session after({"--thaw", place.image()}, 40, 133);
	CHECK(after.expect("size 40 133"));
	after.resize(10, 20);
	CHECK(after.expect("size 10 20"));
	after.send("\r");
	CHECK(after.wait() == 0);
}

TEST_CASE("vi keeps a half-typed line over a suspend and a thaw on a terminal of another size", "[guest][terminal]")
{
	Place place;
	Session before({"-m", "64m", "--image", place.image(), "--", "/bin/sh"}, 24, 80);
	REQUIRE(before.expect("# "));
	before.send("vi /tmp/t\r");
	REQUIRE(before.expect("1/1 100%"));
	before.send("ifirst line\rhalf a li");
	REQUIRE(before.expect("half a li"));
	kill(before.pid(), VKCKPT_SIGCKPT);
	REQUIRE(before.wait() == VKCKPT_EXIT_SUSPENDED);

	Session after({"--thaw", place.image()}, 30, 100);
	pause_ms(300);
	after.send("ne is whole\x1b");
	REQUIRE(after.expect("- /tmp/t [Modified] 2/2"));
	after.send(":wq\r");
	REQUIRE(after.expect("# "));
	after.send("tr a-z A-Z </tmp/t; stty size\r");
	CHECK(after.expect("FIRST LINE\r\nHALF A LINE IS WHOLE\r\n30 100"));
	after.send("exit\r");
	CHECK(after.wait() == 0);
}

TEST_CASE("an interactive shell keeps its jobs and variables and its half-typed command over a suspend", "[guest][terminal]")
{
	for (const char *cpus : {"1", "2"}) {
		Place place;
		Session before({"-m", "64m", "-n", cpus, "--image", place.image(), "--", "/bin/sh"}, 24, 80);
		REQUIRE(before.expect("# "));
		before.send("kept=value; sleep 1000 &\r");
		REQUIRE(before.expect("# "));
		before.send("sh -c 'trap \"echo go-$((40+2))\" CONT; echo up-$((1+1)); while :; do sleep 0.1; done'\r");
		REQUIRE(before.expect("up-2"));
		before.send("\x1a");
		REQUIRE(before.expect("Stopped"));
		REQUIRE(before.expect("# "));
		before.send("echo half-");
		REQUIRE(before.expect("half-"));
		kill(before.pid(), VKCKPT_SIGCKPT);
		REQUIRE(before.wait() == VKCKPT_EXIT_SUSPENDED);

		Session after({"--thaw", place.image()}, 24, 80);
		after.send("$kept\r");
		CHECK(after.expect("half-value\r\n"));
		REQUIRE(after.expect("# "));
		after.send("jobs\r");
		CHECK(after.expect("Running"));
		CHECK(after.expect("sleep 1000"));
		REQUIRE(after.expect("# "));
		after.send("fg %2\r");
		REQUIRE(after.expect("go-42"));		// it is in the foreground before it is told
		// In the middle of a foreground job once more.
		kill(after.pid(), VKCKPT_SIGCKPT);
		REQUIRE(after.wait() == VKCKPT_EXIT_SUSPENDED);
		Session third({"--thaw", place.image()}, 24, 80);
		REQUIRE(third.raw());			// else ^C were minivk's end
		third.send("\x03");
		REQUIRE(third.expect("# "));
		third.send("echo status $?; kill %1; wait; exit 3\r");
		CHECK(third.expect("status 130"));
		CHECK(third.wait() == 3);
	}
}
