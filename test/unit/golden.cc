// The golden images: format 1.0 (test/golden/v1.ckpt, made once by make_v1.cc), and 1.1: an increment, sealed, signed (make_chain.cc): read,
// verified, inspected.
#include <catch2/catch.hpp>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>

#include "test/golden/chain_content.h"
#include "test/unit/image_support.h"
#include "test/unit/seal_support.h"

using namespace image_test;

namespace {

// Tests run from the project's folder, or say where it is.
std::string source_path(const char *path)
{
	const char *root = std::getenv("VKCKPT_SOURCE");
	return std::string(root ? root : ".") + "/" + path;
}
std::string golden_path() { return source_path("test/golden/v1.ckpt"); }

Bytes read_golden(const char *path)
{
	std::ifstream in(source_path(path), std::ios::binary);
	return Bytes(std::istreambuf_iterator<char>(in), {});
}
Bytes golden() { return read_golden("test/golden/v1.ckpt"); }

// As make_v1.cc filled them.
uint8_t text_byte(uint64_t f, uint64_t i)
{
	return static_cast<uint8_t>("golden image, version 1. "[i % 25] + (i % 25 == 23 ? static_cast<int>(f % 10) : 0));
}

}  // namespace

TEST_CASE("the golden image is whole", "[golden]")
{
	Bytes image = golden();
	REQUIRE(image.size() == 32768);
	REQUIRE(read_bytes(image).reason == 0);
	struct vkckpt_error err = {};
	REQUIRE(vkckpt_image_verify(golden_path().c_str(), -1, nullptr, nullptr, &err) == 0);
}

TEST_CASE("the golden image's head says what was written", "[golden]")
{
	struct vkckpt_error err = {};
	struct vkckpt_image *image = nullptr;
	REQUIRE(vkckpt_image_open(golden_path().c_str(), &image, &err) == 0);
	auto header = vkckpt_image_header(image);
	REQUIRE(header->version_major == 1);
	REQUIRE(header->image_id.bytes[0] == 0x10);
	REQUIRE(header->created_realtime_ns == 1700000000500000000);
	REQUIRE(header->segment[0].address == 0x40000000);
	REQUIRE(header->segment[0].size_bytes == 40 * 4096);
	REQUIRE(vkckpt_image_host(image)->xsave_bytes == 832);
	auto identity = vkckpt_image_identity(image);
	REQUIRE(std::string(identity->program) == "minivk");
	REQUIRE(std::string(identity->name) == "golden");
	REQUIRE(identity->thaw_count == 2);
	REQUIRE(identity->build_id_bytes == 20);
	REQUIRE(identity->pagetable_format == VKCKPT_PT_DRAGONFLY);
	const vkckpt_source *disk = vkckpt_image_device(image, 0), *console = vkckpt_image_device(image, 1);
	REQUIRE(std::string(vkckpt_get_string(disk, "path")) == "/var/vkernel/root.img");
	REQUIRE(vkckpt_get_u64(disk, "size", 0) == 1 << 30);
	size_t bytes = 0;
	REQUIRE(std::memcmp(vkckpt_get_bytes(console, "termios", &bytes), "\0\1\2\3", 4) == 0);
	REQUIRE(vkckpt_image_device(image, 2) == nullptr);
	auto vmspace = static_cast<const vkckpt_f_vmspace *>(vkckpt_image_record(image, VKCKPT_REC_VMSPACE, 0, &bytes));
	REQUIRE(std::string(vmspace->name) == "init");
	REQUIRE(bytes == sizeof *vmspace + 2 * sizeof(vkckpt_f_mapping));
	REQUIRE(reinterpret_cast<const vkckpt_f_mapping *>(vmspace + 1)[1].root == 0x2003);
	auto vcpu = static_cast<const vkckpt_f_vcpu *>(vkckpt_image_record(image, VKCKPT_REC_VCPU, 0, &bytes));
	REQUIRE(vcpu->kind == VKCKPT_VCPU_CONTEXT);
	REQUIRE(reinterpret_cast<const vkckpt_f_context *>(vcpu + 1)->rip == 0x401000);
	auto stats = vkckpt_image_stats(image);
	REQUIRE(stats->frames_total == 42);
	REQUIRE(stats->frames_zero == 5);
	REQUIRE(stats->frames_stored == 17);
	REQUIRE(stats->class_frames[VKCKPT_CLASS_ANON] == 12);
	vkckpt_image_close(image);
}

TEST_CASE("every frame of the golden image is as it was", "[golden]")
{
	struct vkckpt_error err = {};
	struct vkckpt_image *image = nullptr;
	REQUIRE(vkckpt_image_open(golden_path().c_str(), &image, &err) == 0);
	uint64_t random = 88172645463325252ull;
	for (uint64_t f = 0; f < 40; f++) {
		Bytes frame(VKCKPT_FRAME), expected(VKCKPT_FRAME);
		bool stored = f < 8 || f == 15 || (f >= 16 && f < 19) || (f >= 32 && f < 40);
		for (uint64_t i = 0; i < VKCKPT_FRAME; i++) {
			random ^= random << 13, random ^= random >> 7, random ^= random << 17;
			bool zero = !stored || f == 3 || (f >= 32 && f < 36);
			expected[i] = zero ? 0 : (f >= 16 && f < 19 ? static_cast<uint8_t>(random) : text_byte(f, i));
		}
		INFO("frame " << f);
		REQUIRE(vkckpt_image_frame(image, 0, f, frame.data(), &err) == stored);
		REQUIRE(frame == expected);
	}
	for (uint64_t f = 0; f < 2; f++) {
		Bytes frame(VKCKPT_FRAME), expected(VKCKPT_FRAME);
		for (uint64_t i = 0; i < VKCKPT_FRAME && f * 4096 + i < 6000; i++)
			expected[i] = static_cast<uint8_t>((f * 4096 + i) / 16);
		REQUIRE(vkckpt_image_frame(image, VKCKPT_OBJECT_REGION, f, frame.data(), &err) == 1);
		REQUIRE(frame == expected);
	}
	uint64_t count = 0;
	const vkckpt_f_chunk *chunks = vkckpt_image_chunks(image, &count);
	unsigned codecs[3] = {};
	for (uint64_t i = 0; i < count; i++)
		codecs[chunks[i].codec]++;
	REQUIRE(codecs[VKCKPT_CODEC_ZERO] == 2);
	REQUIRE(codecs[VKCKPT_CODEC_RAW] == 1);
	REQUIRE(codecs[VKCKPT_CODEC_LZ4] == 3);
	vkckpt_image_close(image);
}

namespace {

// Both images of a golden chain give the frames that they were made of.
void read_golden_chain(const char *name, const vkckpt_crypto *crypto)
{
	for (unsigned i : { 1u, 2u }) {
		const std::string path = source_path("test/golden/") + name + "." + std::to_string(i);
		CAPTURE(path);
		vkckpt_error err = {};
		vkckpt_image *image = nullptr;
		REQUIRE(vkckpt_image_open_with(path.c_str(), crypto, &image, &err) == 0);
		CHECK(vkckpt_image_header(image)->version_major == 1);
		CHECK(vkckpt_image_header(image)->version_minor == 1);
		CHECK((vkckpt_image_header(image)->required_features & VKCKPT_FEATURE_INCREMENTAL) != 0);
		CHECK(vkckpt_image_chain(image, nullptr, &err) == static_cast<int>(i - 1));
		CHECK(vkckpt_image_stats(image)->frames_parent == (i == 1 ? 0 : 18));
		Frames read;
		for (uint32_t object : { 0u, VKCKPT_OBJECT_REGION })
			for (uint64_t f = 0; f < (object ? 2 : 40); f++) {
				Bytes frame(VKCKPT_FRAME);
				int got = vkckpt_image_frame(image, object, f, frame.data(), &err);
				REQUIRE(got >= 0);
				if (got)
					read[{ object, f }] = frame;
			}
		CHECK(read == golden_chain::frames(i));
		vkckpt_image_close(image);
		CHECK(vkckpt_image_verify_with(path.c_str(), -1, crypto, nullptr, nullptr, &err) == 0);
	}
}

}  // namespace

TEST_CASE("the golden chain is read, in clear and sealed", "[golden]")
{
	read_golden_chain("chain", nullptr);
	std::string key(32, '\0');
	for (size_t i = 0; i < key.size(); i++)
		key[i] = static_cast<char>(i);
	seal_test::Sodium sodium = seal_test::sodium();
	REQUIRE(vkckpt_sodium_key(sodium.get(), ("fd:" + std::to_string(seal_test::pipe_with(key))).c_str(), nullptr) == 0);
	read_golden_chain("sealed-chain", vkckpt_sodium_table(sodium.get()));
	vkckpt_error err = {};
	CHECK(vkckpt_image_verify(source_path("test/golden/sealed-chain.2").c_str(), -1, nullptr, nullptr, &err) == 1);
}

TEST_CASE("the golden chain's signatures fit, and fit nothing else", "[golden]")
{
	seal_test::Sodium sodium = seal_test::sodium();
	vkckpt_error err = {};
	REQUIRE(vkckpt_sodium_require_signature(sodium.get(), source_path("test/golden/chain.pub").c_str(), nullptr, &err) == 0);
	read_golden_chain("chain", vkckpt_sodium_table(sodium.get()));
	CHECK(vkckpt_image_verify_with(golden_path().c_str(), -1, vkckpt_sodium_table(sodium.get()), nullptr, nullptr, &err) == -EACCES);
	CHECK(err.reason == VKCKPT_R_NOT_SIGNED);
	seal_test::Sodium wrong = seal_test::sodium();
	const std::string other = source_path("test/golden/chain.2.sig");
	REQUIRE(vkckpt_sodium_require_signature(wrong.get(), source_path("test/golden/chain.pub").c_str(), other.c_str(), &err) == 0);
	CHECK(vkckpt_image_verify_with(source_path("test/golden/chain.1").c_str(), -1, vkckpt_sodium_table(wrong.get()), nullptr, nullptr, &err) ==
	    -EACCES);
	CHECK(err.reason == VKCKPT_R_SIGNATURE_WRONG);
}

TEST_CASE("the hex lines of vkckpt(5) are those of the golden images", "[golden]")
{
	Bytes image = golden();
	std::ifstream page(source_path("man/vkckpt.5"));
	unsigned lines = 0;
	for (std::string line; std::getline(page, line);) {
		if (line == ".Pa test/golden/sealed.ckpt")	// from here on
			image = read_golden("test/golden/sealed.ckpt");
		if (line.size() < 8 || line.compare(4, 2, "  ") != 0 || line.find_first_not_of("0123456789abcdef ") != std::string::npos)
			continue;
		std::istringstream words(line);
		std::string word;
		words >> word;
		size_t offset = std::stoul(word, nullptr, 16);
		lines++;
		for (; words >> word; offset++) {
			INFO(line);
			REQUIRE(offset < image.size());
			REQUIRE(image[offset] == std::stoul(word, nullptr, 16));
		}
	}
	REQUIRE(lines > 40);
}

TEST_CASE("mappings of a vmspace that share an address are DAMAGED", "[golden][hostile]")
{
	const Bytes good = golden();	// its first vmspace has two
	auto reason = [&](vkckpt_f_mapping second) {
		Bytes image = good;
		const std::vector<uint64_t> offsets = record_offsets(image);
		const uint64_t place = offset_of_type(image, VKCKPT_REC_VMSPACE) + sizeof(vkckpt_f_record) + sizeof(vkckpt_f_vmspace);
		at<vkckpt_f_mapping>(image, place) = { 0x1000, 0x2000, 0, 3, 0, 3 };
		at<vkckpt_f_mapping>(image, place + sizeof second) = second;
		reseal(image, offsets);
		return read_bytes(image).reason;
	};
	for (vkckpt_f_mapping beside : { vkckpt_f_mapping{ 0x3000, 0x1000, 0, 3, 0, 3 }, { 0, 0x1000, 0, 3, 0, 3 }, { 0x2000, 0, 0, 3, 0, 3 } })
		CHECK(reason(beside) == VKCKPT_R_NONE);
	for (vkckpt_f_mapping bad : { vkckpt_f_mapping{ 0x1000, 0x2000, 0, 3, 0, 3 }, { 0x2000, 0x1000, 0, 4, 0, 3 }, { 0, 0x1001, 0, 3, 0, 3 },
	    { 0, ~0ull, 0, 3, 0, 3 }, { 0x2fff, 1, 0, 3, 0, 3 } })
		CHECK(reason(bad) == VKCKPT_R_DAMAGED);
}
