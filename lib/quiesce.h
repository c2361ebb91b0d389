// The state machine of a request, from a vCPU's safe point. See quiesce.cc.
#ifndef VKCKPT_LIB_QUIESCE_H
#define VKCKPT_LIB_QUIESCE_H

#include <vkckpt/vkckpt.h>

#include "lib/status.h"

namespace vk {

// SAFE POINT. enum vkckpt_verdict, or -EINVAL: no such vCPU.
int safe_point(struct vkckpt &, unsigned vcpu, const struct vkckpt_f_context *caller);
// SAFE POINT, the caller has made the vkernel quiet itself.
int capture_directly(struct vkckpt &, unsigned vcpu, uint32_t action, const struct vkckpt_f_context *caller,
    struct vkckpt_error *err);

// Why the request that is being served did not come to a capture: it was cancelled, or who did not come to rest in time. Any thread.
Status why_not_quiet(struct vkckpt &, bool cancelled);

}  // namespace vk
#endif
