// Every check of a struct vkckpt_config, before anything is made of it. ARM; beside fstat of the RAM's descriptors no host calls.
#ifndef VKCKPT_LIB_ARM_CHECK_H
#define VKCKPT_LIB_ARM_CHECK_H

#include <vkckpt/vkckpt.h>

#include "lib/status.h"

namespace vk {

Status check_config(const struct vkckpt_config &);
// BAD_ARGUMENT: the field is wrong; number: what it says.
Status bad_config(const char *field, uint64_t number = 0);
// A vkernel's or a device's name as arm takes it.
bool is_name(const char *text);
// The vkernel has declared that its RAM and regions may lie there (config.places).
bool place_allowed(const struct vkckpt_config &, uint64_t address, uint64_t bytes);
// Images of a chain at most; 0: no chain.
uint32_t chain_limit(const struct vkckpt_config &);

}  // namespace vk
#endif
