// From quiet to committed.
#ifndef VKCKPT_LIB_CAPTURE_H
#define VKCKPT_LIB_CAPTURE_H

#include <vkckpt/vkckpt.h>

#include "lib/status.h"

namespace vk {

// SAFE POINT, before anything is stopped: what can be refused is refused.
Status capture_precheck(struct vkckpt &);
// QUIET. Everything it did is undone when it fails.
Status capture(struct vkckpt &);

}  // namespace vk
#endif
