// minivk's processes, threads, memory, signals and time: the guests of test/guests on one and two vCPUs, the command line,
// and a first suspend and thaw.
#include <catch2/catch.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <unistd.h>

#include "test/e2e/vk.h"

namespace {

using vktest::Outcome;
using vktest::Spec;
namespace fs = std::filesystem;

// A root folder for guests: busybox and the programs of test/guests.
struct Root {
	fs::path path;
	Root()
	{
		std::string pattern = (fs::temp_directory_path() / "minivk-core.XXXXXX").string();
		path = mkdtemp(pattern.data());
		fs::create_directories(path / "root/bin");
		fs::copy_file("/bin/busybox", path / "root/bin/busybox");
		fs::path guests = fs::path(vktest::minivk_path()).parent_path().parent_path() / "test/guests";
		for (const char *name : {"threads", "avx", "signals", "forktree", "scatter", "vforkexec", "processes", "sharing"})
			fs::copy_file(guests / name, path / "root/bin" / name);
	}
	~Root() { fs::remove_all(path); }
	Spec spec(std::vector<std::string> options, std::vector<std::string> program) const
	{
		Spec s;
		s.options = std::move(options);
		s.options.insert(s.options.end(), {"--root", (path / "root").string()});
		s.program = std::move(program);
		s.folder = path.string();
		s.deadline_s = 120;
		return s;
	}
};

size_t count(const std::string &text, const std::string &what)
{
	size_t n = 0;
	for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += what.size())
		n++;
	return n;
}

// Runs a guest, suspended and thawed at every n-th trap, to its end; *suspends counts.
Outcome with_suspends(const Root &root, std::vector<std::string> options, std::vector<std::string> program, int n, int *suspends)
{
	const std::string image = (root.path / "core.ckpt").string(), every = std::to_string(n);
	options.insert(options.end(), {"--name", "core", "--image", image, "--test-ckpt-every", every});
	Outcome all = vktest::run(root.spec(options, std::move(program)));
	for (*suspends = 0; all.status == 33; ++*suspends) {
		Spec thaw;
		thaw.options = {"--thaw", image, "--test-ckpt-every", every};
		thaw.folder = root.path.string();
		thaw.deadline_s = 120;
		Outcome leg = vktest::run(thaw);
		all.out += leg.out;
		all.err += leg.err;
		all.status = leg.status;
	}
	return all;
}

}  // namespace

TEST_CASE("guests that check themselves find nothing wrong, on one vCPU and on two")
{
	const Root root;
	for (const char *cpus : {"1", "2"}) {
		INFO("vCPUs: " << cpus);
		const std::vector<std::string> options = {"-n", cpus, "-m", "600m"};
		auto run = [&](std::vector<std::string> program) {
			Outcome o = vktest::run(root.spec(options, program));
			INFO(program[0] << ": " << o.out << o.err);
			CHECK(o.status == 0);
			return o.out;
		};
		CHECK(count(run({"/bin/signals"}), ": ok\n") == 27);
		CHECK(count(run({"/bin/sharing"}), ": ok\n") == 9);
		CHECK(run({"/bin/avx"}).find("wrong: 0\n") == 0);
		CHECK(run({"/bin/scatter", "64"}) == "pages 16384 wrong 0\n");
		CHECK(count(run({"/bin/vforkexec"}), "open:0\n") == 10);
		CHECK(run({"/bin/processes", "50"}).find("ended: 50 wrong: 0\n") != std::string::npos);
		CHECK(run({"/bin/threads"}).find("done\n") != std::string::npos);
		CHECK(run({"/bin/forktree"}) == "7c35c1f0\n");
	}
}

TEST_CASE("200 processes and 256 MiB of scattered mappings fit")
{
	const Root root;
	Outcome o = vktest::run(root.spec({"-m", "600m"}, {"/bin/scatter"}));
	CHECK(o.out == "pages 65536 wrong 0\n");
	o = vktest::run(root.spec({}, {"/bin/processes"}));
	CHECK(o.out.find("ended: 200 wrong: 0\n") != std::string::npos);
}

TEST_CASE("guests that are suspended and thawed again and again print what they print undisturbed")
{
	const Root root;
	int suspends;
	Outcome o = with_suspends(root, {"-n", "2", "-m", "64m"}, {"/bin/forktree"}, 60, &suspends);
	INFO(o.out << o.err);
	CHECK(o.out == "7c35c1f0\n");
	CHECK(suspends >= 4);
	o = with_suspends(root, {"-m", "64m"}, {"/bin/signals"}, 40, &suspends);
	INFO(o.status << ": " << o.out << o.err);
	CHECK(count(o.out, ": ok\n") == 27);
	CHECK(suspends >= 3);
	o = with_suspends(root, {"-n", "2", "-m", "64m"}, {"/bin/avx"}, 45, &suspends);
	CHECK(o.out.find("wrong: 0\n") == 0);
	CHECK(suspends >= 4);
}

TEST_CASE("a guest that runs out of memory is killed, the others go on")
{
	const Outcome o = vktest::sh("(x=aaaaaaaa; while :; do x=$x$x; done); echo alive", {"-m", "48m"});
	CHECK(o.out.find("alive\n") != std::string::npos);
	CHECK(o.err.find("out of memory") != std::string::npos);
	CHECK(o.status == 0);
}

TEST_CASE("the exit status tells how the first process ended")
{
	CHECK(vktest::sh("exit 42").status == 42);
	CHECK(vktest::sh("kill -TERM $$").status == 143);
	CHECK(vktest::sh("kill -KILL $$").status == 137);
}

TEST_CASE("misuse of the command line is explained and ends with 2")
{
	auto status = [](std::vector<std::string> options) {
		Spec s;
		s.options = std::move(options);
		s.program = {"true"};
		Outcome o = vktest::run(s);
		CHECK(o.err.find("minivk: ") == 0);
		return o.status;
	};
	CHECK(status({"--bogus"}) == 2);
	CHECK(status({"-m", "many"}) == 2);
	CHECK(status({"-n", "0"}) == 2);
	CHECK(status({"-e", "NAME"}) == 2);
	CHECK(status({"--console", "window"}) == 2);
	CHECK(status({"--on-ckpt", "sleep"}) == 2);
	CHECK(status({"--name", "a/b"}) == 2);
	CHECK(status({"--name", ".."}) == 2);
	CHECK(status({"--codec", "lz4:3"}) == 2);
	CHECK(status({"--dry-run"}) == 2);
	CHECK(status({"--image", ""}) == 2);
	CHECK(status({"--image", "fd:x"}) == 2);
	CHECK(status({"--thaw", "fd:x"}) == 2);
	CHECK(status({"--thaw", "x", "--name", "y"}) == 2);
	CHECK(status({"--cpu-mask", "foo"}) == 2);
	CHECK(status({"--image", "-"}) == 2);
	CHECK(status({"-r", "/no/such/disk"}) == 1);
	CHECK(status({"-r", "/dev/null"}) == 1);
	CHECK_FALSE(fs::exists("/dev/null.vkckpt"));
}

TEST_CASE("what shred calls is there")
{
	CHECK(vktest::sh("seq 9 >/tmp/f; shred -n 1 /tmp/f").err.empty());	// fdatasync
}

TEST_CASE("a stopped process bothers nobody while its group was never watched over")
{
	const Outcome o = vktest::sh("sleep 5 & kill -STOP $!; (exit 0); /bin/true; echo on; kill -KILL $!");
	CHECK(o.status == 0);
	CHECK(o.out == "on\n");
}

TEST_CASE("a stopped job whose shell ends gets SIGHUP and goes on")
{
	const Outcome o = vktest::sh("setsid -c sh -c 'set -m; sh -c \"trap \\\"echo hup\\\" HUP; kill -STOP \\$\\$; echo on\" &"
	    " until grep -q \"(sh) T\" /proc/$!/stat; do sleep 0.05; done; exit 4'; echo $?; sleep 0.5; echo end");
	CHECK(count(o.out, "hup\n") == 1);
	CHECK(count(o.out, "on\n") == 1);
	CHECK(count(o.out, "4\n") == 1);
	CHECK(count(o.out, "end\n") == 1);
}

TEST_CASE("an image that cannot be written, or replaces another, is announced at the start")
{
	const Root root;
	const std::string old = (root.path / "old.ckpt").string();
	std::ofstream(old) << "old";
	auto said = [&](const std::string &image) { return vktest::sh("true", {"--image", image}).err; };
	CHECK(said((root.path / "none/x.ckpt").string()).find("No such file or directory: a suspend will fail") != std::string::npos);
	CHECK(said(root.path.string()).find("not a regular file: a suspend will fail") != std::string::npos);
	CHECK(said("fd:99").find("descriptor 99 is not open: a suspend will fail") != std::string::npos);
	CHECK(said(old).find("is there already: a suspend will replace it") != std::string::npos);
	CHECK(said((root.path / "new.ckpt").string()).empty());
}

TEST_CASE("a pidfile and a memory image belong to one vkernel at a time")
{
	const Root root;
	const std::string pidfile = (root.path / "pid").string(), memory = (root.path / "memory").string();
	const Outcome o = vktest::run(root.spec({"-p", pidfile, "-i", memory, "-m", "32m"}, {"/bin/busybox", "true"}));
	CHECK(o.status == 0);
	CHECK_FALSE(fs::exists(pidfile));
	CHECK(fs::file_size(memory) == 32 << 20);
}

TEST_CASE("a file of the user's is not taken for a pidfile, and one that is not ours any more is not removed")
{
	const Root root;
	auto at = [&](const char *name) { return (root.path / name).string(); };
	auto ran = [&](const std::string &pidfile, const std::string &script) {
		return vktest::run(root.spec({"-p", pidfile, "-m", "32m"}, {"/bin/busybox", "sh", "-c", script}));
	};
	std::ofstream(at("notes.txt")) << "my notes\n";
	std::ofstream(at("left")) << "4711\n";
	const Outcome refused = ran(at("notes.txt"), "true");
	CHECK(refused.status == 1);
	CHECK(refused.err.find("holds something else than a process id") != std::string::npos);
	CHECK(fs::file_size(at("notes.txt")) == 9);
	CHECK(ran(at("left"), "true").status == 0);
	CHECK_FALSE(fs::exists(at("left")));
}

TEST_CASE("a file named for two purposes is refused before anything is done to it")
{
	const Root root;
	auto at = [&](const char *name) { return (root.path / name).string(); };
	std::ofstream(at("disk")) << std::string(1 << 20, 'd');
	fs::create_symlink(at("disk"), at("link"));
	fs::create_hard_link(at("disk"), at("name"));
	auto refused = [&](std::vector<std::string> options, const char *what) {
		options.insert(options.end(), {"-m", "32m"});
		const Outcome o = vktest::run(root.spec(std::move(options), {"/bin/busybox", "true"}));
		INFO(o.err);
		CHECK(o.status == 1);
		CHECK(o.err.find(std::string(what) + " name one file") != std::string::npos);
		CHECK(fs::file_size(at("disk")) == 1 << 20);
		CHECK_FALSE(fs::exists(at("disk.vkckpt")));
	};
	refused({"-r", at("disk"), "-i", at("disk")}, "-r and -i");
	refused({"-r", at("disk"), "-p", at("link")}, "-r and -p");
	refused({"-r", at("name"), "--console", "log:" + at("disk")}, "-r and --console log:");
	refused({"-i", at("new"), "--image", at("new")}, "-i and --image");
	CHECK_FALSE(fs::exists(at("new")));
	CHECK(vktest::run(root.spec({"-r", at("disk"), "-i", at("new"), "--console", "log:/dev/null", "-m", "32m"}, {"/bin/busybox", "true"})).status == 0);
}

TEST_CASE("a system call that is not there is counted and named once")
{
	const Outcome o = vktest::sh("unshare true; unshare true; echo done");
	CHECK(o.out.find("done\n") != std::string::npos);
	CHECK(count(o.err, "(unshare)") == 1);
}
