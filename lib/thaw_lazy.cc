// THAW, lazily: only what the vkernel wants at once is loaded, the rest is brought while it runs (fill.cc). Head, index and trailer of the image
// are verified here, each chunk before its first use.
#include <errno.h>
#include <sys/stat.h>

#include "lib/crew.h"
#include "lib/export.h"
#include "lib/sys.h"
#include "lib/thaw_state.h"
#include "lib/userfault.h"

namespace vk {
namespace {

Status unavailable(int code, const char *subject) { return fail(code, VKCKPT_R_LAZY_UNAVAILABLE, "thaw", subject); }

// The image must be read at any place, for as long as it takes.
Status check_file(Thaw &t)
{
	struct stat st;
	if (sys_fstat(t.fd, &st) < 0 || !S_ISREG(st.st_mode))
		return unavailable(ESPIPE, "the image comes through a pipe");
	if (sys_lseek(t.fd, 0, SEEK_CUR) != 0)
		return unavailable(ESPIPE, "the image does not begin at the beginning of its file");
	if (t.own_fd)
		return success();
	long fd = sys_fcntl(t.fd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return fail_host(static_cast<int>(-fd), "thaw", "a descriptor for the image");
	t.fd = static_cast<int>(fd);
	t.own_fd = true;
	return success();
}

Status get_ready(Thaw &t)
{
	VK_TRY(check_file(t));
	long fd = userfault_open();
	if (fd < 0)
		return unavailable(static_cast<int>(-fd), "userfaultfd");
	t.userfault = static_cast<int>(fd);
	return success();
}

}  // namespace

Status thaw_choose(Thaw &t)
{
	if (!t.config->lazy)
		return success();
	t.not_lazy = get_ready(t);
	if (!t.not_lazy.ok() && (t.config->lazy & VKCKPT_LAZY_REQUIRED || t.not_lazy.reason != VKCKPT_R_LAZY_UNAVAILABLE))
		return t.not_lazy;
	return success();
}

Status thaw_begin_fill(Thaw &t)
{
	VK_TRY(t.image->read_index());
	Fill::Plan plan;
	plan.image = t.image;
	plan.chain = t.chain;
	plan.memory = t.image_memory;
	plan.image_fd = t.fd;
	plan.userfault = t.userfault;
	plan.name = t.name;
	plan.image_name = t.config->path ? t.config->path : "the image";
	plan.segments = t.segments;
	plan.segment_count = t.segment_count;
	plan.staging = t.staging;
	plan.workers = Crew::workers_for(t.config->vkernel.workers);
	plan.on_demand = t.config->lazy & VKCKPT_LAZY_ON_DEMAND;
	VK_TRY(Fill::make(plan, &t.fill));
	VK_TRY(t.fill->load_first());
	VK_TRY(t.fill->start());
	t.loaded_ns = sys_clock_ns(CLOCK_MONOTONIC);
	return success();
}

void thaw_tell_fill(Thaw &t)
{
	struct vkckpt_run_entry &entry = *t.ck->run.words();
	entry.thaw_began_ns = t.began_ns;
	entry.thaw_loaded_ns = t.loaded_ns;
	entry.thaw_ready_ns = sys_clock_ns(CLOCK_MONOTONIC);
	if (t.fill) {
		t.fill->watch(&entry);
		return t.fill->go(&t.ck->bulk);
	}
	if (!t.ck->config.quiesces_itself)
		t.ck->watch.populate(t.ck->bulk);
	entry.thaw_full_ns = t.loaded_ns;
	entry.fill_reason = t.ck->not_lazy.reason;
	entry.fill_state = VKCKPT_FILL_EAGER;
}

}  // namespace vk

VK_EXPORT int vkckpt_fill(struct vkckpt *ck, unsigned segment, uint64_t offset, uint64_t bytes)
{
	if (segment >= ck->config.segment_count || offset > ck->segments[segment].size_bytes ||
	    bytes > ck->segments[segment].size_bytes - offset)
		return -EINVAL;
	if (ck->fill)
		ck->fill->demand(segment, offset, bytes);
	return 0;
}

VK_EXPORT int vkckpt_fill_status(const struct vkckpt *ck, struct vkckpt_fill_info *out)
{
	using namespace vk;
	if (out->size != sizeof *out)
		return -EINVAL;
	*out = {};
	out->size = sizeof *out;
	if (ck->fill) {
		out->state = ck->fill->complete() ? VKCKPT_FILL_COMPLETE : VKCKPT_FILL_UNDER_WAY;
		out->done_bytes = ck->fill->bytes_done();
		out->total_bytes = ck->fill->bytes_total();
	} else if (ck->thawed) {
		out->state = VKCKPT_FILL_EAGER;
		(void)report(ck->not_lazy, &out->not_lazy);
	}
	return 0;
}
