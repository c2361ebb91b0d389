// The wall clock of a host is stepped, by a day and at any moment: no wait of the library is longer or shorter for it.
#include <catch2/catch.hpp>

#include <atomic>
#include <time.h>

#include "test/unit/fixture.h"

using namespace fixture;

namespace vk {
uint64_t real_clock_ns(int clock) asm("__real__ZN2vk12sys_clock_nsEi");
uint64_t stepped_clock_ns(int clock) asm("__wrap__ZN2vk12sys_clock_nsEi");

constexpr uint64_t kDay = 86400ull * 1'000'000'000;
std::atomic<int> steps{0};	// 0: as it is; n: each reading of the wall clock is a day ahead of or behind the one before

uint64_t stepped_clock_ns(int clock)
{
	const uint64_t now = real_clock_ns(clock);
	if (clock != CLOCK_REALTIME || steps == 0)
		return now;
	return steps++ % 2 ? now + kDay : now - kDay;
}
}  // namespace vk

namespace {
struct Stepping {
	Stepping() { vk::steps = 1; }
	~Stepping() { vk::steps = 0; }
};
}  // namespace

TEST_CASE("the wall clock is stepped while a vkernel comes to rest: in time is in time, and too late is too late")
{
	Stepping stepping;
	Vkernel v;
	Device &d = v.add_device("a");
	v.hooks.notice_begin = [](void *p) { static_cast<Vkernel *>(p)->log.add("notice"); };
	v.hooks.notice_poll = [](void *, const char **) { return 0; };	// nobody answers
	v.config.notice_timeout_ns = 20'000'000;
	v.config.quiesce_timeout_ns = 60'000'000'000;
	d.polls = 300;
	REQUIRE(v.arm() == 0);
	REQUIRE(v.request(VKCKPT_ACTION_CONTINUE) == VKCKPT_RESUMED);
	CHECK(v.last_resumed.reason == VKCKPT_R_NONE);
	v.disarm();
	d.polls = -1;
	v.config.quiesce_timeout_ns = 30'000'000;
	REQUIRE(v.arm() == 0);
	REQUIRE(v.request(VKCKPT_ACTION_CONTINUE) == VKCKPT_RESUMED);
	CHECK(v.last_resumed.reason == VKCKPT_R_QUIESCE_TIMEOUT);
	CHECK(vk::steps > 1);	// it was read, for what the image says
}

TEST_CASE("the wall clock is stepped between a suspend and its thaw: the guest learns how far, its own clock goes on")
{
	Vkernel v;
	v.make_ram();
	REQUIRE(v.arm() == 0);
	REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT);
	v.die();
	for (int i = 0; i < 2; i++) {
		vk::steps = i + 1;	// ahead, then behind
		REQUIRE(v.thaw(v.image) == 0);
		vk::steps = 0;
		const int64_t day = i ? -int64_t(vk::kDay) : int64_t(vk::kDay);
		CHECK(v.info.realtime_gap_ns > day - 1);
		CHECK(v.info.realtime_gap_ns < day + int64_t(vk::kDay) / 2);
		CHECK(v.info.monotonic_now_ns >= v.info.monotonic_then_ns);
		v.disarm();
		v.drop_ram();
	}
}
