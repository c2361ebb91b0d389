// Threads that help with one job at a time. See crew.h.
//
// Why the memory is in order: job_ and arg_ are written while inside_ is 0, that is closed and empty, then inside_ is opened (release). A
// thread reads them only after it has raised inside_ from an open value (acquire). It leaves by lowering inside_ (release), and run()
// returns after it has seen inside_ at 0 (acquire), so everything done in the job is before everything after run(). A thread that
// comes late finds inside_ closed, or the next job open, whose job_ and arg_ it then reads: the old ones it never held.
// Nobody sleeps through a job: inside_ is opened before calls_ rises, and a thread sleeps only on a value of calls_ that it has
// served already, which the futex compares again.
#include "lib/crew.h"

#include <sys/syscall.h>

#include "lib/sys.h"

namespace vk {
namespace {

constexpr uint32_t kOpen = 1u << 31;
constexpr size_t kGuard = 4096, kStackBytes = 64 << 10;
constexpr unsigned kMostByItself = 16;	// their buffers are memory that the vkernel pays for all its life

}  // namespace

// One more than there are CPUs: while one waits for the disk the others keep all CPUs busy.
unsigned Crew::workers_for(uint32_t asked)
{
	if (asked != 0)
		return asked < kMost ? asked : kMost;
	uint64_t cpus[16] = {};
	long bytes = sys_call(SYS_sched_getaffinity, 0, sizeof cpus, reinterpret_cast<long>(cpus));
	unsigned count = 0;
	for (long i = 0; i * 8 < bytes && i < 16; i++)
		for (uint64_t word = cpus[i]; word != 0; word &= word - 1)
			count++;
	count = count == 0 ? 2 : count + 1;
	return count < kMostByItself ? count : kMostByItself;
}

size_t Crew::arena_bytes(unsigned workers)
{
	return Arena::room(workers * sizeof(Thread)) + (workers - 1) * Arena::room(kGuard + kStackBytes, 4096);
}

void Crew::init(Arena &arena, unsigned workers)
{
	VK_CHECK(workers >= 1 && workers <= kMost);
	workers_ = workers;
	threads_ = arena.take_array<Thread>(workers);
	for (unsigned i = 0; i + 1 < workers; i++) {
		uint8_t *base = static_cast<uint8_t *>(arena.take(kGuard + kStackBytes, 4096));
		sys_mprotect(base, kGuard, PROT_NONE);	// a help, not a need
		threads_[i] = { 0, i + 1, this, base + kGuard + kStackBytes };
	}
}

void Crew::thread_entry(void *arg)
{
	Thread &thread = *static_cast<Thread *>(arg);
	thread.crew->serve(thread.number);
}

Status Crew::start()
{
	uint64_t all = ~uint64_t{0}, old = 0;
	sys_sigprocmask(SIG_SETMASK, &all, &old);	// inherited: no handler of the vkernel ever runs on these stacks
	long r = 0;
	process_ = sys_getpid();
	while (r >= 0 && started_ + 1 < workers_) {
		r = sys_thread_start(threads_[started_].stack_top, thread_entry, &threads_[started_], &threads_[started_].alive);
		started_ += r >= 0;
	}
	sys_sigprocmask(SIG_SETMASK, &old, nullptr);
	if (r >= 0)
		return success();
	unsigned made = started_;
	stop();
	return fail_host(static_cast<int>(-r), "workers", "a thread", made);
}

void Crew::stop()
{
	ended_.store(1);
	calls_.fetch_add(1);
	sys_futex_wake(&calls_.value_, 1 << 30);
	if (sys_getpid() != process_)	// a fork: they never were in this process
		started_ = 0;
	for (; started_ > 0; started_--) {
		uint32_t *alive = &threads_[started_ - 1].alive;
		for (uint32_t id; (id = __atomic_load_n(alive, __ATOMIC_ACQUIRE)) != 0;)
			sys_futex_wait(alive, id, 0);
	}
	ended_.store(0);
}

bool Crew::come_in()
{
	uint32_t now = inside_.load();
	while (now & kOpen)
		if (inside_.swap_if(now, now + 1))
			return true;
	return false;
}

void Crew::leave()
{
	if (inside_.fetch_add(~0u) == 1)	// the last one, and it is closed: run() may be waiting
		sys_futex_wake(&inside_.value_, 1);
}

void Crew::serve(unsigned number)
{
	for (uint32_t served = 0; !ended_.load();) {
		uint32_t call = calls_.load();
		if (call == served) {
			sys_futex_wait(&calls_.value_, call, 0);
			continue;
		}
		served = call;
		if (come_in()) {
			job_(arg_, number);
			leave();
		}
	}
}

void Crew::run(void (*job)(void *, unsigned), void *arg)
{
	VK_CHECK(inside_.load() == 0);
	job_ = job;
	arg_ = arg;
	if (started_ > 0) {
		inside_.store(kOpen);
		calls_.fetch_add(1);
		sys_futex_wake(&calls_.value_, 1 << 30);
	}
	job(arg, 0);
	if (started_ == 0)
		return;
	uint32_t left = inside_.fetch_add(kOpen) - kOpen;	// closes: the bit carries out of the word
	for (; left != 0; left = inside_.load())
		sys_futex_wait(&inside_.value_, left, 0);
}

}  // namespace vk
