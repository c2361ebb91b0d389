// Made test/golden/v1.ckpt, once: an image with everything that version 1 of the format has. It is kept to show what was done and is not
// part of the build; the image is never made again, because a reader must read what was written then.
//
//	g++ -std=c++20 -Iinclude -I. -o make_v1 test/golden/make_v1.cc build/lib/libvkckpt.a && ./make_v1 v1.ckpt
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

#include "lib/image_writer.h"

namespace {

constexpr uint64_t kFrames = 40;		// two chunks and a half
constexpr uint64_t kRegionBytes = 6000;		// the second frame is partial
alignas(4096) uint8_t ram[48 * VKCKPT_FRAME];
alignas(4096) uint8_t region[VKCKPT_CHUNK];

void check(const vk::Status &status)
{
	struct vkckpt_error err;
	if (vk::report(status, &err) < 0) {
		std::fprintf(stderr, "%s\n", err.message);
		_exit(1);
	}
}

// Frame f: text that compresses, noise that does not (frames 16 to 18), zeros (frames 3 and 32 to 35).
void fill()
{
	uint64_t random = 88172645463325252ull;
	for (uint64_t f = 0; f < kFrames; f++)
		for (uint64_t i = 0; i < VKCKPT_FRAME; i++) {
			random ^= random << 13, random ^= random >> 7, random ^= random << 17;
			uint8_t text = static_cast<uint8_t>("golden image, version 1. "[i % 25] + (i % 25 == 23 ? f % 10 : 0));
			ram[f * VKCKPT_FRAME + i] = f == 3 || (f >= 32 && f < 36) ? 0 : (f >= 16 && f < 19 ? static_cast<uint8_t>(random) : text);
		}
	for (uint64_t i = 0; i < kRegionBytes; i++)
		region[i] = static_cast<uint8_t>(i / 16);
}

void uuid(struct vkckpt_uuid &out, uint8_t first)
{
	for (unsigned i = 0; i < 16; i++)
		out.bytes[i] = static_cast<uint8_t>(first + i);
}

void head(vk::ImageWriter &writer)
{
	struct vkckpt_f_host host = {};
	host.cpuid[VKCKPT_CPUID_1_EDX] = 1u << 26;	// SSE2
	host.xcr0 = 7;
	host.xsave_bytes = 832;
	host.page_bytes = 4096;
	host.realtime_ns = 1700000000000000000;
	host.monotonic_ns = 86400000000000;
	std::strcpy(host.system, "Linux 6.1.0");
	check(writer.record(VKCKPT_REC_HOST, &host, sizeof host));

	struct vkckpt_f_identity identity = {};
	uuid(identity.image_id, 0x10);
	uuid(identity.vkernel_id, 0x30);
	uuid(identity.generation, 0x50);
	identity.thaw_count = 2;
	identity.action = 1;
	identity.pagetable_format = VKCKPT_PT_DRAGONFLY;
	std::memset(identity.build_id, 0xb1, 20);
	identity.build_id_bytes = 20;
	identity.vcpu_count = 2;
	std::strcpy(identity.program, "minivk");
	std::strcpy(identity.name, "golden");
	std::strcpy(identity.library, "0.1.0");
	check(writer.record(VKCKPT_REC_IDENTITY, &identity, sizeof identity));

	struct vkckpt_sink *sink = writer.device_begin("disk", "disk0", 1, 0, 1);
	(void)vkckpt_put_string(sink, "path", "/var/vkernel/root.img");
	(void)vkckpt_put_u64(sink, "size", 1 << 30);
	check(writer.device_end());
	sink = writer.device_begin("console", "console0", 3, 1, 0);
	(void)vkckpt_put_bytes(sink, "termios", "\0\1\2\3", 4);
	check(writer.device_end());

	struct vkckpt_f_vmspace vmspace = {};
	vmspace.id = 0x40001000;
	vmspace.pid = 1;
	std::strcpy(vmspace.name, "init");
	vmspace.mapping_count = 2;
	vmspace.frames_mapped = 9;
	vmspace.table_frames = 4;
	struct vkckpt_f_mapping mapping[2] = { { 0, 0x7ff000000000, 0, 0x1003, 0, 7 }, { 0x7ff000000000, 0x1000, 0, 0x2003, 0, 5 } };
	check(writer.record(VKCKPT_REC_VMSPACE, &vmspace, sizeof vmspace, mapping, sizeof mapping));

	struct vkckpt_f_region data = {};
	std::strcpy(data.name, ".data");
	data.address = 0x404020;
	data.size_bytes = kRegionBytes;
	check(writer.record(VKCKPT_REC_REGION, &data, sizeof data));

	struct vkckpt_f_context context = { 1, 2, 3, 4, 5, 6, 0x7fff0000, 0x401000, 0x1f80, 0x37f, 0 };
	struct vkckpt_f_vcpu vcpu = { 0, VKCKPT_VCPU_CONTEXT, sizeof context };
	check(writer.record(VKCKPT_REC_VCPU, &vcpu, sizeof vcpu, &context, sizeof context));
	vcpu = { 1, VKCKPT_VCPU_ENTRY, 0 };
	check(writer.record(VKCKPT_REC_VCPU, &vcpu, sizeof vcpu));
	check(writer.head_end());
}

}  // namespace

int main(int argc, char **argv)
{
	int fd = argc == 2 ? open(argv[1], O_WRONLY | O_CREAT | O_EXCL, 0644) : -1;
	if (fd < 0) {
		std::fprintf(stderr, "usage: make_v1 NEW_FILE\n");
		return 2;
	}
	fill();
	vk::ImageShape shape;
	shape.segment_count = 1;
	shape.segment[0] = { 0x40000000, kFrames * VKCKPT_FRAME };
	shape.region_count = 1;
	shape.region_bytes[0] = kRegionBytes;
	vk::Arena arena;
	check(arena.map(vk::ImageWriter::arena_bytes(shape), vk::Prefault::no));
	vk::ImageWriter writer;
	writer.init(arena, shape);
	struct vkckpt_uuid id;
	uuid(id, 0x10);
	check(writer.begin(fd, id, 1700000000500000000));
	head(writer);
	uint8_t classes[16];
	std::memset(classes, VKCKPT_CLASS_ANON, sizeof classes);
	check(writer.chunk({ ram + VKCKPT_CHUNK, 1, 0, 0x0007, classes }));	// hot ones first: chunk 1, then 0
	check(writer.chunk({ ram, 0, 0, 0x80ff, classes }));
	check(writer.chunk({ ram + 2 * VKCKPT_CHUNK, 2, 0, 0x00ff, nullptr }));
	std::memset(classes, VKCKPT_CLASS_REGION, sizeof classes);
	check(writer.chunk({ region, 0, VKCKPT_OBJECT_REGION, 0x0003, classes }));
	writer.stats().frames_total = kFrames + 2;
	writer.stats().frames_free = 5;
	writer.stats().frames_hole = kFrames - 5 - 3 - 9 - 8;
	writer.stats().write_ns = 1000000;
	check(writer.finish());
	return 0;
}
