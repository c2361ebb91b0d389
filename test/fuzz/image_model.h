// An image taken apart, changed, and put together again: what a mutation needs to come past the checksums. Taking apart believes what it
// can and gives up where it cannot.
#ifndef VKCKPT_TEST_FUZZ_IMAGE_MODEL_H
#define VKCKPT_TEST_FUZZ_IMAGE_MODEL_H

#include <cstddef>
#include <cstdint>
#include <vector>

#include <vkckpt/format.h>

namespace image_model {

using Bytes = std::vector<uint8_t>;

struct Record {
	vkckpt_f_record head = {};
	Bytes payload;
	std::vector<Bytes> stored;	// of a group: the stored bytes of each descriptor
	bool is_group() const { return head.type == VKCKPT_REC_RAM_GROUP && payload.size() >= sizeof(vkckpt_f_group); }
	size_t chunk_count() const { return is_group() ? (payload.size() - sizeof(vkckpt_f_group)) / sizeof(vkckpt_f_chunk) : 0; }
	vkckpt_f_chunk &chunk(size_t i)
	{
		return reinterpret_cast<vkckpt_f_chunk *>(payload.data() + sizeof(vkckpt_f_group))[i];
	}
};

struct Image {
	vkckpt_f_header header;
	std::vector<Record> records;
	vkckpt_f_trailer trailer;
};

// What is made to fit when an image is put together; what is not stays as it was, or as a mutation left it.
enum Repair : unsigned {
	kSequences = 1,		// of records
	kLengths = 2,		// payload_bytes, chunk_count
	kPlaces = 4,		// offsets of groups' data and of chunks
	kChunkDigests = 8,
	kIndex = 16,		// made anew from the groups
	kTrailer = 32,		// offsets, counts, size
	kDigests = 64,		// header, records, chain, trailer
	kEverything = 127
};

bool parse(const uint8_t *data, size_t size, Image *out);
Bytes build(Image &, unsigned repair);

}  // namespace image_model
#endif
