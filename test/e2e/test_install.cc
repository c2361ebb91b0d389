// make install: the installed tree alone must suffice to build against, through pkg-config, static and shared.
#include <catch2/catch.hpp>

#include "test/e2e/command_util.h"
#include "test/e2e/installed.h"
#include "test/skip.h"

using namespace command_test;

namespace {

const char *const kProgram = R"(
#include <stdio.h>
#include <string.h>
#include <vkckpt/vkckpt.h>
#include <vkckpt/image.h>
#include <vkckpt/disk.h>
int main(void)
{
	struct vkckpt_error error;
	struct vkckpt_image *image;
	vkckpt_block_signals();
	if (vkckpt_image_open("/nonexistent/image", &image, &error) >= 0 || error.reason != VKCKPT_R_NOT_FOUND)
		return 1;
	puts(vkckpt_reason_name(VKCKPT_R_DISK_CHANGED));
	return strcmp(vkckpt_reason_name(VKCKPT_R_DISK_CHANGED), "DISK_CHANGED") != 0;
}
)";

const char *const kVmspaceProgram = R"(
#include <vkckpt/vmspace.h>
#include <errno.h>
int main(void)
{
	int id;		/* any address is a name for a vmspace; this one was never made */
	return vmspace_destroy(&id) == -1 ? 0 : 1;
}
)";

}  // namespace

TEST_CASE("install: a tree under DESTDIR holds everything and names DESTDIR nowhere", "[install]")
{
	if (!sources_are_here())
		TEST_SKIP("not in the source tree");
	Installed tree("/opt/vk");
	for (const char *file : {"bin/vkckpt", "bin/minivk", "bin/hello", "lib/libvkckpt.a", "lib/libvkckpt.so", "lib/libvkckpt.so.1",
	    "lib/libvmspace.a", "include/vkckpt/vkckpt.h", "include/vkckpt/format.h", "include/vkckpt/vmspace.h",
	    "lib/pkgconfig/vkckpt.pc", "lib/pkgconfig/vkckpt-vmspace.pc", "share/man/man1/vkckpt.1",
	    "lib/systemd/system/vkernel@.service", "libexec/vkckpt/vkernel-start", "libexec/vkckpt/vkernel-started",
	    "libexec/vkckpt/vkernel-stop", "libexec/vkckpt/vkernel-common", "share/doc/vkckpt/example.conf"}) {
		INFO(file);
		CHECK(std::filesystem::is_regular_file(tree.path(file)));
	}
	std::string unit = read_all(tree.path("lib/systemd/system/vkernel@.service"));
	CHECK(unit.find("ExecStart=/opt/vk/libexec/vkckpt/vkernel-start %i") != std::string::npos);
	CHECK(unit.find("/usr/local") == std::string::npos);
	CHECK(Child({"grep", "-rIl", tree.dir.path(), tree.dir.path() + "/dest"}, {}).finish().out.empty());
	CHECK(Child({tree.path("bin/vkckpt"), "--version"}, {}).finish().status == 0);
	// A second time over the first, while the program runs.
	CHECK(Child({"sh", source("mk/install.sh"), tree.dir.path() + "/dest", "/opt/vk"}, {}).finish().status == 0);
}

TEST_CASE("install: a program builds and runs against it, in C and C++, shared and static", "[install]")
{
	if (!sources_are_here())
		TEST_SKIP("not in the source tree");
	for (const char *tool : {"pkg-config", "cc", "c++"})
		if (!have(tool))
			TEST_SKIP("pkg-config or a compiler is missing");
	Installed tree("/usr/local");
	write_all(tree.dir / "program.c", kProgram);
	write_all(tree.dir / "vmspace.c", kVmspaceProgram);
	const std::string flags = "$(pkg-config --cflags vkckpt) -Wall -Wextra -Werror -pedantic -o ";
	const std::string libs = " $(pkg-config --libs vkckpt)", static_libs = " $(pkg-config --static --libs vkckpt)";
	struct Build { const char *name; std::string line; };
	for (const Build &build : {
	    Build{"c-shared", "cc -std=c11 " + flags + "c-shared program.c" + libs},
	    Build{"c-static", "cc -std=c11 -static " + flags + "c-static program.c" + static_libs},
	    Build{"c-archive", "cc -std=c11 " + flags + "c-archive program.c -Wl,-Bstatic" + static_libs + " -Wl,-Bdynamic"},
	    Build{"cc-shared", "c++ -std=c++20 -x c++ " + flags + "cc-shared program.c" + libs}}) {
		Ran ran = tree.shell(build.line);
		INFO(build.line << "\n" << ran.err);
		REQUIRE(ran.status == 0);
		ran = tree.shell(std::string("./") + build.name);
		CHECK(ran.status == 0);
		CHECK(ran.out == "DISK_CHANGED\n");
	}
	CHECK(tree.shell("ldd ./c-shared").out.find("libvkckpt.so.1") != std::string::npos);
	CHECK(tree.shell("ldd ./c-archive").out.find("libvkckpt") == std::string::npos);
	Ran ran = tree.shell("cc -std=c11 $(pkg-config --cflags vkckpt-vmspace) -Wall -o vmspace vmspace.c $(pkg-config --libs vkckpt-vmspace);"
	    " ./vmspace");
	INFO(ran.err);
	CHECK(ran.status == 0);
}

TEST_CASE("install: a relative PREFIX is misuse", "[install]")
{
	CHECK(Child({"sh", source("mk/install.sh"), "", "usr/local"}, {}).finish().status == 2);
	CHECK(Child({"sh", source("mk/install.sh")}, {}).finish().status == 2);
}
