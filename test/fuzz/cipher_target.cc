// Sealed images behind their seal: all checksums are put right, and the table opens everything. The readers agree, as in image_target.cc; who has
// no key reads the image too, for its checksums.
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

}  // namespace

void fuzz_cipher(const uint8_t *data, size_t size)
{
	if (size < sizeof(vkckpt_f_header) + sizeof(vkckpt_f_trailer))
		return;
	static const vkckpt_crypto table = seal_test::open_to_all();
	Bytes image(data, data + size);
	reseal(image, record_offsets(image));
	TempFile file(image);
	lseek(file.fd(), 0, SEEK_SET);
	Frames frames;
	if (read_image(file.fd(), &frames, nullptr, &table).ok())
		compare(image, frames, &table);
	else
		(void)open_reason(image, &table);
	(void)vkckpt_image_verify(file.path().c_str(), -1, nullptr, nullptr, nullptr);
}
