// SPDX-License-Identifier: GPL-2.0
/*
 * Host side: main() of a boot and of a thaw, as far as the checkpoint is concerned, and the descriptors that a thaw makes again. See
 * um_vkckpt.h for the places it runs in.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/personality.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <as-layout.h>
#include <kern_util.h>
#include <os.h>
#include "vkckpt_int.h"

#define VK_MAX_OVERRIDES 64

static int vk_json, vk_refusals;	/* thaw.dry-run=json; how many were told */
static long long vk_began;	/* when this process was first started, before its second exec */

/* The kernel's ranges are those of the image: without randomisation they are the same in every process. */
static void vk_no_randomize(char **argv)
{
	char text[24];
	int p = personality(0xffffffff);

	if (p == -1 || (p & ADDR_NO_RANDOMIZE))
		return;
	if (personality(p | ADDR_NO_RANDOMIZE) == -1)
		return;
	snprintf(text, sizeof(text), "%lld", vk_began);
	setenv("UM_VKCKPT_BEGAN", text, 1);
	execv("/proc/self/exe", argv);
}

void um_vkckpt_main(int argc, char **argv)
{
	int i;

	vkckpt_block_signals();
	vk_began = getenv("UM_VKCKPT_BEGAN") ? atoll(getenv("UM_VKCKPT_BEGAN")) : os_vkckpt_usecs();
	vk_no_randomize(argv);
	unsetenv("UM_VKCKPT_BEGAN");
	for (i = 0; i < argc; i++) {
		unsigned int n = strlen(argv[i]) + 1;

		if (vk_args_bytes + n > sizeof(vk_args)) {
			vk_args_bytes = 0;	/* too long to keep: a reboot after a thaw is then refused */
			return;
		}
		memcpy(vk_args + vk_args_bytes, argv[i], n);
		vk_args_bytes += n;
	}
}

char **um_vkckpt_reboot_argv(void)
{
	static char *argv[256];
	unsigned int at;
	int n = 0;

	if (!vk_host || !vk_args_bytes)
		return NULL;
	for (at = 0; at < vk_args_bytes && n < 255; at += strlen(vk_args + at) + 1)
		argv[n++] = vk_args + at;
	argv[n] = NULL;
	return argv;
}

static void vk_die(const char *text)
{
	fprintf(stderr, "%s\n", text);
	exit(1);
}

/* "ubd0=A,B" and the like, in the library's words */
static void vk_override(const char *text, char out[][UM_VK_PATH + 64], const char **list, int *n)
{
	const char *eq = strchr(text, '='), *comma;
	int dev = eq - text;

	if (*n > VK_MAX_OVERRIDES - 2)
		vk_die("thaw: too many overrides");
	if (strlen(eq + 1) >= UM_VK_PATH)
		vk_die("thaw: an override is too long");
	if (memchr(text, '.', dev)) {			/* the library's own form: DEVICE.KEY=VALUE */
		snprintf(out[*n], sizeof(out[0]), "%s", text);
	} else if (!strncmp(text, "ubd", 3)) {
		comma = strchr(eq, ',');
		snprintf(out[*n], sizeof(out[0]), "%.*s.path=%.*s", dev, text,
			 (int)(comma ? comma - eq - 1 : (int)strlen(eq + 1)), eq + 1);
		if (comma) {
			list[*n] = out[*n];
			(*n)++;
			snprintf(out[*n], sizeof(out[0]), "%.*s.backing=%s", dev, text, comma + 1);
		}
	} else if (!strncmp(text, "vec", 3)) {
		snprintf(out[*n], sizeof(out[0]), "%.*s.args=%s", dev, text, eq + 1);
	} else {
		snprintf(out[*n], sizeof(out[0]), "%.*s.channels=%s", dev, text, eq + 1);
	}
	list[*n] = out[*n];
	(*n)++;
}

static void vk_die_of(const char *what)
{
	fprintf(stderr, "thaw: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* An image from a pipe is read whole first, into memory: it is looked at twice, and a lazy thaw reads it in any order. */
static int vk_spool(int from)
{
	char buffer[1 << 16];
	struct stat st;
	long n, done, put;
	int to;

	if (fstat(from, &st) < 0)
		vk_die_of("the descriptor of the image");
	if (S_ISREG(st.st_mode))
		return from;
	to = memfd_create("image", MFD_CLOEXEC);
	if (to < 0)
		vk_die_of("memory for the image");
	while ((n = read(from, buffer, sizeof(buffer))) > 0)
		for (done = 0; done < n; done += put)
			if ((put = write(to, buffer + done, n - done)) <= 0)
				vk_die_of("memory for the image");
	if (n < 0)
		vk_die_of("reading the image");
	return to;
}

/* Its own numbers are the captured kernel's: it gets one behind them. */
static int vk_behind(int fd, int limit)
{
	int moved = fcntl(fd, F_DUPFD_CLOEXEC, limit);

	if (moved < 0)
		vk_die_of("a descriptor");
	close(fd);
	return moved;
}

/* Occupies the numbers that the image's descriptors have, so that nothing opened from now on takes one of them. */
static void vk_occupy(struct vk_host *host, int limit)
{
	int nul = open("/dev/null", O_RDWR | O_CLOEXEC), fd;
	struct rlimit r;

	if (nul < 0)
		vk_die("thaw: cannot open /dev/null");
	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
	for (fd = 0; fd < VK_MAX_FD; fd++)
		host->inherited[fd] = fd != nul && fcntl(fd, F_GETFD) >= 0;
	for (fd = 0; fd < limit; fd++) {
		if (host->inherited[fd])
			continue;
		if (fd == nul) {
			host->placeholder[fd] = fd > 2;
			continue;
		}
		if (dup3(nul, fd, fd > 2 ? O_CLOEXEC : 0) < 0)
			vk_die("thaw: too many descriptors for this host's limit (ulimit -n)");
		host->placeholder[fd] = fd > 2;
	}
	if (nul >= limit)
		close(nul);
	host->first_free = limit;
}

/* Why this image cannot be thawed: a sentence, or for thaw.dry-run=json a part of {"thawable": ..., "refusals": [...]}. */
static void vk_refusal(void *unused, const struct vkckpt_error *err)
{
	char object[2048];

	if (!vk_json)
		fprintf(stderr, "%s\n", err->message);
	else if (vkckpt_error_json(err, object, sizeof(object)) > 0)
		printf("%s%s", vk_refusals ? ",\n    " : "{\"thawable\": false, \"refusals\": [\n    ", object);
	vk_refusals++;
}

/* The end of a dry run, or of a thaw that is refused; err: why, unless that has been told. */
static void vk_end(const struct vkckpt_error *err, const char *path)
{
	if (err && !vk_refusals)
		vk_refusal(NULL, err);
	if (vk_json)
		printf("%s", err ? "]}\n" : "{\"thawable\": true, \"refusals\": []}\n");
	else if (!err)
		printf("thaw: %s can be thawed here; what it holds of RAM was not read (vkckpt verify does that)\n", path);
	exit(err != NULL);
}

/* What must be known before the library reads the image: the kernel's descriptors, and what plain SIGCKPT does in it. */
static int vk_look(const char *path)
{
	const struct vkckpt_source *source;
	struct vkckpt_image *image;
	int limit = 64;

	if (vkckpt_image_open(path, &image, &vk_error) < 0)
		vk_end(&vk_error, path);
	source = vkckpt_image_device(image, 0);
	if (source) {
		limit = vkckpt_get_u64(source, "fd_limit", 64);
		vk_action = vkckpt_get_u64(source, "action", VKCKPT_ACTION_EXIT);
		vk_chain = vkckpt_get_u64(source, "chain", 0);
		vk_digests = vkckpt_get_u64(source, "disk_digest", 0);
		vk_codec = vkckpt_get_u64(source, "codec", 0);
		vk_level = vkckpt_get_u64(source, "level", 0);
		vk_workers = vkckpt_get_u64(source, "workers", 0);
	}
	vkckpt_image_close(image);
	if (limit < 3 || limit > VK_MAX_FD || (vk_chain > VKCKPT_MAX_CHAIN && vk_chain != VKCKPT_CHAIN_OFF) || vk_digests > 1 ||
	    vk_workers > VKCKPT_MAX_WORKERS || vk_level > 2 ||
	    (vk_codec && vk_codec != VKCKPT_CODEC_RAW && vk_codec != VKCKPT_CODEC_LZ4) || (vk_action != VKCKPT_ACTION_EXIT && vk_action != VKCKPT_ACTION_CONTINUE)) {
		vk_fail(&vk_error, EBADMSG, VKCKPT_R_DAMAGED, "machine", "the record is %s", "not one of ours");
		vk_end(&vk_error, path);
	}
	return limit;
}

/* "", or any of "required" and "demand", with a comma between. */
static unsigned int vk_lazy(const char *how)
{
	unsigned int lazy = VKCKPT_LAZY;

	while (*how) {
		unsigned int n = strcspn(how, ",");

		if (n == 8 && !strncmp(how, "required", n))
			lazy |= VKCKPT_LAZY_REQUIRED;
		else if (n == 6 && !strncmp(how, "demand", n))
			lazy |= VKCKPT_LAZY_ON_DEMAND;
		else
			vk_die("thaw.lazy: required, demand, or both with a comma between (BAD_ARGUMENT)");
		how += n + (how[n] == ',');
	}
	return lazy;
}

/* What vkckpt.KEY and vkckpt.KEY=VALUE in argv say anew of what the captured kernel was started with. Done twice, as a thaw writes over it. */
static void vk_settings(char **argv)
{
	static const char *const keys[] = { "action", "chain", "codec", "workers", "disk-digest" };
	unsigned int i, n, count = sizeof(keys) / sizeof(*keys);

	for (; *argv; argv++) {
		if (strncmp(*argv, "vkckpt.", 7))
			continue;
		n = strcspn(*argv + 7, "=");
		for (i = 0; i < count && (strlen(keys[i]) != n || strncmp(*argv + 7, keys[i], n)); i++)
			;
		if (i == count || um_vkckpt_set(keys[i], (*argv)[7 + n] ? *argv + 8 + n : NULL) < 0) {
			fprintf(stderr, "thaw: %s: not a parameter of a thaw, or not a value of it (BAD_ARGUMENT)\n", *argv);
			exit(1);
		}
	}
}

/* It was to be lazy and is not: said, as stdio is the old kernel's now. */
static void vk_say_eager(struct vkckpt *ck)
{
	struct vkckpt_fill_info info = { .size = sizeof(info) };

	if (vkckpt_fill_status(ck, &info) == 0 && info.not_lazy.code)
		os_vkckpt_say("%s; all of the memory was loaded before the guest ran\n", info.not_lazy.message);
}

int um_vkckpt_thaw(int argc, char **argv)
{
	static char text[VK_MAX_OVERRIDES][UM_VK_PATH + 64];
	static struct vkckpt_hooks hooks;
	const char *list[VK_MAX_OVERRIDES], *path = NULL, *image = NULL, *parent = NULL, *clone = NULL;
	struct vkckpt_thaw_config c;
	struct vkckpt_error err;
	struct vkckpt *ck;
	struct vk_host *host;
	long long began = os_vkckpt_usecs(), exec = began - vk_began;
	unsigned int lazy = 0, chain;
	int i, n = 0, dry = 0, other = 0, in, out, limit;
	char stream[32];

	for (i = 1; i < argc; i++) {
		if (!strncmp(argv[i], "thaw=", 5))
			path = argv[i] + 5;
		else if (!strcmp(argv[i], "thaw.dry-run"))
			dry = 1;
		else if (!strcmp(argv[i], "thaw.lazy"))
			lazy = VKCKPT_LAZY;
		else if (!strncmp(argv[i], "thaw.lazy=", 10))
			lazy = vk_lazy(argv[i] + 10);
		else if (!strncmp(argv[i], "thaw.parent=", 12))
			parent = argv[i] + 12;
		else if (!strcmp(argv[i], "thaw.clone"))
			clone = "";
		else if (!strncmp(argv[i], "thaw.clone=", 11))
			clone = argv[i] + 11;
		else if (!strcmp(argv[i], "thaw.dry-run=json"))
			dry = vk_json = 1;
		else if (!strncmp(argv[i], "thaw.", 5) && strncmp(argv[i], "thaw.dry-run", 12) && strchr(argv[i], '='))
			vk_override(argv[i] + 5, text, list, &n);
		else if (!strncmp(argv[i], "vkckpt=", 7))
			image = argv[i] + 7;
		else if (strncmp(argv[i], "vkckpt.", 7))
			other = i;
	}
	if (!path)
		return 0;
	if (other) {
		fprintf(stderr, "thaw: %s: not a parameter of a thaw; the kernel's own come from the image (BAD_ARGUMENT)\n", argv[other]);
		exit(1);
	}
	host = um_vkckpt_host_alloc(sizeof(*host));
	if (!host)
		vk_die("thaw: no memory");
	host->ram_fd = -1;
	vk_host_thawing = host;
	in = vk_stream(path);
	if (in >= 0) {
		if (!image && !clone)
			vk_die("thaw: the image comes from a descriptor; vkckpt= must say where the next one goes (BAD_ARGUMENT)");
		in = vk_spool(in);
		snprintf(stream, sizeof(stream), "/proc/self/fd/%d", in);
		path = stream;
	}
	limit = vk_look(path);
	if (in >= 0) {
		in = vk_behind(in, limit);
		snprintf(stream, sizeof(stream), "/proc/self/fd/%d", in);
	}
	out = image ? vk_stream(image) : -1;
	if (out >= 0)
		out = vk_behind(out, limit);
	vk_occupy(host, limit);
	if ((out >= 0 || clone) && vk_chain != VKCKPT_CHAIN_OFF)
		vk_chain = 0;		/* it is a pipe now, or that chain is the brother's */
	vk_settings(argv + 1);
	vk_default_chain(out < 0);
	chain = vk_chain;
	memset(&c, 0, sizeof(c));
	c.size = sizeof(c);
	if (vk_common(&c.vkernel) < 0)
		vk_die("thaw: this binary has too many regions");
	hooks = vk_hooks;
	hooks.arg = host;
	c.vkernel.hooks = &hooks;
	c.vkernel.image_path = out < 0 ? image : NULL;
	c.vkernel.image_fd = out;
	c.path = path;
	c.fd = -1;
	c.classes = vk_classes;
	c.class_count = vk_class_count;
	c.overrides = list;
	c.override_count = n;
	c.dry_run = dry;
	c.lazy = lazy;
	c.parent_path = parent;
	c.clone = clone;
	c.refusal = vk_refusal;
	memset(&err, 0, sizeof(err));
	if (vkckpt_thaw(&c, &ck, &err) < 0)
		vk_end(&err, path);
	if (dry)
		vk_end(NULL, path);
	/* From here on all static data are the captured kernel's. */
	vk = ck;
	if (in >= 0)
		close(in);
	vk_settings(argv + 1);
	vk_chain = chain;
	if (lazy)
		vk_say_eager(ck);
	um_vkckpt_map_vmalloc();
	um_vkckpt_times.exec = exec;
	um_vkckpt_times.load = os_vkckpt_usecs() - began;
	return 1;
}

void um_vkckpt_resume(void)
{
	vkckpt_resume(vk, 0);
}

/* ---- descriptors ---- */

int um_vkckpt_dup(int newfd, int oldfd)
{
	int cloexec;

	if (newfd < 0 || oldfd < 0)
		return newfd < 0 ? newfd : -EBADF;
	if (newfd != oldfd) {
		cloexec = fcntl(newfd, F_GETFD) & FD_CLOEXEC;
		if (dup3(newfd, oldfd, cloexec ? O_CLOEXEC : 0) < 0)
			return -errno;
		close(newfd);
	}
	um_vkckpt_claim(oldfd);
	return oldfd;
}

void um_vkckpt_claim(int fd)
{
	if (vk_host && fd >= 0 && fd < VK_MAX_FD)
		vk_host->placeholder[fd] = 0;
}

void um_vkckpt_unclaimed(void)
{
	int fd;

	for (fd = 3; vk_host && fd < vk_host->first_free; fd++)
		if (vk_host->placeholder[fd]) {
			close(fd);
			vk_host->placeholder[fd] = 0;
		}
}
