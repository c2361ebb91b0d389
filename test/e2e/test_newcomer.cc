// The vkernel in test/newcomer was written from the manual pages alone. It keeps them honest: it is built against the installed tree with the
// line that vkckpt(7) gives, its glue stays small, and it survives all that the pages promise.
#include <catch2/catch.hpp>

#include <algorithm>

#include "test/e2e/command_util.h"
#include "test/e2e/installed.h"
#include "test/skip.h"

using namespace command_test;
using Catch::Matchers::Contains;

namespace {

constexpr size_t kGlueLines = 150;
const char *const kBuild = "cc -std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -no-pie -fno-stack-protector $(pkg-config --cflags vkckpt) *.c "
    "-Wl,-Bstatic $(pkg-config --libs vkckpt) -Wl,-Bdynamic -pthread";

class Newcomer {
public:
	Newcomer()
	{
		for (const char *file : {"glue.c", "kernel.c", "kernel.h"})
			std::filesystem::copy_file(source(std::string("test/newcomer/") + file), tree.dir / file);
		build("newcomer");
	}
	void build(const std::string &program, const std::string &more = "")
	{
		Ran ran = tree.shell(kBuild + (" " + more) + " -o " + program);
		INFO(ran.err);
		REQUIRE(ran.status == 0);
	}
	std::unique_ptr<Child> start(const std::string &arguments)
	{
		return std::make_unique<Child>(std::vector<std::string>{"sh", "-c", "cd " + tree.dir.path() + " && exec ./" + arguments}, environment());
	}
	Ran run(const std::string &arguments) { return start(arguments)->finish(); }
	Ran vkckpt(const std::string &arguments)
	{
		return Child({"sh", "-c", "cd " + tree.dir.path() + " && exec " + tree.path("bin/vkckpt") + " " + arguments}, environment()).finish();
	}
	// The vkernel with this pid is known by its name, and its log has grown.
	bool is_running(pid_t pid, const std::string &log = "log")
	{
		size_t lines = log_lines(log).size();
		return await([&] {
			return vkckpt("list -o pid").out.find(std::to_string(pid)) != std::string::npos && log_lines(log).size() > lines;
		});
	}
	// Two vCPUs take turns as they like, so lines are compared in order of tasks.
	std::vector<std::string> log_lines(const std::string &log = "log")
	{
		std::istringstream text(read_all(tree.dir / log));
		std::vector<std::string> lines;
		for (std::string line; std::getline(text, line);)
			lines.push_back(line);
		std::sort(lines.begin(), lines.end());
		return lines;
	}
	Installed tree{"/usr/local"};

private:
	Environment environment() { return {{"VKCKPT_RUNDIR", tree.dir / "run"}}; }
};

// Why it cannot run here, or null.
const char *lacking()
{
	if (!sources_are_here())
		return "not in the source tree";
	return have("pkg-config") && have("cc") ? nullptr : "pkg-config or a compiler is missing";
}

}  // namespace

TEST_CASE("newcomer: the glue between a small vkernel and the library stays small", "[newcomer]")
{
	if (!sources_are_here())
		TEST_SKIP("not in the source tree");
	std::string text = read_all(source("test/newcomer/glue.c"));
	CHECK(static_cast<size_t>(std::count(text.begin(), text.end(), '\n')) <= kGlueLines);
}

TEST_CASE("newcomer: suspended, thawed, checkpointed and thawed again, it computes what it would have", "[newcomer]")
{
	if (const char *why = lacking())
		TEST_SKIP(why);
	Newcomer n;
	REQUIRE(n.run("newcomer -l expected 2500").status == 0);
	std::vector<std::string> expected = n.log_lines("expected");
	REQUIRE(expected.size() == 4 * 2500);
	for (const std::string kind : {"", "-c "}) {
		INFO("options: " << kind);
		std::filesystem::remove(n.tree.dir / "log");	// so that what grows is the new one
		auto vkernel = n.start("newcomer " + kind + "2500");
		REQUIRE(n.is_running(vkernel->pid()));
		Ran ran = n.vkckpt("suspend box");
		INFO(ran.err);
		REQUIRE(ran.status == 0);
		CHECK(vkernel->finish().status == VKCKPT_EXIT_SUSPENDED);
		CHECK(n.vkckpt("verify box.ckpt").status == 0);
		CHECK_THAT(n.vkckpt("info box.ckpt").out, Contains("path=log end=") && Contains("DragonFly vpte"));
		CHECK_THAT(n.vkckpt("vmspaces box.ckpt").out, Contains("7  tasks  16 KiB"));

		Ran line = n.tree.shell("echo 'from another time' >>log");	// gone after the thaw
		auto thawed = n.start("newcomer " + kind + "-t box.ckpt");
		REQUIRE(n.is_running(thawed->pid()));
		CHECK(n.vkckpt("checkpoint box").status == 0);
		std::filesystem::rename(n.tree.dir / "box.ckpt", n.tree.dir / "between.ckpt");
		write_all(n.tree.dir / "copy", read_all(n.tree.dir / "log"));
		Ran end = thawed->finish();
		CHECK(end.status == 0);
		CHECK_THAT(end.err, Contains("thaw number 1") && Contains("runs on: the image is written"));
		CHECK(n.log_lines() == expected);

		end = n.run("newcomer " + kind + "-t between.ckpt -o log0.path=copy");
		INFO(end.err);
		CHECK(end.status == 0);
		CHECK(n.log_lines("copy") == expected);
	}
}

TEST_CASE("newcomer: what cannot be is refused with the thing, the reason and the remedy", "[newcomer]")
{
	if (const char *why = lacking())
		TEST_SKIP(why);
	Newcomer n;
	auto vkernel = n.start("newcomer 100000");
	REQUIRE(n.is_running(vkernel->pid()));
	write_all(n.tree.dir / "veto", "");
	Ran ran = n.vkckpt("suspend box");
	CHECK(ran.status == 1);
	CHECK_THAT(ran.err, Contains("task 2 burns a disc") && Contains("(VETOED)"));
	std::filesystem::remove(n.tree.dir / "veto");
	{
		auto second = n.start("newcomer -l second 100000");
		REQUIRE(n.is_running(second->pid(), "second"));
		ran = n.vkckpt("suspend box");
		CHECK(ran.status == 1);
		CHECK_THAT(ran.err, Contains("2 vkernels have this name") && Contains("nothing was sent"));
	}
	REQUIRE(n.vkckpt("suspend " + std::to_string(vkernel->pid())).status == 0);
	CHECK_THAT(vkernel->finish().err, Contains("runs on: ") && Contains("(VETOED)"));

	n.build("other", "-DOTHER -O1");
	n.build("relocated", "-pie -fPIE");
	std::filesystem::rename(n.tree.dir / "log", n.tree.dir / "moved");
	write_all(n.tree.dir / "short.ckpt", read_all(n.tree.dir / "box.ckpt").substr(0, 9000));
	struct Refusal { const char *arguments, *thing, *reason; };
	for (const Refusal &r : {
	    Refusal{"other -t box.ckpt", "written by build", "(BUILD_DIFFERS)"},
	    Refusal{"newcomer -c -t box.ckpt", "resume_kind", "(RESUME_DIFFERS)"},
	    Refusal{"newcomer -t box.ckpt", "log0: the device cannot be opened (ENOENT)", "(DEVICE_MISSING)"},
	    Refusal{"newcomer -t box.ckpt -o log0.path=/none/x", "log0", "(DEVICE_MISSING)"},
	    Refusal{"newcomer -t box.ckpt -o log0.pth=x", "log0.pth=x", "(OVERRIDE_UNKNOWN)"},
	    Refusal{"newcomer -t box.ckpt -o log0.end=x", "log0.end=x: not a number", "(BAD_ARGUMENT)"},
	    Refusal{"newcomer -t box.ckpt -o log0", "log0: not NAME.KEY=VALUE", "(BAD_ARGUMENT)"},
	    Refusal{"newcomer -t short.ckpt -o log0.path=moved", "short.ckpt", "(TRUNCATED)"},
	    Refusal{"newcomer -t moved", "moved", "(NOT_AN_IMAGE)"},
	    Refusal{"newcomer -t none.ckpt", "none.ckpt", "(NOT_FOUND)"},
	    Refusal{"relocated -c", "linked -no-pie", "(BAD_ARGUMENT)"}}) {
		ran = n.run(r.arguments);
		INFO(r.arguments);
		CHECK(ran.status == 1);
		CHECK_THAT(ran.err, Contains(r.thing) && Contains(r.reason));
	}
}
