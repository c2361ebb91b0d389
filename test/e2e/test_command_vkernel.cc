// The command with real vkernels and their images: hello, the smallest, and minivk, with guest processes and a disk.
#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/stat.h>

#include "test/e2e/command_util.h"
#include "test/skip.h"

using namespace command_test;

namespace {

bool has(const std::string &text, const std::string &part) { return text.find(part) != std::string::npos; }

struct Host {
	TempDir dir;
	Environment environment = {{"VKCKPT_RUNDIR", dir / "run"}};
	Host() { mkdir((dir / "run").c_str(), 0700); }
	Ran vkckpt(std::vector<std::string> words, const std::string &input = "/dev/null") const
	{
		words.insert(words.begin(), bin("vkckpt"));
		return Child(words, environment, Child::Stderr::kPipe, input).finish();
	}
	// Starts a vkernel and waits until it can be suspended.
	std::unique_ptr<Child> start(std::vector<std::string> words) const
	{
		words[0] = bin(words[0]);
		auto child = std::make_unique<Child>(words, environment);
		REQUIRE(await([&] { return vkckpt({"list", "-o", "pid", std::to_string(child->pid())}).status == 0; }));
		return child;
	}
	std::string image() const { return dir / "vk.ckpt"; }
	std::string disk() const { return dir / "disk.img"; }
	std::unique_ptr<Child> start_minivk(const std::string &script, std::vector<std::string> options = {}) const
	{
		std::vector<std::string> words = {"minivk", "-m", "64m", "--name", "vk", "--image", image(), "--console",
		    "log:" + (dir / "console")};
		words.insert(words.end(), options.begin(), options.end());
		words.insert(words.end(), {"--", "/bin/sh", "-c", script});
		auto child = start(words);
		REQUIRE(await([&] { return has(console(), "ready"); }));
		return child;
	}
	std::string console() const { return read_all(dir / "console"); }
	void make_disk() const
	{
		write_all(disk(), "");
		std::filesystem::resize_file(disk(), 1 << 20);
	}
	// minivk with a disk, suspended.
	void suspend_with_disk() const
	{
		make_disk();
		auto child = start_minivk("echo ready; while :; do sleep 1; done", {"-r", disk()});
		REQUIRE(vkckpt({"suspend", "vk"}).status == 0);
		REQUIRE(child->finish().status == VKCKPT_EXIT_SUSPENDED);
	}
	Ran boot_with_disk() const
	{
		return Child({bin("minivk"), "-m", "64m", "--name", "vk", "-r", disk(), "--", "/bin/true"}, environment).finish();
	}
};

// hello, suspended.
struct HelloImage : Host {
	HelloImage()
	{
		auto child = start({"hello", image()});
		REQUIRE(vkckpt({"suspend", "hello"}).status == 0);
		REQUIRE(child->finish().status == VKCKPT_EXIT_SUSPENDED);
	}
};

}  // namespace

TEST_CASE("vkckpt with hello: listed, checkpointed twice, suspended, gone", "[command][vkernel]")
{
	Host host;
	auto hello = host.start({"hello", host.image()});
	JsonValue json = JsonReader::parse(host.vkckpt({"list", "--json"}).out);
	REQUIRE(json.items.size() == 1);
	CHECK(json[0]["program"].text == "hello");
	CHECK(json[0]["image"].text == host.image());
	for (int i = 0; i < 2; i++) {
		Ran ran = host.vkckpt({"checkpoint", "hello"});
		INFO(ran.err);
		CHECK(ran.status == 0);
		CHECK(hello->running());
		CHECK(host.vkckpt({"verify", host.image()}).status == 0);
	}
	CHECK(JsonReader::parse(host.vkckpt({"list", "--json"}).out)[0]["last_request"]["count"].number() == 2);
	CHECK(host.vkckpt({"suspend", std::to_string(hello->pid())}).status == 0);
	CHECK(hello->finish().status == VKCKPT_EXIT_SUSPENDED);
	CHECK(host.vkckpt({"list", "-o", "pid"}).out.empty());
	CHECK(std::filesystem::is_empty(host.dir / "run"));
}

TEST_CASE("vkckpt with hello: an image that cannot be written is a failure and it runs on", "[command][vkernel]")
{
	Host host;
	auto hello = host.start({"hello", host.dir / "missing/vk.ckpt"});
	Ran ran = host.vkckpt({"suspend", "hello"});
	CHECK(ran.status == 1);
	CHECK(has(ran.err, "the vkernel runs on: "));
	CHECK(has(ran.err, "(NOT_FOUND)"));
	CHECK(hello->running());
	mkdir((host.dir / "missing").c_str(), 0700);
	CHECK(host.vkckpt({"suspend", "hello"}).status == 0);
}

TEST_CASE("vkckpt info, verify, vmspaces: a good image is explained, the JSON is JSON", "[command][vkernel]")
{
	HelloImage host;
	Ran ran = host.vkckpt({"info", host.image()});
	CHECK(ran.status == 0);
	for (const char *part : {"vkernel hello", "Taken", "build", "vCPUs", "RAM", "4.0 MiB", "No writable disk"})
		CHECK(has(ran.out, part));
	JsonValue json = JsonReader::parse(host.vkckpt({"info", "--json", host.image()}).out);
	CHECK(json["program"].text == "hello");
	CHECK(json["file_bytes"].number() == std::filesystem::file_size(host.image()));
	CHECK(json["action"].text == "exit");
	CHECK(json["segments"][0]["size_bytes"].number() == 4u << 20);
	const JsonValue &statistics = json["statistics"];
	CHECK(statistics["frames_total"].number() == statistics["frames_stored"].number() + statistics["frames_zero"].number() +
	    statistics["frames_free"].number() + statistics["frames_hole"].number());
	uint64_t frames = 0, bytes = 0;
	for (const JsonValue &page_class : statistics["classes"].items) {
		frames += page_class["frames"].number();
		bytes += page_class["stored_bytes"].number();
	}
	CHECK(frames == statistics["frames_stored"].number());
	CHECK(bytes == statistics["stored_bytes"].number());
	CHECK(JsonReader::parse(host.vkckpt({"vmspaces", "--json", host.image()}).out).items.empty());
	ran = host.vkckpt({"verify", host.image()});
	CHECK(ran.status == 0);
	CHECK(has(ran.out, "good"));
	ran = host.vkckpt({"verify", "-q", "-"}, host.image());
	CHECK(ran.status == 0);
	CHECK(ran.out.empty());
}

TEST_CASE("vkckpt verify: a change of any part, a cut and an addition are found, from a file and from a pipe", "[command][vkernel]")
{
	HelloImage host;
	const std::string good = read_all(host.image());
	std::string path = host.dir / "bad.ckpt";
	auto refused = [&](const std::string &bytes, const std::string &what) {
		write_all(path, bytes);
		INFO(what);
		for (const std::string &from : {path, std::string("-")}) {
			Ran ran = host.vkckpt({"verify", from}, path);
			CHECK(ran.status == 1);
			CHECK(ran.out.empty());
			CHECK(ran.err.rfind("vkckpt: ", 0) == 0);
			CHECK(std::count(ran.err.begin(), ran.err.end(), '\n') == 1);
		}
	};
	for (size_t i = 0; i < 24; i++) {
		std::string bad = good;
		size_t place = good.size() * i / 24 + i;
		bad[place] = static_cast<char>(bad[place] ^ 1);
		refused(bad, "byte " + std::to_string(place));
	}
	for (size_t size : {size_t{1}, size_t{4095}, size_t{4096}, good.size() / 2, good.size() - 4096, good.size() - 1})
		refused(good.substr(0, size), "cut to " + std::to_string(size));
	refused(good + '\0', "one byte more");
	refused(good + std::string(4096, '\0'), "a block more");
	refused(good + good, "twice");
}

TEST_CASE("vkckpt info and vmspaces: a damaged head is refused in one line", "[command][vkernel]")
{
	HelloImage host;
	const std::string good = read_all(host.image());
	for (const char *command : {"info", "vmspaces"})
		for (size_t place : {size_t{3}, size_t{9}, size_t{100}, size_t{4096 + 60}, good.size() - 4090, good.size() - 2}) {
			std::string bad = good;
			bad[place] = static_cast<char>(bad[place] ^ 4);
			write_all(host.dir / "bad.ckpt", bad);
			Ran ran = host.vkckpt({command, host.dir / "bad.ckpt"});
			INFO(command << " " << place << ": " << ran.err);
			CHECK(ran.status == 1);
			CHECK(ran.out.empty());
			CHECK(has(ran.err, "vkckpt: "));
			CHECK(has(ran.err, host.dir / "bad.ckpt"));
			CHECK(std::count(ran.err.begin(), ran.err.end(), '\n') == 1);
		}
}

TEST_CASE("vkckpt discard: an image without a disk needs nothing; --remove removes it", "[command][vkernel]")
{
	HelloImage host;
	Ran ran = host.vkckpt({"discard", host.image()});
	CHECK(ran.status == 0);
	CHECK(has(ran.out, "may be removed"));
	CHECK(std::filesystem::exists(host.image()));
	CHECK(host.vkckpt({"discard", "--remove", host.image()}).status == 0);
	CHECK(!std::filesystem::exists(host.image()));
}

TEST_CASE("vkckpt discard --remove: the frozen copy of a disk goes with its image, unless a vkernel has used it", "[command][vkernel]")
{
	Host host;
	host.make_disk();
	auto child = host.start_minivk("echo ready; while :; do sleep 1; done", {"-r", host.disk()});
	auto copies = [&] {
		std::vector<std::string> found;
		for (const auto &entry : std::filesystem::directory_iterator(host.dir.path()))
			if (has(entry.path().filename(), "vk.ckpt.disk0-"))
				found.push_back(entry.path());
		return found;
	};
	const bool used = GENERATE(false, true);
	Ran ran = host.vkckpt({"checkpoint", "--copy-disks", "vk"});
	INFO(ran.err);
	REQUIRE(ran.status == 0);
	REQUIRE(copies().size() == 2);		// and its sidecar
	kill(child->pid(), SIGTERM);
	child->finish();
	if (used) {
		auto thawed = host.start({"minivk", "--thaw", host.image(), "--image", host.dir / "other.ckpt", "--console", "log:" + (host.dir / "console")});
		REQUIRE(host.vkckpt({"suspend", "vk"}).status == 0);
		thawed->finish();
	}
	ran = host.vkckpt({"discard", "--remove", host.image()});
	INFO(ran.out << ran.err);
	CHECK(ran.status == 0);
	CHECK(!std::filesystem::exists(host.image()));
	CHECK(copies().size() == (used ? 2 : 0));
	CHECK(has(ran.out, "its copy of a disk; removed") == !used);
	CHECK(std::filesystem::exists(host.disk()));
	if (used)
		CHECK(host.vkckpt({"info", host.dir / "other.ckpt"}).out.find("it can be thawed") != std::string::npos);
}

TEST_CASE("vkckpt vmspaces: lists the guest's processes with what they map", "[command][vkernel]")
{
	Host host;
	auto child = host.start_minivk("sleep 1000 & a=$!; sleep 1000 & for p in $a $!; do until read c </proc/$p/comm && [ $c = sleep ]; do :; done; done; "
	    "echo ready; wait");
	REQUIRE(host.vkckpt({"suspend", "vk"}).status == 0);
	CHECK(child->finish().status == VKCKPT_EXIT_SUSPENDED);
	JsonValue json = JsonReader::parse(host.vkckpt({"vmspaces", "--json", host.image()}).out);
	REQUIRE(json.items.size() == 3);
	uint64_t mapped = 0;
	for (const JsonValue &space : json.items) {
		mapped += space["mapped_bytes"].number();
		CHECK(space["mapped_bytes"].number() >= space["accessed_bytes"].number());
		CHECK(space["accessed_bytes"].number() >= space["modified_bytes"].number());
		CHECK(space["table_frames"].number() >= 1);
		CHECK(space["bad_entries"].number() == 0);
		CHECK(space["mappings"].items.size() >= 1);
	}
	CHECK(json[0]["pid"].number() == 1);
	CHECK(json[0]["name"].text == "sh");
	CHECK(json[1]["name"].text == "sleep");
	Ran ran = host.vkckpt({"vmspaces", host.image()});
	CHECK(ran.status == 0);
	CHECK(has(ran.out, "sleep"));
	json = JsonReader::parse(host.vkckpt({"info", "--json", host.image()}).out);
	CHECK(json["vmspaces"]["frames_mapped"].number() * 4096 == mapped);
	CHECK(json["vmspaces"]["count"].number() == 3);
}

TEST_CASE("vkckpt suspend -t with a guest that never acknowledges: cancelled, and it runs on", "[command][vkernel]")
{
	Host host;
	auto child = host.start_minivk("exec 3<>/dev/vkckpt; echo register >&3; echo ready; i=0; "
	    "while :; do i=$((i+1)); echo tick $i.; sleep 0.1; done");
	Ran ran = host.vkckpt({"suspend", "-t", "1", "vk"});
	CHECK(ran.status == 1);
	CHECK(has(ran.err, "cancelled, the vkernel runs on (CANCELLED)"));
	CHECK(child->running());
	CHECK(!std::filesystem::exists(host.image()));
	size_t seen = host.console().size();
	CHECK(await([&] { return host.console().size() > seen + 40; }));
	CHECK(host.vkckpt({"list", "-o", "state", "vk"}).out == "running\n");
	// Without a limit the notice ends by itself and it is suspended.
	CHECK(host.vkckpt({"suspend", "vk"}).status == 0);
	CHECK(child->finish().status == VKCKPT_EXIT_SUSPENDED);
}

TEST_CASE("vkckpt checkpoint: a writable disk refuses it, and RAM alone is refused nothing", "[command][vkernel]")
{
	Host host;
	host.make_disk();
	auto child = host.start_minivk("echo ready; while :; do sleep 1; done", {"-r", host.disk()});
	Ran ran = host.vkckpt({"checkpoint", "vk"});
	if (ran.status == 0)
		CHECK(std::filesystem::exists(host.image()));	// the file system can freeze it
	else
		CHECK(has(ran.err, "(DISK_NOT_FROZEN)"));
	CHECK(child->running());
	ran = host.vkckpt({"checkpoint", "--ram-only", "vk"});
	INFO(ran.err);
	CHECK(ran.status == 0);
	CHECK(child->running());
	CHECK(host.vkckpt({"verify", host.image()}).status == 0);
	CHECK(has(host.vkckpt({"info", host.image()}).out, "has it in use"));
	child = nullptr;
	CHECK(has(host.vkckpt({"info", host.image()}).out, "it can be thawed when you have put the disk back"));
	ran = host.vkckpt({"discard", host.image()});
	CHECK(ran.status == 0);
	CHECK(has(ran.out, "left as it is"));
}

TEST_CASE("vkckpt discard IMAGE: the disk boots again, and the image is spent", "[command][vkernel]")
{
	Host host;
	host.suspend_with_disk();
	CHECK(has(host.vkckpt({"info", host.image()}).out, "is suspended by this image: it can be thawed"));
	Ran ran = host.boot_with_disk();
	CHECK(ran.status == 1);
	CHECK(has(ran.err, "(DISK_SUSPENDED)"));
	ran = host.vkckpt({"discard", host.image()});
	CHECK(ran.status == 0);
	CHECK(has(ran.out, "forgotten"));
	CHECK(has(ran.out, "may be removed"));
	CHECK(has(host.vkckpt({"info", host.image()}).out, "this image is spent"));
	CHECK(host.boot_with_disk().status == 0);
	// A second time there is nothing left to forget.
	ran = host.vkckpt({"discard", "--remove", host.image()});
	CHECK(ran.status == 0);
	CHECK(!std::filesystem::exists(host.image()));
}

TEST_CASE("vkckpt discard DISK: forgets whichever image suspended it; not while it is in use", "[command][vkernel]")
{
	Host host;
	host.suspend_with_disk();
	CHECK(host.vkckpt({"discard", host.disk() + ".vkckpt"}).status == 1);
	CHECK(host.vkckpt({"discard", "--remove", host.disk()}).status == 2);
	CHECK(host.vkckpt({"discard", host.disk()}).status == 0);
	Ran ran = host.vkckpt({"discard", host.disk()});
	CHECK(ran.status == 0);
	CHECK(has(ran.out, "nothing to forget"));
	CHECK(std::filesystem::file_size(host.disk()) == 1u << 20);
	unlink((host.dir / "console").c_str());
	auto child = host.start_minivk("echo ready; while :; do sleep 1; done", {"-r", host.disk()});
	ran = host.vkckpt({"discard", host.disk()});
	CHECK(ran.status == 1);
	CHECK(has(ran.err, "(DISK_IN_USE)"));
	ran = host.vkckpt({"discard", host.image()});
	CHECK(child->running());
}

TEST_CASE("vkckpt info: a disk that was changed, moved or overtaken is said", "[command][vkernel]")
{
	Host host;
	host.suspend_with_disk();
	auto state = [&] {
		JsonValue json = JsonReader::parse(host.vkckpt({"info", "--json", host.image()}).out);
		for (const JsonValue &device : json["devices"].items)
			if (device["fenced"].truth)
				return device["disk_state"].text;
		return std::string("no disk");
	};
	CHECK(state() == "waiting");
	pause_ms(20);
	{
		std::fstream disk(host.disk(), std::ios::in | std::ios::out);
		disk << "changed";
	}
	CHECK(state() == "changed");
	std::string moved = host.dir / "moved.img";
	rename(host.disk().c_str(), moved.c_str());
	CHECK(state() == "missing");
	Ran ran = host.vkckpt({"discard", "--remove", host.image()});
	CHECK(ran.status == 1);
	CHECK(has(ran.err, "(DISK_MISSING)"));
	CHECK(std::filesystem::exists(host.image()));
	rename(moved.c_str(), host.disk().c_str());
	REQUIRE(host.vkckpt({"discard", host.disk()}).status == 0);
	CHECK(state() == "idle");
	rename((host.disk() + ".vkckpt").c_str(), moved.c_str());
	CHECK(state() == "no-sidecar");
}

TEST_CASE("vkckpt suspend -t: a pipe that nobody reads holds up nothing but the image", "[command][vkernel]")
{
	Host host;
	const std::string fifo = host.dir / "fifo";
	REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
	const int fd = open(fifo.c_str(), O_RDWR);	// its own reader, who does not read; minivk inherits it
	REQUIRE(fd >= 0);
	auto child = host.start_minivk("echo ready; i=0; while :; do i=$((i+1)); echo step $i; sleep 0.1; done",
	    {"--image", "fd:" + std::to_string(fd)});
	Ran ran = host.vkckpt({"suspend", "-t", "1", "vk"});
	INFO(ran.err);
	CHECK(ran.status == 1);
	CHECK(has(ran.err, "(CANCELLED)"));
	CHECK(child->running());
	const std::string before = host.console();
	CHECK(await([&] { return host.console().size() > before.size(); }));
	close(fd);
}

TEST_CASE("vkckpt suspend takes several names, asks none unless all are there, and goes on after one that fails", "[command][vkernel]")
{
	Host host;
	auto start = [&](const std::string &name, const std::string &image) {
		return host.start({bin("minivk"), "-m", "64m", "--name", name, "--image", image, "--console", "log:" + (host.dir / name), "--",
		    "/bin/sh", "-c", "echo ready; while :; do sleep 1; done"});
	};
	auto a = start("a", host.dir / "a.ckpt"), b = start("b", host.dir / "missing/b.ckpt"), c = start("c", host.dir / "c.ckpt");
	for (const char *name : {"a", "b", "c"})
		REQUIRE(await([&] { return has(read_all(host.dir / name), "ready"); }));
	Ran none = host.vkckpt({"suspend", "a", "nobody", "c"});
	CHECK(none.status == 1);
	CHECK(has(none.err, "(NOT_FOUND)"));
	CHECK(a->running());
	Ran all = host.vkckpt({"suspend", "a", "b", "c"});
	INFO(all.out << all.err);
	CHECK(all.status == 1);
	CHECK(has(all.err, "b (pid"));
	CHECK(!has(all.err, "c (pid"));
	CHECK(a->finish().status == VKCKPT_EXIT_SUSPENDED);
	CHECK(c->finish().status == VKCKPT_EXIT_SUSPENDED);
	CHECK(b->running());
	mkdir((host.dir / "missing").c_str(), 0700);
	CHECK(host.vkckpt({"suspend", "b"}).status == 0);
}
