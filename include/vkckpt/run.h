/*
 * vkckpt/run.h: how a running vkernel is found and watched, and the signals that command it.
 *
 * Run directory: VKCKPT_RUNDIR, else XDG_RUNTIME_DIR/vkckpt, else /run/vkckpt (if it can be made or belongs to the user),
 * else /tmp/vkckpt-UID; mode 0700 and owner checked. One file NAME.PID of 4096 bytes per armed vkernel, mapped shared and
 * locked (open-file-description write lock) by it for life: an unlocked entry is a dead one. Both the entry and the
 * status of requests stand in it. A reader maps or reads it; words are written by the vkernel alone. A vkernel that ended
 * without vkckpt_disarm (also one that was suspended: its last result can be read there) leaves its entry, unlocked; the
 * next one of the same name removes it.
 */
#ifndef VKCKPT_RUN_H
#define VKCKPT_RUN_H

#include <stdint.h>
#include <signal.h>

#if defined(__linux__)
/* Fixed real-time signals: 32 and 33 are taken by libc, 34 is SIGRTMIN in programs that use it. */
#define VKCKPT_SIGCKPT		52
#define VKCKPT_SIGCKPTEXIT	53
#define VKCKPT_SIGTHAW		54
#else
#define VKCKPT_SIGCKPT		SIGCKPT
#define VKCKPT_SIGCKPTEXIT	SIGCKPTEXIT
#define VKCKPT_SIGTHAW		35
#endif

/* si_value of a queued SIGCKPT: bits 0..7 action, 8..15 flags, 16..63 request id (not 0); plain kill(1): all 0. */
enum vkckpt_action {
	VKCKPT_ACTION_CONFIGURED = 0, VKCKPT_ACTION_EXIT = 1, VKCKPT_ACTION_CONTINUE = 2, VKCKPT_ACTION_CANCEL = 3
};
enum vkckpt_request_flags {
	VKCKPT_REQUEST_RAM_ONLY = 1,	/* continue without freezing writable disks: the image belongs on disks that were put back */
	VKCKPT_REQUEST_FULL = 2,	/* the image is a full one, with which a new chain begins */
	VKCKPT_REQUEST_COPY_DISKS = 4	/* continue: a writable disk that cannot be cloned is copied (all its data, while nothing runs) */
};
#define VKCKPT_REQUEST(action, flags, id) \
	((uint64_t)(action) | (uint64_t)(flags) << 8 | (uint64_t)(id) << 16)

enum vkckpt_phase {
	VKCKPT_PHASE_RUNNING = 0,	/* no request */
	VKCKPT_PHASE_REQUESTED = 1, VKCKPT_PHASE_NOTICE = 2, VKCKPT_PHASE_QUIESCE = 3, VKCKPT_PHASE_WALK = 4,
	VKCKPT_PHASE_WRITE = 5, VKCKPT_PHASE_COMMIT = 6,
	VKCKPT_PHASE_EXITING = 7	/* suspended, image committed */
};

enum vkckpt_fill_state {
	VKCKPT_FILL_NONE = 0,		/* booted, not thawed */
	VKCKPT_FILL_EAGER = 1,		/* everything was loaded before it ran */
	VKCKPT_FILL_UNDER_WAY = 2,	/* a lazy thaw: it runs, RAM is still being brought */
	VKCKPT_FILL_COMPLETE = 3,	/* a lazy thaw: everything is there, the image is closed */
	VKCKPT_FILL_FAILED = 4		/* a part of RAM could not be brought: the process has ended */
};

#define VKCKPT_RUN_MAGIC	"VKCKRUN1"
struct vkckpt_run_entry {	/* 4096 bytes */
	char magic[8];
	uint64_t pid;
	uint64_t start_time;		/* field 22 of /proc/PID/stat: tells a reused pid */
	char name[64];
	char program[64];
	char image_path[1024];		/* absolute */
	uint64_t ram_bytes;
	uint64_t estimate_bytes;	/* an upper bound for the size of an image now */
	uint32_t on_ckpt;		/* configured enum vkckpt_action */
	uint32_t warning_reason;	/* enum vkckpt_reason found at arm (no space for an image, another vkernel has the same ...), else 0 */
	/* the request being served, or the last one */
	uint32_t phase;			/* enum vkckpt_phase */
	uint32_t result_reason;		/* of request done_id: 0 committed, else enum vkckpt_reason */
	int32_t result_code;		/* errno of it */
	uint32_t action;
	uint64_t request_id;		/* being served; 0: a plain kill(1) */
	uint64_t done_id;		/* finished last */
	uint64_t done_count;		/* requests finished, also those without an id: rises last of all */
	uint64_t bytes_done, bytes_total;	/* of RAM, before compression */
	char message[384];		/* struct vkckpt_error's of the last failure */
	uint64_t refused_id;		/* request last refused because another was being served (EBUSY) */
	/* since 0.2 */
	char last_image[1024];		/* that was committed last: absolute; "": none yet, or to a descriptor */
	uint32_t chain_length;		/* images that it needs, itself included */
	uint32_t chain_limit;		/* images of a chain at most; 0: this vkernel writes full images only, and replaces image_path */
	/* how the RAM of a thawed vkernel came, or comes */
	uint32_t fill_state;		/* enum vkckpt_fill_state */
	uint32_t fill_reason;		/* FILL_EAGER: why it was not lazy, though asked for; FILL_FAILED: why; else 0 */
	uint64_t fill_done, fill_total;	/* bytes of RAM that the image has, those in place */
	/* CLOCK_MONOTONIC; 0: not yet, or booted. vkckpt_thaw called; what must be there before it runs is loaded; it
	   is ready to run; all of RAM is there. */
	uint64_t thaw_began_ns, thaw_loaded_ns, thaw_ready_ns, thaw_full_ns;
	/* how long the parts of the last request took that came to a commit, in microseconds; in this order */
	uint32_t sync_us, freeze_us, devices_us, walk_us, write_us, commit_us;
	uint8_t zero[1336];
};
#ifdef __cplusplus
static_assert(sizeof(struct vkckpt_run_entry) == 4096, "run entry");
#else
_Static_assert(sizeof(struct vkckpt_run_entry) == 4096, "run entry");
#endif

#define VKCKPT_EXIT_SUSPENDED	33	/* exit status of a vkernel that was suspended */
#define VKCKPT_EXIT_STOPPED	34	/* of one that was stopped because a lazy thaw cannot be completed */
#endif
