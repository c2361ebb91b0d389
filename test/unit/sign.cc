// Signed images: every byte is compared with its leaf before it is used, and nothing that a signer or a table says is believed unseen.
#include <catch2/catch.hpp>

#include "lib/image_file.h"
#include "test/unit/image_support.h"
#include "test/unit/seal_support.h"

using namespace image_test;
using namespace seal_test;

namespace {

// A good one, open.
struct OpenSigned {
	const Bytes image = image_bytes(kShape, some_frames());
	Signed good{image, 4096};
	TempFile file{image};
	vkckpt_image *opened = nullptr;
	vkckpt_error err = {};
	OpenSigned() { REQUIRE(vkckpt_image_open_with(file.path().c_str(), &good.table, &opened, &err) == 0); }
	~OpenSigned() { vkckpt_image_close(opened); }
};

}  // namespace

TEST_CASE("of a signed image every byte is checked before it is used, front to back and at random", "[sign]")
{
	const Bytes image = image_bytes(kShape, some_frames());
	for (uint32_t leaf : { 4096u, 16384u }) {
		Signed good(image, leaf);
		CHECK(read_bytes(image, &good.table).reason == 0);
		CHECK(open_reason(image, &good.table) == 0);
		for (size_t i = 0; i < image.size(); i += 97) {
			CAPTURE(i);
			Bytes forged = image;
			forged[i] ^= 4;
			if (record_offsets(forged) == record_offsets(image))
				reseal(forged, record_offsets(forged));
			if (forged == image)
				continue;
			if (read_bytes(forged, &good.table).reason != VKCKPT_R_SIGNATURE_WRONG)
				FAIL("a forgery was not seen");
		}
	}
}

TEST_CASE_METHOD(OpenSigned, "a file that changes after it was opened is not believed", "[sign]")
{
	Bytes frame(VKCKPT_FRAME);
	REQUIRE(vkckpt_image_frame(opened, 0, 33, frame.data(), &err) == 1);
	// The chunk of frame 50 is exchanged, and its checksum in the index that was read is the old one: only then is it read.
	Bytes other = image;
	std::mt19937_64 random(99);
	for (size_t i = 8192; i < other.size() - 8192; i++)
		other[i] = static_cast<uint8_t>(random());
	REQUIRE(pwrite(file.fd(), other.data(), other.size(), 0) == static_cast<ssize_t>(other.size()));
	CHECK(vkckpt_image_frame(opened, 0, 50, frame.data(), &err) == -EACCES);
	CHECK(err.reason == VKCKPT_R_SIGNATURE_WRONG);
}

TEST_CASE("a signed image of another length, no signature, and leaves that cannot be", "[sign]")
{
	const Bytes image = image_bytes(kShape, some_frames());
	Signed good(image, 4096);
	Bytes longer = image, shorter(image.begin(), image.end() - 4096);
	longer.resize(longer.size() + 4096);
	CHECK(read_bytes(longer, &good.table).reason == VKCKPT_R_TRAILING_DATA);
	CHECK(open_reason(longer, &good.table) == VKCKPT_R_SIGNATURE_WRONG);
	CHECK(read_bytes(shorter, &good.table).reason == VKCKPT_R_TRUNCATED);
	CHECK(open_reason(shorter, &good.table) == VKCKPT_R_TRUNCATED);
	good.result = -ENOENT;
	CHECK(read_bytes(image, &good.table).reason == VKCKPT_R_NOT_SIGNED);
	good.result = -EBADMSG;
	CHECK(read_bytes(image, &good.table).reason == VKCKPT_R_SIGNATURE_WRONG);
	good.result = -EIO;
	CHECK(read_bytes(image, &good.table).reason == VKCKPT_R_IO_ERROR);
	good.result = 0;
	for (uint32_t leaf : { 0u, 512u, 32768u, 5000u }) {
		good.leaves.leaf_bytes = leaf;
		CHECK(read_bytes(image, &good.table).reason == VKCKPT_R_BAD_ARGUMENT);
	}
}

TEST_CASE("a table that signs nothing right is refused: no digest function, no digests, no bytes, a success that is none", "[sign]")
{
	const Bytes image = image_bytes(kShape, some_frames());
	auto reason = [&](auto change) {
		Signed s(image, 4096);
		change(s);
		uint32_t streamed = read_bytes(image, &s.table).reason;
		CHECK(open_reason(image, &s.table) == streamed);
		return streamed;
	};
	CHECK(reason([](Signed &) {}) == 0);
	CHECK(reason([](Signed &s) { s.table.leaf_digest = nullptr; }) == VKCKPT_R_BAD_ARGUMENT);
	CHECK(reason([](Signed &s) { s.leaves.digests = nullptr; }) == VKCKPT_R_BAD_ARGUMENT);
	CHECK(reason([](Signed &s) { s.leaves.file_bytes = 0; }) == VKCKPT_R_BAD_ARGUMENT);
	CHECK(reason([](Signed &s) { s.result = 1; }) != 0);
	CHECK(reason([](Signed &s) { s.table.size--; }) == VKCKPT_R_BAD_ARGUMENT);
}

TEST_CASE("what a signer cut off or spoilt is refused, although every leaf is right", "[sign]")
{
	const Bytes image = image_bytes(kShape, some_frames());
	for (size_t length = image.size() - 1; length > 0; length -= length > 700 ? 613 : 1) {
		Bytes cut(image.begin(), image.begin() + static_cast<long>(length));
		for (uint32_t leaf : { 4096u, 16384u }) {
			Signed signer(cut, leaf);
			CAPTURE(length, leaf);
			if (read_bytes(cut, &signer.table).reason == 0 || open_reason(cut, &signer.table) == 0)
				FAIL("a cut was not seen");
		}
	}
	for (size_t i = 0; i < image.size(); i += 53) {
		Bytes bad = image;
		bad[i] ^= 0x20;
		Signed signer(bad, 4096);
		CAPTURE(i);
		if (read_bytes(bad, &signer.table).reason == 0)
			FAIL("a flipped bit was not seen");
	}
}

TEST_CASE_METHOD(OpenSigned, "a signed file that shrinks after it was opened is TRUNCATED", "[sign]")
{
	REQUIRE(ftruncate(file.fd(), 4096) == 0);
	Bytes frame(VKCKPT_FRAME);
	CHECK(vkckpt_image_frame(opened, 0, 50, frame.data(), &err) == -EBADMSG);
	CHECK(err.reason == VKCKPT_R_TRUNCATED);
}
