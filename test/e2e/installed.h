// What `make install' leaves, below a temporary DESTDIR, and a shell that builds against it.
#ifndef TEST_INSTALLED_H
#define TEST_INSTALLED_H

#include <catch2/catch.hpp>

#include "test/e2e/command_util.h"

namespace command_test {

inline bool have(const char *tool) { return Child({"sh", "-c", std::string("command -v ") + tool}, {}).finish().status == 0; }

class Installed {
public:
	explicit Installed(const std::string &prefix) : prefix_(prefix)
	{
		Ran ran = Child({"sh", source("mk/install.sh"), dir.path() + "/dest", prefix}, {}).finish();
		INFO(ran.err);
		REQUIRE(ran.status == 0);
	}
	std::string path(const std::string &file) const { return dir.path() + "/dest" + prefix_ + "/" + file; }
	// Runs a line of shell with pkg-config pointing into the tree.
	Ran shell(const std::string &line) const
	{
		return Child({"sh", "-ec", "cd " + dir.path() + "; " + line}, {
		    {"PKG_CONFIG_PATH", path("lib/pkgconfig")}, {"PKG_CONFIG_SYSROOT_DIR", dir.path() + "/dest"},
		    {"LD_LIBRARY_PATH", path("lib")}}).finish();
	}
	TempDir dir;

private:
	std::string prefix_;
};

inline bool sources_are_here() { return std::filesystem::exists(source("vkernel-hooks/linux/vmspace.h")); }

}  // namespace command_test
#endif
