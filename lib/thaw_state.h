// What the stages of one thaw hand to each other. It lies on the caller's stack, outside everything that a thaw overwrites.
#ifndef VKCKPT_LIB_THAW_STATE_H
#define VKCKPT_LIB_THAW_STATE_H

#include <vkckpt/vkckpt.h>

#include "lib/chain.h"
#include "lib/clone.h"
#include "lib/context.h"
#include "lib/fill.h"
#include "lib/image_file.h"

namespace vk {

struct Thaw {
	const struct vkckpt_thaw_config *config = nullptr;	// not after the regions are overwritten: it may lie in one
	bool clone = false;
	int fd = -1;
	bool own_fd = false;
	OpenImage *image = nullptr;			// in image_memory
	Chain *chain = nullptr;				// likewise: what the image is built on
	Arena image_memory;
	uint64_t began_ns = 0, loaded_ns = 0;		// CLOCK_MONOTONIC
	int userfault = -1;				// for a lazy thaw; -1: eager
	Status not_lazy;				// why it is eager, though asked to be lazy
	Fill *fill = nullptr;				// a lazy thaw; owns image, chain, image_memory, fd and userfault
	struct vkckpt_f_host here;
	struct vkckpt_cpu cpu = {};			// what guests are shown from now on, if masked

	uint32_t segment_count = 0;
	struct vkckpt_segment segments[VKCKPT_MAX_SEGMENTS] = {};	// fd -1: address only reserved
	uint32_t region_count = 0;
	struct vkckpt_region regions[VKCKPT_MAX_REGIONS] = {};
	bool region_made[VKCKPT_MAX_REGIONS] = {};	// mapped by us, not part of the program
	uint8_t *staging[VKCKPT_MAX_REGIONS] = {};	// their content until the last moment
	struct VkOverwrite overwrite[VKCKPT_MAX_REGIONS] = {};

	uint32_t device_count = 0;			// open ones
	struct vkckpt_device devices[VKCKPT_MAX_DEVICES] = {};
	struct vkckpt_error device_error = {};		// what a class said, if it said anything
	Status refused;					// a dry run: the first refusal, and its words
	struct vkckpt_error refused_error = {};

	char name[VKCKPT_MAX_NAME + 1] = {};		// of the vkernel
	CloneDisks clone_disks;
	char default_image[VKCKPT_MAX_PATH + 1] = {};	// where the caller does not say: NAME.ckpt, or the image's own path
	struct vkckpt *ck = nullptr;			// the new vkernel, not published yet
	struct vkckpt_thaw_info info = {};
};

// check.cc: everything that can be refused by looking.
Status thaw_check(Thaw &);
// What one check says. A dry run keeps it, tells it and goes on to the next check; else the thaw ends with it.
Status go_on(Thaw &, const Status &);
// thaw_memory.cc
Status thaw_reserve(Thaw &);		// the addresses of RAM and regions
Status thaw_load(Thaw &);		// RAM and the regions' content; the whole image is verified when it succeeds, but for a lazy thaw's RAM
void thaw_unmap(Thaw &);
// thaw_lazy.cc
Status thaw_choose(Thaw &);		// lazy or eager, before the image is read
Status thaw_begin_fill(Thaw &);		// in place of reading RAM: regions and hot chunks are loaded, the rest comes when it is touched
void thaw_tell_fill(Thaw &);		// to the run directory, before the vkernel is published
// thaw_devices.cc
Status thaw_open_devices(Thaw &);
void thaw_close_devices(Thaw &);
// thaw_context.cc
Status thaw_make_context(Thaw &);
Status thaw_ram_ready(Thaw &);
Status thaw_make_vmspaces(Thaw &);
void thaw_set_clocks(Thaw &);

}  // namespace vk
#endif
