// SPDX-License-Identifier: GPL-2.0
/*
 * Host side: block devices in an image, and the fences of the writable ones. The contexts of each function: vkckpt_devices.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>
#include <kern_util.h>
#include <os.h>
#include "vkckpt_int.h"

char um_vkckpt_ubd_path[UM_VK_UBD][2][UM_VK_PATH];

/* UM_VK_UBD of them, in host memory; found again at a thaw by what open left. */
static struct vkckpt_disk *vk_disks;

/* A path that means the same elsewhere in the folder tree. */
static void ubd_put_path(struct vkckpt_sink *sink, const char *key, const char *path, int fd)
{
	char real[UM_VK_PATH];

	vkckpt_put_string(sink, key, fd >= 0 && vk_fd_path(fd, real, sizeof(real)) > 0 ? real : path);
}

static int ubd_save(void *device, struct vkckpt_sink *sink)
{
	struct vk_device *d = device;
	struct um_vkckpt_ubd u;
	struct stat st;

	if (!ubd_vkckpt_facts(d->unit, &u))
		return vkckpt_put_string(sink, "path", "");		/* taken away since the kernel started */
	ubd_put_path(sink, "path", u.path, u.fd);
	if (u.backing)
		ubd_put_path(sink, "backing", u.backing, u.backing_fd);
	if (u.backing_fd >= 0 && fstat(u.backing_fd, &st) == 0)
		vkckpt_put_u64(sink, "backing_mtime", st.st_mtime);
	if (u.fd >= 0)
		vkckpt_put_u64(sink, "fd", u.fd);
	if (u.backing_fd >= 0)
		vkckpt_put_u64(sink, "backing_fd", u.backing_fd);
	vkckpt_put_u64(sink, "writable", u.writable);
	vkckpt_put_u64(sink, "shared", u.shared);
	vkckpt_put_u64(sink, "sync", u.sync);
	vkckpt_put_u64(sink, "size", u.size_bytes);
	return 0;
}

static int ubd_open_file(const char *name, const char *path, int flags, struct vkckpt_error *err, int *fd)
{
	*fd = path && *path ? open(path, flags | O_CLOEXEC) : -1;
	if (*fd < 0)
		return vk_fail(err, path ? errno : ENOENT, VKCKPT_R_DISK_MISSING, name, "cannot open %s; thaw.ubdN=PATH names another place",
			       path ? path : "(no path)");
	return 0;
}

/* The backing file is read through the copy-on-write file's bitmap: it must be as long as before. */
static int ubd_check_size(const char *name, int fd, const char *path, unsigned long long size, struct vkckpt_error *err)
{
	off_t end = lseek(fd, 0, SEEK_END);

	if (end < 0 || ((unsigned long long)end + 511) / 512 * 512 != size)
		return vk_fail(err, ESTALE, VKCKPT_R_DISK_CHANGED, name, "%s has another size than at the checkpoint", path);
	return 0;
}

/* A backing file has no fence; like the driver at a boot, a thaw goes by its time of modification. */
static int ubd_check_backing(const char *name, int fd, const char *path, const struct vkckpt_source *source, struct vkckpt_error *err)
{
	struct stat st;

	if (fstat(fd, &st) || (unsigned long long)st.st_mtime != vkckpt_get_u64(source, "backing_mtime", st.st_mtime))
		return vk_fail(err, ESTALE, VKCKPT_R_DISK_CHANGED, name, "the backing file %s has been written to since the checkpoint "
			       "(or was copied without its time of modification)", path);
	return ubd_check_size(name, fd, path, vkckpt_get_u64(source, "size", 0), err);
}

static int ubd_open(void *arg, const char *name, const struct vkckpt_source *source, void **device, struct vkckpt_error *err)
{
	const char *path = vkckpt_get_string(source, "path"), *backing = vkckpt_get_string(source, "backing");
	int writable = vkckpt_get_u64(source, "writable", 0), r;
	unsigned long long size = vkckpt_get_u64(source, "size", 0);
	struct vk_open *o = vk_new(name, 0);
	char real[UM_VK_PATH];

	if (!o || o->dev.unit >= UM_VK_UBD)
		return -ENOMEM;
	if (!path || !*path) {		/* it had been taken away */
		*device = o;
		return 0;
	}
	if (realpath(path, real) && strcmp(real, path))
		path = real;
	o->old[0] = (int)vkckpt_get_u64(source, "fd", -1);
	o->old[1] = (int)vkckpt_get_u64(source, "backing_fd", -1);
	snprintf(o->text[0], sizeof(o->text[0]), "%s", path);
	snprintf(o->text[1], sizeof(o->text[1]), "%s", backing ? backing : "");
	if (o->old[0] < 0) {		/* nobody had it open: only its name is kept */
		*device = o;
		return 0;
	}
	r = ubd_open_file(name, path, (writable ? O_RDWR : O_RDONLY) | (vkckpt_get_u64(source, "sync", 0) ? O_SYNC : 0), err, &o->fd[0]);
	if (r == 0 && backing) {
		r = ubd_open_file(name, backing, O_RDONLY, err, &o->fd[1]);
		if (r == 0)
			r = ubd_check_backing(name, o->fd[1], backing, source, err);
	} else if (r == 0) {
		r = ubd_check_size(name, o->fd[0], path, size, err);
	}
	if (r == 0 && writable) {
		if (!vk_disks)
			vk_disks = um_vkckpt_host_alloc(UM_VK_UBD * sizeof(*vk_disks));
		r = vk_disks ? vkckpt_disk_thaw(&vk_disks[o->dev.unit], path, o->fd[0], source, err) : -ENOMEM;
		if (r == 0) {
			o->disk = &vk_disks[o->dev.unit];
			o->disk->copies = backing != NULL;
			o->disk->digests = vk_digests;
		}
	}
	if (r < 0) {
		vk_close(o);
		return r;
	}
	*device = o;
	return 0;
}

static void ubd_attach(void *device)
{
	struct vk_open *o = device;

	if (o->disk) {
		vk_disks = o->disk - o->dev.unit;
		o->disk->disk_fd = o->old[0];
	}
	memcpy(um_vkckpt_ubd_path[o->dev.unit], o->text, sizeof(o->text));
	vk_attach_fds(o);
}

static struct vkckpt_disk *ubd_disk(void *device)
{
	struct vk_device *d = device;
	struct um_vkckpt_ubd u;

	if (vk_host_thawing)		/* still this process's own data: what open found */
		return ((struct vk_open *)device)->disk;
	if (!ubd_vkckpt_facts(d->unit, &u) || u.fd < 0 || !u.writable || !vk_disks)
		return NULL;
	return &vk_disks[d->unit];
}

struct vk_boot { int unit, fd, cow; const char *path; };

/* The fence is kept until the kernel ends, or the device gets another file. */
static int vk_boot_disk(void *arg)
{
	struct vk_boot *b = arg;
	struct vkckpt_f_sidecar now;
	struct vkckpt_error err;
	char real[UM_VK_PATH];
	int r;

	if (vk_disks && vk_disks[b->unit].path[0] && vk_disks[b->unit].sidecar_fd >= 0) {
		if (vk_fd_path(b->fd, real, sizeof(real)) > 0 && !strcmp(real, vk_disks[b->unit].path)) {
			vk_disks[b->unit].disk_fd = b->fd;
			return 0;
		}
		vkckpt_disk_shutdown(&vk_disks[b->unit]);
	}
	if (!um_vkckpt_wanted() && vkckpt_disk_inspect(b->path, &now, &err) == -ENOENT)
		return 0;
	if (!vk_disks)
		vk_disks = um_vkckpt_host_alloc(UM_VK_UBD * sizeof(*vk_disks));
	if (!vk_disks)
		return -ENOMEM;
	r = vkckpt_disk_boot(&vk_disks[b->unit], b->path, b->fd, &err);
	if (r < 0) {
		memset(&vk_disks[b->unit], 0, sizeof(vk_disks[b->unit]));
		os_vkckpt_say("ubd%d: %s\r\n", b->unit, err.message);
	}
	vk_disks[b->unit].copies = b->cow;
	vk_disks[b->unit].digests = vk_digests;
	return r;
}

int um_vkckpt_disk_boot(int unit, const char *path, int fd, int cow)
{
	struct vk_boot b = { unit, fd, cow, path };

	return vk_on_host_stack(vk_boot_disk, &b);
}

/* Orderly end without a suspend. */
static int vk_end_disks(void *arg)
{
	int i;

	for (i = 0; vk_disks && i < UM_VK_UBD; i++)
		if (vk_disks[i].path[0] && vk_disks[i].sidecar_fd >= 0)
			vkckpt_disk_shutdown(&vk_disks[i]);
	return 0;
}

void um_vkckpt_disks_end(void)
{
	vk_on_host_stack(vk_end_disks, NULL);
}

VK_CLASS(vk_ubd_class, "disk", ubd, .disk = ubd_disk);
