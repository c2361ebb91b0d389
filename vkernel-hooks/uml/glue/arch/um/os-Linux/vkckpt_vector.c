// SPDX-License-Identifier: GPL-2.0
/*
 * Host side: network devices in an image, the tap, raw and fd transports of the vector driver. The contexts of each function:
 * vkckpt_devices.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <net/if.h>
#include <linux/if_tun.h>
#include <linux/if_packet.h>
#include <linux/if_ether.h>
#include <arpa/inet.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <kern_util.h>
#include <os.h>
#include "vkckpt_int.h"

char um_vkckpt_vec_args[UM_VK_VEC][UM_VK_PATH];
int um_vkckpt_vec_fd[UM_VK_VEC][2];

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
	struct vk_open *o = vk_new(name, 0);
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

VK_CLASS(vk_vec_class, "network", vec);
