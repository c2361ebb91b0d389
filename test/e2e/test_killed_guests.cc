// Somebody kills the host's processes in which guests run, or the command that asked for a suspend, at any moment of a suspend or a thaw: a guest
// is dead as by a kill of its own, the vkernel is suspended whole or runs on, nothing hangs and nothing is left.
#include <catch2/catch.hpp>

#include <algorithm>
#include <csignal>
#include <filesystem>

#include "test/e2e/place.h"

using namespace vktest;

namespace {

// One process of the guest that makes others, which count for a while, and tells how they ended.
const char kFamily[] =
    "echo ready; while :; do (i=0; while [ $i -lt 1500 ]; do i=$((i+1)); done) & wait $!; echo tick $?; done";

constexpr int kKilled = 128 + SIGKILL;

// One of the processes of guests, or the spare one; 0: there is none yet.
pid_t any_guest(pid_t vkernel, Random &random)
{
	const std::vector<pid_t> guests = guest_processes(vkernel);
	return guests.empty() ? 0 : guests[random.below(guests.size())];
}

bool ticks_on(Process &child)
{
	const size_t seen = child.out().size();
	return await([&] { child.read_for(10); return child.out().find("tick", seen) != std::string::npos || !child.running(); }) &&
	    child.running();
}

// The first process of the guest was the one that was killed: so the vkernel has ended. before: what was said when it was suspended, for it may
// have died just then and be suspended dead.
void check_end(Process &child, const std::string &before = "")
{
	const Outcome o = child.end();
	INFO("status " << o.status << ": " << o.err);
	CHECK(o.status == kKilled);
	CHECK(has(before + o.err, "was killed: its address space was lost at the host"));
}

void check_nothing_left(const Place &place, const Process &child)
{
	CHECK(await([&] { return survivors(child.pid()).empty(); }));
	CHECK(!std::filesystem::exists(place.image() + ".part"));
}

}  // namespace

TEST_CASE("a guest whose process is killed at the host is dead as by a kill, and its parent is told", "[host]")
{
	Place place;
	Random random;
	INFO(random.repeat());
	Child child = place.sh(kFamily, {"-m", "16m"});
	REQUIRE(child->expect("tick 0"));
	const std::vector<pid_t> all = guest_processes(child->pid());
	const pid_t first = *std::min_element(all.begin(), all.end());
	CHECK(await([&] {
		child->read_for(1);
		if (const pid_t pid = any_guest(child->pid(), random); pid > first)
			kill(pid, SIGKILL);
		return has(child->out(), "tick 137");
	}));
	CHECK(ticks_on(*child));
	kill(first, SIGKILL);
	check_end(*child);
	check_nothing_left(place, *child);
}

TEST_CASE("a guest's process is killed at any moment of a suspend: the vkernel is suspended whole or has ended before", "[host]")
{
	Place place;
	Random random;
	const std::string disk = place.make_disk();
	unsigned suspended = 0;
	Child child = place.sh(kFamily, {"-m", "16m", "-r", disk});
	for (int round = 0; round < 14; round++) {
		INFO(random.repeat() << ", round " << round);
		REQUIRE(child->expect("tick"));
		const pid_t pid = any_guest(child->pid(), random);
		child->signal(VKCKPT_SIGCKPT);
		random.pause_us(round % 2 ? 30000 : 3000);
		if (pid != 0)
			kill(pid, SIGKILL);
		const Outcome o = child->end();
		INFO("status " << o.status << ": " << o.err);
		check_nothing_left(place, *child);
		if (o.status == VKCKPT_EXIT_SUSPENDED) {
			suspended++;
			CHECK(place.tool({"verify", "-q", place.image()}).status == 0);
			child = place.thaw();
			if (ticks_on(*child))
				continue;
			check_end(*child, o.err);
		} else {
			CHECK(o.status == kKilled);
			CHECK(has(o.err, "was killed: its address space was lost at the host"));
		}
		child = place.sh(kFamily, {"-m", "16m", "-r", disk});
	}
	CHECK(suspended > 0);
}

TEST_CASE("a guest's process is killed at any moment of a thaw: the others run on, and the image is kept", "[host][lazy]")
{
	Place place;
	Random random;
	Child boot = place.sh(kFamily, {"-m", "16m"});
	REQUIRE(boot->expect("tick"));
	REQUIRE(suspend(*boot) == "");
	const std::string image = contents(place.image());
	unsigned killed = 0;
	for (int round = 0; round < 14; round++) {
		INFO(random.repeat() << ", round " << round);
		Child child = place.thaw(round % 2 ? std::vector<std::string>{"--lazy"} : std::vector<std::string>{});
		pid_t pid = 0;
		REQUIRE(await([&] { child->read_for(0); return (pid = any_guest(child->pid(), random)) != 0 || !child->running(); }));
		random.pause_us(round % 3 ? 1000 : 20000);
		if (pid != 0)
			killed += kill(pid, SIGKILL) == 0;
		if (ticks_on(*child))
			child->signal(SIGTERM);
		const Outcome o = child->end();
		INFO("status " << o.status << ": " << o.err);
		// If it was the first process's, that shows when it runs the next time.
		CHECK((o.status == 128 + SIGTERM || (o.status == kKilled && has(o.err, "was killed: its address space was lost at the host"))));
		check_nothing_left(place, *child);
		CHECK(contents(place.image()) == image);
	}
	CHECK(killed > 0);
	CHECK(ticks_on(*place.thaw()));
}

TEST_CASE("vkckpt suspend is killed at any moment: the vkernel is suspended or runs on, and can be asked again", "[host]")
{
	Place place;
	Random random;
	Child child = place.sh(kFamily, {"-m", "16m", "-r", place.make_disk()});
	for (int round = 0; round < 12; round++) {
		INFO(random.repeat() << ", round " << round);
		REQUIRE(child->expect("tick"));
		Process tool({.words = {tool_path(), "suspend", "vk"}});
		random.pause_us(round % 2 ? 60000 : 8000);
		tool.signal(SIGKILL);
		const int status = tool.end().status;
		CHECK((status == kKilled || status == 0));
		child->read_for(50);
		std::string said;
		REQUIRE(await([&] {	// refused as long as the other's request is served
			const Outcome again = child->running() ? place.tool({"suspend", "vk"}) : Outcome{};
			said = again.err;
			return !child->running() || again.status == 0;
		}));
		const Outcome o = child->end();
		INFO(said << o.err);
		REQUIRE(o.status == VKCKPT_EXIT_SUSPENDED);
		check_nothing_left(place, *child);
		CHECK(place.tool({"verify", "-q", place.image()}).status == 0);
		child = place.thaw();
	}
	CHECK(ticks_on(*child));
}
