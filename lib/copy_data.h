// The data of one file into another; holes stay holes.
#ifndef VKCKPT_LIB_COPY_DATA_H
#define VKCKPT_LIB_COPY_DATA_H

#include "lib/status.h"
#include "lib/sys.h"

namespace vk {

constexpr size_t kCopyBuffer = 1 << 20;

// The first `size` bytes of `from`, whose position changes, to the empty file `to`, which gets that size. buffer: kCopyBuffer bytes.
// subject and where: for the error. patience: asked before every piece; CANCELLED when it has ended. Every context that may block.
Status copy_data(int from, int to, uint64_t size, uint8_t *buffer, const char *where, const char *subject, const Patience &patience = {});

}  // namespace vk
#endif
