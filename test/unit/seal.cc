// Sealed images: what stands in the file, that it comes back, and that nothing of it can be changed, moved or cut off.
#include <catch2/catch.hpp>

#include <fcntl.h>

#include <algorithm>
#include <cstdlib>

#include "lib/image_file.h"
#include "test/unit/image_support.h"
#include "test/unit/seal_support.h"

using namespace image_test;
using namespace seal_test;

namespace {

bool contains(const Bytes &image, const std::string &text)
{
	return std::search(image.begin(), image.end(), text.begin(), text.end()) != image.end();
}

}  // namespace

TEST_CASE("a sealed image gives its frames to who has the key, and to nobody else", "[seal]")
{
	Sodium key = raw('a'), other = raw('b');
	Frames frames = some_frames(), read;
	Bytes image = image_bytes(kShape, frames, vkckpt_sodium_table(key.get()));
	REQUIRE(read_bytes(image, vkckpt_sodium_table(key.get()), &read).reason == 0);
	REQUIRE(read == frames);
	REQUIRE(open_reason(image, vkckpt_sodium_table(key.get())) == 0);
	REQUIRE(read_bytes(image).reason == VKCKPT_R_SEALED);
	REQUIRE(open_reason(image) == VKCKPT_R_SEALED);
	REQUIRE(read_bytes(image, vkckpt_sodium_table(other.get())).reason == VKCKPT_R_KEY_WRONG);
	REQUIRE(open_reason(image, vkckpt_sodium_table(other.get())) == VKCKPT_R_KEY_WRONG);
}

TEST_CASE("a sealed image opened at random has the frames of the one in clear", "[seal]")
{
	Sodium key = raw('a');
	Frames frames = some_frames();
	TempFile file(image_bytes(kShape, frames, vkckpt_sodium_table(key.get())));
	vkckpt_image *image = nullptr;
	vkckpt_error err = {};
	REQUIRE(vkckpt_image_open_with(file.path().c_str(), vkckpt_sodium_table(key.get()), &image, &err) == 0);
	CHECK(vkckpt_image_header(image)->created_realtime_ns == 12345);
	CHECK(vkckpt_image_header(image)->segment_count == 2);
	CHECK(vkckpt_image_header(image)->segment[1].size_bytes == 8 * VKCKPT_FRAME);
	CHECK(vkckpt_image_stats(image)->frames_stored == 8);
	for (auto &[place, expected] : frames) {
		Bytes frame(VKCKPT_FRAME);
		REQUIRE(vkckpt_image_frame(image, place.first, place.second, frame.data(), &err) == 1);
		REQUIRE(frame == expected);
	}
	vkckpt_image_close(image);
}

TEST_CASE("an image in clear is refused when a key is given", "[seal]")
{
	Sodium key = raw('a');
	Bytes image = image_bytes(kShape, some_frames());
	REQUIRE(read_bytes(image, vkckpt_sodium_table(key.get())).reason == VKCKPT_R_NOT_SEALED);
	REQUIRE(open_reason(image, vkckpt_sodium_table(key.get())) == VKCKPT_R_NOT_SEALED);
}

TEST_CASE("a sealed image shows neither content, names nor sizes of memory", "[seal]")
{
	Sodium key = raw('a');
	Frames frames = some_frames();
	std::mt19937_64 random(11);
	for (auto &[place, content] : frames) {		// in RAM and in the region, between what cannot be packed
		content = frame_of(Fill::noise, random);
		std::strcpy(reinterpret_cast<char *>(content.data() + 500), place.first == VKCKPT_OBJECT_REGION ? "mark in a region" : "mark in RAM");
	}
	Bytes clear = image_bytes(kShape, frames), sealed = image_bytes(kShape, frames, vkckpt_sodium_table(key.get()));
	for (const char *text : { "disk0", "/var/vkernel", "blocks", "Linux test", "mark in RAM", "mark in a region", ".data" }) {
		CAPTURE(text);
		CHECK(contains(clear, text));
		CHECK(!contains(sealed, text));
	}
	const vkckpt_f_header &h = at<vkckpt_f_header>(sealed, 0);
	CHECK(h.segment_count == 0);
	CHECK(h.created_realtime_ns == 0);
	CHECK(h.required_features == VKCKPT_FEATURE_SEALED);
	CHECK(h.cipher_id == VKCKPT_CIPHER_XCHACHA20_POLY1305);
	// Two images of the same memory have no block in common, but the headers' zeros.
	Bytes again = image_bytes(kShape, frames, vkckpt_sodium_table(key.get()));
	REQUIRE(again.size() == sealed.size());
	uint64_t data = (offset_of_type(sealed, VKCKPT_REC_RAM_GROUP) + 4096) & ~4095ull;
	unsigned same = 0;
	for (uint64_t i = data; i < data + 4096; i++)
		same += sealed[i] == again[i];
	CHECK(same < 4096 / 64);
}

TEST_CASE("records and chunks are sealed as vkckpt(5) says", "[seal]")
{
	Known known;
	Bytes image = image_bytes(kShape, some_frames(), &known.table);
	uint8_t key[32];
	std::memset(key, Known::kByte, sizeof key);
	std::vector<uint64_t> offsets = record_offsets(image);
	REQUIRE(at<vkckpt_f_record>(image, offsets[0]).type == VKCKPT_REC_KEY);
	REQUIRE(at<vkckpt_f_record>(image, offsets[1]).type == VKCKPT_REC_SHAPE);
	auto open = [&](uint64_t offset, size_t prefix, const Bytes &more) {
		const vkckpt_f_record &r = at<vkckpt_f_record>(image, offset);
		Bytes ad(48), plain(r.payload_bytes - prefix - 16);
		std::memcpy(ad.data(), &at<vkckpt_f_header>(image, 0).image_id, 16);
		std::memcpy(ad.data() + 16, image.data() + offset, 28);
		ad.insert(ad.end(), more.begin(), more.end());
		uint8_t nonce[24] = {};
		std::memcpy(nonce, &r.sequence, 8);
		nonce[12] = 1;
		REQUIRE(crypto_aead_xchacha20poly1305_ietf_decrypt(plain.data(), nullptr, nullptr, image.data() + offset + sizeof r + prefix,
		    r.payload_bytes - prefix, ad.data(), ad.size(), nonce, key) == 0);
		return plain;
	};
	Bytes bound(image.begin(), image.begin() + 4096);
	bound.insert(bound.end(), image.begin() + static_cast<long>(offsets[0] + 48), image.begin() + static_cast<long>(offsets[0] + 48 + 192));
	Bytes shape = open(offsets[1], 0, bound);
	REQUIRE(shape.size() == sizeof(vkckpt_f_shape));
	CHECK(at<vkckpt_f_shape>(shape, 0).segment_count == 2);
	Bytes host = open(offsets[2], 0, {});
	CHECK(std::string(at<vkckpt_f_host>(host, 0).system) == "Linux test");

	uint64_t group = offset_of_type(image, VKCKPT_REC_RAM_GROUP);
	Bytes clear(image.begin() + static_cast<long>(group + 48), image.begin() + static_cast<long>(group + 80));
	Bytes payload = open(group, 32, clear);
	const vkckpt_f_group &g = at<vkckpt_f_group>(payload, 0);
	CHECK(g.data_bytes == at<vkckpt_f_sealed_group>(clear, 0).data_bytes);
	CHECK(vk::digest_equal(at<vkckpt_f_sealed_group>(clear, 0).data, vk::digest_of(image.data() + g.data_offset, g.data_bytes)));
	unsigned raw_chunks = 0;
	for (uint32_t i = 0; i < g.chunk_count; i++) {
		const vkckpt_f_chunk &c = at<vkckpt_f_chunk>(payload, sizeof g + i * sizeof(vkckpt_f_chunk));
		if (c.codec != VKCKPT_CODEC_RAW)
			continue;
		raw_chunks++;
		uint8_t ad[32] = {}, nonce[24] = {};
		std::memcpy(ad, &at<vkckpt_f_header>(image, 0).image_id, 16);
		std::memcpy(ad + 16, &c.chunk, 8);
		std::memcpy(ad + 24, &c.object, 2);
		std::memcpy(ad + 26, &c.mask, 2);
		ad[28] = c.codec;
		std::memcpy(nonce, &c.chunk, 8);
		std::memcpy(nonce + 8, &c.object, 2);
		nonce[10] = c.codec;
		nonce[12] = 2;
		Bytes frame(c.stored_bytes - 16);
		CHECK(vk::digest_equal(c.digest, vk::digest_of(image.data() + c.offset, c.stored_bytes)));
		REQUIRE(crypto_aead_xchacha20poly1305_ietf_decrypt(frame.data(), nullptr, nullptr, image.data() + c.offset, c.stored_bytes, ad,
		    sizeof ad, nonce, key) == 0);
		unsigned number = static_cast<unsigned>(c.chunk * 16) + static_cast<unsigned>(__builtin_ctz(c.mask));
		CHECK(frame == some_frames()[{ c.object, number }]);
	}
	CHECK(raw_chunks == 2);
}

TEST_CASE("no nonce is used twice in an image", "[seal]")
{
	Known known;
	std::mt19937_64 random(3);
	Frames frames;
	for (uint64_t f = 0; f < 4096; f += 3)
		frames[{ static_cast<uint32_t>(f % 2), f / 2 }] = frame_of(f % 5 ? Fill::text : Fill::noise, random);
	Bytes image = image_bytes(shape_of({ 2048 * VKCKPT_FRAME, 2048 * VKCKPT_FRAME }), frames, &known.table);
	CHECK(Known::repeated == 0);
	CHECK(Known::nonces.size() > 256 + 10);
	CHECK(read_bytes(image, &known.table).reason == 0);
}

TEST_CASE("an index of several pieces is sealed, and opened both ways", "[seal]")
{
	Known known;
	Frames frames;
	for (uint64_t c = 0; c < 40000; c++)
		frames[{ 0, c * 16 + c % 16 }] = Bytes(VKCKPT_FRAME);
	vk::ImageShape shape = shape_of({ 40000 * uint64_t{VKCKPT_CHUNK} });
	Bytes image = image_bytes(shape, frames, &known.table);
	Frames read;
	CHECK(read_bytes(image, &known.table, &read).reason == 0);
	CHECK(read == frames);
	CHECK(open_reason(image, &known.table) == 0);
	CHECK(Known::repeated == 0);
	uint64_t index = offset_of_type(image, VKCKPT_REC_INDEX);
	REQUIRE(at<vkckpt_f_record>(image, index).payload_bytes == 16 + 40000 * 64 + 3 * 16);
	for (uint64_t place : { uint64_t{100}, (uint64_t{2} << 20) + 100 }) {	// in the first piece, in the last
		Bytes bad = image;
		bad[index + 48 + place] ^= 1;
		CHECK(read_bytes(bad, &known.table).reason == VKCKPT_R_DAMAGED);
		reseal(bad, record_offsets(bad));
		CHECK(read_bytes(bad, &known.table).reason == VKCKPT_R_FORGED);
		CHECK(open_reason(bad, &known.table) == VKCKPT_R_FORGED);
		if (place == 100) {	// what is left of the record is read for its checksum, and is not there
			bad.resize(index + 48 + (1 << 20) + 4096);
			CHECK(read_bytes(bad, &known.table).reason == VKCKPT_R_TRUNCATED);
		}
	}
}

TEST_CASE("every byte of a sealed image is guarded, also against who can make checksums", "[seal]")
{
	Known known;
	Frames frames = some_frames();
	frames.erase({ 0, 50 });
	const Bytes image = image_bytes(kShape, frames, &known.table);
	REQUIRE(read_bytes(image, &known.table).reason == 0);
	std::vector<uint64_t> offsets = record_offsets(image);
	unsigned forged = 0;
	for (size_t i = 0; i < image.size(); i++) {
		CAPTURE(i);
		Bytes bad = image;
		bad[i] ^= 1 << i % 8;
		if (read_bytes(bad, &known.table).reason == 0)
			FAIL("a flipped bit was not seen");
		if (i % 4 != 0)
			continue;
		// The length of records is taken from the good image: the forger keeps the file's structure.
		Bytes forgery = bad;
		if (record_offsets(forgery) == offsets)
			reseal_all(forgery);
		if (forgery == image)
			continue;	// it hit a checksum, which was put right again
		uint32_t reason = read_bytes(forgery, &known.table).reason;
		if (reason == 0)
			FAIL("a forgery was not seen");
		forged += reason == VKCKPT_R_FORGED;
	}
	printf("figure: sealed-bytes-flipped %zu\nfigure: sealed-bytes-forged %u\n", image.size(), forged);
	CHECK(forged > 300);
}

TEST_CASE("a sealed image that ends early is refused at every length", "[seal]")
{
	Known known;
	Frames frames = some_frames();
	const Bytes image = image_bytes(kShape, frames, &known.table);
	TempFile file(image);
	for (size_t length = image.size(); length-- > 0;) {
		CAPTURE(length);
		if (ftruncate(file.fd(), static_cast<off_t>(length)) < 0)
			FAIL("truncate");
		lseek(file.fd(), 0, SEEK_SET);
		if (read_image(file.fd(), nullptr, nullptr, &known.table).reason == 0)
			FAIL("a cut was not seen");
	}
	Bytes longer = image;
	longer.push_back(0);
	CHECK(read_bytes(longer, &known.table).reason == VKCKPT_R_TRAILING_DATA);
}

TEST_CASE("records cannot be left out, moved or taken from another image", "[seal]")
{
	Known known;
	vk::ImageShape shape = shape_of({ 64 * VKCKPT_FRAME }, { 5000, 5000 });
	Frames frames = some_frames();
	frames.erase({ 1, 7 });
	const Bytes image = image_bytes(shape, frames, &known.table);
	std::vector<uint64_t> regions;
	for (uint64_t offset : record_offsets(image))
		if (at<vkckpt_f_record>(const_cast<Bytes &>(image), offset).type == VKCKPT_REC_REGION)
			regions.push_back(offset);
	REQUIRE(regions.size() == 2);
	size_t payload = 88 + 16;
	Bytes swapped = image;
	std::swap_ranges(swapped.begin() + static_cast<long>(regions[0] + 48), swapped.begin() + static_cast<long>(regions[0] + 48 + payload),
	    swapped.begin() + static_cast<long>(regions[1] + 48));
	reseal_all(swapped);
	CHECK(read_bytes(swapped, &known.table).reason == VKCKPT_R_FORGED);

	Bytes fewer = image;	// the second region is cut out, and everything behind it renumbered
	long length = 48 + 104 + 8;
	fewer.erase(fewer.begin() + static_cast<long>(regions[1]), fewer.begin() + static_cast<long>(regions[1]) + length);
	for (uint64_t offset = regions[1], n = 0; n < 2; n++, offset += 48 + 16 + 16)
		at<vkckpt_f_record>(fewer, offset).sequence--;
	reseal(fewer, record_offsets(fewer));
	CHECK(read_bytes(fewer, &known.table).reason != 0);

	// The same key for both, as it never is; what differs is the image's id.
	Bytes renamed = image;
	at<vkckpt_f_header>(renamed, 0).image_id.bytes[0] ^= 1;
	reseal_all(renamed);
	CHECK(read_bytes(renamed, &known.table).reason == VKCKPT_R_FORGED);
}

TEST_CASE("a chunk opens only in its own place, codec, mask and image", "[seal]")
{
	Known known;
	vk::Seal seal;
	REQUIRE(seal.init(known.table).ok());
	vkckpt_f_header header = {};
	header.image_id = uuid(9);
	vkckpt_f_key key;
	REQUIRE(seal.make(header, &key).ok());
	vkckpt_f_chunk c = {};
	c.chunk = 5;
	c.object = 1;
	c.mask = 7;
	c.codec = VKCKPT_CODEC_RAW;
	Bytes text(100 + 16, 'x'), sealed = text;
	REQUIRE(seal.seal_chunk(c, sealed.data(), 100).ok());
	auto reason = [&](vkckpt_f_chunk place, uint8_t image) {
		Bytes copy = sealed;
		header.image_id = uuid(image);
		REQUIRE(seal.open(header, key).ok());
		return seal.open_chunk(place, copy.data(), 100).reason;
	};
	CHECK(reason(c, 9) == 0);
	CHECK(reason(c, 10) == VKCKPT_R_FORGED);
	vkckpt_f_chunk wrong = c;
	wrong.chunk = 6;
	CHECK(reason(wrong, 9) == VKCKPT_R_FORGED);
	wrong = c, wrong.object = 2;
	CHECK(reason(wrong, 9) == VKCKPT_R_FORGED);
	wrong = c, wrong.mask = 15;
	CHECK(reason(wrong, 9) == VKCKPT_R_FORGED);
	wrong = c, wrong.codec = VKCKPT_CODEC_LZ4;
	CHECK(reason(wrong, 9) == VKCKPT_R_FORGED);
	seal.release();
}

TEST_CASE("a callback that fails ends the image with its reason", "[seal]")
{
	Known known;
	const Bytes image = image_bytes(kShape, some_frames(), &known.table);
	unsigned failures = 0;
	for (int call = 0;; call++) {
		CAPTURE(call);
		Known::fail_at = call;
		TempFile file;
		vk::Status s = write_image(file.fd(), kShape, some_frames(), &known.table);
		if (Known::fail_at >= 0) {
			CHECK(s.ok());
			break;
		}
		CHECK(s.reason == VKCKPT_R_HOOK_FAILED);
		CHECK(s.code == EIO);
		failures++;
	}
	CHECK(failures > 12);
	for (int call = 0;; call++) {
		CAPTURE(call);
		Known::fail_at = call;
		vk::Status s = read_bytes(image, &known.table);
		if (Known::fail_at >= 0) {
			CHECK(s.ok());
			break;
		}
		CHECK(s.reason == VKCKPT_R_HOOK_FAILED);
	}
	Known::fail_at = -1;
}

TEST_CASE("what make_key gives is checked, and a table too old is refused", "[seal]")
{
	Known known;
	vkckpt_crypto bad = known.table;
	bad.make_key = [](void *, const vkckpt_uuid *, uint8_t *, vkckpt_f_key *out) { return out->kind = 9, 0; };
	TempFile file;
	CHECK(write_image(file.fd(), kShape, some_frames(), &bad).reason == VKCKPT_R_HOOK_FAILED);
	bad = known.table;
	bad.size = 8;
	CHECK(write_image(file.fd(), kShape, some_frames(), &bad).reason == VKCKPT_R_BAD_ARGUMENT);
}

TEST_CASE("sizes of sealed payloads", "[seal]")
{
	uint64_t plain = 0;
	CHECK(vk::sealed_bytes(0) == 16);
	CHECK(vk::sealed_bytes(1) == 17);
	CHECK(vk::sealed_bytes(VKCKPT_SEALED_PIECE) == VKCKPT_SEALED_PIECE + 16);
	CHECK(vk::sealed_bytes(VKCKPT_SEALED_PIECE + 1) == VKCKPT_SEALED_PIECE + 33);
	for (uint64_t n : { 0ull, 1ull, 15ull, 0xfffffull, 0x100000ull, 0x100001ull, 0x300000ull, 1ull << 40 })
		CHECK((vk::plain_bytes(vk::sealed_bytes(n), &plain) && plain == n));
	CHECK(!vk::plain_bytes(0, &plain));
	CHECK(!vk::plain_bytes(15, &plain));
	CHECK(!vk::plain_bytes(VKCKPT_SEALED_PIECE + 17, &plain));	// a second piece without a byte
	CHECK(!vk::plain_bytes(VKCKPT_SEALED_PIECE + 32, &plain));
	CHECK(!vk::plain_bytes(~0ull, &plain));
}

TEST_CASE("who has no key can check a sealed image's checksums", "[seal]")
{
	Known known;
	const Bytes image = image_bytes(kShape, some_frames(), &known.table);
	vkckpt_error err = {};
	TempFile good(image);
	CHECK(vkckpt_image_verify(good.path().c_str(), -1, nullptr, nullptr, &err) == 1);
	CHECK(vkckpt_image_verify_with(good.path().c_str(), -1, &known.table, nullptr, nullptr, &err) == 0);
	for (size_t i = 0; i < image.size(); i += 3) {
		CAPTURE(i);
		Bytes bad = image;
		bad[i] ^= 0x10;
		TempFile file(bad);
		if (vkckpt_image_verify(file.path().c_str(), -1, nullptr, nullptr, &err) >= 0)
			FAIL("a flipped bit was not seen");
	}
	vkckpt_f_header header = {};
	vkckpt_f_key key = {};
	CHECK(vkckpt_image_peek(good.path().c_str(), &header, &key, &err) == 1);
	CHECK(key.kind == VKCKPT_KEY_RAW);
	TempFile clear(image_bytes(kShape, some_frames()));
	CHECK(vkckpt_image_peek(clear.path().c_str(), &header, &key, &err) == 0);
	CHECK(header.segment_count == 2);
}

TEST_CASE("a record KEY with impossible values is refused", "[seal]")
{
	Known known;
	const Bytes image = image_bytes(kShape, some_frames(), &known.table);
	auto reason = [&](auto change) {
		Bytes bad = image;
		change(at<vkckpt_f_key>(bad, 4096 + 48));
		reseal(bad, record_offsets(bad));
		return read_bytes(bad, &known.table).reason;
	};
	CHECK(reason([](vkckpt_f_key &k) { k.kind = 0; }) == VKCKPT_R_FEATURE_UNKNOWN);
	CHECK(reason([](vkckpt_f_key &k) { k.kind = 4; }) == VKCKPT_R_FEATURE_UNKNOWN);
	CHECK(reason([](vkckpt_f_key &k) { k.wrapped_bytes = 80; }) == VKCKPT_R_DAMAGED);
	CHECK(reason([](vkckpt_f_key &k) { k.salt[3] = 1; }) == VKCKPT_R_DAMAGED);
	CHECK(reason([](vkckpt_f_key &k) { k.reserved[3] = 1; }) == VKCKPT_R_DAMAGED);
	CHECK(reason([](vkckpt_f_key &k) { k.wrapped[79] = 1; }) == VKCKPT_R_DAMAGED);
	auto passphrase = [&](uint64_t passes, uint64_t memory) {
		return reason([=](vkckpt_f_key &k) { k.kind = VKCKPT_KEY_PASSPHRASE, k.passes = passes, k.memory_bytes = memory; });
	};
	CHECK(passphrase(0, 65536) == VKCKPT_R_LIMIT);
	CHECK(passphrase(1, ~0ull) == VKCKPT_R_LIMIT);
	CHECK(passphrase(1ull << 60, 65536) == VKCKPT_R_LIMIT);
	CHECK(passphrase(1, 65537) == VKCKPT_R_LIMIT);
	CHECK(passphrase(1, 65536) == VKCKPT_R_FORGED);	// this table opens it; the record is bound into the seal
}

namespace {

std::string golden_path()
{
	const char *root = std::getenv("VKCKPT_SOURCE");
	return std::string(root ? root : ".") + "/test/golden/sealed.ckpt";
}

}  // namespace

TEST_CASE("the golden sealed image opens with its raw key", "[seal][golden]")
{
	std::string key(32, '\0');
	for (int i = 0; i < 32; i++)
		key[static_cast<size_t>(i)] = static_cast<char>(i);
	Sodium sodium = seal_test::sodium();
	REQUIRE(vkckpt_sodium_key(sodium.get(), ("fd:" + std::to_string(pipe_with(key))).c_str(), nullptr) == 0);
	vkckpt_image *image = nullptr;
	vkckpt_error err = {};
	REQUIRE(vkckpt_image_open_with(golden_path().c_str(), vkckpt_sodium_table(sodium.get()), &image, &err) == 0);
	CHECK(vkckpt_image_header(image)->segment[0].size_bytes == 20 * VKCKPT_FRAME);
	CHECK(std::string(vkckpt_image_host(image)->system) == "Linux test");
	Bytes frame(VKCKPT_FRAME);
	REQUIRE(vkckpt_image_frame(image, 0, 0, frame.data(), &err) == 1);
	CHECK(contains(frame, " of a guest; "));
	vkckpt_image_close(image);
	CHECK(vkckpt_image_verify_with(golden_path().c_str(), -1, vkckpt_sodium_table(sodium.get()), nullptr, nullptr, &err) == 0);
	CHECK(vkckpt_image_verify(golden_path().c_str(), -1, nullptr, nullptr, &err) == 1);
}

TEST_CASE("an image sealed another way has the same records, frames and order", "[seal]")
{
	Known known;
	Sodium raw_key = raw('a');
	const Bytes clear = image_bytes(kShape, some_frames());
	TempFile in(clear), sealed, back;
	vkckpt_error err = {};
	REQUIRE(vkckpt_image_reseal(in.path().c_str(), nullptr, sealed.fd(), vkckpt_sodium_table(raw_key.get()), nullptr, nullptr, &err) < 0);
	CHECK(err.reason == VKCKPT_R_SYSTEM);	// O_NOFOLLOW: /proc/self/fd is a link, and links are not followed
	std::string path = std::string("/tmp/vkckpt-seal-test-") + std::to_string(getpid());
	auto write_to = [&](const Bytes &bytes) {
		int fd = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600);
		REQUIRE(write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
		close(fd);
	};
	write_to(clear);
	REQUIRE(vkckpt_image_reseal(path.c_str(), nullptr, sealed.fd(), vkckpt_sodium_table(raw_key.get()), nullptr, nullptr, &err) == 0);
	Frames read;
	CHECK(read_bytes(sealed.content(), vkckpt_sodium_table(raw_key.get()), &read).reason == 0);
	CHECK(read == some_frames());
	write_to(sealed.content());
	// And back: byte by byte what it was.
	REQUIRE(vkckpt_image_reseal(path.c_str(), vkckpt_sodium_table(raw_key.get()), back.fd(), nullptr, nullptr, nullptr, &err) == 0);
	CHECK(back.content() == clear);
	unlink(path.c_str());
}
