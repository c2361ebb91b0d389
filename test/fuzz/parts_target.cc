// The parts by themselves: a group's descriptors, LZ4 blocks, page tables, a device's configuration.
#include "test/fuzz/fuzz.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include <lz4.h>

#include <vkckpt/image.h>

#include "lib/codec.h"
#include "lib/image_check.h"
#include "lib/source.h"
#include "lib/walk.h"

// What check_group lets through lies inside its data, in order, and inside the objects.
void fuzz_group(const uint8_t *data, size_t size)
{
	std::vector<uint64_t> payload((size + 7) / 8);
	if (size < sizeof(vkckpt_f_group))
		return;
	std::memcpy(payload.data(), data, size);
	vk::ImageShape shape;
	shape.segment_count = 1;
	shape.segment[0] = { 0x1000, 100 * VKCKPT_FRAME };
	shape.region_count = 1;
	shape.region_bytes[0] = 5000;
	const vkckpt_f_group &group = *reinterpret_cast<const vkckpt_f_group *>(payload.data());
	const vkckpt_f_chunk *chunks = reinterpret_cast<const vkckpt_f_chunk *>(&group + 1);
	size_t room = (size - sizeof group) / sizeof *chunks;
	if (!vk::check_group(group, chunks, sizeof group + room * sizeof *chunks, 0x1230, shape).ok())
		return;
	FUZZ_CHECK(group.chunk_count == room && room <= VKCKPT_GROUP_CHUNKS);
	uint64_t end = group.data_offset;
	for (uint32_t i = 0; i < group.chunk_count; i++) {
		const vkckpt_f_chunk &c = chunks[i];
		for (unsigned f = 0; f < VKCKPT_CHUNK_FRAMES; f++)
			FUZZ_CHECK(!(c.mask & 1u << f) || c.chunk * VKCKPT_CHUNK_FRAMES + f < shape.frames(c.object));
		FUZZ_CHECK(c.stored_bytes <= VKCKPT_CHUNK && c.codec <= VKCKPT_CODEC_LZ4);
		if (c.codec == VKCKPT_CODEC_ZERO)
			continue;
		FUZZ_CHECK(c.offset >= end && c.offset % 16 == 0 && c.offset - end < 16);
		end = c.offset + c.stored_bytes;
	}
	FUZZ_CHECK(end <= group.data_offset + group.data_bytes && group.data_bytes % VKCKPT_BLOCK == 0);
}

namespace {

// Encoded at either level into whatever room: nothing is written behind it, and what there is decodes, by liblz4 too, to the same bytes.
void encode(const std::vector<uint8_t> &in, uint32_t level, size_t room)
{
	alignas(64) static uint8_t state[vk::kLz4StateBytes];
	std::vector<uint8_t> stored(room + 64, 0xc7), back(in.size());
	const size_t bytes = vk::lz4_encode(state, in.data(), in.size(), stored.data(), room, level);
	FUZZ_CHECK(bytes <= room);
	for (size_t i = room; i < stored.size(); i++)
		FUZZ_CHECK(stored[i] == 0xc7);
	FUZZ_CHECK(bytes > 0 || room < in.size() + in.size() / 255 + 16);
	if (bytes == 0)
		return;
	FUZZ_CHECK(LZ4_decompress_safe(reinterpret_cast<const char *>(stored.data()), reinterpret_cast<char *>(back.data()), static_cast<int>(bytes),
	    static_cast<int>(back.size())) == static_cast<int>(back.size()));
	FUZZ_CHECK(back == in);
	std::fill(back.begin(), back.end(), 0);
	if (in.size() % VKCKPT_FRAME == 0)	// as the library decodes: whole frames
		FUZZ_CHECK(vk::lz4_decode(stored.data(), bytes, back.data(), back.size()) && back == in);
}

}  // namespace

void fuzz_lz4(const uint8_t *data, size_t size)
{
	if (size < 2 || size > VKCKPT_CHUNK)
		return;
	const uint32_t level = data[0] & 16 ? vk::kLz4Small : vk::kLz4Quick;
	const std::vector<uint8_t> once(data + 1, data + size);
	encode(once, level, data[0] & 32 ? once.size() + once.size() / 255 + 16 : once.size() * data[1] / 256);
	std::vector<uint8_t> frames((data[0] % 16 + size_t{1}) * VKCKPT_FRAME);	// the same again and again, and never quite
	for (size_t i = 0; i < frames.size(); i++)
		frames[i] = static_cast<uint8_t>(once[i % once.size()] ^ (i % 997 == 0 ? i / 997 : 0));
	if (data[0] & 64)
		encode(frames, level, data[0] & 32 ? frames.size() + frames.size() / 255 + 16 : frames.size() * data[1] / 256);
	size_t room = (data[0] % 16 + size_t{1}) * VKCKPT_FRAME;
	std::vector<uint8_t> stored(data + 1, data + size), out(room + 64, 0xc7);
	(void)vk::lz4_decode(stored.data(), stored.size(), out.data(), room);
	for (size_t i = room; i < out.size(); i++)
		FUZZ_CHECK(out[i] == 0xc7);
}

namespace {

struct WalkSum {
	uint64_t frames = 0, ram_frames = 0;
	std::vector<uint64_t> tables;
};

}  // namespace

// The first 32 bytes are the mapping and the format, the rest is RAM, repeated to whole frames.
void fuzz_walk(const uint8_t *data, size_t size)
{
	if (size < 40)
		return;
	vkckpt_f_mapping mapping = {};
	std::memcpy(&mapping.root, data, 8);
	std::memcpy(&mapping.size_bytes, data + 8, 8);
	std::memcpy(&mapping.offset, data + 16, 8);
	const vk::PageTableFormat *format = vk::pagetable_format(1 + data[24] % 2);
	WalkSum sum;
	sum.ram_frames = 1 + data[25] % 64;
	std::vector<uint64_t> ram(sum.ram_frames * 512);
	uint8_t *bytes = reinterpret_cast<uint8_t *>(ram.data());
	for (size_t at = 0; at < ram.size() * 8; at += size - 32)
		std::memcpy(bytes + at, data + 32, std::min(size - 32, ram.size() * 8 - at));
	vk::Arena arena;
	FUZZ_CHECK(arena.map(vk::walk_scratch_bytes(ram.size() * 8) + 64, vk::Prefault::no).ok());
	vk::WalkScratch scratch;
	vk::walk_scratch_init(scratch, arena, ram.size() * 8);
	vk::WalkVisitor visitor;
	visitor.arg = &sum;
	visitor.run = [](void *arg, const vk::WalkRun &run) {
		WalkSum &s = *static_cast<WalkSum *>(arg);
		FUZZ_CHECK(run.frame_count > 0 && run.frame < s.ram_frames && run.frame_count <= s.ram_frames - run.frame);
		s.frames += run.frame_count;
	};
	visitor.table = [](void *arg, uint64_t frame, unsigned level) {
		WalkSum &s = *static_cast<WalkSum *>(arg);
		FUZZ_CHECK(frame < s.ram_frames && level >= 1 && level <= 4);
		FUZZ_CHECK(std::find(s.tables.begin(), s.tables.end(), frame) == s.tables.end());
		s.tables.push_back(frame);
	};
	vk::WalkCounts counts;
	vk::walk_mapping(*format, ram.data(), ram.size() * 8, mapping, scratch, visitor, counts);
	FUZZ_CHECK(counts.frames_mapped == sum.frames && counts.table_frames == sum.tables.size());
	FUZZ_CHECK(counts.frames_writable <= sum.frames && counts.frames_modified <= sum.frames);
	arena.release();
}

void fuzz_device(const uint8_t *data, size_t size)
{
	if (size < sizeof(vkckpt_f_device) || size > VKCKPT_MAX_RECORD)
		return;
	std::vector<uint8_t> payload(data, data + size);
	vkckpt_f_device &device = *reinterpret_cast<vkckpt_f_device *>(payload.data());
	device.device_class[31] = device.name[31] = '\0';	// checked before the entries are looked at
	vk::Arena arena;
	FUZZ_CHECK(arena.map(vk::source_arena_bytes(device) + 64, vk::Prefault::no).ok());
	vkckpt_source *source = nullptr;
	if (vk::source_parse(arena, payload.data(), payload.size(), &source).ok()) {
		const char *key;
		const void *value;
		uint32_t type;
		size_t bytes;
		for (size_t k = 0; vkckpt_source_entry(source, k, &key, &type, &value, &bytes); k++) {
			FUZZ_CHECK(std::strlen(key) >= 1 && std::strlen(key) <= VKCKPT_MAX_NAME);
			FUZZ_CHECK(type != VKCKPT_VALUE_STRING || std::strlen(static_cast<const char *>(value)) == bytes);
			std::string text = std::string(device.name) + "." + key + "=17";
			(void)vk::source_override(&source, 1, text.c_str());
		}
	}
	arena.release();
}
