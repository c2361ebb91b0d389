// The glue to libvkckpt (ckpt.cc), as the rest of minivk sees it.
#ifndef MINIVK_CKPT_H
#define MINIVK_CKPT_H

#include <vkckpt/vkckpt.h>

#include "kernel.h"
#include "options.h"

namespace minivk {

// Boot: RAM and kernel are up, no vCPU runs. Exits with a message and status 1 on failure.
void ckpt_arm(const Options &);
// Thaws instead of booting: afterwards RAM, kernel and devices are there. Status to exit with, or -1: start the vCPUs.
int ckpt_thaw(const Options &);
void ckpt_open_disk(const Options &);	// -r: before the guest's drivers look for it
void ckpt_end(bool suspended);		// the vkernel has halted or was suspended
int ckpt_safe_point(unsigned cpu);	// enum vkckpt_verdict
void ckpt_fill(uint64_t offset, uint64_t bytes);	// before RAM is mapped elsewhere: a lazy thaw brings that part of it first
void ckpt_resume(unsigned cpu);		// first thing of each vCPU after a thaw

}  // namespace minivk
#endif
