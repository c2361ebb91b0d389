// Clones: several vkernels out of one image at the same time, each with a name, random numbers and a disk of its own; the image and its
// disk stay as they were for their owner. And a clone in another network, from an image that comes through a socket.
#include <catch2/catch.hpp>

#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <set>
#include <sstream>

#include <vkckpt/disk.h>

#include "test/e2e/place.h"
#include "test/skip.h"

using namespace vktest;
namespace fs = std::filesystem;

namespace {

// Suspended with "old" at the beginning of its disk. After a thaw it says what is random in it and its name, writes the first random
// number to the disk, and waits for a suspend or the end.
const char kGuest[] = "printf old | dd of=/dev/vkd0 conv=notrunc 2>/dev/null; sync; x=kept; echo ready; thawed; "
    "hex() { head -c 16 $1 | od -An -tx1 | tr -d ' \\n'; }; hex /dev/urandom >/tmp/random; "
    "echo random $(cat /tmp/random); echo random $(hex /dev/random); echo random $(cut -d' ' -f2 /dev/vkckpt); "
    "echo $(cat /proc/cmdline) disk $(dd if=/dev/vkd0 bs=3 count=1 2>/dev/null) $x; "
    "dd if=/tmp/random of=/dev/vkd0 conv=notrunc 2>/dev/null; sync; echo written; thawed; echo $x again $(dd if=/dev/vkd0 bs=32 count=1 2>/dev/null)";

struct Suspended : Place {
	std::string disk = make_disk(1 << 20);
	std::string image_bytes, disk_bytes, sidecar_bytes;
	explicit Suspended(const std::string &script = kGuest)
	{
		Child child = sh(script, {"-r", disk});
		REQUIRE(child->expect("ready"));
		REQUIRE(suspend(*child) == "");
		look(&image_bytes, &disk_bytes, &sidecar_bytes);
	}
	void look(std::string *of_image, std::string *of_disk, std::string *of_sidecar) const
	{
		*of_image = contents(image());
		*of_disk = contents(disk);
		*of_sidecar = contents(disk + VKCKPT_SIDECAR_SUFFIX);
	}
	void untouched() const
	{
		std::string of_image, of_disk, of_sidecar;
		look(&of_image, &of_disk, &of_sidecar);
		CHECK(of_image == image_bytes);
		CHECK(of_disk == disk_bytes);
		CHECK(of_sidecar == sidecar_bytes);
		for (const auto &entry : fs::directory_iterator(path()))
			CHECK(!has(entry.path().filename(), ".part"));
	}
	void refused(const std::vector<std::string> &options, int status, const std::string &part)
	{
		const Outcome o = thawed(options);
		INFO(o.err);
		CHECK(o.status == status);
		CHECK(has(o.err, part));
		CHECK(o.out == "");
	}
};

}  // namespace

TEST_CASE("eight clones of one image run at the same time, each one its own", "[clone]")
{
	const bool lazy = GENERATE(false, true);
	Suspended s;
	std::vector<Child> clones;
	for (int i = 0; i < 8; i++)
		clones.push_back(s.thaw({"--clone=c" + std::to_string(i), lazy ? "--lazy" : "--workers=2"}));
	std::set<std::string> random;
	for (int i = 0; i < 8; i++) {
		Process &clone = *clones[size_t(i)];
		const std::string name = "c" + std::to_string(i);
		INFO(name << ": " << clone.out() << clone.err());
		REQUIRE(clone.expect("written"));
		CHECK(has(clone.out(), "name=" + name + " disk old kept"));
		std::istringstream lines(clone.out());
		for (std::string line; std::getline(lines, line);)
			if (line.compare(0, 7, "random ") == 0 && line.size() > 8)
				CHECK(random.insert(line).second);
		CHECK(has(clone.err(), "clone " + name));
		CHECK((has(clone.err(), "reflink") || has(clone.err(), "copied whole")));
	}
	CHECK(random.size() == 3 * 8);
	s.untouched();
	CHECK(has(s.tool({"list"}).out, "c3"));

	// One is suspended, to an image of its own, and goes on from it; its brothers and the owner do not notice.
	REQUIRE(s.tool({"suspend", "c3"}).status == 0);
	const Outcome ended = clones[3]->end();
	CHECK(ended.status == VKCKPT_EXIT_SUSPENDED);
	s.untouched();
	const std::string number = ended.out.substr(ended.out.find("random ") + 7, 32);
	const Outcome later = s.thawed({}, s / "c3.ckpt");
	INFO(later.err);
	CHECK(later.out == "kept again " + number + "\n");
	for (Child &clone : clones)
		clone.reset();
	s.untouched();
	Child owner = s.thaw();
	REQUIRE(owner->expect("disk old kept"));
	REQUIRE(owner->expect("written"));
}

TEST_CASE("a clone that fails, or is only tried, leaves nothing behind", "[clone]")
{
	Suspended s;
	const auto files = [&] {
		std::set<std::string> names;
		for (const auto &entry : fs::recursive_directory_iterator(s.path()))
			names.insert(entry.path());
		return names;
	};
	const std::set<std::string> before = files();
	const Outcome dry = s.thawed({"--clone=dry", "--dry-run"});
	INFO(dry.err);
	CHECK(dry.status == 0);
	CHECK(files() == before);
	std::string damaged = s.image_bytes;
	damaged[damaged.size() / 2] = char(damaged[damaged.size() / 2] ^ 1);
	write_file(s / "damaged.ckpt", damaged);
	const Outcome o = s.thawed({"--clone=bad"}, s / "damaged.ckpt");
	INFO(o.err);
	CHECK(o.status == 1);
	CHECK((has(o.err, "(DAMAGED)") || has(o.err, "(TRUNCATED)")));
	fs::remove(s / "damaged.ckpt");
	CHECK(files() == before);
	s.untouched();
}

TEST_CASE("a clone killed while it copies its disk is in nobody's way", "[clone]")
{
	Suspended s;
	write_file(s.disk + ".again.part", "left over");	// as a process that died leaves it: not locked
	Child clone = s.thaw({"--clone=again"});
	REQUIRE(clone->expect("written"));
	CHECK(!fs::exists(s.disk + ".again.part"));
	const int fd = open((s.disk + ".busy.part").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct flock lock = {};
	lock.l_type = F_WRLCK;
	REQUIRE(fcntl(fd, F_OFD_SETLK, &lock) == 0);
	s.refused({"--clone=busy"}, 1, "(IMAGE_IN_USE)");
	close(fd);
}

TEST_CASE("clones that cannot be are refused by name", "[clone]")
{
	Suspended s;
	s.refused({"--clone=.x"}, 2, "dot");
	s.refused({"--clone=a/b"}, 2, "letters");
	s.refused({"--clone="}, 2, "characters");
	write_file(s.disk + ".one", "");
	s.refused({"--clone=one"}, 1, "(CLONE_EXISTS)");
	s.refused({"--clone=one", "--dry-run"}, 1, "(CLONE_EXISTS)");
	s.untouched();
	Child owner = s.thaw();
	REQUIRE(owner->expect("written"));
	s.refused({"--clone=two"}, 1, "(DISK_IN_USE)");
	REQUIRE(suspend(*owner) == "");
	CHECK(!fs::exists(s.disk + ".two"));
	write_file(s / "old.ckpt", s.image_bytes);
	const Outcome o = s.thawed({"--clone=three"}, s / "old.ckpt");
	INFO(o.err);
	CHECK(o.status == 1);
	CHECK((has(o.err, "(DISK_SUPERSEDED)") || has(o.err, "(DISK_SUSPENDED)")));
	fs::remove(s.disk);
	CHECK(has(s.thawed({"--clone=four"}).err, "(DISK_MISSING)"));
	const Outcome boot = s.sh("true", {"--clone"})->end();
	CHECK(boot.status == 2);
	CHECK(has(boot.err, "--thaw"));
}

TEST_CASE("a clone without a name of its own gets one, and its console is not its brother's", "[clone]")
{
	Place place;
	Child child = place.sh("echo ready; thawed; cat /proc/cmdline", {"--console", "log:" + (place / "log")});
	REQUIRE(await([&] { return has(contents(place / "log"), "ready"); }));
	REQUIRE(suspend(*child) == "");
	Child clone = place.thaw({"--clone"});
	const std::string name = "vk-" + std::to_string(clone->pid());
	const Outcome o = clone->end();
	INFO(o.err);
	CHECK(o.status == 0);
	CHECK(has(contents(place / ("log." + name)), "name=" + name));
	CHECK(contents(place / "log") == "ready\n");
	CHECK(place.thawed({"--clone=b", "--console", "stdio"}).out == "name=b\n");
}

TEST_CASE("an image goes through a network to another host, where a clone is thawed from it", "[clone]")
{
	if (geteuid() != 0)
		TEST_SKIP("only root can make network namespaces");
	Suspended s("echo ready; thawed; echo far $(cat /proc/cmdline)");
	// Two hosts, as far as the network is concerned: a process that waits in a namespace of its own is one of them.
	const auto host = [] {
		return std::make_unique<Process>(Process::Setup{.words = {"/bin/busybox", "sh", "-c", "echo up; exec sleep 1000"},
		    .before_exec = [] { if (unshare(CLONE_NEWNET) != 0) _exit(99); }});
	};
	Child here = host(), there = host();
	if (!here->expect("up") || !there->expect("up"))
		TEST_SKIP("this host gives no network namespaces");
	const auto on = [](Process &where, const std::string &command) {
		return std::system(("/bin/busybox nsenter -n -t " + std::to_string(where.pid()) + " /bin/busybox ip " + command +
		    " 2>/dev/null").c_str()) == 0;
	};
	if (!on(*here, "link add wire type veth"))
		TEST_SKIP("this host has no virtual Ethernet");
	REQUIRE(on(*here, "link set veth0 netns " + std::to_string(there->pid())));
	REQUIRE(on(*here, "addr add 10.9.0.1/24 dev wire"));
	REQUIRE(on(*here, "link set wire up"));
	REQUIRE(on(*there, "addr add 10.9.0.2/24 dev veth0"));
	REQUIRE(on(*there, "link set veth0 up"));

	const auto enter = [](pid_t pid) {
		const int fd = open(("/proc/" + std::to_string(pid) + "/ns/net").c_str(), O_RDONLY | O_CLOEXEC);
		if (setns(fd, CLONE_NEWNET) != 0)
			_exit(99);
	};
	sockaddr_in address = {};
	address.sin_family = AF_INET;
	address.sin_port = htons(7000);
	inet_pton(AF_INET, "10.9.0.2", &address.sin_addr);
	const pid_t far = there->pid(), near = here->pid();
	Process clone({.words = s.thaw_words({"--clone=far"}, "-"), .folder = s.path(), .before_exec = [=] {
		enter(far);
		const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (bind(listener, reinterpret_cast<const sockaddr *>(&address), sizeof address) != 0 || listen(listener, 1) != 0)
			_exit(98);
		dup2(accept(listener, nullptr, nullptr), 0);
	}});
	Process sender({.words = {"/bin/busybox", "cat", s.image()}, .before_exec = [=] {
		enter(near);
		for (int i = 0; i < 1000; i++) {
			const int to = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
			if (connect(to, reinterpret_cast<const sockaddr *>(&address), sizeof address) == 0) {
				dup2(to, 1);
				return;
			}
			close(to);
			usleep(20000);
		}
		_exit(97);
	}});
	CHECK(sender.end().status == 0);
	const Outcome o = clone.end();
	INFO(o.err);
	CHECK(o.status == 0);
	CHECK(o.out == "far name=far\n");
	s.untouched();
}
