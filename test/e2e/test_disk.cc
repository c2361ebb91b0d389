// The disk under suspends: what was written is there, the sidecar says who may go on, and nobody else may.
#include <catch2/catch.hpp>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <unistd.h>

#include <vkckpt/disk.h>

#include "test/e2e/place.h"

using namespace vktest;
namespace fs = std::filesystem;

namespace {

vkckpt_f_sidecar sidecar_of(const std::string &disk)
{
	vkckpt_f_sidecar sidecar = {};
	REQUIRE(vkckpt_disk_inspect(disk.c_str(), &sidecar, nullptr) == 0);
	return sidecar;
}

const char kAlive[] = "echo ready; thawed; echo alive; dd if=/dev/vkd0 bs=512 count=1 2>/dev/null | head -c 5; echo";

// A vkernel with a disk whose first bytes are "bytes", suspended.
struct Suspended {
	Place place;
	std::string folder = place / "disks", disk = folder + "/disk.img";
	explicit Suspended(const std::vector<std::string> &more = {})
	{
		std::vector<std::string> options = {"-r", disk};
		options.insert(options.end(), more.begin(), more.end());

		fs::create_directory(folder);
		place.make_disk(1 << 20, "disks/disk.img");
		Child child = place.sh(std::string("printf bytes | dd of=/dev/vkd0 conv=notrunc 2>/dev/null; sync; ") + kAlive, options);
		REQUIRE(child->expect("ready"));
		REQUIRE(suspend(*child) == "");
	}
	void refused(const std::string &reason, const std::vector<std::string> &options = {}, const std::string &image = "")
	{
		const std::string before = contents(disk), sidecar = contents(disk + VKCKPT_SIDECAR_SUFFIX);
		const Outcome dry = [&] {
			std::vector<std::string> all = options;
			all.push_back("--dry-run");
			return place.thawed(all, image);
		}();
		const Outcome o = place.thawed(options, image);
		INFO(o.err << dry.err);
		CHECK(dry.status == 1);
		CHECK(has(dry.err, "(" + reason + ")"));
		CHECK(o.status == 1);
		CHECK(o.out == "");
		CHECK(has(o.err, "(" + reason + ")"));
		CHECK(has(o.err, ".img"));
		CHECK(contents(disk) == before);
		CHECK(contents(disk + VKCKPT_SIDECAR_SUFFIX) == sidecar);
	}
	void thaws(const std::vector<std::string> &options = {})
	{
		const Outcome o = place.thawed(options);
		INFO(o.err);
		CHECK(o.status == 0);
		CHECK(o.out == "alive\nbytes\n");
	}
	void boot_refused(const std::string &reason)
	{
		const Outcome o = place.sh("echo booted", {"-r", disk})->end();
		INFO(o.err);
		CHECK(o.status == 1);
		CHECK(o.out == "");
		CHECK(has(o.err, "(" + reason + ")"));
	}
};

}  // namespace

TEST_CASE("a disk under write load keeps every block over suspends", "[disk]")
{
	for (unsigned cpus : {1u, 2u}) {
		Random random;
		Place place;
		const std::string quiet = place.make_disk(4 << 20, "quiet.img"), disk = place.make_disk(4 << 20);
		Case c = {{"/bin/sh", "-c", "echo $NONCE; /diskload 4 3000; echo $NONCE"}, guest_root("diskload"), cpus, {"-r", quiet}};
		const Run undisturbed = straight(c);
		REQUIRE(undisturbed.trouble == "");
		c.options = {"-r", disk};
		const Run run = suspended_at_random(place, c, 12, 100, random);
		INFO(random.repeat() << ", " << run.legs - 1 << " suspends");
		REQUIRE(run.trouble == "");
		CHECK(run.legs > 3);
		CHECK(run.out == undisturbed.out);
		CHECK(has(run.out, "writers 4 wrong 0 "));
		CHECK(contents(disk) == contents(quiet));
		CHECK(sidecar_of(disk).state == VKCKPT_DISK_IDLE);
	}
}

TEST_CASE("the sidecar follows its disk: running and suspended and idle", "[disk]")
{
	Place place;
	const std::string disk = place.make_disk();
	CHECK(!fs::exists(disk + VKCKPT_SIDECAR_SUFFIX));
	Child child = place.sh(kAlive, {"-r", disk});
	REQUIRE(child->expect("ready"));
	const vkckpt_f_sidecar running = sidecar_of(disk);
	CHECK(running.state == VKCKPT_DISK_RUNNING);
	CHECK(running.holder_pid == uint64_t(child->pid()));
	REQUIRE(suspend(*child) == "");
	const vkckpt_f_sidecar suspended = sidecar_of(disk);
	CHECK(suspended.state == VKCKPT_DISK_SUSPENDED);
	CHECK(suspended.epoch > running.epoch);
	CHECK(std::string(suspended.image_path) == place.image());
	const std::string image = contents(place.image());
	CHECK(memcmp(suspended.image_id.bytes, reinterpret_cast<const vkckpt_f_header *>(image.data())->image_id.bytes, 16) == 0);
	CHECK(place.thawed({"--dry-run"}).status == 0);
	CHECK(memcmp(&suspended, contents(disk + VKCKPT_SIDECAR_SUFFIX).data(), sizeof suspended) == 0);
	CHECK(place.thawed().status == 0);
	const vkckpt_f_sidecar idle = sidecar_of(disk);
	CHECK(idle.state == VKCKPT_DISK_IDLE);
	CHECK(idle.epoch > suspended.epoch);
	CHECK(memcmp(&idle.disk_id, &running.disk_id, 16) == 0);
	CHECK(contents(place.image()) == image);	// never written after its commit
}

TEST_CASE("a thaw of a disk that is missing is refused until it is back or named", "[disk]")
{
	Suspended s;
	const std::string away = s.place / "elsewhere";
	fs::rename(s.folder, away);
	s.refused("DISK_MISSING");
	SECTION("put back")
	{
		fs::rename(away, s.folder);
		s.thaws();
	}
	SECTION("named by an option")
	{
		CHECK(s.place.thawed({"--dry-run", "-o", "disk0.path=" + away + "/disk.img"}).status == 0);
		s.thaws({"-o", "disk0.path=" + away + "/disk.img"});
		CHECK(s.place.sh("echo booted", {"-r", away + "/disk.img"})->end().out == "booted\n");
	}
	SECTION("its sidecar stays away")
	{
		fs::create_directory(s.folder);
		fs::create_hard_link(away + "/disk.img", s.disk);
		s.refused("DISK_MISSING");
	}
	SECTION("another file is named")
	{
		const std::string other = s.place.make_disk(1 << 20, "other.img");
		s.refused("DISK_MISSING", {"-o", "disk0.path=" + other});
		CHECK(!fs::exists(other + VKCKPT_SIDECAR_SUFFIX));
		fs::copy_file(away + "/disk.img.vkckpt", other + VKCKPT_SIDECAR_SUFFIX);
		s.refused("DISK_CHANGED", {"-o", "disk0.path=" + other});
	}
}

TEST_CASE("a thaw of a disk that was changed is refused", "[disk]")
{
	Suspended s;
	pause_ms(20);
	{
		FILE *f = fopen(s.disk.c_str(), "r+");
		REQUIRE(f);
		fseek(f, 5000, SEEK_SET);
		fputc('x', f);
		fclose(f);
	}
	s.refused("DISK_CHANGED");
	fs::resize_file(s.disk, (1 << 20) + 512);
	s.refused("DISK_CHANGED");
	fs::remove(s.disk);
	s.place.make_disk(1 << 20, "disks/disk.img");
	s.refused("DISK_CHANGED");
	CHECK(s.place.tool({"discard", s.disk}).status == 0);
	CHECK(s.place.sh("echo booted", {"-r", s.disk})->end().out == "booted\n");
}

TEST_CASE("a suspended disk that was moved thaws in its new place with --disk-digest, and is refused with the remedy without", "[disk]")
{
	for (bool digest : {true, false}) {
		Suspended s(digest ? std::vector<std::string>{"--disk-digest"} : std::vector<std::string>{});
		pause_ms(20);
		const std::string moved = s.place / "moved.img";
		for (const char *tail : {"", VKCKPT_SIDECAR_SUFFIX}) {
			fs::copy_file(s.disk + tail, moved + tail);
			fs::remove(s.disk + tail);
		}
		s.disk = moved;
		const std::vector<std::string> options = {"-o", "disk0.path=" + moved};
		if (digest) {
			CHECK(s.place.thawed({"--dry-run", options[0], options[1]}).status == 0);
			s.thaws(options);
		} else {
			s.refused("DISK_CHANGED", options);
			CHECK(has(s.place.thawed(options).err, "--disk-digest"));
		}
	}
}

TEST_CASE("a checkpoint of RAM alone thaws on the disk put back: of its size, and with --disk-digest of its content", "[disk]")
{
	for (bool digest : {true, false}) {
		Place place;
		const std::string disk = place.make_disk(1 << 20), kept = place / "kept.img";
		std::vector<std::string> options = {"-r", disk};
		if (digest)
			options.push_back("--disk-digest");
		Child child = place.sh("echo ready; thawed; echo alive", options);
		REQUIRE(child->expect("ready"));
		const Outcome asked = place.tool({"checkpoint", "--ram-only", "vk"});
		INFO(asked.err);
		REQUIRE(asked.status == 0);
		fs::copy_file(disk, kept);
		child->signal(SIGKILL);
		(void)child->end();
		std::fstream(disk, std::ios::in | std::ios::out) << "written since";
		const Outcome written = place.thawed({"--dry-run"});
		CHECK(written.status == (digest ? 1 : 0));
		CHECK(has(written.err, "(DISK_CHANGED)") == digest);
		fs::resize_file(disk, 1 << 19);
		CHECK(has(place.thawed().err, "(DISK_CHANGED)"));
		fs::copy_file(kept, disk, fs::copy_options::overwrite_existing);
		CHECK(has(place.thawed().out, "alive"));
	}
}

TEST_CASE("a disk in use by another vkernel is refused at boot and at thaw", "[disk]")
{
	Suspended s;
	const std::string kept = s.place / "kept.ckpt";
	fs::copy_file(s.place.image(), kept);
	REQUIRE(s.place.tool({"discard", s.disk}).status == 0);
	Child holder = s.place.sh("echo ready; while :; do sleep 1; done", {"-r", s.disk});
	REQUIRE(holder->expect("ready"));
	s.boot_refused("DISK_IN_USE");
	s.refused("DISK_IN_USE", {}, kept);
	CHECK(s.place.tool({"discard", s.disk}).status == 1);
	CHECK(holder->running());
	CHECK(suspend(*holder) == "");
}

TEST_CASE("a disk suspended by a later image refuses the earlier one", "[disk]")
{
	Suspended s;
	const std::string first = s.place / "first.ckpt";
	fs::copy_file(s.place.image(), first);
	Child again = s.place.thaw({"--image", s.place / "second.ckpt"});
	(void)again->end();
	Child child = s.place.sh(kAlive, {"-r", s.disk, "--image", s.place / "second.ckpt"});
	REQUIRE(child->expect("ready"));
	REQUIRE(suspend(*child) == "");
	for (const std::string &old : {first, s.place.image()}) {
		const Outcome o = s.place.thawed({}, old);
		INFO(o.err);
		CHECK(o.status == 1);
		CHECK((has(o.err, "(DISK_SUPERSEDED)") || has(o.err, "(DISK_SUSPENDED)")));
	}
	CHECK(has(s.place.thawed({}, s.place / "second.ckpt").out, "alive"));
}

TEST_CASE("an image with a disk thaws once", "[disk]")
{
	Suspended s;
	const std::string copy = s.place / "copy.ckpt";
	fs::copy_file(s.place.image(), copy);
	s.thaws();
	s.refused("DISK_SUPERSEDED");
	s.refused("DISK_SUPERSEDED", {}, copy);
	// The disk itself is free.
	CHECK(s.place.sh("echo booted", {"-r", s.disk})->end().out == "booted\n");
}

TEST_CASE("a suspended disk boots only when its suspend is discarded", "[disk]")
{
	Suspended s;
	s.boot_refused("DISK_SUSPENDED");
	CHECK(s.place.sh("echo booted", {"-r", s.disk})->end().err.find("discard") != std::string::npos);
	CHECK(s.place.tool({"discard", s.place.image()}).status == 0);
	CHECK(s.place.sh("echo booted", {"-r", s.disk})->end().out == "booted\n");
	s.refused("DISK_SUPERSEDED");
}

TEST_CASE("a damaged sidecar is refused and repaired by discard", "[disk]")
{
	Suspended s;
	std::string sidecar = contents(s.disk + VKCKPT_SIDECAR_SUFFIX);
	const std::string good = sidecar;
	sidecar[40] = char(sidecar[40] ^ 1);
	write_file(s.disk + VKCKPT_SIDECAR_SUFFIX, sidecar);
	s.refused("SIDECAR_DAMAGED");
	s.boot_refused("SIDECAR_DAMAGED");
	write_file(s.disk + VKCKPT_SIDECAR_SUFFIX, good);
	s.thaws();
	write_file(s.disk + VKCKPT_SIDECAR_SUFFIX, sidecar.substr(0, 1000));
	s.boot_refused("SIDECAR_DAMAGED");
	const Outcome discarded = s.place.tool({"discard", s.disk});
	INFO(discarded.err);
	CHECK(discarded.status == 0);
	CHECK(s.place.sh("echo booted", {"-r", s.disk})->end().out == "booted\n");
}

TEST_CASE("a vkernel that was killed leaves a disk that boots", "[disk]")
{
	Place place;
	const std::string disk = place.make_disk();
	Child child = place.sh(kAlive, {"-r", disk});
	REQUIRE(child->expect("ready"));
	child->signal(SIGKILL);
	(void)child->end();
	CHECK(place.sh("echo booted", {"-r", disk})->end().out == "booted\n");
}

TEST_CASE("a failed suspend leaves the disk running and the earlier image spent", "[disk]")
{
	Suspended s;
	Child child = s.place.thaw({"--image", s.place / "missing/vk.ckpt"});
	REQUIRE(child->expect("alive"));
	(void)child->end();
	Child again = s.place.sh("echo ready; while :; do echo tick; sleep 0.05; done", {"-r", s.disk, "--image", s.place / "missing/vk.ckpt"});
	REQUIRE(again->expect("ready"));
	const vkckpt_f_sidecar before = sidecar_of(s.disk);
	CHECK(has(s.place.tool({"suspend", "vk"}).err, "(NOT_FOUND)"));
	const vkckpt_f_sidecar after = sidecar_of(s.disk);
	CHECK(memcmp(&before, &after, sizeof before) == 0);
	CHECK(again->expect("tick\ntick\n"));
	again->signal(SIGKILL);
	(void)again->end();
	CHECK(!fs::exists(s.disk + ".vkckpt.new"));
}

TEST_CASE("an image never takes the place of its vkernel's disk, nor of what lies beside it", "[disk]")
{
	Place place;
	const std::string disk = place.make_disk();
	write_file(disk, "the disk" + contents(disk).substr(8));
	const std::string before = contents(disk);
	fs::create_symlink(disk, place / "link");
	fs::create_hard_link(disk, place / "other-name");
	fs::create_directory_symlink(place.path(), place / "way");
	auto refused = [&](const std::string &image, const std::string &name, const std::string &used) {
		const Outcome o = place.boot({"/bin/busybox", "true"}, {"-r", used, "--image", image})->end();
		INFO(image << ": " << o.err);
		CHECK(o.status == 1);
		CHECK(has(o.err, "image_path: " + name.substr(0, 20) + " is a file of disk0"));
		CHECK(has(o.err, "(BAD_ARGUMENT)"));
		CHECK(contents(used) == before);
		CHECK(fs::file_size(disk + VKCKPT_SIDECAR_SUFFIX) == 4096);
	};
	refused(disk, "disk.img", disk);
	refused(place / "way/disk.img", "disk.img", disk);
	refused(place / "link", "link", disk);
	refused(place / "other-name", "other-name", disk);
	refused(disk + VKCKPT_SIDECAR_SUFFIX, "disk.img.vkckpt", disk);
	refused(place / "way/disk.img.vkckpt.new", "disk.img.vkckpt.new", disk);
	fs::copy_file(disk, place / "x.part");		// would be taken for what a dead capture has left
	refused(place / "x", "x.part", place / "x.part");
	CHECK(place.boot({"/bin/busybox", "true"}, {"-r", disk, "--image", disk + ".ckpt"})->end().status == 0);
}

TEST_CASE("an image of a chain whose turn it is to lie where the disk does is refused, and the vkernel runs on", "[disk]")
{
	Place place;
	const std::string disk = place.make_disk(1 << 20, "vk.0001.ckpt.part"), before = contents(disk);
	Child child = place.sh("echo ready; until [ -e /go ]; do read x && : >/go; done", {"-r", disk, "--chain", "4"});
	REQUIRE(child->expect("ready"));
	const Outcome asked = place.tool({"suspend", std::to_string(child->pid())});
	INFO(asked.err);
	CHECK(asked.status == 1);
	CHECK(has(asked.err, "is a file of disk0"));
	CHECK(child->running());
	CHECK(contents(disk) == before);
}

TEST_CASE("a thaw whose next image would take the place of the disk is refused, and the image can still be thawed", "[disk]")
{
	Suspended s;
	const std::string before = contents(s.disk), sidecar = contents(s.disk + VKCKPT_SIDECAR_SUFFIX);
	const Outcome o = s.place.thawed({"--image", s.disk});
	INFO(o.err);
	CHECK(o.status == 1);
	CHECK(has(o.err, "image_path: disk.img is a file of disk0"));
	CHECK(contents(s.disk) == before);
	CHECK(contents(s.disk + VKCKPT_SIDECAR_SUFFIX) == sidecar);
	s.thaws();
}
