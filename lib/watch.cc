// See watch.h. The thread runs with all signals blocked.
#include "lib/watch.h"

#include <errno.h>

#include "lib/context.h"
#include "lib/quiesce.h"
#include "lib/signals.h"
#include "lib/sys.h"

namespace vk {
namespace {
constexpr size_t kGuard = 4096, kStackBytes = 16 << 10;
constexpr uint64_t kCancelGrace = 1'000'000'000;	// of a cancelled request: time for a vCPU to give it up properly
constexpr uint64_t kRetry = 10'000'000;			// a step is under way
}

size_t Watch::arena_bytes() { return Arena::room(kGuard + kStackBytes, 4096); }

void Watch::init(Arena &arena)
{
	uint8_t *base = static_cast<uint8_t *>(arena.take(kGuard + kStackBytes, 4096));
	sys_mprotect(base, kGuard, PROT_NONE);	// a help, not a need
	stack_top_ = base + kGuard + kStackBytes;
}

Status Watch::start(struct vkckpt &ck)
{
	ck_ = &ck;
	process_ = sys_getpid();
	uint64_t old = 0;
	sys_sigprocmask(SIG_SETMASK, &kAllSignals, &old);
	long r = sys_thread_start(stack_top_, entry, this, &alive_);
	sys_sigprocmask(SIG_SETMASK, &old, nullptr);
	return r < 0 ? fail_host((int)-r, "watch", "a thread") : success();
}

void Watch::stop()
{
	ended_.store(1);
	look_again();
	if (sys_getpid() != process_)	// a fork: it never was in this process
		return;
	for (uint32_t id; (id = __atomic_load_n(&alive_, __ATOMIC_ACQUIRE)) != 0;)
		sys_futex_wait(&alive_, id, 0);
}

void Watch::populate(Arena &arena)
{
	__atomic_store_n(&populate_, &arena, __ATOMIC_RELEASE);
	look_again();
}

void Watch::begin(uint64_t limit_ns)
{
	limit_.store(limit_ns);
	look_again();
}

void Watch::look_again()
{
	calls_.fetch_add(1);
	sys_futex_wake(&calls_.value_, 1);
}

void Watch::extend(uint64_t limit_ns)
{
	if (limit_.load() != 0)
		limit_.store(limit_ns);
}

void Watch::entry(void *arg) { static_cast<Watch *>(arg)->serve(); }

void Watch::serve()
{
	for (;;) {
		uint32_t call = calls_.load();
		if (ended_.load())
			return;
		if (Arena *arena = __atomic_exchange_n(&populate_, nullptr, __ATOMIC_ACQ_REL))
			(void)arena->populate();	// if there is not enough memory, the capture that needs it says so
		uint64_t wait_ns = act();
		sys_futex_wait(&calls_.value_, call, wait_ns);
	}
}

uint64_t Watch::act()
{
	uint64_t limit = limit_.load();
	if (limit == 0)
		return 0;
	uint64_t now = sys_clock_ns(CLOCK_MONOTONIC), serial = ck_->serial.load();
	if (request_cancelled(*ck_)) {
		if (cancel_serial_ != serial) {
			cancel_serial_ = serial;
			cancel_seen_ns_ = now;
		}
		if (cancel_seen_ns_ + kCancelGrace < limit)
			limit = cancel_seen_ns_ + kCancelGrace;
	}
	if (now < limit)
		return limit - now;
	expire();
	return limit_.load() != 0 ? kRetry : 0;
}

void Watch::expire()
{
	uint32_t nobody = 0;
	if (!ck_->driver.swap_if(nobody, 1))
		return;
	// While the driver is ours nobody begins, ends or extends a request that is not in its park.
	uint64_t now = sys_clock_ns(CLOCK_MONOTONIC), limit = limit_.load();
	bool stop = request_cancelled(*ck_);
	if (limit != 0 && (stop || now >= limit) && ck_->claimed.load() && limit_.swap_if(limit, 0)) {
		ck_->told = true;
		ck_->run.done(why_not_quiet(*ck_, stop), VKCKPT_PHASE_RUNNING);
	}
	ck_->driver.store(0);
}

}  // namespace vk
