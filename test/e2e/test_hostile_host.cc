// Hosts that fail, and signals and kills at the worst moments: the old image is intact or the new one is whole, the running
// vkernel runs on, nothing of a dead one stays behind.
#include <catch2/catch.hpp>

#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vkckpt/disk.h>

#include "test/e2e/place.h"
#include "test/skip.h"

using namespace vktest;
namespace fs = std::filesystem;

namespace {

// Asks by signal and waits for the result in the run directory.
uint32_t result_of_signal(const Place &place, Process &child)
{
	const uint64_t before = place.entry(child.pid()).done_count;
	child.signal(VKCKPT_SIGCKPT);
	if (!await([&] { child.read_for(1); return !child.running() || place.entry(child.pid()).done_count > before; }))
		return 999;
	return child.running() ? place.entry(child.pid()).result_reason : 0;
}

// A process that holds name spaces with a small file system of its own, and others that enter them.
struct SmallFileSystem {
	std::string at;
	Child holder;
	SmallFileSystem(const std::string &path, const char *options) : at(path)
	{
		fs::create_directory(at);
		const uid_t uid = getuid();
		const gid_t gid = getgid();
		holder = std::make_unique<Process>(Process::Setup{.words = {"/bin/busybox", "sh", "-c", "echo mounted; exec busybox sleep 1000"},
		    .before_exec = [this, options, uid, gid] {
			if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
				_exit(1);
			write_file("/proc/self/setgroups", "deny");
			write_file("/proc/self/uid_map", std::to_string(uid) + " " + std::to_string(uid) + " 1");
			write_file("/proc/self/gid_map", std::to_string(gid) + " " + std::to_string(gid) + " 1");
			if (mount("small", at.c_str(), "tmpfs", 0, options) != 0)
				_exit(1);
		}});
	}
	bool there() { return holder->expect("mounted"); }
	void enter() const
	{
		const std::string ns = "/proc/" + std::to_string(holder->pid()) + "/ns/";
		const int user = open((ns + "user").c_str(), O_RDONLY | O_CLOEXEC), mounts = open((ns + "mnt").c_str(), O_RDONLY | O_CLOEXEC);
		if (setns(user, CLONE_NEWUSER) != 0 || setns(mounts, CLONE_NEWNS) != 0)
			_exit(125);
	}
	// Seen from outside.
	std::string outside(const std::string &name) const { return "/proc/" + std::to_string(holder->pid()) + "/root" + at + "/" + name; }
	Child start(const std::vector<std::string> &words) const
	{
		return std::make_unique<Process>(Process::Setup{.words = words, .before_exec = [this] { enter(); }});
	}
};

// A vkernel with 12 MiB that do not compress, suspended: its image takes a while to write.
struct Slow {
	Place place;
	Slow()
	{
		Child boot = place.sh("head -c 12000000 /dev/urandom >/tmp/r; s=$(sha256sum </tmp/r); echo ready; "
		    "while :; do thawed; [ \"$s\" = \"$(sha256sum </tmp/r)\" ] && echo whole; done", {"-n", "2"});
		REQUIRE(boot->expect("ready"));
		REQUIRE(suspend(*boot) == "");
	}
	bool image_is_good() const { return place.tool({"verify", "-q", place.image()}).status == 0; }
	bool thaws() const
	{
		Child child = place.thaw();
		return child->expect("whole");
	}
};

}  // namespace

TEST_CASE("no room for an image: the vkernel runs on and the old image stays", "[host]")
{
	Place place;
	SmallFileSystem small(place / "small", "size=9m");
	if (!small.there())
		TEST_SKIP("no user name space with a tmpfs can be made here");
	std::vector<std::string> words = place.boot_words(
	    {"/bin/sh", "-c", std::string("head -c 5000000 /dev/urandom >/tmp/r; ") + kTicks},
	    {"--on-ckpt", "continue", "--chain", "off", "--image", small.at + "/vk.ckpt"});
	Child child = small.start(words);
	REQUIRE(child->expect("ready"));
	const uint32_t first = result_of_signal(place, *child);
	INFO(place.entry(child->pid()).message);
	INFO(child->err());
	REQUIRE(first == VKCKPT_R_NONE);
	const std::string old = contents(small.outside("vk.ckpt"));
	REQUIRE(old.size() > 5000000);		// two of them do not fit
	for (int i = 0; i < 3; i++) {
		CHECK(result_of_signal(place, *child) == VKCKPT_R_NO_SPACE);
		CHECK(contents(small.outside("vk.ckpt")) == old);
		CHECK(!fs::exists(small.outside("vk.ckpt.part")));
		CHECK(goes_on(*child));
	}
	const Outcome told = place.tool({"suspend", "vk"});
	CHECK(told.status == 1);
	CHECK(has(told.err, "(NO_SPACE)"));
	CHECK(goes_on(*child));
	fs::remove(small.outside("vk.ckpt"));
	CHECK(place.tool({"suspend", "vk"}).status == 0);
	CHECK(child->end().status == VKCKPT_EXIT_SUSPENDED);
	Child after = small.start(place.thaw_words({}, small.at + "/vk.ckpt"));
	CHECK(after->expect("tick"));
}

TEST_CASE("a folder that cannot be written: the vkernel runs on until it can", "[host]")
{
	Place place;
	const std::string closed = place / "closed", program = place / "minivk";
	fs::create_directory(closed);
	fs::copy_file(minivk_path(), program);
	fs::create_directory(place.run_dir());
	const bool root = getuid() == 0;
	for (const std::string &path : {place.path(), closed, program})
		chmod(path.c_str(), 0555);
	chmod(place.run_dir().c_str(), 0700);
	if (root && chown(place.run_dir().c_str(), 65534, 65534) != 0)
		TEST_SKIP("files cannot be given to another user here");
	std::vector<std::string> words = place.boot_words({"/bin/sh", "-c", kTicks}, {"--image", closed + "/vk.ckpt"});
	words[0] = program;
	Process child({.words = words, .folder = "/", .before_exec = [root] {
		if (root && (setgid(65534) != 0 || setuid(65534) != 0))
			_exit(1);
	}});
	REQUIRE(child.expect("ready"));
	CHECK(result_of_signal(place, child) == VKCKPT_R_PERMISSION);
	CHECK(goes_on(child));
	CHECK(fs::is_empty(closed));
	chmod(closed.c_str(), 0777);
	REQUIRE(suspend(child) == "");
	CHECK((fs::status(closed + "/vk.ckpt").permissions() & fs::perms::all) == fs::perms(0600));
	chmod(place.path().c_str(), 0755);
}

TEST_CASE("an image path in a missing folder: the vkernel runs on until it is there", "[host]")
{
	Place place;
	Child child = place.sh(kTicks, {"--image", place / "missing/vk.ckpt"});
	REQUIRE(child->expect("ready"));
	CHECK(result_of_signal(place, *child) == VKCKPT_R_NOT_FOUND);
	CHECK(goes_on(*child));
	CHECK(!fs::exists(place / "missing"));
	fs::create_directory(place / "missing");
	REQUIRE(suspend(*child) == "");
	Child after = place.thaw({}, place / "missing/vk.ckpt");
	CHECK(after->expect("tick"));
}

TEST_CASE("a leftover part of an image is removed and one that is being written is not", "[host]")
{
	Place place;
	const std::string part = place.image() + ".part";
	Child child = place.sh(kTicks, {"--on-ckpt", "continue", "--chain", "off"});
	REQUIRE(child->expect("ready"));
	write_file(part, "left over");
	CHECK(result_of_signal(place, *child) == VKCKPT_R_NONE);
	CHECK(!fs::exists(part));
	const std::string old = contents(place.image());

	write_file(part, "another's");
	const int fd = open(part.c_str(), O_RDWR | O_CLOEXEC);
	struct flock lock = {};
	lock.l_type = F_WRLCK;
	REQUIRE(fcntl(fd, F_OFD_SETLK, &lock) == 0);
	CHECK(result_of_signal(place, *child) == VKCKPT_R_IMAGE_IN_USE);
	CHECK(contents(part) == "another's");
	CHECK(contents(place.image()) == old);
	CHECK(goes_on(*child));
	close(fd);

	fs::remove(part);
	write_file(place / "precious", "precious");
	fs::create_symlink(place / "precious", part);
	CHECK(result_of_signal(place, *child) != VKCKPT_R_NONE);
	CHECK(contents(place / "precious") == "precious");
	CHECK(contents(place.image()) == old);
	fs::remove(part);
	child->signal(VKCKPT_SIGCKPTEXIT);
	CHECK(child->end().status == VKCKPT_EXIT_SUSPENDED);
	CHECK(place.thaw()->expect("tick"));
}

TEST_CASE("kill -9 at any moment of a suspend leaves the old image or the new one whole and nothing else", "[host]")
{
	Slow slow;
	Random random;
	unsigned fresh = 0;
	for (int i = 0; i < 20; i++) {
		const std::string old = contents(slow.place.image());
		Child child = slow.place.thaw();
		REQUIRE(child->expect("whole"));
		child->signal(VKCKPT_SIGCKPT);
		random.pause_us(i % 3 == 0 ? 5000 : 120000);
		child->signal(SIGKILL);
		const Outcome o = child->end();
		INFO(random.repeat() << ", round " << i << ", status " << o.status << ": " << o.err);
		REQUIRE((o.status == 128 + SIGKILL || o.status == VKCKPT_EXIT_SUSPENDED));
		const bool is_old = contents(slow.place.image()) == old;
		fresh += !is_old;
		REQUIRE((is_old ? o.status == 128 + SIGKILL : slow.image_is_good()));
		REQUIRE(await([&] { return survivors(child->pid()).empty(); }));
	}
	INFO(fresh << " of 20 were suspended; " << random.repeat());
	CHECK(slow.thaws());
}

TEST_CASE("kill -9 of a suspend with a disk: the image or the disk is good to go on with", "[host][disk]")
{
	Place place;
	Random random;
	const std::string disk = place.make_disk();
	const std::string script = "head -c 8000000 /dev/urandom >/tmp/r; echo ready; while :; do echo alive; sleep 0.05; done";
	Child child = place.sh(script, {"-r", disk});
	unsigned suspended = 0, crashed = 0;
	for (int i = 0; i < 16; i++) {
		INFO(random.repeat() << ", round " << i);
		REQUIRE(child->expect("alive"));
		child->signal(VKCKPT_SIGCKPT);
		random.pause_us(i % 2 ? 60000 : 200000);
		child->signal(SIGKILL);
		(void)child->end();
		vkckpt_f_sidecar sidecar;
		REQUIRE(vkckpt_disk_inspect(disk.c_str(), &sidecar, nullptr) == 0);
		child = place.thaw();
		const bool thawed = child->expect("alive");
		// The disk was marked: then its image thaws. It was not: then a boot is right, as after a power failure.
		if (thawed) {
			suspended++;
			continue;
		}
		crashed++;
		const Outcome o = child->end();
		INFO(o.err);
		CHECK(sidecar.state == VKCKPT_DISK_RUNNING);
		CHECK(o.status == 1);
		child = place.sh(script, {"-r", disk});
		REQUIRE(child->expect("ready"));
	}
	CHECK(suspended + crashed == 16);
}

TEST_CASE("a second SIGCKPT during the first changes nothing and a second request is told BUSY", "[host]")
{
	Place place;
	Child child = place.boot({"/ckptdev", "notice", "ignore"}, {"--root", guest_root("ckptdev")});
	REQUIRE(child->expect("ready"));
	child->signal(VKCKPT_SIGCKPT);
	REQUIRE(child->expect("notice in time"));	// two seconds until the deadline
	child->signal(VKCKPT_SIGCKPT);
	const Outcome second = place.tool({"suspend", "vk"});
	CHECK(second.status == 1);
	CHECK(has(second.err, "(BUSY)"));
	CHECK(child->end().status == VKCKPT_EXIT_SUSPENDED);
	CHECK(has(place.thawed().out, "thawed, generation differs"));
}

TEST_CASE("a storm of SIGCKPT", "[host]")
{
	for (const char *on_ckpt : {"continue", "exit"}) {
		Place place;
		Random random;
		Child child = place.sh("echo ready; i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo $i; sleep 0.02; done; echo end",
		    {"--on-ckpt", on_ckpt, "--chain", "off", "-n", "2"});
		REQUIRE(child->expect("ready"));
		for (int i = 0; i < 300; i++) {
			child->signal(VKCKPT_SIGCKPT);
			random.pause_us(3000);
		}
		Outcome o = child->end();
		INFO(random.repeat() << "; " << o.err);
		std::string out = o.out;
		if (on_ckpt[0] == 'e') {
			CHECK(o.status == VKCKPT_EXIT_SUSPENDED);
			CHECK(place.tool({"verify", place.image()}).status == 0);
			o = place.thawed();
			out += o.out;
		} else {
			CHECK(place.thawed().status == 0);
		}
		CHECK(o.status == 0);
		std::string expected = "ready\n";
		for (int i = 1; i <= 60; i++)
			expected += std::to_string(i) + "\n";
		CHECK(out == expected + "end\n");
	}
}

// Each vCPU goes to sleep behind its safe point again and again: a request that comes in between must not wait for the end of that sleep.
TEST_CASE("one SIGCKPT upon the other while eight vCPUs have nothing to do: all come to every safe point", "[host]")
{
	Place place;
	Random random;
	INFO(random.repeat());
	Child child = place.sh("echo ready; while :; do sleep 0.02; done", {"-n", "8", "--quiesce-timeout", "3", "--image", place / "missing/vk.ckpt"});
	REQUIRE(child->expect("ready"));
	for (int i = 0; i < 6000 && !has(child->err(), "(QUIESCE_TIMEOUT)"); i++) {
		child->signal(VKCKPT_SIGCKPT);
		random.pause_us(2000);
		if (i % 16 == 0)
			child->read_for(1);
	}
	CHECK(!has(child->err(), "(QUIESCE_TIMEOUT)"));
	CHECK(has(child->err(), "(NOT_FOUND)"));
	CHECK(child->running());
}

TEST_CASE("SIGSTOP and SIGCONT during a suspend delay it and no more", "[host]")
{
	Slow slow;
	Random random;
	for (int i = 0; i < 6; i++) {
		INFO(random.repeat() << ", round " << i);
		Child child = slow.place.thaw();
		REQUIRE(child->expect("whole"));
		child->signal(VKCKPT_SIGCKPT);
		random.pause_us(80000);
		child->signal(SIGSTOP);
		pause_ms(200);
		child->signal(SIGCONT);
		const Outcome o = child->end();
		INFO(o.err);
		REQUIRE(o.status == VKCKPT_EXIT_SUSPENDED);
	}
	CHECK(slow.image_is_good());
	CHECK(slow.thaws());
}

TEST_CASE("SIGCKPT at any moment from exec on: suspended properly or dead before anything was written", "[host]")
{
	Place place;
	Random random;
	unsigned suspended = 0;
	const std::string script = "while read a b c n </dev/vkckpt; [ $n = 0 ]; do sleep 0.02; done; echo alive";
	for (int i = 0; i < 100; i++) {
		Child child = place.boot({"/bin/sh", "-c", script}, {"-n", i % 2 ? "2" : "1"});
		if (i % 10 == 9)	// the others may all be too early on a slow host
			REQUIRE(await([&] { return place.armed(child->pid()); }));
		random.pause_us(i % 4 == 0 ? 30000 : 6000);
		child->signal(VKCKPT_SIGCKPT);
		Outcome o = child->end();
		INFO(random.repeat() << ", round " << i << ", status " << o.status << ": " << o.err);
		if (o.status == VKCKPT_EXIT_SUSPENDED) {
			suspended++;
			o = place.thawed();
			INFO("thawed: " << o.err);
			REQUIRE(o.status == 0);
			REQUIRE(o.out == "alive\n");
			REQUIRE(fs::remove(place.image()));
		} else {
			REQUIRE(o.status == 128 + VKCKPT_SIGCKPT);
			REQUIRE(o.out == "");
		}
		REQUIRE(!fs::exists(place.image()));
		REQUIRE(!fs::exists(place.image() + ".part"));
		REQUIRE(await([&] { return survivors(child->pid()).empty(); }));
	}
	CHECK(suspended >= 10);
}

TEST_CASE("SIGCKPT at any moment of a thaw: the image is never lost", "[host][disk]")
{
	Place place;
	Random random;
	const std::string disk = place.make_disk();
	Child boot = place.sh("x=kept; echo ready; while :; do sleep 0.01; [ -e /tmp/never ] || echo $x; done", {"-r", disk, "-n", "2"});
	REQUIRE(boot->expect("ready"));
	REQUIRE(suspend(*boot) == "");
	unsigned suspended = 0;
	for (int i = 0; i < 100; i++) {
		Child child = place.thaw();
		if (i % 10 == 8)
			REQUIRE(await([&] { return place.armed(child->pid()); }));
		random.pause_us(i % 4 == 0 ? 40000 : 8000);
		child->signal(i % 5 == 4 ? SIGSTOP : VKCKPT_SIGCKPT);
		if (i % 5 == 4) {
			child->signal(VKCKPT_SIGCKPT);
			child->signal(SIGCONT);
		}
		const Outcome o = child->end();
		INFO(random.repeat() << ", round " << i << ": " << o.err);
		REQUIRE((o.status == VKCKPT_EXIT_SUSPENDED || o.status == 128 + VKCKPT_SIGCKPT));
		suspended += o.status == VKCKPT_EXIT_SUSPENDED;
		REQUIRE(place.tool({"verify", "-q", place.image()}).status == 0);
	}
	CHECK(suspended >= 10);
	CHECK(place.thaw()->expect("kept\nkept\n"));
}

TEST_CASE("a vCPU that does not come to its safe point in time: the vkernel runs on", "[host]")
{
	Place place;
	Child child = place.sh("(echo busy; while :; do :; done) & while :; do echo tick; sleep 0.05; done", {"-n", "2"});
	REQUIRE(child->expect("busy"));
	REQUIRE(child->expect("tick"));
	// The process in which the busy guest runs, held by the host: no kick brings it out.
	const std::vector<pid_t> guests = guest_processes(child->pid());
	REQUIRE(!guests.empty());
	for (pid_t guest : guests)
		kill(guest, SIGSTOP);
	const uint32_t reason = result_of_signal(place, *child);
	const bool running = child->running();
	for (pid_t guest : guests)
		kill(guest, SIGCONT);
	CHECK(reason == VKCKPT_R_QUIESCE_TIMEOUT);
	CHECK(running);
	CHECK(!fs::exists(place.image()));
	CHECK(!fs::exists(place.image() + ".part"));
	CHECK(goes_on(*child));
	REQUIRE(suspend(*child) == "");
	CHECK(place.thaw()->expect("tick"));
}

TEST_CASE("no vCPU comes to its safe point: the request is answered in time and the vkernel runs on when they can", "[host]")
{
	Place place;
	Child child = place.sh("echo ready; while :; do echo tick; i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done; done", {"--quiesce-timeout", "3"});
	REQUIRE(child->expect("tick"));
	const std::vector<pid_t> guests = guest_processes(child->pid());
	REQUIRE(!guests.empty());
	for (pid_t guest : guests)
		kill(guest, SIGSTOP);
	const Outcome told = place.tool({"suspend", "vk"}), again = place.tool({"suspend", "vk"});
	const bool running = child->running();
	for (pid_t guest : guests)
		kill(guest, SIGCONT);
	INFO(told.err << again.err);
	CHECK(running);
	CHECK(told.status == 1);
	CHECK(has(told.err, "no vCPU came to a safe point"));
	CHECK(has(told.err, "(QUIESCE_TIMEOUT)"));
	CHECK(again.status == 1);
	CHECK(has(again.err, "(BUSY)"));
	CHECK(!fs::exists(place.image()));
	CHECK(goes_on(*child));
	CHECK(place.tool({"suspend", "vk"}).status == 0);
	CHECK(place.thaw({"--quiesce-timeout", "3"})->expect("tick"));
}

TEST_CASE("a request with a time limit to a stopped vkernel: the cancellation is certain", "[host]")
{
	Place place;
	Child child = place.sh(kTicks);
	REQUIRE(child->expect("ready"));
	child->signal(SIGSTOP);
	Process tool({.words = {tool_path(), "suspend", "-t", "1", "vk"}});
	tool.read_for(2500);
	CHECK(tool.running());		// it cannot be certain yet
	child->signal(SIGCONT);
	const Outcome o = tool.end();
	INFO(o.err);
	// Two signals wait for it, and two of its threads may take one each: if the cancellation's thread comes late, the request is served. What
	// is told is what has happened.
	if (o.status == 0) {
		CHECK(child->end().status == VKCKPT_EXIT_SUSPENDED);
		CHECK(place.thaw()->expect("tick"));
		return;
	}
	CHECK(o.status == 1);
	CHECK(has(o.err, "(CANCELLED)"));
	CHECK(goes_on(*child));
	CHECK(!fs::exists(place.image()));
	CHECK(!fs::exists(place.image() + ".part"));
	CHECK(place.tool({"suspend", "vk"}).status == 0);
}

TEST_CASE("an interrupt of the tool at any moment: suspended or running on and never between", "[host]")
{
	Slow slow;
	Random random;
	Child child = slow.place.thaw();
	REQUIRE(child->expect("whole"));
	for (int i = 0; i < 12; i++) {
		const std::string old = contents(slow.place.image());
		Process tool({.words = {tool_path(), "suspend", "vk"}});
		random.pause_us(150000);
		tool.signal(SIGINT);
		const Outcome o = tool.end();
		INFO(random.repeat() << ", round " << i << ", status " << o.status << ": " << o.err);
		if (o.status == 0) {
			REQUIRE(child->end().status == VKCKPT_EXIT_SUSPENDED);
			REQUIRE(slow.image_is_good());
			child = slow.place.thaw();
			REQUIRE(child->expect("whole"));
		} else {
			REQUIRE((o.status == 1 || o.status == 128 + SIGINT));	// the latter: before it asked
			REQUIRE(child->running());
			REQUIRE(contents(slow.place.image()) == old);
			REQUIRE(!fs::exists(slow.place.image() + ".part"));
			REQUIRE(slow.place.tool({"list", "-o", "state", "vk"}).out == "running\n");
		}
	}
}

TEST_CASE("a tool aimed at a foreign process sends nothing", "[host]")
{
	Place place;
	Process foreign({.words = {"/bin/busybox", "sleep", "1000"}});
	const std::string pid = std::to_string(foreign.pid());
	for (const char *command : {"suspend", "checkpoint"}) {
		const Outcome o = place.tool({command, pid});
		CHECK(o.status == 1);
		CHECK(has(o.err, "(NOT_FOUND)"));
		CHECK(foreign.running());
	}
	// Its number, in an entry that a dead vkernel left.
	Child child = place.sh(kTicks);
	REQUIRE(child->expect("ready"));
	std::string entry = contents(place.run_dir() + "/vk." + std::to_string(child->pid()));
	child->signal(SIGKILL);
	(void)child->end();
	uint64_t number = uint64_t(foreign.pid());
	memcpy(entry.data() + 8, &number, sizeof number);
	write_file(place.run_dir() + "/vk." + pid, entry);
	CHECK(place.tool({"suspend", pid}).status == 1);
	CHECK(place.tool({"suspend", "vk"}).status == 1);
	CHECK(foreign.running());
}

TEST_CASE("a run directory that is full or cannot be written: said at the start", "[host]")
{
	Place place;
	write_file(place.run_dir(), "");	// no folder
	const Outcome o = place.sh("echo up")->end();
	INFO(o.err);
	CHECK(o.status == 1);
	CHECK(o.out == "");
	CHECK(has(o.err, place.run_dir()));
	fs::remove(place.run_dir());
	CHECK(place.sh("echo up")->end().out == "up\n");

	SmallFileSystem small(place / "small", "size=16k");
	if (!small.there())
		TEST_SKIP("no user name space with a tmpfs can be made here");
	Child filler = small.start({"/bin/busybox", "sh", "-c", "cat /dev/zero >" + small.at + "/full; mkdir -m 700 " + small.at + "/run; echo filled"});
	REQUIRE(filler->expect("filled"));
	setenv("VKCKPT_RUNDIR", (small.at + "/run").c_str(), 1);
	Child full = small.start(place.boot_words({"/bin/sh", "-c", "echo up"}));
	const Outcome said = full->end();
	setenv("VKCKPT_RUNDIR", place.run_dir().c_str(), 1);
	INFO(said.err);
	CHECK(said.status == 1);
	CHECK(has(said.err, "(NO_SPACE)"));
}

TEST_CASE("the image's file system is taken away: the vkernel runs on, and suspends elsewhere", "[host]")
{
	Place place;
	SmallFileSystem small(place / "small", "size=64m");
	if (!small.there())
		TEST_SKIP("no user name space with a tmpfs can be made here");
	Child child = small.start(place.boot_words({"/bin/sh", "-c", kTicks}, {"--image", small.at + "/sub/vk.ckpt"}));
	Child maker = small.start({"/bin/busybox", "sh", "-c", "mkdir " + small.at + "/sub; echo made"});
	REQUIRE(maker->expect("made"));
	REQUIRE(child->expect("ready"));
	Child taker = small.start({"/bin/busybox", "sh", "-c", "umount -l " + small.at + " && echo taken"});
	if (!taker->expect("taken"))
		TEST_SKIP("a file system of a user name space cannot be taken away here");
	CHECK(result_of_signal(place, *child) == VKCKPT_R_NOT_FOUND);
	CHECK(goes_on(*child));
	fs::create_directory(small.at + "/sub");	// below the mount point
	REQUIRE(suspend(*child) == "");
	CHECK(place.thaw({}, small.at + "/sub/vk.ckpt")->expect("tick"));
}

TEST_CASE("a storm of other signals during a suspend and during a thaw", "[host]")
{
	Place place;
	Random random;
	Child child = place.sh("echo ready; n=0; while :; do n=$((n+1)); echo at $n.; sleep 0.01; done", {"-n", "2"});
	REQUIRE(child->expect("at 3."));
	for (int i = 0; i < 6; i++) {
		INFO(random.repeat() << ", round " << i);
		child->signal(VKCKPT_SIGCKPT);
		for (int j = 0; j < 300 && child->running(); j++) {
			for (int number : {SIGWINCH, SIGCONT, SIGURG})
				child->signal(number);
			random.pause_us(200);
		}
		const Outcome o = child->end();
		INFO(o.err);
		REQUIRE(o.status == VKCKPT_EXIT_SUSPENDED);
		child = place.thaw();
		for (int j = 0; j < 300; j++) {
			for (int number : {SIGWINCH, SIGCONT, SIGURG})
				child->signal(number);
			random.pause_us(200);
		}
		REQUIRE(child->expect("at "));
	}
}

TEST_CASE("an end by SIGTERM or kill -9 leaves no process and no entry that counts", "[host]")
{
	for (int signal : {SIGTERM, SIGKILL}) {
		Place place;
		Child child = place.sh("sleep 1000 & sleep 1000 & echo ready; while :; do :; done", {"-n", "2"});
		REQUIRE(child->expect("ready"));
		CHECK(await([&] { return guest_processes(child->pid()).size() >= 3; }));	// those of the sleeps come when they first run
		child->signal(signal);
		CHECK(child->end().status == 128 + signal);
		CHECK(await([&] { return survivors(child->pid()).empty(); }));
		CHECK(place.tool({"list", "-o", "pid"}).out == "");
	}
}
