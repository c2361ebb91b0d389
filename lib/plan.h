// Which frames are in the image, and writing them. QUIET.
#ifndef VKCKPT_LIB_PLAN_H
#define VKCKPT_LIB_PLAN_H

#include "lib/context.h"

namespace vk {

// RAM segments and regions, chunk by chunk.
Status write_ram(struct vkckpt &);

}  // namespace vk
#endif
