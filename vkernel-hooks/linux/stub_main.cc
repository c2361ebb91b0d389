/*
 * The stub's beginning: turns a fresh process into one mapper task and one executor task per vCPU, each locked by its
 * seccomp filter, with nothing in its address space but the stub's own pages.
 *
 * Context: a process of its own, just exec'd, no libc, no writable data segment. No guest code runs before every task
 * has locked itself: the vkernel waits for all of them.
 */
#include <errno.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "vkernel-hooks/linux/stub_layout.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

#pragma GCC visibility push(hidden)
extern "C" {
extern const char stub_filter_notify[], stub_filter_lock[], stub_filter_lock_futex[], stub_filter_notify_mapper[],
    stub_filter_lock_mapper[];
void stub_handler();
long stub_clone_executor(unsigned index, void *stack);
[[noreturn]] void stub_first_trap();
[[noreturn]] void stub_become_mapper(const char *filter);
[[noreturn]] void stub_main();
[[noreturn]] void stub_executor(unsigned index);
}
#pragma GCC visibility pop

namespace vmspace {
namespace {

/* Exit statuses: seen only by someone who looks with a tracer; the vkernel sees the end of file. */
enum class Failure : int { kOrphan = 70, kLimits, kPages, kSignals, kExecutor, kHello };

long system_call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
	long result;
	register long r10 asm("r10") = d;
	register long r8 asm("r8") = e;
	register long r9 asm("r9") = f;
	asm volatile("syscall"
		     : "=a"(result)
		     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
		     : "rcx", "r11", "memory");
	return result;
}

template <typename T> long address_of(T *pointer) { return reinterpret_cast<long>(pointer); }

[[noreturn]] void fail(Failure why) {
	for (;;)
		system_call(SYS_exit_group, static_cast<int>(why));
}

uint32_t control_word(unsigned offset) { return *reinterpret_cast<volatile uint32_t *>(STUB_CTL + offset); }

uint64_t mailbox_of(unsigned executor) { return STUB_MAILBOX + static_cast<uint64_t>(executor) * STUB_MAILBOX_BYTES; }

void map_shared_pages() {
	long control = system_call(SYS_mmap, STUB_CTL, STUB_CTL_BYTES, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE,
	    STUB_FD_SHARED, 0);
	if (control != STUB_CTL)
		fail(Failure::kPages);
	long bytes = static_cast<long>(control_word(CTL_EXECUTORS)) * STUB_MAILBOX_BYTES;
	long mailboxes = system_call(SYS_mmap, STUB_MAILBOX, bytes, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_FIXED_NOREPLACE, STUB_FD_SHARED, STUB_CTL_BYTES);
	if (mailboxes != STUB_MAILBOX)
		fail(Failure::kPages);
	system_call(SYS_close, STUB_FD_SHARED);
}

/* Death with the vkernel, no terminal, no privileges to gain, no core file, nothing for other users to look at. */
void limit_self() {
	if (system_call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL) != 0)
		fail(Failure::kLimits);
	if (static_cast<uint32_t>(system_call(SYS_getppid)) != control_word(CTL_PARENT))
		fail(Failure::kOrphan);	/* it died before the line above took effect */
	system_call(SYS_setsid);
	static const rlimit none = {0, 0};
	if (system_call(SYS_setrlimit, RLIMIT_CORE, address_of(&none)) != 0
	    || system_call(SYS_prctl, PR_SET_DUMPABLE, 0) != 0
	    || system_call(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1) != 0
	    || system_call(SYS_prctl, PR_SET_NAME, address_of("vmspace")) != 0)
		fail(Failure::kLimits);
	constexpr long kSetCpuid = 0x1012;	/* ARCH_SET_CPUID: inherited by the tasks that are made from here on */
	if (control_word(CTL_TRAP_CPUID) != 0 && system_call(SYS_arch_prctl, kSetCpuid, 0) != 0)
		fail(Failure::kLimits);
}

/*
 * SA_NODEFER and an empty mask: no state of the signal mask needs to be restored by rt_sigreturn, which is never called.
 * SA_RESTART: an interrupted hand-off is rewound to its instruction, which tells it from one that was answered.
 */
void install_handlers() {
	struct KernelSigaction {
		void (*handler)();
		uint64_t flags;
		uint64_t restorer;
		uint64_t mask;
	};
	constexpr uint64_t kSaRestorer = 0x04000000;
	const KernelSigaction action = {stub_handler, SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESTART | kSaRestorer, 0, 0};
	static const unsigned char signals[] = {SIGSYS, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGUSR1};
	for (unsigned char number : signals)
		if (system_call(SYS_rt_sigaction, number, address_of(&action), 0, 8) != 0)
			fail(Failure::kSignals);
	const uint64_t none = 0;
	system_call(SYS_rt_sigprocmask, SIG_SETMASK, address_of(&none), 0, 8);
}

long install_filter(const char *program, unsigned long flags) {
	return system_call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, static_cast<long>(flags), address_of(program));
}

/* Tells the vkernel who this task is; the listener, if there is one, goes with it. */
void say_hello(const Hello &hello, int listener) {
	iovec data = {const_cast<Hello *>(&hello), sizeof hello};
	alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	msghdr message;
	message.msg_name = nullptr;
	message.msg_namelen = 0;
	message.msg_iov = &data;
	message.msg_iovlen = 1;
	message.msg_control = nullptr;
	message.msg_controllen = 0;
	message.msg_flags = 0;
	if (listener >= 0) {
		cmsghdr *header = reinterpret_cast<cmsghdr *>(control);
		header->cmsg_len = CMSG_LEN(sizeof(int));
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		*reinterpret_cast<int *>(CMSG_DATA(header)) = listener;
		message.msg_control = control;
		message.msg_controllen = sizeof control;
	}
	if (system_call(SYS_sendmsg, STUB_FD_SOCKET, address_of(&message), MSG_NOSIGNAL) != sizeof hello)
		fail(Failure::kHello);
}

/* Makes `program` the filter whose notifications the vkernel answers, where that is the way, and hands it over. */
void hand_over_listener(unsigned index, const char *program, long error) {
	Hello hello = {index, static_cast<int32_t>(system_call(SYS_gettid)), static_cast<int32_t>(-error)};
	int listener = -1;
	if (error == 0 && control_word(CTL_MODE) == STUB_MODE_NOTIFY) {
		const long result = install_filter(program,
		    SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
		if (result >= 0)
			listener = static_cast<int>(result);
		else
			hello.error = static_cast<int32_t>(-result);
	}
	say_hello(hello, listener);
	if (hello.error != 0)
		fail(Failure::kExecutor);
}

}  // namespace
}  // namespace vmspace

using namespace vmspace;

void stub_executor(unsigned index) {
	const stack_t stack = {reinterpret_cast<void *>(mailbox_of(index) + MB_STACK), 0, STUB_MAILBOX_BYTES - MB_STACK};
	hand_over_listener(index, stub_filter_notify, system_call(SYS_sigaltstack, address_of(&stack), 0));
	const bool notify = control_word(CTL_MODE) == STUB_MODE_NOTIFY;
	if (system_call(SYS_close_range, 0, ~0U, 0) != 0
	    || install_filter(notify ? stub_filter_lock : stub_filter_lock_futex, 0) != 0)
		fail(Failure::kExecutor);
	stub_first_trap();
}

void stub_main() {
	map_shared_pages();
	limit_self();
	install_handlers();
	const unsigned count = control_word(CTL_EXECUTORS);
	for (unsigned i = 0; i < count; i++)
		if (stub_clone_executor(i, reinterpret_cast<void *>(mailbox_of(i) + STUB_MAILBOX_BYTES - 64)) < 0)
			fail(Failure::kExecutor);
	/* Signals sent to the process are for an executor: the mapper has no stack to take one on. */
	const uint64_t all = ~0UL;
	system_call(SYS_rt_sigprocmask, SIG_SETMASK, address_of(&all), 0, 8);
	hand_over_listener(count, stub_filter_notify_mapper, 0);
	system_call(SYS_close_range, 0, STUB_FD_RAM - 1, 0);	/* the listener took one of these */
	system_call(SYS_close_range, STUB_FD_SOCKET, ~0U, 0);
	stub_become_mapper(stub_filter_lock_mapper);
}
