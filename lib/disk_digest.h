// The digest of a disk's content, by which a copy of it is known again. Every context that may block.
#ifndef VKCKPT_LIB_DISK_DIGEST_H
#define VKCKPT_LIB_DISK_DIGEST_H

#include "lib/digest.h"
#include "lib/status.h"
#include "lib/sys.h"

namespace vk {

constexpr size_t kDiskBuffer = 1 << 20;

// Of the first `size` bytes. Holes count as zeros, so it stays the same wherever a copy has them; they are not read. disk_fd's position
// does not change. buffer: kDiskBuffer bytes. name: for the error. patience: asked before every piece; CANCELLED when it has ended.
Status disk_digest(int disk_fd, uint64_t size, uint8_t *buffer, const char *name, struct vkckpt_digest *out, const Patience &patience = {});

}  // namespace vk
#endif
