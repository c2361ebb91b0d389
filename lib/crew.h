// Threads that help with one job at a time and sleep in between. They are made once (at arm, or for one thaw), by clone without libc, on
// stacks of the arena, with all signals blocked. They run the library's own code only: no hook, nothing that uses thread-local storage.
//
// Whoever calls run() does the job too and never depends on the others: a job waits only for those who came. So a thread that is not
// there any more (the vkernel has forked since) or is not woken in time costs speed, not the capture.
#ifndef VKCKPT_LIB_CREW_H
#define VKCKPT_LIB_CREW_H

#include "lib/arena.h"
#include "lib/atomic.h"

namespace vk {

class Crew {
public:
	static constexpr unsigned kMost = 64;			// VKCKPT_MAX_WORKERS
	// How many take part in a job, the caller of run included: what was asked for, or for 0 what suits this process's CPUs.
	static unsigned workers_for(uint32_t asked);
	static size_t arena_bytes(unsigned workers);

	void init(Arena &, unsigned workers);
	Status start();				// ARM, THAW: makes the threads, or none
	void stop();				// idempotent; when it returns, no thread uses the arena
	// QUIET, THAW: job(arg, number) by everybody who has time, the caller as number 0; a number is never in the job twice at once,
	// but may come again. When it returns nobody is in it, and all that they wrote is seen.
	void run(void (*job)(void *arg, unsigned number), void *arg);
	unsigned workers() const { return workers_; }

private:
	struct Thread {
		uint32_t alive;			// its id; the kernel makes it 0 and wakes when the thread is gone
		unsigned number;
		Crew *crew;
		uint8_t *stack_top;
	};
	static void thread_entry(void *);
	void serve(unsigned number);
	bool come_in();
	void leave();

	Thread *threads_ = nullptr;		// workers_ - 1
	unsigned workers_ = 1, started_ = 0;
	long process_ = 0;			// that made them
	void (*job_)(void *, unsigned) = nullptr;
	void *arg_ = nullptr;
	Atomic<uint32_t> calls_;		// rises with every job, and at the end; the threads sleep on it
	Atomic<uint32_t> inside_;		// threads in the job, and kOpen while more may come in
	Atomic<uint32_t> ended_;
};

}  // namespace vk
#endif
