/*
 * vkckpt/vkckpt.h: checkpoint and thaw a virtual kernel: what a vkernel calls and what it provides.
 *
 * In words: vkckpt(7); function by function: vkckpt_arm(3), vkckpt_safe_point(3), vkckpt_thaw(3), vkckpt_device(3).
 * The library keeps all of its own state in an arena that it maps at arm and never captures.
 *
 * Contexts named below: ARM (ordinary program code, may block), SAFE POINT (on a vCPU, between two guest instructions),
 * QUIET (every vCPU parked, every device drained, all signals blocked, on the library's own stack: no allocation, no
 * stdio, no waiting), THAW (ordinary program code of the new process before any guest instruction), SIGNAL (inside a handler).
 */
#ifndef VKCKPT_VKCKPT_H
#define VKCKPT_VKCKPT_H

#include <stddef.h>
#include <stdint.h>

#include <vkckpt/error.h>
#include <vkckpt/format.h>
#include <vkckpt/run.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VKCKPT_LIBRARY_VERSION "0.1.0"

struct vkckpt;		/* one armed vkernel */
struct vkckpt_sink;	/* takes a device's configuration while an image is written */
struct vkckpt_source;	/* gives it back at thaw, overrides already applied */

/* RAM: guest-physical memory, mapped shared from a descriptor that only the vkernel writes. Frames are counted from 0. */
struct vkckpt_segment {
	void *address;		/* page-aligned; recorded: the thaw maps it there again */
	uint64_t size_bytes;	/* a multiple of 4096 */
	int fd;			/* offset 0 is frame 0. memfd or file; -1: not known to the library (every frame counts as touched) */
	uint64_t skip_bytes;	/* the first ones are not RAM and never looked at or mapped: where physical addresses begin below the RAM,
				   under the vkernel's own program; a multiple of 4096, below size_bytes. 0: all is RAM */
};

/* Host memory outside RAM that is part of the vkernel's state. Bound to the same build of the vkernel. */
struct vkckpt_region {
	const char *name;
	void *address;
	uint64_t size_bytes;
};

/* One vpagetable mapping of a vmspace, and the vmspace. */
typedef struct vkckpt_f_mapping vkckpt_mapping;
struct vkckpt_vmspace {
	uint64_t id;
	int64_t pid;
	char name[64];
	uint32_t mapping_count;
	vkckpt_mapping mapping[VKCKPT_MAX_MAPPINGS];
};

/* What the vkernel knows of a frame. Only this drops a frame from the image. */
enum vkckpt_frame_state { VKCKPT_FRAME_LIVE = 0, VKCKPT_FRAME_FREE = 1 };

/* A class of devices: the same few functions for every device of it. `device` is the vkernel's own pointer. */
enum vkckpt_policy {
	VKCKPT_POLICY_REOPEN = 0,	/* open again as recorded or overridden; failing refuses the thaw */
	VKCKPT_POLICY_DROP = 1,		/* the thaw goes on without it */
	VKCKPT_POLICY_FAIL = 2		/* its presence refuses the checkpoint */
};
struct vkckpt_device_class {
	size_t size;			/* sizeof(struct vkckpt_device_class): versions this table */
	const char *name;		/* "disk" */
	uint32_t version;		/* of the configuration that save writes */
	/*
	 * SAFE POINT. Take no new work and begin to drain. Must return at once: 0, or -errno to refuse the checkpoint
	 * (*why, if set, is quoted in the message). The other three never fail.
	 */
	int (*stop_begin)(void *device, const char **why);
	/* SAFE POINT. 1 when drained, 0 not yet, -errno to refuse. */
	int (*stop_poll)(void *device, const char **why);
	/* SAFE POINT. Take work again. Idempotent; also called for the device that refused, and after a checkpoint that continues. */
	void (*stop_undo)(void *device);
	/* QUIET. Write configuration with vkckpt_put_*. 0 or -errno. */
	int (*save)(void *device, struct vkckpt_sink *sink);
	/*
	 * THAW, undoable (by close). Open what the configuration names; no effect on the guest or the outside yet.
	 * RAM is not there yet. *device receives the pointer for the other functions. 0 or -errno with *err filled as far as known.
	 */
	int (*open)(void *class_arg, const char *name, const struct vkckpt_source *source, void **device,
	    struct vkckpt_error *err);
	/* THAW. Undo open: the thaw was refused. */
	void (*close)(void *device);
	/* THAW, after the point of no return: connect to the restored vkernel and raise every interrupt once. May not fail. */
	void (*attach)(void *device);
	void *class_arg;
	/* Writable disks only, else NULL: the disk's fence (vkckpt_disk_*), advanced by the library at suspend and thaw. */
	struct vkckpt_disk *(*disk)(void *device);
};
struct vkckpt_device {
	const struct vkckpt_device_class *device_class;
	const char *name;		/* "disk0": unique; what overrides and messages call it */
	void *device;
	uint32_t policy;		/* enum vkckpt_policy */
};

/* Configuration of a device. Keys and strings end in NUL; limits VKCKPT_MAX_NAME, VKCKPT_MAX_PATH; bytes up to 64 KiB. */
int vkckpt_put_u64(struct vkckpt_sink *, const char *key, uint64_t value);
int vkckpt_put_string(struct vkckpt_sink *, const char *key, const char *value);
int vkckpt_put_bytes(struct vkckpt_sink *, const char *key, const void *bytes, size_t count);
/* NULL or the default when the key is not there. Strings live as long as the source. */
uint64_t vkckpt_get_u64(const struct vkckpt_source *, const char *key, uint64_t otherwise);
const char *vkckpt_get_string(const struct vkckpt_source *, const char *key);
const void *vkckpt_get_bytes(const struct vkckpt_source *, const char *key, size_t *count);

/* What the thaw tells the vkernel, before the first guest instruction. */
struct vkckpt_thaw_info {
	size_t size;
	struct vkckpt_uuid image_id, generation, vkernel_id;
	uint64_t thaw_count;
	int64_t realtime_gap_ns;	/* wall clock now minus wall clock at capture */
	uint64_t monotonic_then_ns;	/* host CLOCK_MONOTONIC at capture */
	uint64_t monotonic_now_ns;	/* and now: the guest's monotonic clock continues from then */
	uint8_t entropy[64];		/* fresh, for the guest's random number generator */
};

/* How a page-table walk finds its way in this vkernel's tables: enum vkckpt_pagetable_format. */

struct vkckpt_hooks {
	size_t size;
	void *arg;			/* first argument of every hook */
	/* SIGNAL. Make every vCPU come to its safe point soon (leave RUN, wake from idle). */
	void (*kick)(void *arg);
	/*
	 * QUIET. States of `count` frames (a multiple of 16) from `first` of a segment: state[i] = enum vkckpt_frame_state,
	 * page_class[i] = enum vkckpt_page_class. NULL: all live.
	 */
	void (*frame_states)(void *arg, unsigned segment, uint64_t first, unsigned count, uint8_t *state,
	    uint8_t *page_class);
	/* QUIET. Next vmspace after *cursor (0 at first; the hook's own afterwards): 1 filled, 0 no more. */
	int (*vmspace_next)(void *arg, uint64_t *cursor, struct vkckpt_vmspace *out);
	/* THAW, after the point of no return; the RAM is there. Make it anew. 0 or -errno (ends the process with a message). */
	int (*vmspace_make)(void *arg, const struct vkckpt_vmspace *vmspace);
	/*
	 * SAFE POINT. Guest processes that asked are told of a coming checkpoint. notice_poll: 1 all have acknowledged,
	 * 0 not yet, -ECANCELED vetoed (*why is quoted). notice_undo: it is over (committed and continuing, failed or refused).
	 * The guests run meanwhile. NULL: nobody asks. When notice_timeout_ns passes without an answer the checkpoint goes on.
	 */
	void (*notice_begin)(void *arg);
	int (*notice_poll)(void *arg, const char **why);
	void (*notice_undo)(void *arg);
	/* SAFE POINT, on the coordinating vCPU: a request ended and this process runs on. err->reason 0: image committed. */
	void (*resumed)(void *arg, const struct vkckpt_error *err);
	/* THAW. A segment of RAM is mapped and loaded, in fd (owned by the library; lives as long as the process). */
	int (*ram_ready)(void *arg, unsigned segment, void *address, uint64_t size_bytes, int fd);
	/* THAW. Everything is restored: set clocks, identity, random numbers. */
	void (*thawed)(void *arg, const struct vkckpt_thaw_info *info);
};

enum vkckpt_resume_kind {
	VKCKPT_RESUME_ENTRY = 0,	/* vCPUs have no state outside RAM: the thawing program starts them at its own loop */
	VKCKPT_RESUME_CONTEXT = 1	/* vkckpt_safe_point returns VKCKPT_THAWED where it was called; stacks lie in RAM or regions */
};

struct vkckpt_config {
	size_t size;			/* sizeof(struct vkckpt_config) */
	const char *program;		/* kind of vkernel: an image thaws only in the same kind and build */
	const char *name;		/* of this vkernel; letters, digits, '-', '_', '.' */
	const char *image_path;		/* where a suspend writes; NULL with image_fd */
	int image_fd;			/* -1, or a descriptor (pipe or file) that one image is written to */
	uint32_t on_ckpt;		/* what plain SIGCKPT does: VKCKPT_ACTION_EXIT or _CONTINUE */
	uint32_t resume_kind;		/* enum vkckpt_resume_kind */
	uint32_t vcpu_count;
	uint32_t pagetable_format;	/* enum vkckpt_pagetable_format */
	uint64_t quiesce_timeout_ns;	/* 0: 10 s; devices and vCPUs, from the end of the notice */
	uint64_t notice_timeout_ns;	/* 0: 2 s */
	const void *build_id;		/* NULL: the GNU build id of the running program */
	size_t build_id_bytes;
	const uint64_t *layout;		/* sizes and offsets that must agree between writer and thawer; digested */
	size_t layout_count;
	const struct vkckpt_segment *segments;
	size_t segment_count;
	const struct vkckpt_region *regions;
	size_t region_count;
	const struct vkckpt_device *devices;	/* in the order in which they are stopped */
	size_t device_count;
	const struct vkckpt_hooks *hooks;
	const char *run_dir;		/* NULL: not published; "" : the default place of vkckpt/run.h */
	uint32_t reserve_image;		/* 1: room for an image is set aside at arm in image_path + ".reserve" (else arm
					   only warns, in the run directory, when there is too little) */
	uint32_t reserved;		/* 0 */
};

/* SIGNAL/ARM. Blocks SIGCKPT, SIGCKPTEXIT and SIGTHAW in the calling thread: the first thing main does. */
void vkckpt_block_signals(void);

/*
 * ARM. Copies *config (strings and arrays too; hooks and classes must stay), maps the arena, installs the handlers of
 * SIGCKPT and SIGCKPTEXIT, publishes the vkernel in the run directory, unblocks the two signals in the calling thread.
 * 0, or -errno: EINVAL argument (the message names it), ENOBUFS a limit of format.h, EEXIST armed already, else the host's.
 */
int vkckpt_arm(const struct vkckpt_config *config, struct vkckpt **out, struct vkckpt_error *err);
/* ARM. Takes the entry out of the run directory, restores default handlers, frees the arena. No request may be under way. */
void vkckpt_disarm(struct vkckpt *);

/* SIGNAL, any thread: as if SIGCKPT had come (request: VKCKPT_REQUEST(...)). 0, -EBUSY another is being served. */
int vkckpt_request(struct vkckpt *, uint64_t request);

enum vkckpt_verdict {
	VKCKPT_NOTHING = 0,	/* no request */
	VKCKPT_PENDING = 1,	/* being prepared: go on running guests and call again within a millisecond or so */
	VKCKPT_RESUMED = 2,	/* a request ended (see hook resumed) and this process goes on */
	VKCKPT_THAWED = 3,	/* this is the new process; resume kind CONTEXT only */
	VKCKPT_EXIT = 4		/* suspended: the image is committed; exit with VKCKPT_EXIT_SUSPENDED, run no guest instruction */
};
/*
 * SAFE POINT. Every vCPU calls it between guest instructions, in its idle loop too. Costs one load when nothing is asked.
 * Advances a request; parks the calling vCPU when all are to park, the last one in captures. Blocks only while parked.
 * Returns enum vkckpt_verdict.
 */
int vkckpt_safe_point(struct vkckpt *, unsigned vcpu);

/*
 * For vkernels with a quiet point of their own (User Mode Linux' suspend path): the caller has stopped vCPUs and devices;
 * walk, write and commit only. action: VKCKPT_ACTION_EXIT, _CONTINUE, or _CONFIGURED: what the request that brought it here says, or
 * without one the configuration. Returns VKCKPT_RESUMED, VKCKPT_EXIT, VKCKPT_THAWED or -errno.
 */
int vkckpt_capture(struct vkckpt *, unsigned vcpu, uint32_t action, struct vkckpt_error *err);
/*
 * For the same vkernels: the request that has come cannot be brought to a capture (a guest process vetoed, a task cannot be stopped). It ends
 * with errno `code` (positive), `reason` and `subject`, the thing and why; the vkernel runs on. 0, or -ENOENT there is no request, -EBUSY it is
 * being captured. Safety: as vkckpt_capture. Since 0.1.
 */
int vkckpt_decline(struct vkckpt *, int code, uint32_t reason, const char *subject, struct vkckpt_error *err);

/* Facts about an armed vkernel. */
struct vkckpt_uuid vkckpt_generation(const struct vkckpt *);
uint64_t vkckpt_thaw_count(const struct vkckpt *);

struct vkckpt_thaw_config {
	size_t size;
	struct vkckpt_config vkernel;	/* as at boot: program, build id, layout, hooks, image_path (NULL: the image's own) ... .
					   segments, regions, devices, name and vcpu_count come from the image */
	const char *path;		/* the image; NULL with fd */
	int fd;				/* -1, or a descriptor to read it from (pipe or file) */
	const struct vkckpt_device_class *const *classes;
	size_t class_count;
	const char *const *overrides;	/* "disk0.path=FILE", ... */
	size_t override_count;
	uint32_t dry_run;		/* 1: all checks, nothing touched; returns 0 with *out NULL */
	uint32_t reserved;
};
/*
 * THAW. Reads, checks, opens, maps and loads; then passes the point of no return (epochs of disks), restores regions,
 * makes vmspaces, attaches devices, sets clocks, arms. On success start the vCPUs: each calls vkckpt_resume().
 * -errno: nothing was changed anywhere, the image can be thawed again.
 */
int vkckpt_thaw(const struct vkckpt_thaw_config *config, struct vkckpt **out, struct vkckpt_error *err);
/*
 * Called by each vCPU's thread after vkckpt_thaw. Resume kind CONTEXT: does not return, the saved vkckpt_safe_point returns
 * VKCKPT_THAWED. Kind ENTRY: returns 0 and the caller enters its loop.
 */
int vkckpt_resume(struct vkckpt *, unsigned vcpu);
uint32_t vkckpt_vcpu_count(const struct vkckpt *);
/* Name of the vkernel (from the image, after a thaw). */
const char *vkckpt_name(const struct vkckpt *);
/* Devices of the armed vkernel, so that a thawing program finds what its classes opened: NULL past the end. */
const struct vkckpt_device *vkckpt_device_at(const struct vkckpt *, size_t i);

/* GNU build id of the running program: bytes copied (0: it has none). Safety: MT-Safe, AS-Safe; reads /proc. Since 0.1. */
size_t vkckpt_build_id(void *out, size_t room);

/*
 * Calls entry(arg) on the stack that ends at stack_top, for vCPUs of resume kind CONTEXT whose stack lies in RAM or a region. entry
 * must not return: the frame that called this is not part of an image. Safety: MT-Safe, AS-Safe. Since 0.1.
 */
void vkckpt_enter_stack(void *stack_top, void (*entry)(void *), void *arg)
#ifdef __GNUC__
    __attribute__((__noreturn__))
#endif
    ;

#ifdef __cplusplus
}
#endif
#endif
