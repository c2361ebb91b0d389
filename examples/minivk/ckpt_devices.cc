// The devices as the library sees them: the console, and the disk with its fence.
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

#include <vkckpt/disk.h>

#include "boot.h"
#include "ckpt.h"
#include "ckpt_parts.h"
#include "host.h"
#include "host_console.h"
#include "host_disk.h"

namespace minivk {

const char *console_option = nullptr;
bool disk_digest_option = false, dry_run_option = false;

namespace {

// Console: what is not read or written yet is in the guest's RAM or still with the host, so there is nothing to stop.
int console_stop(void *, const char **) { return 0; }
int console_stopped(void *, const char **) { return 1; }
void console_undo(void *) {}

int console_save(void *, struct vkckpt_sink *sink) { return vkckpt_put_string(sink, "kind", host_console_kind()); }

// A clone's own: neither the link nor the file of the vkernel that it was made from.
std::string console_of(const struct vkckpt_source *source, const std::string &recorded)
{
	const char *clone = nullptr;
	if (vkckpt_source_clone(source, &clone) == VKCKPT_CLONE_NONE)
		return recorded;
	return recorded.compare(0, 4, "pty:") == 0 || recorded.compare(0, 4, "log:") == 0 ? recorded + "." + clone : recorded;
}

int console_open(void *, const char *, const struct vkckpt_source *source, void **device, struct vkckpt_error *err)
{
	const char *recorded = vkckpt_get_string(source, "kind");
	const std::string kind = console_option ? console_option : console_of(source, recorded ? recorded : "stdio");
	char message[512];
	*device = nullptr;
	if (host_console_open(kind.c_str(), dry_run_option ? ConsoleUse::kLook : ConsoleUse::kUse, message, sizeof message))
		return 0;
	return vkckpt_error_fill(err, ENODEV, VKCKPT_R_DEVICE_MISSING, "thaw: open", "console", message);
}

void console_close(void *) { host_console_close(); }

// The guest goes on whatever has become of the place since it was looked at.
void console_attach(void *)
{
	char message[512];
	if (!host_console_start(message, sizeof message))
		host_log("console: %s", message);
}

const struct vkckpt_device_class kConsole = {sizeof(struct vkckpt_device_class), "console", 1, console_stop, console_stopped,
    console_undo, console_save, console_open, console_close, console_attach, nullptr, nullptr};

// Disk.
struct DiskDevice {
	int fd = -1;
	bool writable = false;
	char path[PATH_MAX] = "";
	struct vkckpt_disk fence = {};
};
DiskDevice disk0;	// host-side: made anew by every process

int disk_stop(void *, const char **)
{
	host_disk_stop();
	return 0;
}
int disk_stopped(void *, const char **) { return host_disk_idle(); }
void disk_undo(void *) { host_disk_start(); }

int disk_save(void *, struct vkckpt_sink *sink)
{
	int r = vkckpt_put_string(sink, "path", disk0.path);
	if (r == 0)
		r = vkckpt_put_u64(sink, "size_bytes", host_disk_bytes());
	return r == 0 ? vkckpt_put_u64(sink, "writable", disk0.writable) : r;
}

int refuse(struct vkckpt_error *err, int code, uint32_t reason, const char *what)
{
	char said[300];
	snprintf(said, sizeof said, "%.200s: %s", disk0.path, what);
	return vkckpt_error_fill(err, code, reason, "thaw: open", "disk0", said);
}

int disk_open(void *, const char *, const struct vkckpt_source *source, void **device, struct vkckpt_error *err)
{
	const char *path = vkckpt_get_string(source, "path");
	snprintf(disk0.path, sizeof disk0.path, "%s", path ? path : "");
	disk0.writable = vkckpt_get_u64(source, "writable", 1);
	disk0.fd = open(disk0.path, (disk0.writable ? O_RDWR : O_RDONLY) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);	// of a pipe nobody waits
	*device = &disk0;
	if (disk0.fd < 0)
		return refuse(err, errno, VKCKPT_R_DISK_MISSING, "cannot be opened; put it back or say -o disk0.path=FILE");
	if (uint64_t(lseek(disk0.fd, 0, SEEK_END)) != vkckpt_get_u64(source, "size_bytes", 0)) {
		close(disk0.fd);
		return refuse(err, EINVAL, VKCKPT_R_DISK_CHANGED, "has another size than at the checkpoint; it is not the same disk");
	}
	if (!disk0.writable)
		return 0;
	if (uint32_t how = vkckpt_source_clone(source, nullptr); how == VKCKPT_CLONE_REFLINK || how == VKCKPT_CLONE_COPY)
		host_log("disk0: %s, %s", disk0.path, how == VKCKPT_CLONE_REFLINK ? "a copy-on-write copy (reflink)" :
		    "copied whole: this file system has no reflinks");
	int r = vkckpt_disk_thaw(&disk0.fence, disk0.path, disk0.fd, source, err);
	disk0.fence.digests = disk_digest_option;
	if (r < 0)
		close(disk0.fd);
	return r;
}

void disk_close(void *)
{
	if (disk0.writable)
		vkckpt_disk_release(&disk0.fence);
	close(disk0.fd);
}

void disk_attach(void *) { host_disk_attach(disk0.fd, disk0.writable); }
struct vkckpt_disk *disk_fence(void *) { return disk0.writable ? &disk0.fence : nullptr; }

const struct vkckpt_device_class kDisk = {sizeof(struct vkckpt_device_class), "disk", 1, disk_stop, disk_stopped, disk_undo,
    disk_save, disk_open, disk_close, disk_attach, nullptr, disk_fence};

const struct vkckpt_device_class *const kClasses[] = {&kConsole, &kDisk};
const struct vkckpt_device kDevices[] = {
	{&kConsole, "console", nullptr, VKCKPT_POLICY_REOPEN}, {&kDisk, "disk0", &disk0, VKCKPT_POLICY_REOPEN}};

}  // namespace

const struct vkckpt_device_class *const *device_classes(size_t *count)
{
	*count = 2;
	return kClasses;
}

const struct vkckpt_device *boot_devices(size_t *count)
{
	*count = disk0.fd >= 0 ? 2 : 1;
	return kDevices;
}

void ckpt_open_disk(const Options &o)
{
	struct vkckpt_error err = {};
	if (!o.disk)
		return;
	if (!realpath(o.disk, disk0.path))
		fail("disk %s: %s; name a file that exists with -r", o.disk, strerror(errno));
	disk0.fd = open(disk0.path, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	disk0.writable = disk0.fd >= 0;
	if (disk0.fd < 0 && (errno == EACCES || errno == EROFS)) {
		disk0.fd = open(disk0.path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (disk0.fd >= 0)
			host_log("disk %s: read-only", o.disk);
	}
	if (disk0.fd < 0)
		fail("disk %s: %s; name a file that can be read with -r", o.disk, strerror(errno));
	struct stat st;
	if (fstat(disk0.fd, &st) != 0 || !(S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)))
		fail("disk %s: neither a regular file nor a block device; name one of these with -r", o.disk);
	if (disk0.writable && vkckpt_disk_boot(&disk0.fence, disk0.path, disk0.fd, &err) < 0)
		fail("%s", err.message);
	disk0.fence.digests = o.disk_digest;
	host_disk_attach(disk0.fd, disk0.writable);
}

void end_disk()
{
	if (disk0.fd >= 0 && disk0.writable)
		vkckpt_disk_shutdown(&disk0.fence);
}

}  // namespace minivk
