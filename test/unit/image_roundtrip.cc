// What the writer writes, the readers read: from a file, through a pipe, at random.
#include <catch2/catch.hpp>

#include <thread>

#include "test/unit/image_support.h"

using namespace image_test;

namespace {

// Random masks and contents over a segment, a second segment and a region whose last frame is partial.
Frames random_frames(const vk::ImageShape &shape, std::mt19937_64 &random, unsigned density)
{
	Frames frames;
	for (uint32_t i = 0; i < shape.object_count(); i++) {
		uint32_t object = shape.object_at(i);
		for (uint64_t f = 0; f < shape.frames(object); f++)
			if (random() % 100 < density)
				frames[{ object, f }] = frame_of(static_cast<Fill>(1 + random() % 3), random);
	}
	return frames;
}

uint64_t zero_frames(const Frames &frames)
{
	uint64_t n = 0;
	for (auto &[place, frame] : frames)
		n += frame == Bytes(VKCKPT_FRAME);
	return n;
}

}  // namespace

TEST_CASE("random masks and contents come back through the streaming reader", "[image]")
{
	std::mt19937_64 random(GENERATE(1, 2, 3, 4, 5, 6, 7, 8));
	unsigned density = static_cast<unsigned>(random() % 100) + 1;
	auto shape = shape_of({ 64 * 4096, (random() % 300 + 1) * 4096 }, { 4096 * 5 + 123 });
	Frames frames = random_frames(shape, random, density), back;
	TempFile file(image_bytes(shape, frames));
	lseek(file.fd(), 0, SEEK_SET);
	struct vkckpt_f_stats stats;
	vk::Status status = read_image(file.fd(), &back, &stats);
	REQUIRE(status.reason == 0);
	REQUIRE(back == frames);
	REQUIRE(stats.frames_zero == zero_frames(frames));
	REQUIRE(stats.frames_stored == frames.size() - zero_frames(frames));
	REQUIRE(file.content().size() % VKCKPT_BLOCK == 0);
}

TEST_CASE("an image without any RAM is an image", "[image]")
{
	Bytes image = image_bytes(shape_of({ 4096 }), {});
	REQUIRE(read_bytes(image).reason == 0);
	REQUIRE(open_reason(image) == 0);
	REQUIRE(read_bytes(image_bytes(shape_of({}), {})).reason == 0);
}

TEST_CASE("many groups: more chunks than one group holds, more bytes than its buffer", "[image]")
{
	std::mt19937_64 random(11);
	auto shape = shape_of({ 24ull << 20 });
	Frames frames;
	for (uint64_t f = 0; f < 24 * 256; f++)
		if (f < 12 * 256 || f % 16 == 5)	// 12 MiB that do not compress, then one frame per chunk
			frames[{ 0, f }] = frame_of(f < 12 * 256 ? Fill::noise : Fill::text, random);
	Bytes image = image_bytes(shape, frames);
	unsigned groups = 0;
	for (uint64_t offset : record_offsets(image))
		groups += at<vkckpt_f_record>(image, offset).type == VKCKPT_REC_RAM_GROUP;
	REQUIRE(groups >= 3);
	TempFile file(image);
	lseek(file.fd(), 0, SEEK_SET);
	Frames back;
	REQUIRE(read_image(file.fd(), &back).reason == 0);
	REQUIRE(back == frames);
}

TEST_CASE("a pipe serves both ends", "[image]")
{
	std::mt19937_64 random(3);
	auto shape = shape_of({ 200 * 4096 }, { 10000 });
	Frames frames = random_frames(shape, random, 60), back;
	int ends[2];
	REQUIRE(pipe(ends) == 0);
	vk::Status written;
	std::thread writer([&] {
		written = write_image(ends[1], shape, frames);
		close(ends[1]);
	});
	vk::Status status = read_image(ends[0], &back);
	writer.join();
	close(ends[0]);
	REQUIRE(written.reason == 0);
	REQUIRE(status.reason == 0);
	REQUIRE(back == frames);
}

TEST_CASE("a reader of a pipe who goes away is an error, not a signal's death, and names the reason", "[image]")
{
	int ends[2];
	REQUIRE(pipe(ends) == 0);
	close(ends[0]);
	signal(SIGPIPE, SIG_IGN);
	vk::Status status = write_image(ends[1], shape_of({ 4096 }), {});
	signal(SIGPIPE, SIG_DFL);
	close(ends[1]);
	REQUIRE(status.code == EPIPE);
	REQUIRE(status.reason == VKCKPT_R_IO_ERROR);
}

TEST_CASE("the same input gives the same bytes", "[image]")
{
	std::mt19937_64 a(5), b(5);
	auto shape = shape_of({ 100 * 4096 });
	REQUIRE(image_bytes(shape, random_frames(shape, a, 50)) == image_bytes(shape, random_frames(shape, b, 50)));
}

TEST_CASE("every frame is found at random, and those that are not there read as zero", "[image]")
{
	std::mt19937_64 random(21);
	auto shape = shape_of({ 150 * 4096 }, { 3 * 4096 });
	Frames frames = random_frames(shape, random, 40);
	TempFile file(image_bytes(shape, frames));
	struct vkckpt_error err = {};
	struct vkckpt_image *image = nullptr;
	REQUIRE(vkckpt_image_open(file.path().c_str(), &image, &err) == 0);
	for (uint32_t i = 0; i < shape.object_count(); i++) {
		uint32_t object = shape.object_at(i);
		for (uint64_t f = shape.frames(object) + 3; f-- > 0;) {
			Bytes frame(VKCKPT_FRAME, 0xaa);
			int there = vkckpt_image_frame(image, object, f, frame.data(), &err);
			auto known = frames.find({ object, f });
			REQUIRE(there == (known != frames.end()));
			REQUIRE(frame == (known != frames.end() ? known->second : Bytes(VKCKPT_FRAME)));
		}
	}
	vkckpt_image_close(image);
}

TEST_CASE("the head is there before the RAM, with its devices", "[image]")
{
	std::mt19937_64 random(1);
	auto shape = shape_of({ 8 * 4096 }, { 5000 });
	TempFile file(image_bytes(shape, random_frames(shape, random, 50)));
	struct vkckpt_error err = {};
	struct vkckpt_image *image = nullptr;
	REQUIRE(vkckpt_image_open(file.path().c_str(), &image, &err) == 0);
	REQUIRE(std::string(vkckpt_image_identity(image)->program) == "test");
	REQUIRE(std::string(vkckpt_image_host(image)->system) == "Linux test");
	REQUIRE(vkckpt_image_header(image)->segment_count == 1);
	REQUIRE(vkckpt_image_file_bytes(image) == file.content().size());
	const struct vkckpt_source *disk = vkckpt_image_device(image, 0);
	REQUIRE(disk != nullptr);
	REQUIRE(std::string(vkckpt_get_string(disk, "path")) == "/var/vkernel/disk0");
	REQUIRE(vkckpt_get_u64(disk, "blocks", 0) == 2048);
	REQUIRE(vkckpt_image_device(image, 1) == nullptr);
	size_t bytes = 0;
	auto region = static_cast<const vkckpt_f_region *>(vkckpt_image_record(image, VKCKPT_REC_REGION, 0, &bytes));
	REQUIRE(bytes == sizeof *region);
	REQUIRE(region->size_bytes == 5000);
	REQUIRE(vkckpt_image_record(image, VKCKPT_REC_REGION, 1, &bytes) == nullptr);
	REQUIRE(vkckpt_image_record(image, 99, 0, &bytes) == nullptr);
	vkckpt_image_close(image);
}

TEST_CASE("groups built apart may be written in any order", "[image]")
{
	std::mt19937_64 random(9);
	auto shape = shape_of({ 64 * 4096 });
	TempFile file;
	vk::Arena arena;
	REQUIRE(arena.map(vk::ImageWriter::arena_bytes(shape) + 2 * vk::GroupBuilder::arena_bytes(), vk::Prefault::no).ok());
	vk::ImageWriter writer;
	writer.init(arena, shape);
	vk::GroupBuilder builder[2];
	Frames frames;
	Bytes chunk(VKCKPT_CHUNK);
	REQUIRE(writer.begin(file.fd(), uuid(1), 1).ok());
	REQUIRE(write_head(writer, shape).ok());
	for (vk::GroupBuilder &b : builder)
		b.init(arena);
	for (uint64_t c = 0; c < 4; c++) {
		uint16_t mask = static_cast<uint16_t>(random() | 1);
		for (unsigned f = 0; f < 16; f++)
			if (mask & 1u << f) {
				Bytes frame = frame_of(f % 3 ? Fill::noise : Fill::text, random);
				std::memcpy(chunk.data() + f * VKCKPT_FRAME, frame.data(), VKCKPT_FRAME);
				frames[{ 0, c * 16 + f }] = frame;
			}
		builder[c % 2].add({ chunk.data(), c, 0, mask, nullptr });
	}
	REQUIRE(writer.write_group(builder[1]).ok());
	REQUIRE(writer.write_group(builder[0]).ok());
	REQUIRE(writer.frames_done() == frames.size());
	REQUIRE(writer.finish().ok());
	arena.release();
	lseek(file.fd(), 0, SEEK_SET);
	Frames back;
	REQUIRE(read_image(file.fd(), &back).reason == 0);
	REQUIRE(back == frames);
	REQUIRE(open_reason(file.content()) == 0);
}

TEST_CASE("a writer can begin again after an image", "[image]")
{
	auto shape = shape_of({ 16 * 4096 });
	vk::Arena arena;
	REQUIRE(arena.map(vk::ImageWriter::arena_bytes(shape), vk::Prefault::yes).ok());
	vk::ImageWriter writer;
	writer.init(arena, shape);
	alignas(64) static uint8_t chunk[VKCKPT_CHUNK];
	chunk[0] = 1;
	size_t used = arena.used_bytes();
	for (int round = 0; round < 3; round++) {
		TempFile file;
		REQUIRE(writer.begin(file.fd(), uuid(1), 1).ok());
		REQUIRE(write_head(writer, shape).ok());
		REQUIRE(writer.chunk({ chunk, 0, 0, 0xffff, nullptr }).ok());
		REQUIRE(writer.finish().ok());
		REQUIRE(arena.used_bytes() == used);
		REQUIRE(read_bytes(file.content()).reason == 0);
	}
	arena.release();
}

TEST_CASE("page classes are counted by frame and by stored bytes", "[image]")
{
	auto shape = shape_of({ 32 * 4096 });
	vk::Arena arena;
	REQUIRE(arena.map(vk::ImageWriter::arena_bytes(shape), vk::Prefault::no).ok());
	vk::ImageWriter writer;
	writer.init(arena, shape);
	std::mt19937_64 random(2);
	Bytes chunk(VKCKPT_CHUNK);
	for (uint8_t &b : chunk)
		b = static_cast<uint8_t>(random());
	uint8_t classes[16];
	for (unsigned f = 0; f < 16; f++)
		classes[f] = f < 10 ? VKCKPT_CLASS_ANON : VKCKPT_CLASS_SLAB;
	TempFile file;
	REQUIRE(writer.begin(file.fd(), uuid(1), 1).ok());
	REQUIRE(write_head(writer, shape).ok());
	REQUIRE(writer.chunk({ chunk.data(), 0, 0, 0xffff, classes }).ok());
	REQUIRE(writer.finish().ok());
	REQUIRE(writer.stats().class_frames[VKCKPT_CLASS_ANON] == 10);
	REQUIRE(writer.stats().class_frames[VKCKPT_CLASS_SLAB] == 6);
	REQUIRE(writer.stats().class_bytes[VKCKPT_CLASS_ANON] == 65536);
	arena.release();
}
