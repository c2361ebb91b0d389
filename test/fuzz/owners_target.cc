// Page tables that lie in an image, walked as `vkckpt diff' does it: what is told lies inside the memory that the image describes, the tables among
// what it holds, and how much is told has a limit.
#include "test/fuzz/fuzz.h"

#include <vkckpt/image.h>

#include "test/fuzz/memory_host.h"

namespace {

struct Told {
	vkckpt_image *image;
	uint64_t tables = 0, runs = 0;

	static void take(void *arg, const vkckpt_image_run *run)
	{
		Told &told = *static_cast<Told *>(arg);
		const vkckpt_f_header &header = *vkckpt_image_header(told.image);
		FUZZ_CHECK(run->segment < header.segment_count && run->frame_count > 0);
		const uint64_t frames = header.segment[run->segment].size_bytes / VKCKPT_FRAME;
		FUZZ_CHECK(run->frame < frames && run->frame_count <= frames - run->frame);
		(run->table ? told.tables : told.runs)++;
		if (!run->table)
			return;
		uint8_t frame[VKCKPT_FRAME];
		FUZZ_CHECK(run->frame_count == 1 && vkckpt_image_frame(told.image, run->segment, run->frame, frame, nullptr) == 1);
	}
};

uint64_t frames_of(const vkckpt_image *image)
{
	uint64_t count = 0, frames = 0;
	const vkckpt_f_chunk *chunk = vkckpt_image_chunks(image, &count);
	for (uint64_t i = 0; i < count; i++)
		frames += static_cast<unsigned>(__builtin_popcount(chunk[i].mask));
	return frames;
}

}  // namespace

void fuzz_owners(const uint8_t *data, size_t size)
{
	memory_host::put(data, size);
	Told told = {};
	if (vkckpt_image_open(memory_host::kPath, &told.image, nullptr) != 0)
		return;
	uint64_t mappings = 0;
	size_t bytes = 0;
	for (size_t i = 0; vkckpt_image_record(told.image, VKCKPT_REC_VMSPACE, i, &bytes); i++) {
		mappings += bytes / sizeof(vkckpt_f_mapping);
		if (vkckpt_image_walk(told.image, i, Told::take, &told, nullptr) < 0)
			break;
	}
	FUZZ_CHECK(told.tables <= 4 * frames_of(told.image) + 16 * mappings);
	FUZZ_CHECK(told.runs <= 512 * told.tables + mappings);
	vkckpt_image_close(told.image);
}
