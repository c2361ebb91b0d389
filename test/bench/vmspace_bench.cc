/*
 * What the calls of vmspace(2) cost on this host: a null system call, a fault, an INVAL, a kick, a create and destroy.
 * Prints medians; asserts nothing.
 */
#include <pthread.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "vkernel-hooks/linux/vmspace.h"

namespace {

constexpr uint64_t kRamBytes = 64 << 20;
constexpr uint64_t kCode = 0x400000, kData = 0x10000000;
constexpr unsigned kPages = 2048;
constexpr vpte_t kBits = VPTE_V | VPTE_RW | VPTE_U;

/* syscall; jmp back | write one byte to r13 pages from r12 on, syscall, jmp back | jmp to itself */
constexpr unsigned char kSyscallLoop[] = {0x0f, 0x05, 0xeb, 0xfc};
constexpr unsigned char kTouchLoop[] = {0x4c, 0x89, 0xe3, 0x4c, 0x89, 0xe9, 0xc6, 0x03, 0x01, 0x48, 0x81, 0xc3, 0x00, 0x10,
    0x00, 0x00, 0x48, 0xff, 0xc9, 0x75, 0xf1, 0x0f, 0x05, 0xeb, 0xe7};
constexpr unsigned char kSpin[] = {0xeb, 0xfe};

uint8_t *ram;
int ram_fd;
uint64_t next_frame = 4096;
uint64_t space_root;
int space_a, space_b;

void fail(const char *what) {
	perror(what);
	exit(1);
}

double microseconds() {
	timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) * 1e-3;
}

uint64_t new_frame() {
	next_frame += 4096;
	if (next_frame > kRamBytes)
		fail("out of RAM");
	return next_frame - 4096;
}

void map_page(uint64_t root, uint64_t address, uint64_t frame) {
	uint64_t table = root;
	for (int shift = 39;; shift -= 9) {
		vpte_t *entry = reinterpret_cast<vpte_t *>(ram + (table & VPTE_FRAME)) + (address >> shift & 511);
		if (shift == 12) {
			*entry = frame | kBits | VPTE_A | VPTE_M;
			return;
		}
		if ((*entry & VPTE_V) == 0)
			*entry = new_frame() | kBits | VPTE_A;
		table = *entry;
	}
}

void make_space(void *id) {
	if (vmspace_create(id, 0, nullptr) != 0)
		fail("vmspace_create");
	if (vmspace_mmap(id, nullptr, VM_MAX_USER_ADDRESS, 7, DF_MAP_VPAGETABLE | DF_MAP_SHARED | DF_MAP_FIXED, ram_fd, 0)
		== MAP_FAILED
	    || vmspace_mcontrol(id, nullptr, VM_MAX_USER_ADDRESS, DF_MADV_SETMAP, static_cast<off_t>(space_root)) != 0)
		fail("vmspace_mmap");
}

struct Registers {
	trapframe tf = {};
	vextframe vf = {};
	std::vector<uint8_t> xsave = std::vector<uint8_t>(vmspace_host_xsave_bytes());
	explicit Registers(uint64_t rip) {
		vmspace_host_xsave_init(xsave.data());
		tf.tf_rip = rip;
	}
	uint64_t run(void *id) {
		if (vmspace_host_run(id, &tf, &vf, xsave.data()) != 0)
			fail("vmspace_host_run");
		return tf.tf_trapno;
	}
};

template <typename Body> double per_call(unsigned count, Body body) {
	const double start = microseconds();
	for (unsigned i = 0; i < count; i++)
		body();
	return (microseconds() - start) / count;
}

template <typename Body> double median_of(unsigned rounds, Body body) {
	std::vector<double> times;
	for (unsigned i = 0; i < rounds; i++)
		times.push_back(body());
	std::sort(times.begin(), times.end());
	return times[rounds / 2];
}

double kick_time;
void *kick_later(void *) {
	usleep(5000);
	kick_time = microseconds();
	vmspace_host_kick(0);
	return nullptr;
}

double one_kick() {
	Registers spin(kCode + 0x200);
	pthread_t thread;
	pthread_create(&thread, nullptr, kick_later, nullptr);
	spin.run(&space_a);
	const double taken = microseconds() - kick_time;
	pthread_join(thread, nullptr);
	return taken;
}

double touch_all(bool scattered) {
	uint64_t frames[kPages];
	for (uint64_t &frame : frames)
		frame = new_frame();
	for (unsigned i = 0; i < kPages; i++)
		map_page(space_root, kData + i * 4096UL, frames[scattered ? i ^ 1 : i]);
	return median_of(5, [&] {
		vmspace_mcontrol(&space_a, reinterpret_cast<void *>(kData), kPages * 4096UL, DF_MADV_INVAL, 0);
		Registers touch(kCode + 0x100);
		touch.tf.tf_r12 = kData;
		touch.tf.tf_r13 = kPages;
		return per_call(1, [&] { touch.run(&space_a); }) / kPages;
	});
}

}  // namespace

int main() {
	ram_fd = memfd_create("bench-ram", MFD_CLOEXEC);
	if (ram_fd < 0 || ftruncate(ram_fd, kRamBytes) != 0)
		fail("memfd");
	ram = static_cast<uint8_t *>(mmap(nullptr, kRamBytes, PROT_READ | PROT_WRITE, MAP_SHARED, ram_fd, 0));
	const char *fallback;
	if (vmspace_host_init(ram_fd, ram, kRamBytes, 2, &fallback) != 0)
		fail("vmspace_host_init");
	vmspace_host_enter_vcpu(0);
	printf("%s\n", fallback != nullptr ? fallback : "hand-off: seccomp notification");
	space_root = new_frame() | kBits;
	const uint64_t code = new_frame();
	map_page(space_root, kCode, code);
	memcpy(ram + code, kSyscallLoop, sizeof kSyscallLoop);
	memcpy(ram + code + 0x100, kTouchLoop, sizeof kTouchLoop);
	memcpy(ram + code + 0x200, kSpin, sizeof kSpin);
	make_space(&space_a);
	make_space(&space_b);

	Registers a(kCode), b(kCode);
	a.run(&space_a);
	b.run(&space_b);
	printf("null system call             %8.2f us\n", median_of(5, [&] { return per_call(10000, [&] { a.run(&space_a); }); }));
	printf("two vmspaces alternating     %8.2f us\n", median_of(5, [&] {
		return per_call(5000, [&] {
			a.run(&space_a);
			b.run(&space_b);
		}) / 2;
	}));
	printf("touch, contiguous frames     %8.2f us per page\n", touch_all(false));
	printf("touch, scattered frames      %8.2f us per page\n", touch_all(true));
	printf("INVAL of one page            %8.2f us\n", per_call(2000, [] {
		vmspace_mcontrol(&space_a, reinterpret_cast<void *>(kData), 4096, DF_MADV_INVAL, 0);
	}));
	printf("kick of a spinning guest     %8.2f us\n", median_of(15, one_kick));
	static int other;
	printf("create, back to back         %8.2f us (with mmap and SETMAP)\n", median_of(50, [] {
		const double start = microseconds();
		make_space(&other);
		const double taken = microseconds() - start;
		vmspace_destroy(&other);
		return taken;
	}));
	printf("create with a spare at hand  %8.2f us\n", median_of(20, [] {
		usleep(5000);
		const double start = microseconds();
		make_space(&other);
		const double taken = microseconds() - start;
		vmspace_destroy(&other);
		return taken;
	}));
	printf("destroy                      %8.2f us\n", median_of(20, [] {
		make_space(&other);
		usleep(3000);
		const double start = microseconds();
		vmspace_destroy(&other);
		return microseconds() - start;
	}));
	vmspace_host_fini();
	return 0;
}
