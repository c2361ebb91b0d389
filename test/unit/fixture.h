// A small vkernel inside the test's own process, for tests of arm, quiesce, capture, disks and thaw: RAM at a fixed address, a region in
// .bss, devices that write down what is done to them. Kind ENTRY: a thaw in the same process is an ordinary call.
#ifndef VKCKPT_TEST_FIXTURE_H
#define VKCKPT_TEST_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include <vkckpt/disk.h>
#include <vkckpt/image.h>
#include <vkckpt/vkckpt.h>

namespace fixture {

#ifdef __SANITIZE_THREAD__
constexpr uintptr_t kRam = 0x7000000000;	// the other is of no use to ThreadSanitizer
#else
constexpr uintptr_t kRam = 0x300000000000;
#endif
constexpr size_t kRamBytes = 1 << 20;

// A folder of its own, removed at the end.
inline const char *temp_base = "/tmp";
struct TempDir {
	std::string path;
	TempDir()
	{
		std::string name = std::string(temp_base) + "/vkckpt-test-XXXXXX";
		path = mkdtemp(name.data());
	}
	~TempDir()
	{
		if (system(("rm -rf " + path).c_str()) != 0)
			abort();
	}
	std::string operator/(const std::string &name) const { return path + "/" + name; }
};

inline bool exists(const std::string &path)
{
	struct stat st;
	return lstat(path.c_str(), &st) == 0;
}

inline std::string slurp(const std::string &path)
{
	std::string all;
	int fd = open(path.c_str(), O_RDONLY);
	char buffer[4096];
	for (ssize_t n; fd >= 0 && (n = read(fd, buffer, sizeof buffer)) > 0;)
		all.append(buffer, (size_t)n);
	if (fd >= 0)
		close(fd);
	return all;
}

inline void spill(const std::string &path, const std::string &content)
{
	int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || write(fd, content.data(), content.size()) != (ssize_t)content.size())
		abort();
	close(fd);
}

// What happened, in order, from any thread.
struct Log {
	std::mutex mutex;
	std::vector<std::string> lines;
	void add(const std::string &line)
	{
		std::lock_guard<std::mutex> hold(mutex);
		lines.push_back(line);
	}
	std::string text()
	{
		std::lock_guard<std::mutex> hold(mutex);
		std::string all;
		for (const std::string &l : lines)
			all += (all.empty() ? "" : " ") + l;
		return all;
	}
};

struct Device {
	std::string name;
	Log *log = nullptr;
	int polls = 0;			// until drained; -1: never
	int begin_result = 0, poll_result = 1;
	const char *why = nullptr;
	int save_result = 0;
	uint64_t value = 0;
	std::string text;
	struct vkckpt_disk fence = {};
	int disk_fd = -1;
	bool writable_disk = false;
};

inline int stop_begin(void *p, const char **why)
{
	Device &d = *static_cast<Device *>(p);
	d.log->add(d.name + ".begin");
	*why = d.why;
	return d.begin_result;
}
inline int stop_poll(void *p, const char **why)
{
	Device &d = *static_cast<Device *>(p);
	if (d.polls != 0) {
		if (d.polls > 0)
			d.polls--;
		return 0;
	}
	d.log->add(d.name + ".drained");
	*why = d.why;
	return d.poll_result;
}
inline void stop_undo(void *p) { static_cast<Device *>(p)->log->add(static_cast<Device *>(p)->name + ".undo"); }
inline int save(void *p, struct vkckpt_sink *sink)
{
	Device &d = *static_cast<Device *>(p);
	vkckpt_put_u64(sink, "value", d.value);
	vkckpt_put_string(sink, "path", d.text.c_str());
	return d.save_result;
}
inline struct vkckpt_disk *disk_of(void *p)
{
	Device &d = *static_cast<Device *>(p);
	return d.writable_disk ? &d.fence : nullptr;
}

// Devices that a thaw has opened; open finds the log here.
struct Opened {
	Log *log = nullptr;
	std::deque<Device> devices;
	int open_result = 0;
};
inline int open_device(void *arg, const char *name, const struct vkckpt_source *source, void **device, struct vkckpt_error *err)
{
	Opened &opened = *static_cast<Opened *>(arg);
	opened.log->add(std::string(name) + ".open");
	if (opened.open_result < 0)
		return opened.open_result;
	Device d;
	d.name = name;
	d.log = opened.log;
	d.value = vkckpt_get_u64(source, "value", 0);
	const char *path = vkckpt_get_string(source, "path");
	d.text = path ? path : "";
	opened.devices.push_back(d);
	Device &kept = opened.devices.back();
	*device = &kept;
	size_t bytes;
	if (!vkckpt_get_bytes(source, "fence_disk_id", &bytes))
		return 0;
	kept.writable_disk = true;
	kept.disk_fd = open(kept.text.c_str(), O_RDWR | O_CLOEXEC);
	if (kept.disk_fd < 0)
		return -errno;
	int r = vkckpt_disk_thaw(&kept.fence, kept.text.c_str(), kept.disk_fd, source, err);
	if (r < 0)
		close(kept.disk_fd);
	return r;
}
inline void close_device(void *p)
{
	Device &d = *static_cast<Device *>(p);
	d.log->add(d.name + ".close");
	if (d.writable_disk) {
		vkckpt_disk_release(&d.fence);
		close(d.disk_fd);
	}
}
inline void attach(void *p) { static_cast<Device *>(p)->log->add(static_cast<Device *>(p)->name + ".attach"); }

struct Vkernel {
	TempDir dir;
	Log log;
	Opened opened;
	struct vkckpt_hooks hooks = {};
	struct vkckpt_device_class device_class = {};
	struct vkckpt_segment segment = {};
	struct vkckpt_config config = {};
	std::vector<struct vkckpt_region> regions;
	std::vector<struct vkckpt_device> devices;
	std::deque<Device> device_state;
	std::string image = dir / "image";
	std::string run_dir = dir / "run";
	struct vkckpt *ck = nullptr;
	struct vkckpt_error err = {};
	struct vkckpt_error last_resumed = {};
	int notice_result = 1;
	const char *notice_why = nullptr;
	struct vkckpt_thaw_info info = {};

	Vkernel()
	{
		opened.log = &log;
		hooks.size = sizeof hooks;
		hooks.arg = this;
		hooks.kick = [](void *) {};
		hooks.resumed = [](void *p, const struct vkckpt_error *e) {
			{	// that of the next request may come on another vCPU
				std::lock_guard<std::mutex> hold(static_cast<Vkernel *>(p)->log.mutex);
				static_cast<Vkernel *>(p)->last_resumed = *e;
			}
			static_cast<Vkernel *>(p)->log.add(std::string("resumed:") + vkckpt_reason_name(e->reason));
		};
		hooks.thawed = [](void *p, const struct vkckpt_thaw_info *i) {
			static_cast<Vkernel *>(p)->info = *i;
			static_cast<Vkernel *>(p)->log.add("thawed");
		};
		device_class.size = sizeof device_class;
		device_class.name = "fake";
		device_class.version = 1;
		device_class.stop_begin = stop_begin;
		device_class.stop_poll = stop_poll;
		device_class.stop_undo = stop_undo;
		device_class.save = save;
		device_class.open = open_device;
		device_class.close = close_device;
		device_class.attach = attach;
		device_class.disk = disk_of;
		device_class.class_arg = &opened;
		config.size = sizeof config;
		config.program = "fixture";
		config.name = "one";
		config.image_path = image.c_str();
		config.image_fd = -1;
		config.on_ckpt = VKCKPT_ACTION_EXIT;
		config.vcpu_count = 1;
		config.hooks = &hooks;
		config.run_dir = run_dir.c_str();
		config.quiesce_timeout_ns = 5'000'000'000;
	}
	~Vkernel()
	{
		if (ck)
			vkckpt_disarm(ck);
		drop_ram();
		for (Device &d : device_state)
			if (d.writable_disk)
				vkckpt_disk_release(&d.fence), close(d.disk_fd);
	}
	uint8_t *ram() { return reinterpret_cast<uint8_t *>(kRam); }
	void make_ram()
	{
		segment.fd = memfd_create("fixture-ram", MFD_CLOEXEC);
		if (segment.fd < 0 || ftruncate(segment.fd, kRamBytes) < 0 ||
		    mmap(ram(), kRamBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, segment.fd, 0) != ram())
			abort();
		segment.address = ram();
		segment.size_bytes = kRamBytes;
		config.segments = &segment;
		config.segment_count = 1;
	}
	void drop_ram()
	{
		munmap(ram(), kRamBytes);
		if (segment.fd > 0)
			close(segment.fd);
		segment.fd = -1;
	}
	Device &add_device(const char *name, uint32_t policy = VKCKPT_POLICY_REOPEN)
	{
		device_state.emplace_back();
		Device &d = device_state.back();
		d.name = name;
		d.log = &log;
		devices.push_back({ &device_class, d.name.c_str(), &d, policy });
		return d;
	}
	// A writable disk, booted. 0 or -errno.
	int add_disk(const char *name, const std::string &path)
	{
		if (!exists(path))
			spill(path, std::string(8192, 'd'));
		Device &d = add_device(name);
		d.text = path;
		d.disk_fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
		int r = vkckpt_disk_boot(&d.fence, path.c_str(), d.disk_fd, &err);
		d.writable_disk = r == 0;
		return r;
	}
	int arm()
	{
		if (!config.segments)
			make_ram();
		config.regions = regions.data();
		config.region_count = regions.size();
		config.devices = devices.data();
		config.device_count = devices.size();
		return vkckpt_arm(&config, &ck, &err);
	}
	void disarm()
	{
		vkckpt_disarm(ck);
		ck = nullptr;
	}
	// One vCPU: until the request is over.
	int run(unsigned vcpu = 0)
	{
		for (;;) {
			int v = vkckpt_safe_point(ck, vcpu);
			if (v != VKCKPT_PENDING)
				return v;
			usleep(200);
		}
	}
	int request(uint64_t action, uint64_t id = 0, unsigned flags = 0)
	{
		int r = vkckpt_request(ck, VKCKPT_REQUEST(action, flags, id));
		return r < 0 ? r : run();
	}
	// This process is now as if it had just started: nothing armed, no RAM, disks not held.
	void die()
	{
		disarm();
		drop_ram();
		for (Device &d : device_state)
			if (d.writable_disk)
				vkckpt_disk_release(&d.fence), close(d.disk_fd);
		device_state.clear();
		devices.clear();
		config.segments = nullptr;
	}
	std::vector<const char *> overrides;
	uint32_t dry_run = 0;
	std::vector<std::string> refusals;	// of a dry run: reason and subject
	int thaw_fd = -1;
	const char *thaw_parent = nullptr;
	uint32_t lazy = 0;
	const struct vkckpt_crypto *opens = nullptr;
	int thaw(const std::string &path)
	{
		const struct vkckpt_device_class *classes[] = { &device_class };
		struct vkckpt_thaw_config t = {};
		t.size = sizeof t;
		t.vkernel = config;
		t.path = thaw_fd < 0 ? path.c_str() : nullptr;
		t.fd = thaw_fd;
		t.classes = classes;
		t.class_count = 1;
		t.overrides = overrides.data();
		t.override_count = overrides.size();
		t.dry_run = dry_run;
		refusals.clear();
		t.refusal = [](void *p, const struct vkckpt_error *e) {
			static_cast<Vkernel *>(p)->refusals.push_back(std::string(vkckpt_reason_name(e->reason)) + " " + e->subject);
		};
		t.refusal_arg = this;
		t.parent_path = thaw_parent;
		t.lazy = lazy;
		t.crypto = opens;
		return vkckpt_thaw(&t, &ck, &err);
	}
	// The entry in the run directory.
	struct vkckpt_run_entry entry()
	{
		struct vkckpt_run_entry e = {};
		std::string all = slurp(run_dir + "/" + config.name + "." + std::to_string(getpid()));
		if (all.size() == sizeof e)
			memcpy(&e, all.data(), sizeof e);
		return e;
	}
};

}  // namespace fixture
#endif
