// What this processor offers to a program, and how an image's demands compare with it.
#ifndef VKCKPT_LIB_CPU_H
#define VKCKPT_LIB_CPU_H

#include "lib/status.h"
#include <vkckpt/format.h>

namespace vk {

// Fills cpuid, xcr0 and xsave_bytes of *host; leaves the rest.
void cpu_facts(struct vkckpt_f_host *host);

// Refuse (ENOTSUP; CPU_LACKS_FEATURE, XSTATE_LACKING, features by name in the subject) if `needed` has a feature that programs can
// use, or a component of XCR0, and `here` does not. Bits without a name in our table are of no consequence to a program.
Status cpu_check_features(const struct vkckpt_f_host &needed, const struct vkckpt_f_host &here);
Status cpu_check_xstate(const struct vkckpt_f_host &needed, const struct vkckpt_f_host &here);
// Both, in that order.
Status cpu_check(const struct vkckpt_f_host &needed, const struct vkckpt_f_host &here);

}  // namespace vk
#endif
