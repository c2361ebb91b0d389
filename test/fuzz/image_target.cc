// Whole images. Whatever the readers say, they agree: bytes that the streaming reader takes open at random as well, and give the same
// frames.
#include "test/fuzz/fuzz.h"
#include "test/unit/image_support.h"
#include "test/unit/seal_support.h"

using namespace image_test;

namespace {

void compare(const Bytes &image, const Frames &frames, const vkckpt_crypto *crypto)
{
	TempFile file(image);
	struct vkckpt_error err = {};
	struct vkckpt_image *opened = nullptr;
	FUZZ_CHECK(vkckpt_image_open_with(file.path().c_str(), crypto, &opened, &err) == 0);
	for (auto &[place, expected] : frames) {
		Bytes frame(VKCKPT_FRAME);
		FUZZ_CHECK(vkckpt_image_frame(opened, place.first, place.second, frame.data(), &err) == 1);
		FUZZ_CHECK(frame == expected);
	}
	vkckpt_image_close(opened);
}

void read_both(const Bytes &image, const vkckpt_crypto *crypto = nullptr)
{
	TempFile file(image);
	lseek(file.fd(), 0, SEEK_SET);
	Frames frames;
	vk::Status status = read_image(file.fd(), &frames, nullptr, crypto);
	if (status.ok())
		compare(image, frames, crypto);
	else
		(void)open_reason(image, crypto);
}

}  // namespace

int fuzz_image(const uint8_t *data, size_t size)
{
	read_both(Bytes(data, data + size));
	return 0;
}

int fuzz_sealed(const uint8_t *data, size_t size)
{
	if (size < sizeof(vkckpt_f_header) + sizeof(vkckpt_f_trailer))
		return 0;
	Bytes image(data, data + size);
	std::vector<uint64_t> offsets = record_offsets(image);
	// Checksums of chunks, where a descriptor's place lies in the file at all.
	for (uint64_t offset : offsets) {
		vkckpt_f_record &r = at<vkckpt_f_record>(image, offset);
		bool group = r.type == VKCKPT_REC_RAM_GROUP, index = r.type == VKCKPT_REC_INDEX;
		uint64_t first = offset + sizeof r + (group ? sizeof(vkckpt_f_group) : sizeof(vkckpt_f_index));
		for (uint64_t i = 0; (group || index) && i < (r.payload_bytes - 16) / sizeof(vkckpt_f_chunk); i++) {
			if (first + (i + 1) * sizeof(vkckpt_f_chunk) > image.size())
				break;
			vkckpt_f_chunk &c = at<vkckpt_f_chunk>(image, first + i * sizeof(vkckpt_f_chunk));
			if (c.codec != VKCKPT_CODEC_ZERO && c.offset <= image.size() && c.stored_bytes <= image.size() - c.offset)
				c.digest = vk::digest_of(image.data() + c.offset, c.stored_bytes);
		}
	}
	reseal(image, offsets);
	read_both(image);
	return 0;
}

// A table that opens everything; also who has no key reads it, for its checksums.
int fuzz_cipher(const uint8_t *data, size_t size)
{
	if (size < sizeof(vkckpt_f_header) + sizeof(vkckpt_f_trailer))
		return 0;
	static const vkckpt_crypto table = seal_test::open_to_all();
	Bytes image(data, data + size);
	reseal(image, record_offsets(image));
	read_both(image, &table);
	TempFile file(image);
	(void)vkckpt_image_verify(file.path().c_str(), -1, nullptr, nullptr, nullptr);
	return 0;
}
