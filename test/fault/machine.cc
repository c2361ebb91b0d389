#include "test/fault/machine.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <sys/mman.h>

#include "lib/signals.h"
#include "lib/sys.h"

namespace machine {

std::string disk_name(unsigned i) { return "/sim/disks/disk" + std::to_string(i) + ".img"; }

std::string member(unsigned n)
{
	char name[64];
	snprintf(name, sizeof name, "/sim/images/vk.%04u.ckpt", n);
	return name;
}

simfs::World fresh_world(unsigned disks)
{
	static bool mapped = false;
	if (!mapped && mmap(reinterpret_cast<void *>(kRam), kRamBytes, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED)
		abort();
	mapped = true;
	simfs::window = { kRam, kRamBytes };
	simfs::World w;
	w.folders = { "/sim/images", "/sim/disks" };
	// Read once: what the library asks the host about is always the same.
	static std::map<std::string, std::string> facts;
	for (const char *path : { "/proc/self/auxv", "/proc/meminfo", "/proc/self/stat", "/proc/self/environ", "/proc/sys/kernel/random/boot_id" }) {
		if (!facts.count(path)) {
			std::ifstream file(path, std::ios::binary);
			facts[path] = { std::istreambuf_iterator<char>(file), {} };
		}
		w.put(path, facts[path]);
	}
	w.put("/proc/self/cgroup", "0::/\n");		// no group below the top, whose limits would be the real host's
	w.put("/sys/fs/cgroup/memory.max", "max\n");
	for (unsigned i = 0; i < disks; i++)
		w.put(disk_name(i), std::string(8192, 'd'));
	return w;
}

Machine::Machine()
{
	hooks_.size = sizeof hooks_;
	class_.size = sizeof class_;
	class_.name = "simdisk";
	class_.version = 1;
	class_.save = save;
	class_.open = open;
	class_.close = close;
	class_.disk = fence_of;
	class_.class_arg = this;
	segment_ = { reinterpret_cast<void *>(kRam), kRamBytes, -1, 0 };
}

Machine::~Machine()
{
	if (ck_)
		vk::context_destroy(ck_);	// memory; the files of a process end with it
}

int Machine::save(void *p, struct vkckpt_sink *sink)
{
	return vkckpt_put_string(sink, "path", static_cast<Disk *>(p)->path.c_str());
}

int Machine::open(void *arg, const char *name, const struct vkckpt_source *source, void **out, struct vkckpt_error *err)
{
	Machine &m = *static_cast<Machine *>(arg);
	Disk &disk = m.disks_.emplace_back();
	disk.name = name;
	disk.path = vkckpt_get_string(source, "path");
	disk.fd = (int)vk::sys_open(disk.path.c_str(), O_RDWR);
	int r = disk.fd < 0 ? disk.fd : vkckpt_disk_thaw(&disk.fence, disk.path.c_str(), disk.fd, source, err);
	disk.held = r >= 0;
	if (r < 0 && disk.fd >= 0)
		vk::sys_close(disk.fd);
	*out = &disk;
	return r;
}

void Machine::close(void *p)
{
	Disk &disk = *static_cast<Disk *>(p);
	vkckpt_disk_release(&disk.fence);
	vk::sys_close(disk.fd);
	disk.held = false;
}

struct vkckpt_disk *Machine::fence_of(void *p) { return &static_cast<Disk *>(p)->fence; }

void Machine::give_back()
{
	for (Disk &disk : disks_)
		if (disk.held)
			close(&disk);
	disks_.clear();
}

int Machine::boot(unsigned disks)
{
	for (unsigned i = 0; i < disks; i++) {
		Disk &disk = disks_.emplace_back();
		disk.name = "disk" + std::to_string(i);
		disk.path = disk_name(i);
		disk.fd = (int)vk::sys_open(disk.path.c_str(), O_RDWR);
		int r = vkckpt_disk_boot(&disk.fence, disk.path.c_str(), disk.fd, &err);
		disk.held = r >= 0;
		if (r < 0) {
			vk::sys_close(disk.fd);
			give_back();
			return r;
		}
	}
	content = "booted";
	return 0;
}

struct vkckpt_config Machine::config()
{
	devices_.clear();
	for (Disk &disk : disks_)
		devices_.push_back({ &class_, disk.name.c_str(), &disk, VKCKPT_POLICY_REOPEN });
	struct vkckpt_config c = {};
	c.size = sizeof c;
	c.program = "machine";
	c.name = "one";
	c.image_path = kImage;
	c.image_fd = -1;
	c.on_ckpt = VKCKPT_ACTION_EXIT;
	c.vcpu_count = 1;
	c.hooks = &hooks_;
	c.segments = &segment_;
	c.segment_count = 1;
	c.devices = devices_.data();
	c.device_count = devices_.size();
	c.workers = 1;
	c.quiesces_itself = 1;		// no thread
	c.codec = VKCKPT_CODEC_RAW;
	c.chain = chain;
	c.parent_path = parent;
	c.reserve_image = reserve;
	c.crypto = crypto;
	return c;
}

int Machine::arm() { return vk::report(vk::context_make(config(), {}, vk::Prefault::yes, &ck_), &err); }

void Machine::disarm()
{
	vk::context_destroy(ck_);
	ck_ = nullptr;
}

int Machine::capture(uint32_t action, const char *image)
{
	// What vkckpt_safe_point does up to the park is about vCPUs and devices, not about files.
	ck_->request.store(VKCKPT_REQUEST(action, 0, 0));
	ck_->serial.fetch_add(1);
	strcpy(ck_->image_path, image);
	memset(reinterpret_cast<void *>(kRam), 0, kRamBytes);
	strcpy(reinterpret_cast<char *>(kRam), content.c_str());
	memset(reinterpret_cast<char *>(kRam) + 4096, 'r', 2 * 4096);
	vk::Status s = vk::capture_precheck(*ck_);
	if (s.ok())
		s = vk::capture(*ck_);
	return vk::report(s, &err);
}

int Machine::thaw(const char *image, const char *clone)
{
	const struct vkckpt_device_class *classes[] = { &class_ };
	struct vkckpt_thaw_config t = {};
	t.size = sizeof t;
	t.vkernel = config();
	t.vkernel.parent_path = nullptr;	// the image itself
	t.crypto = crypto;
	t.path = image;
	t.fd = -1;
	t.clone = clone;
	t.classes = classes;
	t.class_count = 1;
	int r = vkckpt_thaw(&t, &ck_, &err);
	vk::forget_armed_vkernel();		// many vkernels in this one process
	if (r < 0)
		return r;
	content = reinterpret_cast<const char *>(kRam);
	return 0;
}

std::string Machine::disks() const
{
	std::string all;
	for (const Disk &disk : disks_)
		all += simfs::world->content(disk.path)->substr(0, 20) + "/";
	return all;
}

void Machine::run(const std::string &trace)
{
	for (Disk &disk : disks_)
		simfs::world->touch(disk.path, trace);
}

void Machine::shutdown()
{
	for (Disk &disk : disks_)
		if (disk.held)
			vkckpt_disk_shutdown(&disk.fence);
}

int discard(unsigned disk)
{
	struct vkckpt_error err;
	return vkckpt_disk_discard(disk_name(disk).c_str(), &err);
}

}  // namespace machine
