/*
 * vkckpt/vkckpt.h: checkpoint and thaw a virtual kernel: what a vkernel calls and what it provides.
 *
 * In words: vkckpt(7); function by function: vkckpt_arm(3), vkckpt_safe_point(3), vkckpt_thaw(3), vkckpt_device(3). The
 * library keeps all of its own state in an arena that it maps at arm and never captures.
 *
 * Contexts named below: ARM (ordinary program code, may block), SAFE POINT (on a vCPU, between two guest instructions),
 * QUIET (every vCPU parked, every device drained, all signals blocked, on the library's own stack: no allocation, no
 * stdio, no waiting), THAW (ordinary program code of the new process before any guest instruction), SIGNAL (inside a
 * handler).
 */
#ifndef VKCKPT_VKCKPT_H
#define VKCKPT_VKCKPT_H

#include <stddef.h>
#include <stdint.h>

#include <vkckpt/cpu.h>
#include <vkckpt/crypto.h>
#include <vkckpt/error.h>
#include <vkckpt/format.h>
#include <vkckpt/run.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VKCKPT_LIBRARY_VERSION "0.2.0"

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

/*
 * Bytes of RAM or of a region that no image may hold (keys, the state of a random number generator): zeros in the image and after a
 * thaw, unchanged in the vkernel that goes on. Hook thawed fills them anew. For whole frames that come and go: VKCKPT_FRAME_SECRET.
 */
struct vkckpt_secret {
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
enum vkckpt_frame_state {
	VKCKPT_FRAME_LIVE = 0,
	VKCKPT_FRAME_FREE = 1,		/* nobody reads it before it is written: left out */
	VKCKPT_FRAME_SECRET = 2,		/* no image may hold it: left out; zeros after a thaw, unchanged in the vkernel that goes on */
	VKCKPT_FRAME_HOT = 3,		/* live, and wanted at once after a lazy thaw */
	VKCKPT_FRAME_COLD = 4		/* live, and not (LIVE ones are, if they are page tables or the kernel's) */
};

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
	 * THAW, undoable (by close), called once per device in the order of the image. Open what the configuration names; no
	 * effect on the guest or the outside, because a dry run comes as far as this: what has to be made is made in attach. RAM
	 * is not there yet. *device receives the pointer for the other functions. 0 or -errno with *err filled as far as known.
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

/*
 * Configuration of a device, written in its save hook. key: 1 .. VKCKPT_MAX_NAME bytes, unique in its device; keys that
 * begin with "fence_" are the library's. value of put_string: up to VKCKPT_MAX_PATH bytes; count of put_bytes: 0 ..
 * 65536.
 * 0, or -errno: EINVAL the key or NULL, ENOBUFS a limit or the record's room (1 MiB).
 * The first error also fails the capture by itself, so a save hook need not look. Safety: AS-Safe, only inside save, only
 * on the sink it was given. Memory: copied. Since 0.1.
 */
int vkckpt_put_u64(struct vkckpt_sink *, const char *key, uint64_t value);
int vkckpt_put_string(struct vkckpt_sink *, const char *key, const char *value);
int vkckpt_put_bytes(struct vkckpt_sink *, const char *key, const void *bytes, size_t count);
/*
 * What the image (or an override of the thaw) says under a key: NULL, or `otherwise`, when the key is not there or of
 * another type. Strings end in NUL. Safety: MT-Safe, AS-Safe. Memory: valid inside the open hook only (or until
 * vkckpt_image_close); copy what you keep. Since 0.1.
 */
uint64_t vkckpt_get_u64(const struct vkckpt_source *, const char *key, uint64_t otherwise);
const char *vkckpt_get_string(const struct vkckpt_source *, const char *key);
const void *vkckpt_get_bytes(const struct vkckpt_source *, const char *key, size_t *count);

/* What an open hook finds when the vkernel is thawed as a clone (vkckpt_thaw_config.clone). */
enum vkckpt_clone_disk {
	VKCKPT_CLONE_NONE = 0,		/* no clone: the vkernel itself */
	VKCKPT_CLONE_SHARED = 1,	/* a clone; the device has no writable disk that was copied */
	VKCKPT_CLONE_REFLINK = 2,	/* key "path" names a copy that shares its blocks with the image's disk (copy-on-write) */
	VKCKPT_CLONE_COPY = 3		/* key "path" names a whole copy: the file system has no reflinks */
};
/*
 * enum vkckpt_clone_disk of this device, and *name, if not NULL, the clone's name (NULL: no clone). A class that names
 * something of the outside that two cannot share (a console's link, a MAC) takes its own for a clone. Safety: MT-Safe,
 * AS-Safe. Memory: as vkckpt_get_string. Since 0.2.
 */
uint32_t vkckpt_source_clone(const struct vkckpt_source *, const char **name);

/* What the thaw tells the vkernel before the first guest instruction. Valid inside the hook; it holds secrets: do not log it. */
struct vkckpt_thaw_info {
	size_t size;
	struct vkckpt_uuid image_id, generation, vkernel_id;
	uint64_t thaw_count;
	int64_t realtime_gap_ns;	/* wall clock now minus wall clock at capture */
	uint64_t monotonic_then_ns;	/* host CLOCK_MONOTONIC at capture */
	uint64_t monotonic_now_ns;	/* and now: the guest's monotonic clock continues from then */
	uint8_t entropy[64];		/* fresh, for the guest's random number generator */
	const char *name;		/* of the vkernel: the image's, or the clone's */
	uint32_t clone;			/* 1: a clone. vkernel_id is its own; neighbours may know its brothers: take a new MAC */
};

/* How a page-table walk finds its way in this vkernel's tables: enum vkckpt_pagetable_format. */

struct vkckpt_hooks {
	size_t size;
	void *arg;			/* first argument of every hook */
	/* SIGNAL. Make every vCPU come to its safe point soon (leave RUN, wake from idle). */
	void (*kick)(void *arg);
	/*
	 * QUIET. States of `count` frames (a multiple of 16) from `first` of a segment: state[i] = enum vkckpt_frame_state,
	 * page_class[i] = enum vkckpt_page_class. NULL: all live. Both arrays come filled with LIVE and OTHER; frames behind the
	 * end of a segment that is no multiple of 16 frames may be asked for, their answers are ignored.
	 */
	void (*frame_states)(void *arg, unsigned segment, uint64_t first, unsigned count, uint8_t *state,
	    uint8_t *page_class);
	/* QUIET. Next vmspace after *cursor (0 at first; the hook's own afterwards): 1 filled, 0 no more. */
	int (*vmspace_next)(void *arg, uint64_t *cursor, struct vkckpt_vmspace *out);
	/*
	 * THAW, RAM, regions and ram_ready done, before the point of no return. Make it anew. 0, or -errno: the thaw is refused
	 * and the image stays good; what was made of vmspaces is the vkernel's to destroy. (With regions the process ends with a
	 * message instead.)
	 */
	int (*vmspace_make)(void *arg, const struct vkckpt_vmspace *vmspace);
	/*
	 * SAFE POINT. Guest processes that asked are told of a coming checkpoint. notice_poll: 1 all have acknowledged, 0 not
	 * yet, -ECANCELED vetoed (*why is quoted). notice_undo: it is over (committed and continuing, failed or refused). The
	 * guests run meanwhile. NULL: nobody asks. When notice_timeout_ns passes without an answer the checkpoint goes on.
	 */
	void (*notice_begin)(void *arg);
	int (*notice_poll)(void *arg, const char **why);
	void (*notice_undo)(void *arg);
	/*
	 * SAFE POINT, on the coordinating vCPU: a request ended and this process runs on. err->reason 0: image committed. The next
	 * request may be made already, and be told of by another vCPU at the same time.
	 */
	void (*resumed)(void *arg, const struct vkckpt_error *err);
	/*
	 * THAW. A segment of RAM is mapped (read and write; mprotect it if it needs more) and loaded, in fd (owned by the
	 * library; lives as long as the process). Regions are restored already, so what it stores in them stays. 0 or -errno, as
	 * vmspace_make.
	 */
	int (*ram_ready)(void *arg, unsigned segment, void *address, uint64_t size_bytes, int fd);
	/* THAW, after attach of all devices: set clocks, identity, random numbers. Guests have not run yet. */
	void (*thawed)(void *arg, const struct vkckpt_thaw_info *info);
	/*
	 * THAW, while everything can still be refused (a dry run too): the image's guests were shown only *cpu, valid inside the hook, and must
	 * be shown no more. 0, or -errno: CPUID cannot be masked here. NULL: never. May be missing (size smaller). Since 0.2.
	 */
	int (*cpu_masked)(void *arg, const struct vkckpt_cpu *cpu);
};

enum vkckpt_resume_kind {
	VKCKPT_RESUME_ENTRY = 0,	/* vCPUs have no state outside RAM: the thawing program starts them at its own loop */
	VKCKPT_RESUME_CONTEXT = 1	/* vkckpt_safe_point returns VKCKPT_THAWED where it was called; stacks lie in RAM or regions */
};

/* A piece of the process's address space. */
struct vkckpt_range { uint64_t address, size_bytes; };

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
	uint64_t quiesce_timeout_ns;	/* 0: 10 s; devices and vCPUs, from the end of the notice; also if no vCPU comes at all */
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
	uint32_t quiesces_itself;	/* 1: the vkernel ends each request by vkckpt_capture or vkckpt_decline, however long it takes;
					   the library keeps no deadline and makes no thread for it. 0: safe points */
	/* Behind this: may be missing (size smaller), then 0. */
	uint32_t workers;		/* threads that encode and decode, vCPU or caller included: 1 .. VKCKPT_MAX_WORKERS; 0: one more
					   than the process has CPUs, at most 16 */
	uint32_t codec;			/* of RAM: VKCKPT_CODEC_LZ4 or _RAW of vkckpt/format.h; 0: LZ4 */
	const struct vkckpt_crypto *crypto;	/* with make_key: images are sealed. Copied; what arg points to must stay. NULL, or without
					   make_key: in clear */
	const struct vkckpt_secret *secrets;	/* each inside one segment or region; up to VKCKPT_MAX_SECRETS */
	size_t secret_count;
	/* Behind this: may be missing too, since 0.2. */
	uint32_t chain;			/* 1 .. VKCKPT_MAX_CHAIN: images are incremental and get names of their own, so many to a chain
					   before the next full one; 0: none, image_path is replaced (a thaw: goes on with the chain
					   of its image, if that has one); VKCKPT_CHAIN_OFF: none in any case */
	uint32_t level;			/* of LZ4: 1: quick; 2: images 1.6 % smaller in 1.1 times the CPU time; 0: 2 while the disk or the
					   reader keeps the workers waiting, else 1 */
	const char *parent_path;	/* the image that the first one is built on; NULL: none (a thaw: the image itself). Needs chain */
	const struct vkckpt_range *places;	/* where RAM and regions may lie, each wholly in one; an image that names other
					   addresses is refused. NULL: anywhere */
	size_t place_count;
	const struct vkckpt_cpu *cpu;	/* what guests are shown of the processor, by the vkernel, which answers CPUID (vkckpt_cpu_leaf): images
					   require no more. Copied. NULL: all of the host's (a thaw: what the image says) */
};
#define VKCKPT_MAX_WORKERS 64u
#define VKCKPT_MAX_SECRETS 64u
#define VKCKPT_CHAIN_OFF UINT32_MAX
#define VKCKPT_CHAIN_DEFAULT 16u	/* where a chain is wanted and nobody says how long */

/*
 * Blocks SIGCKPT, SIGCKPTEXIT and SIGTHAW in the calling thread: the first thing main does, so that a signal that comes
 * before arm waits instead of killing, and every thread made later inherits it. Cannot fail. Safety: MT-Safe, AS-Safe.
 * Since 0.1.
 */
void vkckpt_block_signals(void);

/*
 * Makes this process one that can be checkpointed: copies *config (strings and arrays too; classes, and what hooks point
 * to, must stay), maps and touches all memory that captures will need (about 6 MiB, 2.5 MiB for each worker and 1/400 of
 * RAM; with a chain 1/140), makes the workers' threads (without libc, all signals blocked; they sleep until a capture), installs the handlers
 * of SIGCKPT and SIGCKPTEXIT (SA_RESTART | SA_ONSTACK), publishes the vkernel in the run directory, unblocks the two
 * signals in the calling thread. *out: the armed vkernel, NULL on failure. err may be NULL.
 * 0, or -errno: EINVAL a field of config (err->subject names it), ENOBUFS one over a limit of vkckpt/format.h, EEXIST one
 * is armed already in this process, EPERM the run directory is somebody else's or open to others, ENOSPC no room for
 * reserve_image, EAGAIN no more threads, ENOMEM, PARENT_UNFIT or another reason of vkckpt_image_chain: parent_path, or what
 * the host said. Safety: context ARM; one thread, Blocks, not AS-Safe. Since 0.1.
 */
int vkckpt_arm(const struct vkckpt_config *config, struct vkckpt **out, struct vkckpt_error *err);
/*
 * Ends the workers, takes the entry out of the run directory, restores the default action of the two signals, gives all
 * memory back. No request may be under way and no vCPU inside vkckpt_safe_point. After VKCKPT_EXIT it is not needed.
 * Safety: context ARM; one thread, not AS-Safe. Since 0.1.
 */
void vkckpt_disarm(struct vkckpt *);

/*
 * Asks for a checkpoint, as if SIGCKPT had come with this si_value. request: VKCKPT_REQUEST(action, flags, id); action
 * CANCEL ends the request that is being served, if its id is the given one or the given one is 0, at its next step before
 * the commit; an id is remembered until the next one, for a request that comes after its cancellation. Latches and calls
 * hook kick.
 * 0, or -errno: EBUSY another is being served, EINVAL no such action. Safety: MT-Safe, AS-Safe, does not block. Since
 * 0.1.
 */
int vkckpt_request(struct vkckpt *, uint64_t request);

enum vkckpt_verdict {
	VKCKPT_NOTHING = 0,	/* no request */
	VKCKPT_PENDING = 1,	/* being prepared: go on running guests and call again within a millisecond or so */
	VKCKPT_RESUMED = 2,	/* a request ended (see hook resumed) and this process goes on */
	VKCKPT_THAWED = 3,	/* this is the new process; resume kind CONTEXT only */
	VKCKPT_EXIT = 4		/* suspended: the image is committed; exit with VKCKPT_EXIT_SUSPENDED, run no guest instruction */
};
/*
 * Every vCPU calls it between guest instructions, and in its idle loop. vcpu: 0 .. vcpu_count - 1, never two threads with
 * the same number. Costs one load when nothing is asked. Otherwise it takes the request one step on (notice, draining
 * devices, one vCPU at a time, the others return PENDING at once), and when everything is drained parks the caller; the
 * last one to park captures, on a stack of the library and with all signals blocked.
 * enum vkckpt_verdict, or -EINVAL no such vCPU. It ends with VKCKPT_RESUMED once for each vCPU that was parked; hook
 * resumed is called on the one that coordinated. No callee-saved register, no stack of the caller is touched while it is
 * captured: at a thaw (kind CONTEXT) it returns THAWED right into its caller, of which only callee-saved registers, the
 * stack, MXCSR and the x87 control word are restored: no pointer of libc's thread (errno's address) may be kept across
 * it. Safety: context SAFE POINT; MT-Safe, not AS-Safe; Blocks only while parked (with the quiesce's deadline). Since
 * 0.1.
 */
int vkckpt_safe_point(struct vkckpt *, unsigned vcpu);

/*
 * For vkernels with a quiet point of their own (User Mode Linux' suspend path): the caller has stopped vCPUs and devices;
 * walk, write and commit only. action: VKCKPT_ACTION_EXIT, _CONTINUE, or _CONFIGURED: what the request that brought it
 * here says, or without one the configuration. Returns VKCKPT_RESUMED, VKCKPT_EXIT, VKCKPT_THAWED or -errno; ETIMEDOUT:
 * without quiesces_itself, the request's time is over and it was answered.
 */
int vkckpt_capture(struct vkckpt *, unsigned vcpu, uint32_t action, struct vkckpt_error *err);
/*
 * For the same vkernels: the request that has come cannot be brought to a capture (a guest process vetoed, a task cannot
 * be stopped). It ends with errno `code` (positive), `reason` and `subject`, the thing and why, or as CANCELLED if it was
 * cancelled; the vkernel runs on. 0, or -ENOENT there is no request, -EBUSY it is being captured. Safety: as vkckpt_capture. Since 0.1.
 */
int vkckpt_decline(struct vkckpt *, int code, uint32_t reason, const char *subject, struct vkckpt_error *err);

/*
 * For the same vkernels, on their way to the quiet point: 1 there is a request that vkckpt_capture or vkckpt_decline has not
 * ended, -ECANCELED it was cancelled (vkckpt_decline ends it at once), 0 none. With quiesces_itself hook kick is called for a
 * cancellation too. Safety: MT-Safe, AS-Safe. Since 0.2.
 */
int vkckpt_requested(const struct vkckpt *);

/*
 * Times in nanoseconds that only the vkernel can measure. The library measures what it does itself; what is not 0 here is
 * taken instead. Of a checkpoint: its next image and the run directory's status tell them. Of the thaw that the run began
 * with: every image of the run does.
 */
struct vkckpt_times {
	size_t size;
	uint64_t sync_ns, freeze_ns, devices_ns;	/* file systems synced; tasks stopped; devices drained */
	uint64_t thaw_load_ns, thaw_vmspaces_ns, thaw_devices_ns, thaw_tasks_ns;
};
/* Tells them. Safety: contexts SAFE POINT (before vkckpt_capture) and THAW, not AS-Safe. Since 0.2. */
void vkckpt_tell_times(struct vkckpt *, const struct vkckpt_times *);

/*
 * Facts about an armed vkernel: its generation (new at every thaw) and the number of thaws behind it. Safety: MT-Safe,
 * AS-Safe. Since 0.1.
 */
struct vkckpt_uuid vkckpt_generation(const struct vkckpt *);
uint64_t vkckpt_thaw_count(const struct vkckpt *);

struct vkckpt_thaw_config {
	size_t size;
	struct vkckpt_config vkernel;	/* as at boot: program, build id, layout, hooks, image_path (NULL: `path', or NAME.ckpt in
					   the working directory if there is none) ... . segments, regions, devices, name and
					   vcpu_count come from the image */
	const char *path;		/* the image; NULL with fd */
	int fd;				/* -1, or a descriptor to read it from (pipe or file) */
	const struct vkckpt_device_class *const *classes;
	size_t class_count;
	const char *const *overrides;	/* "disk0.path=FILE", ... */
	size_t override_count;
	const struct vkckpt_crypto *crypto;	/* opens a sealed image, checks a signature; NULL: neither. vkernel.crypto is another matter:
					   how the new vkernel seals, looked at after open_key was called */
	uint32_t dry_run;		/* 1: all checks, nothing touched; returns 0 with *out NULL, or the first refusal */
	uint32_t lazy;			/* enum vkckpt_lazy, or-ed; 0: all of RAM is loaded first */
	const char *clone;		/* NULL: the vkernel of the image goes on. Else another one is made from it, with this name ("": the
					   image's with "-PID"), an id of its own and copies of the writable disks; image_path
					   NULL is its NAME.ckpt then, never `path' */
	/* Dry run: called for every refusal, in the order found, so that all can be cured at once. NULL: only the first is told. */
	void (*refusal)(void *refusal_arg, const struct vkckpt_error *);
	void *refusal_arg;
	const char *parent_path;	/* where the parent of an incremental image is; NULL: where the image says, beside it */
};
enum vkckpt_lazy {
	VKCKPT_LAZY = 1,		/* run at once, bring RAM meanwhile; where that is not possible load it first (vkckpt_fill_status says why) */
	VKCKPT_LAZY_REQUIRED = 2,	/* with VKCKPT_LAZY: where it is not possible fail instead (LAZY_UNAVAILABLE) */
	VKCKPT_LAZY_ON_DEMAND = 4	/* with VKCKPT_LAZY: bring only what is touched, so that a clone takes little memory */
};
/*
 * From an image to a vkernel that is ready to run: reads and checks the head; reserves addresses; opens devices; maps and
 * loads RAM and checks every byte of the image; makes the armed vkernel; overwrites regions; hooks ram_ready and
 * vmspace_make; passes the point of no return (epochs of writable disks); attaches devices; hook thawed; publishes and
 * installs handlers as vkckpt_arm does. Then point your own variables at *out (regions hold those of the old process) and
 * let each vCPU call vkckpt_resume.
 * 0, or -errno, *out NULL: no disk, file or image was changed, the image can be thawed again. EINVAL arguments; EEXIST an
 * address of RAM or a region is in use here (err->number), or one is armed; ENOTSUP another program, build, layout,
 * processor, version (see err->reason); EBADMSG damaged; ESPIPE, ENOENT, ESTALE, ELOOP: an image that this one is built on
 * (see vkckpt_image_chain); ENODEV no class for a device; ESTALE a disk has changed or gone
 * on; EBUSY a disk in use; ENOMEM; or what a hook or the host said. A device class that fills its *err speaks for itself.
 * With regions, a failure after they were overwritten ends the process with the message on stderr and status 1 (nothing
 * else is changed then either). dry_run: stops after the devices were opened, closes them, RAM is not read. If SIGTHAW
 * has a handler it is sent at the end. A clone leaves image and disks as they are, so any number can be made at the same
 * time, and the vkernel itself can be thawed later: each writable disk in a regular file is copied to DISK.NAME beside it
 * (a reflink where the file system has them), which stays when the clone ends. EEXIST with CLONE_EXISTS: that file is
 * there; ENOTSUP with CLONE_DEVICE: the disk is no regular file. Safety: context THAW; one thread, on a stack outside RAM and regions; Blocks.
 * Since 0.1.
 */
int vkckpt_thaw(const struct vkckpt_thaw_config *config, struct vkckpt **out, struct vkckpt_error *err);
/*
 * Called by each vCPU's thread after vkckpt_thaw. Resume kind CONTEXT: does not return, the saved vkckpt_safe_point (or
 * vkckpt_capture) returns VKCKPT_THAWED on its old stack. Kind ENTRY: returns 0 and the caller enters its loop. -EINVAL:
 * no such vCPU, or this is no thawed vkernel. Safety: MT-Safe, not AS-Safe. Since 0.1.
 */
int vkckpt_resume(struct vkckpt *, unsigned vcpu);
/*
 * During a lazy thaw: returns when bytes offset .. offset + bytes - 1 of a segment are in place. To be called before that
 * part of RAM is mapped at another address or in another process, or read through its descriptor: there a frame that is
 * still missing would read as zero. (Where RAM is mapped by the thaw itself every access finds it.) Cheap when it is
 * there; does nothing for a vkernel that was booted or thawed eagerly. RAM must not be punched out (MADV_REMOVE) and the
 * process not forked before the fill is complete.
 * 0, or -EINVAL: no such segment or range. What cannot be brought ends the process with status VKCKPT_EXIT_STOPPED.
 * Safety: MT-Safe, AS-Safe; Blocks. Since 0.2.
 */
int vkckpt_fill(struct vkckpt *, unsigned segment, uint64_t offset, uint64_t bytes);
struct vkckpt_fill_info {
	size_t size;			/* sizeof(struct vkckpt_fill_info) */
	uint32_t state;			/* enum vkckpt_fill_state */
	uint32_t reserved;
	uint64_t done_bytes, total_bytes;
	struct vkckpt_error not_lazy;	/* FILL_EAGER: why, if it was to be lazy; else its code is 0 */
};
/* How far a lazy thaw is. 0, or -EINVAL: out->size. Safety: MT-Safe, AS-Safe. Since 0.2. */
int vkckpt_fill_status(const struct vkckpt *, struct vkckpt_fill_info *out);
/* Number of vCPUs, from the image after a thaw. Safety: MT-Safe, AS-Safe. Since 0.1. */
uint32_t vkckpt_vcpu_count(const struct vkckpt *);
/* Name of the vkernel (from the image, after a thaw). Memory: until vkckpt_disarm. Safety: MT-Safe, AS-Safe. Since 0.1. */
const char *vkckpt_name(const struct vkckpt *);
/*
 * Path of the last image that this process has committed, "" if there is none or it went to a descriptor. *chain_length, if
 * not NULL: how many images it needs, itself included: 1 a full one, 0 none. Call it where no capture can be under way: in
 * hook resumed, or behind the safe point. Memory: until the next capture. Safety: MT-Safe, AS-Safe. Since 0.2.
 */
const char *vkckpt_last_image(const struct vkckpt *, uint32_t *chain_length);
/*
 * Device i of the armed vkernel, so that a thawing program finds what its classes opened: NULL past the end. Those of
 * policy DROP that could not be opened are not among them. Memory: until vkckpt_disarm. Safety: MT-Safe, AS-Safe. Since
 * 0.1.
 */
const struct vkckpt_device *vkckpt_device_at(const struct vkckpt *, size_t i);

/*
 * GNU build id of the running program: up to `room` bytes of it to out; the number of bytes copied, 0: it has none.
 * Safety: MT-Safe, AS-Safe; reads /proc. Since 0.1.
 */
size_t vkckpt_build_id(void *out, size_t room);

/*
 * Calls entry(arg) on the stack that ends at stack_top, for vCPUs of resume kind CONTEXT whose stack lies in RAM or a
 * region. entry must not return: the frame that called this is not part of an image. Safety: MT-Safe, AS-Safe. Since 0.1.
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
