// The limits of a process (setrlimit(2)) under which a vkernel is suspended and thawed.
#include <catch2/catch.hpp>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <sys/resource.h>

#include <vkckpt/vkckpt.h>

#include "test/e2e/place.h"

using namespace vktest;
namespace fs = std::filesystem;

namespace {

// Of a running process; as much as may be, if that is less. What it was.
rlim_t set_limit(pid_t pid, __rlimit_resource resource, rlim_t most)
{
	rlimit limit = {};
	REQUIRE(prlimit(pid, resource, nullptr, &limit) == 0);
	const rlim_t before = limit.rlim_cur;
	limit.rlim_cur = std::min(most, limit.rlim_max);
	REQUIRE(prlimit(pid, resource, &limit, nullptr) == 0);
	return before;
}

// A suspend that is asked for is refused with all these words, leaves nothing behind, and the guest goes on.
void suspend_is_refused(const Place &place, Process &child, const std::vector<std::string> &words)
{
	const Outcome told = place.tool({"suspend", "vk"});
	INFO(told.err);
	CHECK(told.status == 1);
	for (const std::string &word : words)
		CHECK(has(told.err, word));
	CHECK(!fs::exists(place.image()));
	CHECK(!fs::exists(place.image() + ".part"));
	CHECK(goes_on(child));
}

}  // namespace

TEST_CASE("a host without memory for the thaw says so and the image is kept", "[host]")
{
	Place place;
	Child child = place.sh("echo ready; thawed; echo alive", {"-m", "256m"});
	REQUIRE(child->expect("ready"));
	REQUIRE(suspend(*child) == "");
	Process poor({.words = place.thaw_words(), .before_exec = [] {
		const rlimit limit = {128 << 20, 128 << 20};
		setrlimit(RLIMIT_AS, &limit);
	}});
	const Outcome o = poor.end();
	INFO(o.err);
	CHECK(o.status == 1);
	CHECK((has(o.err, "(NO_MEMORY)") || has(o.err, "(MEMORY_SHORT)")));
	CHECK(place.thawed().out == "alive\n");
}

TEST_CASE("no descriptor is left: a suspend and a thaw say so, and work when there are some", "[host]")
{
	Place place;
	// A guest that needs no new process, for which there would be no descriptor either.
	Child child = place.sh("echo ready; while :; do echo tick; i=0; while [ $i -lt 500 ]; do i=$((i+1)); done; done", {"-r", place.make_disk()});
	REQUIRE(child->expect("tick"));
	const rlim_t before = set_limit(child->pid(), RLIMIT_NOFILE, 0);
	suspend_is_refused(place, *child, {"(NO_DESCRIPTOR)", "EMFILE", "ulimit -n"});
	set_limit(child->pid(), RLIMIT_NOFILE, before);
	REQUIRE(place.tool({"suspend", "vk"}).status == 0);
	(void)child->end();
	unsigned refused = 0;
	for (rlim_t most = 4; most <= 14; most += 2) {
		Process poor({.words = place.thaw_words({"--dry-run"}), .before_exec = [most] {
			const rlimit limit = {most, most};
			setrlimit(RLIMIT_NOFILE, &limit);
		}});
		const Outcome o = poor.end();
		INFO(most << " descriptors: " << o.err);
		CHECK((o.status == 0 || o.status == 1));
		refused += o.status == 1;
		CHECK((o.status == 0 || has(o.err, "minivk: ")));
	}
	CHECK(refused > 0);
	CHECK(place.thaw()->expect("tick"));
}

TEST_CASE("the limit on the size of files: a start, a suspend and a thaw say so, and work when it is raised", "[host]")
{
	Place place;
	const auto small_files = [] {
		const rlimit limit = {1000000, 1000000};
		setrlimit(RLIMIT_FSIZE, &limit);
		std::signal(SIGXFSZ, SIG_DFL);
	};
	Process start({.words = place.boot_words({"/bin/true"}), .before_exec = small_files});
	const Outcome not_started = start.end();
	INFO(not_started.err);
	CHECK(not_started.status == 1);
	CHECK(has(not_started.err, "File too large"));
	Child child = place.sh("head -c 3000000 /dev/urandom >/tmp/r; echo ready; while :; do echo tick; sleep 0.05; done");
	REQUIRE(child->expect("tick"));
	for (const rlim_t most : {1 << 20, 1000000, 200000}) {		// of which one ends within a block
		set_limit(child->pid(), RLIMIT_FSIZE, most);
		INFO(most << " bytes");
		suspend_is_refused(place, *child, {"no space is left (EFBIG)", "(NO_SPACE)"});
	}
	set_limit(child->pid(), RLIMIT_FSIZE, RLIM_INFINITY);
	REQUIRE(place.tool({"suspend", "vk"}).status == 0);
	(void)child->end();
	Process poor({.words = place.thaw_words(), .before_exec = small_files});
	const Outcome refused = poor.end();
	INFO(refused.err);
	CHECK(refused.status == 1);
	CHECK(has(refused.err, "EFBIG"));
	CHECK(place.thaw()->expect("tick"));
}

TEST_CASE("no signal can be queued: vkckpt says so and what works all the same", "[host]")
{
	Place place;
	Child child = place.sh("echo ready; while :; do echo tick; sleep 0.05; done");
	REQUIRE(child->expect("tick"));
	set_limit(child->pid(), RLIMIT_SIGPENDING, 0);
	suspend_is_refused(place, *child, {"(LIMIT); raise that (ulimit -i), or kill -52"});
	CHECK(suspend(*child) == "");
	CHECK(place.thaw()->expect("tick"));
}
