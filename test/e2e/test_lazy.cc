// Lazy thaws: RAM comes while the guest runs, in whatever order it is touched, and is never anything but what the image holds; what can go
// wrong on the way ends the vkernel with a message. Where the host gives no userfaultfd these are skipped, but for those about just that.
#include <catch2/catch.hpp>

#include <sys/wait.h>

#include <filesystem>
#include <fstream>

#include <vkckpt/image.h>

#include "test/e2e/place.h"
#include "test/userfault.h"

using namespace vktest;
namespace fs = std::filesystem;

namespace {

// 32 MiB of a guest that waits to be thawed and then touches all of it in an adverse order, `rounds` times.
struct Backwards : Place {
	explicit Backwards(int rounds = 1, const std::vector<std::string> &more = {})
	{
		std::vector<std::string> options = {"--root", full_root({"backwards"})};
		options.insert(options.end(), more.begin(), more.end());
		Child child = boot({"/backwards", "32", std::to_string(rounds)}, options);
		REQUIRE(child->expect("ready 0"));
		REQUIRE(suspend(*child) == "");
	}
	void ends_well(const Outcome &o, int round = 0) const
	{
		INFO(o.out << o.err);
		CHECK(o.status == 0);
		CHECK(has(o.out, "round " + std::to_string(round) + " wrong 0"));
	}
	// Flips a bit in the first chunk of process memory that is not hot; returns its number.
	uint64_t damage()
	{
		vkckpt_error err;
		vkckpt_image *i = nullptr;
		REQUIRE(vkckpt_image_open(image().c_str(), &i, &err) == 0);
		uint64_t count = 0, chunk = 0, offset = 0;
		const vkckpt_f_chunk *c = vkckpt_image_chunks(i, &count);
		for (uint64_t k = 0; k < count && offset == 0; k++)
			if (c[k].stored_bytes && c[k].offset >= vkckpt_image_stats(i)->hot_end && c[k].page_class == VKCKPT_CLASS_ANON) {
				offset = c[k].offset + c[k].stored_bytes / 2;
				chunk = c[k].chunk;
			}
		vkckpt_image_close(i);
		REQUIRE(offset != 0);
		std::string bytes = contents(image());
		bytes[offset] = char(bytes[offset] ^ 0x10);
		write_file(image(), bytes);
		return chunk;
	}
};

void stopped(const Outcome &o, const std::string &what)
{
	INFO(o.out << o.err);
	CHECK(o.status == VKCKPT_EXIT_STOPPED);
	CHECK(has(o.err, "vk: stopped: RAM cannot be completed"));
	CHECK(has(o.err, what));
	CHECK(!has(o.out, "round 0"));
}

}  // namespace

TEST_CASE("a guest that touches all its memory in an adverse order gets all of it", "[lazy]")
{
	NEEDS_USERFAULTFD();
	Backwards b(1, {"-n", "2"});
	b.ends_well(b.thawed({"--lazy=required"}));
	b.ends_well(b.thawed({"--lazy=required,demand"}));
	b.ends_well(b.thawed({"--lazy=required", "--workers", "64"}));
	// The same of a chain whose second image has half of the chunks in part.
	Place p;
	Child child = p.boot({"/backwards", "32", "2"}, {"-n", "2", "--root", full_root({"backwards"}), "--chain", "4"});
	REQUIRE(child->expect("ready 0"));
	REQUIRE(p.tool({"checkpoint", "vk"}).status == 0);
	REQUIRE(suspend(*child) == "");
	for (const char *how : {"--lazy=required", "--lazy=required,demand"}) {
		Child leg = p.thaw({how}, p / "vk.0002.ckpt");
		REQUIRE(leg->expect("round 0 wrong 0"));
		REQUIRE(leg->expect("ready 1"));
		REQUIRE(suspend(*leg) == "");
	}
	b.ends_well(p.thawed({"--lazy=required,demand"}, p / "vk.0004.ckpt"), 1);
}

TEST_CASE("a lazy thaw is suspended again before all of its memory is there, onto its own image too", "[lazy]")
{
	NEEDS_USERFAULTFD();
	Backwards b(4);
	for (int round = 0; round < 2; round++) {
		Child child = b.thaw({"--lazy=required,demand"});
		REQUIRE(child->expect("ready " + std::to_string(round + 1)));	// has touched all, and waits
		REQUIRE(suspend(*child) == "");
		// Twice with next to nothing brought: what the new image holds was in the old one, which has the same name.
		for (int i = 0; i < 2; i++) {
			const Gate gate;		// behind which it would touch its memory
			Child again = b.thaw({"--lazy=required,demand"}, "", &gate);
			REQUIRE(await([&] { return b.armed(again->pid()); }));
			const vkckpt_run_entry entry = b.entry(again->pid());
			CHECK(entry.fill_state == VKCKPT_FILL_UNDER_WAY);
			CHECK(entry.fill_done < entry.fill_total / 2);
			again->signal(VKCKPT_SIGCKPT);
			const Outcome o = again->end();
			INFO(o.err);
			CHECK(o.status == VKCKPT_EXIT_SUSPENDED);
			REQUIRE(b.tool({"verify", b.image()}).status == 0);
			CHECK(o.out == "");
		}
	}
}

TEST_CASE("a shell and its files go through a chain of suspends while nothing is complete", "[lazy]")
{
	NEEDS_USERFAULTFD();
	Place p;
	Child child = p.sh("head -c 9000000 /dev/urandom >/tmp/a; sha256sum </tmp/a >/tmp/sum; echo ready; for i in 1 2 3 4; do thawed; echo saw $i; done; "
	    "sha256sum </tmp/a | cmp - /tmp/sum && echo the same; rm /tmp/a; head -c 9000000 /dev/zero | cmp - /dev/zero; echo end");
	REQUIRE(child->expect("ready"));
	REQUIRE(suspend(*child) == "");
	const auto size = fs::file_size(p.image());
	for (int i = 0; i < 3; i++) {
		Child leg = p.thaw({"--lazy=required,demand"});
		REQUIRE(leg->expect("saw " + std::to_string(i + 1)));
		REQUIRE(suspend(*leg) == "");
		REQUIRE(p.tool({"verify", p.image()}).status == 0);
		CHECK(fs::file_size(p.image()) > size * 9 / 10);
		CHECK(fs::file_size(p.image()) < size * 11 / 10);
	}
	const Outcome o = p.thawed({"--lazy=required"});
	INFO(o.out << o.err);
	CHECK(has(o.out, "the same\n"));
	CHECK(has(o.out, "end\n"));
}

TEST_CASE("status tells how far a lazy thaw is, wait waits until all is there, and the image may go then", "[lazy]")
{
	NEEDS_USERFAULTFD();
	Backwards b(2);
	Child child = b.thaw({"--lazy=required", "--image", b / "other.ckpt"});
	REQUIRE(await([&] { return b.armed(child->pid()); }));
	fs::remove(b.image());		// the descriptor stays
	const Outcome waited = b.tool({"wait", "-t", "60", "vk"});
	INFO(waited.err);
	CHECK(waited.status == 0);
	CHECK(has(waited.out, "the image is closed"));
	CHECK(has(b.tool({"status", "--json", "vk"}).out, "\"state\": \"complete\""));
	CHECK(has(b.tool({"status", "vk"}).out, "all of RAM in place after"));
	for (const auto &fd : fs::directory_iterator("/proc/" + std::to_string(child->pid()) + "/fd")) {
		std::error_code gone;
		const std::string target = fs::read_symlink(fd, gone);
		CHECK(!has(target, "vk.ckpt"));
		CHECK(!has(target, "userfaultfd"));
	}
	REQUIRE(child->expect("ready 1"));
	CHECK(has(child->out(), "round 0 wrong 0"));

	// Nothing to wait for: a boot. Nobody to wait for.
	Child booted = b.sh("echo up; sleep 20", {"--name", "plain"});
	REQUIRE(booted->expect("up"));
	CHECK(has(b.tool({"wait", "plain"}).out, "booted"));
	CHECK(b.tool({"wait", "nobody"}).status == 1);
}

TEST_CASE("wait gives up after its time, and ends with the vkernel", "[lazy]")
{
	NEEDS_USERFAULTFD();
	Place p;
	Child first = p.sh("head -c 9000000 /dev/urandom >/tmp/a; echo ready; thawed; echo on; sleep 60");
	REQUIRE(first->expect("ready"));
	REQUIRE(suspend(*first) == "");
	Child child = p.thaw({"--lazy=required,demand"});
	REQUIRE(child->expect("on"));
	const Outcome late = p.tool({"wait", "-t", "1", "vk"});
	CHECK(late.status == 1);
	CHECK(has(late.err, "in place"));
	Process waiting({.words = {tool_path(), "wait", "vk"}, .folder = p.path(),
	    .before_exec = [&] { setenv("VKCKPT_RUNDIR", p.run_dir().c_str(), 1); }});
	pause_ms(200);
	kill(child->pid(), SIGKILL);
	const Outcome o = waiting.end();
	CHECK(o.status == 1);
	CHECK(has(o.err, "ended before all of its RAM was in place"));
	child->end();
	CHECK(await([&] { return survivors(child->pid()) == ""; }));
}

TEST_CASE("damage that is found late stops the vkernel and is named; eagerly it is refused", "[lazy]")
{
	NEEDS_USERFAULTFD();
	Backwards b;
	const uint64_t chunk = b.damage();
	Child child = b.thaw({"--lazy=required"});
	const Outcome o = child->end();
	stopped(o, "chunk " + std::to_string(chunk) + ": ");
	CHECK(has(o.err, "(DAMAGED)"));
	CHECK(await([&] { return survivors(child->pid()) == ""; }));
	stopped(b.thawed({"--lazy=required,demand"}), "(DAMAGED)");
	CHECK(b.thawed().status == 1);
}

TEST_CASE("an image that is truncated while it is needed stops the vkernel", "[lazy]")
{
	NEEDS_USERFAULTFD();
	Backwards b;
	Gate gate;
	Child child = b.thaw({"--lazy=required,demand"}, "", &gate);
	REQUIRE(await([&] { return b.armed(child->pid()) || !child->running(); }));
	fs::resize_file(b.image(), 65536);
	gate.open();
	const Outcome o = child->end();
	stopped(o, "(TRUNCATED)");
	CHECK(await([&] { return survivors(child->pid()) == ""; }));
}

TEST_CASE("a chain, a seal or a signature that breaks while it is needed stops the vkernel, and the file is named", "[lazy]")
{
	NEEDS_USERFAULTFD();
	Place p;
	REQUIRE(p.tool({"keygen", "-q", p / "op"}).status == 0);
	REQUIRE(p.tool({"keygen", "-q", "--sign", p / "by"}).status == 0);
	Child child = p.boot({"/backwards", "32", "1"}, {"--root", full_root({"backwards"}), "--chain", "4", "--seal-to", p / "op.pub"});
	REQUIRE(child->expect("ready 0"));
	REQUIRE(p.tool({"checkpoint", "vk"}).status == 0);
	REQUIRE(suspend(*child) == "");
	const std::string parent = p / "vk.0001.ckpt", newest = p / "vk.0002.ckpt";
	for (const std::string &image : {parent, newest})
		REQUIRE(p.tool({"sign", "-q", "--key", p / "by.key", image}).status == 0);
	const std::vector<std::string> options = {"--lazy=required,demand", "--key", p / "op.key", "--require-signature", p / "by.pub"};
	const std::string good = contents(parent);
	const auto breaks = [&](const std::function<void()> &harm, const std::string &reason) {
		Gate gate;
		Child leg = p.thaw(options, newest, &gate);
		REQUIRE(await([&] { return p.armed(leg->pid()) || !leg->running(); }));
		harm();
		gate.open();
		const Outcome o = leg->end();
		stopped(o, reason);
		CHECK(has(o.err, "vk.0001.ckpt"));
		write_file(parent, good);
	};
	breaks([&] { fs::resize_file(parent, 1 << 20); }, "(TRUNCATED)");
	std::string other = good;
	for (size_t at = 1 << 20; at < other.size() - (1 << 20); at += 4000)
		other[at] = char(other[at] ^ 1);
	breaks([&] { std::fstream(parent, std::ios::in | std::ios::out | std::ios::binary) << other; }, "(SIGNATURE_WRONG)");
	// Renamed over it is not changed: the one that was opened is read on.
	Gate gate;
	Child leg = p.thaw(options, newest, &gate);
	REQUIRE(await([&] { return p.armed(leg->pid()); }));
	write_file(p / "other", other);
	fs::rename(p / "other", parent);
	gate.open();
	const Outcome o = leg->end();
	INFO(o.out << o.err);
	CHECK(has(o.out, "round 0 wrong 0"));
}

TEST_CASE("a damaged index or trailer refuses a lazy thaw before anything is touched", "[lazy]")
{
	NEEDS_USERFAULTFD();
	Backwards b;
	const std::string good = contents(b.image());
	for (size_t back : {size_t{4096}, size_t{4080}, size_t{4096 + 200}, size_t{9000}}) {
		std::string bad = good;
		bad[bad.size() - back] = char(bad[bad.size() - back] ^ 1);
		write_file(b.image(), bad);
		const Outcome o = b.thawed({"--lazy=required"});
		INFO(back << " " << o.err);
		CHECK(o.status == 1);
		CHECK(o.out == "");
	}
	write_file(b.image(), good.substr(0, good.size() - 4096));
	CHECK(b.thawed({"--lazy=required"}).status == 1);
	write_file(b.image(), good);
	b.ends_well(b.thawed({"--lazy=required"}));
}

TEST_CASE("without userfaultfd, or from a pipe, a lazy thaw is eager and says so, or is refused", "[lazy]")
{
	Backwards b;
	const bool pipe = GENERATE(false, true);
	const auto thaw = [&](const std::string &how) {
		const std::string line = "cat " + b.image() + " | " + minivk_path() + " --thaw - --image " + b.image() + " " + how;
		std::vector<std::string> words = b.thaw_words({how});
		if (pipe)
			words = {"/bin/sh", "-c", line};
		Process::Setup setup{.words = words, .folder = b.path()};
		if (!pipe)
			setup.before_exec = refuse_userfaultfd;
		return Process(setup).end();
	};
	const Outcome eager = thaw("--lazy");
	b.ends_well(eager);
	CHECK(has(eager.err, "all of the memory was loaded before the guest ran"));
	CHECK(has(eager.err, pipe ? "through a pipe" : "userfaultfd"));
	const Outcome refused = thaw("--lazy=required");
	INFO(refused.err);
	CHECK(refused.status == 1);
	CHECK(has(refused.err, "(LAZY_UNAVAILABLE)"));
}

TEST_CASE("a lazy thaw of which any thread is killed at any time leaves nothing behind", "[lazy]")
{
	NEEDS_USERFAULTFD();
	Backwards b;
	Random random;
	INFO(random.repeat());
	for (int i = 0; i < 12; i++) {
		Child child = b.thaw({i % 2 ? "--lazy=required" : "--lazy=required,demand"});
		random.pause_us(60000);
		std::vector<pid_t> threads = {child->pid()};	// of the vkernel's and of those that fill, whichever
		std::error_code gone;
		for (const auto &task : fs::directory_iterator("/proc/" + std::to_string(child->pid()) + "/task", gone))
			threads.push_back(std::stoi(task.path().filename()));
		kill(threads[random.below(threads.size())], SIGKILL);
		child->end();
		CHECK(await([&] { return survivors(child->pid()) == ""; }));
	}
	b.ends_well(b.thawed({"--lazy=required"}));
}

TEST_CASE("a vkernel may end while its memory is still being brought", "[lazy]")
{
	NEEDS_USERFAULTFD();
	Place p;
	Child child = p.sh("head -c 9000000 /dev/urandom >/tmp/a; echo ready; thawed; exit 7");
	REQUIRE(child->expect("ready"));
	REQUIRE(suspend(*child) == "");
	for (const char *how : {"--lazy=required", "--lazy=required,demand"}) {
		Child leg = p.thaw({how});
		const Outcome o = leg->end();
		INFO(o.err);
		CHECK(o.status == 7);
		CHECK(await([&] { return survivors(leg->pid()) == ""; }));
	}
}

TEST_CASE("clones that are thawed lazily, at once and on demand, take their own memory only", "[lazy]")
{
	NEEDS_USERFAULTFD();
	Backwards b;
	std::vector<Child> clones;
	for (int i = 0; i < 4; i++)
		clones.push_back(b.thaw({i % 2 ? "--lazy=required" : "--lazy=required,demand", "--clone=c" + std::to_string(i)}));
	for (Child &clone : clones)
		b.ends_well(clone->end());
}
