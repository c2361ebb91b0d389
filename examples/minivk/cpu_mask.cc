#include "cpu_mask.h"

#include <cerrno>
#include <cstring>

#include "boot.h"
#include "host.h"
#include "vcpu.h"

namespace minivk {

bool cpu_mask_test = false;

namespace {

struct vkckpt_cpu shown = {};

constexpr unsigned kLongest = 15;	// of an x86 instruction

bool is_prefix(unsigned char c)
{
	switch (c) {
	case 0x26: case 0x2e: case 0x36: case 0x3e: case 0x64: case 0x65: case 0x66: case 0x67: case 0xf2: case 0xf3: return true;
	default: return false;	// lock makes CPUID invalid
	}
}

}  // namespace

struct vkckpt_cpu cpu_mask_parse(const char *spec)
{
	struct vkckpt_cpu cpu = {};
	struct vkckpt_error err = {};
	if (spec && vkckpt_cpu_parse(spec, &cpu, &err) < 0)
		fail("--cpu-mask: %s", err.message);
	return cpu;
}

struct vkckpt_cpu cpu_mask_begin(const char *spec)
{
	struct vkckpt_cpu cpu = cpu_mask_parse(spec);
	if (!cpu.masked || cpu_mask_set(cpu))
		return cpu;
	struct vkckpt_error err = {};
	(void)vkckpt_error_fill(&err, EOPNOTSUPP, VKCKPT_R_CPU_UNMASKED, "--cpu-mask", spec, nullptr);
	fail("%s", err.message);
}

bool cpu_mask_set(const struct vkckpt_cpu &cpu)
{
	if (!cpu_mask_test) {
		if (vmspace_host_trap_cpuid(1) != 0)
			return false;
		(void)vmspace_host_trap_cpuid(0);
	}
	shown = cpu;
	return true;
}

struct vkckpt_cpu cpu_mask_now() { return shown; }

void cpu_mask_engine()
{
	if (shown.masked && !cpu_mask_test && vmspace_host_trap_cpuid(1) != 0)
		fail("cannot mask CPUID any more: %s", strerror(errno));
}

unsigned cpuid_length(const unsigned char *code, unsigned bytes)
{
	unsigned at = 0;
	while (at < bytes && is_prefix(code[at]))
		at++;
	if (at < bytes && (code[at] & 0xf0) == 0x40)	// REX
		at++;
	return at + 2 <= bytes && code[at] == 0x0f && code[at + 1] == 0xa2 ? at + 2 : 0;
}

bool answer_cpuid(Thread &t)
{
	if (!kernel().shown_cpu.masked)
		return false;
	unsigned char code[kLongest + 1];
	const unsigned most = kLongest + cpu_mask_test;
	unsigned got = 0;	// it may stand at the end of the last page there is
	while (got < most && copy_in(*t.process->space, t.tf.tf_rip + got, code + got, 1) == 0)
		got++;
	const unsigned length = cpuid_length(code, got);
	if (length == 0)
		return false;
	uint32_t reg[4];
	vkckpt_cpu_leaf(&kernel().shown_cpu, uint32_t(t.tf.tf_rax), uint32_t(t.tf.tf_rcx), reg);
	t.tf.tf_rax = reg[0];
	t.tf.tf_rbx = reg[1];
	t.tf.tf_rcx = reg[2];
	t.tf.tf_rdx = reg[3];
	t.tf.tf_rip += length;
	constexpr uint64_t kTrapFlag = 0x100;
	if (t.tf.tf_rflags & kTrapFlag)
		force_signal(t, kSigTrap, 2, t.tf.tf_rip);
	return true;
}

}  // namespace minivk
