// The head by itself: block 0, and records of every type.
#include "test/fuzz/fuzz.h"

#include <cstring>

#include "lib/image_check.h"
#include "lib/image_head.h"

namespace {

// What is let through is what the rest of the library relies on.
void check_shape(const vk::ImageShape &shape)
{
	uint64_t ram = 0;
	FUZZ_CHECK(shape.segment_count <= VKCKPT_MAX_SEGMENTS && shape.region_count <= VKCKPT_MAX_REGIONS);
	for (uint32_t i = 0; i < shape.segment_count; i++) {
		const vkckpt_f_segment &s = shape.segment[i];
		FUZZ_CHECK(s.address != 0 && s.address % VKCKPT_FRAME == 0 && s.address + s.size_bytes <= VKCKPT_MAX_ADDRESS);
		FUZZ_CHECK(s.size_bytes != 0 && s.size_bytes % VKCKPT_FRAME == 0 && shape.segment_skip[i] < s.size_bytes);
		ram += s.size_bytes;
	}
	FUZZ_CHECK(ram <= VKCKPT_MAX_RAM_BYTES);
	uint64_t first[VKCKPT_MAX_SEGMENTS + VKCKPT_MAX_REGIONS + 1];
	FUZZ_CHECK(vk::first_chunks(shape, first) <= VKCKPT_MAX_RAM_BYTES / VKCKPT_CHUNK + VKCKPT_MAX_SEGMENTS +
	    VKCKPT_MAX_REGIONS * (VKCKPT_MAX_REGION_BYTES / VKCKPT_CHUNK + 1));
}

vkckpt_f_header plain_header()
{
	vkckpt_f_header h = {};
	std::memcpy(h.magic, VKCKPT_MAGIC, 8);
	h.version_major = VKCKPT_VERSION_MAJOR;
	h.header_bytes = h.frame_bytes = 4096;
	h.arch = VKCKPT_ARCH_X86_64;
	h.digest_id = VKCKPT_DIGEST_XXH3_128;
	h.segment_count = 1;
	h.segment[0] = { 0x100000000, 64 * VKCKPT_FRAME };
	h.digest = vk::digest_of(&h, offsetof(vkckpt_f_header, digest));
	return h;
}

void use(const vk::ImageHead &head)
{
	check_shape(head.shape());
	for (uint16_t type = 0; type < VKCKPT_REC_HEAD_END + 1; type++) {
		size_t bytes = 0, i = 0;
		for (; head.record(type, i, &bytes); i++)
			;
		FUZZ_CHECK(i == head.count(type));
	}
	FUZZ_CHECK(head.identity().vcpu_count == head.count(VKCKPT_REC_VCPU) && head.source(head.count(VKCKPT_REC_DEVICE)) == nullptr);
	for (size_t i = 0; i < head.count(VKCKPT_REC_VMSPACE); i++) {
		size_t bytes = 0;
		const vkckpt_f_vmspace *v = static_cast<const vkckpt_f_vmspace *>(head.record(VKCKPT_REC_VMSPACE, i, &bytes));
		FUZZ_CHECK(bytes == sizeof *v + v->mapping_count * sizeof(vkckpt_f_mapping) && v->mapping_count <= VKCKPT_MAX_MAPPINGS);
	}
}

}  // namespace

void fuzz_header(const uint8_t *data, size_t size)
{
	static vkckpt_f_header block;
	std::memset(&block, 0, sizeof block);
	std::memcpy(&block, data, size < sizeof block ? size : sizeof block);
	(void)vk::check_magic(&block, size < sizeof block ? size : sizeof block).ok();
	vk::ImageHead head;
	FUZZ_CHECK(head.init().ok());
	if (head.set_header(&block).ok())
		check_shape(head.shape());
	head.release();
}

// Records: a byte for the type, two for the length, the payload.
void fuzz_records(const uint8_t *data, size_t size)
{
	static const vkckpt_f_header header = plain_header();
	vk::ImageHead head;
	FUZZ_CHECK(head.init().ok() && head.set_header(&header).ok());
	bool good = true;
	for (size_t at = 0; good && at + 3 <= size;) {
		size_t bytes = data[at + 1] | static_cast<size_t>(data[at + 2]) << 8;
		bytes = bytes < size - at - 3 ? bytes : size - at - 3;
		vkckpt_f_record record = {};
		record.magic = VKCKPT_RECORD_MAGIC;
		record.type = data[at];
		record.version = 1;
		record.payload_bytes = bytes;
		record.flags = VKCKPT_RECORD_REQUIRED;
		record.head_check = static_cast<uint32_t>(vk::digest64_of(&record, offsetof(vkckpt_f_record, head_check)));
		bool known = false;
		good = vk::check_record(record, 0, 0, &known).ok();
		if (!good)
			break;
		vk::Result<void *> room = head.room(bytes);
		FUZZ_CHECK(room.ok());
		std::memcpy(room.value, data + at + 3, bytes);
		good = head.add(record.type, room.value, bytes).ok();
		at += 3 + bytes;
	}
	if (good && head.complete().ok())
		use(head);
	head.release();
}
