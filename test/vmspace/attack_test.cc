/*
 * Guests that try to get out. Every one has a negative control: the same guest in a stub whose filters were opened must be
 * found out by the same detector, or the detector is worth nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <fstream>
#include <memory>
#include <sstream>
#include <thread>

#include "test/vmspace/harness.h"
#include "vkernel-hooks/linux/internal.h"

using namespace harness;

extern "C" const char vmspace_stub_image[], vmspace_stub_image_end[];
GUEST(guest_syscall);
GUEST(guest_int80);
GUEST(guest_read);
GUEST(guest_count);
GUEST(attack_syscall);
GUEST(attack_int80);
GUEST(attack_x32);
GUEST(attack_sysenter);
GUEST(attack_compat);
GUEST(attack_jump);
GUEST(attack_sigreturn);
GUEST(attack_vsyscall);
GUEST(attack_fill);
GUEST(attack_store);
GUEST(attack_fsbase);
GUEST(attack_pkru);
GUEST(attack_direction);
GUEST(attack_stack_trap);
GUEST(attack_stack_syscall);
GUEST(attack_forged_stop);

namespace {

constexpr uint64_t kPathAt = 0x30000000;	/* a page with the path of the folder an attack makes */
constexpr uint64_t kStolenAt = 0x50000000;	/* where an attack tries to map RAM */
constexpr uint64_t kStackAt = 0x31000000;
constexpr uint64_t kMailbox = STUB_MAILBOX;

int stub_pid(Guest &guest) {
	vmspace::Vmspace *vm = vmspace::table_acquire(guest.id());
	vmspace::table_release(vm);
	return vm->stub.load()->pid;
}

std::string maps_of(int pid) {
	std::ifstream file("/proc/" + std::to_string(pid) + "/maps");
	std::stringstream text;
	text << file.rdbuf();
	return text.str();
}

/* Kicks vCPU 0 all the time, so that an attack that hides in a loop comes out. */
class Kicker {
public:
	Kicker() : thread_([this] {
		while (!stop_) {
			usleep(5'000);
			vmspace_host_kick(0);
		}
	}) {}
	~Kicker() {
		stop_ = true;
		thread_.join();
	}

private:
	std::atomic<bool> stop_{false};
	std::thread thread_;
};

class Attack {
public:
	explicit Attack(World &world) : guest_(world) {
		path_ = "/tmp/vmspace-test-" + std::to_string(getpid());
		rmdir(path_.c_str());
		strcpy(reinterpret_cast<char *>(world.ram + guest_.map(kPathAt)), path_.c_str());
		guest_.map_range(kStackAt, 4);
		guest_.tf.tf_rsp = kStackAt + 0x3000;
		guest_.tf.tf_r15 = guest_.tf.tf_rdi = kPathAt;
	}
	~Attack() { rmdir(path_.c_str()); }

	/* Runs the guest for a while; system calls are refused with ENOSYS. Returns the last tf_trapno or -errno. */
	int run(const char *begin, const char *end, int runs = 12) {
		guest_.load(begin, end);
		int trap = 0;
		for (int i = 0; i < runs && trap >= 0; i++) {
			trap = guest_.run();
			if (trap == T_FAST_SYSCALL || trap == T_SYSCALL80) {
				calls_++;
				guest_.tf.tf_rax = static_cast<uint64_t>(-ENOSYS);
			} else if (trap != 0) {
				break;
			}
		}
		return trap;
	}
	/* Whether anything happened on the host that must not. */
	bool broke_out() {
		struct stat status;
		const int pid = stub_pid(guest_);
		const std::vector<int> tasks = tasks_of(pid);
		return stat(path_.c_str(), &status) == 0 || maps_of(pid).find("50000000-") != std::string::npos
		    || (!tasks.empty() && tasks.size() != 3);
	}
	Guest &guest() { return guest_; }
	int calls() const { return calls_; }

private:
	Guest guest_;
	std::string path_;
	int calls_ = 0;
};

struct Patch {
	std::string from, to;
	int places;
};

/* A world whose stubs are made from a changed image. */
class PatchedWorld : public World {
public:
	explicit PatchedWorld(const std::vector<Patch> &patches) {
		std::string image(vmspace_stub_image, vmspace_stub_image_end);
		for (const Patch &patch : patches) {
			int changed = 0;
			for (size_t at; (at = image.find(patch.from)) != std::string::npos; changed++)
				image.replace(at, patch.from.size(), patch.to);
			REQUIRE(changed == patch.places);
		}
		const int low = memfd_create("changed-stub", 0);
		const int high = fcntl(low, F_DUPFD_CLOEXEC, 20);
		close(low);
		REQUIRE(write(high, image.data(), image.size()) == static_cast<ssize_t>(image.size()));
		REQUIRE(wait_until([] { return stubs_of(getpid()).size() == 1; }));
		usleep(20'000);
		close(vmspace::host.image_fd);
		vmspace::host.image_fd = high;
		int id;		/* uses up the spare that was made from the true image */
		REQUIRE(vmspace_create(&id, 0, nullptr) == 0);
		vmspace_destroy(&id);
	}
};

/* "Return trap" of the filters is made "return allow". */
const Patch kOpenFilters = {{"\x06\0\0\0\0\0\x03\0", 8}, {"\x06\0\0\0\0\0\xff\x7f", 8}, 2};
/* The way into the guest (push $2; popf) and the answer to a kick there (or $0x100, %edi) become loops. */
const Patch kDeafEntry = {{"\x6a\x02\x9d", 3}, {"\xeb\xfe\x90", 3}, 1};
const Patch kDeafHandler = {{"\x81\xcf\0\x01\0\0", 6}, {"\xeb\xfe\x90\x90\x90\x90", 6}, 1};

struct Named {
	const char *name, *begin, *end;
};
const Named kCallAttacks[] = {
	{"syscall", attack_syscall, attack_syscall_end},
	{"int 0x80", attack_int80, attack_int80_end},
	{"x32", attack_x32, attack_x32_end},
	{"sysenter", attack_sysenter, attack_sysenter_end},
	{"compatibility mode", attack_compat, attack_compat_end},
};

/* Every place of a system call instruction in the stub. */
std::vector<uint64_t> syscall_sites() {
	std::vector<uint64_t> sites;
	for (const char *p = vmspace_stub_image; p + 1 < vmspace_stub_image_end; p++)
		if (p[0] == '\x0f' && p[1] == '\x05')
			sites.push_back(STUB_BASE + static_cast<uint64_t>(p - vmspace_stub_image));
	return sites;
}

}  // namespace

TEST_CASE("making a folder fails in every way to make a system call") {
	for (const Named &attack : kCallAttacks) {
		CAPTURE(attack.name);
		World world;
		Attack trial(world);
		const int trap = trial.run(attack.begin, attack.end);
		CHECK_FALSE(trial.broke_out());
		/* An AMD processor knows no sysenter in 64-bit mode. */
		CHECK((trial.calls() > 0 || (attack.begin == attack_sysenter && trap == T_PRIVINFLT)));
	}
}

TEST_CASE("control: with open filters the same guests are found out") {
	PatchedWorld world({kOpenFilters});
	for (const Named &attack : kCallAttacks) {
		CAPTURE(attack.name);
		Attack trial(world);
		trial.run(attack.begin, attack.end, 4);
		/* x32 and 32-bit calls may be configured out of the host's kernel; sysenter has no landing place in a stub. */
		if (attack.begin == attack_syscall || attack.begin == attack_int80)
			CHECK(trial.broke_out());
	}
}

TEST_CASE("no system call instruction of the stub is of use to a guest") {
	const std::vector<uint64_t> sites = syscall_sites();
	REQUIRE(sites.size() >= 10);
	World world;
	Kicker kicker;
	for (uint64_t site : sites) {
		for (uint64_t number : {83, 9, 24, 11, 231}) {
			CAPTURE(site - STUB_BASE, number);
			Attack trial(world);
			trapframe &tf = trial.guest().tf;
			tf.tf_r12 = site;
			tf.tf_rax = number;	/* mkdir, mmap of RAM, the hand-off, munmap of the stub, exit_group */
			tf.tf_rsi = 0777;
			if (number == 9 || number == 11) {
				tf.tf_rdi = number == 9 ? kStolenAt : STUB_BASE;
				tf.tf_rsi = kPage;
				tf.tf_rdx = 3;
				tf.tf_r10 = MAP_SHARED | MAP_FIXED;
				tf.tf_r8 = STUB_FD_RAM;
			}
			const std::string before = maps_of(stub_pid(trial.guest()));
			trial.run(attack_jump, attack_jump_end, 3);
			REQUIRE_FALSE(trial.broke_out());
			const std::string after = maps_of(stub_pid(trial.guest()));
			REQUIRE((after.empty() || after.find("7fffffe00000-") != std::string::npos));
			REQUIRE((!before.empty() || getuid() != 0));
		}
	}
}

TEST_CASE("control: with open filters a mapping made through the stub's own site is found out") {
	PatchedWorld world({kOpenFilters});
	Attack trial(world);
	trapframe &tf = trial.guest().tf;
	tf.tf_r12 = syscall_sites().front();
	tf.tf_rax = 9;		/* an anonymous page: executors have no descriptors even then */
	tf.tf_rdi = kStolenAt;
	tf.tf_rsi = kPage;
	tf.tf_rdx = 3;
	tf.tf_r10 = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
	tf.tf_r8 = ~0UL;
	Kicker kicker;
	trial.run(attack_jump, attack_jump_end, 4);
	CHECK((trial.broke_out() || getuid() != 0));	/* only root may look at the maps of a stub */
}

TEST_CASE("every system call number in 64-bit, x32 and 32-bit form is a trap and changes nothing") {
	World world(2);
	Attack trial(world);
	Guest &guest = trial.guest();
	guest.load(guest_syscall, guest_syscall_end, kCodeAt);
	guest.load(guest_int80, guest_int80_end, kCodeAt + kPage);
	auto call = [&](uint64_t code, uint64_t number) {
		guest.tf = {};
		guest.tf.tf_rip = code;
		guest.tf.tf_rsp = kStackAt + 0x3000;
		guest.tf.tf_rax = number;
		guest.tf.tf_rdi = kPathAt;
		guest.tf.tf_rsi = 0777;
		guest.tf.tf_rbx = kPathAt;
		guest.tf.tf_rcx = 0777;
		return guest.run();
	};
	REQUIRE(call(kCodeAt, 1) == T_FAST_SYSCALL);
	REQUIRE(call(kCodeAt + kPage, 1) == T_SYSCALL80);
	const std::string before = maps_of(stub_pid(guest));
	for (uint64_t number = 0; number <= 600; number++) {
		if (number == 336)
			continue;	/* see the test below */
		for (uint64_t form : {uint64_t(0), uint64_t(0x40000000), uint64_t(0xffffffff00000000)}) {
			REQUIRE(call(kCodeAt, number | form) == T_FAST_SYSCALL);
			REQUIRE((guest.tf.tf_rax & 0xffffffff) == (number | (form & 0xffffffff)));
			REQUIRE(guest.tf.tf_rip == kCodeAt + 2);
		}
		REQUIRE(call(kCodeAt + kPage, number) == T_SYSCALL80);
		REQUIRE(guest.tf.tf_rax == number);
	}
	CHECK(maps_of(stub_pid(guest)) == before);
	CHECK_FALSE(trial.broke_out());
}

TEST_CASE("the numbers Linux keeps for its probes have no effect on the host") {
	World world;
	Attack trial(world);
	Guest &guest = trial.guest();
	LOAD(guest, guest_syscall);
	const std::string before = maps_of(stub_pid(guest));
	Kicker kicker;	/* a kernel may answer 336 itself: then the loop goes on with rax = -ENXIO, an own call */
	guest.tf.tf_rax = 336;
	const int trap = guest.run_through_kicks();
	CHECK(trap == T_FAST_SYSCALL);
	guest.tf.tf_rip = kCodeAt;
	guest.tf.tf_rax = 335;
	CHECK(guest.run_through_kicks() == T_FAST_SYSCALL);
	CHECK(guest.tf.tf_rax == 335);
	CHECK_FALSE(trial.broke_out());
}

TEST_CASE("tricks with stacks, flags, bases and the mailbox end in a report or in the guest's own death") {
	struct Trick {
		const char *name, *begin, *end;
		uint64_t rdi, rcx;
	};
	const Trick tricks[] = {
		{"sigreturn", attack_sigreturn, attack_sigreturn_end, 0, 0},
		{"vsyscall", attack_vsyscall, attack_vsyscall_end, 0, 0},
		{"smashed mailbox", attack_fill, attack_fill_end, kMailbox, STUB_MAILBOX_BYTES},
		{"control page", attack_store, attack_store_end, STUB_CTL, 0},
		{"stub code", attack_store, attack_store_end, STUB_BASE + 0x200, 0},
		{"fs base", attack_fsbase, attack_fsbase_end, 0x8000000000000000, 0},
		{"protection keys", attack_pkru, attack_pkru_end, 0, 0},
		{"direction flag", attack_direction, attack_direction_end, 0, 0},
		{"no room on the signal stack", attack_stack_trap, attack_stack_trap_end, kMailbox + MB_STACK + 0x20, 0},
		{"middle of the signal stack", attack_stack_trap, attack_stack_trap_end, kMailbox + 0x3000, 0},
		{"system call on the signal stack", attack_stack_syscall, attack_stack_syscall_end, kMailbox + 0x3000, 0},
		{"odd place on the signal stack", attack_stack_syscall, attack_stack_syscall_end, kMailbox + 0x4ff3, 0},
	};
	Kicker kicker;
	for (const Trick &trick : tricks) {
		CAPTURE(trick.name);
		World world;
		Attack trial(world);
		trial.guest().tf.tf_rdi = trick.rdi;
		trial.guest().tf.tf_rcx = trick.rcx;
		trial.run(trick.begin, trick.end, 40);
		CHECK_FALSE(trial.broke_out());
		Guest next(world);	/* the vkernel and its other guests go on */
		LOAD(next, guest_syscall);
		CHECK(next.run_through_kicks() == T_FAST_SYSCALL);
	}
}

TEST_CASE("jumping anywhere into the stub's code does no harm") {
	World world(1);
	std::unique_ptr<Attack> trial = std::make_unique<Attack>(world);
	Kicker kicker;
	const uint64_t end = static_cast<uint64_t>(vmspace_stub_image_end - vmspace_stub_image);
	for (uint64_t offset = 0; offset < end && offset < 0xe00; offset += 7) {
		CAPTURE(offset);
		trial->guest().tf.tf_r12 = STUB_BASE + offset;
		trial->guest().tf.tf_rsp = kStackAt + 0x3000;
		trial->guest().tf.tf_rax = 83;
		if (trial->run(attack_jump, attack_jump_end, 3) < 0 || offset % 70 == 0) {
			struct stat status;
			REQUIRE(stat(("/tmp/vmspace-test-" + std::to_string(getpid())).c_str(), &status) != 0);
			trial.reset();
			trial = std::make_unique<Attack>(world);
		}
	}
}

namespace {

/* Runs a guest that claims to have stopped; true if RUN returned while it ran on. Looks for `limit_seconds`, as it may be long before it runs. */
bool claim_is_believed(double limit_seconds) {
	World world;
	Attack trial(world);
	Guest &guest = trial.guest();
	LOAD(guest, attack_forged_stop);
	const uint64_t frame = guest.map(kDataAt);
	guest.tf.tf_rbx = kDataAt;
	guest.tf.tf_rdi = kMailbox;
	volatile uint64_t &counter = world.at<uint64_t>(frame);
	for (int run = 0; run < 2; run++) {	/* the first maps the pages, so that the number of the second stop is known */
		vmspace::Vmspace *vm = vmspace::table_acquire(guest.id());
		vmspace::table_release(vm);
		guest.tf.tf_rsi = run == 0 ? 0 : vm->stub.load()->executors[0].turn + 1;
		const uint64_t before = counter;
		std::atomic<bool> returned{false};
		std::thread kicker([&, run] {
			const double end = seconds() + (run == 0 ? 0 : limit_seconds);
			while (!returned && (counter < before + 1000 || seconds() < end))
				usleep(1000);
			if (!returned)
				vmspace_host_kick(0);
		});
		guest.run();
		returned = true;
		kicker.join();
		const uint64_t stopped = counter;
		const bool moved = wait_until([&] { return counter != stopped; }, run == 0 ? 0.02 : limit_seconds);
		if (moved)
			return true;
	}
	return false;
}

}  // namespace

TEST_CASE("a guest that claims to have stopped is not believed") {
	CHECK_FALSE(claim_is_believed(0.5));
	/* The control: the futex hand-off believes it, which is why it is only the fallback. */
	setenv("VMSPACE_FORCE_FUTEX", "1", 1);
	CHECK(claim_is_believed(30));
	unsetenv("VMSPACE_FORCE_FUTEX");
}

/* The wall clock as the library reads it: this much ahead of what it will be when the library waits for it. */
static time_t wall_clock_set_back = 0;
extern "C" int clock_gettime(clockid_t clock, timespec *now) noexcept {
	const int result = static_cast<int>(syscall(SYS_clock_gettime, clock, now));
	if (result == 0 && clock == CLOCK_REALTIME)
		now->tv_sec += wall_clock_set_back;
	return result;
}

TEST_CASE("an executor that spins without answering a kick is killed, also when the wall clock is set back") {
	wall_clock_set_back = GENERATE(0, 86400);
	PatchedWorld world({kDeafEntry, kDeafHandler});
	Guest guest(world);
	LOAD(guest, guest_syscall);
	std::thread kicker([] {
		usleep(10'000);
		vmspace_host_kick(0);
	});
	CHECK(guest.run() == -EIO);
	kicker.join();
	wall_clock_set_back = 0;
}

TEST_CASE("the vkernel's memory cannot be read") {
	World world;
	Attack trial(world);
	Guest &guest = trial.guest();
	LOAD(guest, guest_read);
	static const uint64_t secret = 0x5ec2e7;
	const uint64_t places[] = {reinterpret_cast<uint64_t>(&secret), reinterpret_cast<uint64_t>(&trial),
	    reinterpret_cast<uint64_t>(world.ram), reinterpret_cast<uint64_t>(&memcpy)};
	for (uint64_t place : places) {
		guest.tf.tf_rip = kCodeAt;
		guest.tf.tf_rbx = place;
		CHECK(guest.run() == T_PAGEFLT);
		CHECK(guest.tf.tf_addr == place);
	}
	memcpy(world.ram + guest.map(kDataAt), &secret, sizeof secret);	/* control: what is mapped can be read */
	guest.tf.tf_rip = kCodeAt;
	guest.tf.tf_rbx = kDataAt;
	REQUIRE(guest.run() == T_FAST_SYSCALL);
	CHECK(guest.tf.tf_rax == secret);
}
