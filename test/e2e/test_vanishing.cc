// What a vkernel stands on goes away while it runs: its run directory, its disk's file, the clock of the host it was on.
#include <catch2/catch.hpp>

#include <cstdlib>
#include <filesystem>
#include <unistd.h>

#include "test/e2e/place.h"
#include "test/skip.h"

using namespace vktest;
namespace fs = std::filesystem;

TEST_CASE("the run directory vanishes: a signal suspends all the same", "[host]")
{
	Place place;
	Child child = place.sh("echo ready; while :; do echo tick; sleep 0.05; done");
	REQUIRE(child->expect("ready"));
	fs::remove_all(place.run_dir());
	const Outcome told = place.tool({"suspend", "vk"});
	CHECK(told.status == 1);
	CHECK(has(told.err, "(NOT_FOUND)"));
	CHECK(child->expect("tick\ntick\n"));
	REQUIRE(suspend(*child) == "");
	CHECK(place.thaw()->expect("tick"));
}

TEST_CASE("the disk's file is removed under the vkernel: it runs on, and its image waits for the disk", "[host][disk]")
{
	Place place;
	const std::string disk = place.make_disk(), kept = place / "kept.img";
	Child child = place.sh("echo ready; while :; do echo tick; sleep 0.05; done", {"-r", disk});
	REQUIRE(child->expect("ready"));
	fs::create_hard_link(disk, kept);	// or the file would be gone for good
	fs::remove(disk);
	CHECK(child->expect("tick\ntick\n"));
	REQUIRE(suspend(*child) == "");
	const Outcome refused = place.thawed();
	INFO(refused.err);
	CHECK(refused.status == 1);
	CHECK(has(refused.err, "(DISK_MISSING)"));
	CHECK(place.tool({"verify", "-q", place.image()}).status == 0);
	fs::rename(kept, disk);		// a new name changes ctime, so this is another disk as far as anybody can tell
	const Outcome changed = place.thawed();
	CHECK(changed.status == 1);
	CHECK(has(changed.err, "(DISK_CHANGED)"));
	CHECK(place.tool({"discard", disk}).status == 0);
	CHECK(place.sh("echo booted", {"-r", disk})->end().out == "booted\n");
}

TEST_CASE("thawed on a host whose monotonic clock is lower: the guest's does not go back", "[host]")
{
	const std::vector<std::string> younger = {"/usr/bin/unshare", "--user", "--map-root-user", "--time", "--monotonic=-500", "--"};
	if (std::system("/usr/bin/unshare --user --map-root-user --time --monotonic=-500 -- true >/dev/null 2>&1") != 0)
		TEST_SKIP("no time name space can be made here, or this host has run for less than 500 seconds");
	Place place;
	Child child = place.sh("read t rest </proc/uptime; echo ready; thawed; read u rest </proc/uptime; "
	    "[ ${u%.*} -ge ${t%.*} ] && echo on; [ $((${u%.*} - ${t%.*})) -lt 400 ] && echo near");
	REQUIRE(child->expect("ready"));
	REQUIRE(suspend(*child) == "");
	std::vector<std::string> words = younger;
	for (const std::string &word : place.thaw_words())
		words.push_back(word);
	Process thawed({.words = words});
	const Outcome o = thawed.end();
	INFO(o.err);
	CHECK(o.status == 0);
	CHECK(o.out == "on\nnear\n");
}
