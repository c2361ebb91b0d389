/*
 * /dev/vkckpt of minivk, for guest programs in C and C++: what a process can know of checkpoints and say about them.
 *
 * read	one line, "generation HEX thaws N\n": HEX are the 32 digits of a random number that is new after every thaw, N counts the
 *	thaws. It can be read again after lseek to 0, or with pread.
 * poll	POLLIN: this open file has not been read to the end of the line since the last thaw (or ever). POLLPRI: a checkpoint is coming, and this
 *	open file registered for notices and has not answered.
 * write	the same orders for shells, one line per write: "register", "ack", "veto", "checkpoint" (write an image and go on) and
 *	"suspend" (write an image and end the vkernel).
 */
#ifndef MINIVK_GUEST_VKCKPT_H
#define MINIVK_GUEST_VKCKPT_H

#include <sys/ioctl.h>

/* Asks for notices of coming checkpoints until the file is closed. Returns 0. */
#define VKDEV_REGISTER		_IO('k', 1)
/*
 * Answers to a notice. Return 0, or fail with ENOMSG when no answer is awaited. ACK: this process is ready. VETO: the
 * checkpoint does not take place; who asked for it is told ECANCELED. Without an answer it takes place at the deadline.
 */
#define VKDEV_ACK		_IO('k', 2)
#define VKDEV_VETO		_IO('k', 3)
/* Milliseconds left to answer a notice; 0 when there is none. */
#define VKDEV_DEADLINE		_IO('k', 4)
/*
 * Asks for a checkpoint and waits for its end. arg: VKDEV_GO_ON or VKDEV_EXIT. Returns VKDEV_RESUMED in the vkernel that went
 * on, VKDEV_THAWED in one that was thawed from the image. Fails with EBUSY: another checkpoint is under way; ECANCELED: vetoed;
 * EINTR: a signal came, the checkpoint may still take place; otherwise the reason why no image was made.
 */
#define VKDEV_CHECKPOINT	_IO('k', 5)
/*
 * No image will hold these pages: a private writable mapping of this process, page-aligned, for keys. After a thaw they read as
 * zeros (the generation tells), in the vkernel that goes on they are unchanged. A child's copies are secret as well. Until they are unmapped;
 * an exec ends it. Fails with EINVAL or EFAULT.
 */
struct vkdev_secret { unsigned long long address, bytes; };
#define VKDEV_SECRET		_IOW('k', 6, struct vkdev_secret)
#define VKDEV_EXIT		1
#define VKDEV_GO_ON		2
#define VKDEV_RESUMED		0
#define VKDEV_THAWED		1

#endif
