// What meets the host: the sidecar of a disk, and a whole thaw.
#include "test/fuzz/fuzz.h"

#include <cerrno>
#include <cstring>

#include <sys/mman.h>

#include <vkckpt/disk.h>

#include "lib/context.h"
#include "lib/disks.h"
#include "lib/source.h"
#include "test/fuzz/memory_host.h"
#include "test/fuzz/seeds.h"

namespace {

// A disk's source with a fence whose parts come from the input: what an image says of its disk.
struct Fence {
	vk::Arena arena;
	alignas(8) uint8_t record[2048] = {};
	vkckpt_source *source = nullptr;
	explicit Fence(const uint8_t *data, size_t size)
	{
		vkckpt_f_device device = {};
		std::strcpy(device.device_class, "disk");
		std::strcpy(device.name, "disk0");
		vkckpt_sink sink;
		vk::sink_begin(&sink, record + sizeof device, sizeof record - sizeof device);
		uint8_t bytes[56] = {};
		std::memcpy(bytes, data, size < sizeof bytes ? size : sizeof bytes);
		uint64_t epoch;
		std::memcpy(&epoch, bytes + 32, sizeof epoch);
		(void)vkckpt_put_bytes(&sink, "fence_disk_id", bytes, 16);
		(void)vkckpt_put_bytes(&sink, "fence_image_id", bytes + 16, bytes[40] & 1 ? 16 : 15);
		(void)vkckpt_put_u64(&sink, "fence_epoch", epoch);
		(void)vkckpt_put_u64(&sink, "fence_ram_only", bytes[40] >> 1 & 1);
		device.config_count = sink.count;
		std::memcpy(record, &device, sizeof device);
		FUZZ_CHECK(arena.map(vk::source_arena_bytes(device) + 64, vk::Prefault::no).ok());
		FUZZ_CHECK(vk::source_parse(arena, record, sizeof device + sink.used, &source).ok());
	}
	~Fence() { arena.release(); }
};

int open_device(void *, const char *name, const struct vkckpt_source *source, void **device, struct vkckpt_error *)
{
	(void)vkckpt_get_string(source, "path");
	*device = const_cast<char *>(name);
	return name[0] == 'x' ? -ENODEV : 0;
}

}  // namespace

// Stands for the stage before the point of no return: it fails there, and everything is undone.
// What the host is does not change from input to input.
namespace vk {
Status real_host_facts(struct vkckpt_f_host *) asm("__real__ZN2vk10host_factsEP13vkckpt_f_host");
Status host_facts_once(struct vkckpt_f_host *) asm("__wrap__ZN2vk10host_factsEP13vkckpt_f_host");
Status host_facts_once(struct vkckpt_f_host *out)
{
	static vkckpt_f_host facts;
	static const bool known = real_host_facts(&facts).ok();
	FUZZ_CHECK(known);
	*out = facts;
	return success();
}
uint64_t memory_available() asm("__wrap__ZN2vk21host_memory_availableEv");
uint64_t memory_available() { return uint64_t{4} << 30; }
uint64_t group_available() asm("__wrap__ZN2vk22group_memory_availableEv");
uint64_t group_available() { return ~uint64_t{0}; }
Status stop_here(struct vkckpt &) asm("__wrap__ZN2vk21disks_prepare_runningER6vkckpt");
Status stop_here(struct vkckpt &) { return fail(ECANCELED, VKCKPT_R_HOOK_FAILED, "fuzz", "end of the target"); }
}  // namespace vk

void fuzz_sidecar(const uint8_t *data, size_t size)
{
	size_t fence_bytes = size > sizeof(vkckpt_f_sidecar) ? size - sizeof(vkckpt_f_sidecar) : 0;
	memory_host::put(data + fence_bytes, size - fence_bytes);
	vkckpt_f_sidecar content;
	vkckpt_error err = {};
	if (vkckpt_disk_inspect("/fuzz/disk", &content, &err) == 0) {
		FUZZ_CHECK(content.version == 1 && content.state <= VKCKPT_DISK_SUSPENDED);
		FUZZ_CHECK(std::memchr(content.image_path, 0, sizeof content.image_path));
	}
	Fence fence(data, fence_bytes ? fence_bytes : size);
	vkckpt_disk disk;
	if (vkckpt_disk_thaw(&disk, "/fuzz/disk", memory_host::kFile, fence.source, &err) == 0) {
		FUZZ_CHECK(vkckpt_disk_inspect("/fuzz/disk", &content, &err) == 0);
		vkckpt_disk_release(&disk);
	}
}

void fuzz_thaw(const uint8_t *data, size_t size)
{
	static const vkckpt_range places[] = { { seeds::kRam, seeds::kRamRoom }, { seeds::kRegions, seeds::kRegionsRoom } };
	static vkckpt_device_class disk = {}, console = {};
	disk.size = console.size = sizeof disk;
	disk.version = console.version = 1;
	disk.name = "disk";
	console.name = "console";
	disk.open = console.open = open_device;
	static const vkckpt_device_class *const classes[] = { &disk, &console };
	static vkckpt_hooks hooks = {};
	hooks.size = sizeof hooks;
	hooks.kick = [](void *) {};
	vkckpt_thaw_config c = {};
	c.size = sizeof c;
	c.fd = memory_host::kFile;
	c.classes = classes;
	c.class_count = 2;
	c.vkernel.size = sizeof c.vkernel;
	c.vkernel.program = "test";
	c.vkernel.image_fd = -1;
	c.vkernel.on_ckpt = VKCKPT_ACTION_EXIT;
	c.vkernel.build_id = seeds::kBuild;
	c.vkernel.build_id_bytes = sizeof seeds::kBuild;
	c.vkernel.hooks = &hooks;
	c.vkernel.workers = 1;
	c.vkernel.places = places;
	c.vkernel.place_count = 2;
	memory_host::put(data, size);
	vkckpt *ck = nullptr;
	vkckpt_error err = {};
	FUZZ_CHECK(vkckpt_thaw(&c, &ck, &err) < 0 && ck == nullptr && err.message[0] != '\0');
	// Nothing of it is left: the next one gets the same addresses.
	void *here = mmap(reinterpret_cast<void *>(seeds::kRam), seeds::kRamRoom, PROT_NONE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	FUZZ_CHECK(here == reinterpret_cast<void *>(seeds::kRam));
	munmap(here, seeds::kRamRoom);
}
