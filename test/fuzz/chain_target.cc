// An increment and the image that it is built on, both of them anybody's: the readers agree on what the two give together.
#include "test/fuzz/fuzz.h"

#include <cstring>
#include <vector>

#include "lib/chain.h"
#include "test/fuzz/memory_host.h"

namespace {

struct Sums {
	std::vector<vkckpt_f_chunk> entries;	// of what the stream delivered
	static uint8_t *base(void *arg, uint32_t object, uint64_t chunk, uint16_t mask)
	{
		vkckpt_f_chunk c = {};
		c.object = static_cast<uint16_t>(object);
		c.chunk = chunk;
		c.mask = mask;
		static_cast<Sums *>(arg)->entries.push_back(c);
		return nullptr;		// decoded and checked all the same
	}
};

vk::Status read_stream(Sums *sums)
{
	vk::ImageReader reader;
	vk::Chain chain;
	vk::ChunkTarget target;
	target.arg = sums;
	target.base = Sums::base;
	vk::Status s = reader.open(memory_host::kFile);
	if (s.ok())
		s = reader.read_head();
	if (s.ok())
		s = chain.open(reader.head(), memory_host::kPath, memory_host::kFile, nullptr);
	reader.set_chain(&chain);
	if (s.ok())
		s = reader.read_ram(target);
	reader.close();
	chain.close();
	return s;
}

// expected: everything can be read; else only that nothing is read twice or from nowhere.
void read_at_random(bool expected)
{
	static uint8_t stored[vk::OpenImage::kStoredRoom], frames[VKCKPT_CHUNK];
	vk::OpenImage image;
	vk::Chain chain;
	vk::Status s = image.open(memory_host::kFile);
	if (s.ok())
		s = image.read_head();
	if (s.ok())
		s = image.read_index();
	if (s.ok())
		s = chain.open(image.head(), memory_host::kPath, memory_host::kFile, nullptr);
	FUZZ_CHECK(s.ok() || !expected);
	image.set_chain(&chain);
	for (uint64_t i = 0; s.ok() && i < image.index_count(); i++) {
		const vkckpt_f_chunk &c = image.index()[i];
		bool good = image.read_chunk(c, stored, frames).ok();
		FUZZ_CHECK(good || !expected);
		const vk::OpenImage *owner = nullptr;
		if (c.codec != VKCKPT_CODEC_PARENT)
			continue;
		if (const vkckpt_f_chunk *whole = chain.find_whole(c, &owner)) {
			FUZZ_CHECK(owner == &chain.ancestor(0) && whole->mask == c.mask && whole->codec != VKCKPT_CODEC_PARENT);
			FUZZ_CHECK(whole >= owner->index() && whole < owner->index() + owner->index_count());
		}
		FUZZ_CHECK(!good || vk::digest_equal(vk::digest_of(frames, size_t(__builtin_popcount(c.mask)) * VKCKPT_FRAME), c.content));
	}
	image.close();
	chain.close();
}

}  // namespace

void fuzz_chain(const uint8_t *data, size_t size)
{
	uint32_t length;
	if (size < sizeof length)
		return;
	std::memcpy(&length, data, sizeof length);
	if (length > size - sizeof length)
		return;
	const uint8_t *child = data + sizeof length, *parent = child + length;
	auto put = [&] {
		memory_host::put(child, length);
		memory_host::put_parent(parent, size - sizeof length - length);
	};
	put();
	Sums sums;
	bool good = read_stream(&sums).ok();
	put();
	read_at_random(good);
}
