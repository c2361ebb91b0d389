/*
 * vkckpt/disk.h: the fence of a writable disk: never two running vkernels from one suspend, never none.
 *
 * Beside DISK lies DISK.vkckpt (4096 bytes): disk id, epoch, state (running or suspended by an image), content proof. An
 * open-file-description lock on it is held for as long as the vkernel runs. What it cannot know: a disk that was copied
 * together with its sidecar.
 */
#ifndef VKCKPT_DISK_H
#define VKCKPT_DISK_H

#include <vkckpt/vkckpt.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VKCKPT_SIDECAR_SUFFIX	".vkckpt"
#define VKCKPT_SIDECAR_MAGIC	"VKCKDSK1"
enum vkckpt_disk_state { VKCKPT_DISK_IDLE = 0, VKCKPT_DISK_RUNNING = 1, VKCKPT_DISK_SUSPENDED = 2 };

/*
 * The sidecar's content, little-endian. Never written in place: a whole new file DISK.vkckpt.new is written, synced and
 * renamed over it, so no power cut leaves half of one.
 */
struct vkckpt_f_sidecar {
	char magic[8];
	uint32_t version;		/* 1 */
	uint32_t state;
	struct vkckpt_uuid disk_id;
	uint64_t epoch;			/* +1 at every change of state */
	struct vkckpt_uuid image_id;	/* state SUSPENDED: the one image that may thaw it */
	/* content proof, set at suspend: on the same host the disk must still look like this */
	uint64_t device, inode, size_bytes, ctime_ns;
	uint8_t boot_id[16];		/* host and boot that wrote it, for messages */
	uint64_t holder_pid;
	char image_path[1024];		/* for messages */
	uint8_t zero[2944];
	struct vkckpt_digest digest;	/* over bytes 0 .. 4079 */
};

/* In the caller's memory, one per disk. Host-side: never in RAM or a region. */
struct vkckpt_disk {
	int sidecar_fd;			/* -1: not held */
	int disk_fd;			/* the caller's */
	char path[VKCKPT_MAX_PATH + 1];
	struct vkckpt_f_sidecar now;	/* as on disk */
	uint32_t copies;		/* 1, set by the caller behind vkckpt_disk_boot or _thaw: a checkpoint that continues may copy it
					   where it cannot be cloned, unasked; for files that hold little, like a copy-on-write layer */
	uint32_t digests;		/* 1, set likewise: a checkpoint reads all of it and records a digest of its content, so that a copy
					   of it, or the disk in another place, is known again */
};

/*
 * Normal boot. Locks the sidecar of the disk that disk_fd (opened by the caller, who keeps it) and path lead to, links
 * resolved; makes it if there is none; records "running" in a new epoch. Fills *disk, which stays the caller's until
 * shutdown or release.
 * 0, or -errno: EINVAL arguments, EBUSY with DISK_SUSPENDED (an image is waiting for this disk) or DISK_IN_USE
 * (err->number: the holder's pid), EBADMSG SIDECAR_DAMAGED, or the host's. Safety: context ARM; MT-Safe for different
 * disks; Blocks (fsync). Since 0.1.
 */
int vkckpt_disk_boot(struct vkckpt_disk *disk, const char *path, int disk_fd, struct vkckpt_error *err);
/*
 * Orderly end: records "idle" (after a suspend: leaves "suspended") and unlocks. Without it the sidecar says "running"
 * with no holder, which a boot takes for a crash and accepts. Safety: context ARM; Blocks (fsync). Since 0.1.
 */
void vkckpt_disk_shutdown(struct vkckpt_disk *disk);
/*
 * For the open hook of a disk class at thaw, undoable by release: locks the sidecar and checks that it is suspended by
 * this very image and that the disk has not changed. source: the hook's own. The library advances the epoch at the point
 * of no return.
 * 0, or -errno: ESTALE with DISK_CHANGED or DISK_SUPERSEDED, EBUSY with DISK_IN_USE or DISK_SUSPENDED, ENOENT
 * DISK_MISSING (no sidecar), EBADMSG, or the host's. Safety: context THAW; Blocks (fsync). Since 0.1.
 */
int vkckpt_disk_thaw(struct vkckpt_disk *disk, const char *path, int disk_fd, const struct vkckpt_source *source,
    struct vkckpt_error *err);
/* Undo of vkckpt_disk_thaw, for the close hook: unlocks, nothing written. disk_fd stays open. Safety: MT-Safe. Since 0.1. */
void vkckpt_disk_release(struct vkckpt_disk *disk);
/*
 * Forgets the suspended state of a disk whose image will never be thawed (every image of it is refused from now on), and
 * repairs a damaged sidecar.
 * 0, or -errno: EBUSY DISK_IN_USE, ENOENT there is no sidecar, or the host's. Safety: MT-Safe; Blocks (fsync). Since 0.1.
 */
int vkckpt_disk_discard(const char *path, struct vkckpt_error *err);
/*
 * Whether an image could be thawed on a disk as it is now: what vkckpt_disk_thaw would say, by the same rule, with nothing locked, opened for
 * reading or changed. source: of the disk's device in the image (vkckpt_image_device). *now: the sidecar, zeros if there is none.
 * now->state RUNNING in an epoch after the image's: a thaw of it took this disk and died; it can be done again if another of its disks waits.
 * 0: yes; 1: yes if the disk's content is that of the image's digest, which only reading it tells; -errno as vkckpt_disk_thaw.
 * Safety: MT-Safe. Since 0.2.
 */
int vkckpt_disk_fits(const char *path, const struct vkckpt_source *source, struct vkckpt_f_sidecar *now, struct vkckpt_error *err);
/*
 * vkckpt_disk_discard, but only if the disk waits for the very image that source is of, decided under the lock. That is also so when the vkernel
 * or its thaw died before it could say so. 1: it waited, and is idle now; 0: it did not, nothing was changed; -errno: those of
 * vkckpt_disk_discard, EBADMSG the sidecar or the source is damaged. Safety: MT-Safe; Blocks (fsync). Since 0.2.
 */
int vkckpt_disk_forget(const char *path, const struct vkckpt_source *source, struct vkckpt_error *err);
/* Reads the sidecar of a disk without locking it. 0, or -errno: ENOENT there is none, EBADMSG it is damaged. Safety: MT-Safe. Since 0.1. */
int vkckpt_disk_inspect(const char *path, struct vkckpt_f_sidecar *out, struct vkckpt_error *err);

#ifdef __cplusplus
static_assert(sizeof(struct vkckpt_f_sidecar) == 4096, "sidecar");
}
#else
_Static_assert(sizeof(struct vkckpt_f_sidecar) == 4096, "sidecar");
#endif
#endif
