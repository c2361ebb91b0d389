/* SPDX-License-Identifier: GPL-2.0 */
/* Host side of the checkpoint, between vkckpt.c and vkckpt_devices.c. */
#ifndef __UM_VKCKPT_INT_H
#define __UM_VKCKPT_INT_H

#include <vkckpt/vkckpt.h>
#include <vkckpt/disk.h>
#include <vkckpt/image.h>
#include <um_vkckpt.h>

#define VK_MAX_FD 1024

/* What a thawing process knows besides the data that are overwritten: the hooks' argument. */
struct vk_host {
	int ram_fd;
	int first_free;			/* descriptors below it were occupied for the restored kernel */
	unsigned char placeholder[VK_MAX_FD];
	unsigned char inherited[VK_MAX_FD];
};

/* A device as the library sees it; the table lies in a region, so that it is there again after a thaw. */
struct vk_device {
	int kind, unit;
	char name[32];
};

extern struct vk_device vk_devices[VKCKPT_MAX_DEVICES];
extern int vk_device_count;
extern struct vk_host *vk_host;			/* NULL: this process booted */
extern struct vk_host *vk_host_thawing;		/* valid only while a thaw still has its own data */
extern struct vkckpt_disk *vk_disks;		/* UM_VK_UBD of them, in host memory */
extern char vk_args[UM_VK_ARGS];
extern unsigned int vk_args_bytes;
extern unsigned int vk_action;
extern char vk_binary[UM_VK_PATH];

extern const struct vkckpt_device_class *const vk_classes[];
extern const unsigned int vk_class_count;
extern const struct vkckpt_device_class *vk_class_of(int kind);

extern void vk_say(const char *text);
/* A kernel stack has 16 kB: the library's functions but vkckpt_capture and vkckpt_request are called on one of the host's. */
extern int vk_on_host_stack(int (*fn)(void *), void *arg);

#endif
