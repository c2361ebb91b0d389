// A memory cgroup whose limit is hit during a suspend or a thaw: the kernel may kill, the image and the guest are not lost.
#include <catch2/catch.hpp>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <unistd.h>

#include <vkckpt/vkckpt.h>

#include "test/e2e/place.h"
#include "test/skip.h"

using namespace vktest;
namespace fs = std::filesystem;

namespace {

// A control group with the memory controller, of version 2 or 1.
class MemoryGroup {
public:
	MemoryGroup()
	{
		const std::string name = "vkckpt-test-" + std::to_string(getpid());
		for (const char *top : {"/sys/fs/cgroup/", "/sys/fs/cgroup/memory/"}) {
			const std::string path = top + name;
			std::error_code error;
			if (!fs::create_directory(path, error))
				continue;
			path_ = path;
			for (const char *limit : {"memory.max", "memory.limit_in_bytes"})
				if (fs::exists(path_ / limit))
					limit_ = limit;
			if (!limit_.empty())
				return;
			rmdir(path.c_str());
		}
	}
	~MemoryGroup()
	{
		if (there())
			await([&] { return rmdir(path_.c_str()) == 0; });
	}
	MemoryGroup(const MemoryGroup &) = delete;
	MemoryGroup &operator=(const MemoryGroup &) = delete;
	bool there() const { return !limit_.empty(); }
	void allow(const std::string &bytes) const { write_file(path_ / limit_, bytes); }
	void allow(uint64_t bytes) const { allow(std::to_string(bytes)); }
	void allow_all() const { allow(limit_ == "memory.max" ? "max" : "-1"); }
	uint64_t used() const
	{
		return strtoull(contents(path_ / (limit_ == "memory.max" ? "memory.current" : "memory.usage_in_bytes")).c_str(), nullptr, 10);
	}
	Child start(const std::vector<std::string> &words) const
	{
		return std::make_unique<Process>(Process::Setup{.words = words, .before_exec = [this] { write_file(path_ / "cgroup.procs", "0"); }});
	}
private:
	fs::path path_;
	std::string limit_;
};

const char kNoGroup[] = "no control group with the memory controller can be made here (it takes root)";
const char kWhole[] = "head -c 12000000 /dev/urandom >/tmp/r; s=$(sha256sum </tmp/r); echo ready; "
    "while :; do [ \"$s\" = \"$(sha256sum </tmp/r)\" ] && echo whole; sleep 0.05; done";

}  // namespace

TEST_CASE("a memory limit is hit during a suspend: an image is whole or not there, and one that was is kept", "[host]")
{
	MemoryGroup group;
	if (!group.there())
		TEST_SKIP(kNoGroup);
	Place place;
	Child child = group.start(place.boot_words({"/bin/sh", "-c", kWhole}));
	REQUIRE(child->expect("whole"));
	REQUIRE(suspend(*child) == "");
	for (uint64_t spare : {16u << 10, 256u << 10, 4u << 20}) {
		group.allow_all();
		const std::string old = contents(place.image());
		child = group.start(place.thaw_words());
		REQUIRE(child->expect("whole"));
		group.allow(group.used() + spare);
		child->signal(VKCKPT_SIGCKPT);
		const Outcome o = child->end();
		INFO(spare << " bytes to spare, status " << o.status << ": " << o.err);
		CHECK((o.status == VKCKPT_EXIT_SUSPENDED || o.status == 128 + SIGKILL));
		CHECK((o.status == VKCKPT_EXIT_SUSPENDED || contents(place.image()) == old));
		CHECK(place.tool({"verify", "-q", place.image()}).status == 0);
		CHECK(await([&] { return survivors(child->pid()).empty(); }));
	}
	CHECK(place.thaw()->expect("whole"));
}

TEST_CASE("a memory limit is hit during a thaw: the image thaws when there is enough", "[host]")
{
	MemoryGroup group;
	if (!group.there())
		TEST_SKIP(kNoGroup);
	Place place;
	Child child = place.sh(kWhole);
	REQUIRE(child->expect("whole"));
	REQUIRE(suspend(*child) == "");
	unsigned failed = 0;
	for (uint64_t mebibytes : {2u, 5u, 9u, 13u, 17u}) {
		group.allow(mebibytes << 20);
		child = group.start(place.thaw_words());
		const bool runs = child->expect("whole");
		INFO(mebibytes << " MiB: " << child->err());
		if (runs) {		// then it is suspended as ever, its limit taken away
			group.allow_all();
			CHECK(suspend(*child) == "");
			continue;
		}
		failed++;
		const Outcome o = child->end();
		CHECK((o.status == 128 + SIGKILL || o.status == 1));
		CHECK((o.status == 128 + SIGKILL || has(o.err, "MEMORY")));
		CHECK(await([&] { return survivors(child->pid()).empty(); }));
		CHECK(place.tool({"verify", "-q", place.image()}).status == 0);
	}
	CHECK(failed > 0);
	CHECK(place.thaw()->expect("whole"));
}

TEST_CASE("a thaw for which the control group leaves too little memory is refused with the numbers, and nobody is killed", "[host]")
{
	MemoryGroup group;
	if (!group.there())
		TEST_SKIP(kNoGroup);
	Place place;
	Child child = place.sh("head -c 40000000 /dev/urandom >/tmp/r; s=$(sha256sum </tmp/r); echo ready; "
	    "while :; do [ \"$s\" = \"$(sha256sum </tmp/r)\" ] && echo whole; sleep 0.05; done");
	REQUIRE(child->expect("whole"));
	REQUIRE(suspend(*child) == "");
	for (uint64_t mebibytes : {20u, 30u, 38u}) {
		group.allow(mebibytes << 20);
		for (const std::vector<std::string> &options : {std::vector<std::string>{}, {"--dry-run"}}) {
			const Outcome o = group.start(place.thaw_words(options))->end();
			INFO(mebibytes << " MiB: status " << o.status << ": " << o.err);
			CHECK(o.status == 1);
			CHECK(has(o.err, "(MEMORY_SHORT)"));
			CHECK(has(o.err, " MiB left by the control group's limit"));
			const size_t number = o.err.find("are needed (");
			REQUIRE(number != std::string::npos);
			const uint64_t needed = strtoull(o.err.c_str() + number + 12, nullptr, 10);
			CHECK(needed > 40000000);
			CHECK(needed < 64000000);
		}
	}
	// A limit that leaves room is none.
	group.allow(uint64_t{120} << 20);
	child = group.start(place.thaw_words());
	CHECK(child->expect("whole"));
}
