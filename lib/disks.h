// The fences of all writable disks of a vkernel, as steps of a capture and of a thaw: everything up to replace can be reverted.
#ifndef VKCKPT_LIB_DISKS_H
#define VKCKPT_LIB_DISKS_H

#include "lib/commit.h"
#include "lib/context.h"

namespace vk {

// --- capture. check: SAFE POINT, refuses what can be foreseen. The rest: QUIET.
Status disks_check(struct vkckpt &);
// Suspend: syncs each disk and takes its proof. Continue: makes a frozen copy of each beside the image, unless RAM alone is asked for.
Status disks_freeze(struct vkckpt &, const ImageFile &);
void disk_save_fence(const DiskStep &, struct vkckpt_sink *);
Status disks_prepare(struct vkckpt &);		// new sidecars, complete and synced, under temporary names

// --- thaw
Status disks_prepare_running(struct vkckpt &);	// the same: the next state is "running"

// --- both
Status disks_replace(struct vkckpt &);
void disks_revert(struct vkckpt &);
void disks_finish(struct vkckpt &);

}  // namespace vk
#endif
