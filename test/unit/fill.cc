// Lazy thaws inside the test's own process: what is there at once, what comes when it is touched, and what a checkpoint makes of what has not
// come yet.
#include <catch2/catch.hpp>

#include <algorithm>
#include <signal.h>
#include <sys/wait.h>

#include "test/unit/fixture.h"
#include "test/userfault.h"

using namespace fixture;

namespace {

constexpr uint32_t kLazy = VKCKPT_LAZY | VKCKPT_LAZY_REQUIRED, kDemand = kLazy | VKCKPT_LAZY_ON_DEMAND;
constexpr unsigned kChunkFrames = 16, kChunks = kRamBytes / 65536;
uint8_t region_memory[70000];		// crosses a chunk, ends inside a frame

// Every frame of every chunk but the fourth (never used) and the fifth (used in its frames 2, 3 and 9 only).
struct LazyVkernel : Vkernel {
	LazyVkernel()
	{
		config.image_path = image.c_str();
		make_ram();
		for (unsigned f = 0; f < kRamBytes / 4096; f++)
			if (used(f))
				write_frame(f, 0);
	}
	static bool used(unsigned f)
	{
		unsigned in = f % kChunkFrames;
		return f / kChunkFrames == 4 ? in == 2 || in == 3 || in == 9 : f / kChunkFrames != 3;
	}
	static uint64_t value(unsigned f, unsigned word, unsigned version) { return (f * 512ull + word) * 0x9e3779b97f4a7c15ull + version; }
	void write_frame(unsigned f, unsigned version)
	{
		for (unsigned w = 0; w < 512; w++)
			reinterpret_cast<uint64_t *>(ram() + f * 4096)[w] = value(f, w, version);
	}
	bool right(unsigned f, unsigned version)
	{
		const uint64_t *word = reinterpret_cast<const uint64_t *>(ram() + f * 4096);
		for (unsigned w = 0; w < 512; w++)
			if (word[w] != (used(f) ? value(f, w, version) : 0))
				return false;
		return true;
	}
	bool all_right()
	{
		for (unsigned f = 0; f < kRamBytes / 4096; f++)
			if (!right(f, 0))
				return false;
		return true;
	}
	void suspend()
	{
		REQUIRE(arm() == 0);
		REQUIRE(request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT);
		die();
	}
	struct vkckpt_fill_info status()
	{
		struct vkckpt_fill_info f = {};
		f.size = sizeof f;
		REQUIRE(vkckpt_fill_status(ck, &f) == 0);
		return f;
	}
	// A frame can be read a moment before it is counted.
	bool brought(uint64_t bytes)
	{
		for (int i = 0; i < 3000 && status().done_bytes < bytes; i++)
			usleep(10000);
		return status().done_bytes == bytes;
	}
	bool completes()
	{
		for (int i = 0; i < 3000 && status().state != VKCKPT_FILL_COMPLETE; i++)
			usleep(10000);
		return status().state == VKCKPT_FILL_COMPLETE;
	}
	void thaw_lazily(const std::string &from, uint32_t how)
	{
		lazy = how;
		int r = thaw(from);
		INFO(err.message);
		REQUIRE(r == 0);
		segment.fd = -1;
	}
};

uint64_t file_bytes(const std::string &path)
{
	struct stat st = {};
	return stat(path.c_str(), &st) == 0 ? static_cast<uint64_t>(st.st_size) : 0;
}

std::string member(const Vkernel &v, unsigned n) { return v.dir / ("image.000" + std::to_string(n) + ".ckpt"); }

}  // namespace

TEST_CASE("a lazy thaw brings RAM and regions as they were, and ends", "[fill]")
{
	NEEDS_USERFAULTFD();
	for (unsigned workers : {1u, 2u, 64u}) {
		LazyVkernel v;
		v.config.workers = workers;
		v.regions.push_back({ "bss", region_memory, sizeof region_memory });
		for (size_t i = 0; i < sizeof region_memory; i++)
			region_memory[i] = static_cast<uint8_t>(i * 7 + 1);
		v.suspend();
		memset(region_memory, 0, sizeof region_memory);
		v.thaw_lazily(v.image, kLazy);
		for (size_t i = 0; i < sizeof region_memory; i++)
			REQUIRE(region_memory[i] == static_cast<uint8_t>(i * 7 + 1));
		CHECK(v.all_right());
		REQUIRE(v.completes());
		CHECK(v.status().done_bytes == v.status().total_bytes);
		CHECK(v.status().total_bytes == ((kChunks - 2) * kChunkFrames + 3) * 4096);
		CHECK(v.all_right());
		for (int i = 0; i < 1000 && v.entry().fill_state != VKCKPT_FILL_COMPLETE; i++)	// told by the thread that was last, after the fact
			usleep(10000);
		CHECK(v.entry().fill_state == VKCKPT_FILL_COMPLETE);
	}
}

TEST_CASE("on demand comes what is touched or asked for, with its chunk, and nothing else", "[fill]")
{
	NEEDS_USERFAULTFD();
	LazyVkernel v;
	v.suspend();
	v.thaw_lazily(v.image, kDemand);
	usleep(50000);
	CHECK(v.status().done_bytes == 0);
	CHECK(v.right(7 * kChunkFrames + 5, 0));
	CHECK(v.brought(65536));
	CHECK(v.right(3 * kChunkFrames, 0));		// not in the image: zeros
	CHECK(v.right(4 * kChunkFrames, 0));
	CHECK(v.brought(65536));
	CHECK(v.right(4 * kChunkFrames + 9, 0));
	CHECK(v.brought(65536 + 3 * 4096));
	CHECK(vkckpt_fill(v.ck, 0, 8 * 65536 - 1, 2) == 0);	// chunk 7, which is there, and chunk 8
	CHECK(v.brought(2 * 65536 + 3 * 4096));
	CHECK(vkckpt_fill(v.ck, 0, kRamBytes - 1, 2) == -EINVAL);
	CHECK(vkckpt_fill(v.ck, 0, ~uint64_t{0}, 2) == -EINVAL);
	CHECK(vkckpt_fill(v.ck, 1, 0, 1) == -EINVAL);
	CHECK(vkckpt_fill(v.ck, 0, kRamBytes, 0) == 0);
	CHECK(vkckpt_fill(v.ck, 0, 0, kRamBytes) == 0);
	CHECK(v.completes());
	CHECK(v.all_right());
}

TEST_CASE("who ends a vkernel in between cannot read zeros for what was there", "[fill]")
{
	NEEDS_USERFAULTFD();
	LazyVkernel v;
	v.suspend();
	v.thaw_lazily(v.image, kDemand);
	CHECK(v.right(0, 0));
	v.disarm();
	pid_t child = fork();
	if (child == 0) {
		signal(SIGSEGV, SIG_DFL);
		_exit(v.ram()[7 * 65536]);
	}
	int status = 0;
	REQUIRE(waitpid(child, &status, 0) == child);
	CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV));
	v.drop_ram();
	v.thaw_lazily(v.image, kLazy);		// the image is as it was
	CHECK(v.all_right());
}

TEST_CASE("what has not come is taken over as it is stored, and what was written since is not", "[fill]")
{
	NEEDS_USERFAULTFD();
	LazyVkernel v;
	v.suspend();
	const uint64_t before = file_bytes(v.image);
	for (unsigned version = 1; version < 4; version++) {
		v.thaw_lazily(v.image, kDemand);
		v.write_frame(9 * kChunkFrames, version);		// the rest of this chunk comes
		CHECK(v.status().done_bytes <= 2 * 65536);
		REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT);	// onto its own image
		CHECK(v.status().done_bytes < v.status().total_bytes / 2);
		v.die();
		CHECK(file_bytes(v.image) + 8192 > before);
		CHECK(file_bytes(v.image) < before + 8192);
	}
	v.thaw_lazily(v.image, kLazy);
	for (unsigned f = 0; f < kRamBytes / 4096; f++)
		REQUIRE(v.right(f, f == 9 * kChunkFrames ? 3 : 0));
}

TEST_CASE("a lazy thaw of a chain finds every frame where it is, and goes on with the chain unread", "[fill]")
{
	NEEDS_USERFAULTFD();
	LazyVkernel v;
	v.config.chain = 4;
	REQUIRE(v.arm() == 0);
	REQUIRE(v.request(VKCKPT_ACTION_CONTINUE) == VKCKPT_RESUMED);
	for (unsigned f : {5u, 6u, 6 * kChunkFrames, 9 * kChunkFrames + 15})	// three chunks with a part of each image
		v.write_frame(f, 1);
	REQUIRE(v.request(VKCKPT_ACTION_CONTINUE) == VKCKPT_RESUMED);
	v.write_frame(6, 2);
	REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT);
	v.die();
	const auto version = [](unsigned f) { return f == 6 ? 2u : f == 5 || f == 6 * kChunkFrames || f == 9 * kChunkFrames + 15 ? 1u : 0u; };
	v.thaw_lazily(member(v, 3), kLazy);
	for (unsigned f = 0; f < kRamBytes / 4096; f++)
		REQUIRE(v.right(f, version(f)));
	REQUIRE(v.completes());
	v.die();

	// The fourth image: little was read for it and little is in it; the fifth, a full one, has all, and needs nothing else.
	v.thaw_lazily(member(v, 3), kDemand);
	v.write_frame(12 * kChunkFrames, 7);
	REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT);
	CHECK(v.status().done_bytes < v.status().total_bytes / 2);
	v.die();
	CHECK(file_bytes(member(v, 4)) < file_bytes(member(v, 1)) / 2);
	v.thaw_lazily(member(v, 4), kDemand);
	REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT);
	v.die();
	for (unsigned n = 1; n <= 4; n++)
		unlink(member(v, n).c_str());
	v.thaw_lazily(member(v, 5), kLazy);
	for (unsigned f = 0; f < kRamBytes / 4096; f++)
		REQUIRE(v.right(f, f == 12 * kChunkFrames ? 7 : version(f)));
}

TEST_CASE("images of a chain may be removed while they are needed", "[fill]")
{
	NEEDS_USERFAULTFD();
	LazyVkernel v;
	v.config.chain = 4;
	REQUIRE(v.arm() == 0);
	REQUIRE(v.request(VKCKPT_ACTION_CONTINUE) == VKCKPT_RESUMED);
	REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT);
	v.die();
	v.thaw_lazily(member(v, 2), kDemand);
	unlink(member(v, 1).c_str());
	unlink(member(v, 2).c_str());
	CHECK(v.all_right());
	REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT);	// a full one, under a new name
	v.die();
	v.thaw_lazily(member(v, 3), kLazy);
	CHECK(v.all_right());
}
