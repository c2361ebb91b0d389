// The digests of a signed image's leaves: every byte is checked when it is read, in memory of the reader's own, and before it is used. So what
// was signed is what is used, whoever writes to the file meanwhile. THAW, tools, and the fill of a lazy thaw.
#ifndef VKCKPT_LIB_LEAVES_H
#define VKCKPT_LIB_LEAVES_H

#include <vkckpt/crypto.h>

#include "lib/status.h"

namespace vk {

class Leaves {
public:
	// path: of the image, null for one that comes from a descriptor. Nothing where the table asks for no signature. NOT_SIGNED,
	// SIGNATURE_WRONG.
	Status open(const struct vkckpt_crypto &, const char *path);
	void close() { *this = Leaves(); }
	bool active() const { return digest_ != nullptr; }

	uint64_t file_bytes() const { return table_.file_bytes; }
	uint32_t leaf_bytes() const { return table_.leaf_bytes; }
	// Bytes of the leaf that begins there; 0 at the end of the file.
	size_t bytes_at(uint64_t offset) const;
	// count bytes from there, whole leaves. Several threads at once.
	Status check(uint64_t offset, const void *bytes, size_t count) const;

private:
	struct vkckpt_leaves table_ = {};
	void (*digest_)(const void *bytes, size_t count, uint8_t digest[VKCKPT_LEAF_DIGEST]) = nullptr;
};

}  // namespace vk
#endif
