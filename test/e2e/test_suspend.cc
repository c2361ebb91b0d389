// Suspend and thaw at random moments, by signal: what guests say is byte by byte what they say undisturbed, and what lives only
// in RAM is still there.
#include <catch2/catch.hpp>

#include <algorithm>
#include <future>
#include <set>

#include "test/e2e/place.h"

using namespace vktest;

namespace {

Case guest(const std::string &words, unsigned cpus, std::vector<std::string> options = {})
{
	const std::string name = words.substr(0, words.find(' '));
	return {{"/bin/sh", "-c", "echo $NONCE; /" + words + "; echo $NONCE"}, guest_root(name), cpus, std::move(options)};
}
Case shell(const std::string &script, unsigned cpus)
{
	return {{"/bin/sh", "-c", "echo $NONCE;" + script + "; echo $NONCE"}, "", cpus, {}};
}

// An undisturbed run beside a disturbed one. Returns how often that was suspended.
unsigned same(const Case &c, unsigned suspends, const Random &random, const Moment &moment)
{
	Place place;
	auto plain = std::async(std::launch::async, [&] { return straight(c); });
	const Run run = suspended_at(place, c, suspends, moment);
	const Run undisturbed = plain.get();
	INFO(random.repeat() << "; " << c.cpus << " vCPUs, " << run.legs - 1 << " suspends");
	REQUIRE(undisturbed.trouble == "");
	REQUIRE(run.trouble == "");
	CHECK(run.out == undisturbed.out);
	return run.legs - 1;
}

unsigned same(const Case &c, unsigned suspends, unsigned most_ms)
{
	Random random;
	return same(c, suspends, random, [&](Process &leg, const std::string &) { leg.read_for(int(random.below(most_ms + 1))); });
}

size_t lines_of(const std::string &text) { return size_t(std::count(text.begin(), text.end(), '\n')); }

}  // namespace

TEST_CASE("twenty suspends in a row at random moments", "[suspend]")
{
	// Several kinds of work at once: a pipeline, a sleeper, a process that only computes, forks.
	const std::string script = "(i=0; while [ $i -lt 25 ]; do i=$((i+1)); sleep 0.1; done; echo slept $i >/tmp/a) & "
	    "(for i in 1 2 3; do seq 1 30000 | awk '{ s += $1 % 7; print s }' | sort -rn | sha256sum; done >/tmp/b) & "
	    "(i=0; while [ $i -lt 150000 ]; do i=$((i+1)); done; echo counted $i >/tmp/c) & "
	    "(for i in 1 2 3 4 5 6 7 8 9; do echo $i | (read x; (sleep 0.2; echo $((x * x)))); done >/tmp/d) & "
	    "wait; cat /tmp/a /tmp/b /tmp/c /tmp/d";
	for (unsigned cpus : {1u, 2u})
		CHECK(same(shell(script, cpus), 20, 140) == 20);
}

TEST_CASE("a pipeline that computes for half a minute survives ten suspends", "[suspend]")
{
	// One round on this machine, beside another like it, gives the number of rounds.
	auto round = [](unsigned rounds) {
		return shell("i=0; while [ $i -lt " + std::to_string(rounds) + " ]; do i=$((i+1)); "
		    "seq $i 20000 | awk '{ s += $1 * $1 % 11; print s }' | sort -rn | sed 's/1/one/g' | sha256sum; done", 1);
	};
	const auto begin = std::chrono::steady_clock::now();
	auto other = std::async(std::launch::async, [&] { return straight(round(4)); });
	REQUIRE(straight(round(4)).trouble == "");
	REQUIRE(other.get().trouble == "");
	const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
	const unsigned rounds = std::max(30u, unsigned(4 * 28 / took.count()));
	// Ten rounds of the first two thirds are drawn, each is disturbed somewhere in it.
	Random random;
	std::set<size_t> drawn;
	while (drawn.size() < 10)
		drawn.insert(1 + random.below(rounds * 2 / 3));
	auto next = drawn.begin();
	const uint64_t round_us = uint64_t(took.count() * 1e6 / 4);
	const unsigned suspends = same(round(rounds), 10, random, [&](Process &leg, const std::string &earlier) {
		REQUIRE(await([&] { leg.read_for(1); return lines_of(earlier) + lines_of(leg.out()) > *next || !leg.running(); }));
		random.pause_us(round_us);
		++next;
	});
	CHECK(suspends == 10);
}

TEST_CASE("threads and fork trees and registers and signals and timers survive suspends at random moments", "[suspend]")
{
	unsigned suspends = 0;
	for (unsigned cpus : {1u, 2u})
		for (const char *name : {"threads", "forktree", "avx", "signals"}) {
			INFO(name);
			suspends += same(guest(name, cpus), 5, 60);
		}
	CHECK(suspends >= 8);
}

TEST_CASE("a guest with 200 processes survives suspends", "[suspend]")
{
	CHECK(same(guest("processes 200 500", 2), 4, 250) >= 2);
}

TEST_CASE("256 MiB of scattered mappings in one process survive suspends", "[suspend]")
{
	CHECK(same(guest("scatter 256", 1, {"-m", "512m"}), 3, 700) >= 1);
}

TEST_CASE("what lives only in RAM tells a thaw from a restart", "[suspend]")
{
	Place place;
	const std::string script = "s=$(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' '); echo $s; thawed; "
	    "echo $s; echo thaws $thaws; head -c 16 /dev/urandom | od -An -tx1; cat /dev/vkckpt";
	Child boot = place.sh(script);
	REQUIRE(boot->expect("\n"));
	REQUIRE(suspend(*boot) == "");
	const std::string secret = boot->out().substr(0, boot->out().find('\n') + 1);
	REQUIRE(secret.size() == 33);
	// One image, thawed twice: the same past, and not the same future.
	const Outcome a = place.thawed(), b = place.thawed();
	INFO(a.err << b.err);
	CHECK(a.status == 0);
	CHECK(b.status == 0);
	CHECK(a.out.substr(0, 42) == secret + "thaws 1\n ");
	CHECK(b.out.substr(0, 42) == secret + "thaws 1\n ");
	CHECK(a.out.substr(42, 47) != b.out.substr(42, 47));
	CHECK(a.out.substr(a.out.find("generation ")) != b.out.substr(b.out.find("generation ")));
}

TEST_CASE("a vkernel without a disk thaws any number of times and also at the same time", "[suspend]")
{
	Place place;
	Child boot = place.sh("x=unique; echo ready; thawed; echo $x; sleep 0.5; read y; echo end $x");
	REQUIRE(boot->expect("ready"));
	REQUIRE(suspend(*boot) == "");
	const std::string before = contents(place.image());
	std::vector<Child> all;
	for (int i = 0; i < 5; i++)
		all.push_back(place.thaw());
	for (Child &child : all)
		CHECK(child->expect("unique\n"));
	for (Child &child : all) {
		const Outcome o = child->end();
		INFO(o.err);
		CHECK(o.status == 0);
		CHECK(o.out == "unique\nend unique\n");
	}
	CHECK(place.thawed().out == "unique\nend unique\n");
	CHECK(contents(place.image()) == before);
}

TEST_CASE("a writer blocked in write goes on after a thaw", "[suspend]")
{
	for (const char *cpus : {"1", "2"}) {
		Place place;
		Child boot = place.sh("seq 1 200000 | { read x; echo ready; echo read >&2; thawed; cat; } | sha256sum", {"-n", cpus});
		// sha256sum swallows "ready" as well: the writer stands still once its pipe is full.
		REQUIRE(boot->expect("read"));
		pause_ms(500);
		REQUIRE(suspend(*boot) == "");
		const Outcome info = place.tool({"vmspaces", place.image()});
		CHECK(has(info.out, "seq"));
		const Outcome o = place.thawed();
		INFO(o.err);
		CHECK(o.status == 0);
		const Outcome expected = Process({.words = {"/bin/busybox", "sh", "-c",
		    "{ echo ready; busybox seq 2 200000; } | busybox sha256sum"}}).end();
		CHECK(o.out == expected.out);
	}
}

TEST_CASE("a sleep across the gap: the monotonic clock continues and the date steps", "[suspend]")
{
	using Clock = std::chrono::steady_clock;
	auto ms = [](Clock::duration d) { return std::chrono::duration_cast<std::chrono::milliseconds>(d).count(); };
	Place place;
	const auto t0 = Clock::now();
	Child boot = place.boot({"/gap"}, {"--root", guest_root("gap")});
	REQUIRE(boot->expect("asleep"));
	REQUIRE(suspend(*boot) == "");
	const auto t1 = Clock::now();
	pause_ms(2500);
	const auto t2 = Clock::now();
	const Outcome o = place.thawed();
	const auto t3 = Clock::now();
	INFO(o.out << o.err);
	REQUIRE(o.status == 0);
	long monotonic = 0, real = 0, boottime = 0;
	REQUIRE(sscanf(o.out.c_str(), "monotonic %ld real %ld boottime %ld", &monotonic, &real, &boottime) == 3);
	CHECK(monotonic >= 1500);				// it slept that long, of its own time
	CHECK(monotonic <= ms(t1 - t0) + ms(t3 - t2) + 2);	// the gap is not in it
	CHECK(real >= monotonic + ms(t2 - t1) - 2);		// the date knows of it
	CHECK(real <= ms(t3 - t0) + 2);
}

TEST_CASE("SIGCKPTEXIT suspends whatever is configured", "[suspend]")
{
	Place place;
	Child boot = place.sh("echo ready; thawed; echo end", {"--on-ckpt", "continue", "--chain", "off"});
	REQUIRE(boot->expect("ready"));
	boot->signal(VKCKPT_SIGCKPTEXIT);
	CHECK(boot->end().status == VKCKPT_EXIT_SUSPENDED);
	CHECK(place.thawed().out == "end\n");
}

TEST_CASE("with --on-ckpt continue --chain off SIGCKPT writes an image and the vkernel goes on and both futures happen", "[suspend]")
{
	Place place;
	Child boot = place.sh("echo ready; i=0; while [ ! -e /tmp/stop ] && [ $i -lt 50 ]; do i=$((i+1)); sleep 0.1; done; echo counted $i",
	    {"--on-ckpt", "continue", "--chain", "off"});
	REQUIRE(boot->expect("ready"));
	for (uint64_t i = 1; i <= 5; i++) {
		boot->signal(VKCKPT_SIGCKPT);
		REQUIRE(await([&] { return place.entry(boot->pid()).done_count == i; }));
		CHECK(place.entry(boot->pid()).result_reason == VKCKPT_R_NONE);
		CHECK(place.tool({"verify", place.image()}).status == 0);
	}
	CHECK(place.tool({"checkpoint", "vk"}).status == 0);
	Child copy = place.thaw();
	const Outcome original = boot->end(), thawed = copy->end();
	INFO(original.err << thawed.err);
	CHECK(original.status == 0);
	CHECK(original.out == "ready\ncounted 50\n");
	CHECK(thawed.status == 0);
	CHECK(thawed.out == "counted 50\n");
}

TEST_CASE("an image of a thawed vkernel goes where the option says", "[suspend]")
{
	Place place;
	Child boot = place.sh("echo ready; thawed; echo again; thawed; echo end");
	REQUIRE(boot->expect("ready"));
	REQUIRE(suspend(*boot) == "");
	const std::string first = contents(place.image());
	Child second = place.thaw({"--image", place / "second.ckpt"});
	REQUIRE(second->expect("again"));
	REQUIRE(suspend(*second) == "");
	CHECK(contents(place.image()) == first);
	CHECK(place.thawed({}, place / "second.ckpt").out == "end\n");
	// Without the option it is written over the image it came from.
	Child third = place.thaw();
	REQUIRE(third->expect("again"));
	REQUIRE(suspend(*third) == "");
	CHECK(contents(place.image()) != first);
	CHECK(place.thawed().out == "end\n");
}
