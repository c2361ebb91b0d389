// The images of a vkernel that keeps a chain: what the next one is built on, and what it is called. Each gets a name of its own,
// NAME.NNNN.ckpt, so that none ever takes the place of one that others need.
#ifndef VKCKPT_LIB_LINEAGE_H
#define VKCKPT_LIB_LINEAGE_H

#include <vkckpt/format.h>

#include <vkckpt/crypto.h>

#include "lib/parent.h"

struct vkckpt;

namespace vk {

struct ImageFile;

struct Lineage {
	struct Member {
		struct vkckpt_uuid id;
		char path[VKCKPT_MAX_PATH + 1];
	};
	uint32_t limit;				// images in a chain at most
	uint32_t length;			// those that the next one is built on; 0: it will be a full one
	Member member[VKCKPT_MAX_CHAIN];	// the full one first
	ParentHashes hashes;			// of the last of them
	uint64_t number;			// of the next name
	char base[VKCKPT_MAX_PATH + 1];		// links resolved; ".0001.ckpt" is added to it
	size_t folder_bytes;			// of base, the slash behind them not counted
	// The image that is being written, chosen by lineage_next.
	bool full;
	uint32_t warning;			// enum vkckpt_reason: why it is full though it could have been incremental; 0
	char path[VKCKPT_MAX_PATH + 1];
	char parent_path[VKCKPT_MAX_PATH + 1];	// as seen from it
};

size_t lineage_arena_bytes(const ImageShape &);
Lineage *lineage_make(Arena &, const ImageShape &, uint32_t limit);

// Of an image's path, the one without a number: web.0007.ckpt is web.ckpt. No number: as it is.
void lineage_plain_name(const char *path, char *out, size_t room);

// ARM, THAW: names follow the highest number that lies there, for an image that would be called image_path (absolute).
Status lineage_begin(Lineage &, const char *image_path);
// ARM, THAW: the next image is built on the one at `path`. PARENT_UNFIT, or what is wrong with it or its chain; then nothing has changed.
// crypto opens them; null, or without open_key: they are in clear.
Status lineage_adopt(Lineage &, const char *path, const ImageShape &, const struct vkckpt_crypto *crypto);

// QUIET: chooses whether the next image is a full one, and its name.
Status lineage_next(struct vkckpt &);
// The image is committed.
void lineage_commit(Lineage &, const struct vkckpt_uuid &image_id);

}  // namespace vk
#endif
