// The golden image of format version 1 (test/golden/v1.ckpt, made once by make_v1.cc): read, verified, inspected.
#include <catch2/catch.hpp>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>

#include "test/unit/image_support.h"

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
