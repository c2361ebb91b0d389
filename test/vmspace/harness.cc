#include "test/vmspace/harness.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>

namespace harness {

World::World(unsigned vcpus, uint64_t ram_bytes) : bytes(ram_bytes) {
	fd = memfd_create("test-ram", MFD_CLOEXEC);
	REQUIRE(fd >= 0);
	REQUIRE(ftruncate(fd, static_cast<off_t>(bytes)) == 0);
	ram = static_cast<uint8_t *>(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	REQUIRE(ram != MAP_FAILED);
	const int status = vmspace_host_init(fd, ram, bytes, vcpus, &fallback);
	INFO("vmspace_host_init: " << strerror(errno));
	REQUIRE(status == 0);
	REQUIRE(vmspace_host_enter_vcpu(0) == 0);
}

World::~World() {
	vmspace_host_fini();
	munmap(ram, bytes);
	close(fd);
}

uint64_t World::new_frame() {
	const uint64_t frame = next_;
	next_ += kPage;
	REQUIRE(next_ <= bytes);
	return frame;
}

Guest::Guest(World &w, Create when) : world(w), root(w.new_frame() | kTableBits), xsave(vmspace_host_xsave_bytes()) {
	const int created = when == Create::kNow ? vmspace_create(id(), 0, nullptr) : vmspace_host_create_later(id());
	INFO("vmspace_create: " << strerror(errno));
	REQUIRE(created == 0);
	REQUIRE(vmspace_mmap(id(), nullptr, VM_MAX_USER_ADDRESS, 7, DF_MAP_VPAGETABLE | DF_MAP_SHARED | DF_MAP_FIXED,
		    world.fd, 0) == nullptr);
	set_root(root);
	vmspace_host_xsave_init(xsave.data());
	tf.tf_rip = kCodeAt;
	tf.tf_rflags = 0x202;
}

Guest::~Guest() { vmspace_destroy(id()); }

vpte_t &Guest::entry_at(uint64_t address, unsigned level) {
	uint64_t table = root;
	for (unsigned l = 3; l > level; l--) {
		vpte_t &entry = world.entry(table, address >> (12 + 9 * l) & 511);
		if ((entry & VPTE_V) == 0)
			entry = world.new_frame() | kTableBits;
		table = entry;
	}
	return world.entry(table, address >> (12 + 9 * level) & 511);
}

vpte_t &Guest::vpte(uint64_t address) { return entry_at(address, 0); }

uint64_t Guest::map(uint64_t address, vpte_t bits) {
	const uint64_t frame = world.new_frame();
	vpte(address) = frame | bits;
	return frame;
}

uint64_t Guest::map_range(uint64_t address, unsigned pages, vpte_t bits) {
	const uint64_t first = map(address, bits);
	for (unsigned i = 1; i < pages; i++)
		map(address + i * kPage, bits);
	return first;
}

void Guest::load(const char *begin, const char *end, uint64_t address) {
	const size_t length = static_cast<size_t>(end - begin);
	for (size_t done = 0; done < length; done += kPage)
		memcpy(world.ram + map(address + done), begin + done, std::min(length - done, size_t(kPage)));
	tf.tf_rip = address;
}

void Guest::invalidate(uint64_t address, uint64_t length) {
	REQUIRE(vmspace_mcontrol(id(), reinterpret_cast<void *>(address), length, DF_MADV_INVAL, 0) == 0);
}

void Guest::set_root(vpte_t value) {
	root = value;
	REQUIRE(vmspace_mcontrol(id(), nullptr, VM_MAX_USER_ADDRESS, DF_MADV_SETMAP, static_cast<off_t>(value)) == 0);
}

int Guest::run() {
	const int status = vmspace_host_run(id(), &tf, &vf, xsave.data());
	return status == 0 ? static_cast<int>(tf.tf_trapno) : -errno;
}

int Guest::run_through_kicks() {
	int trap;
	while ((trap = run()) == 0) {
	}
	return trap;
}

int in_child(const std::function<int()> &body) {
	const pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(body());
	}
	int status = 0;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static std::string stat_line(int pid) {
	std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
	std::string line;
	std::getline(file, line);
	return line;
}

std::vector<int> stubs_of(int parent) {
	std::vector<int> found;
	DIR *proc = opendir("/proc");
	while (const dirent *entry = readdir(proc)) {
		const int pid = atoi(entry->d_name);
		const std::string line = pid > 0 ? stat_line(pid) : "";
		const size_t end = line.rfind(')');
		if (end != std::string::npos && line.find("(vmspace)") != std::string::npos
		    && atoi(line.c_str() + end + 4) == parent)
			found.push_back(pid);
	}
	closedir(proc);
	return found;
}

std::vector<int> tasks_of(int pid) {
	std::vector<int> found;
	DIR *tasks = opendir(("/proc/" + std::to_string(pid) + "/task").c_str());
	while (const dirent *entry = tasks != nullptr ? readdir(tasks) : nullptr)
		if (atoi(entry->d_name) > 0)
			found.push_back(atoi(entry->d_name));
	if (tasks != nullptr)
		closedir(tasks);
	return found;
}

double seconds() {
	timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

bool wait_until(const std::function<bool()> &condition, double limit_seconds) {
	const double end = seconds() + limit_seconds;
	while (!condition()) {
		if (seconds() > end)
			return false;
		usleep(1000);
	}
	return true;
}

}  // namespace harness
