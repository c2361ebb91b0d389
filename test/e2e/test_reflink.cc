// A checkpoint that continues with a writable disk, on a file system that has reflinks: a real XFS on a loop device.
#include <catch2/catch.hpp>

#include <sys/mount.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "test/e2e/oracle.h"
#include "test/e2e/vk.h"
#include "test/skip.h"

using namespace vktest;
namespace fs = std::filesystem;

namespace {

// Mounted at dir/mnt for as long as it lives.
struct Xfs {
	std::string at;
	bool mounted = false;
	explicit Xfs(const Scratch &dir) : at(dir / "mnt")
	{
		fs::create_directory(at);
		const std::string image = dir / "xfs";
		mounted = std::system(("truncate -s 400m " + image + " && mkfs.xfs -q -m reflink=1 " + image + " && mount -o loop " + image +
		    " " + at + " >/dev/null 2>&1").c_str()) == 0;
	}
	~Xfs()
	{
		if (mounted)
			umount2(at.c_str(), MNT_DETACH);
	}
};

std::string head(const std::string &file, size_t bytes)
{
	std::string text(bytes, '\0');
	std::ifstream(file).read(text.data(), std::streamsize(bytes));
	return text;
}

}  // namespace

TEST_CASE("a checkpoint that continues freezes the disk by reflink, and its thaw runs on the copy")
{
	if (geteuid() != 0)
		TEST_SKIP("only root can mount a file system with reflinks");
	Scratch dir;
	Xfs xfs(dir);
	REQUIRE(xfs.mounted);
	const std::string disk = xfs.at + "/disk", image = xfs.at + "/frozen.ckpt";
	std::ofstream(disk).close();
	fs::resize_file(disk, 8 << 20);
	// The guest writes "one", asks for a checkpoint and goes on; writes "two" in either world, and says in which it is.
	const std::string script = "echo one | dd of=/dev/vkd0 conv=fsync 2>/dev/null; echo checkpoint >/dev/vkckpt; "
				   "dd if=/dev/vkd0 bs=3 count=1 2>/dev/null; cat /dev/vkckpt | grep -o 'thaws [0-9]*'; "
				   "echo two | dd of=/dev/vkd0 conv=fsync 2>/dev/null";
	Outcome first = sh(script, {"--name", "frozen", "--image", image, "-r", disk});
	INFO(first.err);
	REQUIRE(first.status == 0);
	CHECK(first.out == "onethaws 0\n");
	CHECK(head(disk, 3) == "two");
	std::string copy;
	for (const auto &entry : fs::directory_iterator(xfs.at))
		if (entry.path().filename().string().rfind("frozen.ckpt.disk0-", 0) == 0 && entry.path().extension() != ".vkckpt")
			copy = entry.path();
	REQUIRE(copy != "");
	CHECK(head(copy, 3) == "one");

	Outcome second = run({{"--thaw", image}, {}, "", 60, ""});
	INFO(second.err);
	CHECK(second.status == 0);
	CHECK(second.out == "onethaws 1\n");
	CHECK(head(copy, 3) == "two");

	Outcome third = run({{"--thaw", image}, {}, "", 60, ""});
	CHECK(third.status == 1);
	CHECK(third.err.find("(DISK_") != std::string::npos);
}

TEST_CASE("the disk of a clone is a reflink where the file system has them", "[clone]")
{
	if (geteuid() != 0)
		TEST_SKIP("only root can mount a file system with reflinks");
	Scratch dir;
	Xfs xfs(dir);
	REQUIRE(xfs.mounted);
	const std::string disk = xfs.at + "/disk", image = xfs.at + "/vk.ckpt";
	std::ofstream(disk).close();
	fs::resize_file(disk, 250 << 20);	// two whole ones would not fit
	const std::string script = "dd if=/dev/zero bs=1M count=250 2>/dev/null | tr '\\0' x >/dev/vkd0; sync; echo suspend >/dev/vkckpt; "
				   "dd if=/dev/vkd0 bs=3 count=1 2>/dev/null; echo new | dd of=/dev/vkd0 conv=fsync 2>/dev/null";
	const Outcome first = sh(script, {"--name", "vk", "--image", image, "-r", disk});
	INFO(first.err);
	REQUIRE(first.status == 33);
	for (const char *name : {"a", "b"}) {
		const Outcome clone = run({{"--thaw", image, std::string("--clone=") + name}, {}, "", 60, ""});
		INFO(clone.err);
		CHECK(clone.status == 0);
		CHECK(clone.out == "xxx");
		CHECK(clone.err.find("reflink") != std::string::npos);
		CHECK(head(disk + "." + name, 3) == "new");
		CHECK(head(disk, 3) == "xxx");
	}
	CHECK(run({{"--thaw", image}, {}, "", 60, ""}).out == "xxx");
}
