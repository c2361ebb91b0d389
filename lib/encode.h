// Encoding what the plan lists, and writing it. QUIET.
#ifndef VKCKPT_LIB_ENCODE_H
#define VKCKPT_LIB_ENCODE_H

#include "lib/context.h"

namespace vk {

// All chunks of the plan go to the writer, by all workers.
Status write_ram(struct vkckpt &);

}  // namespace vk
#endif
