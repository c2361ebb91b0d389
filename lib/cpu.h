// What this processor offers to a program, and how an image's demands compare with it.
#ifndef VKCKPT_LIB_CPU_H
#define VKCKPT_LIB_CPU_H

#include <stddef.h>

#include "lib/status.h"
#include <vkckpt/cpu.h>
#include <vkckpt/format.h>

namespace vk {

struct CpuFeature {
	uint8_t word, bit;	// enum vkckpt_cpuid_word
	const char *name;
	uint8_t level;		// 1 .. 4: x86-64, -v2, -v3, -v4 have it; 0: none
};
extern const CpuFeature kCpuFeatures[];
extern const size_t kCpuFeatureCount;

struct CpuLeaf { uint32_t eax, ebx, ecx, edx; };
CpuLeaf cpuid(uint32_t leaf, uint32_t sub);

// Fills cpuid, xcr0 and xsave_bytes of *host; leaves the rest.
void cpu_facts(struct vkckpt_f_host *host);

// Refuse (ENOTSUP; CPU_LACKS_FEATURE, XSTATE_LACKING, features by name in the subject) if `needed` has a feature that programs can
// use, or a component of XCR0, and `here` does not. Bits without a name in our table are of no consequence to a program.
Status cpu_check_features(const struct vkckpt_f_host &needed, const struct vkckpt_f_host &here);
Status cpu_check_xstate(const struct vkckpt_f_host &needed, const struct vkckpt_f_host &here);
// Both, in that order.
Status cpu_check(const struct vkckpt_f_host &needed, const struct vkckpt_f_host &here);

// cpu_mask.cc: *host becomes what guests are shown of it: bits beyond *cpu are taken out.
void cpu_show(const struct vkckpt_cpu &cpu, struct vkckpt_f_host *host);
// What the guests of an image were shown.
struct vkckpt_cpu cpu_shown(const struct vkckpt_f_host &image);

}  // namespace vk
#endif
