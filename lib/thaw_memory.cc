// THAW: RAM and regions. Addresses are reserved before anything else is done; RAM is then mapped over its reservation and loaded where it
// will be used, regions are loaded aside: their place is the running program's own until the last moment.
#include <errno.h>
#include <string.h>

#include "lib/host.h"
#include "lib/sys.h"
#include "lib/text.h"
#include "lib/thaw_state.h"

namespace vk {
namespace {

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

bool is_error(long r) { return r < 0 && r > -4096; }

uint64_t whole_chunks(uint64_t bytes) { return (bytes + VKCKPT_CHUNK - 1) & ~(uint64_t)(VKCKPT_CHUNK - 1); }

Status taken(const char *what, uint64_t i, uint64_t address)
{
	char subject[64];
	Text(subject, sizeof subject).add(what).add(" ").decimal(i);
	return fail(EEXIST, VKCKPT_R_ADDRESS_TAKEN, "thaw: reserve", subject, address);
}

// Maps private memory exactly there, or says so.
Status map_at(uint64_t address, uint64_t bytes, int prot, const char *what, uint64_t i)
{
	long r = sys_mmap((void *)address, bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	if (r == -EEXIST || r == -EPERM || r == -EINVAL)
		return taken(what, i, address);
	if (is_error(r))
		return fail(ENOMEM, VKCKPT_R_NO_MEMORY, "thaw: reserve", what, bytes);
	if ((uint64_t)r != address) {	// a kernel that takes the address for a hint
		sys_munmap((void *)r, bytes);
		return taken(what, i, address);
	}
	return success();
}

Status reserve_segment(Thaw &t, uint32_t i, const struct vkckpt_f_segment &s, uint64_t skip)
{
	VK_TRY(map_at(s.address + skip, s.size_bytes - skip, PROT_NONE, "segment", i));
	t.segments[t.segment_count++] = { (void *)s.address, s.size_bytes, -1, skip };
	return success();
}

Status reserve_region(Thaw &t, uint32_t i, const struct vkckpt_f_region &r)
{
	t.regions[i] = { r.name, (void *)r.address, r.size_bytes };
	t.region_count = i + 1;
	if (r.address == 0 || r.address >= 1ull << 47 || r.size_bytes > (1ull << 47) - r.address)
		return taken("region", i, r.address);
	uint64_t stack = (uint64_t)__builtin_frame_address(0);
	if (stack >= r.address && stack - r.address < r.size_bytes)
		return fail(EINVAL, VKCKPT_R_BAD_ARGUMENT, "thaw: the caller's stack lies in a region", r.name);
	if (program_owns(r.address, r.size_bytes))
		return success();
	// Not the program's own .data or .bss: memory that nobody here uses.
	uint64_t start = r.address & ~4095ull, end = (r.address + r.size_bytes + 4095) & ~4095ull;
	VK_TRY(map_at(start, end - start, PROT_READ | PROT_WRITE, "region", i));
	t.region_made[i] = true;
	return success();
}

uint8_t *chunk_place(void *arg, uint32_t object, uint64_t chunk, uint16_t)
{
	Thaw &t = *static_cast<Thaw *>(arg);
	if (object < t.segment_count)
		return static_cast<uint8_t *>(t.segments[object].address) + chunk * VKCKPT_CHUNK;
	return t.staging[object - VKCKPT_OBJECT_REGION] + chunk * VKCKPT_CHUNK;
}

Status make_ram(Thaw &t, uint32_t i)
{
	struct vkckpt_segment &s = t.segments[i];
	char name[32];
	Text(name, sizeof name).add("vkckpt-ram").decimal(i);
	long fd = sys_memfd_create(name, 1);	// MFD_CLOEXEC
	if (fd < 0)
		return fail_host((int)-fd, "thaw: map", name);
	s.fd = (int)fd;
	if (long r = sys_ftruncate(s.fd, s.size_bytes); r < 0)
		return fail_host((int)-r, "thaw: map", name, s.size_bytes);
	long r = sys_mmap(static_cast<uint8_t *>(s.address) + s.skip_bytes, s.size_bytes - s.skip_bytes, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_FIXED, s.fd, s.skip_bytes);
	if (is_error(r))
		return fail_host((int)-r, "thaw: map", name, s.size_bytes);
	return success();
}

Status make_staging(Thaw &t, uint32_t i)
{
	uint64_t bytes = whole_chunks(t.regions[i].size_bytes);
	long r = sys_mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (is_error(r))
		return fail_host((int)-r, "thaw: map", t.regions[i].name, bytes);
	t.staging[i] = reinterpret_cast<uint8_t *>(r);
	t.overwrite[i] = { t.regions[i].address, t.staging[i], t.regions[i].size_bytes };
	return success();
}

}  // namespace

Status thaw_reserve(Thaw &t)
{
	const struct vkckpt_f_header &header = t.image->head().header();
	for (uint32_t i = 0; i < header.segment_count; i++)
		VK_TRY(go_on(t, reserve_segment(t, i, header.segment[i], header.segment_skip[i])));
	for (uint32_t i = 0; i < t.image->head().count(VKCKPT_REC_REGION); i++)
		VK_TRY(go_on(t, reserve_region(t, i, *t.image->head().as<struct vkckpt_f_region>(VKCKPT_REC_REGION, i))));
	return success();
}

Status thaw_load(Thaw &t)
{
	for (uint32_t i = 0; i < t.segment_count; i++)
		VK_TRY(make_ram(t, i));
	for (uint32_t i = 0; i < t.region_count; i++)
		VK_TRY(make_staging(t, i));
	if (t.userfault >= 0)
		return thaw_begin_fill(t);
	ChunkTarget target;
	target.arg = &t;
	target.base = chunk_place;
	target.populate = true;
	VK_TRY(t.image->reader().read_ram(target));
	t.loaded_ns = sys_clock_ns(CLOCK_MONOTONIC);
	return success();
}

void thaw_unmap(Thaw &t)
{
	for (uint32_t i = 0; i < t.segment_count; i++) {
		const struct vkckpt_segment &s = t.segments[i];
		sys_munmap(static_cast<uint8_t *>(s.address) + s.skip_bytes, s.size_bytes - s.skip_bytes);
		if (t.segments[i].fd >= 0)
			sys_close(t.segments[i].fd);
	}
	for (uint32_t i = 0; i < t.region_count; i++) {
		uint64_t start = (uint64_t)t.regions[i].address & ~4095ull;
		uint64_t end = ((uint64_t)t.regions[i].address + t.regions[i].size_bytes + 4095) & ~4095ull;
		if (t.region_made[i])
			sys_munmap((void *)start, end - start);
		if (t.staging[i])
			sys_munmap(t.staging[i], whole_chunks(t.regions[i].size_bytes));
	}
	t.segment_count = t.region_count = 0;
}

}  // namespace vk
