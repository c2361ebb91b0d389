#include <catch2/catch.hpp>

#include <atomic>
#include <signal.h>
#include <thread>

#include "test/unit/fixture.h"

using namespace fixture;

TEST_CASE("devices stop in order, start in reverse, and the request ends once")
{
	Vkernel v;
	v.add_device("a").polls = 3;
	v.add_device("b").polls = 1;
	REQUIRE(v.arm() == 0);
	CHECK(vkckpt_safe_point(v.ck, 0) == VKCKPT_NOTHING);
	REQUIRE(v.request(VKCKPT_ACTION_CONTINUE, 5) == VKCKPT_RESUMED);
	CHECK(v.log.text() == "a.begin a.drained b.begin b.drained b.undo a.undo resumed:NONE");
	CHECK(v.entry().done_count == 1);
	CHECK(v.entry().done_id == 5);
	CHECK(v.entry().phase == VKCKPT_PHASE_RUNNING);
	CHECK(v.entry().bytes_done == v.entry().bytes_total);
	CHECK(vkckpt_safe_point(v.ck, 0) == VKCKPT_NOTHING);
	CHECK(vkckpt_safe_point(v.ck, 1) == VKCKPT_NOTHING);	// costs one load: no check of the number
}

TEST_CASE("a device that refuses is undone with those before it, and the message quotes it")
{
	Vkernel v;
	v.add_device("a");
	Device &b = v.add_device("b");
	v.add_device("c");
	b.why = "battery low";
	SECTION("at once") { b.begin_result = -EPERM; }
	SECTION("while it drains") { b.poll_result = -EPERM; }
	REQUIRE(v.arm() == 0);
	REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_RESUMED);
	std::string log = v.log.text();
	CHECK(log.substr(log.size() - std::string("b.undo a.undo resumed:HOOK_FAILED").size()) == "b.undo a.undo resumed:HOOK_FAILED");
	CHECK(log.find("c.") == std::string::npos);
	CHECK(v.last_resumed.code == EPERM);
	CHECK(std::string(v.last_resumed.message).find("b: battery low") != std::string::npos);
	CHECK(v.entry().result_reason == VKCKPT_R_HOOK_FAILED);
	CHECK(v.entry().message == std::string(v.last_resumed.message));
	CHECK_FALSE(exists(v.image));
}

TEST_CASE("a device that never drains is named when the deadline has passed")
{
	Vkernel v;
	v.add_device("a").polls = -1;
	v.config.quiesce_timeout_ns = 20'000'000;
	REQUIRE(v.arm() == 0);
	REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_RESUMED);
	CHECK(v.last_resumed.reason == VKCKPT_R_QUIESCE_TIMEOUT);
	CHECK(v.last_resumed.code == ETIMEDOUT);
	CHECK(std::string(v.last_resumed.subject) == "a");
	CHECK(v.log.text() == "a.begin a.undo resumed:QUIESCE_TIMEOUT");
}

TEST_CASE("a device whose policy forbids checkpoints refuses them before anything is stopped")
{
	Vkernel v;
	v.add_device("a");
	v.add_device("gpu", VKCKPT_POLICY_FAIL);
	REQUIRE(v.arm() == 0);
	REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_RESUMED);
	CHECK(v.log.text() == "resumed:HOOK_FAILED");
	CHECK(std::string(v.last_resumed.message).find("gpu") != std::string::npos);
}

namespace {
void with_notice(Vkernel &v)
{
	v.hooks.notice_begin = [](void *p) { static_cast<Vkernel *>(p)->log.add("notice"); };
	v.hooks.notice_undo = [](void *p) { static_cast<Vkernel *>(p)->log.add("notice.undo"); };
	v.hooks.notice_poll = [](void *p, const char **why) {
		*why = static_cast<Vkernel *>(p)->notice_why;
		return static_cast<Vkernel *>(p)->notice_result;
	};
}
}

TEST_CASE("guest processes that ask are told first")
{
	Vkernel v;
	with_notice(v);
	v.add_device("a");
	v.config.notice_timeout_ns = 60'000'000'000;
	SECTION("acknowledged")
	{
		REQUIRE(v.arm() == 0);
		REQUIRE(v.request(VKCKPT_ACTION_CONTINUE) == VKCKPT_RESUMED);
		CHECK(v.log.text() == "notice a.begin a.drained a.undo notice.undo resumed:NONE");
	}
	SECTION("vetoed")
	{
		REQUIRE(v.arm() == 0);
		v.notice_result = -ECANCELED;
		v.notice_why = "burning a CD";
		REQUIRE(v.request(VKCKPT_ACTION_CONTINUE) == VKCKPT_RESUMED);
		CHECK(v.log.text() == "notice notice.undo resumed:VETOED");
		CHECK(std::string(v.last_resumed.message).find("burning a CD") != std::string::npos);
	}
	SECTION("not answered: it goes on without")
	{
		v.config.notice_timeout_ns = 20'000'000;
		REQUIRE(v.arm() == 0);
		v.notice_result = 0;
		REQUIRE(v.request(VKCKPT_ACTION_CONTINUE) == VKCKPT_RESUMED);
		CHECK(v.log.text() == "notice a.begin a.drained a.undo notice.undo resumed:NONE");
	}
	SECTION("cancelled meanwhile")
	{
		REQUIRE(v.arm() == 0);
		v.notice_result = 0;
		vkckpt_request(v.ck, VKCKPT_REQUEST(VKCKPT_ACTION_EXIT, 0, 9));
		CHECK(vkckpt_safe_point(v.ck, 0) == VKCKPT_PENDING);
		CHECK(v.entry().phase == VKCKPT_PHASE_NOTICE);
		CHECK(vkckpt_request(v.ck, VKCKPT_REQUEST(VKCKPT_ACTION_CANCEL, 0, 8)) == 0);	// somebody else's
		CHECK(vkckpt_safe_point(v.ck, 0) == VKCKPT_PENDING);
		CHECK(vkckpt_request(v.ck, VKCKPT_REQUEST(VKCKPT_ACTION_CANCEL, 0, 9)) == 0);
		CHECK(vkckpt_safe_point(v.ck, 0) == VKCKPT_RESUMED);
		CHECK(v.last_resumed.reason == VKCKPT_R_CANCELLED);
		CHECK(v.log.text() == "notice notice.undo resumed:CANCELLED");
	}
}

TEST_CASE("a second request is refused and the first is served")
{
	Vkernel v;
	v.add_device("a").polls = 5;
	REQUIRE(v.arm() == 0);
	CHECK(vkckpt_request(v.ck, VKCKPT_REQUEST(VKCKPT_ACTION_CONTINUE, 0, 1)) == 0);
	CHECK(vkckpt_request(v.ck, VKCKPT_REQUEST(VKCKPT_ACTION_EXIT, 0, 2)) == -EBUSY);
	CHECK(v.entry().refused_id == 2);
	CHECK(v.run() == VKCKPT_RESUMED);
	CHECK(v.entry().done_id == 1);
	CHECK(vkckpt_request(v.ck, VKCKPT_REQUEST(9, 0, 3)) == -EINVAL);
	CHECK(vkckpt_request(v.ck, VKCKPT_REQUEST(VKCKPT_ACTION_CANCEL, 0, 0)) == 0);	// of nothing
	CHECK(vkckpt_safe_point(v.ck, 0) == VKCKPT_NOTHING);
	REQUIRE(v.request(VKCKPT_ACTION_CONTINUE, 3) == VKCKPT_RESUMED);	// that cancel did not stick
	CHECK(v.last_resumed.reason == 0);
}

TEST_CASE("a cancel that comes before its request ends that request and no other")
{
	Vkernel v;
	v.add_device("a").polls = 2;
	REQUIRE(v.arm() == 0);
	CHECK(vkckpt_request(v.ck, VKCKPT_REQUEST(VKCKPT_ACTION_CANCEL, 0, 5)) == 0);
	CHECK(vkckpt_safe_point(v.ck, 0) == VKCKPT_NOTHING);
	REQUIRE(v.request(VKCKPT_ACTION_CONTINUE, 4) == VKCKPT_RESUMED);
	CHECK(v.last_resumed.reason == 0);
	REQUIRE(v.request(VKCKPT_ACTION_EXIT, 5) == VKCKPT_RESUMED);
	CHECK(v.last_resumed.reason == VKCKPT_R_CANCELLED);
	CHECK(v.entry().done_id == 5);
	for (uint64_t id = 11; id <= 18; id++)		// of several who have given up: none of theirs is served late
		CHECK(vkckpt_request(v.ck, VKCKPT_REQUEST(VKCKPT_ACTION_CANCEL, 0, id)) == 0);
	for (uint64_t id = 11; id <= 18; id++) {
		REQUIRE(v.request(VKCKPT_ACTION_EXIT, id) == VKCKPT_RESUMED);
		CHECK(v.last_resumed.reason == VKCKPT_R_CANCELLED);
	}
	REQUIRE(v.request(VKCKPT_ACTION_CONTINUE, 0) == VKCKPT_RESUMED);	// without an id it is nobody's
	CHECK(v.last_resumed.reason == 0);
	CHECK(v.request(VKCKPT_ACTION_EXIT, 6) == VKCKPT_EXIT);
}

TEST_CASE("a cancel while devices drain undoes them")
{
	Vkernel v;
	v.add_device("a");
	v.add_device("b").polls = -1;
	REQUIRE(v.arm() == 0);
	vkckpt_request(v.ck, VKCKPT_REQUEST(VKCKPT_ACTION_EXIT, 0, 1));
	CHECK(vkckpt_safe_point(v.ck, 0) == VKCKPT_PENDING);
	vkckpt_request(v.ck, VKCKPT_REQUEST(VKCKPT_ACTION_CANCEL, 0, 0));
	CHECK(v.run() == VKCKPT_RESUMED);
	CHECK(v.log.text() == "a.begin a.drained b.begin b.undo a.undo resumed:CANCELLED");
}

TEST_CASE("a cancel in the middle of the capture leaves no trace")
{
	Vkernel v;
	spill(v.image, "old");
	v.hooks.frame_states = [](void *p, unsigned, uint64_t, unsigned, uint8_t *, uint8_t *) {
		vkckpt_request(static_cast<Vkernel *>(p)->ck, VKCKPT_REQUEST(VKCKPT_ACTION_CANCEL, 0, 0));
	};
	REQUIRE(v.arm() == 0);
	REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_RESUMED);
	CHECK(v.last_resumed.reason == VKCKPT_R_CANCELLED);
	CHECK(slurp(v.image) == "old");
	CHECK_FALSE(exists(v.image + ".part"));
}

TEST_CASE("a device whose save fails costs nothing but the request")
{
	Vkernel v;
	v.add_device("a").save_result = -EIO;
	spill(v.image, "old");
	REQUIRE(v.arm() == 0);
	REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_RESUMED);
	CHECK(v.last_resumed.reason == VKCKPT_R_HOOK_FAILED);
	CHECK(slurp(v.image) == "old");
	CHECK_FALSE(exists(v.image + ".part"));
	v.device_state[0].save_result = 0;
	CHECK(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT);
}

namespace {

// vCPUs as threads: each counts in RAM between safe points; `stuck` never comes.
struct Threads {
	Vkernel &v;
	std::vector<std::thread> threads;
	std::atomic<bool> stop{ false };
	std::atomic<int> resumed{ 0 }, exits{ 0 };
	std::atomic<int> stuck{ -1 };

	Threads(Vkernel &vk, unsigned count, int stuck_one = -1) : v(vk), stuck(stuck_one)
	{
		for (unsigned i = 0; i < count; i++)
			threads.emplace_back([this, i] { body(i); });
	}
	~Threads() { join(); }
	void join()
	{
		stop = true;
		for (std::thread &t : threads)
			t.join();
		threads.clear();
	}
	void body(unsigned i)
	{
		volatile uint64_t *counter = reinterpret_cast<uint64_t *>(kRam) + i;
		while (!stop) {
			*counter = *counter + 1;
			if ((int)i == stuck) {
				usleep(100);
				continue;
			}
			switch (vkckpt_safe_point(v.ck, i)) {
			case VKCKPT_PENDING: usleep(50); break;
			case VKCKPT_RESUMED: resumed++; break;
			case VKCKPT_EXIT: exits++; return;
			}
		}
	}
	bool wait_done(uint64_t count)
	{
		for (int i = 0; i < 100000; i++, usleep(100))
			if (v.entry().done_count >= count)
				return true;
		return false;
	}
};

}  // namespace

TEST_CASE("many vCPUs park for each of many checkpoints and all go on")
{
	Vkernel v;
	v.config.vcpu_count = 8;
	v.add_device("a").polls = 1;
	REQUIRE(v.arm() == 0);
	Threads t(v, 8);
	for (uint64_t n = 1; n <= 50; n++) {
		while (vkckpt_request(v.ck, VKCKPT_REQUEST(VKCKPT_ACTION_CONTINUE, 0, n)) == -EBUSY)
			usleep(100);
		REQUIRE(t.wait_done(n));
		CHECK(v.entry().result_reason == 0);
	}
	t.join();
	CHECK(t.resumed >= 50);
}

TEST_CASE("in a suspend every vCPU is told to exit and none counts on")
{
	Vkernel v;
	v.config.vcpu_count = 4;
	REQUIRE(v.arm() == 0);
	Threads t(v, 4);
	REQUIRE(vkckpt_request(v.ck, 0) == 0);
	for (std::thread &thread : t.threads)
		thread.join();
	t.threads.clear();
	CHECK(t.exits == 4);
	uint64_t counters[4];
	memcpy(counters, v.ram(), sizeof counters);
	v.die();
	REQUIRE(v.thaw(v.image) == 0);
	CHECK(memcmp(counters, v.ram(), sizeof counters) == 0);
	CHECK(vkckpt_vcpu_count(v.ck) == 4);
}

TEST_CASE("a vCPU that never comes is named, the others go on")
{
	Vkernel v;
	v.config.vcpu_count = 4;
	v.config.quiesce_timeout_ns = 1'500'000'000;	// long enough for the other three on a busy host
	v.add_device("a");
	REQUIRE(v.arm() == 0);
	Threads t(v, 4, 2);
	REQUIRE(vkckpt_request(v.ck, VKCKPT_REQUEST(VKCKPT_ACTION_EXIT, 0, 1)) == 0);
	REQUIRE(t.wait_done(1));
	CHECK(v.entry().result_reason == VKCKPT_R_QUIESCE_TIMEOUT);
	CHECK(std::string(v.entry().message).find("vcpu 2") != std::string::npos);
	t.stuck = -1;
	while (vkckpt_request(v.ck, VKCKPT_REQUEST(VKCKPT_ACTION_CONTINUE, 0, 2)) == -EBUSY)
		usleep(100);
	REQUIRE(t.wait_done(2));
	CHECK(v.entry().result_reason == 0);
}

TEST_CASE("no vCPU comes at all: the request is answered, and what was begun is undone by the first that comes")
{
	Vkernel v;
	v.config.quiesce_timeout_ns = 500'000'000;	// its steps are taken in that time on a busy host, too
	v.add_device("a").polls = -1;
	REQUIRE(v.arm() == 0);
	unsigned steps = GENERATE(0, 1);	// how far it came before its vCPU was stuck
	auto done = [&](uint64_t count) {
		for (int i = 0; i < 100000 && v.entry().done_count < count; i++)
			usleep(100);
		return v.entry().done_count == count;
	};
	REQUIRE(vkckpt_request(v.ck, VKCKPT_REQUEST(VKCKPT_ACTION_EXIT, 0, 7)) == 0);
	for (unsigned i = 0; i < steps; i++)
		CHECK(vkckpt_safe_point(v.ck, 0) == VKCKPT_PENDING);
	REQUIRE(done(1));
	CHECK(v.entry().done_id == 7);
	CHECK(v.entry().result_reason == VKCKPT_R_QUIESCE_TIMEOUT);
	CHECK(v.entry().phase == VKCKPT_PHASE_RUNNING);
	CHECK(std::string(v.entry().message).find(steps ? ": a:" : "no vCPU") != std::string::npos);
	CHECK(v.log.text() == (steps ? "a.begin" : ""));
	CHECK(vkckpt_request(v.ck, VKCKPT_REQUEST(VKCKPT_ACTION_EXIT, 0, 8)) == -EBUSY);	// it cannot be served either

	v.device_state[0].polls = 0;
	REQUIRE(v.run() == VKCKPT_RESUMED);
	CHECK(v.log.text() == (steps ? "a.begin a.undo resumed:QUIESCE_TIMEOUT" : "resumed:QUIESCE_TIMEOUT"));
	CHECK(v.entry().done_count == 1);
	CHECK_FALSE(exists(v.image));
	REQUIRE(v.request(VKCKPT_ACTION_CONTINUE, 9) == VKCKPT_RESUMED);
	CHECK(v.entry().done_id == 9);
	CHECK(v.last_resumed.reason == 0);
}

TEST_CASE("a cancel of a request that no vCPU serves is certain all the same")
{
	Vkernel v;
	REQUIRE(v.arm() == 0);
	REQUIRE(vkckpt_request(v.ck, VKCKPT_REQUEST(VKCKPT_ACTION_EXIT, 0, 1)) == 0);
	REQUIRE(vkckpt_request(v.ck, VKCKPT_REQUEST(VKCKPT_ACTION_CANCEL, 0, 1)) == 0);
	for (int i = 0; i < 100000 && v.entry().done_count == 0; i++)
		usleep(100);
	CHECK(v.entry().done_count == 1);
	CHECK(v.entry().result_reason == VKCKPT_R_CANCELLED);
	REQUIRE(v.run() == VKCKPT_RESUMED);
	CHECK(v.log.text() == "resumed:CANCELLED");
	CHECK_FALSE(exists(v.image));
	CHECK(v.request(VKCKPT_ACTION_EXIT, 2) == VKCKPT_EXIT);
}

TEST_CASE("vCPUs that come just when the patience ends: each request ends once, captured or refused")
{
	Vkernel v;
	v.config.vcpu_count = 2;
	v.config.quiesce_timeout_ns = 1;	// and the watch's grace
	REQUIRE(v.arm() == 0);
	unsigned seed = 1, refused = 0;
	for (uint64_t n = 1; n <= 6; n++) {
		REQUIRE(vkckpt_request(v.ck, VKCKPT_REQUEST(VKCKPT_ACTION_CONTINUE, 0, n)) == 0);
		usleep(499'000 + rand_r(&seed) % 3000);
		{
			Threads t(v, 2);
			REQUIRE(t.wait_done(n));
			while (t.resumed == 0)
				usleep(100);
		}
		CHECK(v.entry().done_count == n);
		CHECK(v.entry().done_id == n);
		refused += v.entry().result_reason == VKCKPT_R_QUIESCE_TIMEOUT;
		CHECK((v.entry().result_reason == 0 || v.entry().result_reason == VKCKPT_R_QUIESCE_TIMEOUT));
	}
	INFO(refused << " of 6 were refused");
	std::string log = v.log.text();
	unsigned ended = 0;
	for (size_t at = 0; (at = log.find("resumed:", at)) != std::string::npos; at++)
		ended++;
	CHECK(ended == 6);
}

TEST_CASE("a vkernel that quiesces itself has all the time it needs")
{
	Vkernel v;
	v.config.quiesce_timeout_ns = 1;
	v.config.quiesces_itself = 1;
	REQUIRE(v.arm() == 0);
	REQUIRE(vkckpt_request(v.ck, VKCKPT_REQUEST(VKCKPT_ACTION_EXIT, 0, 4)) == 0);
	usleep(700'000);
	CHECK(v.entry().done_count == 0);
	struct vkckpt_error err = {};
	CHECK(vkckpt_capture(v.ck, 0, VKCKPT_ACTION_CONFIGURED, &err) == VKCKPT_EXIT);
	CHECK(v.entry().done_id == 4);
}

TEST_CASE("a vkernel that calls capture after its time is told so, and nothing is written")
{
	Vkernel v;
	v.config.quiesce_timeout_ns = 1;
	REQUIRE(v.arm() == 0);
	REQUIRE(vkckpt_request(v.ck, VKCKPT_REQUEST(VKCKPT_ACTION_EXIT, 0, 4)) == 0);
	for (int i = 0; i < 100000 && v.entry().done_count == 0; i++)
		usleep(100);
	struct vkckpt_error err = {};
	CHECK(vkckpt_capture(v.ck, 0, VKCKPT_ACTION_CONFIGURED, &err) == -ETIMEDOUT);
	CHECK(err.reason == VKCKPT_R_QUIESCE_TIMEOUT);
	CHECK(v.entry().done_count == 1);
	CHECK_FALSE(exists(v.image));
	CHECK(vkckpt_capture(v.ck, 0, VKCKPT_ACTION_EXIT, &err) == VKCKPT_EXIT);
}

TEST_CASE("a cancel releases those who wait in the park")
{
	Vkernel v;
	v.config.vcpu_count = 3;
	REQUIRE(v.arm() == 0);
	Threads t(v, 3, 0);
	REQUIRE(vkckpt_request(v.ck, VKCKPT_REQUEST(VKCKPT_ACTION_EXIT, 0, 1)) == 0);
	usleep(20000);
	REQUIRE(vkckpt_request(v.ck, VKCKPT_REQUEST(VKCKPT_ACTION_CANCEL, 0, 1)) == 0);
	REQUIRE(t.wait_done(1));
	CHECK(v.entry().result_reason == VKCKPT_R_CANCELLED);
}

TEST_CASE("random requests and cancels against many vCPUs: each request ends, nobody hangs")
{
	Vkernel v;
	v.config.vcpu_count = 6;
	v.add_device("a").polls = 2;
	REQUIRE(v.arm() == 0);
	Threads t(v, 6);
	unsigned seed = 1;
	uint64_t asked = 0;
	for (int i = 0; i < 300; i++) {
		bool cancel = rand_r(&seed) % 2;
		if (vkckpt_request(v.ck, VKCKPT_REQUEST(VKCKPT_ACTION_CONTINUE, 0, asked + 1)) == 0)
			asked++;
		usleep(rand_r(&seed) % 800);
		if (cancel)
			vkckpt_request(v.ck, VKCKPT_REQUEST(VKCKPT_ACTION_CANCEL, 0, 0));
	}
	CHECK(t.wait_done(asked));
	CHECK(v.entry().done_count == asked);
}

TEST_CASE("a request and its cancellation on two threads, in whichever order: each ends once, and the cancelled one is not committed")
{
	Vkernel v;
	v.add_device("a").polls = 2;
	REQUIRE(v.arm() == 0);
	for (uint64_t id = 1; id <= 300; id++) {
		std::thread cancel([&] { vkckpt_request(v.ck, VKCKPT_REQUEST(VKCKPT_ACTION_CANCEL, 0, id)); });
		const int taken = vkckpt_request(v.ck, VKCKPT_REQUEST(VKCKPT_ACTION_EXIT, 0, id));
		cancel.join();
		REQUIRE(taken == 0);
		REQUIRE(v.run() == VKCKPT_RESUMED);
		REQUIRE(v.entry().done_id == id);
		REQUIRE(v.entry().done_count == id);
		REQUIRE(v.last_resumed.reason == VKCKPT_R_CANCELLED);
	}
	CHECK_FALSE(exists(v.image));
}

TEST_CASE("a vkernel that is quiet by itself calls capture alone")
{
	Vkernel v;
	v.add_device("a");
	REQUIRE(v.arm() == 0);
	struct vkckpt_error err = {};
	CHECK(vkckpt_capture(v.ck, 0, VKCKPT_ACTION_CONTINUE, &err) == VKCKPT_RESUMED);
	CHECK(v.log.text() == "");	// no hook of the quiesce
	CHECK(vkckpt_capture(v.ck, 1, VKCKPT_ACTION_CONTINUE, &err) == -EINVAL);
	CHECK(vkckpt_capture(v.ck, 0, VKCKPT_ACTION_CANCEL, &err) == -EINVAL);
	// serves the request that brought it here
	REQUIRE(vkckpt_request(v.ck, VKCKPT_REQUEST(VKCKPT_ACTION_EXIT, 0, 4)) == 0);
	CHECK(vkckpt_capture(v.ck, 0, VKCKPT_ACTION_EXIT, &err) == VKCKPT_EXIT);
	CHECK(v.entry().done_id == 4);
	v.die();
	CHECK(v.thaw(v.image) == 0);
}

TEST_CASE("signals ask: kill means the configured action, a queued value says more")
{
	Vkernel v;
	v.config.on_ckpt = VKCKPT_ACTION_CONTINUE;
	REQUIRE(v.arm() == 0);
	auto queue = [](int signal, uint64_t request) {
		union sigval value;
		value.sival_ptr = reinterpret_cast<void *>(request);
		sigqueue(getpid(), signal, value);
	};
	kill(getpid(), VKCKPT_SIGCKPT);
	CHECK(v.run() == VKCKPT_RESUMED);
	CHECK(v.entry().done_id == 0);
	queue(VKCKPT_SIGCKPT, VKCKPT_REQUEST(VKCKPT_ACTION_CONTINUE, 0, 123));
	CHECK(v.run() == VKCKPT_RESUMED);
	CHECK(v.entry().done_id == 123);
	queue(VKCKPT_SIGCKPT, VKCKPT_REQUEST(VKCKPT_ACTION_CONTINUE, 0, 124));
	queue(VKCKPT_SIGCKPT, VKCKPT_REQUEST(VKCKPT_ACTION_CONTINUE, 0, 125));
	CHECK(v.entry().refused_id == 125);
	queue(VKCKPT_SIGCKPT, VKCKPT_REQUEST(VKCKPT_ACTION_CANCEL, 0, 124));
	CHECK(v.run() == VKCKPT_RESUMED);
	CHECK(v.entry().result_reason == VKCKPT_R_CANCELLED);
	queue(VKCKPT_SIGCKPTEXIT, VKCKPT_REQUEST(VKCKPT_ACTION_CONTINUE, 0, 126));	// always exits
	CHECK(v.run() == VKCKPT_EXIT);
	CHECK(v.entry().action == VKCKPT_ACTION_EXIT);
}
