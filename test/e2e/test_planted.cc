// A sticky folder that others may write to, like /tmp: another user has put something in each place where a vkernel or a command of ours wants to
// make a file. It is refused with a reason or passed over; it is not followed, not waited for, and nobody loses a file.
#include <catch2/catch.hpp>

#include <csignal>
#include <filesystem>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vkckpt/disk.h>
#include <vkckpt/vkckpt.h>

#include "test/e2e/place.h"
#include "test/skip.h"

using namespace vktest;
namespace fs = std::filesystem;

namespace {

constexpr uid_t kVictim = 65534, kOther = 65533;
const char kPrecious[] = "what the victim must not lose";

enum class Plant { file, link, hard_link, fifo, folder };
const Plant kPlants[] = { Plant::file, Plant::link, Plant::hard_link, Plant::fifo, Plant::folder };
const char *name_of(Plant p)
{
	static const char *const names[] = { "a file", "a link", "a hard link", "a named pipe", "a folder" };
	return names[int(p)];
}

// The victim's programs, folder and precious file; root makes them and plants what the other user could.
class Shared {
public:
	Shared()
	{
		chmod(place.path().c_str(), 01777);
		fs::copy_file(minivk_path(), place / "minivk");
		fs::copy_file(tool_path(), place / "vkckpt");
		fs::create_directory(place / "own");
		write_file(precious(), kPrecious);
		for (const std::string &own : { place / "own", precious() })
			chown_to(own, kVictim);
	}
	std::string precious() const { return place / "own/precious"; }
	std::string disk()
	{
		const std::string path = place.make_disk();
		chown_to(path, kVictim);
		return path;
	}
	void plant(Plant what, const std::string &path) const
	{
		switch (what) {
		case Plant::file: write_file(path, "planted"); chmod(path.c_str(), 0666); break;
		case Plant::link: fs::create_symlink(precious(), path); break;
		case Plant::hard_link: fs::create_hard_link(precious(), path); return;
		case Plant::fifo: REQUIRE(mkfifo(path.c_str(), 0666) == 0); chmod(path.c_str(), 0666); break;
		case Plant::folder: fs::create_directory(path); chmod(path.c_str(), 0777); break;
		}
		chown_to(path, kOther);
	}
	Child start(std::vector<std::string> words) const
	{
		words[0] = place / words[0];
		return std::make_unique<Process>(Process::Setup{.words = words, .folder = place.path(), .before_exec = [] {
			if (setgroups(0, nullptr) != 0 || setresgid(kVictim, kVictim, kVictim) != 0 || setresuid(kVictim, kVictim, kVictim) != 0)
				_exit(125);
		}});
	}
	Child boot(const std::vector<std::string> &options) const
	{
		std::vector<std::string> words = place.boot_words({"/bin/sh", "-c", kTicks}, options);
		words[0] = "minivk";
		return start(words);
	}
	bool unharmed() const { return contents(precious()) == kPrecious; }

	Place place;

private:
	static void chown_to(const std::string &path, uid_t user) { REQUIRE(lchown(path.c_str(), user, user) == 0); }
};

bool is_own_file(const std::string &path)
{
	struct stat st;
	return lstat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == kVictim && (st.st_mode & 07777) == 0600;
}

// "(PERMISSION)", "(BAD_ARGUMENT)" ...; or minivk's own sentence about a place that it was given.
bool says_why(const std::string &err, const std::string &place)
{
	const size_t open = err.rfind('('), close = err.find(')', open);
	bool code = open != std::string::npos && close != std::string::npos && close - open > 4;
	for (size_t i = open + 1; code && i < close; i++)
		code = (err[i] >= 'A' && err[i] <= 'Z') || err[i] == '_';
	return (code || has(err, "name another") || has(err, "name a")) && has(err, place);
}

const char kNotRoot[] = "only root can act for two users";

}  // namespace

TEST_CASE("what another user put in the place of a vkernel's files is refused or passed over, and never followed", "[links]")
{
	if (geteuid() != 0)
		TEST_SKIP(kNotRoot);
	unsigned refused = 0;
	{
		Shared s;		// nothing is planted
		Child child = s.boot({"-m", "16m", "-r", s.disk(), "-i", s.place / "memory", "-p", s.place / "pid"});
		REQUIRE(child->expect("tick"));
		REQUIRE(suspend(*child) == "");
	}
	for (const char *name : { "vk.ckpt", "vk.ckpt.part", "disk.img.vkckpt", "disk.img.vkckpt.new", "memory", "pid", "run" })
		for (Plant what : kPlants) {
			INFO(name << " is " << name_of(what));
			Shared s;
			const std::string disk = s.disk();
			s.plant(what, s.place / name);
			Child child = s.boot({"-m", "16m", "-r", disk, "-i", s.place / "memory", "-p", s.place / "pid"});
			if (child->expect("tick")) {
				const vkckpt_run_entry before = s.place.entry(child->pid());
				child->signal(VKCKPT_SIGCKPT);
				vkckpt_run_entry now = before;
				await([&] {
					child->read_for(5);
					now = s.place.entry(child->pid());
					return !child->running() || now.done_count > before.done_count;
				});
				if (child->running() && now.result_reason != 0) {	// why stands in the run directory, and it runs on
					INFO(now.message);
					CHECK(says_why(now.message, ""));
					CHECK(child->expect("tick"));
					child->signal(SIGTERM);
					refused++;
				}
			}
			const Outcome o = child->end();
			INFO("status " << o.status << ": " << o.err);
			CHECK(s.unharmed());
			if (o.status == VKCKPT_EXIT_SUSPENDED) {
				CHECK(is_own_file(s.place.image()));
				CHECK(is_own_file(disk + VKCKPT_SIDECAR_SUFFIX));
			} else if (o.status == 1) {
				refused++;
				CHECK(says_why(o.err, name));
			} else {
				CHECK(o.status == 128 + SIGTERM);
			}
		}
	CHECK(refused > 15);
}

TEST_CASE("what another user put in the place of a console's file or link is refused, and still there", "[links]")
{
	if (geteuid() != 0)
		TEST_SKIP(kNotRoot);
	for (const char *kind : { "log:", "pty:" })
		for (Plant what : kPlants) {
			INFO(kind << " " << name_of(what));
			Shared s;
			const std::string console = s.place / "console";
			s.plant(what, console);
			const fs::file_status before = fs::symlink_status(console);
			const Outcome o = s.boot({"-m", "16m", "--console", kind + console})->end();
			INFO("status " << o.status << ": " << o.err);
			CHECK(o.status == 1);
			CHECK(says_why(o.err, console));
			CHECK(s.unharmed());
			CHECK(fs::symlink_status(console) == before);
			CHECK((what != Plant::file || contents(console) == "planted"));
		}
}

TEST_CASE("what another user put in the place of a file that vkckpt makes is refused or passed over, and never followed", "[links]")
{
	if (geteuid() != 0)
		TEST_SKIP(kNotRoot);
	Shared s;
	Child child = s.boot({"-m", "16m"});
	REQUIRE(child->expect("tick"));
	child->signal(VKCKPT_SIGCKPT);
	REQUIRE(child->end().status == VKCKPT_EXIT_SUSPENDED);
	const std::string image = s.place.image(), key = s.place / "own/by", old = contents(image);
	REQUIRE(s.start({"vkckpt", "keygen", "-q", "--sign", key})->end().status == 0);
	REQUIRE(s.start({"vkckpt", "keygen", "-q", s.place / "own/op"})->end().status == 0);
	const struct { const char *place; std::vector<std::string> words; } kTries[] = {
		{ "vk.ckpt.sig", {"vkckpt", "sign", "--key", key + ".key", image} },
		{ "vk.ckpt.sig.part", {"vkckpt", "sign", "--key", key + ".key", image} },
		{ "new.ckpt", {"vkckpt", "seal", "--seal-to", s.place / "own/op.pub", image, s.place / "new.ckpt"} },
		{ "new.ckpt.part", {"vkckpt", "seal", "--seal-to", s.place / "own/op.pub", image, s.place / "new.ckpt"} },
		{ "new.ckpt", {"vkckpt", "flatten", "-o", s.place / "new.ckpt", image} },
		{ "new.ckpt.part", {"vkckpt", "flatten", "-o", s.place / "new.ckpt", image} },
		{ "new.key", {"vkckpt", "keygen", s.place / "new"} },
		{ "new.pub", {"vkckpt", "keygen", s.place / "new"} },
	};
	for (const auto &t : kTries)
		for (Plant what : kPlants) {
			INFO(t.words[1] << ": " << t.place << " is " << name_of(what));
			const std::string planted = s.place / t.place;
			s.plant(what, planted);
			const Outcome o = s.start(t.words)->end();
			INFO("status " << o.status << ": " << o.err);
			CHECK((o.status == 0 || o.status == 1));
			CHECK((o.status == 0 || says_why(o.err, "")));
			CHECK(s.unharmed());
			CHECK(contents(image) == old);
			for (const char *made : { "vk.ckpt.sig", "vk.ckpt.sig.part", "new.ckpt", "new.ckpt.part", "new.key", "new.pub" })
				fs::remove(s.place / made);
		}
}

TEST_CASE("a named pipe in the place of a file that is read is refused, and not waited for", "[links]")
{
	Place place;
	const std::string fifo = place / "fifo", good = place.image();
	Child child = place.sh(kTicks);
	REQUIRE(child->expect("tick"));
	REQUIRE(suspend(*child) == "");
	REQUIRE(place.tool({"keygen", "-q", place / "op"}).status == 0);
	REQUIRE(place.tool({"keygen", "-q", "--sign", place / "by"}).status == 0);
	REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
	const std::vector<std::vector<std::string>> kTries = {
		{"info", fifo}, {"verify", fifo}, {"vmspaces", fifo}, {"diff", fifo, good}, {"diff", good, fifo}, {"discard", fifo},
		{"seal", "--seal-to", place / "op.pub", fifo}, {"unseal", "--key", place / "op.key", fifo}, {"seal", "--seal-to", fifo, good},
		{"sign", "--key", place / "by.key", fifo}, {"sign", "--key", fifo, good}, {"flatten", "-o", place / "flat", fifo},
	};
	for (const auto &words : kTries) {
		INFO(words[0] << " " << words.back());
		const Outcome o = place.tool(words);
		INFO(o.err);
		CHECK(o.status == 1);
		CHECK(says_why(o.err, "fifo"));
	}
	for (const std::vector<std::string> &options : { std::vector<std::string>{}, {"--lazy"}, {"--dry-run"} }) {
		const Outcome o = place.thawed(options, fifo);
		INFO(o.err);
		CHECK(o.status == 1);
		CHECK(has(o.err, "(BAD_ARGUMENT)"));
	}
	CHECK(contents(good).size() > 4096);
}
