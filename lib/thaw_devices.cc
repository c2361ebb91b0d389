// THAW: opening the devices that the image names, undoably.
#include <errno.h>
#include <string.h>

#include "lib/text.h"
#include "lib/thaw_state.h"

namespace vk {
namespace {

const struct vkckpt_device_class *find_class(const Thaw &t, const struct vkckpt_f_device &d)
{
	for (size_t i = 0; i < t.config->class_count; i++)
		if (text_equal(t.config->classes[i]->name, d.device_class) && t.config->classes[i]->version >= d.version)
			return t.config->classes[i];
	return nullptr;
}

// What a class said of its device, with what it left out: every refusal names the device as the operator knows it.
void complete(struct vkckpt_error &err, int code, const char *name)
{
	if (!err.message[0])
		return;
	err.code = err.code ? err.code : code;
	err.where = err.where ? err.where : "thaw: open";
	if (!err.subject[0])
		(void)text_copy(err.subject, sizeof err.subject, name);
	text_clean(err.subject);
	text_clean(err.message);
	if (text_contains(err.message, name))
		return;
	char said[sizeof err.message];
	(void)text_copy(said, sizeof said, err.message);
	Text(err.message, sizeof err.message).add(name).add(": ").add(said);
}

// The disk is there, and is somebody else's or another by now: that is a reason not to run, not one to run without it.
bool fenced(uint32_t reason)
{
	return reason == VKCKPT_R_DISK_IN_USE || reason == VKCKPT_R_DISK_SUSPENDED || reason == VKCKPT_R_DISK_SUPERSEDED ||
	    reason == VKCKPT_R_DISK_CHANGED || reason == VKCKPT_R_SIDECAR_DAMAGED;
}

Status open_device(Thaw &t, const struct vkckpt_f_device &d, const struct vkckpt_source *source)
{
	const struct vkckpt_device_class *c = find_class(t, d);
	if (!c)		// policy "drop", or refused by the check
		return success();
	struct vkckpt_device &device = t.devices[t.device_count];
	device = { c, d.name, nullptr, d.policy };
	memset(&t.device_error, 0, sizeof t.device_error);
	int r = c->open ? c->open(c->class_arg, d.name, source, &device.device, &t.device_error) : 0;
	if (r >= 0) {
		t.device_count++;
		return success();
	}
	if (d.policy == VKCKPT_POLICY_DROP && !fenced(t.device_error.reason))
		return success();
	complete(t.device_error, -r, d.name);
	return fail(-r, t.device_error.reason ? t.device_error.reason : (uint32_t)VKCKPT_R_DEVICE_MISSING, "thaw: open", d.name);
}

// A thaw that died between the sidecars of two disks has left one that says "running", and one that still waits for this image: the guest had
// not run, so this thaw may take both. Where none waits it has run.
Status check_taken(Thaw &t)
{
	const struct vkckpt_uuid &image_id = t.image->head().header().image_id;
	const struct vkckpt_device *taken = nullptr;
	for (uint32_t i = 0; i < t.device_count; i++) {
		const struct vkckpt_device &d = t.devices[i];
		const struct vkckpt_disk *disk = d.device_class->disk ? d.device_class->disk(d.device) : nullptr;
		if (!disk || disk->sidecar_fd < 0 || !uuid_equal(disk->now.image_id, image_id))
			continue;
		if (disk->now.state == VKCKPT_DISK_SUSPENDED)
			return success();
		taken = &d;
	}
	if (!taken)
		return success();
	Status s = fail(ESTALE, VKCKPT_R_DISK_SUPERSEDED, "thaw: disk", taken->device_class->disk(taken->device)->path);
	(void)report(s, &t.device_error);
	complete(t.device_error, ESTALE, taken->name);
	return s;
}

}  // namespace

Status thaw_open_devices(Thaw &t)
{
	ImageHead &head = t.image->head();
	for (size_t i = 0; t.clone && i < head.count(VKCKPT_REC_DEVICE); i++)
		VK_TRY(t.clone_disks.add(*head.sources()[i], t.name, t.config->dry_run != 0));
	for (size_t i = 0; i < head.count(VKCKPT_REC_DEVICE); i++)
		VK_TRY(go_on(t, open_device(t, *head.as<struct vkckpt_f_device>(VKCKPT_REC_DEVICE, i), head.source(i))));
	memset(&t.device_error, 0, sizeof t.device_error);	// of a device that was dropped
	return go_on(t, check_taken(t));
}

void thaw_close_devices(Thaw &t)
{
	while (t.device_count > 0) {
		struct vkckpt_device &d = t.devices[--t.device_count];
		if (d.device_class->close)
			d.device_class->close(d.device);
	}
}

}  // namespace vk
