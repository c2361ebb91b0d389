// The watch over a request: a thread of the library that sleeps until a request is latched, and ends the request when no vCPU has brought it
// to a capture in time. Without it a vkernel whose vCPUs are all stuck would leave whoever asked without an answer.
//
// The thread may not call hooks (it has no TLS of its own), so it only takes the request away and says so in the run directory; what
// was stopped is started again by the vCPU that comes to a safe point next. Who decides is one exchange: `limit` is when the watch's
// patience ends, 0 when the request was decided. The watch takes it away holding `driver`, so that no step of the state machine
// is under way; a capture takes it away before its first step. Whoever finds 0 there was too late.
#ifndef VKCKPT_LIB_WATCH_H
#define VKCKPT_LIB_WATCH_H

#include "lib/arena.h"
#include "lib/atomic.h"

struct vkckpt;

namespace vk {

// What the vCPUs have more time than their deadline, so that they, who know more, speak first.
constexpr uint64_t kWatchGrace = 500'000'000;

class Watch {
public:
	static size_t arena_bytes();
	void init(Arena &);
	Status start(struct vkckpt &);	// ARM, THAW
	void stop();			// idempotent; when it returns, the thread does not use the arena

	// THAW: the thread makes the memory of captures now, beside the guest; a capture that comes before it is ready makes the rest.
	void populate(Arena &);
	// SIGNAL: a request was latched; it is to be decided by then (monotonic).
	void begin(uint64_t limit_ns);
	// SIGNAL: something has changed.
	void look_again();
	// SAFE POINT, the driver: more time, because the next phase began.
	void extend(uint64_t limit_ns);
	// Decides. False: the watch, or somebody else, has done so before.
	bool decide() { return limit_.exchange(0) != 0; }

private:
	static void entry(void *);
	void serve();
	uint64_t act();			// how long to sleep then; 0: until the next request
	void expire();

	struct vkckpt *ck_ = nullptr;
	uint8_t *stack_top_ = nullptr;
	uint32_t alive_ = 0;
	long process_ = 0;
	uint64_t cancel_seen_ns_ = 0, cancel_serial_ = 0;
	Arena *populate_ = nullptr;
	Atomic<uint64_t> limit_;
	Atomic<uint32_t> calls_, ended_;
};

}  // namespace vk
#endif
