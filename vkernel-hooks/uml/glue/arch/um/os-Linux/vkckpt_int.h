/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of the host side share: vkckpt.c, vkckpt_regions.c, vkckpt_thaw.c, vkckpt_devices.c and those of its devices. */
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

/* What open of a class found: in host memory, so that attach finds it behind the point of no return. */
struct vk_open {
	struct vk_device dev;		/* first: save and disk get one or the other */
	int fd[2];			/* opened; -1: none */
	int old[2];			/* the numbers they had */
	unsigned short size[2];
	char text[2][UM_VK_PATH];
	struct vkckpt_disk *disk;	/* fenced */
	struct vk_file { int fd, old; } file[UM_VK_FILES];
	int files;
};

/* vkckpt.c */
extern struct vkckpt *vk;
extern struct vkckpt_error vk_error;
extern struct vk_device vk_devices[VKCKPT_MAX_DEVICES];
extern int vk_device_count;
extern struct vk_host *vk_host;			/* NULL: this process booted */
extern struct vk_host *vk_host_thawing;		/* valid only while a thaw still has its own data */
extern char vk_args[UM_VK_ARGS];
extern unsigned int vk_args_bytes;
extern unsigned int vk_action, vk_chain, vk_codec, vk_level, vk_workers, vk_digests;
extern char vk_binary[UM_VK_PATH];		/* where the binary is kept; "": not */
extern const struct vkckpt_hooks vk_hooks;
extern int vk_stream(const char *image);	/* the descriptor of "fd:N", for an image that is no file; -1: it is one */
extern void vk_default_chain(int is_file);	/* where nobody says: one for images that are files and follow each other */
extern int vk_common(struct vkckpt_config *c);	/* what a boot and a thaw tell the library: 0 or -errno */
/* A kernel stack has 16 kB: the library's functions but vkckpt_capture and vkckpt_request are called on one of the host's. */
extern int vk_on_host_stack(int (*fn)(void *), void *arg);

/* vkckpt_regions.c: how many, or -ENOBUFS. */
extern int vk_regions(struct vkckpt_region *out, char (*names)[16]);

/* vkckpt_devices.c */
extern const struct vkckpt_device_class *const vk_classes[];
extern const unsigned int vk_class_count;
extern const struct vkckpt_device_class *vk_class_of(int kind);
extern int vk_fail(struct vkckpt_error *err, int code, int reason, const char *name, const char *fmt, const char *arg);
extern struct vk_open *vk_new(const char *name, int first);	/* of the device NAME and its number, counted from first */
extern void vk_close(void *device);
extern void vk_attach_fds(struct vk_open *o);
extern int vk_fd_path(int fd, char *out, int room);		/* where a descriptor leads to: its length, or -errno */

/* The classes but machine and hostfs have a file each. */
extern const struct vkckpt_device_class vk_ubd_class, vk_line_class, vk_vec_class;
#define VK_CLASS(id, n, k, ...) const struct vkckpt_device_class id = { .size = sizeof(id), .name = n, .version = 1, \
	.save = k##_save, .open = k##_open, .close = vk_close, .attach = k##_attach, ##__VA_ARGS__ }

#endif
