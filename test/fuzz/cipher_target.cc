// Sealed images behind their seal: all checksums are put right, and the table opens everything. The readers agree, as in image_target.cc; who has
// no key reads the image too, for its checksums. An increment is built on the parent that the seeds have for it.
#include "test/fuzz/fuzz.h"
#include "lib/chain.h"
#include "test/fuzz/memory_host.h"
#include "test/fuzz/seeds.h"
#include "test/unit/image_support.h"
#include "test/unit/seal_support.h"

using namespace image_test;

namespace {

void put(const Bytes &image)
{
	static const seeds::SealedChain chain = seeds::sealed_chain();
	memory_host::put(image.data(), image.size());
	memory_host::put_parent(chain.parent.data(), chain.parent.size());
}

// Front to back, with what it is built on.
vk::Status read_chain(const Bytes &image, Frames *frames, const vkckpt_crypto *crypto)
{
	vk::ImageReader reader;
	vk::Chain chain;
	Collector collector;
	vk::ChunkTarget target = { &collector, Collector::base, Collector::zero };
	put(image);
	vk::Status s = reader.open(memory_host::kFile);
	if (s.ok())
		s = reader.use(*crypto, nullptr);
	if (s.ok())
		s = reader.read_head();
	if (s.ok())
		s = chain.open(reader.head(), memory_host::kPath, memory_host::kFile, nullptr, crypto);
	reader.set_chain(&chain);
	if (s.ok())
		s = reader.read_ram(target);
	collector.take();
	reader.close();
	chain.close();
	*frames = collector.frames;
	return s;
}

void compare(const Bytes &image, const Frames &frames, const vkckpt_crypto *crypto)
{
	struct vkckpt_error err = {};
	struct vkckpt_image *opened = nullptr;
	put(image);
	FUZZ_CHECK(vkckpt_image_open_with(memory_host::kPath, crypto, &opened, &err) == 0);
	for (auto &[place, expected] : frames) {
		Bytes frame(VKCKPT_FRAME);
		FUZZ_CHECK(vkckpt_image_frame(opened, place.first, place.second, frame.data(), &err) == 1);
		FUZZ_CHECK(frame == expected);
	}
	vkckpt_image_close(opened);
}

// Whatever can be read of it is.
void open_at_random(const Bytes &image, const vkckpt_crypto *crypto)
{
	struct vkckpt_error err = {};
	struct vkckpt_image *opened = nullptr;
	put(image);
	if (vkckpt_image_open_with(memory_host::kPath, crypto, &opened, &err) < 0)
		return;
	uint64_t count = 0;
	const vkckpt_f_chunk *chunks = vkckpt_image_chunks(opened, &count);
	for (uint64_t i = 0; i < count; i++) {
		uint8_t frame[VKCKPT_FRAME];
		(void)vkckpt_image_frame(opened, chunks[i].object, chunks[i].chunk * VKCKPT_CHUNK_FRAMES +
		    static_cast<unsigned>(__builtin_ctz(chunks[i].mask | 0x10000u)), frame, &err);
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
	Frames frames;
	if (read_chain(image, &frames, &table).ok())
		compare(image, frames, &table);
	else
		open_at_random(image, &table);
	memory_host::put(image.data(), image.size());
	vk::ImageReader keyless;
	if (keyless.open(memory_host::kFile).ok() && keyless.read_head().reason == VKCKPT_R_SEALED)
		(void)keyless.check_sums().ok();
	keyless.close();
}
