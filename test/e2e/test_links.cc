// Shared folders: nothing that others may read, and no link that others have laid is followed.
#include <catch2/catch.hpp>

#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>

#include <vkckpt/disk.h>

#include "test/e2e/place.h"

using namespace vktest;
namespace fs = std::filesystem;

namespace {

unsigned mode_of(const std::string &path)
{
	struct stat st;
	return lstat(path.c_str(), &st) == 0 ? st.st_mode & 07777 : 0;
}

}  // namespace

TEST_CASE("image, sidecar, memory image and run directory are their owner's alone, whatever the umask", "[links]")
{
	Place place;
	const std::string disk = place.make_disk(), memory = place / "memory";
	write_file(memory, "of an earlier run");
	chmod(memory.c_str(), 0644);
	Process child({.words = place.boot_words({"/bin/sh", "-c", kTicks}, {"-r", disk, "-i", memory}), .folder = place.path(),
	    .before_exec = [] { umask(0); }});
	REQUIRE(child.expect("tick"));
	CHECK(mode_of(place.run_dir()) == 0700);
	for (const auto &entry : fs::directory_iterator(place.run_dir()))
		CHECK(mode_of(entry.path()) == 0600);
	CHECK(mode_of(disk + VKCKPT_SIDECAR_SUFFIX) == 0600);
	CHECK(mode_of(memory) == 0600);
	REQUIRE(suspend(child) == "");
	CHECK(mode_of(place.image()) == 0600);
	CHECK(mode_of(disk + VKCKPT_SIDECAR_SUFFIX) == 0600);
	Process again({.words = place.thaw_words({"--on-ckpt", "continue"}), .folder = place.path(), .before_exec = [] { umask(0); }});
	REQUIRE(again.expect("tick"));
	CHECK(mode_of(disk + VKCKPT_SIDECAR_SUFFIX) == 0600);
	CHECK(place.tool({"checkpoint", "--copy-disks", "vk"}).status == 0);
	again.signal(9);
	(void)again.end();
	unsigned files = 0;
	for (const auto &entry : fs::directory_iterator(place.path()))
		if (has(entry.path().filename(), ".ckpt") || has(entry.path().filename(), ".vkckpt")) {
			INFO(entry.path());
			CHECK(mode_of(entry.path()) == 0600);
			files++;
		}
	CHECK(files >= 3);
}

TEST_CASE("the guest's memory is in no core file, after a thaw neither", "[links]")
{
	Place place;
	Child child = place.sh(kTicks);
	auto left_out = [](pid_t pid) {
		const std::string maps = contents("/proc/" + std::to_string(pid) + "/smaps");
		size_t found = 0, at = 0;
		while ((at = maps.find("minivk-ram", at)) != std::string::npos) {
			const size_t flags = maps.find("VmFlags:", at);
			if (!has(maps.substr(flags, maps.find('\n', flags) - flags), " dd"))
				return false;
			at = flags;
			found++;
		}
		return found > 0;
	};
	REQUIRE(child->expect("tick"));
	CHECK(left_out(child->pid()));
	REQUIRE(suspend(*child) == "");
	for (const std::vector<std::string> &how : {std::vector<std::string>{}, {"--lazy=demand"}}) {
		Child again = place.thaw(how);
		REQUIRE(again->expect("tick"));
		const std::string maps = contents("/proc/" + std::to_string(again->pid()) + "/smaps");
		const size_t ram = maps.find("memfd:");
		REQUIRE(ram != std::string::npos);
		const size_t flags = maps.find("VmFlags:", ram);
		CHECK(has(maps.substr(flags, maps.find('\n', flags) - flags), " dd"));
	}
}

TEST_CASE("a link in the place of a file that is to be written is not followed", "[links]")
{
	for (const char *name : {"vk.ckpt", "vk.ckpt.part", "disk.img.vkckpt", "disk.img.vkckpt.new", "memory"})
		for (bool dangling : {false, true}) {
			INFO(name << (dangling ? ", to nothing" : ""));
			Place place;
			const std::string disk = place.make_disk(), victim = place / "victim";
			if (!dangling)
				write_file(victim, "precious");
			fs::create_symlink(victim, place / name);
			Child child = place.sh(kTicks, {"-r", disk, "-i", place / "memory"});
			if (child->expect("tick")) {
				child->signal(VKCKPT_SIGCKPT);
				await([&] { child->read_for(5); return !child->running() || place.entry(child->pid()).done_count > 0; });
				child->signal(9);
			}
			const Outcome o = child->end();
			INFO(o.status << ": " << o.err);
			CHECK(o.status != 128 + VKCKPT_SIGCKPT);
			CHECK((dangling ? !fs::exists(victim) : contents(victim) == "precious"));
			if (std::string(name) == "memory") {
				CHECK(o.status == 1);
				CHECK(has(o.err, "it is a link"));
			}
		}
}
