// SPDX-License-Identifier: GPL-2.0
/*
 * Host side: consoles and serial lines in an image. Their channels are opened by their own code once the kernel runs; here is what can be
 * refused before. The contexts of each function: vkckpt_devices.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <kern_util.h>
#include <os.h>
#include "vkckpt_int.h"

char um_vkckpt_line_conf[UM_VK_LINES][128];
unsigned short um_vkckpt_line_size[UM_VK_LINES][2];

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

/* The port at which a line waits for its terminal must be free here. */
static int line_check_port(const char *name, const char *conf, int port, struct vkckpt_error *err)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_ANY) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1, code = 0;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    listen(fd, 1))
		code = errno;
	if (fd >= 0)
		close(fd);
	return code ? vk_fail(err, code, VKCKPT_R_DEVICE_MISSING, name, "cannot listen for %s", conf) : 0;
}

/* "fd:0,fd:1", "tty:/dev/ttyS0", "pts", "null" ...: what can be opened here? */
static int line_check(const char *name, const char *conf, int overridden, struct vkckpt_error *err)
{
	const char *p = conf;
	char path[128];
	int n, fd, r;

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
		} else if (!strncmp(p, "port:", 5) && !overridden) {
			r = line_check_port(name, conf, atoi(p + 5), err);
			if (r < 0)
				return r;
		} else if ((n != 3 || (strncmp(p, "pty", 3) && strncmp(p, "pts", 3))) && (n != 4 || strncmp(p, "null", 4))) {
			return vk_fail(err, EINVAL, VKCKPT_R_BAD_ARGUMENT, name, "no channel that can be thawed: %s (fd:N tty:PATH pty pts null)", conf);
		}
		p += n;
		p += *p == ',';
	}
	return 0;
}

static int line_open(void *arg, const char *name, const struct vkckpt_source *source, void **device, struct vkckpt_error *err)
{
	const char *conf = vkckpt_get_string(source, "channels");
	const char *recorded = vkckpt_get_string(source, "recorded");
	struct vk_open *o = vk_new(name, strncmp(name, "ssl", 3) ? 0 : 16);
	int overridden = !recorded || !conf || strcmp(recorded, conf), r;

	if (!o || !conf || o->dev.unit >= UM_VK_LINES || strlen(conf) >= sizeof(um_vkckpt_line_conf[0]))
		return -EINVAL;
	/* a port is listened at before anybody has come */
	if (vkckpt_get_u64(source, "open", 0) || (!overridden && strstr(conf, "port:"))) {
		r = line_check(name, conf, overridden, err);
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

VK_CLASS(vk_line_class, "console", line);
