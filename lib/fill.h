// Lazy thaw: the one owner of the userfaultfd. RAM is mapped with most frames missing; a thread of the library brings a chunk when one of its
// frames is touched, others bring the rest from front to back. A frame is published only whole (UFFDIO_COPY) and only after its
// chunk's checksum was right; whoever maps RAM anywhere else, or reads it through the descriptor, asks for it first (demand).
//
// What cannot be brought (damage, a truncated image, no memory) ends the process with a message: a vkernel never runs on with
// memory that is not its own. The threads call nothing of the vkernel's: no hook, no thread-local storage, all signals blocked.
#ifndef VKCKPT_LIB_FILL_H
#define VKCKPT_LIB_FILL_H

#include <vkckpt/vkckpt.h>

#include "lib/atomic.h"
#include "lib/chain.h"
#include "lib/image_file.h"
#include "lib/lock.h"

namespace vk {

class Fill {
public:
	struct Plan {
		OpenImage *image = nullptr;		// with its index, in clear; the fill's from make on
		Chain *chain = nullptr;			// likewise: what it is built on, open
		Arena memory;				// likewise: where both lie
		int image_fd = -1;			// likewise: closed when everything is in
		int userfault = -1;			// likewise
		const char *name = "", *image_name = "";	// for the message of the end
		const struct vkckpt_segment *segments = nullptr;	// mapped, nothing in them
		uint32_t segment_count = 0;
		uint8_t *const *staging = nullptr;	// of regions
		unsigned workers = 1;			// for what is loaded before the vkernel runs
		bool on_demand = false;			// nothing is brought that is not touched
	};
	// THAW. Maps the fill's own memory. On failure everything in the plan stays the caller's.
	static Status make(const Plan &, Fill **out);
	// THAW. All of the regions, and the chunks that the image says are hot, straight to their places; by several workers.
	Status load_first();
	// THAW. From now on a missing frame is brought when it is touched; and, behind that, everything else, once go() was called.
	Status start();
	// Once everything is in, the serving thread populates `later`, which must stay until end().
	void go(Arena *later);
	// Where the fill tells how far it is. Before go.
	void watch(struct vkckpt_run_entry *entry);
	// Ends the threads; RAM that is not complete becomes inaccessible, so that nobody reads zeros for what was there. Frees the fill.
	void end();

	// Any context, any thread: returns when all frames of the range are there.
	void demand(uint32_t segment, uint64_t offset, uint64_t bytes) const;
	bool complete() const { return left_.load() == 0; }
	uint64_t bytes_done() const { return done_frames_.load() * VKCKPT_FRAME; }
	uint64_t bytes_total() const { return total_frames_ * VKCKPT_FRAME; }

	// QUIET, around a capture: nothing is brought from behind, and the image stays open. False: everything is in.
	bool hold();
	void release();
	// Under hold. The frames of a chunk that the image has, there already or not.
	uint16_t frames_of(uint32_t segment, uint64_t chunk) const;
	// Under hold. The entry of a chunk of which nothing has been brought, if the mask is just what it holds and its stored bytes can be taken
	// over as they are, and the image that stores them; else null.
	const struct vkckpt_f_chunk *untouched(uint32_t segment, uint64_t chunk, uint16_t mask, const OpenImage **image) const;

private:
	enum State : uint8_t { kThere, kMissing, kComing, kFirst };	// kFirst: missing, and wanted before the vkernel runs; only in make
	struct Thread {
		uint32_t alive;			// its id; 0 when it is gone
		Fill *fill;
		uint8_t *stack_top;
		uint8_t *stored, *frames;	// VKCKPT_CHUNK each
	};
	struct Segment {
		uint8_t *base;			// of frame 0
		uint64_t first_chunk, size_bytes, skip_bytes;
	};

	static uint64_t chunks_of(const Plan &);
	static size_t arena_bytes(const Plan &, uint64_t chunks);
	void take_memory(const Plan &, uint64_t chunks);
	void note_missing();
	void note_hot(const OpenImage &);
	void note_first();
	static void first_job(void *arg, unsigned number);
	Status bring_first(uint64_t entry, unsigned number);
	Status bring_first_entry(const struct vkckpt_f_chunk &, uint8_t *base, Thread &buffers);

	Status start_thread(Thread &, void (*entry)(void *));
	void join(Thread &);
	static void serve_faults(void *thread);
	static void fill_behind(void *thread);
	void serve(Thread &, uint64_t address);
	bool rest_behind();
	uint64_t next_entries();
	void read_ahead(uint64_t from) const;
	void bring(Thread &, uint32_t segment, uint64_t chunk);
	Status bring_stored(Thread &, uint32_t segment, uint64_t chunk);
	const struct vkckpt_f_chunk *entries_of(uint32_t segment, uint64_t chunk, unsigned *count) const;
	Status publish(const uint8_t *base, uint16_t mask, const uint8_t *frames);
	void count(uint16_t mask);
	void wake_all();
	void finish();
	void close_image();
	[[noreturn]] void stop(const Status &, uint32_t segment, uint64_t chunk);

	Plan plan_;
	Arena arena_;				// this object lies in it
	char name_[64] = {}, image_name_[256] = {};
	uint32_t segment_count_ = 0;
	Segment segments_[VKCKPT_MAX_SEGMENTS] = {};
	uint16_t *mask_ = nullptr;		// by chunk: frames that the image has stored
	uint8_t *state_ = nullptr;		// by chunk: State
	uint32_t *first_ = nullptr;		// chunks that come before the vkernel runs: the first entry of each in the index
	uint32_t first_count_ = 0;
	uint64_t total_frames_ = 0;
	Atomic<uint64_t> done_frames_, left_;	// left_: chunks that are not kThere
	struct vkckpt_run_entry *entry_ = nullptr;
	Arena *later_ = nullptr;

	unsigned behind_ = 0;			// threads that fill from behind: threads_[1 ..]
	Thread *threads_ = nullptr;		// [0] serves faults
	unsigned thread_room_ = 0;
	long process_ = 0;			// that has the threads
	int wake_ = -1;				// an eventfd: the thread that serves faults is to look at left_ and ending_
	Atomic<uint32_t> next_first_, failed_first_;
	Status first_failure_;
	Atomic<uint64_t> cursor_, hint_;	// entries of the index
	Atomic<uint32_t> resting_;		// futex: 1 nothing is brought from behind
	Atomic<uint32_t> ending_, stopping_;

	Lock lock_;				// of the next three
	bool held_ = false, finished_ = false, image_open_ = true;
};

}  // namespace vk
#endif
