/* The host side of the interface: RAM and vCPUs, kicks, and the watch over guests that do not answer one. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vkernel-hooks/linux/internal.h"

extern "C" const char vmspace_stub_image[], vmspace_stub_image_end[];

namespace vmspace {

Host host;

bool host_ready() { return host.vcpu_count != 0; }

namespace {

constexpr uint64_t kDeafCpuNs = 1'000'000'000;	/* CPU time an executor may use up without answering a kick */
constexpr const char kFutexFallback[] =
    "vmspace: hand-off by futex, because seccomp notifications are not to be had here (Linux before 5.19, or another "
    "seccomp listener in this container): a guest can pretend to have stopped, so a checkpoint can be torn by it";
constexpr unsigned long kHwcap2FsGsBase = 1 << 1;

/* A sealed copy of the stub's executable in memory: works without any file of ours on disk. */
int make_image(int *image) {
	constexpr unsigned kMfdExec = 0x10;	/* MFD_EXEC: asked for since Linux 6.3, unknown before */
	const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd = static_cast<int>(syscall(SYS_memfd_create, "vmspace-stub", flags | kMfdExec));
	if (fd < 0 && errno == EINVAL)
		fd = static_cast<int>(syscall(SYS_memfd_create, "vmspace-stub", flags));
	if (fd < 0)
		return errno;
	const size_t bytes = static_cast<size_t>(vmspace_stub_image_end - vmspace_stub_image);
	const int raised = fcntl(fd, F_DUPFD_CLOEXEC, kFirstOwnFd);
	close(fd);
	if (raised < 0)
		return errno;
	if (write(raised, vmspace_stub_image, bytes) != static_cast<ssize_t>(bytes)
	    || fcntl(raised, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
		const int error = errno;
		close(raised);
		return error;
	}
	*image = raised;
	return 0;
}

int check_arguments(int ram_fd, void *ram_address, size_t ram_bytes, unsigned vcpu_count) {
	if (host_ready())
		return EBUSY;
	if (ram_address == nullptr || ram_bytes == 0 || ram_bytes % kPageBytes != 0 || vcpu_count == 0
	    || vcpu_count > STUB_MAX_EXECUTORS)
		return EINVAL;
	struct stat status;
	if (fstat(ram_fd, &status) != 0)
		return errno;
	if (static_cast<uint64_t>(status.st_size) < ram_bytes)
		return EINVAL;
	const bool room_for_frames = vmspace_host_xsave_bytes() * 3 + 4096 <= STUB_MAILBOX_BYTES;
	return (getauxval(AT_HWCAP2) & kHwcap2FsGsBase) != 0 && room_for_frames ? 0 : EOPNOTSUPP;
}

void forget() {
	if (host.ram_fd >= 0)
		close(host.ram_fd);
	if (host.image_fd >= 0)
		close(host.image_fd);
	host.ram_fd = host.image_fd = -1;
	host.vcpu_count = 0;
	host.fill = nullptr;
}

/* The first stub shows which hand-off the host has; it is not lost, the next spawner_take gets another spare. */
int find_hand_off() {
	const char *forced = getenv("VMSPACE_FORCE_FUTEX");
	host.mode = forced != nullptr && strcmp(forced, "1") == 0 ? STUB_MODE_FUTEX : STUB_MODE_NOTIFY;
	Stub *stub = nullptr;
	int error = spawner_take(&stub);
	if ((error == EBUSY || error == EINVAL || error == ENOSYS) && host.mode == STUB_MODE_NOTIFY) {
		host.mode = STUB_MODE_FUTEX;
		error = spawner_take(&stub);
	}
	if (error == 0)
		stub_end(stub);
	return error;
}

/* CPU time the executor has used, in ns; 0 if the host does not tell. */
uint64_t cpu_time_of(const Executor &executor) {
	char path[64], text[64] = "";
	snprintf(path, sizeof path, "/proc/%d/task/%d/schedstat", executor.pid, executor.tid);
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	(void)!read(fd, text, sizeof text - 1);
	close(fd);
	return strtoull(text, nullptr, 10);
}

}  // namespace

void wait_for_kickers() {
	for (unsigned i = 0; i < host.vcpu_count; i++)
		while (host.vcpus[i].kickers.load() != 0)
			sched_yield();
}

void watch_vcpus() {
	for (unsigned i = 0; i < host.vcpu_count; i++) {
		Vcpu &vcpu = host.vcpus[i];
		vcpu.kickers.fetch_add(1);
		const uint32_t run = vcpu.run_number.load();
		Executor *executor = vcpu.running.load();
		/* CPU time, not time: on a crowded host it may be long before the executor can so much as see the kick. */
		if (executor != nullptr && vcpu.kick_pending.load() != 0) {
			const uint64_t used = cpu_time_of(*executor);
			if (vcpu.watched_run != run || vcpu.cpu_at_kick == 0)
				vcpu.cpu_at_kick = used;
			else if (used - vcpu.cpu_at_kick > kDeafCpuNs)
				kill(executor->pid, SIGKILL);
			vcpu.watched_run = run;
		} else {
			vcpu.cpu_at_kick = 0;
		}
		vcpu.kickers.fetch_sub(1);
	}
}

}  // namespace vmspace

using namespace vmspace;

static __thread int current_vcpu = -1;

int vmspace_host_init(int ram_fd, void *ram_address, size_t ram_bytes, unsigned vcpu_count, const char **fallback) {
	int error = check_arguments(ram_fd, ram_address, ram_bytes, vcpu_count);
	if (error != 0) {
		errno = error;
		return -1;
	}
	host.ram = static_cast<uint8_t *>(ram_address);
	host.ram_bytes = ram_bytes;
	host.ram_fd = fcntl(ram_fd, F_DUPFD_CLOEXEC, kFirstOwnFd);
	error = host.ram_fd < 0 ? errno : make_image(&host.image_fd);
	if (error == 0) {
		for (Vcpu &vcpu : host.vcpus) {
			vcpu.kick_pending = 0;
			vcpu.running = nullptr;
			vcpu.cpu_at_kick = 0;
		}
		host.vcpu_count = vcpu_count;
		error = spawner_start();
		if (error == 0) {
			error = find_hand_off();
			if (error != 0)
				spawner_stop();
		}
	}
	if (error != 0) {
		forget();
		errno = error;
		return -1;
	}
	host.callers_ram_fd = ram_fd;
	if (fallback != nullptr)
		*fallback = host.mode == STUB_MODE_FUTEX ? kFutexFallback : nullptr;
	return 0;
}

int vmspace_host_trap_cpuid(int on) {
	constexpr int kSetCpuid = 0x1012;	/* ARCH_SET_CPUID of asm/prctl.h, which is of this thread */
	int error = host_ready() ? EBUSY : 0;
	if (error == 0 && on != 0) {
		if (syscall(SYS_arch_prctl, kSetCpuid, 0UL) != 0)
			error = EOPNOTSUPP;
		else
			syscall(SYS_arch_prctl, kSetCpuid, 1UL);
	}
	if (error != 0) {
		errno = error;
		return -1;
	}
	host.trap_cpuid = on != 0;
	return 0;
}

void vmspace_host_fill(void (*fill)(void *arg, uint64_t offset, uint64_t bytes), void *arg) {
	host.fill = fill;
	host.fill_arg = arg;
}

void vmspace_host_fini(void) {
	if (!host_ready())
		return;
	while (Vmspace *vm = table_remove_any())
		end_vmspace(vm);
	spawner_stop();
	forget();
}

int vmspace_host_enter_vcpu(unsigned vcpu) {
	if (vcpu >= host.vcpu_count) {
		errno = EINVAL;
		return -1;
	}
	current_vcpu = static_cast<int>(vcpu);
	return 0;
}

int vmspace::this_vcpu() { return current_vcpu < static_cast<int>(host.vcpu_count) ? current_vcpu : -1; }

/*
 * The order matters, here and in run_vmspace: the kick is first made pending, then a running executor is looked for;
 * RUN first names its executor, then looks for a pending kick. So at least one of the two sees the other.
 */
void vmspace_host_kick(unsigned vcpu_number) {
	if (vcpu_number >= host.vcpu_count)
		return;
	const int saved = errno;
	Vcpu &vcpu = host.vcpus[vcpu_number];
	vcpu.kickers.fetch_add(1);
	if (vcpu.kick_pending.exchange(1) == 0) {
		if (const Executor *executor = vcpu.running.load(); executor != nullptr) {
			__atomic_store_n(reinterpret_cast<uint32_t *>(executor->slot + CTL_KICK), 1, __ATOMIC_SEQ_CST);
			syscall(SYS_tgkill, executor->pid, executor->tid, SIGUSR1);
		}
	}
	vcpu.kickers.fetch_sub(1);
	errno = saved;
}
