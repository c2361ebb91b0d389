// minivk: a small virtual kernel that runs static Linux programs, and can be suspended to a file and thawed from it.
#include <cerrno>
#include <csignal>
#include <cstring>
#include <pthread.h>

#include "boot.h"
#include "ckpt.h"
#include "cpu_mask.h"
#include "host.h"
#include "host_console.h"
#include "host_cpu.h"
#include "host_disk.h"
#include "host_files.h"
#include "vcpu.h"

namespace {

using namespace minivk;

// Before anything else, libc's constructors included: a SIGCKPT that comes earlier would end the process.
void block_early() { vkckpt_block_signals(); }
__attribute__((section(".preinit_array"), used)) void (*const early)() = block_early;

bool resuming = false;

void *vcpu_thread(void *arg)
{
	unsigned cpu = unsigned(reinterpret_cast<uintptr_t>(arg));
	if (vmspace_host_enter_vcpu(cpu) != 0)
		fail("vCPU %u: %s", cpu, strerror(errno));
	if (resuming)
		ckpt_resume(cpu);
	vcpu_loop(cpu);
	return nullptr;
}

void run_vcpus()
{
	pthread_t threads[kMaxCpus];
	for (uintptr_t i = 1; i < kernel().cpu_count; i++)
		if (pthread_create(&threads[i], nullptr, vcpu_thread, reinterpret_cast<void *>(i)) != 0)
			fail("vCPU %u: no thread for it; ask for fewer with -n", unsigned(i));
	vcpu_thread(nullptr);
	for (unsigned i = 1; i < kernel().cpu_count; i++)
		pthread_join(threads[i], nullptr);
}

}  // namespace

int main(int argc, char **argv)
{
	vkckpt_block_signals();
	signal(SIGXFSZ, SIG_IGN);	// the limit on the size of files: told, also while RAM is made
	Options options = parse_options(argc, argv);
	check_files(options);
	write_pidfile(options.dry_run ? nullptr : options.pidfile);
	host_block_signals();
	calls_boot();
	cpu_mask_test = options.test_cpuid;
	test_checkpoint = {options.test_at_trap, options.test_every};
	if (options.thaw) {
		resuming = true;
		if (int status = ckpt_thaw(options); status >= 0)
			return status;
	} else {
		char message[512];
		if (!host_console_open(options.console, ConsoleUse::kUse, message, sizeof message))
			fail("console: %s", message);
		boot_ram(options);
		ckpt_open_disk(options);
		boot_files(options);
		boot_first_process(options);
		ckpt_arm(options);
		if (!host_console_start(message, sizeof message))
			fail("console: %s", message);
	}
	host_events_start();
	run_vcpus();
	host_events_stop();
	host_disk_end();
	bool suspended = vcpu_was_suspended();
	int status = suspended ? VKCKPT_EXIT_SUSPENDED : kernel().exit_status;
	vmspace_host_fini();
	ckpt_end(suspended);
	host_console_close();
	remove_pidfile();
	return status;
}
