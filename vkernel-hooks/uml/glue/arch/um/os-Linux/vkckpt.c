// SPDX-License-Identifier: GPL-2.0
/*
 * Host side: arms libvkckpt with what this kernel consists of, and is main() of a thaw. See um_vkckpt.h for the places it runs in.
 *
 * Nothing here may call malloc (it is kmalloc once the kernel runs) or keep a pointer to host memory in static data over a thaw without
 * setting it again.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <as-layout.h>
#include <kern_util.h>
#include <mem_user.h>
#include <os.h>
#include "vkckpt_int.h"

#define VK_MAX_HOLES 64
#define VK_MAX_OVERRIDES 64

struct vk_hole { unsigned long start, end; };

/* the settings of the command line, and the armed vkernel */
static char vk_image[UM_VK_PATH], vk_name[64];
unsigned int vk_action = VKCKPT_ACTION_EXIT;
static int vk_keep;		/* vkckpt.binary=keep */
char vk_binary[UM_VK_PATH];	/* where it is kept; "": not */
static struct vkckpt *vk;
static struct vkckpt_error vk_error;
static const char *vk_refused;
static char vk_refused_text[160];

struct vk_device vk_devices[VKCKPT_MAX_DEVICES];
int vk_device_count;
struct vk_host *vk_host, *vk_host_thawing;
char vk_args[UM_VK_ARGS];
unsigned int vk_args_bytes;

struct um_vkckpt_news um_vkckpt_news;
int um_vkckpt_kicked, um_vkckpt_kick_fd = -1;
long long um_vkckpt_load_us;

extern char _edata[];
extern void add_arg(char *arg);

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

void vk_say(const char *text)
{
	os_vkckpt_say("%s\r\n", text);
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

int vk_on_host_stack(int (*fn)(void *), void *arg)
{
	unsigned long bytes = 256 << 10;
	char *stack = um_vkckpt_host_alloc(bytes);
	int on, result;

	if (!stack)
		return -ENOMEM;
	on = um_set_signals(0);
	asm volatile("movq %%rsp, %%rbx\n\t"
		     "movq %[top], %%rsp\n\t"
		     "call *%[fn]\n\t"
		     "movq %%rbx, %%rsp"
		     : "=a" (result), "+D" (arg)
		     : [top] "r" (stack + bytes), [fn] "r" (fn)
		     : "rbx", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "memory", "cc");
	um_set_signals(on);
	munmap(stack, bytes);
	return result;
}

int um_vkckpt_wanted(void) { return vk_image[0] != 0; }
int um_vkckpt_armed(void) { return vk != NULL; }
const char *um_vkckpt_message(void) { return vk_error.message; }

/* the value of vkckpt= or of vkckpt.KEY= */
int um_vkckpt_set(const char *key, const char *value)
{
	if (!*key) {
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
	} else if (!strcmp(key, "binary")) {
		if (strcmp(value, "keep"))
			return -EINVAL;
		vk_keep = 1;
	} else {
		return -EINVAL;
	}
	return 0;
}

/* ---- regions: the writable segments of this program, less the words that belong to the dynamic linker of this process ---- */

static int vk_phdrs(const ElfW(Phdr) **ph)
{
	*ph = (const void *)getauxval(AT_PHDR);
	return getauxval(AT_PHNUM);
}

static void vk_hole(struct vk_hole *holes, int *n, unsigned long start, unsigned long bytes)
{
	int i, k;

	for (i = 0; i < *n; i++)
		if (start <= holes[i].end && holes[i].start <= start + bytes) {
			if (start < holes[i].start)
				holes[i].start = start;
			if (start + bytes > holes[i].end)
				holes[i].end = start + bytes;
			return;
		}
	if (*n == VK_MAX_HOLES)
		return;		/* one more than there are regions: refused below */
	for (i = 0; i < *n && holes[i].start < start; i++)
		;
	for (k = *n; k > i; k--)
		holes[k] = holes[k - 1];
	holes[i].start = start;
	holes[i].end = start + bytes;
	(*n)++;
}

/* .dynamic, the GOT with what lies between it and _edata, and every target of a dynamic relocation (copies such as stdout) */
static int vk_linker_words(struct vk_hole *holes)
{
	const ElfW(Phdr) *ph;
	const ElfW(Dyn) *dyn = NULL;
	const ElfW(Sym) *sym = NULL;
	const ElfW(Rela) *rel[2] = { NULL, NULL };
	unsigned long relsz[2] = { 0, 0 }, got = 0, r;
	int i, n = 0, count = vk_phdrs(&ph);

	for (i = 0; i < count; i++)
		if (ph[i].p_type == PT_DYNAMIC) {
			dyn = (const void *)ph[i].p_vaddr;
			vk_hole(holes, &n, ph[i].p_vaddr, ph[i].p_memsz);
		}
	for (; dyn && dyn->d_tag != DT_NULL; dyn++)
		switch (dyn->d_tag) {
		case DT_RELA: rel[0] = (const void *)dyn->d_un.d_ptr; break;
		case DT_RELASZ: relsz[0] = dyn->d_un.d_val; break;
		case DT_JMPREL: rel[1] = (const void *)dyn->d_un.d_ptr; break;
		case DT_PLTRELSZ: relsz[1] = dyn->d_un.d_val; break;
		case DT_SYMTAB: sym = (const void *)dyn->d_un.d_ptr; break;
		case DT_PLTGOT: got = dyn->d_un.d_ptr; break;
		}
	if (got && got < (unsigned long)_edata)
		vk_hole(holes, &n, got, (unsigned long)_edata - got);
	for (i = 0; i < 2; i++)
		for (r = 0; r < relsz[i] / sizeof(ElfW(Rela)); r++) {
			const ElfW(Rela) *e = &rel[i][r];
			int copy = ELF64_R_TYPE(e->r_info) == R_X86_64_COPY;

			vk_hole(holes, &n, e->r_offset, copy ? sym[ELF64_R_SYM(e->r_info)].st_size : 8);
		}
	return n;
}

static int vk_regions(struct vkckpt_region *out, char (*names)[16])
{
	static struct vk_hole holes[VK_MAX_HOLES];
	const ElfW(Phdr) *ph;
	int count = vk_phdrs(&ph), nholes = vk_linker_words(holes), i, h, n = 0;

	if (nholes == VK_MAX_HOLES)
		return -ENOBUFS;
	for (i = 0; i < count; i++) {
		unsigned long at = ph[i].p_vaddr, end = at + ph[i].p_memsz;

		if (ph[i].p_type != PT_LOAD || !(ph[i].p_flags & PF_W))
			continue;
		for (h = 0; h <= nholes; h++) {
			unsigned long stop = h < nholes ? holes[h].start : end;

			if (h < nholes && (holes[h].end <= at || holes[h].start >= end))
				continue;
			if (stop > at) {
				if (n == VKCKPT_MAX_REGIONS)
					return -ENOBUFS;
				snprintf(names[n], sizeof(names[n]), "data%d", n);
				out[n].name = names[n];
				out[n].address = (void *)at;
				out[n].size_bytes = stop - at;
				n++;
			}
			at = h < nholes ? holes[h].end : end;
		}
	}
	return n;
}

/* ---- hooks ---- */

/* In a signal handler: a byte into a socketpair, the rest happens in an interrupt and then in a worker. */
static void vk_kick(void *arg)
{
	int saved = errno;
	char c = 1;

	um_vkckpt_kicked = 1;
	if (um_vkckpt_kick_fd >= 0 && write(um_vkckpt_kick_fd, &c, 1) < 0)
		um_vkckpt_kicked = 1;	/* full: the kernel has not looked yet and will */
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
	memcpy(um_vkckpt_news.generation, info->generation.bytes, 16);
	memcpy(um_vkckpt_news.entropy, info->entropy, sizeof(um_vkckpt_news.entropy));
	um_vkckpt_news.thaw_count = info->thaw_count;
	um_vkckpt_news.realtime_gap_ns = info->realtime_gap_ns;
}

static const struct vkckpt_hooks vk_hooks = {
	.size = sizeof(vk_hooks),
	.kick = vk_kick,
	.frame_states = vk_frame_states,
	.vmspace_next = vk_vmspace_next,
	.ram_ready = vk_ram_ready,
	.thawed = vk_thawed,
};

/* ---- arm ---- */

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

static void vk_common(struct vkckpt_config *c)
{
	memset(c, 0, sizeof(*c));
	c->size = sizeof(*c);
	c->program = "uml";
	c->image_fd = -1;
	c->on_ckpt = vk_action;
	c->resume_kind = VKCKPT_RESUME_CONTEXT;
	c->vcpu_count = 1;
	c->pagetable_format = VKCKPT_PT_UML_X86_64;
	c->hooks = &vk_hooks;
	c->run_dir = "";
}

static int vk_copy(int from, int to)
{
	static char block[65536];
	ssize_t n;

	while ((n = read(from, block, sizeof(block))) > 0)
		if (write(to, block, n) != n)
			return -1;
	return n < 0 ? -1 : fsync(to);
}

/*
 * Only this binary thaws its images: a hard link to it, or a copy, lies in the folder of the image as uml-BUILDID from now on.
 */
static int vk_keep_binary(void *unused)
{
	unsigned char id[20];
	char self[UM_VK_PATH], part[UM_VK_PATH + 8];
	char *slash = strrchr(vk_image, '/');
	int i, n, at, from, to;

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
	snprintf(part, sizeof(part), "%s.part", vk_binary);
	from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	to = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	n = from < 0 || to < 0 || vk_copy(from, to) < 0 || rename(part, vk_binary) < 0 ? -errno : 0;
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
	static struct vkckpt_region regions[VKCKPT_MAX_REGIONS];
	static char names[VKCKPT_MAX_REGIONS][16];
	static struct vkckpt_device devices[VKCKPT_MAX_DEVICES];
	static struct vkckpt_config c;
	struct vkckpt_segment ram;
	char name[64];
	int i, n;

	if (!um_vkckpt_wanted())
		return 1;
	n = vk_regions(regions, names);
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
	vk_common(&c);
	snprintf(name, sizeof(name), "%s", vk_name);
	if (!*name && umid_file_name("", name, sizeof(name)) >= 0)
		snprintf(name, sizeof(name), "%s", get_umid());
	c.name = *name ? name : "uml";
	c.image_path = vk_image;
	c.segments = &ram;
	c.segment_count = 1;
	c.regions = regions;
	c.region_count = n;
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

int um_vkckpt_capture(void)
{
	int r = vkckpt_capture(vk, 0, VKCKPT_ACTION_CONFIGURED, &vk_error);

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

int um_vkckpt_ask(int continues)
{
	return vk ? vkckpt_request(vk, VKCKPT_REQUEST(continues ? VKCKPT_ACTION_CONTINUE : VKCKPT_ACTION_EXIT, 0, 0)) : -ENODEV;
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

/* ---- main() ---- */

/* The kernel's ranges are those of the image: without randomisation they are the same in every process. */
static void vk_no_randomize(char **argv)
{
	int p = personality(0xffffffff);

	if (p == -1 || (p & ADDR_NO_RANDOMIZE))
		return;
	if (personality(p | ADDR_NO_RANDOMIZE) == -1)
		return;
	execv("/proc/self/exe", argv);
}

void um_vkckpt_main(int argc, char **argv)
{
	int i;

	vkckpt_block_signals();
	vk_no_randomize(argv);
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

/* What must be known before the library reads the image: the kernel's descriptors, and what plain SIGCKPT does in it. */
static int vk_look(const char *path)
{
	const struct vkckpt_source *source;
	struct vkckpt_image *image;
	int limit = 64;

	if (vkckpt_image_open(path, &image, &vk_error) < 0) {
		fprintf(stderr, "thaw: %s\n", vk_error.message);
		exit(1);
	}
	source = vkckpt_image_device(image, 0);
	if (source) {
		limit = vkckpt_get_u64(source, "fd_limit", 64);
		vk_action = vkckpt_get_u64(source, "action", VKCKPT_ACTION_EXIT);
	}
	vkckpt_image_close(image);
	if (limit < 3 || limit > VK_MAX_FD || (vk_action != VKCKPT_ACTION_EXIT && vk_action != VKCKPT_ACTION_CONTINUE))
		vk_die("thaw: the image's record machine is not one of ours");
	return limit;
}

int um_vkckpt_thaw(int argc, char **argv)
{
	static char text[VK_MAX_OVERRIDES][UM_VK_PATH + 64];
	static struct vkckpt_hooks hooks;
	const char *list[VK_MAX_OVERRIDES], *path = NULL, *image = NULL;
	struct vkckpt_thaw_config c;
	struct vkckpt_error err;
	struct vkckpt *ck;
	struct vk_host *host;
	long long began = os_vkckpt_usecs();
	int i, n = 0, dry = 0, other = 0;

	for (i = 1; i < argc; i++) {
		if (!strncmp(argv[i], "thaw=", 5))
			path = argv[i] + 5;
		else if (!strcmp(argv[i], "thaw.dry-run"))
			dry = 1;
		else if (!strncmp(argv[i], "thaw.", 5) && strchr(argv[i], '='))
			vk_override(argv[i] + 5, text, list, &n);
		else if (!strncmp(argv[i], "vkckpt=", 7))
			image = argv[i] + 7;
		else
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
	vk_occupy(host, vk_look(path));
	memset(&c, 0, sizeof(c));
	c.size = sizeof(c);
	vk_common(&c.vkernel);
	hooks = vk_hooks;
	hooks.arg = host;
	c.vkernel.hooks = &hooks;
	c.vkernel.image_path = image;
	c.path = path;
	c.fd = -1;
	c.classes = vk_classes;
	c.class_count = vk_class_count;
	c.overrides = list;
	c.override_count = n;
	c.dry_run = dry;
	memset(&err, 0, sizeof(err));
	if (vkckpt_thaw(&c, &ck, &err) < 0) {
		fprintf(stderr, "%s\n", err.message);
		exit(1);
	}
	if (dry) {
		printf("thaw: %s can be thawed here\n", path);
		exit(0);
	}
	/* From here on all static data are the captured kernel's. */
	vk = ck;
	um_vkckpt_map_vmalloc();
	um_vkckpt_load_us = os_vkckpt_usecs() - began;
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
