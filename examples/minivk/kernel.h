// The root of everything minivk knows: one object at the start of RAM. What a pointer in it reaches is in RAM too.
#ifndef MINIVK_KERNEL_H
#define MINIVK_KERNEL_H

#include <set>

#include <vkckpt/cpu.h>

#include "vfs.h"

namespace minivk {

constexpr unsigned kMaxCpus = 32;	// of the engine

// A deadline in RAM. The function runs on a vCPU under the kernel lock; it may arm the timer again.
struct Timer {
	uint64_t deadline_ns = 0;	// guest monotonic; 0: not armed
	void (*fire)(void *arg) = nullptr;
	void *arg = nullptr;
};
void timer_arm(Timer &, uint64_t deadline_ns);	// replaces an earlier deadline
void timer_cancel(Timer &);

// A process that wants to hear of checkpoints (an open /dev/vkckpt that asked for it): lives in that open file, which
// links it in and takes it out when it is closed. At a notice every listener's answer becomes kAsked; the checkpoint goes on
// when none is kAsked any more, is refused when one is kVeto, and goes on without an answer at the deadline.
struct CkptListener {
	enum Answer : uint8_t { kNone, kAsked, kAcknowledged, kVeto };
	CkptListener *next = nullptr, *previous = nullptr;
	Answer answer = kNone;
};
// What guests know of checkpoints: filled by ckpt.cc, read by /dev/vkckpt. `changed` is woken whenever any of it changes.
struct CkptState {
	uint8_t generation[16] = {};	// new at every thaw
	uint64_t thaw_count = 0;
	bool notice = false;		// a checkpoint is coming, listeners have been asked
	uint64_t notice_deadline_ns = 0;
	CkptListener *listeners = nullptr;
	// Checkpoints that ended. A guest that asks remembers `ended` and waits on `changed` until it has risen.
	uint64_t ended = 0;
	enum Outcome : int32_t { kResumed = 1, kThawed = 2 };
	int32_t outcome = 0;		// of the last: an Outcome, or -errno: it failed
	WaitQueue changed;
};
void ckpt_listen(CkptListener &);	// link into kernel().ckpt.listeners (asked at once when a notice is on)
void ckpt_unlisten(CkptListener &);
// A guest asks for a checkpoint that ends the vkernel or goes on. 0, or -EBUSY: one is under way.
enum class CkptAction : uint32_t { kConfigured = 0, kExit = 1, kContinue = 2 };
long ckpt_ask(CkptAction);

struct UnknownCall { uint64_t count; };

// What is left of a vCPU when no host thread runs: the guest thread it was running.
struct Cpu {
	Thread *running = nullptr;	// counted
	uint64_t since_ns = 0;		// host clock; only while running
};

struct Kernel {
	uint64_t magic = 0;
	uint64_t ram_bytes = 0;
	uint32_t cpu_count = 1;
	uint32_t xsave_bytes = 0;
	uint64_t xcr0 = 0;
	struct vkckpt_cpu shown_cpu = {};	// what guests are shown of the processor, if masked
	int ram_fd = -1;		// of this process: set anew by a thaw
	char name[64] = {};

	// mem.cc
	struct MemState *mem = nullptr;
	Frame zero_frame = kNoFrame;	// read faults of anonymous memory map it

	// thread.cc, sched.cc
	KMap<int64_t, Process *> processes;	// zombies too
	KMap<int64_t, Thread *> threads;
	int64_t next_pid = 1;
	Process *init = nullptr;
	Thread *run_head = nullptr, *run_tail = nullptr;
	Cpu cpu[kMaxCpus];
	std::set<std::pair<uint64_t, Timer *>, std::less<>, KAllocator<std::pair<uint64_t, Timer *>>> timers;
	KVector<AddressSpace *> spaces;		// every one has a vmspace at the host
	int64_t monotonic_offset_ns = 0;	// guest monotonic - host monotonic
	uint64_t trap_count = 0;
	uint64_t fork_count = 0, switch_count = 0;
	struct { Thread *head, *tail; } futexes[256] = {};
	bool halted = false;			// the first process has ended
	int32_t exit_status = 0;
	UnknownCall unknown[512] = {};

	// the file-system side
	Ref<Inode> root;
	Tty *tty = nullptr;			// the console
	struct FsGlobals *fs = nullptr;		// whatever else it needs, made in vfs_boot

	CkptState ckpt;
};
inline Kernel &kernel() { return *reinterpret_cast<Kernel *>(kRamBase); }

}  // namespace minivk
#endif
