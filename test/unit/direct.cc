// What a vkernel with a quiet point of its own needs: the action of the request, declining one, RAM that does not begin at its segment's
// first byte.
#include <catch2/catch.hpp>

#include <errno.h>

#include "test/unit/fixture.h"

using namespace fixture;

TEST_CASE("a capture of its own does what the request says, or what is configured")
{
	Vkernel v;
	v.config.on_ckpt = VKCKPT_ACTION_EXIT;
	REQUIRE(v.arm() == 0);
	struct vkckpt_error err = {};
	REQUIRE(vkckpt_request(v.ck, VKCKPT_REQUEST(VKCKPT_ACTION_CONTINUE, 0, 3)) == 0);
	CHECK(vkckpt_capture(v.ck, 0, VKCKPT_ACTION_CONFIGURED, &err) == VKCKPT_RESUMED);
	CHECK(v.entry().done_id == 3);
	CHECK(vkckpt_capture(v.ck, 0, VKCKPT_ACTION_CONFIGURED, &err) == VKCKPT_EXIT);
}

TEST_CASE("a request that cannot be brought to a capture is declined with a reason")
{
	Vkernel v;
	REQUIRE(v.arm() == 0);
	struct vkckpt_error err = {};
	CHECK(vkckpt_decline(v.ck, EBUSY, VKCKPT_R_HOOK_FAILED, "a task", &err) == -ENOENT);
	REQUIRE(vkckpt_request(v.ck, VKCKPT_REQUEST(VKCKPT_ACTION_EXIT, 0, 8)) == 0);
	CHECK(vkckpt_decline(v.ck, EBUSY, VKCKPT_R_HOOK_FAILED, "tasks: cp cannot be frozen", &err) == 0);
	CHECK(err.code == EBUSY);
	CHECK(std::string(err.message).find("cp cannot be frozen") != std::string::npos);
	CHECK(v.entry().done_id == 8);
	CHECK(v.entry().result_reason == VKCKPT_R_HOOK_FAILED);
	CHECK(v.entry().phase == VKCKPT_PHASE_RUNNING);
	CHECK_FALSE(exists(v.image));
	// and the next one is served
	REQUIRE(vkckpt_request(v.ck, VKCKPT_REQUEST(VKCKPT_ACTION_CONTINUE, 0, 9)) == 0);
	CHECK(vkckpt_capture(v.ck, 0, VKCKPT_ACTION_CONFIGURED, &err) == VKCKPT_RESUMED);
	CHECK(v.entry().done_id == 9);
}

TEST_CASE("a request that is cancelled on its way to a quiet point of the vkernel's own is seen there and ends as cancelled")
{
	static unsigned kicks;
	Vkernel v;
	v.config.quiesces_itself = 1;
	v.hooks.kick = [](void *) { kicks++; };
	REQUIRE(v.arm() == 0);
	struct vkckpt_error err = {};
	CHECK(vkckpt_requested(v.ck) == 0);
	REQUIRE(vkckpt_request(v.ck, VKCKPT_REQUEST(VKCKPT_ACTION_EXIT, 0, 4)) == 0);
	CHECK(vkckpt_requested(v.ck) == 1);
	kicks = 0;
	REQUIRE(vkckpt_request(v.ck, VKCKPT_REQUEST(VKCKPT_ACTION_CANCEL, 0, 5)) == 0);	// another one's
	CHECK(vkckpt_requested(v.ck) == 1);
	CHECK(kicks == 0);
	REQUIRE(vkckpt_request(v.ck, VKCKPT_REQUEST(VKCKPT_ACTION_CANCEL, 0, 4)) == 0);
	CHECK(vkckpt_requested(v.ck) == -ECANCELED);
	CHECK(kicks == 1);
	SECTION("before the capture") {
		CHECK(vkckpt_decline(v.ck, EBUSY, VKCKPT_R_HOOK_FAILED, "tasks", &err) == 0);
	}
	SECTION("by the capture") {
		CHECK(vkckpt_capture(v.ck, 0, VKCKPT_ACTION_CONFIGURED, &err) == -ECANCELED);
	}
	CHECK(err.reason == VKCKPT_R_CANCELLED);
	CHECK(v.entry().result_reason == VKCKPT_R_CANCELLED);
	CHECK(v.entry().done_id == 4);
	CHECK(vkckpt_requested(v.ck) == 0);
	CHECK_FALSE(exists(v.image));
	REQUIRE(vkckpt_request(v.ck, VKCKPT_REQUEST(VKCKPT_ACTION_CONTINUE, 0, 6)) == 0);
	CHECK(vkckpt_requested(v.ck) == 1);
	CHECK(vkckpt_capture(v.ck, 0, VKCKPT_ACTION_CONFIGURED, &err) == VKCKPT_RESUMED);
	CHECK(vkckpt_requested(v.ck) == 0);
}

TEST_CASE("times that only the vkernel knows stand in its next image, those of its thaw in every one")
{
	Vkernel v;
	REQUIRE(v.arm() == 0);
	struct vkckpt_times times = {};
	times.size = sizeof times;
	times.sync_ns = 3'000'000, times.freeze_ns = 2'000'000, times.devices_ns = 1'000'000;
	times.thaw_tasks_ns = 7'000'000;
	vkckpt_tell_times(v.ck, &times);
	struct vkckpt_error err = {};
	auto stats = [&] {
		struct vkckpt_image *image = nullptr;
		REQUIRE(vkckpt_image_open(v.image.c_str(), &image, &err) == 0);
		struct vkckpt_f_stats s = *vkckpt_image_stats(image);
		vkckpt_image_close(image);
		return s;
	};
	REQUIRE(vkckpt_capture(v.ck, 0, VKCKPT_ACTION_CONTINUE, &err) == VKCKPT_RESUMED);
	struct vkckpt_f_stats s = stats();
	CHECK(s.quiesce_ns == 6'000'000);
	CHECK(vkckpt_stats_time_ns(&s, VKCKPT_TIME_FREEZE) == 2'000'000);
	CHECK(vkckpt_stats_time_ns(&s, VKCKPT_TIME_DEVICES) == 1'000'000);
	CHECK(vkckpt_stats_time_ns(&s, VKCKPT_TIME_THAW_TASKS) == 7'000'000);
	CHECK(v.entry().sync_us == 3000);
	CHECK(v.entry().freeze_us == 2000);
	CHECK(v.entry().devices_us == 1000);
	CHECK(v.entry().write_us == s.write_ns / 1000);
	// the next one has its own
	REQUIRE(vkckpt_capture(v.ck, 0, VKCKPT_ACTION_EXIT, &err) == VKCKPT_EXIT);
	s = stats();
	CHECK(s.quiesce_ns != 6'000'000);
	CHECK(vkckpt_stats_time_ns(&s, VKCKPT_TIME_THAW_TASKS) == 7'000'000);
	CHECK(vkckpt_stats_time_ns(&s, VKCKPT_TIME_THAW_LOAD) == 0);
	// and the library measures a thaw by itself
	v.disarm();
	v.drop_ram();
	REQUIRE(v.thaw(v.image) == 0);
	REQUIRE(vkckpt_capture(v.ck, 0, VKCKPT_ACTION_EXIT, &err) == VKCKPT_EXIT);
	s = stats();
	CHECK(vkckpt_stats_time_ns(&s, VKCKPT_TIME_THAW_LOAD) > 0);
	CHECK(vkckpt_stats_time_ns(&s, VKCKPT_TIME_THAW_TASKS) == 0);
}

TEST_CASE("the start of a segment that is not RAM is neither read nor mapped")
{
	constexpr size_t kSkip = 5 * 4096;
	Vkernel v;
	v.make_ram();
	memset(v.ram() + kSkip, 3, kRamBytes - kSkip);
	REQUIRE(munmap(v.ram(), kSkip) == 0);	// who reads it dies
	v.segment.skip_bytes = kSkip;
	SECTION("goes through an image")
	{
		REQUIRE(v.arm() == 0);
		struct vkckpt_error err = {};
		REQUIRE(vkckpt_capture(v.ck, 0, VKCKPT_ACTION_EXIT, &err) == VKCKPT_EXIT);
		munmap(v.ram() + kSkip, kRamBytes - kSkip);
		// something else lies there in the new process
		void *other = mmap(v.ram(), kSkip, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		REQUIRE(other == v.ram());
		v.ram()[100] = 77;
		vkckpt_disarm(v.ck);
		v.ck = nullptr;
		REQUIRE(v.thaw(v.image) == 0);
		CHECK(v.ram()[100] == 77);
		CHECK(v.ram()[kSkip] == 3);
		CHECK(v.ram()[kRamBytes - 1] == 3);
	}
	SECTION("must be whole frames, and leave some")
	{
		v.segment.skip_bytes = GENERATE(100, kRamBytes);
		CHECK(v.arm() == -EINVAL);
		CHECK(std::string(v.err.message).find("skip_bytes") != std::string::npos);
	}
}
