/*
 * glue.c: all that makes the kernel of kernel.c one that can be suspended and thawed, written from the manual pages alone.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vkckpt/vkckpt.h>

#include "kernel.h"

enum { VCPUS = 2 };
static struct kernel *const kernel = (struct kernel *)0x200000000000;
static struct vkckpt *ck;
static struct log_device { struct log log; uint64_t end; } *log0;
static int use_contexts;

/* The device: a log that goes on where it was at the checkpoint. */
static int log_save(void *device, struct vkckpt_sink *sink)
{
	struct log_device *d = device;
	vkckpt_put_string(sink, "path", d->log.path);
	vkckpt_put_u64(sink, "end", log_end(&d->log));
	return 0;
}
static int log_open(void *arg, const char *name, const struct vkckpt_source *source, void **device, struct vkckpt_error *error)
{
	(void)arg; (void)name; (void)error;
	const char *path = vkckpt_get_string(source, "path");
	struct log_device *d = calloc(1, sizeof *d);
	int result = d == NULL ? -ENOMEM : path == NULL ? -EINVAL : log_start(&d->log, path, 0);
	if (result < 0) {
		free(d);
		return result;
	}
	d->end = vkckpt_get_u64(source, "end", 0);
	*device = d;
	return 0;
}
static void log_close(void *device) { close(((struct log_device *)device)->log.fd); free(device); }
static void log_attach(void *device) { log0 = device; log_cut(&log0->log, log0->end); }
static const struct vkckpt_device_class log_class = { .size = sizeof log_class, .name = "log", .version = 1,
	.save = log_save, .open = log_open, .close = log_close, .attach = log_attach };

/* The hooks. No vCPU sleeps longer than a millisecond, so a kick has nothing to do. */
static void kick(void *arg) { (void)arg; }
static void notice_begin(void *arg) { (void)arg; kernel->acknowledged = 0; kernel->notified = 1; }
static void notice_undo(void *arg) { (void)arg; kernel->notified = 0; }
static int notice_poll(void *arg, const char **why)
{
	(void)arg;
	*why = "task 2 burns a disc";
	return access("veto", F_OK) == 0 ? -ECANCELED : kernel->acknowledged != 0;
}
static void frame_states(void *arg, unsigned segment, uint64_t first, unsigned count, uint8_t *state, uint8_t *page_class)
{
	(void)arg; (void)segment; (void)page_class;
	for (unsigned i = 0; i < count; i++)
		state[i] = kernel_frame_is_free(kernel, first + i) ? VKCKPT_FRAME_FREE : VKCKPT_FRAME_LIVE;
}
static int vmspace_next(void *arg, uint64_t *cursor, struct vkckpt_vmspace *out)
{
	(void)arg;
	if ((*cursor)++ > 0)
		return 0;
	*out = (struct vkckpt_vmspace){ .id = 1, .pid = 7, .name = "tasks", .mapping_count = 1 };
	out->mapping[0] = (vkckpt_mapping){ .size_bytes = 1ull << 47, .root = kernel->root, .prot = 3 };
	return 1;
}
static void resumed(void *arg, const struct vkckpt_error *error)
{
	(void)arg;
	fprintf(stderr, "runs on: %s\n", error->reason ? error->message : "the image is written");
}
static void thawed(void *arg, const struct vkckpt_thaw_info *info)
{
	(void)arg;
	kernel->notified = 0;	/* as it was in the middle of the checkpoint */
	fprintf(stderr, "thaw number %llu\n", (unsigned long long)info->thaw_count);
}

/* The vCPUs. */
static void run(void *vcpu_number)
{
	unsigned vcpu = (unsigned)(uintptr_t)vcpu_number;
	uint64_t passes = 0;	/* on the stack: a thaw brings it back with contexts only */
	for (;;) {
		if (vkckpt_safe_point(ck, vcpu) == VKCKPT_EXIT)
			_exit(VKCKPT_EXIT_SUSPENDED);
		if (use_contexts && passes != kernel->passes[vcpu])
			_exit(3);
		kernel->passes[vcpu] = ++passes;
		if (kernel_step(kernel, &log0->log) == 0)
			_exit(0);
		usleep(1000);
	}
}
static void *vcpu_thread(void *vcpu_number)
{
	if (vkckpt_thaw_count(ck) > 0)
		vkckpt_resume(ck, (unsigned)(uintptr_t)vcpu_number);	/* returns without contexts only */
	if (use_contexts)
		vkckpt_enter_stack((char *)kernel + RAM_BYTES - (uintptr_t)vcpu_number * STACK_BYTES, run, vcpu_number);
	run(vcpu_number);
	return NULL;
}

int main(int argc, char **argv)
{
	static struct log_device first;
	char own_image[128];
	vkckpt_block_signals();
	struct options o = read_options(argc, argv);
	use_contexts = o.contexts;
	snprintf(own_image, sizeof own_image, "%s.ckpt", o.name);
	struct vkckpt_hooks hooks = { .size = sizeof hooks, .kick = kick, .frame_states = frame_states, .vmspace_next = vmspace_next,
		.notice_begin = notice_begin, .notice_poll = notice_poll, .notice_undo = notice_undo, .resumed = resumed, .thawed = thawed };
	struct vkckpt_segment ram = { .address = kernel, .size_bytes = RAM_BYTES, .fd = -1 };
	struct vkckpt_device device = { &log_class, "log0", &first, VKCKPT_POLICY_REOPEN };
	struct vkckpt_config config = { .size = sizeof config, .program = "newcomer", .name = o.name, .image_path = o.image ? NULL : own_image,
		.image_fd = -1, .on_ckpt = VKCKPT_ACTION_EXIT, .resume_kind = use_contexts ? VKCKPT_RESUME_CONTEXT : VKCKPT_RESUME_ENTRY,
		.vcpu_count = VCPUS, .pagetable_format = VKCKPT_PT_DRAGONFLY, .segments = &ram, .segment_count = 1,
		.devices = &device, .device_count = 1, .hooks = &hooks, .run_dir = "" };
	struct vkckpt_error error;
	if (o.image) {
		const struct vkckpt_device_class *classes[] = { &log_class };
		struct vkckpt_thaw_config thaw = { .size = sizeof thaw, .vkernel = config, .path = o.image, .fd = -1,
			.classes = classes, .class_count = 1, .overrides = &o.override, .override_count = o.override != NULL };
		if (vkckpt_thaw(&thaw, &ck, &error) < 0)
			errx(1, "%s", error.message);
	} else {
		log0 = &first;
		ram.fd = memfd_create("ram", MFD_CLOEXEC);
		if (log_start(&first.log, o.log, O_CREAT | O_TRUNC) < 0 || ram.fd < 0 || ftruncate(ram.fd, RAM_BYTES) < 0 ||
		    mmap(kernel, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, ram.fd, 0) != kernel)
			err(1, "%s", o.log);
		kernel_boot(kernel, o.rounds);
		if (vkckpt_arm(&config, &ck, &error) < 0)
			errx(1, "%s", error.message);
	}
	pthread_t thread[VCPUS];
	for (uintptr_t i = 0; i < vkckpt_vcpu_count(ck); i++)
		if (pthread_create(&thread[i], NULL, vcpu_thread, (void *)i) != 0)
			errx(1, "no thread for a vCPU");
	pthread_join(thread[0], NULL);
}
