// The scripts of examples/systemd without systemd: called in its order, with its environment, around real vkernels.
#include <catch2/catch.hpp>

#include "test/e2e/command_util.h"
#include "test/skip.h"

using namespace command_test;

namespace {

bool has(const std::string &text, const std::string &part) { return text.find(part) != std::string::npos; }

// hello behind the command line that the scripts speak (minivk's). hello is always named "hello".
const char *const kHelloAdapter = R"(#!/bin/sh
thaw= image= dry=
while [ $# -gt 0 ]; do
	case $1 in
	--name) shift ;;
	--image) image=$2; shift ;;
	--thaw) thaw=$2; shift ;;
	--dry-run) dry=1 ;;
	--fail) echo "adapter: told to fail" >&2; exit 1 ;;
	esac
	shift
done
[ -z "$dry" ] || exec "$BIN/vkckpt" info "$thaw" >/dev/null
[ -z "$thaw" ] || exec "$BIN/hello" --thaw "$thaw"
exec "$BIN/hello" "$image"
)";

// vkckpt with one answer changed.
const char *const kHugeEstimate = R"(#!/bin/sh
[ "$1 $2 $3" != "list -o estimate" ] || { echo 4611686018427387904; exit 0; }
exec "$BIN/vkckpt" "$@"
)";

// One unit, and systemd's part: it starts, waits for the start to be complete, stops, and kills what is left.
class Unit {
public:
	Unit() : name("hello")
	{
		mkdir((dir / "run").c_str(), 0700);
		write_all(dir / "vkernel", kHelloAdapter);
		chmod((dir / "vkernel").c_str(), 0755);
		environment = {{"VKCKPT_RUNDIR", dir / "run"}, {"VKCKPT", bin("vkckpt")}, {"VKERNEL", dir / "vkernel"},
		    {"BIN", std::filesystem::path(bin("vkckpt")).parent_path()}, {"STATE_DIRECTORY", dir / "state"},
		    {"START_TIMEOUT", "60"}, {"STOP_TIMEOUT", "60"}, {"JOURNAL_STREAM", ""}};
	}
	~Unit() { end(SIGKILL); }

	// ExecStart, ExecStartPost. The status of the first that failed, 0 when both went well.
	int start() { launch(); return settle(); }
	void launch()
	{
		end(SIGKILL);
		pid_ = fork();
		if (pid_ == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (const auto &[key, value] : environment)
				setenv(key.c_str(), value.c_str(), 1);
			dup2(open("/dev/null", O_RDONLY), 0);
			int log_fd = open((dir / "log").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
			dup2(log_fd, 1);
			dup2(log_fd, 2);
			execl(script("vkernel-start").c_str(), "vkernel-start", name.c_str(), nullptr);
			_exit(127);
		}
	}
	int settle()
	{
		Ran ran = call("vkernel-started");
		started_messages = ran.err;
		return ran.status;
	}
	// ExecStop; then, as systemd does, whatever is left is ended. main_status: the vkernel's.
	int stop()
	{
		Ran ran = call("vkernel-stop");
		stop_messages = ran.err;
		still_running = running();
		end(still_running ? SIGKILL : 0);
		return ran.status;
	}
	bool running() const
	{
		siginfo_t info{};
		return pid_ > 0 && waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0;
	}
	int end(int signal)
	{
		if (pid_ <= 0)
			return -1;
		if (signal)
			kill(pid_, signal);
		int status = 0;
		waitpid(pid_, &status, 0);
		main_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		pid_ = 0;
		return main_status;
	}
	Ran call(const std::string &which)
	{
		Environment with_pid = environment;
		if (pid_ > 0)
			with_pid["MAINPID"] = std::to_string(pid_);
		return Child({script(which), name}, with_pid).finish();
	}
	Ran vkckpt(std::vector<std::string> words)
	{
		words.insert(words.begin(), bin("vkckpt"));
		return Child(words, environment).finish();
	}
	std::string script(const std::string &which) const { return source("examples/systemd/" + which); }
	std::string image() const { return dir / ("state/" + name + ".ckpt"); }
	bool has_image() const { return std::filesystem::exists(image()); }
	// All that the start and the vkernel have said.
	std::string log() const { return read_all(dir / "log"); }
	// hello's secret that lives in RAM alone.
	std::string nonce() const
	{
		std::string text = log();
		size_t place = text.rfind("nonce ");
		return place == std::string::npos ? "" : text.substr(place + 6, 16);
	}
	void damage_image()
	{
		std::string bytes = read_all(image());
		bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 0x40);
		write_all(image(), bytes);
	}
	// Runs it once, so that an image is there. The nonce in it.
	std::string make_image()
	{
		REQUIRE(start() == 0);
		std::string secret = nonce();
		REQUIRE(stop() == 0);
		REQUIRE(has_image());
		return secret;
	}

	TempDir dir;
	std::string name;
	Environment environment;
	std::string started_messages, stop_messages;
	int main_status = -1;
	bool still_running = false;

private:
	pid_t pid_ = 0;
};

}  // namespace

TEST_CASE("systemd: start boots, stop suspends, start thaws, over and over", "[systemd]")
{
	Unit unit;
	INFO(unit.log());
	REQUIRE(unit.start() == 0);
	CHECK(has(unit.log(), "booting"));
	CHECK(!has(unit.log(), "warning"));
	CHECK(unit.started_messages == "");
	std::string secret = unit.nonce();
	REQUIRE(secret.size() == 16);
	for (int round = 0; round < 3; round++) {
		CHECK(unit.stop() == 0);
		CHECK(unit.main_status == VKCKPT_EXIT_SUSPENDED);
		CHECK(!unit.still_running);
		CHECK(has(unit.stop_messages, "suspended to " + unit.image()));
		CHECK(unit.has_image());
		REQUIRE(unit.start() == 0);
		CHECK(has(unit.log(), "thawing"));
		CHECK(!has(unit.log(), "warning"));
		CHECK(unit.nonce() == secret);
		// It has become the running vkernel.
		CHECK(!unit.has_image());
	}
}

// minivk with a writable disk in place of hello.
struct DiskUnit : Unit {
	std::string disk = dir / "disk.img";
	DiskUnit()
	{
		name = "web";
		write_all(disk, "");
		std::filesystem::resize_file(disk, 1 << 20);
		std::string console = " --console log:" + (dir / "console");
		environment["VKERNEL"] = bin("minivk");
		environment["BOOT_ARGS"] = "-m 32m -r " + disk + console +
		    " -- /bin/sh -c 'echo booted; i=0;"
		    " while :; do i=$((i+1)); echo tick $i.; sleep 0.05; done'";
		environment["THAW_ARGS"] = console;
	}
	std::string console() const { return read_all(dir / "console"); }
	size_t boots() const
	{
		std::string text = console();
		size_t count = 0;
		for (size_t at = 0; (at = text.find("booted", at)) != std::string::npos; at++)
			count++;
		return count;
	}
	// The guest goes on: its counter moves.
	bool ticks()
	{
		size_t seen = console().size();
		return await([&] { return console().size() > seen + 30; });
	}
};

TEST_CASE("systemd: minivk with a disk is carried over stops and starts", "[systemd]")
{
	DiskUnit unit;
	REQUIRE(unit.start() == 0);
	for (int round = 0; round < 3; round++) {
		CHECK(unit.ticks());
		CHECK(unit.stop() == 0);
		CHECK(unit.main_status == VKCKPT_EXIT_SUSPENDED);
		REQUIRE(unit.start() == 0);
	}
	CHECK(unit.ticks());
	// The log of the console is continued; a thawed guest does not say "booted" again.
	CHECK(unit.boots() == 1);
	CHECK(unit.console().find("tick 1.") == unit.console().rfind("tick 1."));
}

TEST_CASE("systemd: an image whose disk was changed is not thawed; given up, the disk boots", "[systemd]")
{
	DiskUnit unit;
	REQUIRE(unit.start() == 0);
	REQUIRE(unit.stop() == 0);
	pause_ms(20);
	std::fstream(unit.disk, std::ios::in | std::ios::out) << "changed";
	CHECK(unit.start() == 1);
	CHECK(has(unit.log(), "(DISK_CHANGED)"));
	CHECK(unit.has_image());
	unit.environment["ON_FAILED_THAW"] = "quarantine";
	REQUIRE(unit.start() == 0);
	CHECK(has(unit.log(), "booting"));
	CHECK(unit.ticks());
	CHECK(std::filesystem::exists(unit.image() + ".quarantine.1"));
}

TEST_CASE("systemd: an image too damaged to name its disks: DISKS does, and without it nothing is overridden", "[systemd]")
{
	DiskUnit unit;
	REQUIRE(unit.start() == 0);
	REQUIRE(unit.stop() == 0);
	write_all(unit.image(), "nothing but rubbish");
	unit.environment["ON_FAILED_THAW"] = "quarantine";
	CHECK(unit.start() == 1);
	CHECK(has(unit.log(), "name them in DISKS"));
	CHECK(has(unit.log(), "(DISK_SUSPENDED)"));
	rename((unit.image() + ".quarantine.1").c_str(), unit.image().c_str());
	unit.environment["ON_FAILED_THAW"] = "boot";
	CHECK(unit.start() == 1);
	// What cannot even be read is not removed.
	rename((unit.image() + ".quarantine.1").c_str(), unit.image().c_str());
	unit.environment["DISKS"] = unit.disk;
	REQUIRE(unit.start() == 0);
	CHECK(!std::filesystem::exists(unit.image() + ".quarantine.1"));
	CHECK(unit.ticks());
}

TEST_CASE("systemd: after a crash the next start says so and boots", "[systemd]")
{
	Unit unit;
	std::string secret = unit.make_image();
	REQUIRE(unit.start() == 0);
	CHECK(unit.nonce() == secret);
	unit.end(SIGKILL);
	CHECK(unit.stop() == 0);	// systemd calls it for a unit that has died, too
	REQUIRE(unit.start() == 0);
	CHECK(unit.nonce() != secret);
	CHECK(!has(unit.log(), "thawing"));
}

TEST_CASE("systemd: after a power failure, when nobody could call the stop, the next start says so and boots", "[systemd]")
{
	Unit unit;
	REQUIRE(unit.start() == 0);
	unit.end(SIGKILL);
	REQUIRE(unit.start() == 0);
	CHECK(has(unit.log(), "ended without being suspended"));
	CHECK(has(unit.log(), "booting"));
}

TEST_CASE("systemd: ON_FAILED_THAW=fail starts nothing and changes nothing", "[systemd]")
{
	Unit unit;
	unit.make_image();
	unit.damage_image();
	std::string before = read_all(unit.image());
	CHECK(unit.start() == 1);
	CHECK(unit.end(0) == 1);
	CHECK(has(unit.log(), "nothing was started, nothing was changed"));
	CHECK(has(unit.log(), "(DAMAGED)"));
	CHECK(read_all(unit.image()) == before);
	CHECK(unit.vkckpt({"list", "-o", "pid"}).out.empty());
}

TEST_CASE("systemd: a thaw that was refused for a passing reason works at the next start", "[systemd]")
{
	Unit unit;
	std::string secret = unit.make_image();
	unit.environment["THAW_ARGS"] = "--fail";
	CHECK(unit.start() == 1);
	CHECK(has(unit.log(), "told to fail"));
	unit.environment["THAW_ARGS"] = "";
	REQUIRE(unit.start() == 0);
	CHECK(unit.nonce() == secret);
}

TEST_CASE("systemd: ON_FAILED_THAW=boot gives the image up", "[systemd]")
{
	Unit unit;
	std::string secret = unit.make_image();
	unit.damage_image();
	unit.environment["ON_FAILED_THAW"] = "boot";
	REQUIRE(unit.start() == 0);
	CHECK(has(unit.log(), "it is given up"));
	CHECK(has(unit.log(), "booting"));
	CHECK(unit.nonce() != secret);
	CHECK(!unit.has_image());
	CHECK(unit.stop() == 0);
}

TEST_CASE("systemd: ON_FAILED_THAW=quarantine keeps each bad image beside", "[systemd]")
{
	Unit unit;
	unit.environment["ON_FAILED_THAW"] = "quarantine";
	for (const char *number : {"1", "2"}) {
		unit.make_image();
		unit.damage_image();
		std::string bytes = read_all(unit.image());
		REQUIRE(unit.start() == 0);
		CHECK(read_all(unit.image() + ".quarantine." + number) == bytes);
		CHECK(!unit.has_image());
		CHECK(unit.stop() == 0);
		unlink(unit.image().c_str());
	}
}

TEST_CASE("systemd: VERIFY=no leaves damage in RAM to the thaw itself, which refuses it", "[systemd]")
{
	Unit unit;
	unit.make_image();
	std::string bytes = read_all(unit.image());
	std::string cut = bytes.substr(0, bytes.size() - 4096);
	write_all(unit.image(), cut);
	unit.environment["VERIFY"] = "no";
	CHECK(unit.start() == 1);
	CHECK(read_all(unit.image()) == cut);
}

TEST_CASE("systemd: a stop that cannot suspend says why, then and at the next start", "[systemd]")
{
	Unit unit;
	std::string folder = unit.dir / "images";
	mkdir(folder.c_str(), 0700);
	unit.environment["IMAGE"] = folder + "/x.ckpt";
	REQUIRE(unit.start() == 0);
	std::filesystem::remove_all(folder);
	CHECK(unit.stop() == 1);
	CHECK(has(unit.stop_messages, "not suspended: "));
	CHECK(has(unit.stop_messages, "runs on"));
	CHECK(unit.still_running);
	mkdir(folder.c_str(), 0700);
	REQUIRE(unit.start() == 0);
	CHECK(has(unit.log(), "warning: the last stop could not suspend it: "));
	CHECK(unit.stop() == 0);
	REQUIRE(unit.start() == 0);
	CHECK(!has(unit.log(), "warning"));
}

TEST_CASE("systemd: a vkernel that ends by itself needs no stop and no warning", "[systemd]")
{
	Unit unit;
	REQUIRE(unit.start() == 0);
	unit.end(SIGTERM);
	CHECK(unit.stop() == 0);
	CHECK(unit.stop_messages.empty());
	REQUIRE(unit.start() == 0);
	CHECK(!has(unit.log(), "warning"));
}

TEST_CASE("systemd: one suspended by hand stays suspended and thaws at the next start", "[systemd]")
{
	Unit unit;
	REQUIRE(unit.start() == 0);
	std::string secret = unit.nonce();
	REQUIRE(unit.vkckpt({"suspend", "hello"}).status == 0);
	CHECK(unit.end(0) == VKCKPT_EXIT_SUSPENDED);
	CHECK(unit.stop() == 0);
	CHECK(unit.has_image());
	REQUIRE(unit.start() == 0);
	CHECK(!has(unit.log(), "warning"));
	CHECK(unit.nonce() == secret);
}

TEST_CASE("systemd: a vkernel that ends before it is ready fails the start", "[systemd]")
{
	Unit unit;
	unit.environment["VKERNEL"] = "/bin/false";
	CHECK(unit.start() == 1);
	CHECK(has(unit.started_messages, "ended before it could be suspended"));
}

TEST_CASE("systemd: an image written between thaw and the end of the start is not put away", "[systemd]")
{
	Unit unit;
	std::string secret = unit.make_image();
	unit.launch();
	REQUIRE(await([&] { return unit.vkckpt({"list", "-o", "pid"}).out != ""; }));
	REQUIRE(unit.vkckpt({"checkpoint", "hello"}).status == 0);
	std::string bytes = read_all(unit.image());
	REQUIRE(unit.settle() == 0);
	CHECK(read_all(unit.image()) == bytes);
	CHECK(!std::filesystem::exists(unit.image() + ".thawed"));
	// And one suspended again at once.
	REQUIRE(unit.vkckpt({"suspend", "hello"}).status == 0);
	unit.end(0);
	unit.launch();
	REQUIRE(await([&] { return unit.vkckpt({"list", "-o", "pid"}).out != ""; }));
	REQUIRE(unit.vkckpt({"suspend", "hello"}).status == 0);
	unit.settle();
	CHECK(unit.has_image());
	unit.end(0);
	REQUIRE(unit.start() == 0);
	CHECK(unit.nonce() == secret);
}

TEST_CASE("systemd: KEEP_THAWED=yes keeps the image that was thawed beside", "[systemd]")
{
	Unit unit;
	unit.make_image();
	std::string bytes = read_all(unit.image());
	unit.environment["KEEP_THAWED"] = "yes";
	REQUIRE(unit.start() == 0);
	CHECK(!unit.has_image());
	CHECK(read_all(unit.image() + ".thawed") == bytes);
}

TEST_CASE("systemd: space for the next image is reserved while it runs and given back for the suspend", "[systemd]")
{
	Unit unit;
	std::string reserve = unit.image() + ".reserve";
	REQUIRE(unit.start() == 0);
	if (!std::filesystem::exists(reserve)) {
		CHECK(has(unit.started_messages, "no space could be reserved"));
		TEST_SKIP("this file system or host has no fallocate");
	}
	CHECK(std::to_string(std::filesystem::file_size(reserve)) + "\n" == unit.vkckpt({"list", "-o", "estimate"}).out);
	CHECK(unit.stop() == 0);
	CHECK(!std::filesystem::exists(reserve));
	unit.environment["RESERVE"] = "no";
	REQUIRE(unit.start() == 0);
	CHECK(!std::filesystem::exists(reserve));
}

TEST_CASE("systemd: too little space, or too little time for the stop, is said at the start", "[systemd]")
{
	Unit unit;
	unit.environment["WRITE_RATE_MB"] = "1";
	unit.environment["STOP_TIMEOUT"] = "2";
	REQUIRE(unit.start() == 0);
	CHECK(has(unit.started_messages, "STOP_TIMEOUT is 2 s"));
	unit.end(SIGKILL);
	write_all(unit.dir / "vkckpt", kHugeEstimate);
	chmod((unit.dir / "vkckpt").c_str(), 0755);
	unit.environment["VKCKPT"] = unit.dir / "vkckpt";
	REQUIRE(unit.start() == 0);
	CHECK(has(unit.started_messages, "may not be possible to suspend it (NO_SPACE)"));
}

TEST_CASE("systemd: settings that make no sense are named before anything is started", "[systemd]")
{
	for (const auto &[key, value] : Environment{{"ON_FAILED_THAW", "panic"}, {"STOP_TIMEOUT", "4m"}, {"VERIFY", "maybe"},
	    {"START_TIMEOUT", "-1"}, {"RESERVE", "1"}}) {
		Unit unit;
		unit.environment[key] = value;
		unit.launch();
		CHECK(unit.end(0) == 1);
		CHECK(has(unit.log(), key + "=" + value));
		CHECK(unit.call("vkernel-stop").status == 1);
	}
	for (const char *bad : {"", "../x", "a b", ".hidden"}) {
		Unit unit;
		unit.name = bad;
		unit.launch();
		CHECK(unit.end(0) == 2);
	}
}

TEST_CASE("systemd: warnings carry their level when the journal listens", "[systemd]")
{
	Unit unit;
	unit.environment["JOURNAL_STREAM"] = "8:1";
	unit.environment["WRITE_RATE_MB"] = "1";
	unit.environment["STOP_TIMEOUT"] = "2";
	REQUIRE(unit.start() == 0);
	CHECK(unit.started_messages.substr(0, 3) == "<4>");
}

TEST_CASE("systemd: systemd-analyze finds nothing wrong with the unit", "[systemd]")
{
	if (Child({"sh", "-c", "command -v systemd-analyze"}, {}).finish().status != 0)
		TEST_SKIP("systemd-analyze is not installed");
	TempDir dir;
	std::string unit = read_all(source("examples/systemd/vkernel@.service")), place = "/usr/local/libexec/vkckpt";
	for (size_t at; (at = unit.find(place)) != std::string::npos;)
		unit.replace(at, place.size(), source("examples/systemd"));
	write_all(dir / "vkernel@.service", unit);
	Ran ran = Child({"systemd-analyze", "verify", "--man=no", dir / "vkernel@.service"}, {}).finish();
	CHECK(ran.status == 0);
	CHECK(ran.err == "");
	CHECK(ran.out == "");
}

TEST_CASE("systemd: every setting of the example is one that the scripts read", "[systemd]")
{
	std::istringstream lines(read_all(source("examples/systemd/example.conf")));
	std::string common = read_all(source("examples/systemd/vkernel-common"));
	size_t settings = 0;
	for (std::string line; std::getline(lines, line);) {
		size_t begin = line.rfind('#', 0) == 0 ? 1 : 0, equals = line.find('=');
		std::string key = equals == std::string::npos ? "" : line.substr(begin, equals - begin);
		if (key.empty() || key.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ_") != std::string::npos)
			continue;
		settings++;
		INFO(key);
		CHECK(has(common, "${" + key + ":="));
	}
	CHECK(settings >= 12);
}
