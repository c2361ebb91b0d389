// Guests that misbehave: they fault, flood the console, take all memory or all processes. minivk answers as an operating system
// does, and suspends and thaws in that very state.
#include <catch2/catch.hpp>

#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <map>
#include <unistd.h>

#include "test/e2e/place.h"

using namespace vktest;

namespace {

size_t count(const std::string &text, const std::string &part)
{
	size_t n = 0;
	for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size())
		n++;
	return n;
}

}  // namespace

TEST_CASE("a guest that faults or exits gives its status", "[state]")
{
	const std::map<std::string, int> status = {{"segv", 128 + SIGSEGV}, {"null", 128 + SIGSEGV}, {"ill", 128 + SIGILL},
	    {"div", 128 + SIGFPE}, {"stack", 128 + SIGSEGV}, {"abort", 128 + SIGABRT}, {"exit", 7}};
	Place place;
	std::string script, expected;
	for (const auto &[how, number] : status) {
		INFO(how);
		const Outcome o = place.boot({"/crash", how}, {"--root", guest_root("crash")})->end();
		CHECK(o.status == number);
		CHECK(o.out == how + "\n");
		script += "/crash " + how + " 2>/dev/null; echo $?; ";
		expected += how + "\n" + std::to_string(number) + "\n";
	}
	// A child's fault is its parent's to see.
	const Outcome o = place.boot({"/bin/sh", "-c", script + "exit 0"}, {"--root", guest_root("crash")})->end();
	INFO(o.out << o.err);
	CHECK(o.status == 0);
	std::string lines;
	for (size_t at = 0, end; (end = o.out.find('\n', at)) != std::string::npos; at = end + 1)
		if (const std::string line = o.out.substr(at, end - at); status.count(line) || line.find_first_not_of("0123456789") == std::string::npos)
			lines += line + "\n";
	CHECK(lines == expected);
}

TEST_CASE("a guest that faults for ever is suspended and thawed", "[state]")
{
	Place place;
	Child child = place.sh("/crash again & echo ready; while thawed; do echo alive; done",
	    {"--root", full_root({"crash"}), "-n", "2"});
	REQUIRE(child->expect("ready"));
	for (int i = 0; i < 5; i++) {
		pause_ms(20);
		REQUIRE(suspend(*child) == "");
		child = place.thaw();
		REQUIRE(child->expect("alive"));
	}
}

TEST_CASE("a guest that floods the console is suspended and thawed and nothing is lost or said twice", "[state]")
{
	for (unsigned cpus : {1u, 2u}) {
		Random random;
		Place place;
		const Case flood = {{"/bin/sh", "-c", "echo $NONCE; seq 1 120000; echo $NONCE"}, "", cpus, {}};
		const Run run = suspended_at_random(place, flood, 6, 100, random);
		INFO(random.repeat() << ", " << run.legs - 1 << " suspends");
		REQUIRE(run.trouble == "");
		CHECK(run.legs > 1);
		std::string expected = "NONCE\n";
		for (int i = 1; i <= 120000; i++)
			expected += std::to_string(i) + "\n";
		CHECK((run.out == expected + "NONCE\n"));
	}
}

TEST_CASE("a console that nobody reads does not hold up a suspend", "[state]")
{
	Place place;
	Child child = place.sh("yes");
	REQUIRE(child->expect("y\ny\n"));
	pause_ms(300);		// the pipe is full now
	child->signal(VKCKPT_SIGCKPT);
	REQUIRE(await([&] { return !child->running(); }));
	CHECK(child->end().status == VKCKPT_EXIT_SUSPENDED);
	child = place.thaw();
	REQUIRE(await([&] { return place.armed(child->pid()); }));
	pause_ms(300);
	child->signal(VKCKPT_SIGCKPT);
	REQUIRE(await([&] { return !child->running(); }));
	CHECK(child->end().status == VKCKPT_EXIT_SUSPENDED);
	child = place.thaw({"--console", "null"});
	REQUIRE(await([&] { return place.armed(child->pid()); }));
	CHECK(suspend(*child) == "");
	child = place.thaw({"--console", "stdio"});
	CHECK(child->expect("y\ny\n"));
}

TEST_CASE("a guest without memory goes on when there is some again and over a suspend", "[state]")
{
	Place place;
	Child child = place.sh("cat /dev/zero >/tmp/full 2>/dev/null || echo full; echo ready; thawed; rm /tmp/full; "
	    "seq 1 1000 >/tmp/f; wc -l </tmp/f; echo end", {"-m", "48m"});
	REQUIRE(child->expect("full\nready\n"));
	const std::string trouble = suspend(*child);
	REQUIRE(trouble == "");
	Child after = place.thaw();
	const Outcome o = after->end();
	INFO(o.err);
	CHECK(o.status == 0);
	CHECK(o.out == "1000\nend\n");
}

TEST_CASE("a process that takes all memory dies and the others live and are suspended", "[state]")
{
	Place place;
	Child child = place.sh("x=kept; for i in 1 2 3; do /scatter 200 >/dev/null; echo status $?; done; echo ready; thawed; echo $x; "
	    "(/scatter 200; echo $?) >/dev/null 2>&1; echo end", {"--root", full_root({"scatter"})});
	REQUIRE(child->expect("ready\n"));
	CHECK(count(child->out(), "status ") == 3);
	CHECK(count(child->out(), "status 0") == 0);
	REQUIRE(suspend(*child) == "");
	const Outcome o = place.thawed();
	INFO(o.err);
	CHECK(o.status == 0);
	CHECK(o.out == "kept\nend\n");
}

TEST_CASE("a suspend while a guest is running out of memory", "[state]")
{
	Random random;
	Place place;
	Child child = place.sh("echo ready; while :; do /scatter 200 >/dev/null; echo again; done", {"--root", full_root({"scatter"}), "-n", "2"});
	REQUIRE(child->expect("ready"));
	for (int i = 0; i < 10; i++) {
		INFO(random.repeat() << ", round " << i);
		REQUIRE(await([&] { return place.armed(child->pid()); }));
		child->read_for(int(random.below(150)));
		REQUIRE(suspend(*child) == "");
		child = place.thaw();
	}
	CHECK(child->expect("again"));
	CHECK(child->expect("again"));
}

TEST_CASE("a fork bomb ends at a limit and is suspended and thawed", "[state]")
{
	Place place;
	// From then on the first shell uses nothing but itself: a fork of its own could fail like those of the others.
	Child child = place.sh("trap '' TERM; b() { (b) & b & wait; }; (b) 2>/dev/null & i=0; while [ $i -lt 5000 ]; do i=$((i+1)); done; "
	    "echo ready; while :; do while read a b c now </dev/vkckpt; [ $now = $thaws ]; do :; done; thaws=$now; echo alive; done",
	    {"-n", "2", "-m", "24m"});
	REQUIRE(child->expect("ready"));
	for (int i = 0; i < 2; i++) {
		pause_ms(100);
		REQUIRE(suspend(*child) == "");
		child = place.thaw();
		REQUIRE(child->expect("alive"));
	}
}

TEST_CASE("hundreds of sleeping processes are suspended and thawed and still hear a signal", "[state]")
{
	Place place;
	Child child = place.sh("i=0; while [ $i -lt 300 ]; do sleep 1000 & i=$((i+1)); done; "
	    "until [ $(pidof sleep | wc -w) = 300 ]; do sleep 0.1; done; echo ready; thawed; pidof sleep | wc -w; "
	    "kill $(pidof sleep); wait; echo end", {"-m", "256m"});
	REQUIRE(child->expect("ready"));
	REQUIRE(suspend(*child) == "");
	CHECK(count(place.tool({"vmspaces", "--json", place.image()}).out, "\"sleep\"") == 300);
	const Outcome o = place.thawed();
	INFO(o.err);
	CHECK(o.out == "300\nend\n");
}
