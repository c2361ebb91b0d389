// The seam to the host, the arena and the streams.
#include <catch2/catch.hpp>

#include <cerrno>
#include <climits>
#include <cstring>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include "lib/arena.h"
#include "lib/input.h"
#include "lib/output.h"
#include "lib/sys.h"

namespace {

volatile int g_signal;
volatile uint64_t g_value;
void on_signal(int signal, siginfo_t *info, void *)
{
	g_value = static_cast<uint64_t>(info->si_value.sival_int);
	g_signal = signal;
}

struct ThreadArgs {
	uint32_t alive = 0;
	volatile int result = 0;
};

}  // namespace

TEST_CASE("calls give their value or -errno", "[sys]")
{
	REQUIRE(vk::sys_close(-1) == -EBADF);
	REQUIRE(vk::sys_open("/nonexistent", O_RDONLY) == -ENOENT);
	REQUIRE(vk::sys_getpid() == getpid());
	int fd = static_cast<int>(vk::sys_memfd_create("t", 0));
	REQUIRE(fd >= 0);
	REQUIRE(vk::sys_ftruncate(fd, 10000) == 0);
	struct stat st;
	REQUIRE(vk::sys_fstat(fd, &st) == 0);
	REQUIRE(st.st_size == 10000);
	REQUIRE(vk::pwrite_all(fd, "hello", 5, 9000) == 0);
	char back[8] = {};
	REQUIRE(vk::pread_all(fd, back, 5, 9000) == 5);
	REQUIRE(std::string(back) == "hello");
	REQUIRE(vk::pread_all(fd, back, 8, 9998) == 2);
	REQUIRE(vk::sys_close(fd) == 0);
	uint64_t before = vk::sys_clock_ns(CLOCK_MONOTONIC);
	REQUIRE(vk::sys_nanosleep(1000000) == 0);
	REQUIRE(vk::sys_clock_ns(CLOCK_MONOTONIC) - before >= 1000000);
}

TEST_CASE("a handler runs with its value and returns; the old action comes back", "[sys]")
{
	vk::SignalAction action, old;
	action.handler = on_signal;
	action.flags = SA_RESTART;
	REQUIRE(vk::sys_sigaction(SIGUSR1, &action, &old) == 0);
	siginfo_t info = {};
	info.si_code = SI_QUEUE;
	info.si_value.sival_int = 4711;
	REQUIRE(vk::sys_sigqueue(getpid(), SIGUSR1, &info) == 0);
	REQUIRE(g_signal == SIGUSR1);
	REQUIRE(g_value == 4711);
	vk::SignalAction current;
	REQUIRE(vk::sys_sigaction(SIGUSR1, &old, &current) == 0);
	REQUIRE(current.handler == on_signal);
}

TEST_CASE("a thread runs on a given stack and says when the stack is free", "[sys]")
{
	vk::Arena arena;
	REQUIRE(arena.map(65536, vk::Prefault::yes).ok());
	uint8_t *stack = static_cast<uint8_t *>(arena.take(32768, 4096));
	ThreadArgs args;
	uint64_t all = ~0ull, old = 0;
	REQUIRE(vk::sys_sigprocmask(SIG_SETMASK, &all, &old) == 0);
	long tid = vk::sys_thread_start(stack + 32768, [](void *p) { static_cast<ThreadArgs *>(p)->result = 7; }, &args, &args.alive);
	REQUIRE(vk::sys_sigprocmask(SIG_SETMASK, &old, nullptr) == 0);
	REQUIRE(tid > 0);
	for (uint32_t alive; (alive = __atomic_load_n(&args.alive, __ATOMIC_ACQUIRE)) != 0;)
		(void)vk::sys_futex_wait(&args.alive, alive, 1000000000);
	REQUIRE(args.result == 7);
	arena.release();
}

TEST_CASE("a futex wait ends at its timeout or at another value", "[sys]")
{
	uint32_t word = 1;
	REQUIRE(vk::sys_futex_wait(&word, 2, 0) == -EAGAIN);
	REQUIRE(vk::sys_futex_wait(&word, 1, 1000000) == -ETIMEDOUT);
	REQUIRE(vk::sys_futex_wake(&word, 1) == 0);
}

TEST_CASE("writes go on over a full non-blocking pipe", "[sys]")
{
	int ends[2];
	REQUIRE(pipe(ends) == 0);
	REQUIRE(vk::sys_fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0);
	std::vector<uint8_t> data(1 << 20), back(1 << 20);
	for (size_t i = 0; i < data.size(); i++)
		data[i] = static_cast<uint8_t>(i * 7 / 3);
	long written = -1;
	std::thread writer([&] { written = vk::write_all(ends[1], data.data(), data.size()); });
	REQUIRE(vk::read_all(ends[0], back.data(), back.size()) == static_cast<long>(back.size()));
	writer.join();
	REQUIRE(written == 0);
	REQUIRE(back == data);
	close(ends[1]);
	REQUIRE(vk::read_all(ends[0], back.data(), 1) == 0);
	close(ends[0]);
}

TEST_CASE("the arena gives zeroed, aligned memory of exactly its room", "[arena]")
{
	vk::Arena arena;
	size_t size = vk::Arena::room(100) + vk::Arena::room(1, 4096) + vk::Arena::room(4096);
	REQUIRE(arena.map(size, vk::Prefault::yes).ok());
	uint8_t *a = static_cast<uint8_t *>(arena.take(100));
	uint8_t *b = static_cast<uint8_t *>(arena.take(1, 4096));
	uint8_t *c = arena.take_array<uint8_t>(4096);
	REQUIRE(reinterpret_cast<uintptr_t>(a) % 64 == 0);
	REQUIRE(reinterpret_cast<uintptr_t>(b) % 4096 == 0);
	REQUIRE(b >= a + 100);
	REQUIRE(c >= b + 1);
	REQUIRE(arena.used_bytes() <= size);
	for (size_t i = 0; i < 4096; i++)
		if (c[i] != 0)
			FAIL("not zero at " << i);
	arena.release();
	arena.release();
	REQUIRE(arena.base() == nullptr);
	REQUIRE(arena.map(1ull << 60, vk::Prefault::no).reason == VKCKPT_R_NO_MEMORY);
}

TEST_CASE("the output writes aligned pieces whatever is appended", "[output]")
{
	vk::Arena arena;
	REQUIRE(arena.map(vk::Output::arena_bytes() + vk::Arena::room(8192, 4096), vk::Prefault::no).ok());
	vk::Output out;
	out.init(arena);
	uint8_t *blocks = static_cast<uint8_t *>(arena.take(8192, 4096));
	std::memset(blocks, 'b', 8192);
	int fd = static_cast<int>(vk::sys_memfd_create("t", 0));
	out.begin(fd);
	std::vector<char> expected;
	std::string odd(100003, 'o');
	for (int round = 0; round < 15; round++) {	// over the stage's size
		REQUIRE(out.append(odd.data(), odd.size()).ok());
		expected.insert(expected.end(), odd.begin(), odd.end());
	}
	REQUIRE(out.align(4096).ok());
	expected.resize((expected.size() + 4095) / 4096 * 4096);
	REQUIRE(out.append_blocks(blocks, 8192).ok());
	expected.insert(expected.end(), 8192, 'b');
	REQUIRE(out.zeros(4096).ok());
	expected.resize(expected.size() + 4096);
	REQUIRE(out.flush().ok());
	REQUIRE(out.position() == expected.size());
	std::vector<char> back(expected.size());
	REQUIRE(vk::pread_all(fd, back.data(), back.size(), 0) == static_cast<long>(back.size()));
	REQUIRE(back == expected);
	close(fd);
	arena.release();
}

TEST_CASE("a full device is an ordinary error with its reason", "[output]")
{
	vk::Arena arena;
	REQUIRE(arena.map(vk::Output::arena_bytes(), vk::Prefault::no).ok());
	vk::Output out;
	out.init(arena);
	int fd = static_cast<int>(vk::sys_open("/dev/full", O_WRONLY));
	REQUIRE(fd >= 0);
	out.begin(fd);
	REQUIRE(out.zeros(4096).ok());
	REQUIRE(out.flush().reason == VKCKPT_R_NO_SPACE);
	close(fd);
	arena.release();
}

TEST_CASE("the input gives what came in small pieces, and knows its end", "[input]")
{
	vk::Arena arena;
	REQUIRE(arena.map(vk::Input::arena_bytes(), vk::Prefault::no).ok());
	int ends[2];
	REQUIRE(pipe(ends) == 0);
	std::thread writer([&] {
		for (int i = 0; i < 1000; i++)
			if (write(ends[1], i % 2 ? "abcdefg" : "\0\0\0\0\0\0\0", 7) != 7)
				return;
		close(ends[1]);
	});
	vk::Input in;
	in.init(arena);
	in.begin(ends[0]);
	REQUIRE(in.skip_zeros(7).ok());
	char text[8] = {};
	REQUIRE(in.read(text, 7).ok());
	REQUIRE(std::string(text) == "abcdefg");
	REQUIRE(in.skip_zeros(8).reason == VKCKPT_R_DAMAGED);
	REQUIRE(in.position() == 21);
	std::vector<char> rest(6979);
	REQUIRE(in.read(rest.data(), rest.size()).ok());
	REQUIRE(rest[rest.size() - 1] == 'g');
	REQUIRE(in.expect_end().ok());
	REQUIRE(in.read(text, 1).reason == VKCKPT_R_TRUNCATED);
	REQUIRE(in.skip_zeros(1).reason == VKCKPT_R_TRUNCATED);
	writer.join();
	close(ends[0]);
	arena.release();
}
