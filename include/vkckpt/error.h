/* vkckpt/error.h: how every function of libvkckpt reports: a negative errno, a stable reason code, one sentence. */
#ifndef VKCKPT_ERROR_H
#define VKCKPT_ERROR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Stable: numbers and names never change their meaning. Text and remedy of each: vkckpt_reason_text(), vkckpt-refusals(7). */
enum vkckpt_reason {
	VKCKPT_R_NONE = 0,
	/* the caller */
	VKCKPT_R_BAD_ARGUMENT = 1, VKCKPT_R_LIMIT = 2, VKCKPT_R_BUSY = 3, VKCKPT_R_CANCELLED = 4,
	/* the image as a file */
	VKCKPT_R_NOT_AN_IMAGE = 20, VKCKPT_R_TRUNCATED = 21, VKCKPT_R_DAMAGED = 22, VKCKPT_R_TRAILING_DATA = 23,
	VKCKPT_R_VERSION_UNKNOWN = 24, VKCKPT_R_FEATURE_UNKNOWN = 25, VKCKPT_R_RECORD_UNKNOWN = 26,
	VKCKPT_R_CODEC_UNKNOWN = 27,
	VKCKPT_R_SEALED = 32, VKCKPT_R_KEY_WRONG = 33, VKCKPT_R_NOT_SEALED = 34, VKCKPT_R_FORGED = 35,
	VKCKPT_R_NOT_SIGNED = 36, VKCKPT_R_SIGNATURE_WRONG = 37, VKCKPT_R_KEY_FILE = 38,
	/* the image on this host, for this vkernel */
	VKCKPT_R_ARCH_DIFFERS = 40, VKCKPT_R_PAGE_SIZE_DIFFERS = 41, VKCKPT_R_CPU_LACKS_FEATURE = 42,
	VKCKPT_R_XSTATE_LACKING = 43, VKCKPT_R_PROGRAM_DIFFERS = 44, VKCKPT_R_BUILD_DIFFERS = 45,
	VKCKPT_R_LAYOUT_DIFFERS = 46, VKCKPT_R_MEMORY_SHORT = 47, VKCKPT_R_ADDRESS_TAKEN = 48,
	VKCKPT_R_RESUME_DIFFERS = 49, VKCKPT_R_LAZY_UNAVAILABLE = 50,
	VKCKPT_R_CPU_UNMASKED = 51,	/* guests are to be shown fewer features than the host has, and it cannot hide any */
	/* devices and disks */
	VKCKPT_R_DEVICE_UNKNOWN = 60, VKCKPT_R_DEVICE_MISSING = 61, VKCKPT_R_OVERRIDE_UNKNOWN = 62,
	VKCKPT_R_DISK_MISSING = 63, VKCKPT_R_DISK_CHANGED = 64, VKCKPT_R_DISK_IN_USE = 65, VKCKPT_R_DISK_SUSPENDED = 66,
	VKCKPT_R_DISK_SUPERSEDED = 67, VKCKPT_R_DISK_NOT_FROZEN = 68, VKCKPT_R_SIDECAR_DAMAGED = 69,
	VKCKPT_R_CLONE_EXISTS = 70, VKCKPT_R_CLONE_DEVICE = 71,
	/* capture */
	VKCKPT_R_QUIESCE_TIMEOUT = 80, VKCKPT_R_HOOK_FAILED = 81, VKCKPT_R_VETOED = 82,
	VKCKPT_R_IMAGE_IN_USE = 83,	/* another capture writes NAME.part; as a warning: another vkernel has the same path */
	/* the host */
	VKCKPT_R_NO_SPACE = 100, VKCKPT_R_IO_ERROR = 101, VKCKPT_R_PERMISSION = 102, VKCKPT_R_NOT_FOUND = 103,
	VKCKPT_R_NO_MEMORY = 104, VKCKPT_R_SYSTEM = 105, VKCKPT_R_NO_DESCRIPTOR = 106,
	/* an incremental image and those that it is built on */
	VKCKPT_R_PARENT_MISSING = 120, VKCKPT_R_PARENT_CHANGED = 121, VKCKPT_R_PARENT_NEEDED = 122,
	VKCKPT_R_PARENT_UNFIT = 123, VKCKPT_R_CHAIN_LOOP = 124, VKCKPT_R_CHAIN_TOO_DEEP = 125
};

/* Filled by every function that takes one, when it fails; a NULL pointer is allowed. */
struct vkckpt_error {
	int32_t code;			/* errno, positive */
	uint32_t reason;		/* enum vkckpt_reason */
	uint64_t number;		/* offset, size, count or address that goes with it; else 0 */
	const char *where;		/* literal: the stage, "thaw: check" */
	char subject[64];		/* the thing: "disk0", "segment 0", a file's name; may be empty */
	char message[384];		/* one line for a person: the thing, the reason and the remedy, ending in (REASON) */
};

/* "DISK_CHANGED"; "UNKNOWN" for a number that is none. Safety: MT-Safe, AS-Safe. */
const char *vkckpt_reason_name(uint32_t reason);
/* What it means, and what to do about it. Safety: MT-Safe, AS-Safe. */
const char *vkckpt_reason_text(uint32_t reason);
const char *vkckpt_reason_remedy(uint32_t reason);

/*
 * For device classes and hooks that speak for themselves: fills *err (NULL is allowed) with code (a positive errno), reason (0: the one that
 * goes with code) and the message "where: subject: said (REASON)"; said is what is wrong and what to do, NULL: the reason's own
 * words. where must stay (a literal); control characters in subject and said become '?'. Returns -code. Safety: MT-Safe, AS-Safe. Since 0.2.
 */
int vkckpt_error_fill(struct vkckpt_error *err, int code, uint32_t reason, const char *where, const char *subject,
    const char *said);

/*
 * The error as one JSON object (RFC 8259), in UTF-8 whatever the names in it are made of: {"reason": "DISK_CHANGED", "code": 64, "errno": "ESTALE",
 * "where": ..., "subject": ..., "number": ..., "text": ..., "remedy": ..., "message": ...}. reason and code are the stable ones of enum
 * vkckpt_reason. Returns its length, without the NUL; an object that does not fit in `room` bytes (2048 are always enough)
 * is not begun: 0, and out is empty. Safety: MT-Safe, AS-Safe. Since 0.2.
 */
size_t vkckpt_error_json(const struct vkckpt_error *, char *out, size_t room);

#ifdef __cplusplus
}
#endif
#endif
