// Which frames the image will hold. QUIET.
#ifndef VKCKPT_LIB_PLAN_H
#define VKCKPT_LIB_PLAN_H

#include "lib/context.h"

namespace vk {

// Lists the chunks of RAM segments and regions in ck.plan and counts what is left out. After the writer's begin: the counts are its.
void plan_ram(struct vkckpt &);

}  // namespace vk
#endif
