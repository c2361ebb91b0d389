/*
 * The hand-off between a vCPU's thread and an executor.
 *
 * With seccomp notifications an executor stops inside the kernel: that it has stopped is the kernel's word. With futexes
 * it is the executor's word, kept in memory the guest can write: a guest can claim to have stopped and run on. That harms
 * nobody but itself, but a checkpoint taken meanwhile may be torn, which is why it is only the fallback.
 */
#include <errno.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "vkernel-hooks/linux/internal.h"

namespace vmspace {
namespace {

constexpr long kDeathPollNs = 100'000'000;	/* a futex does not tell that its waker died */

uint32_t load_word(const uint8_t *address) {
	return __atomic_load_n(reinterpret_cast<const uint32_t *>(address), __ATOMIC_SEQ_CST);
}

Stop await_turn(const Stub &stub, Executor &executor) {
	const uint8_t *turn = executor.mailbox + MB_TURN;
	for (;;) {
		const uint32_t seen = load_word(turn);
		if (seen == executor.turn)
			return Stop::kStopped;
		const timespec limit = {0, kDeathPollNs};
		if (syscall(SYS_futex, turn, FUTEX_WAIT, seen, &limit, nullptr, 0) == 0 || errno == EAGAIN)
			continue;
		if (errno == EINTR)
			return Stop::kInterrupted;
		if (!stub_alive(stub))
			return Stop::kDied;
	}
}

}  // namespace

Stop await_notification(Task &task) {
	for (;;) {
		seccomp_notif notification = {};
		if (ioctl(task.listener, SECCOMP_IOCTL_NOTIF_RECV, &notification) == 0) {
			task.notification = notification.id;
			task.argument = notification.data.args[0];
			return Stop::kStopped;
		}
		if (errno == EINTR)
			return Stop::kInterrupted;
		if (errno != ENOENT)
			return Stop::kDied;
		/* Withdrawn because of a kick, or the task is gone: only poll tells which. */
		pollfd ask = {task.listener, POLLIN, 0};
		if (poll(&ask, 1, 0) == 1 && (ask.revents & (POLLHUP | POLLERR)) != 0)
			return Stop::kDied;
	}
}

void note_signal() {
	const int vcpu = this_vcpu();
	if (vcpu >= 0 && host.vcpus[vcpu].running.load() != nullptr)
		vmspace_host_kick(static_cast<unsigned>(vcpu));
}

bool answer_notification(Task &task) {
	seccomp_notif_resp answer = {task.notification, 0, 0, 0};
	while (ioctl(task.listener, SECCOMP_IOCTL_NOTIF_SEND, &answer) != 0) {
		if (errno != EINTR)	/* it can wait for a lock, and a signal can end that */
			return false;
		note_signal();
	}
	return true;
}

void wake_synchronously(const Task &task) {
	constexpr unsigned long kNotifSetFlags = _IOW('!', 4, uint64_t);	/* SECCOMP_IOCTL_NOTIF_SET_FLAGS */
	constexpr unsigned long kSyncWakeUp = 1;				/* SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP */
	if (task.listener >= 0)
		ioctl(task.listener, kNotifSetFlags, kSyncWakeUp);
}

bool let_go(Executor &executor) {
	if (executor.listener >= 0)
		return answer_notification(executor);
	uint32_t *go = reinterpret_cast<uint32_t *>(executor.slot + CTL_GO);
	__atomic_store_n(go, ++executor.turn, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, go, FUTEX_WAKE, 1, nullptr, nullptr, 0);
	return true;
}

Stop await_stop(const Stub &stub, Executor &executor) {
	return executor.listener >= 0 ? await_notification(executor) : await_turn(stub, executor);
}

}  // namespace vmspace
