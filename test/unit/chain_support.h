// Chains of images in a folder: written one after the other, forged, and read in both ways.
#ifndef VKCKPT_TEST_CHAIN_SUPPORT_H
#define VKCKPT_TEST_CHAIN_SUPPORT_H

#include <catch2/catch.hpp>

#include <fcntl.h>

#include "lib/chain.h"
#include "test/unit/fixture.h"
#include "test/unit/image_support.h"

namespace chain_test {

using namespace image_test;
using fixture::TempDir;

inline vk::ImageShape chain_shape()
{
	vk::ImageShape shape = shape_of({ 80 * VKCKPT_FRAME }, { 6000 });
	shape.features = VKCKPT_FEATURE_INCREMENTAL;
	return shape;
}

// Images one after the other, each built on the one before: NAME.1, NAME.2 ...
struct Chain {
	TempDir dir;
	vk::ImageShape shape = chain_shape();
	vk::Arena arena;
	vk::ParentHashes hashes;
	std::mt19937_64 random{5};
	Frames frames;
	unsigned length = 0;

	Chain()
	{
		if (!arena.map(vk::ParentHashes::arena_bytes(shape), vk::Prefault::no).ok())
			std::abort();
		hashes.init(arena, shape);
		for (uint64_t f = 0; f < 80; f++)
			if (f % 7)
				frames[{ 0, f }] = frame_of(f % 5 ? Fill::text : f % 2 ? Fill::zero : Fill::noise, random);
		for (uint64_t f = 0; f < 2; f++)
			frames[{ VKCKPT_OBJECT_REGION, f }] = frame_of(Fill::text, random);
	}
	~Chain() { arena.release(); }
	std::string path(unsigned i) { return dir / ("web." + std::to_string(i)); }
	// The next image of what `frames` holds.
	void write()
	{
		length++;
		Lineage l;
		l.id = static_cast<uint8_t>(length * 3);
		l.hashes = &hashes;
		if (length > 1) {
			l.parent = static_cast<uint8_t>(l.id - 3);
			l.parent_path = "web." + std::to_string(length - 1);
		}
		hashes.begin(length == 1);
		TempFile file;
		REQUIRE(write_image(file.fd(), shape, frames, nullptr, l).ok());
		hashes.commit();
		store(length, file.content());
	}
	void store(unsigned i, const Bytes &content)
	{
		fixture::spill(path(i), std::string(content.begin(), content.end()));
	}
	Bytes load(unsigned i)
	{
		std::string s = fixture::slurp(path(i));
		return Bytes(s.begin(), s.end());
	}
	// A forged head record or descriptor, with all checksums right again.
	template <class F> void forge(unsigned i, F change)
	{
		Bytes image = load(i);
		std::vector<uint64_t> offsets = record_offsets(image);
		change(image);
		reseal(image, offsets);
		store(i, image);
	}
	uint32_t verify(unsigned i)
	{
		struct vkckpt_error err = {};
		return vkckpt_image_verify(path(i).c_str(), -1, nullptr, nullptr, &err) < 0 ? err.reason : 0;
	}
	// By random access: every frame of the image.
	uint32_t read(unsigned i, Frames *out)
	{
		struct vkckpt_error err = {};
		struct vkckpt_image *image = nullptr;
		if (vkckpt_image_open(path(i).c_str(), &image, &err) < 0)
			return err.reason;
		uint32_t reason = vkckpt_image_chain(image, nullptr, &err) < 0 ? err.reason : 0;
		for (uint32_t object : { 0u, VKCKPT_OBJECT_REGION })
			for (uint64_t f = 0; f < (object ? 2 : 80) && reason == 0; f++) {
				Bytes frame(VKCKPT_FRAME);
				int r = vkckpt_image_frame(image, object, f, frame.data(), &err);
				if (r < 0)
					reason = err.reason;
				else if (r > 0)
					(*out)[{ object, f }] = frame;
			}
		vkckpt_image_close(image);
		return reason;
	}
	uint32_t read(unsigned i)
	{
		Frames unused;
		return read(i, &unused);
	}
	// The same by the stream reader.
	vk::Status stream(unsigned i, Frames *out, const char *parent = nullptr)
	{
		int fd = open(path(i).c_str(), O_RDONLY | O_CLOEXEC);
		vk::ImageReader reader;
		vk::Chain chain;
		Collector collector;
		vk::Status s = reader.open(fd);
		if (s.ok())
			s = reader.read_head();
		if (s.ok())
			s = chain.open(reader.head(), path(i).c_str(), fd, parent);
		reader.set_chain(&chain);
		if (s.ok())
			s = reader.read_ram({ &collector, Collector::base, Collector::zero });
		collector.take();
		*out = collector.frames;
		reader.close();
		chain.close();
		close(fd);
		return s;
	}
};

// A descriptor of a chunk of codec PARENT in the only group and in the index of an image, the same in both.
template <class F> inline void forge_parent(Bytes &image, F change)
{
	for (uint16_t type : { VKCKPT_REC_RAM_GROUP, VKCKPT_REC_INDEX }) {
		uint64_t at_record = offset_of_type(image, type) + sizeof(vkckpt_f_record);
		size_t head = type == VKCKPT_REC_INDEX ? sizeof(vkckpt_f_index) : sizeof(vkckpt_f_group);
		auto *chunk = reinterpret_cast<vkckpt_f_chunk *>(image.data() + at_record + head);
		while (chunk->codec != VKCKPT_CODEC_PARENT)
			chunk++;
		change(*chunk);
	}
}

}  // namespace chain_test
#endif
