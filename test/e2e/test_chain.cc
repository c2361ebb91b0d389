// Chains of incremental images with a real vkernel: every image of ten thaws to its own moment and runs to the same end; what is killed
// while it writes one; a vkernel that goes on with its chain; pipes.
#include <catch2/catch.hpp>

#include <signal.h>

#include <algorithm>
#include <filesystem>

#include <vkckpt/image.h>

#include "test/e2e/place.h"

using namespace vktest;
namespace fs = std::filesystem;

namespace {

constexpr unsigned kImages = 10;

std::string member(const Place &place, unsigned n)
{
	char name[32];
	snprintf(name, sizeof name, "vk.%04u.ckpt", n);
	return place / name;
}

// Counts to 30 and changes a file of 6 MiB on the way, the same way in every run: not at all, a page of it, or all. At 20 it waits at the gate.
std::string counting(const char *dirty)
{
	return std::string("dd if=/dev/urandom of=/tmp/f bs=64k count=96 2>/dev/null; echo ready; i=0; while [ $i -lt 30 ]; do i=$((i+1)); ") +
	    dirty + "; echo $i; sleep 0.1; [ $i != 20 ] || read x; done; sha256sum </tmp/f; echo end";
}

void chain_of_ten(const char *dirty)
{
	Place place;
	Gate gate;
	Child child = place.sh(counting(dirty), {"--chain", "10"}, &gate);
	REQUIRE(child->expect("ready"));
	for (unsigned n = 1; n <= kImages; n++) {
		REQUIRE(child->expect(std::to_string(n) + "\n"));
		const Outcome told = place.tool({"checkpoint", "vk"});
		INFO(told.err);
		REQUIRE(told.status == 0);
		REQUIRE(fs::exists(member(place, n)));
	}
	gate.open();
	const Outcome whole = child->end();
	INFO(whole.err);
	REQUIRE(whole.status == 0);
	CHECK(!fs::exists(place.image()));
	CHECK(place.tool({"verify", member(place, kImages)}).status == 0);
	std::vector<Child> thawed;
	for (unsigned n = 1; n <= kImages; n++)
		thawed.push_back(place.thaw({}, member(place, n)));
	for (unsigned n = 1; n <= kImages; n++) {
		const Outcome rest = thawed[n - 1]->end();
		INFO("image " << n << ": " << rest.err << rest.out);
		CHECK(rest.status == 0);
		REQUIRE(rest.out.size() > 70);
		// It goes on where the image was taken: what it says is how the undisturbed run ended.
		REQUIRE(whole.out.size() > rest.out.size());
		CHECK(whole.out.compare(whole.out.size() - rest.out.size(), rest.out.size(), rest.out) == 0);
	}
}

}  // namespace

TEST_CASE("each image of a chain of ten thaws to its own moment: nothing dirty, a little, all", "[chain]")
{
	chain_of_ten(":");
	chain_of_ten("seq $i 9999 | dd of=/tmp/f bs=4k count=1 seek=$((i * 37 % 1500)) conv=notrunc 2>/dev/null");
	chain_of_ten("yes $i | head -c 6291456 >/tmp/f");
}

TEST_CASE("little changed is little written, and a suspend is part of the chain that the thaw goes on with", "[chain]")
{
	Place place;
	Child child = place.sh("dd if=/dev/urandom of=/tmp/f bs=64k count=96 2>/dev/null; echo ready; thawed; echo again; thawed; "
	    "sha256sum </tmp/f | wc -c; echo end", {"--chain", "5"});
	REQUIRE(child->expect("ready"));
	REQUIRE(place.tool({"checkpoint", "vk"}).status == 0);
	REQUIRE(suspend(*child) == "");
	CHECK(fs::file_size(member(place, 1)) > 6 << 20);
	CHECK(fs::file_size(member(place, 2)) < 1 << 20);
	Child second = place.thaw({}, member(place, 2));
	REQUIRE(second->expect("again"));
	REQUIRE(suspend(*second) == "");
	CHECK(fs::file_size(member(place, 3)) < 2 << 20);
	CHECK(place.thawed({}, member(place, 3)).out == "68\nend\n");
	// Another host: one stream, or the refusal with the remedy.
	const Outcome flat = place.tool({"flatten", "-o", place / "flat.ckpt", member(place, 3)});
	INFO(flat.err);
	REQUIRE(flat.status == 0);
	for (unsigned n = 1; n <= 3; n++)
		fs::remove(member(place, n));
	CHECK(place.thawed({}, place / "flat.ckpt").out == "68\nend\n");
}

TEST_CASE("a vkernel killed at any moment of a checkpoint leaves a whole chain", "[chain]")
{
	Place place;
	Random random;
	Child child = place.sh("dd if=/dev/urandom of=/tmp/f bs=64k count=96 2>/dev/null; echo ready; thawed; echo alive; while :; do sleep 1; done",
	    {"--chain", "64"});
	REQUIRE(child->expect("ready"));
	REQUIRE(place.tool({"checkpoint", "vk"}).status == 0);
	child->signal(SIGKILL);
	child->end();
	std::string newest = member(place, 1);
	for (unsigned round = 0; round < 8; round++) {
		INFO(random.repeat() << ", round " << round);
		Child next = place.thaw({"--on-ckpt", "continue"}, newest);
		if (round == 0)
			REQUIRE(next->expect("alive"));
		REQUIRE(await([&] { return place.armed(next->pid()); }));
		next->signal(VKCKPT_SIGCKPT);
		random.pause_us(60000);
		next->signal(SIGKILL);
		next->end();
		// Whatever has its final name is whole.
		for (const std::string &image : place.images()) {
			const Outcome verdict = place.tool({"verify", image});
			INFO(verdict.err);
			REQUIRE(verdict.status == 0);
			newest = std::max(newest, image);
		}
	}
}

TEST_CASE("an incremental image from a pipe needs its parent named", "[chain]")
{
	Place place;
	Child child = place.sh("echo ready; thawed; echo end", {"--chain", "5"});
	REQUIRE(child->expect("ready"));
	REQUIRE(place.tool({"checkpoint", "vk"}).status == 0);
	REQUIRE(suspend(*child) == "");
	const std::string piped = "cat " + member(place, 2) + " | VKCKPT_RUNDIR=" + place.run_dir() + " " + minivk_path();
	CHECK(std::system((piped + " --thaw - --console null 2>" + (place / "err")).c_str()) != 0);
	CHECK(has(contents(place / "err"), "vkckpt flatten"));
	CHECK(has(contents(place / "err"), "(PARENT_NEEDED)"));
	CHECK(std::system((piped + " --thaw - --parent " + member(place, 1) + " --image " + (place / "later.ckpt") + " --console log:" +
	    (place / "out")).c_str()) == 0);
	CHECK(contents(place / "out") == "end\n");
}
