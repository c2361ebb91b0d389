// An image that is changed, and whose checksums are all right again.
#ifndef VKCKPT_TEST_FORGERY_H
#define VKCKPT_TEST_FORGERY_H

#include <functional>

#include "test/unit/image_support.h"

namespace image_test {

struct Forgery {
	Bytes image;
	std::vector<uint64_t> offsets;

	vkckpt_f_header &header() { return at<vkckpt_f_header>(image, 0); }
	vkckpt_f_record &record(uint16_t type) { return at<vkckpt_f_record>(image, offset_of_type(image, type)); }
	template <class T> T &payload(uint16_t type) { return at<T>(image, offset_of_type(image, type) + sizeof(vkckpt_f_record)); }
	vkckpt_f_group &group() { return payload<vkckpt_f_group>(VKCKPT_REC_RAM_GROUP); }
	vkckpt_f_chunk *chunks() { return reinterpret_cast<vkckpt_f_chunk *>(&group() + 1); }
	vkckpt_f_chunk *index() { return reinterpret_cast<vkckpt_f_chunk *>(&payload<vkckpt_f_index>(VKCKPT_REC_INDEX) + 1); }
	vkckpt_f_trailer &trailer() { return at<vkckpt_f_trailer>(image, image.size() - sizeof(vkckpt_f_trailer)); }
	uint32_t reason()
	{
		reseal(image, offsets);
		return read_bytes(image).reason;
	}
};

// Chunk 0: a zero descriptor and an LZ4 one; chunk 1: raw; chunk 2 (4 frames of it): LZ4.
inline Forgery forgery()
{
	std::mt19937_64 random(4);
	Frames frames;
	for (uint64_t f = 0; f < 36; f++)
		frames[{ 0, f }] = frame_of(f < 2 ? Fill::zero : (f >= 16 && f < 32 ? Fill::noise : Fill::text), random);
	Bytes image = image_bytes(shape_of({ 36 * 4096 }), frames);
	return { image, record_offsets(image) };
}

inline uint32_t forged(const std::function<void(Forgery &)> &change)
{
	Forgery f = forgery();
	change(f);
	return f.reason();
}

// The same in the group and in the index, so that only the fact itself is wrong.
inline uint32_t forged_chunk(unsigned i, const std::function<void(vkckpt_f_chunk &)> &change)
{
	return forged([&](Forgery &f) {
		change(f.chunks()[i]);
		change(f.index()[i]);
	});
}

// Puts a record in front of the one at `before`; everything behind moves by a multiple of 4096, so offsets are moved with it.
inline Forgery inserted(uint16_t before_type, uint16_t type, uint16_t version, uint32_t flags)
{
	Forgery f = forgery();
	uint64_t where = offset_of_type(f.image, before_type);
	Bytes extra(VKCKPT_BLOCK);
	vkckpt_f_record r = { VKCKPT_RECORD_MAGIC, type, version, 0, VKCKPT_BLOCK - sizeof r, flags, 0, {} };
	std::memcpy(extra.data(), &r, sizeof r);
	f.image.insert(f.image.begin() + static_cast<long>(where), extra.begin(), extra.end());
	f.offsets = record_offsets(f.image);
	for (uint64_t s = 0; s < f.offsets.size(); s++)
		at<vkckpt_f_record>(f.image, f.offsets[s]).sequence = s;
	vkckpt_f_trailer &t = f.trailer();
	t.record_count++;
	t.file_bytes += VKCKPT_BLOCK;
	t.index_offset += VKCKPT_BLOCK;
	t.stats_offset = offset_of_type(f.image, VKCKPT_REC_STATS);
	if (where <= offset_of_type(f.image, VKCKPT_REC_RAM_GROUP)) {
		f.group().data_offset += VKCKPT_BLOCK;
		for (unsigned i = 0; i < f.group().chunk_count; i++)
			for (vkckpt_f_chunk *c : { &f.chunks()[i], &f.index()[i] })
				c->offset += c->offset ? VKCKPT_BLOCK : 0;
	}
	return f;
}

}  // namespace image_test
#endif
