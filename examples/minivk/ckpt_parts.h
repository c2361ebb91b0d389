// Between the three files of the glue.
#ifndef MINIVK_CKPT_PARTS_H
#define MINIVK_CKPT_PARTS_H

#include <vkckpt/vkckpt.h>

#include "kernel.h"

namespace minivk {

// ckpt_devices.cc
const struct vkckpt_device *boot_devices(size_t *count);
const struct vkckpt_device_class *const *device_classes(size_t *count);
extern const char *console_option;	// --console of a thaw, or null: as recorded
extern bool disk_digest_option;		// --disk-digest
extern bool dry_run_option;
void end_disk();			// an orderly end: the disk's fence says "idle"

// ckpt_notice.cc
void notice_begin(void *);
int notice_poll(void *, const char **why);
void notice_undo(void *);
void checkpoint_ended(int32_t outcome);	// under the kernel lock, or before any vCPU runs

}  // namespace minivk
#endif
