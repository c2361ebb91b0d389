/* Mappings, faults, A and M, INVAL and SETMAP, and every errno. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <thread>

#include "test/vmspace/harness.h"

using namespace harness;

GUEST(guest_syscall);
GUEST(guest_read);
GUEST(guest_write);
GUEST(guest_jump);
GUEST(guest_count);
GUEST(guest_touch);

namespace {

constexpr int kFlags = DF_MAP_VPAGETABLE | DF_MAP_SHARED;
void *const kWholeRange = nullptr;

void *address(uint64_t value) { return reinterpret_cast<void *>(value); }

int read_at(Guest &guest, uint64_t where) {
	guest.tf.tf_rip = kCodeAt;
	guest.tf.tf_rbx = where;
	return guest.run();
}
int write_at(Guest &guest, uint64_t where) {
	guest.tf.tf_rip = kCodeAt + 0x1000;
	guest.tf.tf_rbx = where;
	guest.tf.tf_rax = 4711;
	return guest.run();
}
int jump_to(Guest &guest, uint64_t where) {
	guest.tf.tf_rip = kCodeAt + 0x2000;
	guest.tf.tf_rbx = where;
	return guest.run();
}
void load_accessors(Guest &guest) {
	LOAD(guest, guest_read);
	guest.load(guest_write, guest_write_end, kCodeAt + 0x1000);
	guest.load(guest_jump, guest_jump_end, kCodeAt + 0x2000);
}

bool failed(int result) { return result == -1; }
bool failed(const void *result) { return result == MAP_FAILED; }

#define CHECK_ERRNO(call, expected) \
	do { \
		errno = 0; \
		CHECK(failed(call)); \
		CHECK(errno == (expected)); \
	} while (0)

}  // namespace

TEST_CASE("before SETMAP every access faults") {
	World world;
	Guest guest(world);
	LOAD(guest, guest_syscall);
	REQUIRE(vmspace_mmap(guest.id(), kWholeRange, VM_MAX_USER_ADDRESS, 7, kFlags | DF_MAP_FIXED, world.fd, 0) == nullptr);
	CHECK(guest.run() == T_PAGEFLT);
	CHECK(guest.tf.tf_addr == kCodeAt);
	CHECK((guest.tf.tf_err & (PGEX_U | PGEX_I)) == (PGEX_U | PGEX_I));
	guest.set_root(guest.root);
	CHECK(guest.run() == T_FAST_SYSCALL);
}

TEST_CASE("a fault the vpagetable does not resolve tells address and kind") {
	World world;
	Guest guest(world);
	load_accessors(guest);
	CHECK(read_at(guest, kDataAt + 8) == T_PAGEFLT);
	CHECK(guest.tf.tf_addr == kDataAt + 8);
	CHECK(guest.tf.tf_err == PGEX_U);
	CHECK(guest.tf.tf_rip == kCodeAt);
	CHECK(write_at(guest, kDataAt + 16) == T_PAGEFLT);
	CHECK(guest.tf.tf_err == (PGEX_U | PGEX_W));
	CHECK(jump_to(guest, kDataAt) == T_PAGEFLT);
	CHECK(guest.tf.tf_err == (PGEX_U | PGEX_I));
	CHECK(read_at(guest, VM_MAX_USER_ADDRESS + 0x100000) == T_PAGEFLT);
	CHECK(guest.tf.tf_addr == VM_MAX_USER_ADDRESS + 0x100000);
}

TEST_CASE("reading sets A, the first write sets M, and rights are kept") {
	World world;
	Guest guest(world);
	load_accessors(guest);
	const uint64_t frame = guest.map(kDataAt);
	world.at<uint64_t>(frame) = 42;
	REQUIRE(read_at(guest, kDataAt) == T_FAST_SYSCALL);
	CHECK(guest.tf.tf_rax == 42);
	CHECK((guest.vpte(kDataAt) & (VPTE_A | VPTE_M)) == VPTE_A);
	REQUIRE(write_at(guest, kDataAt) == T_FAST_SYSCALL);
	CHECK((guest.vpte(kDataAt) & (VPTE_A | VPTE_M)) == (VPTE_A | VPTE_M));
	CHECK(world.at<uint64_t>(frame) == 4711);

	guest.map(kDataAt + 0x10000, VPTE_V);
	CHECK(read_at(guest, kDataAt + 0x10000) == T_FAST_SYSCALL);
	CHECK(write_at(guest, kDataAt + 0x10000) == T_PAGEFLT);
	CHECK(guest.tf.tf_err == (PGEX_P | PGEX_W | PGEX_U));
	CHECK((guest.vpte(kDataAt + 0x10000) & VPTE_M) == 0);
	guest.map(kDataAt + 0x20000, kPageBits | VPTE_NX);
	CHECK(read_at(guest, kDataAt + 0x20000) == T_FAST_SYSCALL);
	CHECK(jump_to(guest, kDataAt + 0x20000) == T_PAGEFLT);
	CHECK((guest.tf.tf_err & PGEX_I) != 0);
}

TEST_CASE("after M is cleared and the page invalidated the next write sets it again") {
	World world;
	Guest guest(world);
	load_accessors(guest);
	guest.map(kDataAt);
	REQUIRE(write_at(guest, kDataAt) == T_FAST_SYSCALL);
	guest.vpte(kDataAt) &= ~(VPTE_M | VPTE_A);
	guest.invalidate(kDataAt);
	REQUIRE(read_at(guest, kDataAt) == T_FAST_SYSCALL);
	CHECK((guest.vpte(kDataAt) & (VPTE_A | VPTE_M)) == VPTE_A);
	REQUIRE(write_at(guest, kDataAt) == T_FAST_SYSCALL);
	CHECK((guest.vpte(kDataAt) & VPTE_M) != 0);
}

TEST_CASE("pages mapped around a fault keep A and M true") {
	World world;
	Guest guest(world);
	load_accessors(guest);
	guest.map_range(kDataAt, 32);
	REQUIRE(write_at(guest, kDataAt) == T_FAST_SYSCALL);
	for (unsigned i = 1; i < 32; i++)
		CHECK((guest.vpte(kDataAt + i * kPage) & (VPTE_A | VPTE_M)) == 0);
	for (unsigned i = 1; i < 32; i++)	/* accessed but not modified: mapped ahead, read-only */
		guest.vpte(kDataAt + i * kPage) |= VPTE_A;
	guest.invalidate(kDataAt, 32 * kPage);
	REQUIRE(read_at(guest, kDataAt) == T_FAST_SYSCALL);
	REQUIRE(write_at(guest, kDataAt + 5 * kPage) == T_FAST_SYSCALL);
	CHECK((guest.vpte(kDataAt + 5 * kPage) & VPTE_M) != 0);
	CHECK((guest.vpte(kDataAt + 6 * kPage) & VPTE_M) == 0);
}

TEST_CASE("a superpage maps a linear run of RAM, cut where RAM ends") {
	World world;
	Guest guest(world);
	load_accessors(guest);
	for (unsigned level = 1; level <= 3; level++) {
		const uint64_t at = 0x100000000000 * level;
		guest.entry_at(at, level) = 0x400000 | kPageBits | VPTE_PS;
		world.at<uint64_t>(0x400000 + 7 * kPage) = level;
		REQUIRE(read_at(guest, at + 7 * kPage) == T_FAST_SYSCALL);
		CHECK(guest.tf.tf_rax == level);
		CHECK((guest.entry_at(at, level) & (VPTE_A | VPTE_M)) == VPTE_A);
		REQUIRE(write_at(guest, at + 8 * kPage) == T_FAST_SYSCALL);
		CHECK((guest.entry_at(at, level) & VPTE_M) != 0);
		CHECK(world.at<uint64_t>(0x400000 + 8 * kPage) == 4711);
	}
	const uint64_t end = 0x100000000000ULL * 2 + (world.bytes - 0x400000);
	CHECK(read_at(guest, end - kPage) == T_FAST_SYSCALL);
	CHECK(read_at(guest, end) == T_PAGEFLT);
}

TEST_CASE("PS in the root maps RAM itself") {
	World world;
	Guest guest(world);
	load_accessors(guest);
	guest.set_root(kPageBits | VPTE_PS);
	guest.tf.tf_rip = 0x200000;
	memcpy(world.ram + 0x200000, guest_write, static_cast<size_t>(guest_write_end - guest_write));
	guest.tf.tf_rbx = 0x300000;
	guest.tf.tf_rax = 99;
	REQUIRE(guest.run() == T_FAST_SYSCALL);
	CHECK(world.at<uint64_t>(0x300000) == 99);
}

TEST_CASE("the offset of the mapping takes part in the page index") {
	World world;
	Guest guest(world);
	load_accessors(guest);
	const uint64_t frame = guest.map(kDataAt);
	world.at<uint64_t>(frame) = 1234;
	const uint64_t window = 0x600000000000;
	REQUIRE(vmspace_mmap(guest.id(), address(window), 0x10000, 7, kFlags | DF_MAP_FIXED, world.fd,
		    static_cast<off_t>(kDataAt)) == address(window));
	CHECK(read_at(guest, window) == T_PAGEFLT);	/* has no root yet */
	REQUIRE(vmspace_mcontrol(guest.id(), address(window), 0x10000, DF_MADV_SETMAP, static_cast<off_t>(guest.root)) == 0);
	REQUIRE(read_at(guest, window) == T_FAST_SYSCALL);
	CHECK(guest.tf.tf_rax == 1234);
	REQUIRE(vmspace_munmap(guest.id(), address(window), 0x10000) == 0);
	CHECK(read_at(guest, window) == T_PAGEFLT);
	CHECK(read_at(guest, kDataAt) == T_FAST_SYSCALL);
}

TEST_CASE("SETMAP on a part clips the mapping and leaves the rest") {
	World world;
	Guest guest(world);
	load_accessors(guest);
	guest.map_range(kDataAt, 3);
	REQUIRE(read_at(guest, kDataAt + kPage) == T_FAST_SYSCALL);
	REQUIRE(vmspace_mcontrol(guest.id(), address(kDataAt + kPage), kPage, DF_MADV_SETMAP, 0) == 0);
	CHECK(read_at(guest, kDataAt) == T_FAST_SYSCALL);
	CHECK(read_at(guest, kDataAt + kPage) == T_PAGEFLT);
	CHECK(read_at(guest, kDataAt + 2 * kPage) == T_FAST_SYSCALL);
}

TEST_CASE("without PROT_EXEC nothing of a mapping can be executed") {
	World world;
	Guest guest(world);
	LOAD(guest, guest_syscall);
	REQUIRE(vmspace_mmap(guest.id(), kWholeRange, VM_MAX_USER_ADDRESS, 3, kFlags | DF_MAP_FIXED, world.fd, 0) == nullptr);
	guest.set_root(guest.root);
	CHECK(guest.run() == T_PAGEFLT);
}

TEST_CASE("an address is found for a mapping without MAP_FIXED") {
	World world;
	int id;
	REQUIRE(vmspace_create(&id, 0, nullptr) == 0);
	void *first = vmspace_mmap(&id, nullptr, 0x100000, 3, kFlags, world.fd, 0);
	void *second = vmspace_mmap(&id, nullptr, 0x100000, 3, kFlags, world.fd, 0);
	REQUIRE(first != MAP_FAILED);
	CHECK(reinterpret_cast<uint64_t>(second) >= reinterpret_cast<uint64_t>(first) + 0x100000);
	CHECK_ERRNO(vmspace_mmap(&id, nullptr, VM_MAX_USER_ADDRESS, 3, kFlags, world.fd, 0), ENOMEM);
}

TEST_CASE("INVAL takes a page away from a guest that is running") {
	World world;
	Guest guest(world);
	LOAD(guest, guest_count);
	const uint64_t frame = guest.map(kDataAt);
	guest.tf.tf_rbx = kDataAt;
	volatile uint64_t &counter = world.at<uint64_t>(frame);
	for (int round = 0; round < 100; round++) {
		guest.vpte(kDataAt) = frame | kPageBits;
		int trap = -1;
		std::thread vcpu([&] {
			vmspace_host_enter_vcpu(1);
			trap = guest.run_through_kicks();
		});
		const uint64_t seen = counter;
		const bool runs = wait_until([&] { return counter != seen; });	/* the negative control of what follows */
		guest.vpte(kDataAt) = 0;
		guest.invalidate(kDataAt);
		const uint64_t stopped = counter;
		bool moved = false;
		for (int i = 0; i < 5000; i++)
			moved = moved || counter != stopped;
		vcpu.join();
		REQUIRE(runs);
		REQUIRE_FALSE(moved);
		REQUIRE(trap == T_PAGEFLT);
		REQUIRE(guest.tf.tf_addr == kDataAt);
	}
}

TEST_CASE("a guest with more pages than the host allows mappings runs on") {
	std::FILE *file = fopen("/proc/sys/vm/max_map_count", "r");
	long limit = 0;
	REQUIRE(fscanf(file, "%ld", &limit) == 1);
	fclose(file);
	if (limit > 100'000)
		return;	/* it would take too much RAM to reach */
	World world(1, 512ULL << 20);
	Guest guest(world);
	LOAD(guest, guest_touch);
	const unsigned pages = static_cast<unsigned>(limit) + 2000;
	for (unsigned i = 0; i < pages; i++)	/* every other frame, so that nothing merges; already marked, so that most is mapped ahead */
		guest.vpte(kDataAt + i * kPage) = ((i % 2 != 0 ? 0x10000000 : 0x8000000) + (i / 2 % 16384) * kPage) | kPageBits | VPTE_A | VPTE_M;
	guest.tf.tf_r12 = kDataAt;
	guest.tf.tf_r13 = pages;
	REQUIRE(guest.run() == T_FAST_SYSCALL);
	uint64_t touched = 0;
	for (uint64_t frame = 0x8000000; frame < 0x8000000 + 16384 * kPage; frame += kPage)
		touched += world.at<uint64_t>(frame) + world.at<uint64_t>(frame + 0x8000000);
	CHECK(touched == pages);
}

TEST_CASE("every call answers wrong arguments with DragonFly's errno") {
	int id, unknown;
	trapframe tf = {};
	vextframe vf = {};
	CHECK_ERRNO(vmspace_create(&id, 0, nullptr), EOPNOTSUPP);	/* no vmspace_host_init */
	CHECK_ERRNO(vmspace_destroy(&id), EINVAL);
	CHECK_ERRNO(vmspace_ctl(&id, VMSPACE_CTL_RUN, &tf, &vf), EINVAL);
	CHECK_ERRNO(vmspace_munmap(&id, nullptr, kPage), EINVAL);
	CHECK_ERRNO(vmspace_host_enter_vcpu(0), EINVAL);

	World world;
	REQUIRE(vmspace_create(&id, 0, nullptr) == 0);
	CHECK_ERRNO(vmspace_create(&id, 0, nullptr), EEXIST);
	CHECK_ERRNO(vmspace_destroy(&unknown), ENOENT);
	CHECK_ERRNO(vmspace_ctl(&unknown, VMSPACE_CTL_RUN, &tf, &vf), ENOENT);
	CHECK_ERRNO(vmspace_ctl(&id, 2, &tf, &vf), EOPNOTSUPP);
	CHECK_ERRNO(vmspace_ctl(&id, VMSPACE_CTL_RUN, nullptr, &vf), EFAULT);
	CHECK_ERRNO(vmspace_host_enter_vcpu(2), EINVAL);
	std::thread([&] { CHECK_ERRNO(vmspace_ctl(&id, VMSPACE_CTL_RUN, &tf, &vf), EINVAL); }).join();

	const int other = memfd_create("other", MFD_CLOEXEC);
	void *const at = address(0x10000);
	CHECK_ERRNO(vmspace_mmap(&unknown, at, kPage, 3, kFlags, world.fd, 0), ENOENT);
	CHECK_ERRNO(vmspace_mmap(&id, at, kPage, 3, DF_MAP_SHARED, world.fd, 0), EINVAL);
	CHECK_ERRNO(vmspace_mmap(&id, at, kPage, 3, DF_MAP_VPAGETABLE, world.fd, 0), EINVAL);
	CHECK_ERRNO(vmspace_mmap(&id, at, kPage, 1, kFlags, world.fd, 0), EINVAL);
	CHECK_ERRNO(vmspace_mmap(&id, at, kPage, 2, kFlags, world.fd, 0), EINVAL);
	CHECK_ERRNO(vmspace_mmap(&id, at, kPage, 3, kFlags, other, 0), EINVAL);
	CHECK_ERRNO(vmspace_mmap(&id, at, kPage, 3, kFlags, -1, 0), EINVAL);
	CHECK_ERRNO(vmspace_mmap(&id, at, 0, 3, kFlags, world.fd, 0), EINVAL);
	CHECK_ERRNO(vmspace_mmap(&id, at, kPage, 3, kFlags, world.fd, 1), EINVAL);
	CHECK_ERRNO(vmspace_mmap(&id, address(0x10001), kPage, 3, kFlags | DF_MAP_FIXED, world.fd, 0), EINVAL);
	CHECK_ERRNO(vmspace_mmap(&id, address(VM_MAX_USER_ADDRESS), kPage, 3, kFlags | DF_MAP_FIXED, world.fd, 0), EINVAL);
	CHECK_ERRNO(vmspace_mmap(&id, at, ~0UL - 0xffff, 3, kFlags | DF_MAP_FIXED, world.fd, 0), EINVAL);
	close(other);

	CHECK_ERRNO(vmspace_munmap(&unknown, at, kPage), ENOENT);
	CHECK_ERRNO(vmspace_munmap(&id, address(VM_MAX_USER_ADDRESS), kPage), EINVAL);
	CHECK_ERRNO(vmspace_munmap(&id, address(0x10001), kPage), EINVAL);
	CHECK(vmspace_munmap(&id, at, 0) == 0);
	CHECK(vmspace_munmap(&id, at, kPage) == 0);

	CHECK_ERRNO(vmspace_mcontrol(&unknown, at, kPage, DF_MADV_INVAL, 0), ENOENT);
	CHECK_ERRNO(vmspace_mcontrol(&id, at, kPage, -1, 0), EINVAL);
	CHECK_ERRNO(vmspace_mcontrol(&id, at, kPage, 12, 0), EINVAL);
	CHECK_ERRNO(vmspace_mcontrol(&id, at, ~0UL, DF_MADV_INVAL, 0), EINVAL);
	CHECK_ERRNO(vmspace_mcontrol(&id, address(VM_MAX_USER_ADDRESS), kPage, DF_MADV_INVAL, 0), EINVAL);
	for (int behaviour = 0; behaviour <= 11; behaviour++)
		CHECK(vmspace_mcontrol(&id, at, kPage, behaviour, 0) == 0);

	const char *fallback;
	CHECK_ERRNO(vmspace_host_init(world.fd, world.ram, world.bytes, 1, &fallback), EBUSY);
	CHECK(vmspace_destroy(&id) == 0);
	CHECK_ERRNO(vmspace_destroy(&id), ENOENT);
}

TEST_CASE("vmspace_host_init refuses what it cannot use") {
	const int fd = memfd_create("ram", MFD_CLOEXEC);
	REQUIRE(ftruncate(fd, kPage) == 0);
	uint8_t page[8];
	CHECK_ERRNO(vmspace_host_init(fd, page, kPage, 0, nullptr), EINVAL);
	CHECK_ERRNO(vmspace_host_init(fd, page, kPage, 33, nullptr), EINVAL);
	CHECK_ERRNO(vmspace_host_init(fd, page, 2 * kPage, 1, nullptr), EINVAL);
	CHECK_ERRNO(vmspace_host_init(fd, page, 100, 1, nullptr), EINVAL);
	CHECK_ERRNO(vmspace_host_init(fd, nullptr, kPage, 1, nullptr), EINVAL);
	CHECK_ERRNO(vmspace_host_init(-1, page, kPage, 1, nullptr), EBADF);
	close(fd);
}

TEST_CASE("a vmspace in which a vCPU runs cannot be destroyed") {
	World world;
	Guest guest(world);
	LOAD(guest, guest_count);
	const uint64_t frame = guest.map(kDataAt);
	guest.tf.tf_rbx = kDataAt;
	std::thread vcpu([&] {
		vmspace_host_enter_vcpu(1);
		CHECK(guest.run() == 0);
	});
	volatile uint64_t &counter = world.at<uint64_t>(frame);
	REQUIRE(wait_until([&] { return counter != 0; }));
	CHECK_ERRNO(vmspace_destroy(guest.id()), EBUSY);
	vmspace_host_kick(1);
	vcpu.join();
	CHECK(vmspace_destroy(guest.id()) == 0);
}
