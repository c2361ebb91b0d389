// Faults while a lazy thaw brings RAM: each host call of it fails once, in several ways, from the first one to the last frame. Every time the
// vkernel has what the image holds, or the thaw was refused and works the next time, or the process ended with a message and the status that
// says so; none hangs. And checkpoints that are asked for while a vCPU waits for a frame.
#include <catch2/catch.hpp>

#include <poll.h>
#include <sys/wait.h>

#include <atomic>
#include <thread>

#include "test/fault/faults.h"
#include "test/unit/fixture.h"
#include "test/userfault.h"

using namespace fixture;

namespace {

constexpr uint32_t kLazy = VKCKPT_LAZY | VKCKPT_LAZY_REQUIRED;
constexpr int kRefused = 77, kWrong = 78;
uint8_t region_memory[10000];

void fill(Vkernel &v)
{
	v.make_ram();
	for (size_t i = 0; i < kRamBytes; i += 64)
		*reinterpret_cast<uint64_t *>(v.ram() + i) = i * 0x9e3779b97f4a7c15ull + 1;
}

bool filled(Vkernel &v)
{
	for (size_t i = kRamBytes; i > 0; i -= 64)	// from behind: the filler comes from the front
		if (*reinterpret_cast<uint64_t *>(v.ram() + i - 64) != (i - 64) * 0x9e3779b97f4a7c15ull + 1)
			return false;
	return true;
}

bool complete(Vkernel &v)
{
	struct vkckpt_fill_info f = {};
	f.size = sizeof f;
	return vkckpt_fill_status(v.ck, &f) == 0 && f.state == VKCKPT_FILL_COMPLETE;
}

void suspend(Vkernel &v)
{
	fill(v);
	REQUIRE(v.arm() == 0);
	REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT);
	v.die();
}

// In a child that is killed if it hangs: its status, and what it said.
int in_child(std::string *said, const std::function<int()> &f)
{
	int link[2];
	if (pipe(link) != 0)
		abort();
	pid_t child = fork();
	if (child == 0) {
		dup2(link[1], 2);
		alarm(60);
		_exit(f());
	}
	close(link[1]);
	said->clear();
	char buffer[1024];
	for (ssize_t n; (n = read(link[0], buffer, sizeof buffer)) > 0;)
		said->append(buffer, size_t(n));
	close(link[0]);
	int status = 0;
	if (waitpid(child, &status, 0) != child)
		abort();
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

int thaw_and_look(Vkernel &v, uint32_t how, bool until_complete)
{
	v.lazy = how;
	if (v.thaw(v.image) < 0)
		return v.err.code > 0 && v.err.reason != 0 && strstr(v.err.message, vkckpt_reason_name(v.err.reason)) ? kRefused : kWrong;
	if (!filled(v))
		return kWrong;
	while (until_complete && !complete(v))
		usleep(1000);
	return filled(v) ? 0 : kWrong;
}

}  // namespace

TEST_CASE("a lazy thaw at every host call: right, refused or stopped, and never a hang")
{
	NEEDS_USERFAULTFD();
	Vkernel v;
	v.config.workers = 2;
	suspend(v);
	for (uint32_t how : {kLazy, kLazy | VKCKPT_LAZY_ON_DEMAND})
		for (long result : {long{-EIO}, long{-ENOMEM}, long{-EINTR}, faults::kHalf, faults::kEnd}) {
			if (how != kLazy && result != -EIO)	// the same calls by another thread
				continue;
			unsigned ends[4] = {};
			bool reached = true;
			for (long k = 1; reached; k++) {
				REQUIRE(k < 2000);
				std::string said;
				int end = in_child(&said, [&] {
					faults::start(k, result);
					int r = thaw_and_look(v, how, how == kLazy);
					faults::state()->on = false;
					return r;
				});
				reached = faults::stop();
				INFO("call " << k << " (" << faults::state()->failed_number << ") result " << result << " how " << how << ": " << said);
				REQUIRE((end == 0 || end == kRefused || end == VKCKPT_EXIT_STOPPED));
				REQUIRE((end == VKCKPT_EXIT_STOPPED) == (said.find("stopped: RAM cannot be completed") != std::string::npos));
				// What a signal or a short read does is nobody's business.
				REQUIRE((end == 0 || result == -EIO || result == -ENOMEM || result == faults::kEnd || (result == -EINTR && end == kRefused)));
				ends[end == 0 ? 0 : end == kRefused ? 1 : 2]++;
			}
			CHECK(ends[0] > 0);
			if (result == -EIO || result == faults::kEnd) {
				CHECK(ends[1] > 0);
				CHECK(ends[2] > 0);
			}
		}
	std::string said;
	CHECK(in_child(&said, [&] { return thaw_and_look(v, kLazy, true); }) == 0);	// the image has seen nothing of it
}

TEST_CASE("a lazy thaw with regions at every host call: right, ended with a message or stopped")
{
	NEEDS_USERFAULTFD();
	Vkernel v;
	v.regions.push_back({ "bss", region_memory, sizeof region_memory });
	memset(region_memory, 1, sizeof region_memory);
	suspend(v);
	memset(region_memory, 2, sizeof region_memory);
	bool reached = true;
	for (long k = 1; reached; k++) {
		std::string said;
		int end = in_child(&said, [&] {
			faults::start(k, -EIO);
			int r = thaw_and_look(v, kLazy, true);
			faults::state()->on = false;
			return r == 0 && region_memory[9999] != 1 ? kWrong : r == kRefused && region_memory[0] != 2 ? kWrong : r;
		});
		reached = faults::stop();
		INFO("call " << k << " (" << faults::state()->failed_number << "): " << said);
		REQUIRE((end == 0 || end == kRefused || end == VKCKPT_EXIT_STOPPED || (end == 1 && said.find("thaw") != std::string::npos)));
	}
}

namespace {

// Two vCPUs, each with a thread: the first touches all of RAM between its safe points, the second does nothing else than stop at them.
struct Waiting : Vkernel {
	std::atomic<int> verdict{0};
	Waiting()
	{
		config.vcpu_count = 2;
		fill(*this);
		if (arm() != 0)
			abort();
		if (vkckpt_request(ck, VKCKPT_REQUEST(VKCKPT_ACTION_EXIT, 0, 0)) != 0)
			abort();
		std::thread other([&] { run(1); });	// a safe point is nothing before the request
		if (run(0) != VKCKPT_EXIT)
			abort();
		other.join();
		die();
	}
	// What the two get: the checkpoint is asked for while the first one waits for a frame, which comes when the second has waited a little,
	// or when it has given up.
	int checkpoint_in_a_fault(bool comes)
	{
		lazy = kLazy | VKCKPT_LAZY_ON_DEMAND;
		if (thaw(image) < 0)
			return kWrong;
		faults::state()->read_waits = false;
		faults::state()->reads_wait = true;
		std::atomic<bool> touched{false};
		std::thread first([&] {
			(void)*static_cast<volatile uint8_t *>(ram() + kRamBytes / 2);
			touched = true;
			run(0);
		});
		while (!__atomic_load_n(&faults::state()->read_waits, __ATOMIC_SEQ_CST))
			usleep(1000);
		if (touched)
			return kWrong;
		if (vkckpt_request(ck, VKCKPT_REQUEST(VKCKPT_ACTION_CONTINUE, 0, 0)) != 0)
			return kWrong;
		auto let_it_come = [] { __atomic_store_n(&faults::state()->reads_wait, false, __ATOMIC_SEQ_CST); };
		std::thread later([&] {
			usleep(100'000);
			if (comes)
				let_it_come();
		});
		int r = run(1);
		let_it_come();
		later.join();
		first.join();
		if (r != VKCKPT_RESUMED || !touched)
			return kWrong;
		return last_resumed.reason;
	}
};

}  // namespace

TEST_CASE("a checkpoint that is asked for while a vCPU waits for a frame waits for it, and holds all")
{
	NEEDS_USERFAULTFD();
	Waiting v;
	std::string said;
	v.config.quiesce_timeout_ns = 60'000'000'000;
	const std::string before = slurp(v.image);
	REQUIRE(in_child(&said, [&] { return v.checkpoint_in_a_fault(true); }) == 0);
	CHECK(slurp(v.image) != before);
	REQUIRE(in_child(&said, [&] { return thaw_and_look(v, kLazy, true); }) == 0);
}

TEST_CASE("a checkpoint for which a vCPU comes too late from a fault fails, and the vkernel runs on")
{
	NEEDS_USERFAULTFD();
	Waiting v;
	std::string said;
	v.config.quiesce_timeout_ns = 100'000'000;
	const std::string before = slurp(v.image);
	REQUIRE(in_child(&said, [&] {
		int r = v.checkpoint_in_a_fault(false);
		return r != VKCKPT_R_QUIESCE_TIMEOUT ? kWrong : filled(v) ? 0 : kWrong;
	}) == 0);
	CHECK(slurp(v.image) == before);
}
