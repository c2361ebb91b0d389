// Whole images. Whatever the readers say, they agree: bytes that the streaming reader takes open at random as well, and give the same
// frames.
#include "test/fuzz/fuzz.h"

#include <cstring>
#include <vector>

#include "lib/image_file.h"
#include "test/fuzz/memory_host.h"

namespace {

// What a streaming reader was given of each chunk: a digest of the frames, in the order of delivery.
struct Delivered {
	uint32_t object;
	uint64_t chunk;
	uint16_t mask;
};
struct Sink {
	std::vector<Delivered> chunks;
	std::vector<uint8_t> memory = std::vector<uint8_t>(VKCKPT_CHUNK);
	std::vector<vkckpt_digest> digests;
	void finish_last()
	{
		if (digests.size() < chunks.size())
			digests.push_back(digest_of_frames(memory.data(), chunks.back().mask));
	}
	static vkckpt_digest digest_of_frames(const uint8_t *base, uint16_t mask)
	{
		vk::DigestStream digest;
		for (unsigned f = 0; f < VKCKPT_CHUNK_FRAMES; f++)
			if (mask & 1u << f)
				digest.add(base + f * VKCKPT_FRAME, VKCKPT_FRAME);
		return digest.result();
	}
	static uint8_t *base(void *arg, uint32_t object, uint64_t chunk, uint16_t mask)
	{
		Sink &self = *static_cast<Sink *>(arg);
		self.finish_last();
		self.chunks.push_back({ object, chunk, mask });
		return self.memory.data();
	}
};

vk::Status read_stream(Sink *sink)
{
	vk::ImageReader reader;
	vk::ChunkTarget target;
	target.arg = sink;
	target.base = Sink::base;
	vk::Status status = reader.open(memory_host::kFile);
	if (status.ok())
		status = reader.read_head();
	if (status.ok())
		status = reader.read_ram(target);
	sink->finish_last();
	reader.close();
	return status;
}

vk::Status open_at_random(vk::OpenImage *image)
{
	vk::Status status = image->open(memory_host::kFile);
	if (status.ok())
		status = image->read_head();
	return status.ok() ? image->read_index() : status;
}

void compare(const uint8_t *data, size_t size, const Sink &sink)
{
	static uint8_t stored[vk::OpenImage::kStoredRoom], frames[VKCKPT_CHUNK];
	memory_host::put(data, size);
	vk::OpenImage image;
	FUZZ_CHECK(open_at_random(&image).ok());
	for (size_t i = 0; i < sink.chunks.size(); i++) {
		const Delivered &d = sink.chunks[i];
		const vkckpt_f_chunk *c = image.find_frame(d.object, d.chunk * VKCKPT_CHUNK_FRAMES + static_cast<unsigned>(__builtin_ctz(d.mask)));
		FUZZ_CHECK(c != nullptr && c->mask == d.mask && c->codec != VKCKPT_CODEC_ZERO);
		FUZZ_CHECK(image.read_chunk(*c, stored, frames).ok());
		vkckpt_digest digest = vk::digest_of(frames, static_cast<size_t>(__builtin_popcount(d.mask)) * VKCKPT_FRAME);
		FUZZ_CHECK(std::memcmp(&digest, &sink.digests[i], sizeof digest) == 0);
	}
	image.close();
}

}  // namespace

void fuzz_image(const uint8_t *data, size_t size)
{
	Sink sink;
	memory_host::put(data, size);
	vk::Status status = read_stream(&sink);
	FUZZ_CHECK(status.ok() == (status.reason == 0) && sink.digests.size() == sink.chunks.size());
	if (status.ok())
		compare(data, size, sink);
}

void fuzz_random(const uint8_t *data, size_t size)
{
	static uint8_t stored[vk::OpenImage::kStoredRoom], frames[VKCKPT_CHUNK];
	memory_host::put(data, size);
	vk::OpenImage image;
	if (open_at_random(&image).ok()) {
		uint64_t total = 0;
		for (uint64_t i = 0; i < image.index_count(); i++) {
			const vkckpt_f_chunk &c = image.index()[i];
			unsigned count = 0;
			const vkckpt_f_chunk *found = image.find(c.object, c.chunk, &count);
			FUZZ_CHECK(count >= 1 && count <= 3 && found <= &c && &c < found + count);
			for (unsigned f = 0; f < VKCKPT_CHUNK_FRAMES; f++)
				if (c.mask & 1u << f)
					FUZZ_CHECK(image.find_frame(c.object, c.chunk * VKCKPT_CHUNK_FRAMES + f) == &c);
			total += c.stored_bytes;
			(void)image.read_chunk(c, stored, frames).ok();
		}
		FUZZ_CHECK(total <= size);	// nothing stands for two
		unsigned none;
		(void)image.find(size % 7, size, &none);
	}
	image.close();
}
