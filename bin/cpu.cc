// The names stand in the library's table alone, which is the one that a thaw goes by: a host that offers nothing lacks each
// feature, so asking for one bit at a time gives its name.
#include "bin/cpu.h"
#include "bin/text.h"

#include "lib/cpu.h"

namespace tool {

static std::string lacking(const vkckpt_f_host &needed, const vkckpt_f_host &here)
{
	vk::Status status = vk::cpu_check(needed, here);
	return status.ok() ? "" : field(status.subject);
}

std::vector<std::string> cpu_feature_names(const vkckpt_f_host &host)
{
	std::vector<std::string> names;
	const vkckpt_f_host nothing{};
	for (unsigned word = 0; word < VKCKPT_CPUID_WORDS; word++)
		for (unsigned bit = 0; bit < 32; bit++) {
			vkckpt_f_host one{};
			one.cpuid[word] = host.cpuid[word] & 1u << bit;
			if (std::string name = lacking(one, nothing); !name.empty())
				names.push_back(name);
		}
	return names;
}

std::string cpu_lacking_here(const vkckpt_f_host &host)
{
	vkckpt_f_host here{};
	vk::cpu_facts(&here);
	return lacking(host, here);
}

}  // namespace tool
