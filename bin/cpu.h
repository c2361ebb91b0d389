// The CPU features an image counts on, by name.
#ifndef VKCKPT_BIN_CPU_H
#define VKCKPT_BIN_CPU_H

#include <vkckpt/format.h>

#include <string>
#include <vector>

namespace tool {

std::vector<std::string> cpu_feature_names(const vkckpt_f_host &);
// What this host's processor lacks of them, with blanks between; "" nothing.
std::string cpu_lacking_here(const vkckpt_f_host &);

}  // namespace tool
#endif
