/* vkckpt/cpu.h: what of the processor guests are shown, so that their images thaw on lesser ones. Manual: vkckpt_cpu(3). */
#ifndef VKCKPT_CPU_H
#define VKCKPT_CPU_H

#include <stdint.h>

#include <vkckpt/error.h>
#include <vkckpt/format.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vkckpt_cpu {
	uint32_t cpuid[VKCKPT_CPUID_WORDS];	/* by enum vkckpt_cpuid_word: bits that guests may see */
	uint32_t masked;			/* 1: less than the host has, so the vkernel answers CPUID; 0: all of it */
	uint64_t xcr0;				/* likewise */
};

/*
 * What a person wrote: words with commas between. The first may be a level, "host" (also if there is none), "x86-64",
 * "x86-64-v2", "x86-64-v3" or "x86-64-v4" (of the psABI); the others add or take away features by the names that vkckpt info
 * shows, "NAME*" being all that begin so: "x86-64-v3,+aes", "-avx512*,-amx*". *out becomes what this host has of it.
 * 0, or -errno: EINVAL a word is none (err->subject), or NULL; ENOTSUP with CPU_LACKS_FEATURE: this host lacks what the
 * level has or what was added. Safety: MT-Safe, AS-Safe. Since 0.2.
 */
int vkckpt_cpu_parse(const char *spec, struct vkckpt_cpu *out, struct vkckpt_error *err);
/*
 * What the CPUID instruction answers to a guest that is shown *cpu: reg receives eax, ebx, ecx, edx. To be called where
 * CPUID is not masked. Leaves that tell of features unknown here answer zeros. Safety: MT-Safe, AS-Safe. Since 0.2.
 */
void vkckpt_cpu_leaf(const struct vkckpt_cpu *, uint32_t leaf, uint32_t subleaf, uint32_t reg[4]);

#ifdef __cplusplus
}
#endif
#endif
