// SIGCKPT and SIGCKPTEXIT. Context SIGNAL: the handler latches the request and calls hooks->kick, nothing else; it uses no TLS, so
// errno of the interrupted code is untouched.
//
// SA_RESTART: the vkernel's own host calls need not learn about EINTR; what wakes a vCPU is the kick (poll, nanosleep, futex
// and sigsuspend end with EINTR all the same). SA_ONSTACK: a vkernel that has an alternate stack keeps guest stacks clean.
#include "lib/export.h"
#include "lib/signals.h"

#include <errno.h>

#include "lib/context.h"
#include "lib/sys.h"

namespace vk {
namespace {

// The library's one piece of writable static data.
Atomic<struct vkckpt *> armed;

constexpr size_t kCancelled = sizeof(vkckpt::cancelled_id) / sizeof(vkckpt::cancelled_id[0]);
constexpr int kOfWrites[] = { SIGXFSZ, SIGPIPE };
constexpr uint64_t kCommands = signal_bit(VKCKPT_SIGCKPT) | signal_bit(VKCKPT_SIGCKPTEXIT);

void obey(struct vkckpt &ck, int signal, const siginfo_t *info)
{
	uint64_t request = info->si_code == SI_QUEUE ? (uint64_t)(uintptr_t)info->si_value.sival_ptr : 0;
	if (signal == VKCKPT_SIGCKPTEXIT && (request & 0xff) != VKCKPT_ACTION_CANCEL)
		request = (request & ~0xffull) | VKCKPT_ACTION_EXIT;
	(void)latch_request(ck, request);
}

void on_signal(int signal, siginfo_t *info, void *)
{
	if (struct vkckpt *ck = armed.load())
		obey(*ck, signal, info);
}

// Two threads may take the signals of a request and of its cancellation, the second one first; and a process that was stopped finds requests of several
// who have all given up. So ids are remembered, for requests yet to come.
void cancel_request(struct vkckpt &ck, uint64_t id)
{
	uint64_t serial = ck.serial.load();
	if (id != 0)
		ck.cancelled_id[ck.cancel_count.fetch_add(1) % kCancelled].store(id);
	if (!ck.claimed.load())
		return;
	if (id == 0)
		ck.cancelled.store(serial);
	// Those who wait in the park look at it when the word changes.
	ck.park_word.fetch_add(1u << 12);
	sys_futex_wake(&ck.park_word.value_, 1 << 30);
	ck.watch.look_again();
	if (ck.config.quiesces_itself && ck.hooks.kick && request_cancelled(ck))	// safe points are passed anyway
		ck.hooks.kick(ck.hooks.arg);
}

}  // namespace

struct vkckpt *armed_vkernel() { return armed.load(); }

void forget_armed_vkernel() { armed.store(nullptr); }

void install_handlers(struct vkckpt *ck)
{
	armed.store(ck);
	SignalAction action;
	action.handler = on_signal;
	action.flags = SA_RESTART | SA_ONSTACK;
	action.mask = kCommands;
	sys_sigaction(VKCKPT_SIGCKPT, &action, nullptr);
	sys_sigaction(VKCKPT_SIGCKPTEXIT, &action, nullptr);
}

void remove_handlers()
{
	SignalAction none;
	sys_sigaction(VKCKPT_SIGCKPT, &none, nullptr);
	sys_sigaction(VKCKPT_SIGCKPTEXIT, &none, nullptr);
	armed.store(nullptr);
}

uint64_t ignore_write_signals()
{
	uint64_t ignored = 0;
	SignalAction old, ignore;
	ignore.handler = (void (*)(int, siginfo_t *, void *))(uintptr_t)1;	// SIG_IGN
	for (int signal : kOfWrites)
		if (sys_sigaction(signal, nullptr, &old) == 0 && old.handler == nullptr && sys_sigaction(signal, &ignore, nullptr) == 0)
			ignored |= signal_bit(signal);
	return ignored;
}

void heed_write_signals(uint64_t ignored)
{
	SignalAction none;
	for (int signal : kOfWrites)
		if (ignored & signal_bit(signal))
			sys_sigaction(signal, &none, nullptr);
}

int latch_request(struct vkckpt &ck, uint64_t request)
{
	uint32_t action = request & 0xff;
	if (action == VKCKPT_ACTION_CANCEL) {
		cancel_request(ck, request >> 16);
		return 0;
	}
	uint32_t free = 0;
	if (action > VKCKPT_ACTION_CANCEL || !ck.claimed.swap_if(free, 1)) {
		ck.run.refuse(request >> 16);
		return action > VKCKPT_ACTION_CANCEL ? -EINVAL : -EBUSY;
	}
	ck.request.store(request);
	ck.serial.fetch_add(1);
	ck.run.requested(request_action(ck), request >> 16);
	if (!ck.config.quiesces_itself)		// before a vCPU can be done with it
		ck.watch.begin(sys_clock_ns(CLOCK_MONOTONIC) + (ck.hooks.notice_begin ? ck.config.notice_timeout_ns : 0) +
		    ck.config.quiesce_timeout_ns + kWatchGrace);
	ck.wanted.store(1);
	if (ck.hooks.kick)
		ck.hooks.kick(ck.hooks.arg);
	return 0;
}

bool request_cancelled(const struct vkckpt &ck)
{
	const uint64_t id = ck.request.load() >> 16;
	bool by_id = false;
	for (size_t i = 0; id != 0 && i < kCancelled; i++)
		by_id |= ck.cancelled_id[i].load() == id;
	return by_id || ck.cancelled.load() == ck.serial.load();
}

void hear_requests(struct vkckpt &ck)
{
	siginfo_t info;
	for (long signal; (signal = sys_sigtake(kCommands, &info)) > 0;)
		obey(ck, (int)signal, &info);
}

bool request_ended(void *vkernel)
{
	struct vkckpt &ck = *static_cast<struct vkckpt *>(vkernel);
	hear_requests(ck);
	return request_cancelled(ck);
}

}  // namespace vk

using namespace vk;

VK_EXPORT void vkckpt_block_signals(void)
{
	uint64_t mask = kCommands | signal_bit(VKCKPT_SIGTHAW);
	sys_sigprocmask(SIG_BLOCK, &mask, nullptr);
}

VK_EXPORT int vkckpt_request(struct vkckpt *ck, uint64_t request)
{
	return latch_request(*ck, request);
}
