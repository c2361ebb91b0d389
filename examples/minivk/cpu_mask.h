// What guests are shown of the processor (--cpu-mask), and their CPUID instructions where that is less than the host has.
#ifndef MINIVK_CPU_MASK_H
#define MINIVK_CPU_MASK_H

#include <vkckpt/cpu.h>

namespace minivk {

struct Thread;

// Hidden, for tests on a host without CPUID faulting: CPUID is believed to trap. It does only where it has prefixes that make it 16 bytes
// long, which is more than an instruction may have.
extern bool cpu_mask_test;

// Each ends the process with a message if it cannot be: null is all that the host has.
struct vkckpt_cpu cpu_mask_parse(const char *spec);
struct vkckpt_cpu cpu_mask_begin(const char *spec);	// likewise, and sets it
// From now on; false: this host cannot mask. Before cpu_mask_engine.
bool cpu_mask_set(const struct vkckpt_cpu &);
struct vkckpt_cpu cpu_mask_now();
void cpu_mask_engine();		// before vmspace_host_init

// A trap that may be a CPUID instruction: it is answered and the thread stands behind it. False: it was none.
bool answer_cpuid(Thread &);
// Bytes of the CPUID instruction that `code` begins with, prefixes included; 0: it does not.
unsigned cpuid_length(const unsigned char *code, unsigned bytes);

}  // namespace minivk
#endif
