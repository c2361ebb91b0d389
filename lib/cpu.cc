// CPU features: read at arm, compared at thaw; what guests are shown of them is in cpu_mask.cc. Any context; no host calls.
#include "lib/cpu.h"

#include <errno.h>
#include <stddef.h>

namespace vk {

// Instructions that user code can execute. What only a kernel sees (vmx, mtrr ...) and what the vkernel cannot pass on is not listed:
// test/unit/test_cpu.cc says of each such bit why. The last number: the level of the psABI that has it; tsc and clflush are in all
// processors of the first.
const CpuFeature kCpuFeatures[] = {
	{ VKCKPT_CPUID_1_EDX, 0, "fpu", 1 }, { VKCKPT_CPUID_1_EDX, 4, "tsc", 1 }, { VKCKPT_CPUID_1_EDX, 8, "cx8", 1 },
	{ VKCKPT_CPUID_1_EDX, 15, "cmov", 1 }, { VKCKPT_CPUID_1_EDX, 19, "clflush", 1 }, { VKCKPT_CPUID_1_EDX, 23, "mmx", 1 },
	{ VKCKPT_CPUID_1_EDX, 24, "fxsr", 1 }, { VKCKPT_CPUID_1_EDX, 25, "sse", 1 }, { VKCKPT_CPUID_1_EDX, 26, "sse2", 1 },
	{ VKCKPT_CPUID_1_ECX, 0, "sse3", 2 }, { VKCKPT_CPUID_1_ECX, 1, "pclmulqdq" }, { VKCKPT_CPUID_1_ECX, 9, "ssse3", 2 },
	{ VKCKPT_CPUID_1_ECX, 12, "fma", 3 }, { VKCKPT_CPUID_1_ECX, 13, "cx16", 2 }, { VKCKPT_CPUID_1_ECX, 19, "sse4_1", 2 },
	{ VKCKPT_CPUID_1_ECX, 20, "sse4_2", 2 }, { VKCKPT_CPUID_1_ECX, 22, "movbe", 3 }, { VKCKPT_CPUID_1_ECX, 23, "popcnt", 2 },
	{ VKCKPT_CPUID_1_ECX, 25, "aes" }, { VKCKPT_CPUID_1_ECX, 27, "osxsave", 3 }, { VKCKPT_CPUID_1_ECX, 28, "avx", 3 },
	{ VKCKPT_CPUID_1_ECX, 29, "f16c", 3 }, { VKCKPT_CPUID_1_ECX, 30, "rdrand" },
	{ VKCKPT_CPUID_7_EBX, 0, "fsgsbase" }, { VKCKPT_CPUID_7_EBX, 3, "bmi1", 3 }, { VKCKPT_CPUID_7_EBX, 4, "hle" }, { VKCKPT_CPUID_7_EBX, 5, "avx2", 3 },
	{ VKCKPT_CPUID_7_EBX, 8, "bmi2", 3 }, { VKCKPT_CPUID_7_EBX, 9, "erms" }, { VKCKPT_CPUID_7_EBX, 11, "rtm" },
	{ VKCKPT_CPUID_7_EBX, 16, "avx512f", 4 },
	{ VKCKPT_CPUID_7_EBX, 17, "avx512dq", 4 }, { VKCKPT_CPUID_7_EBX, 18, "rdseed" }, { VKCKPT_CPUID_7_EBX, 19, "adx" },
	{ VKCKPT_CPUID_7_EBX, 21, "avx512ifma" }, { VKCKPT_CPUID_7_EBX, 23, "clflushopt" },
	{ VKCKPT_CPUID_7_EBX, 24, "clwb" }, { VKCKPT_CPUID_7_EBX, 26, "avx512pf" },
	{ VKCKPT_CPUID_7_EBX, 27, "avx512er" }, { VKCKPT_CPUID_7_EBX, 28, "avx512cd", 4 }, { VKCKPT_CPUID_7_EBX, 29, "sha_ni" },
	{ VKCKPT_CPUID_7_EBX, 30, "avx512bw", 4 }, { VKCKPT_CPUID_7_EBX, 31, "avx512vl", 4 },
	{ VKCKPT_CPUID_7_ECX, 0, "prefetchwt1" }, { VKCKPT_CPUID_7_ECX, 1, "avx512_vbmi" }, { VKCKPT_CPUID_7_ECX, 4, "ospke" },
	{ VKCKPT_CPUID_7_ECX, 5, "waitpkg" }, { VKCKPT_CPUID_7_ECX, 6, "avx512_vbmi2" }, { VKCKPT_CPUID_7_ECX, 8, "gfni" },
	{ VKCKPT_CPUID_7_ECX, 9, "vaes" }, { VKCKPT_CPUID_7_ECX, 10, "vpclmulqdq" },
	{ VKCKPT_CPUID_7_ECX, 11, "avx512_vnni" }, { VKCKPT_CPUID_7_ECX, 12, "avx512_bitalg" },
	{ VKCKPT_CPUID_7_ECX, 14, "avx512_vpopcntdq" }, { VKCKPT_CPUID_7_ECX, 22, "rdpid" },
	{ VKCKPT_CPUID_7_ECX, 25, "cldemote" }, { VKCKPT_CPUID_7_ECX, 27, "movdiri" }, { VKCKPT_CPUID_7_ECX, 28, "movdir64b" },
	{ VKCKPT_CPUID_7_EDX, 2, "avx512_4vnniw" }, { VKCKPT_CPUID_7_EDX, 3, "avx512_4fmaps" }, { VKCKPT_CPUID_7_EDX, 4, "fsrm" },
	{ VKCKPT_CPUID_7_EDX, 8, "avx512_vp2intersect" },
	{ VKCKPT_CPUID_7_EDX, 14, "serialize" }, { VKCKPT_CPUID_7_EDX, 16, "tsxldtrk" }, { VKCKPT_CPUID_7_EDX, 22, "amx_bf16" },
	{ VKCKPT_CPUID_7_EDX, 23, "avx512_fp16" }, { VKCKPT_CPUID_7_EDX, 24, "amx_tile" },
	{ VKCKPT_CPUID_7_EDX, 25, "amx_int8" },
	{ VKCKPT_CPUID_71_EAX, 0, "sha512" }, { VKCKPT_CPUID_71_EAX, 1, "sm3" }, { VKCKPT_CPUID_71_EAX, 2, "sm4" },
	{ VKCKPT_CPUID_71_EAX, 3, "rao_int" }, { VKCKPT_CPUID_71_EAX, 4, "avx_vnni" }, { VKCKPT_CPUID_71_EAX, 5, "avx512_bf16" },
	{ VKCKPT_CPUID_71_EAX, 7, "cmpccxadd" }, { VKCKPT_CPUID_71_EAX, 21, "amx_fp16" },
	{ VKCKPT_CPUID_71_EAX, 23, "avx_ifma" }, { VKCKPT_CPUID_71_EAX, 31, "movrs" }, { VKCKPT_CPUID_71_EDX, 4, "avx_vnni_int8" },
	{ VKCKPT_CPUID_71_EDX, 5, "avx_ne_convert" }, { VKCKPT_CPUID_71_EDX, 8, "amx_complex" },
	{ VKCKPT_CPUID_71_EDX, 10, "avx_vnni_int16" }, { VKCKPT_CPUID_71_EDX, 14, "prefetchi" },
	{ VKCKPT_CPUID_71_EDX, 19, "avx10" }, { VKCKPT_CPUID_71_EDX, 21, "apx_f" },
	{ VKCKPT_CPUID_D1_EAX, 0, "xsaveopt" }, { VKCKPT_CPUID_D1_EAX, 1, "xsavec" }, { VKCKPT_CPUID_D1_EAX, 2, "xgetbv1" },
	{ VKCKPT_CPUID_80000001_ECX, 0, "lahf_lm", 2 }, { VKCKPT_CPUID_80000001_ECX, 5, "abm", 3 },
	{ VKCKPT_CPUID_80000001_ECX, 6, "sse4a" }, { VKCKPT_CPUID_80000001_ECX, 7, "misalignsse" }, { VKCKPT_CPUID_80000001_ECX, 8, "3dnowprefetch" },
	{ VKCKPT_CPUID_80000001_ECX, 11, "xop" }, { VKCKPT_CPUID_80000001_ECX, 15, "lwp" }, { VKCKPT_CPUID_80000001_ECX, 16, "fma4" },
	{ VKCKPT_CPUID_80000001_ECX, 21, "tbm" }, { VKCKPT_CPUID_80000001_ECX, 29, "mwaitx" }, { VKCKPT_CPUID_80000001_EDX, 11, "syscall", 1 },
	{ VKCKPT_CPUID_80000001_EDX, 27, "rdtscp" }, { VKCKPT_CPUID_80000001_EDX, 30, "3dnowext" }, { VKCKPT_CPUID_80000001_EDX, 31, "3dnow" },
	{ VKCKPT_CPUID_80000008_EBX, 0, "clzero" }, { VKCKPT_CPUID_80000008_EBX, 4, "rdpru" },
};
const size_t kCpuFeatureCount = sizeof kCpuFeatures / sizeof kCpuFeatures[0];

namespace {

// Components of XCR0, by bit.
const char *const kXstate[] = { "x87", "sse", "avx", "bndregs", "bndcsr", "opmask", "zmm_hi256", "hi16_zmm", nullptr, "pkru",
	nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, "amx_tilecfg", "amx_tiledata", "apx" };

uint64_t xgetbv0()
{
	uint32_t low, high;
	asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (uint64_t)high << 32 | low;
}

// Names joined with a blank; one that does not fit ends the list with "...".
class CpuNames {
public:
	void add(const char *name)
	{
		size_t n = 0;
		while (name[n])
			n++;
		if (full_ || used_ + n + 5 >= sizeof text_) {
			if (!full_)
				for (const char *p = " ..."; *p; p++)
					text_[used_++] = *p;
			full_ = true;
			return;
		}
		if (used_)
			text_[used_++] = ' ';
		for (size_t i = 0; i < n; i++)
			text_[used_++] = name[i];
	}
	bool empty() const { return used_ == 0; }
	const char *text() const { return text_; }

private:
	char text_[60] = {};
	size_t used_ = 0;
	bool full_ = false;
};

}  // namespace

CpuLeaf cpuid(uint32_t leaf, uint32_t sub)
{
	CpuLeaf r;
	asm volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(sub));
	return r;
}

void cpu_facts(struct vkckpt_f_host *host)
{
	uint32_t *word = host->cpuid;
	uint32_t highest = cpuid(0, 0).eax;
	CpuLeaf one = cpuid(1, 0);
	word[VKCKPT_CPUID_1_ECX] = one.ecx;
	word[VKCKPT_CPUID_1_EDX] = one.edx;
	if (highest >= 7) {
		CpuLeaf seven = cpuid(7, 0);
		word[VKCKPT_CPUID_7_EBX] = seven.ebx;
		word[VKCKPT_CPUID_7_ECX] = seven.ecx;
		word[VKCKPT_CPUID_7_EDX] = seven.edx;
		if (seven.eax >= 1) {
			CpuLeaf more = cpuid(7, 1);
			word[VKCKPT_CPUID_71_EAX] = more.eax;
			word[VKCKPT_CPUID_71_EDX] = more.edx;
		}
	}
	uint32_t highest_extended = cpuid(0x80000000, 0).eax;
	if (highest_extended >= 0x80000001) {
		CpuLeaf extended = cpuid(0x80000001, 0);
		word[VKCKPT_CPUID_80000001_ECX] = extended.ecx;
		word[VKCKPT_CPUID_80000001_EDX] = extended.edx;
	}
	if (highest_extended >= 0x80000008)
		word[VKCKPT_CPUID_80000008_EBX] = cpuid(0x80000008, 0).ebx;
	host->xcr0 = 0;
	host->xsave_bytes = 0;
	if (highest >= 13 && (one.ecx & 1u << 27)) {	// osxsave: xgetbv may be executed
		word[VKCKPT_CPUID_D1_EAX] = cpuid(13, 1).eax;
		host->xcr0 = xgetbv0();
		host->xsave_bytes = cpuid(13, 0).ebx;
	}
}

Status cpu_check_features(const struct vkckpt_f_host &needed, const struct vkckpt_f_host &here)
{
	CpuNames lacking;
	for (const CpuFeature &f : kCpuFeatures)
		if (needed.cpuid[f.word] & ~here.cpuid[f.word] & 1u << f.bit)
			lacking.add(f.name);
	if (!lacking.empty())
		return fail(ENOTSUP, VKCKPT_R_CPU_LACKS_FEATURE, "thaw: check", lacking.text());
	return success();
}

Status cpu_check_xstate(const struct vkckpt_f_host &needed, const struct vkckpt_f_host &here)
{
	CpuNames lacking;
	uint64_t missing = needed.xcr0 & ~here.xcr0;
	for (unsigned bit = 0; bit < 64; bit++)
		if (missing & 1ull << bit) {
			const char *name = bit < sizeof kXstate / sizeof kXstate[0] ? kXstate[bit] : nullptr;
			lacking.add(name ? name : "component");
		}
	if (!lacking.empty())
		return fail(ENOTSUP, VKCKPT_R_XSTATE_LACKING, "thaw: check", lacking.text(), missing);
	return success();
}

Status cpu_check(const struct vkckpt_f_host &needed, const struct vkckpt_f_host &here)
{
	VK_TRY(cpu_check_features(needed, here));
	return cpu_check_xstate(needed, here);
}

}  // namespace vk
