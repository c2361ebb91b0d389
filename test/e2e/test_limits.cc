// The limits of a process (setrlimit(2)) under which a vkernel is suspended and thawed.
#include <catch2/catch.hpp>

#include <csignal>
#include <filesystem>
#include <sys/resource.h>

#include <vkckpt/vkckpt.h>

#include "test/e2e/place.h"

using namespace vktest;
namespace fs = std::filesystem;

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
	rlimit before = {}, none = {};
	REQUIRE(prlimit(child->pid(), RLIMIT_NOFILE, nullptr, &before) == 0);
	none = {0, before.rlim_max};
	REQUIRE(prlimit(child->pid(), RLIMIT_NOFILE, &none, nullptr) == 0);
	const Outcome told = place.tool({"suspend", "vk"});
	INFO(told.err);
	CHECK(told.status == 1);
	CHECK(has(told.err, "(NO_DESCRIPTOR)"));
	CHECK(has(told.err, "EMFILE"));
	CHECK(has(told.err, "ulimit -n"));
	CHECK(!fs::exists(place.image()));
	CHECK(!fs::exists(place.image() + ".part"));
	CHECK(goes_on(*child));
	REQUIRE(prlimit(child->pid(), RLIMIT_NOFILE, &before, nullptr) == 0);
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
		const rlimit limit = {most, RLIM_INFINITY};
		REQUIRE(prlimit(child->pid(), RLIMIT_FSIZE, &limit, nullptr) == 0);
		const Outcome told = place.tool({"suspend", "vk"});
		INFO(most << " bytes: " << told.err);
		CHECK(told.status == 1);
		CHECK(has(told.err, "no space is left (EFBIG)"));
		CHECK(has(told.err, "(NO_SPACE)"));
		CHECK(!fs::exists(place.image()));
		CHECK(!fs::exists(place.image() + ".part"));
		CHECK(goes_on(*child));
	}
	const rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
	REQUIRE(prlimit(child->pid(), RLIMIT_FSIZE, &none, nullptr) == 0);
	REQUIRE(place.tool({"suspend", "vk"}).status == 0);
	(void)child->end();
	Process poor({.words = place.thaw_words(), .before_exec = small_files});
	const Outcome refused = poor.end();
	INFO(refused.err);
	CHECK(refused.status == 1);
	CHECK(has(refused.err, "EFBIG"));
	CHECK(place.thaw()->expect("tick"));
}
