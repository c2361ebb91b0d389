// hello: the smallest vkernel that can be suspended: one vCPU, one device-less "kernel" that counts primes. Its stack and all of its
// state lie in RAM, so that a thaw continues in the middle of main's loop.
//
//   hello &  kill -52 $!        suspends to hello.ckpt, exit status 33
//   hello --thaw hello.ckpt     goes on counting: another process, the same nonce
//   hello --lazy hello.ckpt     the same at once: RAM comes when it is touched
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <vkckpt/vkckpt.h>

namespace {

constexpr uintptr_t kRam = 0x200000000000;	// far from everything that the host maps by itself
constexpr size_t kRamBytes = 4 << 20, kStackBytes = 256 << 10;

// All that the guest knows. The first page of RAM; the stack is at the end of RAM.
struct Guest {
	uint64_t nonce;			// made at boot, kept nowhere else: who prints it was thawed, not started again
	uint64_t candidate, primes, last;
};
Guest *const guest = reinterpret_cast<Guest *>(kRam);

// Host side, not part of the image. Set anew after a thaw.
struct vkckpt *ck;

void say(const char *what)
{
	printf("hello[%d]: %s: nonce %016llx, %llu primes, the last is %llu\n", getpid(), what, (unsigned long long)guest->nonce,
	    (unsigned long long)guest->primes, (unsigned long long)guest->last);
	fflush(stdout);
}

bool is_prime(uint64_t n)
{
	for (uint64_t d = 2; d * d <= n; d++)
		if (n % d == 0)
			return false;
	return true;
}

// The vCPU: guest instructions, and a safe point between them.
void vcpu_main(void *)
{
	say("started");
	for (uint64_t next_report = 1000;; guest->candidate++) {
		if (is_prime(guest->candidate)) {
			guest->primes++;
			guest->last = guest->candidate;
		}
		if (guest->primes >= next_report) {
			say("counting");
			next_report = guest->primes + 1000;
			struct timespec nap = { 0, 20000000 };
			nanosleep(&nap, nullptr);
		}
		switch (vkckpt_safe_point(ck, 0)) {
		case VKCKPT_EXIT:
			say("suspended");
			exit(VKCKPT_EXIT_SUSPENDED);
		case VKCKPT_THAWED:
			say("thawed");
			break;
		}
	}
}

void kick(void *) {}	// this vCPU never sleeps long

void resumed(void *, const struct vkckpt_error *error)
{
	if (error->reason)
		fprintf(stderr, "hello: %s\n", error->message);
	else
		say("checkpointed, going on");
}

}  // namespace

int main(int argc, char **argv)
{
	vkckpt_block_signals();
	struct vkckpt_hooks hooks = {};
	hooks.size = sizeof hooks;
	hooks.kick = kick;
	hooks.resumed = resumed;
	struct vkckpt_segment ram = { guest, kRamBytes, -1 };
	const struct vkckpt_range place = { kRam, kRamBytes };	// nothing of an image goes anywhere else
	struct vkckpt_config config = {};
	config.size = sizeof config;
	config.places = &place;
	config.place_count = 1;
	config.program = config.name = "hello";
	config.image_fd = -1;
	config.on_ckpt = VKCKPT_ACTION_EXIT;
	config.resume_kind = VKCKPT_RESUME_CONTEXT;
	config.vcpu_count = 1;
	config.hooks = &hooks;
	config.run_dir = "";

	struct vkckpt_error error;
	if (argc == 3 && (!strcmp(argv[1], "--thaw") || !strcmp(argv[1], "--lazy"))) {
		struct vkckpt_thaw_config thaw = {};
		thaw.size = sizeof thaw;
		thaw.vkernel = config;
		thaw.path = argv[2];
		thaw.fd = -1;
		thaw.lazy = argv[1][2] == 'l' ? VKCKPT_LAZY : 0;
		if (vkckpt_thaw(&thaw, &ck, &error) < 0)
			errx(1, "%s", error.message);
		vkckpt_resume(ck, 0);		// continues in vcpu_main
	}
	if (argc > 2 || (argc == 2 && argv[1][0] == '-'))
		errx(2, "usage: hello [IMAGE] | hello --thaw|--lazy IMAGE");

	ram.fd = memfd_create("hello-ram", MFD_CLOEXEC);
	if (ram.fd < 0 || ftruncate(ram.fd, kRamBytes) < 0 || mmap(guest, kRamBytes, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_FIXED_NOREPLACE, ram.fd, 0) != guest)
		err(1, "RAM");
	if (getrandom(&guest->nonce, sizeof guest->nonce, 0) < 0)
		err(1, "getrandom");
	guest->candidate = 2;
	config.image_path = argc == 2 ? argv[1] : "hello.ckpt";
	config.segments = &ram;
	config.segment_count = 1;
	if (vkckpt_arm(&config, &ck, &error) < 0)
		errx(1, "%s", error.message);
	vkckpt_enter_stack(reinterpret_cast<char *>(kRam) + kRamBytes, vcpu_main, nullptr);
}
