// What a thaw must carry over of terminals, pipes and disks, and what /dev/vkckpt tells and does.
#include <catch2/catch.hpp>

#include <vkckpt/run.h>

#include <csignal>
#include <fcntl.h>
#include <fstream>

#include "test/e2e/oracle.h"
#include "test/e2e/place.h"
#include "test/e2e/vk.h"

namespace {

using vktest::Outcome;
using vktest::Scratch;
using vktest::Session;
using vktest::Spec;

constexpr int kSuspended = 33;

Spec boot(const Scratch &s, const std::string &script, std::vector<std::string> options = {})
{
	Spec spec;
	spec.options = std::move(options);
	spec.options.insert(spec.options.end(), {"--image", s / "image"});
	spec.program = {"/bin/sh", "-c", script};
	return spec;
}

Spec thaw(const Scratch &s)
{
	Spec spec;
	spec.options = {"--thaw", s / "image"};
	return spec;
}

std::string word_after(const std::string &text, const std::string &word, size_t from = 0)
{
	const size_t at = text.find(word, from);
	return at == std::string::npos ? "" : text.substr(at + word.size(), text.find_first_of(" \n", at + word.size()) - at - word.size());
}

}  // namespace

TEST_CASE("/dev/vkckpt: a guest suspends itself and learns that it was thawed, with a new generation")
{
	Scratch s;
	const Outcome before = vktest::run(boot(s, "x=kept; cat /dev/vkckpt; echo suspend >/dev/vkckpt; echo $? $x; cat /dev/vkckpt"));
	INFO(before.err);
	REQUIRE(before.status == kSuspended);
	CHECK(word_after(before.out, "thaws ") == "0");
	const std::string old = word_after(before.out, "generation ");
	CHECK(old.size() == 32);
	std::vector<std::string> seen = {old};
	for (int i = 0; i < 2; ++i) {	// without a disk an image thaws any number of times, each time as somebody else
		const Outcome after = vktest::run(thaw(s));
		INFO(after.err);
		CHECK(after.status == 0);
		CHECK(after.out.substr(0, 7) == "0 kept\n");
		CHECK(word_after(after.out, "thaws ") == "1");
		for (const std::string &g : seen)
			CHECK(word_after(after.out, "generation ") != g);
		seen.push_back(word_after(after.out, "generation "));
	}
}

TEST_CASE("/dev/vkckpt: a checkpoint that goes on, and one that a listener refuses")
{
	Scratch s;
	const Outcome o = vktest::run(boot(s,
	    "echo checkpoint >/dev/vkckpt; echo first $?; exec 5<>/dev/vkckpt; echo register >&5; "
	    "(echo checkpoint >/dev/vkckpt 2>/dev/null || echo refused) & "
	    "until echo veto >&5; do sleep 0.1; done 2>/dev/null; wait; "
	    "(echo checkpoint >/dev/vkckpt && echo written) & until echo ack >&5; do sleep 0.1; done 2>/dev/null; wait"));
	INFO(o.err);
	CHECK(o.out == "first 0\nrefused\nwritten\n");
	CHECK(o.err.find("VETOED") != std::string::npos);
	CHECK(o.status == 0);
}

TEST_CASE("a pipe writer blocked in write goes on after a thaw")
{
	Scratch s;
	// The reader is the suspender: all that the writer did not get into the pipe is still to come.
	const Outcome before = vktest::run(boot(s, "seq 1 50000 | (sleep 0.3; echo suspend >/dev/vkckpt; md5sum)"));
	REQUIRE(before.status == kSuspended);
	const Outcome after = vktest::run(thaw(s));
	INFO(after.err);
	CHECK(after.out == vktest::sh("seq 1 50000 | md5sum").out);
	CHECK(after.status == 0);
}

TEST_CASE("vi with a half-typed line goes on in another terminal of another size")
{
	Scratch s;
	{
		Session first({"--image", s / "image", "--", "/bin/sh"});
		REQUIRE(first.expect("# "));
		first.send("vi /tmp/t\r");
		REQUIRE(first.expect("1/1 100%"));
		first.send("ione\rtwo hal");
		REQUIRE(first.expect("hal"));
		kill(first.pid(), VKCKPT_SIGCKPT);
		REQUIRE(first.wait() == kSuspended);
	}
	Session second({"--thaw", s / "image"}, 30, 100);
	second.send("f-typed");
	REQUIRE(second.expect("f-typed"));
	second.send("\x1b");
	REQUIRE(second.expect("- /tmp/t [Modified]"));
	second.send(":wq\r");
	REQUIRE(second.expect("# "));
	second.send("tr a-z A-Z </tmp/t; stty size\r");
	CHECK(second.expect("ONE\r\nTWO HALF-TYPED\r\n30 100\r\n"));
	second.send("exit 3\r");
	CHECK(second.wait() == 3);
}

TEST_CASE("a disk under write load is the same with suspends and without")
{
	const std::string script =
	    "i=0; while [ $i -lt 10 ]; do seq $i 60000 | head -c 262144 >/tmp/n; "
	    "dd if=/tmp/n of=/dev/vkd0 bs=3000 seek=$((i * 100)) conv=notrunc 2>/dev/null; "
	    "dd if=/dev/vkd0 bs=3000 skip=$((i * 100)) 2>/dev/null | head -c 262144 | cmp - /tmp/n && echo good $i; "
	    "i=$((i + 1)); done; sync; md5sum </dev/vkd0";
	std::string expected;
	for (const bool suspends : {false, true}) {
		Scratch s;
		std::ofstream(s / "disk") << std::string(4 << 20, '\0');
		std::vector<std::string> options = {"-r", s / "disk"};
		if (suspends)
			options.insert(options.end(), {"--test-ckpt-every", "900"});
		Outcome o = vktest::run(boot(s, script, options));
		std::string all = o.out;
		int legs = 1;
		for (; o.status == kSuspended && legs < 200; ++legs) {
			Spec spec = thaw(s);
			spec.options.insert(spec.options.end(), {"--test-ckpt-every", "900"});
			o = vktest::run(spec);
			all += o.out;
		}
		INFO(o.err);
		CHECK(o.status == 0);
		CHECK((legs > 3) == suspends);
		if (!suspends)
			expected = all;
		CHECK(all == expected);
	}
}

TEST_CASE("what cannot be thawed because it is no file or no open descriptor is named")
{
	vktest::Place place;
	auto said = [&](const std::string &image) {
		const Outcome o = place.thawed({}, image);
		CHECK(o.status == 1);
		CHECK(vktest::has(o.err, "(BAD_ARGUMENT)"));
		return o.err;
	};
	CHECK(vktest::has(said("fd:99"), "fd:99: this descriptor is not open"));
	CHECK(vktest::has(said(place.path()), "a folder, not an image"));
}

TEST_CASE("an image that comes as the standard input is not the keys of the console too")
{
	vktest::Place place;
	vktest::Child child = place.sh("echo ready; thawed; read line; echo \"got [$line]\"");
	REQUIRE(child->expect("ready"));
	REQUIRE(vktest::suspend(*child) == "");
	for (const std::string image : {"/dev/stdin", "fd:0"}) {
		const int in = open(place.image().c_str(), O_RDONLY | O_CLOEXEC);
		REQUIRE(in >= 0);
		const Outcome o = vktest::Process({.words = place.thaw_words({"--clone"}, image), .in = in}).end();
		close(in);
		INFO(o.err);
		CHECK(o.status == 0);
		CHECK(o.out == "got []\n");
	}
}
