// SIGXFSZ and SIGPIPE, which end a process for what it writes, if nobody sees to them.
#include <catch2/catch.hpp>

#include <sys/resource.h>

#include <csignal>
#include <random>

#include "test/fault/life.h"

using namespace life;

namespace {

void at_default(int signal) { (void)std::signal(signal, SIG_DFL); }
bool is_default(int signal)
{
	struct sigaction action;
	return sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_DFL;
}
void limit_files(rlim_t bytes)
{
	struct rlimit limit;
	REQUIRE(getrlimit(RLIMIT_FSIZE, &limit) == 0);
	limit.rlim_cur = std::min(bytes, limit.rlim_max);
	REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

}  // namespace

TEST_CASE("the limit on the size of files ends a checkpoint or a thaw, and never the process")
{
	// Where a write ends at the limit, within a block, and before anything.
	const rlim_t limit = GENERATE(rlim_t(64 << 10), rlim_t(100000), rlim_t(0));
	const uint32_t codec = GENERATE(VKCKPT_CODEC_RAW, VKCKPT_CODEC_LZ4);
	CAPTURE(limit, codec);
	const int status = status_of_child([&] {
		at_default(SIGXFSZ);
		fixture::temp_base = "/tmp";		// most often a disk, which is written to past the page cache
		Vkernel v;
		v.config.codec = codec;
		fill(v);
		std::mt19937_64 random(1);
		for (size_t i = 0; i < kRamBytes / 2; i += 8)
			*reinterpret_cast<uint64_t *>(v.ram() + kRamBytes / 2 + i) = random();
		REQUIRE(v.arm() == 0);
		limit_files(limit);
		REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_RESUMED);
		REQUIRE(std::string(vkckpt_reason_name(v.last_resumed.reason)) == "NO_SPACE");
		REQUIRE_FALSE(exists(v.image));
		limit_files(RLIM_INFINITY);
		REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT);
		v.die();
		limit_files(0);
		REQUIRE(v.thaw(v.image) < 0);
		REQUIRE(is_default(SIGXFSZ));
		limit_files(RLIM_INFINITY);
		REQUIRE(v.thaw(v.image) == 0);
		REQUIRE(filled(v));
		REQUIRE_FALSE(is_default(SIGXFSZ));
		v.disarm();
		REQUIRE(is_default(SIGXFSZ));
		return 0;
	});
	CHECK(status == 0);
}

TEST_CASE("a pipe that nobody reads ends a checkpoint, and never the process; a handler of the vkernel's own stays")
{
	const int status = status_of_child([] {
		at_default(SIGPIPE);
		int ends[2];
		REQUIRE(pipe(ends) == 0);
		Vkernel v;
		fill(v);
		v.config.image_path = nullptr;
		v.config.image_fd = ends[1];
		REQUIRE(v.arm() == 0);
		close(ends[0]);
		REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_RESUMED);
		REQUIRE(explained(v.last_resumed));
		v.disarm();
		REQUIRE(is_default(SIGPIPE));
		std::signal(SIGPIPE, [](int) {});
		REQUIRE(v.arm() == 0);
		struct sigaction action;
		sigaction(SIGPIPE, nullptr, &action);
		REQUIRE((action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN));
		return 0;
	});
	CHECK(status == 0);
}
