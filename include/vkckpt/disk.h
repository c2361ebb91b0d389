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

/* The sidecar's content, little-endian. Rewritten whole by one pwrite of 4096 bytes, then fsync. */
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
};

/*
 * Normal boot: locks the sidecar (made if it is not there), refuses a suspended disk (EBUSY, DISK_SUSPENDED) and one in use
 * (EBUSY, DISK_IN_USE), records "running". disk_fd is the opened disk.
 */
int vkckpt_disk_boot(struct vkckpt_disk *, const char *path, int disk_fd, struct vkckpt_error *err);
/* Orderly end without a suspend: records "idle", unlocks. */
void vkckpt_disk_shutdown(struct vkckpt_disk *);
/*
 * Thaw, undoable part: locks and checks that the sidecar says "suspended by this image" and that the disk has not changed.
 * The source is that of the device's record (the library saved id and epoch beside the class's own keys).
 */
int vkckpt_disk_thaw(struct vkckpt_disk *, const char *path, int disk_fd, const struct vkckpt_source *,
    struct vkckpt_error *err);
/* Undo of vkckpt_disk_thaw: unlocks, nothing written. */
void vkckpt_disk_release(struct vkckpt_disk *);
/* Forgets the suspended state of a disk whose image will never be thawed. Refuses a disk in use. */
int vkckpt_disk_discard(const char *path, struct vkckpt_error *err);
/* Reads the sidecar without locking. -ENOENT: there is none. */
int vkckpt_disk_inspect(const char *path, struct vkckpt_f_sidecar *out, struct vkckpt_error *err);

#ifdef __cplusplus
static_assert(sizeof(struct vkckpt_f_sidecar) == 4096, "sidecar");
}
#else
_Static_assert(sizeof(struct vkckpt_f_sidecar) == 4096, "sidecar");
#endif
#endif
