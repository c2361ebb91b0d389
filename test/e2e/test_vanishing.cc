// What a vkernel stands on goes away while it runs: its run directory, its disk's file, the file system of image or disk, the clock of
// the host it was on.
#include <catch2/catch.hpp>

#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vkckpt/disk.h>
#include <vkckpt/vkckpt.h>

#include "test/e2e/place.h"
#include "test/skip.h"

using namespace vktest;
namespace fs = std::filesystem;

namespace {

// An ext4 on a loop device, whose disk can be taken away: what was not synced is lost, and every access fails from then on.
class VanishingDisk {
public:
	explicit VanishingDisk(const std::string &path) : at(path), file_(path + ".img")
	{
		fs::create_directory(at);
		made_ = std::system(("truncate -s 96m " + file_ + " && mkfs.ext4 -q " + file_).c_str()) == 0 && attach();
	}
	~VanishingDisk() { umount2(at.c_str(), MNT_DETACH); }
	VanishingDisk(const VanishingDisk &) = delete;
	VanishingDisk &operator=(const VanishingDisk &) = delete;
	bool there() const { return made_; }
	// On a loop device of its own each time: where somebody has the last one open still (another name space), it stays what it was.
	bool attach()
	{
		return std::system(("d=$(losetup --find --show " + file_ + " 2>/dev/null) && mount $d " + at + " 2>/dev/null; r=$?; [ -z \"$d\" ] || losetup -d $d; exit $r").c_str()) == 0;
	}
	bool vanish() const
	{
		constexpr unsigned long kGoingDown = 0x8004587d;	// EXT4_IOC_SHUTDOWN
		uint32_t without_log = 2;
		const int fd = open(at.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		const bool gone = fd >= 0 && ioctl(fd, kGoingDown, &without_log) == 0;
		close(fd);
		return gone;
	}
	bool come_back() { return umount2(at.c_str(), MNT_DETACH) == 0 && attach(); }
	const std::string at;
private:
	std::string file_;
	bool made_ = false;
};

// A disk of the place's as a loop device; device is empty where none can be made.
class LoopDevice {
public:
	explicit LoopDevice(Place &place)
	{
		const std::string name = place / "device";
		if (std::system(("losetup --find --show " + place.make_disk() + " >" + name + " 2>/dev/null").c_str()) == 0)
			device = contents(name).substr(0, contents(name).find('\n'));
	}
	~LoopDevice()
	{
		if (device.empty())
			return;
		(void)!std::system(("losetup -d " + device).c_str());
		fs::remove(device + VKCKPT_SIDECAR_SUFFIX);
	}
	LoopDevice(const LoopDevice &) = delete;
	std::string device;
};

const char kNoDisk[] = "only root with loop devices and ext4 can take a file system away";
const char kNoLoop[] = "only root can make loop devices, where there are any";

// 8 MiB that do not compress, and word every 50 ms that they are whole.
const char kWhole[] = "head -c 8000000 /dev/urandom >/tmp/r; s=$(sha256sum </tmp/r); echo ready; "
    "while :; do if [ \"$s\" = \"$(sha256sum </tmp/r)\" ]; then echo whole; else echo BROKEN; fi; sleep 0.05; done";

}  // namespace

TEST_CASE("the image's disk vanishes at any moment of a suspend: the vkernel runs on, or its image is whole when the disk is back", "[host]")
{
	Place place;
	Random random;
	VanishingDisk disk(place / "mnt");
	if (!disk.there())
		TEST_SKIP(kNoDisk);
	const std::string image = disk.at + "/vk.ckpt";
	Child child = place.sh(kWhole, {"--image", image});
	unsigned suspended = 0, went_on = 0;
	for (int i = 0; i < 12; i++) {
		INFO(random.repeat() << ", round " << i);
		REQUIRE(child->expect("whole"));
		const uint64_t before = place.entry(child->pid()).done_count;
		child->signal(VKCKPT_SIGCKPT);
		random.pause_us(i % 2 ? 40000 : 120000);
		REQUIRE(disk.vanish());
		vkckpt_run_entry entry = {};	// of a request that failed; one that did not ends the vkernel
		REQUIRE(await([&] {
			child->read_for(1);
			const vkckpt_run_entry now = place.entry(child->pid());
			if (now.done_count > before && now.result_reason != VKCKPT_R_NONE)
				entry = now;
			return !child->running() || entry.magic[0] != 0;
		}));
		if (entry.magic[0] != 0) {
			went_on++;
			INFO(entry.message);
			CHECK((entry.result_reason == VKCKPT_R_IO_ERROR || entry.result_reason == VKCKPT_R_PERMISSION));
			const bool on = goes_on(*child);
			INFO("running: " << child->running() << ", " << child->out().size() << " bytes; " << child->err());
			REQUIRE(on);
			REQUIRE(disk.come_back());
			if (fs::exists(image)) {
				const Outcome whole = place.tool({"verify", "-q", image});
				INFO(whole.err);
				CHECK(whole.status == 0);
			}
			continue;
		}
		suspended++;
		const Outcome o = child->end();
		INFO(o.err);
		REQUIRE(o.status == VKCKPT_EXIT_SUSPENDED);
		REQUIRE(disk.come_back());
		REQUIRE(place.tool({"verify", "-q", image}).status == 0);
		child = place.thaw({"--image", image}, image);
	}
	INFO(suspended << " of 12 were suspended");
	CHECK(suspended + went_on == 12);
	REQUIRE(child->expect("whole"));
	REQUIRE(suspend(*child) == "");
	CHECK(place.thaw({}, image)->expect("whole"));
}

TEST_CASE("the image's disk vanishes at any moment of a thaw: refused, stopped or running, and the image thaws when it is back", "[host]")
{
	Place place;
	Random random;
	VanishingDisk disk(place / "mnt");
	if (!disk.there())
		TEST_SKIP(kNoDisk);
	const std::string image = disk.at + "/vk.ckpt";
	Child child = place.sh(kWhole, {"--image", image});
	REQUIRE(child->expect("whole"));
	REQUIRE(suspend(*child) == "");
	for (int i = 0; i < 12; i++) {
		const bool lazy = i % 2;
		REQUIRE(disk.come_back());	// so that nothing of the image is in memory
		Child thawed = place.thaw(lazy ? std::vector<std::string>{"--lazy", "--image", place / "next.ckpt"}
		    : std::vector<std::string>{"--image", place / "next.ckpt"}, image);
		random.pause_us(30000);
		REQUIRE(disk.vanish());
		const bool runs = thawed->expect("whole\nwhole", 20) || (thawed->running() && goes_on(*thawed));
		const Outcome o = runs ? Outcome{} : thawed->end();
		INFO(random.repeat() << ", round " << i << ", status " << o.status << ": " << o.err);
		CHECK((runs || o.status == 1 || (lazy && o.status == VKCKPT_EXIT_STOPPED)));
		CHECK((runs || has(o.err, image)));
	}
	REQUIRE(disk.come_back());
	CHECK(place.tool({"verify", "-q", image}).status == 0);
	CHECK(place.thaw({}, image)->expect("whole"));
}

TEST_CASE("the guest's disk vanishes: no suspend is claimed that the disk does not know of", "[host][disk]")
{
	Place place;
	VanishingDisk disk(place / "mnt");
	if (!disk.there())
		TEST_SKIP(kNoDisk);
	const std::string file = place.make_disk(1 << 20, "mnt/disk.img");
	sync();
	Child child = place.sh("echo ready; while :; do echo whole; sleep 0.05; done", {"-r", file});
	REQUIRE(child->expect("whole"));
	REQUIRE(disk.vanish());
	const Outcome told = place.tool({"suspend", "vk"});
	INFO(told.err);
	CHECK(told.status == 1);
	CHECK((has(told.err, "(IO_ERROR)") || has(told.err, "(PERMISSION)")));
	CHECK(!fs::exists(place.image()));
	CHECK(goes_on(*child));
	child->signal(SIGKILL);
	(void)child->end();
	REQUIRE(disk.come_back());
	CHECK(place.sh("echo booted", {"-r", file})->end().out == "booted\n");	// as after a power failure
}

TEST_CASE("a block device is the guest's disk: suspended, thawed, and no clone is made of it", "[host][disk]")
{
	Place place;
	const LoopDevice loop(place);
	if (loop.device.empty())
		TEST_SKIP(kNoLoop);
	const std::string &device = loop.device;
	Child child = place.sh("echo ready; thawed; echo again; thawed; echo more", {"-r", device});
	CHECK(child->expect("ready"));
	CHECK(suspend(*child) == "");
	const Outcome clone = place.thawed({"--clone=two", "--console", "null"});
	child = place.thaw();
	const bool again = child->expect("again");
	child->signal(SIGKILL);
	(void)child->end();
	INFO(clone.err);
	CHECK(clone.status == 1);
	CHECK(has(clone.err, "(CLONE_DEVICE)"));
	CHECK(has(clone.err, "Put a copy of it into a file") + has(clone.err, "put a copy of it into a file") == 1);
	CHECK(again);
}

TEST_CASE("a block device is known by its content: copied whole, thawed after its sidecar went with the host, and refused when it was written to", "[host][disk]")
{
	Place place;
	const LoopDevice loop(place);
	if (loop.device.empty())
		TEST_SKIP(kNoLoop);
	const std::string &device = loop.device;
	const std::string sidecar = device + VKCKPT_SIDECAR_SUFFIX, kept = place / "kept.ckpt";
	Child child = place.sh("echo written | dd of=/dev/vkd0 bs=512 seek=64 conv=sync 2>/dev/null; sync; echo ready; thawed; echo again; thawed; echo more",
	    {"-r", device, "--disk-digest"});
	CHECK(child->expect("ready"));
	const Outcome copied = place.tool({"checkpoint", "--copy-disks", "vk"});
	std::string copy;
	for (const fs::directory_entry &e : fs::directory_iterator(place.path()))
		if (const std::string path = e.path(); has(path, ".disk0-") && !path.ends_with(VKCKPT_SIDECAR_SUFFIX))
			copy = contents(path);
	const bool whole = copy == contents(device);
	CHECK(suspend(*child) == "");
	fs::copy_file(place.image(), kept);
	fs::remove(sidecar);			// as when the host was down
	child = place.thaw({"--disk-digest"});
	const bool again = child->expect("again");
	const Outcome second = place.thawed({}, kept);
	const bool suspended = suspend(*child) == "";
	const Outcome spent = place.thawed({}, kept);
	fs::remove(sidecar);
	(void)!std::system(("echo other | dd of=" + device + " bs=512 seek=65 conv=sync,fsync 2>/dev/null").c_str());
	const Outcome told = place.tool({"info", place.image()}), other = place.thawed();
	INFO(copied.err << second.err << spent.err << other.err);
	CHECK(copied.status == 0);
	CHECK(whole);
	CHECK(again);
	CHECK(has(second.err, "(DISK_IN_USE)"));
	CHECK(suspended);
	CHECK((has(spent.err, "(DISK_SUPERSEDED)") || has(spent.err, "(DISK_SUSPENDED)")));
	CHECK(has(told.out, "can be thawed if its content is still"));
	CHECK(has(other.err, "(DISK_CHANGED)"));
}

TEST_CASE("the run directory cannot be written any more: a suspend by signal all the same, and the next start says so", "[host]")
{
	Place place;
	const std::string program = place / "minivk";
	fs::copy_file(minivk_path(), program);
	fs::create_directory(place.run_dir());
	chmod(place.path().c_str(), 0777);
	chmod(place.run_dir().c_str(), 0700);
	const bool root = getuid() == 0;
	if (root && chown(place.run_dir().c_str(), 65534, 65534) != 0)
		TEST_SKIP("files cannot be given to another user here");
	auto start = [&](std::vector<std::string> words) {
		words[0] = program;
		return std::make_unique<Process>(Process::Setup{.words = words, .folder = "/", .before_exec = [root] {
			if (root && (setgid(65534) != 0 || setuid(65534) != 0))
				_exit(1);
		}});
	};
	Child child = start(place.boot_words({"/bin/sh", "-c", "echo ready; while :; do echo tick; sleep 0.05; done"}));
	REQUIRE(child->expect("tick"));
	chmod(place.run_dir().c_str(), 0500);
	REQUIRE(suspend(*child) == "");
	CHECK(place.tool({"list", "-o", "pid"}).out == "");	// its entry lies there still and counts for nothing
	const Outcome refused = start(place.thaw_words())->end();
	INFO(refused.err);
	CHECK(refused.status == 1);
	CHECK(has(refused.err, place.run_dir()));
	CHECK(has(refused.err, "(PERMISSION)"));
	chmod(place.run_dir().c_str(), 0700);
	CHECK(start(place.thaw_words())->expect("tick"));
	chmod(place.path().c_str(), 0755);
}

TEST_CASE("the tool is stopped at any moment of a suspend: nobody waits for it, and it tells the truth when it goes on", "[host]")
{
	Place place;
	Random random;
	Child child = place.sh(kWhole);
	for (int i = 0; i < 5; i++) {
		INFO(random.repeat() << ", round " << i);
		REQUIRE(child->expect("whole"));
		Process tool({.words = {tool_path(), "suspend", "vk"}});
		random.pause_us(60000);
		tool.signal(SIGSTOP);
		// Stopped before it had asked: nothing happens until it goes on.
		const bool asked = await([&] { child->read_for(1); return !child->running() || place.entry(child->pid()).phase == VKCKPT_PHASE_RUNNING; })
		    && !child->running();
		tool.signal(SIGCONT);
		const Outcome told = tool.end();
		INFO((asked ? "asked: " : "not asked: ") << told.err);
		CHECK(told.status == 0);
		CHECK(child->end().status == VKCKPT_EXIT_SUSPENDED);
		child = place.thaw();
	}
	CHECK(child->expect("whole"));
}

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
