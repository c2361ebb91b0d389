/* Running a guest: system calls, registers, FPU state, exceptions. */
#include <errno.h>
#include <string.h>

#include <catch2/catch.hpp>

#include "test/vmspace/harness.h"

using namespace harness;

GUEST(guest_syscall);
GUEST(guest_int80);
GUEST(guest_bases);
GUEST(guest_vector);
GUEST(guest_ud2);
GUEST(guest_int3);
GUEST(guest_divide);
GUEST(guest_hlt);
GUEST(guest_single_step);
GUEST(guest_unaligned);
GUEST(guest_nested_task);
GUEST(guest_jump);

TEST_CASE("a system call comes out with all registers and the address after it") {
	World world;
	CHECK(world.fallback == nullptr);
	Guest guest(world);
	LOAD(guest, guest_syscall);
	uint64_t *registers = &guest.tf.tf_rdi;
	for (uint64_t i = 0; i < 15; i++)
		registers[i] = 0x1234567800000000 + i;
	guest.tf.tf_rsp = 0x7000;
	guest.tf.tf_rflags = 0xad7;	/* with carry, parity, adjust, zero, sign, overflow */
	const trapframe before = guest.tf;
	REQUIRE(guest.run() == T_FAST_SYSCALL);
	trapframe expected = before;
	expected.tf_rcx = expected.tf_rip = kCodeAt + 2;
	expected.tf_r11 = expected.tf_rflags;
	expected.tf_trapno = T_FAST_SYSCALL;
	expected.tf_cs = guest.tf.tf_cs;
	expected.tf_ss = guest.tf.tf_ss;
	CHECK(memcmp(&guest.tf, &expected, sizeof expected) == 0);
	CHECK(guest.tf.tf_rax == 0x1234567800000006);
}

TEST_CASE("a 32-bit entry comes out as T_SYSCALL80") {
	World world;
	Guest guest(world);
	LOAD(guest, guest_int80);
	guest.tf.tf_rax = 20;
	REQUIRE(guest.run() == T_SYSCALL80);
	CHECK(guest.tf.tf_rax == 20);
	CHECK(guest.tf.tf_rip == kCodeAt + 2);
}

TEST_CASE("selectors and flags a user may not set are made harmless") {
	World world;
	Guest guest(world);
	LOAD(guest, guest_syscall);
	guest.tf.tf_cs = 0x10;
	guest.tf.tf_ss = 0x18;
	guest.tf.tf_rflags = ~0ULL & ~0x100ULL;	/* all but single step: IOPL, NT, VM, VIF ... */
	REQUIRE(guest.run() == T_FAST_SYSCALL);
	CHECK(guest.tf.tf_cs == 0x33);
	CHECK(guest.tf.tf_ss == 0x2b);
	CHECK((guest.tf.tf_rflags & 0x1a7000) == 0);
	CHECK((guest.tf.tf_rflags & 0x202) == 0x202);
}

TEST_CASE("a guest sees and may change its FS and GS base") {
	World world;
	Guest guest(world);
	LOAD(guest, guest_bases);
	guest.vf.vx_tls.info[0].base = 0x1000;
	guest.vf.vx_tls.info[1].base = 0x2000;
	guest.tf.tf_r12 = 0x3000;
	guest.tf.tf_r13 = 0x7fffff000000;
	REQUIRE(guest.run() == T_FAST_SYSCALL);
	CHECK(guest.tf.tf_rbx == 0x1000);
	CHECK(guest.tf.tf_rbp == 0x2000);
	CHECK(guest.vf.vx_tls.info[0].base == 0x3000);
	CHECK(guest.vf.vx_tls.info[1].base == 0x7fffff000000);
}

TEST_CASE("the vector registers go in and come out with the XSAVE image") {
	if ((vmspace_host_xcr0() & 4) == 0)
		return;	/* no AVX on this host */
	World world;
	Guest guest(world);
	LOAD(guest, guest_vector);
	double *low = reinterpret_cast<double *>(guest.xsave.data() + 160);
	double *high = reinterpret_cast<double *>(guest.xsave.data() + 576);
	uint64_t *present = reinterpret_cast<uint64_t *>(guest.xsave.data() + 512);
	*present = 7;
	low[0] = 1.5;
	low[1] = -2;
	high[0] = 1e300;
	high[1] = 0.25;
	for (double factor = 2; factor < 100; factor *= 2) {
		REQUIRE(guest.run() == T_FAST_SYSCALL);
		CHECK(low[0] == 1.5 * factor);
		CHECK(low[1] == -2 * factor);
		CHECK(high[0] == 1e300 * factor);
		CHECK(high[1] == 0.25 * factor);
	}
}

TEST_CASE("an XSAVE image full of ones is made harmless") {
	World world;
	Guest guest(world);
	LOAD(guest, guest_syscall);
	memset(guest.xsave.data(), 0xff, guest.xsave.size());
	REQUIRE(guest.run() == T_FAST_SYSCALL);
	REQUIRE(guest.run() == T_FAST_SYSCALL);
}

TEST_CASE("RUN without an XSAVE image keeps the FPU state in the guest task") {
	World world;
	Guest guest(world);
	LOAD(guest, guest_vector);
	REQUIRE(guest.run() == T_FAST_SYSCALL);
	REQUIRE(vmspace_ctl(guest.id(), VMSPACE_CTL_RUN, &guest.tf, &guest.vf) == 0);
	CHECK(guest.tf.tf_trapno == T_FAST_SYSCALL);
}

TEST_CASE("exceptions come out with DragonFly's numbers") {
	World world;
	Guest guest(world);
	guest.map(0x10000);
	guest.tf.tf_rsp = 0x11000;
	auto trap = [&](const char *begin, const char *end) {
		guest.load(begin, end);
		guest.invalidate(kCodeAt);
		return guest.run();
	};
	CHECK(trap(guest_ud2, guest_ud2_end) == T_PRIVINFLT);
	CHECK(guest.tf.tf_rip == kCodeAt);
	CHECK(trap(guest_int3, guest_int3_end) == T_BPTFLT);
	CHECK(guest.tf.tf_rip == kCodeAt + 1);
	CHECK(trap(guest_divide, guest_divide_end) == T_DIVIDE);
	CHECK(trap(guest_hlt, guest_hlt_end) == T_PROTFLT);
	CHECK(trap(guest_single_step, guest_single_step_end) == T_TRCTRAP);
	guest.tf.tf_rflags = 0x202;
	CHECK(trap(guest_unaligned, guest_unaligned_end) == T_ALIGNFLT);
	guest.tf.tf_rflags = 0x202;
	CHECK(trap(guest_nested_task, guest_nested_task_end) == T_FAST_SYSCALL);
	CHECK(trap(guest_ud2, guest_ud2_end) == T_PRIVINFLT);	/* the NT it left behind does no harm */
	guest.tf.tf_rbx = 0x8000000000000000;
	CHECK(trap(guest_jump, guest_jump_end) == T_PROTFLT);
}

TEST_CASE("registers that cannot be loaded come back as a fault and leave the vmspace usable") {
	World world;
	Guest guest(world);
	LOAD(guest, guest_syscall);
	const trapframe good = guest.tf;
	guest.tf.tf_rip = 0x8000000000000000;
	CHECK(guest.run() == T_PROTFLT);
	CHECK(guest.tf.tf_rip == 0x8000000000000000);
	guest.tf = good;
	guest.vf.vx_tls.info[0].base = 0x8000000000000000;
	guest.tf.tf_rax = 77;
	CHECK(guest.run() == T_PROTFLT);
	CHECK(guest.tf.tf_rax == 77);
	guest.tf = good;
	guest.vf.vx_tls.info[0].base = 0;
	guest.tf.tf_rip = 0xffffffff81000000;
	CHECK(guest.run() == T_PAGEFLT);
	CHECK(guest.tf.tf_addr == 0xffffffff81000000);
	guest.tf = good;
	CHECK(guest.run() == T_FAST_SYSCALL);
}
