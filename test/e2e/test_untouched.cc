// A dry run, and a thaw that is refused at whatever point, leave what lies on the host as it was: files, links and when they were changed.
#include <catch2/catch.hpp>

#include <filesystem>
#include <fcntl.h>
#include <map>
#include <sys/stat.h>
#include <unistd.h>

#include "test/e2e/place.h"

using namespace vktest;
namespace fs = std::filesystem;

namespace {

const char kPrecious[] = "what must not be lost";

enum class Plant { nothing, left_over, foreign_link, file, folder };
const Plant kPlants[] = {Plant::nothing, Plant::left_over, Plant::foreign_link, Plant::file, Plant::folder};
const char *name_of(Plant p)
{
	static const char *const names[] = {"nothing", "a link to a terminal", "a link to a file", "a file", "a folder"};
	return names[int(p)];
}

std::string words_of(const struct timespec &t) { return std::to_string(t.tv_sec) + "." + std::to_string(t.tv_nsec) + " "; }

// All that a folder says of itself and of what lies in it.
std::map<std::string, std::string> look(const std::string &folder)
{
	std::map<std::string, std::string> found;
	auto add = [&](const fs::path &path) {
		struct stat st;
		REQUIRE(lstat(path.c_str(), &st) == 0);
		found[path] = std::to_string(st.st_ino) + " " + std::to_string(st.st_mode) + " " + std::to_string(st.st_size) + " " +
		    words_of(st.st_mtim) + words_of(st.st_ctim) + (S_ISLNK(st.st_mode) ? fs::read_symlink(path).string() : "");
	};
	add(folder);
	for (const auto &entry : fs::recursive_directory_iterator(folder))
		add(entry.path());
	return found;
}

// A suspended vkernel with a disk, whose console was "log:" or "pty:" of console(); and beside its image one that is damaged in RAM.
struct Suspended {
	Place place;
	explicit Suspended(const std::string &kind)
	{
		fs::create_directory(place / "there");
		write_file(place / "precious", kPrecious);
		Child child = place.sh(kTicks, {"-m", "16m", "-r", place.make_disk(), "--console", kind + console()});
		REQUIRE(await([&] { return place.armed(child->pid()); }));
		REQUIRE(suspend(*child) == "");
		CHECK(fs::exists(fs::symlink_status(console())) == (kind == "log:"));
		fs::remove(console());
		std::string bad = contents(place.image());
		bad[bad.size() / 2] = char(bad[bad.size() / 2] ^ 1);
		write_file(place / "bad.ckpt", bad);
	}
	std::string console() const { return place / "there/console"; }
	void plant(Plant what) const
	{
		fs::remove_all(console());
		switch (what) {
		case Plant::nothing: break;
		case Plant::left_over: fs::create_symlink("/dev/pts/9999", console()); break;
		case Plant::foreign_link: fs::create_symlink(place / "precious", console()); break;
		case Plant::file: write_file(console(), "said before\n"); break;
		case Plant::folder: fs::create_directory(console()); break;
		}
	}
	// No thaw, and nothing is another than it was.
	Outcome untouched(const std::vector<std::string> &options, const std::string &image = "") const
	{
		const auto before = look(place.path());
		const Outcome o = place.thawed(options, image);
		INFO(o.out << o.err);
		CHECK(look(place.path()) == before);
		return o;
	}
};

}  // namespace

TEST_CASE("a dry run and a thaw that is refused leave the place of the console, the disk and the images untouched", "[untouched]")
{
	for (const std::string kind : {"log:", "pty:"}) {
		const Suspended s(kind);
		for (Plant what : kPlants) {
			INFO(kind << " where there is " << name_of(what));
			s.plant(what);
			const bool fits = what == Plant::nothing || what == (kind == "log:" ? Plant::file : Plant::left_over);
			const Outcome dry = s.untouched({"--dry-run"});
			CHECK(dry.status == (fits ? 0 : 1));
			CHECK((fits || (has(dry.err, s.console()) && has(dry.err, "(DEVICE_MISSING)"))));
			CHECK(s.untouched({"--dry-run", "-o", "disk0.path=" + s.place / "precious"}).status == 1);
			CHECK(s.untouched({"--dry-run", "--clone=second"}).status == 0);
			CHECK(s.untouched({"-o", "disk0.path=" + s.place / "precious"}).status == 1);
			CHECK(s.untouched({}, s.place / "bad.ckpt").status == 1);
			CHECK(contents(s.place / "precious") == kPrecious);
			if (!fits)
				CHECK(s.untouched({}).status == 1);
		}
		s.plant(kind == "log:" ? Plant::nothing : Plant::left_over);
		Child child = s.place.thaw();
		if (kind == "log:") {
			CHECK(await([&] { return has(contents(s.console()), "tick"); }));
			continue;
		}
		int fd = -1;		// the link that was left over leads nowhere
		REQUIRE(await([&] { return (fd = open(s.console().c_str(), O_RDONLY | O_NOCTTY | O_CLOEXEC)) >= 0; }));
		std::string said;
		CHECK(await([&] {
			char bytes[64];
			const ssize_t n = read(fd, bytes, sizeof bytes);
			said.append(bytes, n > 0 ? size_t(n) : 0);
			return has(said, "tick");
		}));
		close(fd);
		// Another takes the name over: it is not ours to remove any more.
		fs::remove(s.console());
		s.plant(Plant::foreign_link);
		REQUIRE(suspend(*child) == "");
		CHECK(fs::read_symlink(s.console()) == s.place / "precious");
	}
}

TEST_CASE("a boot replaces no link, file or folder that is not its own by its console's link", "[untouched]")
{
	Place place;
	write_file(place / "precious", kPrecious);
	const std::string link = place / "console";
	auto boot = [&] { return place.sh("true", {"-m", "16m", "--console", "pty:" + link})->end(); };
	fs::create_symlink(place / "precious", link);
	Outcome o = boot();
	INFO(o.err);
	CHECK(o.status == 1);
	CHECK(has(o.err, link));
	CHECK(fs::read_symlink(link) == place / "precious");
	fs::remove(link);
	CHECK(boot().status == 0);
	CHECK(!fs::exists(fs::symlink_status(link)));
	fs::create_symlink("/dev/pts/9999", link);	// of one that was killed
	CHECK(boot().status == 0);
	CHECK(!fs::exists(fs::symlink_status(link)));
}

TEST_CASE("a dry run does not end who reads the console's named pipe", "[untouched]")
{
	const Suspended s("log:");
	REQUIRE(mkfifo(s.console().c_str(), 0600) == 0);
	Process reader({.words = {"/bin/busybox", "sh", "-c", "echo begins; cat " + s.console()}});
	REQUIRE(reader.expect("begins"));
	pause_ms(50);
	CHECK(s.place.thawed({"--dry-run"}).status == 0);
	reader.read_for(100);
	CHECK(reader.running());
	Child child = s.place.thaw();
	CHECK(reader.expect("tick"));
}
