// SPDX-License-Identifier: GPL-2.0
/*
 * Host side: the devices as the library sees them: what their classes share, and the machine and hostfs. save runs QUIET and only reads; open
 * runs in the thawing process while everything can still be refused; attach runs when the kernel's data are back. What open found goes to
 * attach in host memory (struct vk_open).
 *
 * The rule that keeps this small: the descriptor number is the identity. attach puts what open opened under the number that the restored
 * structures know; owners whose host state has no name of its own (socket pairs, threads, timers) make it anew in their *_thaw().
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <kern_util.h>
#include <os.h>
#include "vkckpt_int.h"

int um_vkckpt_hostfs_fd[UM_VK_FILES], um_vkckpt_hostfs_count;

int vk_fail(struct vkckpt_error *err, int code, int reason, const char *name, const char *fmt, const char *arg)
{
	char what[300];

	memset(err, 0, sizeof(*err));
	err->code = code;
	err->reason = reason;
	err->where = "thaw: open";
	snprintf(err->subject, sizeof(err->subject), "%s", name);
	snprintf(what, sizeof(what), fmt, arg);
	snprintf(err->message, sizeof(err->message), "thaw: %s: %s%s%s (%s)", name, what, code ? ": " : "",
		 code ? strerror(code) : "", vkckpt_reason_name(reason));
	return -code;
}

/* The name is "ubd0", "con1", ... */
struct vk_open *vk_new(const char *name, int first)
{
	struct vk_open *o = um_vkckpt_host_alloc(sizeof(*o));

	if (!o)
		return NULL;
	o->dev.unit = first + atoi(name + strcspn(name, "0123456789"));
	o->fd[0] = o->fd[1] = o->old[0] = o->old[1] = -1;
	return o;
}

void vk_close(void *device)
{
	struct vk_open *o = device;
	int i;

	if (o->disk)
		vkckpt_disk_release(o->disk);
	if (o->fd[0] >= 0)
		close(o->fd[0]);
	if (o->fd[1] >= 0 && o->fd[1] != o->fd[0])
		close(o->fd[1]);
	for (i = 0; i < o->files; i++)
		close(o->file[i].fd);
}

void vk_attach_fds(struct vk_open *o)
{
	int i;

	for (i = 0; i < 2; i++)
		if (o->fd[i] >= 0 && o->old[i] >= 0)
			um_vkckpt_dup(o->fd[i], o->old[i]);
}

int vk_fd_path(int fd, char *out, int room)
{
	char link[40];
	int n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, out, room - 1);
	if (n < 0)
		return -errno;
	out[n] = 0;
	return n;
}

/* ---- machine: what belongs to the kernel as a whole. The first device, so attached first. ---- */

static int machine_save(void *device, struct vkckpt_sink *sink)
{
	int fd, limit = 16;

	for (fd = 0; fd < VK_MAX_FD; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			limit = fd + 1;
	vkckpt_put_u64(sink, "fd_limit", limit);
	vkckpt_put_u64(sink, "action", vk_action);
	vkckpt_put_u64(sink, "chain", vk_chain);
	vkckpt_put_u64(sink, "disk_digest", vk_digests);
	vkckpt_put_u64(sink, "codec", vk_codec);
	vkckpt_put_u64(sink, "level", vk_level);
	vkckpt_put_u64(sink, "workers", vk_workers);
	if (vk_binary[0])
		vkckpt_put_string(sink, "binary", vk_binary);
	vkckpt_put_string(sink, "umid", get_umid());
	vkckpt_put_string(sink, "pid_file", os_umid_file());
	vkckpt_put_bytes(sink, "args", vk_args, vk_args_bytes);
	return 0;
}

/* Two kernels of one name would take each other's management console away. */
static int machine_open(void *arg, const char *name, const struct vkckpt_source *source, void **device, struct vkckpt_error *err)
{
	const char *path = vkckpt_get_string(source, "pid_file");
	char text[16] = "";
	int fd = path && *path ? open(path, O_RDONLY | O_CLOEXEC) : -1, pid, n = 0;

	if (fd >= 0) {
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	pid = n > 0 ? atoi(text) : 0;
	if (pid > 0 && pid != getpid() && kill(pid, 0) == 0)
		return vk_fail(err, EBUSY, VKCKPT_R_BUSY, name, "its umid belongs to a running process (%s)", path);
	*device = vk_new(name, 0);
	return *device ? 0 : -ENOMEM;
}

static void machine_attach(void *device)
{
	int fd;

	phys_fd_thaw(fcntl(vk_host->ram_fd, F_DUPFD_CLOEXEC, vk_host->first_free));
	for (fd = 0; fd < UM_VK_VEC; fd++)
		um_vkckpt_vec_fd[fd][0] = um_vkckpt_vec_fd[fd][1] = -1;
}

/* ---- files of the host that guest processes have open through hostfs ---- */

/* A file without a name on the host cannot be opened again. */
void um_vkckpt_hostfs_check(void)
{
	static char path[UM_VK_PATH], why[UM_VK_PATH + 40];
	int i, n;

	for (i = 0; i < um_vkckpt_hostfs_count; i++) {
		n = vk_fd_path(um_vkckpt_hostfs_fd[i], path, sizeof(path));
		if (n < 10 || strcmp(path + n - 10, " (deleted)"))
			continue;
		snprintf(why, sizeof(why), "a guest process has %s open", path);
		um_vkckpt_refuse("hostfs", why);
	}
}

static int hostfs_save(void *device, struct vkckpt_sink *sink)
{
	static char path[UM_VK_PATH], value[UM_VK_PATH + 24];
	char key[24];
	int i, r;

	for (i = 0; i < um_vkckpt_hostfs_count; i++) {
		int fd = um_vkckpt_hostfs_fd[i];

		r = vk_fd_path(fd, path, sizeof(path));
		if (r < 0)
			return r;
		snprintf(key, sizeof(key), "fd%d", fd);
		snprintf(value, sizeof(value), "%o:%s", fcntl(fd, F_GETFL), path);
		r = vkckpt_put_string(sink, key, value);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What has become a pipe or a device meanwhile is not the file that it was, and must not keep the thaw waiting. */
static int vk_open_again(const char *path, int flags)
{
	int fd = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || (fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) && fcntl(fd, F_SETFL, flags) == 0))
		return fd;
	close(fd);
	errno = ESTALE;
	return -1;
}

static int hostfs_open(void *arg, const char *name, const struct vkckpt_source *source, void **device, struct vkckpt_error *err)
{
	struct vk_open *o = vk_new(name, 0);
	const char *value;
	char key[24], *path;
	int fd, flags;

	if (!o)
		return -ENOMEM;
	for (fd = 3; fd < VK_MAX_FD && o->files < UM_VK_FILES; fd++) {
		snprintf(key, sizeof(key), "fd%d", fd);
		value = vkckpt_get_string(source, key);
		if (!value)
			continue;
		flags = strtol(value, &path, 8) & ~(O_CREAT | O_EXCL | O_TRUNC | O_ASYNC);
		o->file[o->files].fd = vk_open_again(path + 1, flags);
		o->file[o->files].old = fd;
		if (o->file[o->files].fd < 0) {
			int code = errno;

			vk_close(o);
			return vk_fail(err, code, VKCKPT_R_DEVICE_MISSING, name, "cannot open %s, which a guest process had open", path + 1);
		}
		o->files++;
	}
	*device = o;
	return 0;
}

static void hostfs_attach(void *device)
{
	struct vk_open *o = device;
	int i;

	for (i = 0; i < o->files; i++)
		um_vkckpt_dup(o->file[i].fd, o->file[i].old);
}

static VK_CLASS(vk_machine_class, "machine", machine);
static VK_CLASS(vk_hostfs_class, "hostfs", hostfs);

const struct vkckpt_device_class *const vk_classes[] = { &vk_machine_class, &vk_ubd_class, &vk_line_class, &vk_vec_class, &vk_hostfs_class };
const unsigned int vk_class_count = 5;

const struct vkckpt_device_class *vk_class_of(int kind)
{
	return vk_classes[kind];	/* enum um_vkckpt_kind, in this order */
}
