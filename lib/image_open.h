// An image as tools hold it (vkckpt/image.h).
#ifndef VKCKPT_LIB_IMAGE_OPEN_H
#define VKCKPT_LIB_IMAGE_OPEN_H

#include "lib/chain.h"
#include "lib/image_file.h"

namespace vk {

// Of page tables that are walked in an image (image_walk.cc). What that costs is bounded by what the file holds, never by what its head claims.
struct ImageTables {
	// Of an entry of the index: which of its frames were met as tables in the walk of this number.
	struct Met { uint64_t walk : 48, frames : 16; };
	Arena memory;				// the rest; mapped at the first walk
	Met *met = nullptr;
	uint64_t (*level)[VKCKPT_FRAME / sizeof(uint64_t)] = nullptr;	// a table of each level of the format, the lowest first
	uint64_t walk = 0;
	uint64_t left = 0;			// tables that may still be read, over all walks of this image
};

}  // namespace vk

struct vkckpt_image {
	[[gnu::always_inline]] vkckpt_image() {}	// no symbol outside namespace vk
	int fd = -1;
	vk::Arena self;				// this struct and the two buffers
	vk::OpenImage file;
	vk::Chain chain;			// where the file's entries of codec PARENT lead
	bool chain_open = false;
	struct vkckpt_crypto crypto = {};	// opens the chain too; size 0: none was given
	char *path = nullptr;				// room for kChainPath; as it was given
	const struct vkckpt_f_chunk *decoded = nullptr;	// whose frames stand in `frames`; null: none
	uint8_t *stored = nullptr, *frames = nullptr;
	vk::ImageTables tables;
};

#endif
