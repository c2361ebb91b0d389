// One armed vkernel: struct vkckpt, the first thing in its arena, with a copy of everything that arm was told. Host-private: never
// captured; a thaw makes a new one.
#ifndef VKCKPT_LIB_CONTEXT_H
#define VKCKPT_LIB_CONTEXT_H

#include <vkckpt/disk.h>
#include <vkckpt/vkckpt.h>

#include "lib/arena.h"
#include "lib/atomic.h"
#include "lib/crew.h"
#include "lib/fill.h"
#include "lib/hot.h"
#include "lib/image_writer.h"
#include "lib/lineage.h"
#include "lib/replace.h"
#include "lib/rundir.h"
#include "lib/status.h"
#include "lib/walk.h"
#include "lib/watch.h"

namespace vk {

constexpr size_t kVcpuStackBytes = 32 << 10;	// a parked vCPU waits here, so that nothing writes the stack that is captured
constexpr size_t kGuardBytes = 4096;		// below each of the library's stacks
constexpr size_t kCaptureStackBytes = 256 << 10;	// hooks of context QUIET run on it too
constexpr unsigned kPlanFrames = 16384;		// frames asked of hook frame_states at once
constexpr uint64_t kQuiesceTimeout = 10'000'000'000, kNoticeTimeout = 2'000'000'000;

// Where a request stands. Only the vCPU that holds `driver` (or is the last to park) moves it.
enum class Stage : uint32_t { idle, notice, drain, park, undo, suspended };

struct Vcpu {
	struct vkckpt_f_context context;	// of the caller of the safe point
	uint64_t arrived;			// serial of the request for which it parked last
	uint8_t *stack_top;
	struct vkckpt *owner;
	uint32_t number;
};

// What a run inherits: all random or zero at boot, from the image at thaw.
struct Birth {
	struct vkckpt_uuid vkernel_id, generation;
	uint64_t thaw_count;
};

// One chunk that the image will hold (plan.cc).
struct PlanChunk {
	uint32_t chunk;				// number in its object
	uint16_t object, mask;
	uint8_t page_class[VKCKPT_CHUNK_FRAMES];
};

// The fence of one writable disk during one capture or thaw (disks.cc). One per device; sidecar and temporary are paths.
struct DiskStep {
	struct vkckpt_disk *disk;		// null: not a writable disk
	struct vkckpt_f_sidecar next;		// what its sidecar will say
	char frozen_path[VKCKPT_MAX_PATH + 1];	// copy that this checkpoint made of it; "": none
	char sidecar[VKCKPT_MAX_PATH + 32], temporary[VKCKPT_MAX_PATH + 40];
	int fresh_fd;				// the new sidecar, locked, still under its temporary name; -1: none
	bool ram_only, digested;
	struct vkckpt_digest digest;		// of the content, if digested
	Replacement replacement;
};

}  // namespace vk

struct vkckpt {
	vk::Atomic<uint32_t> wanted;	// FIRST: read by context_switch.S. Not 0: safe points have something to do
	vk::Atomic<uint32_t> claimed;	// 1: a request is being served
	vk::Atomic<uint64_t> serial;	// counts requests
	vk::Atomic<uint64_t> cancelled;	// serial of the request that is to be cancelled
	vk::Atomic<uint64_t> cancelled_id[8];	// or the ids of the last ones, whether they have come yet or not
	vk::Atomic<uint32_t> cancel_count;
	vk::Atomic<uint64_t> request;	// VKCKPT_REQUEST(...), valid while claimed
	vk::Atomic<uint32_t> stage;		// enum class Stage
	vk::Atomic<uint32_t> driver;	// 1: a vCPU is in advance()
	vk::Atomic<uint32_t> park_word;	// see quiesce.cc

	// progress of the request that is being served
	uint64_t notice_deadline_ns, quiesce_deadline_ns, quiesce_began_ns;
	bool noticed;				// notice_begin was called
	size_t device_at;			// device that is being stopped
	bool device_begun;			// its stop_begin was called
	size_t devices_stopped;			// devices 0 .. n-1 must be undone
	vk::Status outcome;			// of the capture, or why it did not come to one
	int verdict;				// what parked vCPUs return
	bool direct;				// vkckpt_capture: hooks of the quiesce are not ours
	bool told;				// the watch has ended the request in the run directory; what was stopped is still to be undone
	uint64_t drained_ns;			// when every device was
	struct vkckpt_times times;		// of this request, and of the thaw that this run began with

	// what arm was told
	vk::Arena arena;			// this object, and what is needed at once
	vk::Arena bulk;				// what only a capture needs, and grows with RAM
	struct vkckpt_config config;		// its pointers point into the arena, but for classes
	struct vkckpt_hooks hooks;		// a copy; what the caller's table was too short for is null
	char name[64], program[64];
	char image_path[VKCKPT_MAX_PATH + 1];	// "": image_fd
	uint8_t build_id[32];
	uint32_t build_id_bytes;
	struct vkckpt_digest layout;
	struct vkckpt_segment *segments;
	struct vkckpt_region *regions;
	struct vkckpt_secret *secrets;
	struct vkckpt_device *devices;
	struct vkckpt_f_host host;
	vk::Birth birth;
	bool image_fd_used;
	bool thawed;				// its vCPUs may resume
	uint64_t ignored_signals;		// by ignore_write_signals
	vk::Fill *fill;				// a lazy thaw; also when it is complete
	vk::Status not_lazy;			// a thaw was to be lazy and was not: why

	// memory of captures
	vk::Vcpu *vcpus;
	uint8_t *capture_stack_top;
	uint8_t *frame_state, *frame_class;	// kPlanFrames each
	vk::DiskStep *disk_steps;		// one per device
	uint8_t *record;			// VKCKPT_MAX_RECORD, for payloads
	vk::WalkScratch walk;
	vk::HotSet hot;
	vk::ImageWriter writer;
	vk::Crew crew;
	vk::Watch watch;			// config.quiesces_itself: not started
	vk::GroupBuilder *builders;		// of workers 1, 2 ...; worker 0 has the writer's own
	uint8_t *copies;			// VKCKPT_CHUNK for each worker, for chunks of regions
	vk::PlanChunk *plan;			// room for every chunk there is
	uint64_t plan_count, plan_hot;		// the first plan_hot of them are written first
	bool fill_held;				// a lazy thaw is not complete: what is missing in RAM is in its image
	vk::Lineage *lineage;			// null: this vkernel keeps no chain
	vk::RunEntry run;
	int reserve_held;			// config.reserve_image: the reserve file lies there
};

namespace vk {

// ARM or THAW, all that can fail: checks and copies *config, maps the arena, makes the (unpublished) entry of the run directory.
// bulk: when the memory of captures is populated.
Status context_make(const struct vkckpt_config &config, const Birth &birth, Prefault bulk, struct vkckpt **out);
// Cannot fail: publishes, installs the handlers, unblocks the signals in this thread.
void context_publish(struct vkckpt &);
void context_destroy(struct vkckpt *);

// Bytes of the bulk that depend on how much RAM there is.
uint64_t ram_cost_bytes(const ImageShape &);

Stage stage_of(const struct vkckpt &);
void set_stage(struct vkckpt &, Stage);

// SAFE POINT, a request is over: the room that it used is set aside anew; if there is none, that is a warning in the run directory.
void reserve_again(struct vkckpt &);

// The request in words.
uint32_t request_action(const struct vkckpt &);	// VKCKPT_ACTION_EXIT or _CONTINUE
uint32_t request_flags(const struct vkckpt &);

}  // namespace vk

// context_switch.S
extern "C" {
int vk_call_on(void *stack_top, int (*function)(void *), void *arg);
[[noreturn]] void vk_jump(const struct vkckpt_f_context *, int value);
struct VkOverwrite { void *to; const void *from; size_t bytes; };
void vk_overwrite(const struct VkOverwrite *list, size_t count);
}
#endif
