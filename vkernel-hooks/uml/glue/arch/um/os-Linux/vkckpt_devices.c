// SPDX-License-Identifier: GPL-2.0
/*
 * Host side: the devices as the library sees them. save runs QUIET and only reads; open runs in the thawing process while everything can
 * still be refused; attach runs when the kernel's data are back. What open found goes to attach in host memory (struct vk_open).
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
#include <termios.h>
#include <unistd.h>
#include <net/if.h>
#include <linux/if_tun.h>
#include <linux/if_packet.h>
#include <linux/if_ether.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <kern_util.h>
#include <os.h>
#include "vkckpt_int.h"

struct vk_open {
	struct vk_device dev;		/* first: save and disk get one or the other */
	int fd[2];			/* opened; -1: none */
	int old[2];			/* the numbers they had */
	int overridden;
	unsigned short size[2];
	char text[2][UM_VK_PATH];
	struct vkckpt_disk *disk;	/* fenced */
	struct vk_file { int fd, old; } file[UM_VK_FILES];
	int files;
};

struct vkckpt_disk *vk_disks;

char um_vkckpt_ubd_path[UM_VK_UBD][2][UM_VK_PATH];
char um_vkckpt_line_conf[UM_VK_LINES][128];
unsigned short um_vkckpt_line_size[UM_VK_LINES][2];
char um_vkckpt_vec_args[UM_VK_VEC][UM_VK_PATH];
int um_vkckpt_vec_fd[UM_VK_VEC][2];
int um_vkckpt_hostfs_fd[UM_VK_FILES], um_vkckpt_hostfs_count;

static int vk_fail(struct vkckpt_error *err, int code, int reason, const char *name, const char *fmt, const char *arg)
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

static struct vk_open *vk_new(int unit)
{
	struct vk_open *o = um_vkckpt_host_alloc(sizeof(*o));

	if (!o)
		return NULL;
	o->dev.unit = unit;
	o->fd[0] = o->fd[1] = o->old[0] = o->old[1] = -1;
	return o;
}

static void vk_close(void *device)
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

static void vk_attach_fds(struct vk_open *o)
{
	int i;

	for (i = 0; i < 2; i++)
		if (o->fd[i] >= 0 && o->old[i] >= 0)
			um_vkckpt_dup(o->fd[i], o->old[i]);
}

/* The name is "ubd0", "con1", ...: its number. */
static int vk_unit(const char *name)
{
	while (*name && (*name < '0' || *name > '9'))
		name++;
	return atoi(name);
}

/* A path that means the same elsewhere in the folder tree. */
static void vk_put_path(struct vkckpt_sink *sink, const char *key, const char *path, int fd)
{
	char link[40], real[UM_VK_PATH];
	int n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = fd >= 0 ? readlink(link, real, sizeof(real) - 1) : -1;
	if (n > 0) {
		real[n] = 0;
		path = real;
	}
	vkckpt_put_string(sink, key, path);
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
	vkckpt_put_u64(sink, "sync_us", um_vkckpt_phase_us[0]);
	vkckpt_put_u64(sink, "freeze_us", um_vkckpt_phase_us[1]);
	vkckpt_put_u64(sink, "devices_us", um_vkckpt_phase_us[2]);
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
	*device = vk_new(0);
	return *device ? 0 : -ENOMEM;
}

static void machine_attach(void *device)
{
	int fd;

	phys_fd_thaw(fcntl(vk_host->ram_fd, F_DUPFD_CLOEXEC, vk_host->first_free));
	for (fd = 0; fd < UM_VK_VEC; fd++)
		um_vkckpt_vec_fd[fd][0] = um_vkckpt_vec_fd[fd][1] = -1;
}

/* ---- block devices ---- */

static int ubd_save(void *device, struct vkckpt_sink *sink)
{
	struct vk_device *d = device;
	struct um_vkckpt_ubd u;

	if (!ubd_vkckpt_facts(d->unit, &u))		/* taken away since the kernel started */
		return vkckpt_put_string(sink, "path", "");
	vk_put_path(sink, "path", u.path, u.fd);
	if (u.backing)
		vk_put_path(sink, "backing", u.backing, u.backing_fd);
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

static int ubd_open(void *arg, const char *name, const struct vkckpt_source *source, void **device, struct vkckpt_error *err)
{
	const char *path = vkckpt_get_string(source, "path"), *backing = vkckpt_get_string(source, "backing");
	int writable = vkckpt_get_u64(source, "writable", 0), r;
	unsigned long long size = vkckpt_get_u64(source, "size", 0);
	struct vk_open *o = vk_new(vk_unit(name));
	char real[UM_VK_PATH];

	if (!o || o->dev.unit >= UM_VK_UBD)
		return -ENOMEM;
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
			r = ubd_check_size(name, o->fd[1], backing, size, err);
	} else if (r == 0) {
		r = ubd_check_size(name, o->fd[0], path, size, err);
	}
	if (r == 0 && writable) {
		if (!vk_disks)
			vk_disks = um_vkckpt_host_alloc(UM_VK_UBD * sizeof(*vk_disks));
		r = vk_disks ? vkckpt_disk_thaw(&vk_disks[o->dev.unit], path, o->fd[0], source, err) : -ENOMEM;
		if (r == 0)
			o->disk = &vk_disks[o->dev.unit];
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

/* Takes the fence when the disk is opened for writing: 0, or -errno. Kept until the kernel ends. */
struct vk_boot { int unit, fd, wanted; const char *path; };

static int vk_boot_disk(void *arg)
{
	struct vk_boot *b = arg;
	struct vkckpt_f_sidecar now;
	struct vkckpt_error err;
	int r;

	if (vk_disks && vk_disks[b->unit].path[0] && vk_disks[b->unit].sidecar_fd >= 0) {
		vk_disks[b->unit].disk_fd = b->fd;
		return 0;
	}
	if (!b->wanted && vkckpt_disk_inspect(b->path, &now, &err) == -ENOENT)
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
	return r;
}

int um_vkckpt_disk_boot(int unit, const char *path, int fd, int wanted)
{
	struct vk_boot b = { unit, fd, wanted, path };

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

/* ---- consoles and serial lines: the channels are opened by their own code once the kernel runs; here is what can be refused ---- */

static const char *line_facts(const struct vk_device *d, int *fd)
{
	return d->unit < 16 ? stdio_console_vkckpt_facts(d->unit, fd) : ssl_vkckpt_facts(d->unit - 16, fd);
}

static int line_save(void *device, struct vkckpt_sink *sink)
{
	struct vk_device *d = device;
	struct winsize size;
	struct termios tt;
	const char *conf;
	int fd;

	conf = line_facts(d, &fd);
	if (!conf)			/* nothing behind it any more */
		conf = "";
	vkckpt_put_string(sink, "channels", conf);
	vkckpt_put_string(sink, "recorded", conf);
	vkckpt_put_u64(sink, "open", fd >= 0);
	if (fd >= 0 && ioctl(fd, TIOCGWINSZ, &size) == 0) {
		vkckpt_put_u64(sink, "rows", size.ws_row);
		vkckpt_put_u64(sink, "columns", size.ws_col);
	}
	if (fd >= 0 && ioctl(fd, TCGETS, &tt) == 0)
		vkckpt_put_bytes(sink, "termios", &tt, sizeof(tt));
	return 0;
}

/* "fd:0,fd:1", "tty:/dev/ttyS0", "pts", "null" ...: what can be opened here? */
static int line_check(const char *name, const char *conf, int overridden, struct vkckpt_error *err)
{
	const char *p = conf;
	char path[128];
	int n, fd;

	while (p && *p) {
		n = strcspn(p, ",");
		if (!strncmp(p, "fd:", 3)) {
			fd = atoi(p + 3);
			if (fd < 0 || fd >= VK_MAX_FD || (fd > 2 && !vk_host_thawing->inherited[fd]))
				return vk_fail(err, EBADF, VKCKPT_R_DEVICE_MISSING, name, "this process was started without the descriptor of %s", conf);
			if (overridden && fd > 2 && fd < vk_host_thawing->first_free)
				return vk_fail(err, EBUSY, VKCKPT_R_BAD_ARGUMENT, name,
					       "%s: the captured kernel has descriptors of such numbers (fd_limit of machine); use a higher one", conf);
		} else if (!strncmp(p, "tty:", 4)) {
			snprintf(path, sizeof(path), "%.*s", n - 4, p + 4);
			fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
			if (fd < 0)
				return vk_fail(err, errno, VKCKPT_R_DEVICE_MISSING, name, "cannot open %s", path);
			close(fd);
		} else if ((n != 3 || (strncmp(p, "pty", 3) && strncmp(p, "pts", 3))) && (n != 4 || strncmp(p, "null", 4))) {
			return vk_fail(err, EINVAL, VKCKPT_R_BAD_ARGUMENT, name, "no channel that can be thawed: %s (fd:N tty:PATH pty pts null)", conf);
		}
		p += n;
		p += *p == ',';
	}
	return 0;
}

/* A port that the kernel is to listen on must be free. */
static int line_check_port(const char *name, const char *conf, struct vkckpt_error *err)
{
	const char *at = strstr(conf, "port:");
	struct sockaddr_in a = { .sin_family = AF_INET };
	int fd, one = 1, code;

	if (!at)
		return 0;
	a.sin_port = htons(atoi(at + 5));
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	code = fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ? errno : 0;
	if (fd >= 0)
		close(fd);
	return code ? vk_fail(err, code, VKCKPT_R_DEVICE_MISSING, name, "cannot listen where it did: %s", conf) : 0;
}

static int line_open(void *arg, const char *name, const struct vkckpt_source *source, void **device, struct vkckpt_error *err)
{
	const char *conf = vkckpt_get_string(source, "channels");
	struct vk_open *o = vk_new(vk_unit(name) + (strncmp(name, "ssl", 3) ? 0 : 16));
	int r;

	if (!o || !conf || o->dev.unit >= UM_VK_LINES || strlen(conf) >= sizeof(um_vkckpt_line_conf[0]))
		return -EINVAL;
	if (vkckpt_get_u64(source, "open", 0)) {
		const char *recorded = vkckpt_get_string(source, "recorded");

		r = line_check(name, conf, !recorded || strcmp(recorded, conf), err);
		if (r < 0)
			return r;
	} else {
		r = line_check_port(name, conf, err);
		if (r < 0)
			return r;
	}
	snprintf(o->text[0], sizeof(o->text[0]), "%s", conf);
	o->size[0] = vkckpt_get_u64(source, "rows", 0);
	o->size[1] = vkckpt_get_u64(source, "columns", 0);
	*device = o;
	return 0;
}

static void line_attach(void *device)
{
	struct vk_open *o = device;

	strcpy(um_vkckpt_line_conf[o->dev.unit], o->text[0]);
	memcpy(um_vkckpt_line_size[o->dev.unit], o->size, sizeof(o->size));
}

/* ---- network: tap, raw and fd transports of the vector driver ---- */

static int vec_arg(const char *args, const char *key, char *out, int room)
{
	int n = strlen(key), len;

	while (*args) {
		len = strcspn(args, ",");
		if (!strncmp(args, key, n) && args[n] == '=') {
			snprintf(out, room, "%.*s", len - n - 1, args + n + 1);
			return 1;
		}
		args += len;
		args += *args == ',';
	}
	return 0;
}

static int vec_save(void *device, struct vkckpt_sink *sink)
{
	struct vk_device *d = device;
	char args[UM_VK_PATH];
	int open = vector_vkckpt_facts(d->unit, args, sizeof(args));

	if (open == -ENODEV)		/* taken away since the kernel started */
		args[0] = open = 0;
	if (open < 0)
		return open;
	vkckpt_put_string(sink, "args", args);
	vkckpt_put_u64(sink, "open", open);
	return 0;
}

static int vec_open_tap(const char *name, const char *ifname, struct vkckpt_error *err, int *out)
{
	struct ifreq ifr;
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC), code;

	if (fd < 0)
		return vk_fail(err, errno, VKCKPT_R_DEVICE_MISSING, name, "cannot open %s", "/dev/net/tun");
	memset(&ifr, 0, sizeof(ifr));
	ifr.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", ifname);
	if (ioctl(fd, TUNSETIFF, &ifr) < 0) {
		code = errno;
		close(fd);
		return vk_fail(err, code, VKCKPT_R_DEVICE_MISSING, name,
			       "cannot take the tap interface %s; thaw.vecN=transport=tap,ifname=NAME names another", ifname);
	}
	ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6);
	*out = fd;
	return 0;
}

static int vec_open_raw(const char *name, const char *ifname, int proto, struct vkckpt_error *err, int *out)
{
	struct sockaddr_ll addr = { .sll_family = AF_PACKET, .sll_protocol = htons(proto) };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, proto), code;

	addr.sll_ifindex = if_nametoindex(ifname);
	if (fd < 0 || !addr.sll_ifindex || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		code = errno;
		if (fd >= 0)
			close(fd);
		return vk_fail(err, code, VKCKPT_R_DEVICE_MISSING, name, "cannot open a packet socket on %s", ifname);
	}
	*out = fd;
	return 0;
}

static int vec_open(void *arg, const char *name, const struct vkckpt_source *source, void **device, struct vkckpt_error *err)
{
	const char *args = vkckpt_get_string(source, "args");
	struct vk_open *o = vk_new(vk_unit(name));
	char transport[16] = "", ifname[64] = "", fd[16] = "";
	int r = 0;

	if (!o || !args || o->dev.unit >= UM_VK_VEC)
		return -EINVAL;
	snprintf(o->text[0], sizeof(o->text[0]), "%s", args);
	vec_arg(args, "transport", transport, sizeof(transport));
	vec_arg(args, "ifname", ifname, sizeof(ifname));
	if (!vkckpt_get_u64(source, "open", 0)) {
		;			/* the guest has not brought it up: opened when it does */
	} else if (!strcmp(transport, "tap")) {
		r = vec_open_tap(name, ifname, err, &o->fd[0]);
		o->fd[1] = o->fd[0];
	} else if (!strcmp(transport, "raw")) {
		r = vec_open_raw(name, ifname, ETH_P_ALL, err, &o->fd[0]);
		if (r == 0)
			r = vec_open_raw(name, ifname, 0, err, &o->fd[1]);
	} else if (!strcmp(transport, "fd") && vec_arg(args, "fd", fd, sizeof(fd))) {
		int n = atoi(fd);

		if (n < 0 || n >= VK_MAX_FD || !vk_host_thawing->inherited[n])
			r = vk_fail(err, EBADF, VKCKPT_R_DEVICE_MISSING, name, "this process was started without descriptor %s", fd);
		else
			o->fd[0] = o->fd[1] = fcntl(n, F_DUPFD_CLOEXEC, vk_host_thawing->first_free);
	} else {
		r = vk_fail(err, EINVAL, VKCKPT_R_BAD_ARGUMENT, name, "no transport that can be thawed: %s (tap raw fd)", transport);
	}
	if (r < 0) {
		vk_close(o);
		return r;
	}
	*device = o;
	return 0;
}

static void vec_attach(void *device)
{
	struct vk_open *o = device;

	um_vkckpt_vec_fd[o->dev.unit][0] = o->fd[0];
	um_vkckpt_vec_fd[o->dev.unit][1] = o->fd[1];
	strcpy(um_vkckpt_vec_args[o->dev.unit], o->text[0]);
}

/* ---- files of the host that guest processes have open through hostfs ---- */

/* A file without a name on the host cannot be opened again. */
void um_vkckpt_hostfs_check(void)
{
	static char path[UM_VK_PATH], why[UM_VK_PATH + 40];
	char link[40];
	int i, n;

	for (i = 0; i < um_vkckpt_hostfs_count; i++) {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", um_vkckpt_hostfs_fd[i]);
		n = readlink(link, path, sizeof(path) - 1);
		path[n > 0 ? n : 0] = 0;
		if (n < 10 || strcmp(path + n - 10, " (deleted)"))
			continue;
		snprintf(why, sizeof(why), "a guest process has %s open", path);
		um_vkckpt_refuse("hostfs", why);
	}
}

static int hostfs_save(void *device, struct vkckpt_sink *sink)
{
	static char path[UM_VK_PATH], value[UM_VK_PATH + 24];
	char key[24], link[40];
	int i, n, r;

	for (i = 0; i < um_vkckpt_hostfs_count; i++) {
		int fd = um_vkckpt_hostfs_fd[i];

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		n = readlink(link, path, sizeof(path) - 1);
		if (n < 0)
			return -errno;
		path[n] = 0;
		snprintf(key, sizeof(key), "fd%d", fd);
		snprintf(value, sizeof(value), "%o:%s", fcntl(fd, F_GETFL), path);
		r = vkckpt_put_string(sink, key, value);
		if (r < 0)
			return r;
	}
	return 0;
}

static int hostfs_open(void *arg, const char *name, const struct vkckpt_source *source, void **device, struct vkckpt_error *err)
{
	struct vk_open *o = vk_new(0);
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
		o->file[o->files].fd = open(path + 1, flags | O_CLOEXEC);
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

#define VK_CLASS(n, k) static const struct vkckpt_device_class k##_class = { .size = sizeof(k##_class), .name = n, .version = 1, \
	.save = k##_save, .open = k##_open, .close = vk_close, .attach = k##_attach }

VK_CLASS("machine", machine);
VK_CLASS("console", line);
VK_CLASS("network", vec);
VK_CLASS("hostfs", hostfs);
static const struct vkckpt_device_class ubd_class = { .size = sizeof(ubd_class), .name = "disk", .version = 1, .save = ubd_save,
	.open = ubd_open, .close = vk_close, .attach = ubd_attach, .disk = ubd_disk };

const struct vkckpt_device_class *const vk_classes[] = { &machine_class, &ubd_class, &line_class, &vec_class, &hostfs_class };
const unsigned int vk_class_count = 5;

const struct vkckpt_device_class *vk_class_of(int kind)
{
	return vk_classes[kind];	/* enum um_vkckpt_kind, in this order */
}
