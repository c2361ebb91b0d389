// SPDX-License-Identifier: GPL-2.0
/*
 * Host side: arms libvkckpt with what this kernel consists of, and answers it. See um_vkckpt.h for the places it runs in.
 *
 * Nothing here may call malloc (it is kmalloc once the kernel runs) or keep a pointer to host memory in static data over a thaw without
 * setting it again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <as-layout.h>
#include <kern_util.h>
#include <mem_user.h>
#include <os.h>
#include "vkckpt_int.h"

/* the settings of the command line, and the armed vkernel */
static char vk_image[UM_VK_PATH], vk_name[64], vk_parent[UM_VK_PATH];
unsigned int vk_action = VKCKPT_ACTION_EXIT;
unsigned int vk_chain;		/* images in a chain at most; 0: none is kept; VKCKPT_CHAIN_OFF: in no case */
unsigned int vk_digests;	/* vkckpt.disk-digest */
unsigned int vk_codec, vk_level, vk_workers;	/* of captures, as vkckpt_config has them */
static int vk_keep;		/* vkckpt.binary=keep */
char vk_binary[UM_VK_PATH];	/* where it is kept; "": not */
struct vkckpt *vk;
struct vkckpt_error vk_error;
extern char _end[];
static const char *vk_refused;
static char vk_refused_text[160];

struct vk_device vk_devices[VKCKPT_MAX_DEVICES];
int vk_device_count;
struct vk_host *vk_host, *vk_host_thawing;
char vk_args[UM_VK_ARGS];
unsigned int vk_args_bytes;

unsigned char um_vkckpt_entropy[64];
char um_vkckpt_clone[64];
int um_vkckpt_kick_fd = -1;
struct um_vkckpt_times um_vkckpt_times;

/* ---- small things ---- */

void os_vkckpt_say(const char *fmt, ...)
{
	char line[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n > (int)sizeof(line) - 1)
		n = sizeof(line) - 1;
	if (write(2, line, n) < 0)
		return;
}

long long os_vkckpt_usecs(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000LL + ts.tv_nsec / 1000;
}

void os_vkckpt_window_size(int fd, const unsigned short *size)
{
	struct winsize w = { .ws_row = size[0], .ws_col = size[1] };

	if (size[0] || size[1])
		ioctl(fd, TIOCSWINSZ, &w);
}

void *um_vkckpt_host_alloc(unsigned long bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* fn(arg) on the stack that ends at top. */
static int vk_call_on(void *top, int (*fn)(void *), void *arg)
{
	int result;

	asm volatile("movq %%rsp, %%rbx\n\t"
		     "movq %[top], %%rsp\n\t"
		     "call *%[fn]\n\t"
		     "movq %%rbx, %%rsp"
		     : "=a" (result), "+D" (arg)
		     : [top] "r" (top), [fn] "r" (fn)
		     : "rbx", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "memory", "cc");
	return result;
}

int vk_on_host_stack(int (*fn)(void *), void *arg)
{
	unsigned long bytes = 256 << 10;
	char *stack = um_vkckpt_host_alloc(bytes);
	int on, result;

	if (!stack)
		return -ENOMEM;
	on = um_set_signals(0);
	result = vk_call_on(stack + bytes, fn, arg);
	um_set_signals(on);
	munmap(stack, bytes);
	return result;
}

int um_vkckpt_wanted(void) { return vk_image[0] != 0; }
int um_vkckpt_armed(void) { return vk != NULL; }
const char *um_vkckpt_message(void) { return vk_error.message; }

int vk_stream(const char *image)
{
	char *end;
	unsigned long fd;

	if (strncmp(image, "fd:", 3) || image[3] < '0' || image[3] > '9')
		return -1;
	fd = strtoul(image + 3, &end, 10);
	return *end || fd >= VK_MAX_FD ? -1 : (int)fd;
}

static int vk_set_codec(const char *value)
{
	if (!strcmp(value, "raw")) {
		vk_codec = VKCKPT_CODEC_RAW;
		vk_level = 0;
	} else if (!strcmp(value, "lz4") || !strcmp(value, "lz4:1") || !strcmp(value, "lz4:2")) {
		vk_codec = VKCKPT_CODEC_LZ4;
		vk_level = value[3] ? value[4] - '0' : 0;
	} else {
		return -EINVAL;
	}
	return 0;
}

/* The value of vkckpt= or of vkckpt.KEY=; NULL: vkckpt.KEY alone. */
int um_vkckpt_set(const char *key, const char *value)
{
	if (!strcmp(key, "disk-digest")) {
		vk_digests = !value;
		if (value && strcmp(value, "off"))
			return -EINVAL;
	} else if (!value) {
		return -EINVAL;
	} else if (!*key) {
		if (!*value || strlen(value) >= sizeof(vk_image) - 16)
			return -EINVAL;
		strcpy(vk_image, value);
	} else if (!strcmp(key, "name")) {
		if (strlen(value) >= sizeof(vk_name))
			return -EINVAL;
		strcpy(vk_name, value);
	} else if (!strcmp(key, "action")) {
		if (!strcmp(value, "exit"))
			vk_action = VKCKPT_ACTION_EXIT;
		else if (!strcmp(value, "continue"))
			vk_action = VKCKPT_ACTION_CONTINUE;
		else
			return -EINVAL;
	} else if (!strcmp(key, "chain")) {
		unsigned int chain = strcmp(value, "off") ? (unsigned int)atoi(value) : VKCKPT_CHAIN_OFF;

		if (chain < 2 || (chain > VKCKPT_MAX_CHAIN && chain != VKCKPT_CHAIN_OFF))
			return -EINVAL;
		vk_chain = chain;
	} else if (!strcmp(key, "parent")) {
		if (!*value || strlen(value) >= sizeof(vk_parent))
			return -EINVAL;
		strcpy(vk_parent, value);
	} else if (!strcmp(key, "codec")) {
		return vk_set_codec(value);
	} else if (!strcmp(key, "workers")) {
		char *end;
		unsigned long workers = strtoul(value, &end, 10);

		if (*value < '0' || *value > '9' || *end || workers > VKCKPT_MAX_WORKERS)
			return -EINVAL;
		vk_workers = workers;
	} else if (!strcmp(key, "binary")) {
		if (strcmp(value, "keep"))
			return -EINVAL;
		vk_keep = 1;
	} else {
		return -EINVAL;
	}
	return 0;
}
/* ---- hooks ---- */

/* In a signal handler: a byte into a socketpair, the rest happens in an interrupt and then in a worker. */
static void vk_kick(void *arg)
{
	int saved = errno;
	char c = 1;

	if (um_vkckpt_kick_fd >= 0 && write(um_vkckpt_kick_fd, &c, 1) < 0)
		c = 0;			/* full: the kernel has not looked yet and will */
	errno = saved;
}

static void vk_frame_states(void *arg, unsigned int segment, uint64_t first, unsigned int count, uint8_t *state, uint8_t *page_class)
{
	um_vkckpt_frames(first, count, state, page_class);
}

static int vk_vmspace_next(void *arg, uint64_t *cursor, struct vkckpt_vmspace *out)
{
	unsigned long long at = *cursor, id;
	unsigned long root, size;
	int pid;

	if (!um_vkckpt_next_mm(&at, &id, &pid, out->name, &root, &size))
		return 0;
	*cursor = at;
	out->id = id;
	out->pid = pid;
	out->mapping_count = 1;
	out->mapping[0].address = 0;
	out->mapping[0].size_bytes = size;
	out->mapping[0].root = root;
	out->mapping[0].prot = 7;
	return 1;
}

/* The first thing behind the point of no return: static data are the captured kernel's. */
static int vk_ram_ready(void *arg, unsigned int segment, void *address, uint64_t bytes, int fd)
{
	struct vk_host *host = arg;
	unsigned long start = uml_reserved;

	vk_host = host;
	host->ram_fd = fd;
	return mprotect((void *)start, (unsigned long)address + bytes - start, PROT_READ | PROT_WRITE | PROT_EXEC) ? -errno : 0;
}

static void vk_thawed(void *arg, const struct vkckpt_thaw_info *info)
{
	memcpy(um_vkckpt_entropy, info->entropy, sizeof(um_vkckpt_entropy));
	snprintf(um_vkckpt_clone, sizeof(um_vkckpt_clone), "%s", info->clone ? info->name : "");
}

const struct vkckpt_hooks vk_hooks = {
	.size = sizeof(vk_hooks),
	.kick = vk_kick,
	.frame_states = vk_frame_states,
	.vmspace_next = vk_vmspace_next,
	.ram_ready = vk_ram_ready,
	.thawed = vk_thawed,
};

/* ---- arm ---- */

void vk_default_chain(int is_file)
{
	if (!vk_chain && is_file && (vk_action == VKCKPT_ACTION_CONTINUE || vk_parent[0]))
		vk_chain = VKCKPT_CHAIN_DEFAULT;
}

void um_vkckpt_add(int kind, int unit, const char *name)
{
	struct vk_device *d = &vk_devices[vk_device_count];
	int i;

	if (vk) {
		for (i = 0; i < vk_device_count; i++)
			if (vk_devices[i].kind == kind && vk_devices[i].unit == unit)
				return;
		um_vkckpt_refuse(name, "was configured after the kernel had started");
		return;
	}
	if (vk_device_count == VKCKPT_MAX_DEVICES)
		return;
	d->kind = kind;
	d->unit = unit;
	snprintf(d->name, sizeof(d->name), "%s", name);
	vk_device_count++;
}

/* Of a boot and of a thaw: 0, or -errno if this binary has too many regions. */
int vk_common(struct vkckpt_config *c)
{
	static struct vkckpt_region regions[VKCKPT_MAX_REGIONS];
	static char names[VKCKPT_MAX_REGIONS][16];
	static struct vkckpt_range places[VKCKPT_MAX_REGIONS + 1];
	int i, n = vk_regions(regions, names);

	if (n < 0)
		return n;
	/* A thaw writes over the regions of this very binary and nothing else of it; RAM lies between its end and the stubs' pages. */
	for (i = 0; i < n; i++) {
		places[i].address = (unsigned long)regions[i].address;
		places[i].size_bytes = regions[i].size_bytes;
	}
	places[n].address = (unsigned long)_end;
	places[n].size_bytes = os_get_top_address() - (unsigned long)_end;
	memset(c, 0, sizeof(*c));
	c->size = sizeof(*c);
	c->program = "uml";
	c->image_fd = -1;
	c->on_ckpt = vk_action;
	c->quiesces_itself = 1;		/* the suspend path has deadlines of its own */
	c->chain = vk_chain;
	c->codec = vk_codec;
	c->level = vk_level;
	c->workers = vk_workers;
	c->resume_kind = VKCKPT_RESUME_CONTEXT;
	c->vcpu_count = 1;
	c->pagetable_format = VKCKPT_PT_UML_X86_64;
	c->regions = regions;
	c->region_count = n;
	c->places = places;
	c->place_count = n + 1;
	c->hooks = &vk_hooks;
	c->run_dir = "";
	return 0;
}

/*
 * Only this binary thaws its images: a hard link to it, or a copy, lies in the folder of the image as uml-BUILDID from now on.
 */
static int vk_keep_binary(void *unused)
{
	unsigned char id[20];
	char self[UM_VK_PATH], part[UM_VK_PATH + 24];
	char *slash = strrchr(vk_image, '/');
	int i, n, at, from, to;

	if (vk_stream(vk_image) >= 0)
		return -EINVAL;
	at = snprintf(vk_binary, sizeof(vk_binary) - 64, "%.*suml-", slash ? (int)(slash - vk_image + 1) : 0, vk_image);
	n = vkckpt_build_id(id, sizeof(id));
	for (i = 0; i < n; i++)
		at += snprintf(vk_binary + at, sizeof(vk_binary) - at, "%02x", id[i]);
	if (access(vk_binary, X_OK) == 0)
		return 0;
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n < 0)
		return -errno;
	self[n] = 0;
	if (link(self, vk_binary) == 0)
		return 0;
	snprintf(part, sizeof(part), "%s.part%d", vk_binary, getpid());	/* nobody else's, and none that a death left is in the way */
	from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	to = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	if (from >= 0 && to >= 0)
		while ((n = sendfile(to, from, NULL, 1 << 30)) > 0)
			;
	n = from < 0 || to < 0 || n < 0 || fsync(to) < 0 || rename(part, vk_binary) < 0 ? -errno : 0;
	if (n && to >= 0)
		unlink(part);
	if (from >= 0)
		close(from);
	if (to >= 0)
		close(to);
	return n;
}

static int vk_call_arm(void *config)
{
	return vkckpt_arm(config, &vk, &vk_error);
}

int um_vkckpt_arm(void)
{
	static struct vkckpt_device devices[VKCKPT_MAX_DEVICES];
	static struct vkckpt_config c;
	struct vkckpt_segment ram;
	static char file[4096];
	char name[64];
	int i, n;

	if (!um_vkckpt_wanted())
		return 1;
	vk_default_chain(vk_stream(vk_image) < 0);
	n = vk_common(&c);
	if (n < 0)
		return n;
	for (i = 0; i < vk_device_count; i++) {
		devices[i].device_class = vk_class_of(vk_devices[i].kind);
		devices[i].name = vk_devices[i].name;
		devices[i].device = &vk_devices[i];
		devices[i].policy = VKCKPT_POLICY_REOPEN;
	}
	/* Frames are counted from the kernel's physical address 0; what lies under this program and its heap is not RAM. */
	memset(&ram, 0, sizeof(ram));
	ram.address = (void *)uml_physmem;
	ram.size_bytes = high_physmem - uml_physmem;
	ram.skip_bytes = uml_reserved - uml_physmem;
	ram.fd = phys_fd();
	snprintf(name, sizeof(name), "%s", vk_name);
	if (!*name && umid_file_name("", file, sizeof(file)) >= 0)	/* there is a umid from here on */
		snprintf(name, sizeof(name), "%s", get_umid());
	c.name = *name ? name : "uml";
	c.image_fd = vk_stream(vk_image);
	c.image_path = c.image_fd < 0 ? vk_image : NULL;
	c.parent_path = *vk_parent ? vk_parent : NULL;
	if (c.image_fd >= 0)
		fcntl(c.image_fd, F_SETFD, FD_CLOEXEC);	/* its reader waits for the end of this process only */
	c.segments = &ram;
	c.segment_count = 1;
	c.devices = devices;
	c.device_count = vk_device_count;
	if (vk_on_host_stack(vk_call_arm, &c) < 0) {
		os_vkckpt_say("%s\n", vk_error.message);
		return -vk_error.code;
	}
	if (vk_keep && vk_on_host_stack(vk_keep_binary, NULL) < 0) {
		os_vkckpt_say("vkckpt.binary=keep: this binary cannot be kept as %s\n", vk_binary);
		vk_binary[0] = 0;
	}
	return 0;
}

void um_vkckpt_fill(int fd, unsigned long long offset, unsigned long len)
{
	if (vk && fd == phys_fd())
		vkckpt_fill(vk, 0, offset, len);
}

int um_vkckpt_filling(void)
{
	struct vkckpt_fill_info info = { .size = sizeof(info) };

	return vk && vkckpt_fill_status(vk, &info) == 0 && info.state == VKCKPT_FILL_UNDER_WAY;
}

void um_vkckpt_begin(void)
{
	vk_refused = NULL;
	um_vkckpt_hostfs_count = 0;
}

void um_vkckpt_refuse(const char *name, const char *why)
{
	if (vk_refused)
		return;
	snprintf(vk_refused_text, sizeof(vk_refused_text), "%s: %s", name, why);
	vk_refused = vk_refused_text;
}

const char *um_vkckpt_refused(void) { return vk_refused; }

static int vk_call_capture(void *unused)
{
	return vkckpt_capture(vk, 0, VKCKPT_ACTION_CONFIGURED, &vk_error);
}

/*
 * The frame to which a thaw returns lies in a region. The kernel stack above it is guest memory too, but with VMAP_STACK mapped page by page
 * in vmalloc, which is in no segment and is there again before anything returns to it (um_vkckpt_map_vmalloc).
 */
int um_vkckpt_capture(void)
{
	static char stack[16384] __attribute__((aligned(16)));
	int r = vk_call_on(stack + sizeof(stack), vk_call_capture, NULL);

	switch (r) {
	case VKCKPT_RESUMED: return UM_VK_RESUMED;
	case VKCKPT_THAWED: return UM_VK_THAWED;
	case VKCKPT_EXIT: return UM_VK_EXIT;
	}
	return r;
}

void um_vkckpt_decline(int err, int vetoed, const char *why)
{
	if (vk)
		vkckpt_decline(vk, err, vetoed ? VKCKPT_R_VETOED : VKCKPT_R_HOOK_FAILED, why, &vk_error);
}

int um_vkckpt_requested(void) { return vk ? vkckpt_requested(vk) : 0; }

int um_vkckpt_ask(int continues)
{
	return vk ? vkckpt_request(vk, VKCKPT_REQUEST(continues ? VKCKPT_ACTION_CONTINUE : VKCKPT_ACTION_EXIT, 0, 0)) : -ENODEV;
}

void um_vkckpt_tell_times(void)
{
	const struct um_vkckpt_times *t = &um_vkckpt_times;
	struct vkckpt_times ns = {
		.size = sizeof(ns), .sync_ns = t->sync * 1000, .freeze_ns = t->freeze * 1000, .devices_ns = t->devices * 1000,
		.thaw_load_ns = (t->exec + t->load) * 1000, .thaw_vmspaces_ns = t->spaces * 1000, .thaw_devices_ns = t->back * 1000,
		.thaw_tasks_ns = t->tasks * 1000,
	};

	vkckpt_tell_times(vk, &ns);
}

void um_vkckpt_generation(unsigned char out[16], unsigned long long *thaw_count)
{
	struct vkckpt_uuid id;

	memset(out, 0, 16);
	*thaw_count = 0;
	if (!vk)
		return;
	id = vkckpt_generation(vk);
	memcpy(out, id.bytes, 16);
	*thaw_count = vkckpt_thaw_count(vk);
}
