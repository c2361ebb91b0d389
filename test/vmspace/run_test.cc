/* Running a guest: system calls, registers, traps. */
#include <errno.h>
#include <string.h>

#include <catch2/catch.hpp>

#include "test/vmspace/harness.h"

using namespace harness;

GUEST(guest_syscall);
GUEST(guest_read);
GUEST(guest_write);

TEST_CASE("a system call comes out with the guest's registers and the address after it") {
	World world;
	CHECK(world.fallback == nullptr);
	Guest guest(world);
	LOAD(guest, guest_syscall);
	guest.tf.tf_rax = 0x1234567812345678;
	guest.tf.tf_rdi = 1;
	guest.tf.tf_rsp = 0x7000;
	REQUIRE(guest.run() == T_FAST_SYSCALL);
	CHECK(guest.tf.tf_rax == 0x1234567812345678);
	CHECK(guest.tf.tf_rip == kCodeAt + 2);
	CHECK(guest.tf.tf_rcx == kCodeAt + 2);
	CHECK(guest.tf.tf_r11 == guest.tf.tf_rflags);
	CHECK(guest.tf.tf_rdi == 1);
	CHECK(guest.tf.tf_rsp == 0x7000);
	for (int i = 0; i < 100; i++)
		REQUIRE(guest.run() == T_FAST_SYSCALL);
}
