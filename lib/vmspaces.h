// The walk: every vmspace and its vpagetables. QUIET.
#ifndef VKCKPT_LIB_VMSPACES_H
#define VKCKPT_LIB_VMSPACES_H

#include "lib/context.h"

namespace vk {

Status write_vmspaces(struct vkckpt &);

}  // namespace vk
#endif
