// The glue to libvkckpt: what a vkernel whose whole state lies in its RAM has to tell the library. The devices are in
// ckpt_devices.cc, what guests see of checkpoints in ckpt_notice.cc.
#include "ckpt.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

#include "boot.h"
#include "ckpt_parts.h"
#include "ckpt_seal.h"
#include "cpu_mask.h"
#include "host.h"
#include "host_console.h"
#include "host_cpu.h"
#include "mem_state.h"
#include "process.h"

namespace minivk {

struct vkckpt *armed = nullptr;

namespace {

void hook_kick(void *) { host_kick_all(); }

void hook_frame_states(void *, unsigned, uint64_t first, unsigned count, uint8_t *state, uint8_t *page_class)
{
	static constexpr uint8_t kClass[] = {VKCKPT_CLASS_FREE, VKCKPT_CLASS_KERNEL, VKCKPT_CLASS_PAGETABLE,
	    VKCKPT_CLASS_ANON, VKCKPT_CLASS_CACHE, VKCKPT_CLASS_ANON};
	const MemState &m = *kernel().mem;
	// Of the table of frames, which grows with RAM, a thaw needs only what it touches.
	const Frame table = (reinterpret_cast<uintptr_t>(m.frame) - kRamBase) / kPage + 1;
	const Frame table_end = (reinterpret_cast<uintptr_t>(m.frame + m.frame_count) - kRamBase) / kPage;
	const Frame end = first + count;
	Frame f = first;
	unsigned order = 0;
	auto set = [&](Frame until, FrameUse use) {
		for (; f < until && f < end; f++) {
			state[f - first] = use == FrameUse::kFree ? VKCKPT_FRAME_FREE : use == FrameUse::kSecret ? VKCKPT_FRAME_SECRET
			    : f >= table && f < table_end ? VKCKPT_FRAME_COLD : VKCKPT_FRAME_LIVE;
			page_class[f - first] = kClass[unsigned(use)];
		}
	};
	// Free blocks are known by their heads; what lies in them is not looked at (mem_state.h).
	if (f < m.frame_count)
		if (Frame block = free_block_at(f, &order); block != kNoFrame)
			set(block + (1ull << order), FrameUse::kFree);
	while (f < end && f < m.frame_count)
		set(f + (m.frame[f].head ? 1ull << m.frame[f].order : 1), m.frame[f].use);
	set(end, FrameUse::kFree);
}

int hook_vmspace_next(void *, uint64_t *cursor, struct vkckpt_vmspace *out)
{
	if (*cursor >= kernel().spaces.size())
		return 0;
	const AddressSpace &as = *kernel().spaces[(*cursor)++];
	const Process *p = process_find(as.owner_pid);
	out->id = reinterpret_cast<uintptr_t>(&as);
	out->pid = as.owner_pid;
	memset(out->name, 0, sizeof out->name);
	if (p)
		memcpy(out->name, p->comm, strnlen(p->comm, sizeof p->comm));
	out->mapping_count = 1;
	out->mapping[0] = {0, VM_MAX_USER_ADDRESS, 0, as.root_vpte(), 0, 7};
	return 1;
}

int hook_vmspace_make(void *, const struct vkckpt_vmspace *v)
{
	for (AddressSpace *as : kernel().spaces)
		if (reinterpret_cast<uintptr_t>(as) == v->id)
			return as->make_vmspace(VmspaceWhen::kLater) ? 0 : -errno;
	return -EINVAL;
}

int hook_ram_ready(void *, unsigned, void *, uint64_t size_bytes, int fd)
{
	boot_engine(fd, size_bytes, kernel().cpu_count);
	return 0;
}

// Room for the registers of a CPU that has more of them than the one before.
void grow_xsave()
{
	Kernel &k = kernel();
	uint32_t bytes = uint32_t(vmspace_host_xsave_bytes());
	for (auto &[tid, t] : k.threads) {
		void *larger = kalloc(bytes < 4096 ? 4096 : bytes);
		vmspace_host_xsave_init(larger);
		memcpy(larger, t->xsave, k.xsave_bytes);
		kfree(t->xsave);
		t->xsave = larger;
	}
	k.xsave_bytes = bytes;
}

int hook_cpu_masked(void *, const struct vkckpt_cpu *cpu) { return cpu_mask_set(*cpu) ? 0 : -EOPNOTSUPP; }

void hook_thawed(void *, const struct vkckpt_thaw_info *info)
{
	Kernel &k = kernel();
	k.monotonic_offset_ns += int64_t(info->monotonic_then_ns - info->monotonic_now_ns);
	memcpy(k.ckpt.generation, info->generation.bytes, sizeof k.ckpt.generation);
	k.ckpt.thaw_count = info->thaw_count;
	snprintf(k.name, sizeof k.name, "%s", info->name);
	for (unsigned i = 0; i < k.cpu_count; i++)
		k.cpu[i].since_ns = host_monotonic_ns();
	if (vmspace_host_xsave_bytes() > k.xsave_bytes)
		grow_xsave();
	k.xcr0 = vmspace_host_xcr0();
	k.shown_cpu = cpu_mask_now();
	checkpoint_ended(CkptState::kThawed);
}

void log_image()
{
	uint32_t length = 0;
	const std::string path = vkckpt_last_image(armed, &length);
	if (path.empty())
		host_log("checkpoint written; going on");
	else if (length <= 1)
		host_log("checkpoint written to %s; going on", path.c_str());
	else
		host_log("checkpoint written to %s, number %u of its chain; going on", path.c_str(), length);
}

void hook_resumed(void *, const struct vkckpt_error *err)
{
	KernelLock lock;
	if (err->reason)
		host_log("checkpoint failed: %s", err->message);
	else
		log_image();
	checkpoint_ended(err->reason ? (err->code ? -err->code : -EIO) : CkptState::kResumed);
}

const struct vkckpt_hooks kHooks = {
	.size = sizeof(struct vkckpt_hooks), .arg = nullptr, .kick = hook_kick, .frame_states = hook_frame_states,
	.vmspace_next = hook_vmspace_next, .vmspace_make = hook_vmspace_make, .notice_begin = notice_begin,
	.notice_poll = notice_poll, .notice_undo = notice_undo, .resumed = hook_resumed, .ram_ready = hook_ram_ready,
	.thawed = hook_thawed, .cpu_masked = hook_cpu_masked};

// Sizes that the bytes in RAM depend on, beside the build id.
const uint64_t kLayout[] = {sizeof(Kernel), sizeof(Thread), sizeof(Process), sizeof(AddressSpace), sizeof(FrameInfo)};

// FILE as the command line has it: a path, "-" or "fd:N".
void set_image(const char *file, int standard, const char **path, int *fd)
{
	*fd = -1;
	*path = file;
	if (file && strcmp(file, "-") == 0)
		*fd = standard;
	else if (file && strncmp(file, "fd:", 3) == 0)
		*fd = atoi(file + 3);
	if (*fd >= 0)
		*path = nullptr;
}

struct vkckpt_config base_config(const Options &o)
{
	static const struct vkckpt_range kPlace = {kRamBase, VKCKPT_MAX_RAM_BYTES};
	struct vkckpt_config c = {};
	c.size = sizeof c;
	c.workers = o.workers;
	c.quiesce_timeout_ns = o.quiesce_timeout_ns;
	c.codec = o.codec;
	c.level = o.level;
	c.chain = o.chain;
	c.program = "minivk";
	set_image(o.image, 1, &c.image_path, &c.image_fd);
	c.on_ckpt = o.continue_after ? VKCKPT_ACTION_CONTINUE : VKCKPT_ACTION_EXIT;
	c.resume_kind = VKCKPT_RESUME_ENTRY;
	c.pagetable_format = VKCKPT_PT_DRAGONFLY;
	c.layout = kLayout;
	c.layout_count = sizeof kLayout / sizeof *kLayout;
	c.hooks = &kHooks;
	c.places = &kPlace;
	c.place_count = 1;
	c.run_dir = "";
	return c;
}

// Where no image can be written, and what a suspend will replace, is said at the start: at the end it is too late.
void look_at_image(const struct vkckpt_config &c)
{
	struct stat st;
	if (!c.image_path) {
		if (fcntl(c.image_fd, F_GETFD) < 0)
			host_log("image: descriptor %d is not open: a suspend will fail; open it, or name a file with --image", c.image_fd);
		return;
	}
	const std::string path = c.image_path;
	const bool there = stat(path.c_str(), &st) == 0;
	if (there && !S_ISREG(st.st_mode))
		host_log("image %s: not a regular file: a suspend will fail; name another with --image", c.image_path);
	else if (access(folder_of(path).c_str(), W_OK | X_OK) != 0)
		host_log("image %s: %s: a suspend will fail; name another place with --image", c.image_path, strerror(errno));
	else if (there && (c.chain == 0 || c.chain == VKCKPT_CHAIN_OFF))
		host_log("image %s: is there already: a suspend will replace it", c.image_path);
}

}  // namespace

void ckpt_arm(const Options &o)
{
	struct vkckpt_segment segment = {reinterpret_cast<void *>(kRamBase), kernel().ram_bytes, kernel().ram_fd};
	std::string default_image = o.name + ".ckpt";
	struct vkckpt_config c = base_config(o);
	if (!c.image_path && c.image_fd < 0)
		c.image_path = default_image.c_str();
	c.name = o.name.c_str();
	c.parent_path = o.parent;
	c.vcpu_count = kernel().cpu_count;
	c.segments = &segment;
	c.segment_count = 1;
	c.devices = boot_devices(&c.device_count);
	c.cpu = &kernel().shown_cpu;
	c.crypto = seals_of(o).write;
	struct vkckpt_error err = {};
	if (vkckpt_arm(&c, &armed, &err) < 0)
		fail("%s", err.message);
	look_at_image(c);
}

namespace {

// What a dry run says: a line for each refusal, or one JSON object {"thawable": ..., "refusals": [...]}.
struct Report {
	bool json;
	unsigned count = 0;
};

void report_refusal(void *arg, const struct vkckpt_error *err)
{
	Report &report = *static_cast<Report *>(arg);
	char object[2048];
	if (report.json && vkckpt_error_json(err, object, sizeof object) > 0)
		printf("%s%s", report.count ? ",\n    " : "{\"thawable\": false, \"refusals\": [\n    ", object);
	else
		fprintf(stderr, "minivk: %s\n", err->message);
	report.count++;
}

int end_of_dry_run(const Options &o, Report &report, int result, const struct vkckpt_error &err)
{
	if (result < 0 && report.count == 0)	// it is not even an image
		report_refusal(&report, &err);
	if (o.json)
		printf("%s", result < 0 ? "]}\n" : "{\"thawable\": true, \"refusals\": []}\n");
	else if (result == 0)
		printf("minivk: %s: can be thawed here; what it holds of RAM was not read (vkckpt verify does that)\n", o.thaw);
	return flush_output() ? result < 0 : 1;
}

// 0: there is something to read; and a console on the standard input must not read it, too.
int open_for_thaw(const struct vkckpt_thaw_config &c, struct vkckpt_error *err)
{
	struct stat image, input;
	if (!c.path && fstat(c.fd, &image) != 0)
		return vkckpt_error_fill(err, errno, VKCKPT_R_BAD_ARGUMENT, "thaw: open", ("fd:" + std::to_string(c.fd)).c_str(),
		    "this descriptor is not open; open it, or name a file with --thaw");
	if ((c.path ? stat(c.path, &image) : 0) == 0 && fstat(STDIN_FILENO, &input) == 0)
		host_console_deaf = image.st_dev == input.st_dev && image.st_ino == input.st_ino;
	return 0;
}

}  // namespace

int ckpt_thaw(const Options &o)
{
	struct vkckpt_thaw_config c = {};
	c.size = sizeof c;
	c.vkernel = base_config(o);
	struct vkckpt_cpu cpu;
	if (o.cpu_mask) {
		cpu = cpu_mask_parse(o.cpu_mask);
		c.vkernel.cpu = &cpu;
	}
	set_image(o.thaw, 0, &c.path, &c.fd);
	c.classes = device_classes(&c.class_count);
	c.overrides = o.overrides.data();
	c.override_count = o.overrides.size();
	c.dry_run = o.dry_run;
	c.lazy = o.lazy;
	c.clone = o.clone;
	c.parent_path = o.parent;
	Seals seals = seals_of(o);
	c.crypto = seals.read;
	c.vkernel.crypto = seals.write;
	console_option = o.console_given ? o.console : nullptr;
	disk_digest_option = o.disk_digest;
	dry_run_option = o.dry_run;
	Report report = {o.json};
	c.refusal = report_refusal;
	c.refusal_arg = &report;
	struct vkckpt_error err = {};
	int result = open_for_thaw(c, &err);
	if (result == 0)
		result = vkckpt_thaw(&c, &armed, &err);
	seals_forget();
	if (result < 0)
		host_console_close();
	if (o.dry_run)
		return end_of_dry_run(o, report, result, err);
	if (result < 0)
		fprintf(stderr, "minivk: %s\n", err.message);
	if (result == 0 && o.clone)
		host_log("clone %s of %s", vkckpt_name(armed), o.thaw);
	struct vkckpt_fill_info fill = {};
	fill.size = sizeof fill;
	if (result == 0 && o.lazy && vkckpt_fill_status(armed, &fill) == 0 && fill.not_lazy.code)
		host_log("%s; all of the memory was loaded before the guest ran", fill.not_lazy.message);
	return result < 0 ? 1 : -1;
}

void ckpt_fill(uint64_t offset, uint64_t bytes)
{
	if (armed)	// not while RAM is being made: no guest has run yet
		(void)vkckpt_fill(armed, 0, offset, bytes);
}

void ckpt_resume(unsigned cpu) { (void)vkckpt_resume(armed, cpu); }
int ckpt_safe_point(unsigned cpu) { return vkckpt_safe_point(armed, cpu); }

long ckpt_ask(CkptAction action) { return vkckpt_request(armed, VKCKPT_REQUEST(action, 0, 0)); }

void ckpt_end(bool suspended)
{
	vkckpt_block_signals();	// a SIGCKPT that comes too late must not change how we end
	if (!suspended)
		end_disk();
	vkckpt_disarm(armed);
}

}  // namespace minivk
