/* Kicks, signals, several vCPUs: nothing is lost, nothing happens twice. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "test/vmspace/harness.h"

using namespace harness;

GUEST(guest_spin);
GUEST(guest_count);
GUEST(guest_stress);
GUEST(guest_syscall);

namespace {

void idle(uint64_t steps) {
	for (uint64_t i = 0; i < steps; i++)
		asm volatile("pause");
}

/* Calls `body` at irregular distances until it ends. */
class Pest {
public:
	template <typename Body>
	explicit Pest(Body body, unsigned spread) : thread_([this, body, spread] {
		uint64_t random = 12345;
		while (!stop_) {
			body();
			random = random * 6364136223846793005ULL + 1442695040888963407ULL;
			idle((random >> 40) % spread);
		}
	}) {}
	~Pest() {
		stop_ = true;
		thread_.join();
	}

private:
	std::atomic<bool> stop_{false};
	std::thread thread_;
};

void prepare_stress(Guest &guest) {
	LOAD(guest, guest_stress);
	guest.map(kDataAt);
	guest.tf.tf_rbx = kDataAt;
	guest.tf.tf_r14 = 0x1122334455667788;
	guest.tf.tf_r15 = guest.vf.vx_tls.info[0].base = 0x77777000;
}

/* Runs `calls` system calls of guest_stress; every one must be the next. Returns the kicks seen. */
unsigned run_stress(Guest &guest, uint64_t first, uint64_t calls) {
	unsigned kicks = 0;
	for (uint64_t n = first; n < first + calls;) {
		const int trap = guest.run();
		if (trap == 0) {
			kicks++;
			continue;
		}
		REQUIRE(trap == T_FAST_SYSCALL);
		REQUIRE(guest.tf.tf_rax == 1024 * n);
		guest.tf.tf_rax = 4242;
		n++;
	}
	return kicks;
}

void ignore_signal(int) {}

}  // namespace

TEST_CASE("a kick before RUN makes that RUN return at once, once") {
	World world;
	Guest guest(world);
	LOAD(guest, guest_syscall);
	const uint64_t rip = guest.tf.tf_rip;
	vmspace_host_kick(0);
	vmspace_host_kick(0);
	CHECK(guest.run() == 0);
	CHECK(guest.tf.tf_rip == rip);
	CHECK(guest.run() == T_FAST_SYSCALL);
}

TEST_CASE("a kick ends the RUN of a spinning guest with its registers") {
	World world;
	Guest guest(world);
	LOAD(guest, guest_spin);
	guest.tf.tf_r12 = 0xabcdef;
	for (int round = 0; round < 200; round++) {
		std::thread kicker([&] {
			usleep(static_cast<useconds_t>(round % 7 * 100));
			vmspace_host_kick(0);
		});
		const int trap = guest.run();
		kicker.join();
		REQUIRE(trap == 0);
		REQUIRE(guest.tf.tf_rip == kCodeAt);
		REQUIRE(guest.tf.tf_r12 == 0xabcdef);
	}
}

TEST_CASE("every kick of a spinning guest ends exactly one RUN") {
	World world;
	Guest guest(world);
	LOAD(guest, guest_spin);
	std::atomic<unsigned> ended{0}, sent{0};
	std::atomic<bool> stop{false};
	std::thread kicker([&] {
		uint64_t random = 99;
		while (!stop) {
			const unsigned before = ended;
			vmspace_host_kick(0);
			sent++;
			while (ended == before && !stop)
				sched_yield();
			random = random * 6364136223846793005ULL + 1442695040888963407ULL;
			idle((random >> 44) % 20000);
		}
	});
	const double end = seconds() + 2;
	int trap = 0;
	while (trap == 0 && (ended <= 10 || seconds() < end)) {
		trap = guest.run();
		ended++;
	}
	stop = true;
	kicker.join();
	CHECK(trap == 0);
	CHECK(ended > 10);
	CHECK(sent - ended <= 1);
}

TEST_CASE("a storm of kicks loses and doubles no system call and no memory write") {
	World world;
	Guest guest(world);
	prepare_stress(guest);
	{
		Pest pest([] { vmspace_host_kick(0); }, 50);	/* faster than the guest can run */
		CHECK(run_stress(guest, 1, 3'000) > 0);
	}
	Pest pest([] { vmspace_host_kick(0); }, 1000);
	CHECK(run_stress(guest, 3'001, 60'000) > 0);
}

TEST_CASE("kicks during page faults and INVALs lose nothing") {
	World world;
	Guest guest(world);
	prepare_stress(guest);
	Pest pest([] { vmspace_host_kick(0); }, 4000);
	Pest cleaner([&] { vmspace_mcontrol(guest.id(), nullptr, VM_MAX_USER_ADDRESS, DF_MADV_INVAL, 0); }, 4000);
	CHECK(run_stress(guest, 1, 10'000) > 0);
}

TEST_CASE("a signal of the vCPU's thread ends RUN with the guest stopped") {
	World world;
	Guest guest(world);
	LOAD(guest, guest_count);
	const uint64_t frame = guest.map(kDataAt);
	guest.tf.tf_rbx = kDataAt;
	struct sigaction action = {}, before;
	action.sa_handler = ignore_signal;	/* without SA_RESTART */
	sigaction(SIGUSR2, &action, &before);
	volatile uint64_t &counter = world.at<uint64_t>(frame);
	for (int round = 0; round < 20; round++) {
		std::atomic<bool> returned{false};
		const pthread_t self = pthread_self();
		std::thread sender([&] {	/* again and again: one signal can fall before the wait, where it is not seen */
			while (!returned) {
				usleep(300);
				pthread_kill(self, SIGUSR2);
			}
		});
		const int trap = guest.run();
		const uint64_t seen = counter;
		returned = true;
		sender.join();
		REQUIRE(trap == 0);
		REQUIRE(counter == seen);
	}
	sigaction(SIGUSR2, &before, nullptr);
}

TEST_CASE("a kick from the signal handler of the vCPU's thread is never lost") {
	World world;
	Guest guest(world);
	LOAD(guest, guest_spin);
	struct sigaction action = {}, before;
	action.sa_handler = [](int) { vmspace_host_kick(0); };
	action.sa_flags = SA_RESTART;
	sigaction(SIGUSR2, &action, &before);
	std::atomic<unsigned> ended{0};
	std::atomic<bool> stop{false};
	const pthread_t self = pthread_self();
	std::thread sender([&] {
		while (!stop) {
			const unsigned seen = ended;
			pthread_kill(self, SIGUSR2);
			while (ended == seen && !stop)
				sched_yield();
		}
	});
	const double end = seconds() + 1;	/* a lost one would make this RUN endless */
	int trap = 0;
	while (trap == 0 && (ended <= 10 || seconds() < end)) {
		trap = guest.run();
		ended++;
	}
	stop = true;
	sender.join();
	CHECK(trap == 0);
	CHECK(ended > 10);
	sigaction(SIGUSR2, &before, nullptr);
}

TEST_CASE("two vCPUs run in one vmspace at the same time") {
	World world;
	Guest guest(world);
	prepare_stress(guest);
	guest.map(kDataAt + 0x10000);
	const trapframe start = guest.tf;
	std::atomic<int> good{0};
	auto work = [&](unsigned vcpu, uint64_t counter) {
		vmspace_host_enter_vcpu(vcpu);
		trapframe tf = start;
		vextframe vf = guest.vf;
		std::vector<uint8_t> xsave(vmspace_host_xsave_bytes());
		vmspace_host_xsave_init(xsave.data());
		tf.tf_rbx = counter;
		for (uint64_t n = 1; n <= 10'000; n++) {
			do {
				if (vmspace_host_run(guest.id(), &tf, &vf, xsave.data()) != 0)
					return;
			} while (tf.tf_trapno == 0);
			if (tf.tf_trapno != T_FAST_SYSCALL || tf.tf_rax != 1024 * n)
				return;
			tf.tf_rax = 4242;
		}
		good++;
	};
	std::thread other([&] { work(1, kDataAt + 0x10000); });
	work(0, kDataAt);
	other.join();
	CHECK(good == 2);
}

TEST_CASE("a guest thread may hop between vCPUs at every trap, with its FPU state") {
	World world;
	Guest guest(world);
	prepare_stress(guest);
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
	unsigned turn = 0;
	uint64_t calls = 0;
	bool wrong = false;
	auto work = [&](unsigned vcpu) {
		vmspace_host_enter_vcpu(vcpu);
		pthread_mutex_lock(&lock);
		while (calls < 10'000 && !wrong) {
			if (turn != vcpu) {
				pthread_cond_wait(&changed, &lock);
				continue;
			}
			wrong = guest.run_through_kicks() != T_FAST_SYSCALL || guest.tf.tf_rax != 1024 * ++calls;
			guest.tf.tf_rax = 4242;
			turn = 1 - turn;
			pthread_cond_broadcast(&changed);
		}
		pthread_mutex_unlock(&lock);
	};
	std::thread other([&] { work(1); });
	work(0);
	other.join();
	CHECK_FALSE(wrong);
	CHECK(calls == 10'000);
}
