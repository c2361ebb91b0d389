// From an image to a running vkernel: the stages in order. THAW: ordinary program code, on a stack outside RAM and regions.
//
// Order: what may fail comes before the point of no return (the disks' epochs), also the making of vmspaces; a failure before
// it leaves the image thawable. A vkernel with regions cannot return to its caller once they are overwritten, because the caller's own data
// are others now: from there to the point of no return a failure ends the process with its message, and the image is still good.
#include <errno.h>
#include <string.h>

#include "lib/crew.h"
#include "lib/export.h"
#include "lib/disks.h"
#include "lib/signals.h"
#include "lib/sys.h"
#include "lib/text.h"
#include "lib/thaw_state.h"

inline void *operator new(size_t, void *place) noexcept { return place; }	// <new> is libstdc++'s

namespace vk {
namespace {

// What reading says of "the image", with its name.
Status named(Status s, const struct vkckpt_thaw_config &c)
{
	bool unnamed = s.subject[0] == '\0' || text_equal(s.subject, "the image");
	if (s.ok() || !unnamed || !c.path)
		return s;
	return fail(s.code, s.reason, s.where, c.path, s.number);
}

Status open_image(Thaw &t)
{
	const struct vkckpt_thaw_config &c = *t.config;
	if (c.size != sizeof c)
		return fail(EINVAL, VKCKPT_R_BAD_ARGUMENT, "thaw: config", "size", c.size);
	if (!c.path && c.fd < 0)
		return fail(EINVAL, VKCKPT_R_BAD_ARGUMENT, "thaw: config", "path");
	if ((c.class_count && !c.classes) || (c.override_count && !c.overrides))
		return fail(EINVAL, VKCKPT_R_BAD_ARGUMENT, "thaw: config", "classes or overrides");
	for (size_t i = 0; i < c.class_count; i++)
		if (!c.classes[i] || c.classes[i]->size != sizeof *c.classes[i])
			return fail(EINVAL, VKCKPT_R_BAD_ARGUMENT, "thaw: config", "classes", i);
	if (c.vkernel.parent_path)
		return fail(EINVAL, VKCKPT_R_BAD_ARGUMENT, "thaw: config", "vkernel.parent_path: the image itself is the parent");
	if (c.lazy & ~(uint32_t)(VKCKPT_LAZY | VKCKPT_LAZY_REQUIRED | VKCKPT_LAZY_ON_DEMAND) ||
	    (c.lazy && !(c.lazy & VKCKPT_LAZY)))
		return fail(EINVAL, VKCKPT_R_BAD_ARGUMENT, "thaw: config", "lazy", c.lazy);
	if (armed_vkernel())
		return fail(EEXIST, VKCKPT_R_BUSY, "thaw");
	t.fd = c.fd;
	if (c.path) {
		Result<int> fd = open_image_stream(c.path, "thaw: open");
		if (!fd.ok())
			return fd.status;
		t.fd = fd.value;
		t.own_fd = true;
	}
	if (c.vkernel.workers > VKCKPT_MAX_WORKERS)
		return fail(ENOBUFS, VKCKPT_R_LIMIT, "thaw: config", "workers", c.vkernel.workers);
	VK_TRY(t.image_memory.map(Arena::room(sizeof(OpenImage)) + Arena::room(sizeof(Chain)), Prefault::no));
	t.image = new (t.image_memory.take(sizeof(OpenImage))) OpenImage();
	t.chain = new (t.image_memory.take(sizeof(Chain))) Chain();
	VK_TRY(named(thaw_choose(t), c));
	VK_TRY(named(t.image->open(t.fd, Crew::workers_for(c.vkernel.workers)), c));
	if (c.crypto)
		VK_TRY(named(t.image->use(*c.crypto, c.path), c));
	VK_TRY(named(t.image->read_head(), c));
	t.image->set_chain(t.chain);
	t.image->reader().set_chain(t.chain);
	return go_on(t, named(t.chain->open(t.image->head(), c.path, t.fd, c.parent_path, c.crypto), c));
}

// Gives back all that could be taken until the point of no return.
void undo(Thaw &t)
{
	if (t.ck) {
		disks_revert(*t.ck);
		context_destroy(t.ck);		// ends the fill
	} else if (t.fill) {
		t.fill->end();
	}
	t.ck = nullptr;
	thaw_close_devices(t);
	t.clone_disks.remove();
	thaw_unmap(t);
}

void close_image(Thaw &t)
{
	t.clone_disks.close();
	if (t.fill)		// has all of it
		return;
	if (t.image)
		t.image->close();
	if (t.chain)
		t.chain->close();
	t.image_memory.release();
	if (t.userfault >= 0)
		sys_close(t.userfault);
	if (t.own_fd)
		sys_close(t.fd);
	t.own_fd = false;
}

[[noreturn]] void die(const Status &s)
{
	struct vkckpt_error err;
	(void)report(s, &err);
	char line[500];
	Text text(line, sizeof line);
	text.add(err.message).add("\n");
	sys_write(2, line, text.length());
	sys_exit_group(1);
}

// Everything up to the place where the process is no longer the caller's.
Status prepare(Thaw &t)
{
	VK_TRY(open_image(t));
	VK_TRY(thaw_check(t));
	VK_TRY(thaw_reserve(t));
	VK_TRY(thaw_open_devices(t));
	if (t.config->dry_run)
		return t.refused;
	VK_TRY(named(thaw_load(t), *t.config));
	VK_TRY(thaw_make_context(t));
	return disks_prepare_running(*t.ck);
}

Status restore(Thaw &t)
{
	if (t.region_count) {
		vk_overwrite(t.overwrite, t.region_count);
		forget_armed_vkernel();		// it may lie in one of them
	}
	VK_TRY(thaw_ram_ready(t));
	VK_TRY(thaw_make_vmspaces(t));
	return disks_replace(*t.ck);		// the point of no return
}

// May not fail.
void start(Thaw &t)
{
	disks_finish(*t.ck);
	t.clone_disks.keep();
	for (uint32_t i = 0; i < t.device_count; i++)
		if (t.devices[i].device_class->attach)
			t.devices[i].device_class->attach(t.devices[i].device);
	thaw_set_clocks(t);
	thaw_tell_fill(t);
	context_publish(*t.ck);
	SignalAction action;
	if (sys_sigaction(VKCKPT_SIGTHAW, nullptr, &action) == 0 && (uintptr_t)action.handler > 1)	// not SIG_DFL, SIG_IGN
		sys_kill(sys_getpid(), VKCKPT_SIGTHAW);
}

void drop_staging(Thaw &t)
{
	for (uint32_t i = 0; i < t.region_count; i++)
		sys_munmap(t.staging[i], (t.regions[i].size_bytes + VKCKPT_CHUNK - 1) & ~(uint64_t)(VKCKPT_CHUNK - 1));
}

int tell(const Thaw &t, const Status &s, struct vkckpt_error *err)
{
	int r = report(s, err);
	if (err && t.device_error.message[0])
		*err = t.device_error;		// the class knows better what is wrong
	if (err && !t.refused.ok())
		*err = t.refused_error;
	return r;
}

int thaw(const struct vkckpt_thaw_config *config, struct vkckpt **out, struct vkckpt_error *err)
{
	Thaw t;
	t.config = config;
	t.began_ns = sys_clock_ns(CLOCK_MONOTONIC);
	Status s = prepare(t);
	uint64_t loaded = sys_clock_ns(CLOCK_MONOTONIC);
	bool dry = s.ok() && config->dry_run;
	bool own_data = true;		// the caller's .data and .bss are still those of this process
	if (s.ok() && !dry) {
		own_data = t.region_count == 0;
		s = restore(t);
	}
	if (!s.ok() || dry) {
		undo(t);
		close_image(t);
		if (!s.ok() && !own_data)
			die(s);
		return tell(t, s, err);
	}
	struct vkckpt *ck = t.ck;
	uint64_t restored = sys_clock_ns(CLOCK_MONOTONIC);
	start(t);
	drop_staging(t);
	ck->times.thaw_load_ns = loaded - t.began_ns;
	ck->times.thaw_vmspaces_ns = restored - loaded;
	ck->times.thaw_devices_ns = sys_clock_ns(CLOCK_MONOTONIC) - restored;
	close_image(t);
	*out = ck;
	return 0;
}

}  // namespace
}  // namespace vk

using namespace vk;

VK_EXPORT int vkckpt_thaw(const struct vkckpt_thaw_config *config, struct vkckpt **out, struct vkckpt_error *err)
{
	*out = nullptr;
	if (!config)
		return report(fail(EINVAL, VKCKPT_R_BAD_ARGUMENT, "thaw: config", "config"), err);
	const uint64_t ignored = ignore_write_signals();
	const int result = thaw(config, out, err);
	if (*out)
		(*out)->ignored_signals = ignored;
	else
		heed_write_signals(ignored);
	return result;
}

VK_EXPORT int vkckpt_resume(struct vkckpt *ck, unsigned vcpu)
{
	if (vcpu >= ck->config.vcpu_count || !ck->thawed)
		return -EINVAL;
	if (ck->config.resume_kind == VKCKPT_RESUME_CONTEXT)
		vk_jump(&ck->vcpus[vcpu].context, VKCKPT_THAWED);
	return 0;
}
