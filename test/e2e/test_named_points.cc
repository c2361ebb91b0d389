// Never two, never none, with the real programs: at every named fault point of suspend, checkpoint, thaw, boot, orderly end, clone, discard and
// flatten the process is killed, or stopped while others try to go on. Afterwards one side runs, one only, with the disk that belongs to
// its RAM, and every image that has its name is whole. The same on a simulated host with every interleaving: test/fault/explorer.cc.
#include <catch2/catch.hpp>

#include <csignal>
#include <cstdio>
#include <filesystem>

#include <vkckpt/disk.h>

#include "test/e2e/crash_operation.h"

using namespace vktest;
namespace fs = std::filesystem;

namespace {

void be_gone(CrashStage &s, Child &vk)		// by an orderly end, so that a boot is right
{
	vk->signal(SIGTERM);
	(void)vk->end();
	vk = nullptr;
	fs::remove(s.image);
}

// A checkpoint that goes on leaves an image with a disk of its own, and a vkernel that died: both are good, each for itself.
Child settle_checkpoint(CrashStage &s, bool)
{
	if (fs::exists(s.image)) {
		Child from_image = s.thaw();
		if (!s.goes_on(*from_image))
			FAIL("the image of a checkpoint does not thaw: " << from_image->err());
		fs::remove(s.image);
	}
	Child vk = s.boot();
	if (!vk->expect("booted 1") || !s.goes_on(*vk))
		FAIL("no boot: " << vk->err());
	return vk;
}

// What a clone that died left behind is in the way of the next of its name, and of nothing else.
Child settle_clone(CrashStage &s, bool boot_first)
{
	const Outcome second = s.thaw({"--dry-run"})->end();
	INFO(second.err);
	CHECK(second.status == 0);
	for (const char *end : {".clone", ".clone.vkckpt", ".clone.part", ".clone.vkckpt.new"})
		fs::remove(s.disk + end);
	return settle(s, boot_first);
}

// What `info' says of the disk is what a thaw would do.
void info_agrees(CrashStage &s)
{
	const std::string info = s.command({"info", "--json", s.image})->end().out;
	REQUIRE(has(info, "\"disk_state\""));
	const Outcome thaw = s.thaw({"--dry-run"})->end();
	INFO(info.substr(info.find("\"disk_state\"")) << thaw.err);
	CHECK(has(info, "it can be thawed") == (thaw.status == 0));
}

const std::vector<Operation> kOperations = {
	{ "suspend", [](CrashStage &, Child &) {}, [](CrashStage &, Child &vk) {
		vk->signal(VKCKPT_SIGCKPT);
		return std::move(vk);
	}, false },
	{ "thaw", be_suspended, [](CrashStage &s, Child &) { return s.thaw(); }, true },
	{ "lazy thaw", be_suspended, [](CrashStage &s, Child &) { return s.thaw({"--lazy"}); }, true },
	{ "boot", be_gone, [](CrashStage &s, Child &) { return s.boot(); }, true },
	{ "orderly end", [](CrashStage &s, Child &) { fs::remove(s.image); }, [](CrashStage &, Child &vk) {
		vk->signal(SIGTERM);
		return std::move(vk);
	}, false },
	{ "discard", be_suspended, [](CrashStage &s, Child &) { return s.command({"discard", s.image}); }, false },
	{ "checkpoint", [](CrashStage &, Child &) {}, [](CrashStage &s, Child &vk) {
		s.asking = std::make_unique<Process>(Process::Setup{.words = {tool_path(), "checkpoint", "--copy-disks", "vk"}});
		return std::move(vk);
	}, true, settle_checkpoint },
	{ "clone", be_suspended, [](CrashStage &s, Child &) { return s.thaw({"--clone=clone"}); }, true, settle_clone },
	{ "flatten", be_suspended, [](CrashStage &s, Child &) { return s.command({"flatten", "-q", "-o", s.image, s.image}); }, false },
};

bool hands_over(const std::string &point)
{
	return point.starts_with("sidecar.") || point.starts_with("disk.") || point == "folder.sync" || point == "image.exchange" ||
	    point == "image.rename" || point == "image.open" || point == "image.part.sync";
}

}  // namespace

TEST_CASE("only the programs of build/faulty can be told to die", "[crash]")
{
	const fs::path build = fs::path(minivk_path()).parent_path().parent_path();
	for (const char *name : {"minivk", "vkckpt"}) {
		CHECK(has(contents(build / "faulty/bin" / name), "VKCKPT_TEST_PLAN"));
		CHECK(!has(contents(build / "bin" / name), "VKCKPT_TEST_PLAN"));
	}
}

TEST_CASE("killed at every named point: one side goes on, with its disk, and no image is half", "[crash]")
{
	CrashStage s;
	Child vk = s.boot();
	REQUIRE(s.goes_on(*vk));
	unsigned killed = 0, turn = 0;
	for (const Operation &op : kOperations) {
		const Points points = points_of(s, op, vk);
		REQUIRE(points.size() > 3);
		for (const auto &[point, count] : points)
			for (unsigned time = 1; time <= count && time <= (is_only_memory(point) ? 1 : most_times()); time++) {
				INFO(op.name << " killed at " << point << ", time " << time);
				killed += killed_at(s, op, vk, point, time);
				if (fs::exists(s.image)) {
					const Outcome whole = s.command({"verify", "-q", s.image})->end();
					INFO(whole.err);
					CHECK(whole.status == 0);
					info_agrees(s);
				}
				vk = op.settled(s, turn++ % 2);
			}
	}
	printf("figure: crash-killed %u\n", killed);
	CHECK(killed > 130);
}

TEST_CASE("an image whose vkernel died before it could say so on its disk can be thawed, info says so, and discard ends that", "[crash]")
{
	CrashStage s;
	Child vk = s.boot();
	REQUIRE(s.goes_on(*vk));
	s.arm("sidecar.exchange", 1, crash::kKill);
	vk->signal(VKCKPT_SIGCKPT);
	REQUIRE(vk->end().status == 128 + SIGKILL);
	s.look();
	REQUIRE(fs::exists(s.image));
	info_agrees(s);
	CHECK(has(s.command({"info", s.image})->end().out, "nobody has run on it since: it can be thawed"));
	const Outcome discarded = s.command({"discard", s.image})->end();
	INFO(discarded.out << discarded.err);
	CHECK(discarded.status == 0);
	CHECK(has(discarded.out, "forgotten that this image suspended it"));
	info_agrees(s);
	const Outcome thaw = s.thaw()->end();
	CHECK(thaw.status == 1);
	CHECK(has(thaw.err, "(DISK_SUPERSEDED)"));
	vk = s.boot();
	CHECK(s.goes_on(*vk));
}

TEST_CASE("an image that takes the name while the older one is discarded is not removed", "[crash]")
{
	CrashStage s;
	Child vk = s.boot();
	REQUIRE(s.goes_on(*vk));
	be_suspended(s, vk);
	s.arm("sidecar.lock", 1, crash::kStop);
	Child discard = s.command({"discard", "--remove", s.image});
	REQUIRE(await([&] { return s.reached(); }));
	s.look();
	write_file(s.image + ".other", "a newer image");
	fs::rename(s.image + ".other", s.image);
	discard->signal(SIGCONT);
	const Outcome o = discard->end();
	INFO(o.out << o.err);
	CHECK(o.status == 1);
	CHECK(has(o.err, "it is another file by now (IMAGE_IN_USE)"));
	CHECK(contents(s.image) == "a newer image");
}

TEST_CASE("stopped at a point where a disk changes hands, while others try: at most one runs", "[crash]")
{
	CrashStage s;
	Child vk = s.boot();
	REQUIRE(s.goes_on(*vk));
	unsigned stopped = 0;
	for (const Operation &op : kOperations) {
		const std::string name = op.name;
		if (name == "checkpoint" || name == "clone" || name == "flatten" || name == "lazy thaw")	// no disk changes hands; as a thaw
			continue;
		for (const auto &[point, count] : points_of(s, op, vk))
			if (hands_over(point)) {
				INFO(op.name << " stopped at " << point);
				stopped_at(s, op, vk, point);
				stopped++;
			}
	}
	printf("figure: crash-stopped %u\n", stopped);
	CHECK(stopped > 30);
}

TEST_CASE("memory that the host refuses at any moment of a thaw is a refusal, never a death", "[crash]")
{
	CrashStage s;
	Child vk = s.boot();
	REQUIRE(s.goes_on(*vk));
	REQUIRE(s.suspended(*vk));
	s.look();
	vk = s.thaw();
	REQUIRE(s.goes_on(*vk));
	const Points points = s.passed();
	REQUIRE(s.suspended(*vk));
	unsigned refused = 0;
	for (const auto &[point, count] : points)
		for (unsigned time = 1; (point == "memory.make" || point == "memory.size" || point == "memory.map" || point == "memory.advise") &&
		     time <= count; time++) {
			// What a page that cannot be had gives where RAM is made (else SIGBUS), and elsewhere.
			s.arm(point, time, crash::kError, point == "memory.advise" ? EFAULT : ENOMEM);
			Child child = s.thaw();
			const bool runs = s.goes_on(*child);
			INFO(point << " " << time << ": " << child->err());
			if (runs) {		// it was a hint that the host may refuse
				s.look();
				REQUIRE(s.suspended(*child));
				continue;
			}
			CHECK(child->end().status == 1);
			CHECK(has(child->err(), "(NO_MEMORY)"));
			refused++;
		}
	printf("figure: crash-thaw-memory-refused %u\n", refused);
	CHECK(refused > 3);
	s.look();
	CHECK(s.goes_on(*(vk = s.thaw())));
}
