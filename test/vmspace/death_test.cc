/* Life and death of the host processes: killed from outside, killed vkernels, limits, other users, the fallback. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
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

GUEST(guest_syscall);
GUEST(guest_spin);
GUEST(guest_stress);
GUEST(guest_count);

namespace {

int pid_of(Guest &guest) {
	vmspace::Vmspace *vm = vmspace::table_acquire(guest.id());
	vmspace::table_release(vm);
	return vm->stub.load()->pid;
}

/* Until it is dead, which on a busy host comes later than the signal. Who made it has it to reap. */
void kill_and_wait(int pid) {
	pollfd death = {static_cast<int>(syscall(SYS_pidfd_open, pid, 0)), POLLIN, 0};
	kill(pid, SIGKILL);
	CHECK((death.fd < 0 || poll(&death, 1, 60'000) == 1));
	close(death.fd);
}

std::string text_of(const std::string &path) {
	std::ifstream file(path);
	std::stringstream text;
	text << file.rdbuf();
	return text.str();
}

unsigned count_fds(int pid, int task) {
	unsigned count = 0;
	DIR *fds = opendir(("/proc/" + std::to_string(pid) + "/task/" + std::to_string(task) + "/fd").c_str());
	REQUIRE(fds != nullptr);
	while (const dirent *entry = readdir(fds))
		count += entry->d_name[0] != '.';
	closedir(fds);
	return count;
}

/* The basic set: a system call, a fault, a kick, a thousand calls in order. 0 or the number of the step that failed. */
int basic_set() {
	const int fd = memfd_create("ram", MFD_CLOEXEC);
	constexpr size_t kBytes = 4 << 20;
	if (ftruncate(fd, kBytes) != 0)
		return 1;
	uint8_t *ram = static_cast<uint8_t *>(mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	const char *fallback;
	if (vmspace_host_init(fd, ram, kBytes, 2, &fallback) != 0 || vmspace_host_enter_vcpu(0) != 0)
		return 2;
	int id;
	if (vmspace_create(&id, 0, nullptr) != 0)
		return 3;
	memcpy(ram + 0x200000, guest_stress, static_cast<size_t>(guest_stress_end - guest_stress));
	if (vmspace_mmap(&id, nullptr, VM_MAX_USER_ADDRESS, 7, DF_MAP_VPAGETABLE | DF_MAP_SHARED | DF_MAP_FIXED, fd, 0) == MAP_FAILED
	    || vmspace_mcontrol(&id, nullptr, VM_MAX_USER_ADDRESS, DF_MADV_SETMAP, VPTE_V | VPTE_RW | VPTE_PS) != 0)
		return 4;
	trapframe tf = {};
	vextframe vf = {};
	tf.tf_rip = 0x200000;
	tf.tf_rbx = 0x300000;
	tf.tf_r15 = vf.vx_tls.info[0].base = 0x1000;
	std::vector<uint8_t> xsave(vmspace_host_xsave_bytes());
	vmspace_host_xsave_init(xsave.data());
	vmspace_host_kick(0);
	if (vmspace_host_run(&id, &tf, &vf, xsave.data()) != 0 || tf.tf_trapno != 0)
		return 5;
	for (uint64_t n = 1; n <= 1000; n++) {
		if (n % 10 == 0)
			vmspace_mcontrol(&id, nullptr, VM_MAX_USER_ADDRESS, DF_MADV_INVAL, 0);
		if (vmspace_host_run(&id, &tf, &vf, xsave.data()) != 0)
			return 6;
		if (tf.tf_trapno != T_FAST_SYSCALL || tf.tf_rax != 1024 * n)
			return 7;
		tf.tf_rax = 4242;
	}
	if (vmspace_destroy(&id) != 0)
		return 8;
	vmspace_host_fini();
	return 0;
}

}  // namespace

TEST_CASE("a stub has nothing but its own pages, its executors no descriptor, and it cannot dump core") {
	if (getuid() != 0)
		return;	/* only root may look */
	World world;
	Guest guest(world);
	LOAD(guest, guest_syscall);
	const int pid = pid_of(guest);
	std::istringstream maps(text_of("/proc/" + std::to_string(pid) + "/maps"));
	for (std::string line; std::getline(maps, line);) {
		CAPTURE(line);
		CHECK((line.compare(0, 7, "7fffffe") == 0 || line.find("[vsyscall]") != std::string::npos));
		CHECK((line.find(" rw-s") != std::string::npos || line.find(" r--s") != std::string::npos
		    || line.find(" r-xp") != std::string::npos || line.find("[vsyscall]") != std::string::npos));
	}
	const std::vector<int> tasks = tasks_of(pid);
	CHECK(tasks.size() == 3);
	for (int task : tasks)
		CHECK(count_fds(pid, task) == (task == pid ? 3 : 0));
	const std::string limits = text_of("/proc/" + std::to_string(pid) + "/limits");
	CHECK(limits.find("Max core file size        0                    0 ") != std::string::npos);
	CHECK(getsid(pid) == pid);
	CHECK(text_of("/proc/" + std::to_string(pid) + "/status").find("NoNewPrivs:\t1") != std::string::npos);
}

TEST_CASE("destroyed vmspaces leave no process and no descriptor behind") {
	const unsigned before = count_fds(getpid(), getpid());
	{
		World world;
		for (int i = 0; i < 20; i++) {
			Guest guest(world);
			LOAD(guest, guest_syscall);
			REQUIRE(guest.run() == T_FAST_SYSCALL);
		}
		CHECK(wait_until([] { return stubs_of(getpid()).size() <= 1; }));	/* the spare */
	}
	CHECK(stubs_of(getpid()).empty());
	CHECK(count_fds(getpid(), getpid()) == before);
}

TEST_CASE("a stub killed before RUN, between RUNs or in RUN gives EIO, and destroy works") {
	World world;
	const int stage = GENERATE(0, 1, 2, 3);
	CAPTURE(stage);
	{
		Guest guest(world);
		guest.load(guest_syscall, guest_syscall_end, kCodeAt);
		guest.load(guest_spin, guest_spin_end, kCodeAt + 0x1000);
		const int pid = pid_of(guest);
		if (stage > 0) {
			guest.tf.tf_rip = kCodeAt;
			REQUIRE(guest.run() == T_FAST_SYSCALL);
		}
		if (stage == 2) {
			guest.tf.tf_rip = kCodeAt + 0x1000;
			std::thread killer([&] {
				usleep(20'000);
				kill(pid, SIGKILL);
			});
			CHECK(guest.run() == -EIO);
			killer.join();
		} else if (stage == 3) {	/* the mapper is asked after its death */
			kill(pid, SIGKILL);
			guest.invalidate(kCodeAt);
			CHECK(guest.run() == -EIO);
		} else {
			kill(pid, SIGKILL);
			CHECK(guest.run() == -EIO);
		}
		CHECK(guest.run() == -EIO);
		guest.invalidate(kCodeAt);
		CHECK(vmspace_munmap(guest.id(), nullptr, kPage) == 0);
		CHECK(vmspace_destroy(guest.id()) == 0);
	}
	Guest next(world);
	LOAD(next, guest_syscall);
	CHECK(next.run() == T_FAST_SYSCALL);
}

TEST_CASE("a stub killed at a random moment of a busy life gives EIO and nothing else") {
	World world;
	for (useconds_t moment = 0; moment < 40; moment++) {
		Guest guest(world);
		LOAD(guest, guest_stress);
		guest.map(kDataAt);
		guest.tf.tf_rbx = kDataAt;
		const int pid = pid_of(guest);
		std::thread killer([&] {
			usleep(moment * 37);
			kill(pid, SIGKILL);
		});
		int trap = 0;
		for (uint64_t n = 1; trap >= 0;) {
			if (n % 3 == 0)
				guest.invalidate(kDataAt);
			trap = guest.run();
			if (trap == T_FAST_SYSCALL && guest.tf.tf_rax == 1024 * n++)
				guest.tf.tf_rax = 4242;
			else if (trap >= 0)
				break;
		}
		killer.join();
		REQUIRE(trap == -EIO);
	}
}

TEST_CASE("a killed spare is not given out") {
	World world;
	for (int round = 0; round < 5; round++) {
		REQUIRE(wait_until([] { return !stubs_of(getpid()).empty(); }));
		for (int pid : stubs_of(getpid()))
			kill_and_wait(pid);
		Guest guest(world);
		LOAD(guest, guest_syscall);
		CHECK(guest.run() == T_FAST_SYSCALL);
	}
}

TEST_CASE("a vmspace created for later gets its host process when it first runs, by whichever vCPU comes first") {
	World world;
	REQUIRE(wait_until([] { return stubs_of(getpid()).size() == 1; }));	/* the spare */
	Guest guest(world, Create::kLater);
	LOAD(guest, guest_syscall);
	guest.invalidate(kCodeAt);
	CHECK(vmspace_host_create_later(guest.id()) == -1);
	CHECK(errno == EEXIST);
	CHECK(vmspace_munmap(guest.id(), reinterpret_cast<void *>(kDataAt), kPage) == 0);
	Guest never(world, Create::kLater);
	usleep(20'000);
	CHECK(stubs_of(getpid()).size() == 1);
	std::atomic<int> ready{0};
	auto first = [&](unsigned vcpu, int *trap) {
		trapframe tf = guest.tf;
		vextframe vf = {};
		std::vector<uint8_t> xsave = guest.xsave;
		vmspace_host_enter_vcpu(vcpu);
		for (ready++; ready < 2;) {
		}
		*trap = vmspace_host_run(guest.id(), &tf, &vf, xsave.data()) == 0 ? static_cast<int>(tf.tf_trapno) : -errno;
	};
	int traps[2] = {-1, -1};
	std::thread other(first, 1, &traps[1]);
	first(0, &traps[0]);
	other.join();
	CHECK(traps[0] == T_FAST_SYSCALL);
	CHECK(traps[1] == T_FAST_SYSCALL);
	CHECK(wait_until([] { return stubs_of(getpid()).size() == 2; }));	/* this one, and the next spare */
}

TEST_CASE("a first RUN that the host has no process for can be repeated") {
	CHECK(in_child([] {
		if (getuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
			return 99;
		World world;
		std::vector<std::unique_ptr<Guest>> guests;
		for (int i = 0; i < 4; i++) {
			guests.push_back(std::make_unique<Guest>(world, Create::kLater));
			LOAD(*guests.back(), guest_syscall);
		}
		rlimit before, none;
		if (getrlimit(RLIMIT_NPROC, &before) != 0)
			return 1;
		none = {0, before.rlim_max};
		setrlimit(RLIMIT_NPROC, &none);
		int refused = -1;	/* a spare or two may have been made already */
		for (int i = 0; i < 4 && refused < 0; i++)
			if (const int trap = guests[i]->run(); trap == -EAGAIN)
				refused = i;
			else if (trap != T_FAST_SYSCALL)
				return 2;
		if (refused < 0 || guests[refused]->run() != -EAGAIN)
			return 3;
		setrlimit(RLIMIT_NPROC, &before);
		return guests[refused]->run() == T_FAST_SYSCALL ? 0 : 4;
	}) == 0);
}

TEST_CASE("vmspaces for later are refused beyond the limit of descriptors") {
	CHECK(in_child([] {
		World world;
		const rlimit few = {100, 100};
		if (setrlimit(RLIMIT_NOFILE, &few) != 0)
			return 1;
		int ids[20], made = 0;
		while (made < 20 && vmspace_host_create_later(&ids[made]) == 0)
			made++;
		return made > 0 && made < 20 && errno == EMFILE ? 0 : 2;
	}) == 0);
}

TEST_CASE("a stopped stub answers a kick when it is continued") {
	World world;
	Guest guest(world);
	LOAD(guest, guest_spin);
	const int pid = pid_of(guest);
	std::thread stopper([&] {
		usleep(10'000);
		kill(pid, SIGSTOP);
		vmspace_host_kick(0);
		usleep(200'000);
		kill(pid, SIGCONT);
	});
	CHECK(guest.run() == 0);
	stopper.join();
}

TEST_CASE("kill -9 of the vkernel leaves no stub") {
	int ready[2];
	REQUIRE(pipe(ready) == 0);
	REQUIRE(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);	/* orphans come to us, so that they can be counted */
	const pid_t vkernel = fork();
	if (vkernel == 0) {
		World world;
		std::vector<std::unique_ptr<Guest>> guests;
		for (int i = 0; i < 8; i++) {
			guests.push_back(std::make_unique<Guest>(world));
			LOAD(*guests.back(), guest_spin);
		}
		(void)!write(ready[1], "x", 1);
		std::thread other([&] {
			vmspace_host_enter_vcpu(1);
			guests[1]->run();
		});
		guests[0]->run();
		_exit(0);
	}
	char byte;
	REQUIRE(read(ready[0], &byte, 1) == 1);
	usleep(30'000);
	std::vector<int> stubs = stubs_of(vkernel);
	REQUIRE(stubs.size() >= 8);
	std::vector<pollfd> deaths;
	for (int pid : stubs)
		deaths.push_back({static_cast<int>(syscall(SYS_pidfd_open, pid, 0)), POLLIN, 0});
	for (pollfd &death : deaths)	/* the negative control: they live */
		CHECK(poll(&death, 1, 0) == 0);
	kill(vkernel, SIGKILL);
	for (pollfd &death : deaths) {
		CHECK(poll(&death, 1, 60'000) == 1);
		close(death.fd);
	}
	while (waitpid(-1, nullptr, 0) > 0 || errno == EINTR) {
	}
	prctl(PR_SET_CHILD_SUBREAPER, 0);
	close(ready[0]);
	close(ready[1]);
}

TEST_CASE("vmspaces outlive the vCPU thread that made them") {
	World world;
	std::unique_ptr<Guest> guest;
	std::thread([&] { guest = std::make_unique<Guest>(world); }).join();
	usleep(50'000);
	LOAD(*guest, guest_syscall);
	CHECK(guest->run() == T_FAST_SYSCALL);
}

TEST_CASE("the basic set runs as an ordinary user") {
	CHECK(in_child([] {
		if (getuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
			return 99;
		return basic_set();
	}) == 0);
}

TEST_CASE("the basic set runs in a process that has no descriptor 0, 1 and 2") {
	CHECK(in_child([] {
		syscall(SYS_close_range, 0, 2, 0);
		return basic_set();
	}) == 0);
}

TEST_CASE("the forced futex hand-off is said aloud and runs the basic set") {
	setenv("VMSPACE_FORCE_FUTEX", "1", 1);
	{
		World world;
		REQUIRE(world.fallback != nullptr);
		CHECK(strstr(world.fallback, "futex") != nullptr);
		Guest guest(world);
		LOAD(guest, guest_spin);
		std::thread kicker([] {
			usleep(5'000);
			vmspace_host_kick(0);
		});
		CHECK(guest.run() == 0);
		kicker.join();
		CHECK(guest.tf.tf_rip == kCodeAt);
		kill(pid_of(guest), SIGKILL);
		CHECK(guest.run() == -EIO);
	}
	CHECK(in_child(basic_set) == 0);
	CHECK(in_child([] {
		if (getuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
			return 99;
		return basic_set();
	}) == 0);
	unsetenv("VMSPACE_FORCE_FUTEX");
}

TEST_CASE("with the futex hand-off a storm of kicks loses nothing either") {
	setenv("VMSPACE_FORCE_FUTEX", "1", 1);
	{
		World world;
		Guest guest(world);
		LOAD(guest, guest_stress);
		guest.map(kDataAt);
		guest.tf.tf_rbx = kDataAt;
		std::atomic<bool> stop{false};
		std::thread pest([&] {
			while (!stop) {
				vmspace_host_kick(0);
				for (int i = 0; i < 3000; i++)
					asm volatile("pause");
			}
		});
		uint64_t n = 1;
		int trap = 0;
		while (n <= 10'000 && (trap = guest.run_through_kicks()) == T_FAST_SYSCALL && guest.tf.tf_rax == 1024 * n) {
			guest.tf.tf_rax = 4242;
			n++;
		}
		stop = true;
		pest.join();
		CHECK(n == 10'001);
	}
	unsetenv("VMSPACE_FORCE_FUTEX");
}

TEST_CASE("a listener elsewhere in the process leads to the futex hand-off by itself") {
	CHECK(in_child([] {
		struct {
			uint16_t code;
			uint8_t t, f;
			uint32_t k;
		} allow = {6, 0, 0, 0x7fff0000};
		struct {
			uint16_t length;
			void *filter;
		} program = {1, &allow};
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		if (syscall(SYS_seccomp, 1, 8 /* NEW_LISTENER */, &program) < 0)
			return 90;
		const int fd = memfd_create("ram", MFD_CLOEXEC);
		if (ftruncate(fd, kPage) != 0)
			return 91;
		void *ram = mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		const char *fallback = nullptr;
		if (vmspace_host_init(fd, ram, kPage, 1, &fallback) != 0 || fallback == nullptr)
			return 92;
		vmspace_host_fini();
		return basic_set();
	}) == 0);
}
