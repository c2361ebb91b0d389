// The corpus. See seeds.h.
#include "test/fuzz/seeds.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include <vkckpt/disk.h>

#include "lib/source.h"
#include "test/golden/chain_content.h"
#include "test/unit/image_support.h"
#include "test/unit/seal_support.h"
#include "vkernel-hooks/sodium/internal.h"

namespace seeds {
namespace {

using image_test::Bytes;
using image_test::Fill;
using image_test::Frames;

void spill(const std::string &folder, const char *name, const Bytes &bytes)
{
	std::filesystem::create_directories(folder);
	std::ofstream out(folder + "/" + name, std::ios::binary);
	out.write(reinterpret_cast<const char *>(bytes.data()), static_cast<long>(bytes.size()));
}

// As image_test makes them, with the addresses and the build that target `thaw' takes.
Bytes image(const std::vector<uint64_t> &segments, const std::vector<uint64_t> &regions, const Frames &frames)
{
	Bytes bytes = image_test::image_bytes(image_test::shape_of(segments, regions), frames);
	vkckpt_f_header &header = image_test::at<vkckpt_f_header>(bytes, 0);
	header.arch = VKCKPT_ARCH_X86_64;
	for (unsigned i = 0; i < header.segment_count; i++)
		header.segment[i].address = kRam + i * (kRamRoom / 4);
	unsigned region = 0;
	const std::vector<uint64_t> offsets = image_test::record_offsets(bytes);
	for (uint64_t offset : offsets) {
		uint64_t payload = offset + sizeof(vkckpt_f_record);
		uint16_t type = image_test::at<vkckpt_f_record>(bytes, offset).type;
		if (type == VKCKPT_REC_IDENTITY) {
			vkckpt_f_identity &identity = image_test::at<vkckpt_f_identity>(bytes, payload);
			std::memcpy(identity.build_id, kBuild, sizeof kBuild);
			identity.build_id_bytes = sizeof kBuild;
			identity.layout = vk::digest_of(nullptr, 0);
		}
		if (type == VKCKPT_REC_REGION)
			image_test::at<vkckpt_f_region>(bytes, payload).address = kRegions + 65536 * region++;
	}
	image_test::reseal(bytes, offsets);
	return bytes;
}

Frames some_frames()
{
	std::mt19937_64 random(3);
	Frames frames;
	for (uint64_t f : { 0, 1, 5, 17, 18, 40 })
		frames[{ 0, f }] = image_test::frame_of(f == 5 ? Fill::zero : Fill::text, random);
	frames[{ 1, 2 }] = image_test::frame_of(Fill::text, random);
	frames[{ VKCKPT_OBJECT_REGION, 0 }] = image_test::frame_of(Fill::text, random);
	return frames;
}

void make_images(const std::string &folder)
{
	std::mt19937_64 random(4);
	Frames raw;
	raw[{ 0, 3 }] = image_test::frame_of(Fill::noise, random);
	const Bytes empty = image({ 4096 }, {}, {}), small = image({ 44 * 4096, 3 * 4096 }, { 4000, 70000 }, some_frames());
	for (const char *target : { "image", "random", "thaw" }) {
		spill(folder + "/" + target, "empty", empty);
		spill(folder + "/" + target, "raw", image({ 8 * 4096 }, {}, raw));
		spill(folder + "/" + target, "small", small);
	}
	Bytes block(small.begin(), small.begin() + sizeof(vkckpt_f_header));
	spill(folder + "/header", "two", block);
	// The head's records as target `records' takes them.
	Bytes records;
	for (uint64_t offset : image_test::record_offsets(small)) {
		vkckpt_f_record r;
		std::memcpy(&r, small.data() + offset, sizeof r);
		if (r.type >= VKCKPT_REC_HEAD_END)
			break;
		records.push_back(static_cast<uint8_t>(r.type));
		records.push_back(static_cast<uint8_t>(r.payload_bytes));
		records.push_back(static_cast<uint8_t>(r.payload_bytes >> 8));
		auto payload = small.begin() + static_cast<long>(offset + sizeof r);
		records.insert(records.end(), payload, payload + static_cast<long>(r.payload_bytes));
	}
	spill(folder + "/records", "all", records);
}

// Page tables in frames 1 to 4, the top one first, among entries that are not valid and so do not compress; the last maps frame 9. absent: the third
// is full of tables that the image does not have.
Bytes image_with_tables(uint32_t format, bool absent)
{
	std::mt19937_64 random(5);
	const uint64_t segment_bytes = absent ? uint64_t{4} << 30 : 64 * VKCKPT_FRAME, flags = format == VKCKPT_PT_DRAGONFLY ? 0x3 : 0x21;
	const uint64_t levels = format == VKCKPT_PT_DRAGONFLY ? 4 : 3;
	Frames frames;
	for (uint64_t t = 1; t <= levels; t++) {
		Bytes &frame = frames[{ 0, t }] = image_test::frame_of(Fill::noise, random);
		uint64_t *entry = reinterpret_cast<uint64_t *>(frame.data());
		for (uint64_t i = 0; i < 512; i++)
			entry[i] = absent && t == 3 ? (256 + 2048 * i) << 12 | flags : entry[i] & ~uint64_t{0x11};
		entry[0] = (t < levels ? t + 1 : 9) << 12 | flags;
	}
	const uint64_t root = uint64_t{1} << 12 | (format == VKCKPT_PT_DRAGONFLY ? flags : 0);
	return image_test::image_with_tables(segment_bytes, frames, format, uint64_t{1} << (levels * 9 + 12), root);
}

void make_tables(const std::string &folder)
{
	spill(folder + "/owners", "dragonfly", image_with_tables(VKCKPT_PT_DRAGONFLY, false));
	spill(folder + "/owners", "uml", image_with_tables(VKCKPT_PT_UML_X86_64, false));
	spill(folder + "/owners", "absent", image_with_tables(VKCKPT_PT_DRAGONFLY, true));
}

// In front of the sidecar the input says what the image has of the disk.
void make_sidecars(const std::string &folder)
{
	for (uint32_t state : { VKCKPT_DISK_IDLE, VKCKPT_DISK_RUNNING, VKCKPT_DISK_SUSPENDED }) {
		vkckpt_f_sidecar s = {};
		std::memcpy(s.magic, VKCKPT_SIDECAR_MAGIC, sizeof s.magic);
		s.version = 1;
		s.state = state;
		s.disk_id = image_test::uuid(3);
		s.image_id = image_test::uuid(1);
		s.epoch = 7;
		std::strcpy(s.image_path, "/var/vkernel/one.ckpt");
		s.digest = vk::digest_of(&s, offsetof(vkckpt_f_sidecar, digest));
		Bytes bytes(41);
		std::memcpy(bytes.data(), &s.disk_id, 16);
		std::memcpy(bytes.data() + 16, &s.image_id, 16);
		bytes[32] = 7;
		bytes[40] = 1;
		const uint8_t *at = reinterpret_cast<const uint8_t *>(&s);
		bytes.insert(bytes.end(), at, at + sizeof s);
		spill(folder + "/sidecar", state == VKCKPT_DISK_IDLE ? "idle" : state == VKCKPT_DISK_RUNNING ? "running" : "suspended", bytes);
	}
}

Bytes load(const char *path)
{
	std::ifstream in(path, std::ios::binary);
	return Bytes(std::istreambuf_iterator<char>(in), {});
}

// The golden increment and its parent, as target `chain' takes them.
void make_chains(const std::string &folder)
{
	const Bytes parent = load("test/golden/chain.1"), child = load("test/golden/chain.2");
	uint32_t length = static_cast<uint32_t>(child.size());
	Bytes both(sizeof length);
	std::memcpy(both.data(), &length, sizeof length);
	both.insert(both.end(), child.begin(), child.end());
	both.insert(both.end(), parent.begin(), parent.end());
	spill(folder + "/chain", "golden", both);
}

}  // namespace

SealedChain sealed_chain()
{
	static const vkckpt_crypto table = seal_test::open_to_all();
	vk::ImageShape shape = image_test::shape_of({ 40 * VKCKPT_FRAME }, { 5000 });
	shape.features = VKCKPT_FEATURE_INCREMENTAL;
	vk::Arena arena;
	vk::ParentHashes hashes;
	if (!arena.map(vk::ParentHashes::arena_bytes(shape), vk::Prefault::no).ok())
		std::abort();
	hashes.init(arena, shape);
	Bytes both[2];
	for (uint8_t i = 1; i <= 2; i++) {
		image_test::TempFile file;
		image_test::Lineage lineage = { static_cast<uint8_t>(0x10 * i), static_cast<uint8_t>(i == 2 ? 0x10 : 0), i == 2 ? "parent" : "", &hashes };
		hashes.begin(i == 1);
		if (!image_test::write_image(file.fd(), shape, golden_chain::frames(i), &table, lineage).ok())
			std::abort();
		hashes.commit();
		both[i - 1] = file.content();
	}
	arena.release();
	return { both[0], both[1] };
}

// A raw key, and one to seal to, each behind the letter of what is asked for; a signature of two leaves, which target `signature' makes good.
void make_key_files(const std::string &folder)
{
	const char *const words[] = { "vkckpt-raw-1", "vkckpt-seal-public-1" };
	for (const char *word : words) {
		uint8_t key[36], digest[32];
		for (uint8_t i = 0; i < 32; i++)
			key[i] = i;
		const std::string guarded = word + std::string(reinterpret_cast<char *>(key), 32);
		crypto_generichash(digest, sizeof digest, reinterpret_cast<const uint8_t *>(guarded.data()), guarded.size(), nullptr, 0);
		std::memcpy(key + 32, digest, 4);
		char text[64];
		sodium_bin2base64(text, sizeof text, key, sizeof key, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
		const bool raw = word == words[0];
		const std::string file = std::string(raw ? "\x09" : "\x05") + "# a key\n" + word + " " + text + "\n";
		spill(folder + "/keyfile", raw ? "raw" : "public", Bytes(file.begin(), file.end()));
	}
	vksodium::Signature s = {};
	std::memcpy(s.magic, vksodium::kSignatureMagic, sizeof s.magic);
	s.version = 1;
	s.leaf_bytes = vksodium::kLeafBytes;
	s.file_bytes = 20480;
	Bytes bytes(sizeof s + 2 * VKCKPT_LEAF_DIGEST, 7);
	std::memcpy(bytes.data(), &s, sizeof s);
	spill(folder + "/signature", "two", bytes);
}

void make(const std::string &folder)
{
	make_key_files(folder);
	make_images(folder);
	make_tables(folder);
	make_sidecars(folder);
	make_chains(folder);
	const SealedChain chain = sealed_chain();
	spill(folder + "/cipher", "parent", chain.parent);
	spill(folder + "/cipher", "increment", chain.child);
}

}  // namespace seeds
