// Every bit of CPUID that an image records is either a feature with a name, whose lack refuses a thaw, or stands here with the reason why a
// guest cannot have come to rely on it. Sources: Intel SDM volume 2A (CPUID) and the ISA extensions reference, AMD APM volume 3 appendix E,
// Linux's cpufeatures.h.
#include <catch2/catch.hpp>

#include <set>
#include <string>

#include "lib/cpu.h"

namespace {

struct Without { uint8_t word; std::initializer_list<unsigned> bits; const char *reason; };
const Without kWithout[] = {
	{ VKCKPT_CPUID_1_ECX, { 2, 4, 5, 6, 7, 8, 10, 11, 14, 15, 17, 18, 21, 24 }, "the kernel's: debugging, virtualisation, power, MSRs, PCID, APIC" },
	{ VKCKPT_CPUID_1_ECX, { 3 }, "monitor: ring 0 only" },
	{ VKCKPT_CPUID_1_ECX, { 26 }, "xsave: user code may use it where osxsave says so, which has a name" },
	{ VKCKPT_CPUID_1_ECX, { 31 }, "hypervisor: no instruction" },
	{ VKCKPT_CPUID_1_ECX, { 16 }, "reserved" },
	{ VKCKPT_CPUID_1_EDX, { 1, 2, 3, 5, 6, 7, 9, 12, 13, 14, 16, 17, 18, 21, 22, 27, 28, 29, 31 }, "the kernel's: paging, MSRs, APIC, debugging, power; topology" },
	{ VKCKPT_CPUID_1_EDX, { 11 }, "sep: system calls of 32-bit programs" },
	{ VKCKPT_CPUID_1_EDX, { 10, 20, 30 }, "reserved" },
	{ VKCKPT_CPUID_7_EBX, { 1, 7, 10, 12, 15, 20, 25 }, "the kernel's: MSRs, protection of ring 0, PCID, resource control, trace" },
	{ VKCKPT_CPUID_7_EBX, { 2 }, "sgx: enclaves need the host's driver, which no guest reaches" },
	{ VKCKPT_CPUID_7_EBX, { 6, 13 }, "how the FPU keeps its last addresses: no instruction" },
	{ VKCKPT_CPUID_7_EBX, { 14 }, "mpx: without its components of XCR0, which are compared, its instructions do nothing" },
	{ VKCKPT_CPUID_7_EBX, { 22 }, "reserved (once pcommit, in no processor)" },
	{ VKCKPT_CPUID_7_ECX, { 2, 13, 16, 24, 30, 31 }, "the kernel's: umip, tme, 5-level paging, bus locks, launch control, supervisor keys" },
	{ VKCKPT_CPUID_7_ECX, { 3 }, "pku: user code may use it where ospke says so, which has a name" },
	{ VKCKPT_CPUID_7_ECX, { 7 }, "shadow stacks: the host's kernel turns them on for a process that asks it; guests are never one" },
	{ VKCKPT_CPUID_7_ECX, { 17, 18, 19, 20, 21 }, "mpx: the width of an address" },
	{ VKCKPT_CPUID_7_ECX, { 23 }, "key locker: the host's kernel must have loaded a key" },
	{ VKCKPT_CPUID_7_ECX, { 29 }, "enqcmd: faults without a PASID, which the host's driver gives to a process" },
	{ VKCKPT_CPUID_7_ECX, { 15, 26 }, "reserved" },
	{ VKCKPT_CPUID_7_EDX, { 1, 9, 10, 11, 13, 18, 19, 26, 27, 28, 29, 30, 31 }, "the kernel's: attestation, mitigations, encryption keys, branch records" },
	{ VKCKPT_CPUID_7_EDX, { 5 }, "user interrupts: the host's kernel must turn them on for a process" },
	{ VKCKPT_CPUID_7_EDX, { 15 }, "hybrid: no instruction" },
	{ VKCKPT_CPUID_7_EDX, { 20 }, "ibt: the host's kernel must turn it on; its instructions do nothing elsewhere" },
	{ VKCKPT_CPUID_7_EDX, { 0, 6, 7, 12, 17, 21 }, "reserved" },
	{ VKCKPT_CPUID_71_EAX, { 6, 8, 17, 18, 19, 20, 22, 26, 27, 30 }, "the kernel's: lass, counters, fred, lkgs, MSRs, hreset, lam, invd" },
	{ VKCKPT_CPUID_71_EAX, { 10, 11, 12 }, "how fast strings are: no instruction" },
	{ VKCKPT_CPUID_71_EAX, { 9, 13, 14, 15, 16, 24, 25, 28, 29 }, "reserved" },
	{ VKCKPT_CPUID_71_EDX, { 13, 15, 17, 18, 23 }, "the kernel's: user timer, user MSRs, uiret, supervisor shadow stacks, mwait" },
	{ VKCKPT_CPUID_71_EDX, { 0, 1, 2, 3, 6, 7, 9, 11, 12, 16, 20, 22, 24, 25, 26, 27, 28, 29, 30, 31 }, "reserved" },
	{ VKCKPT_CPUID_D1_EAX, { 3, 4 }, "the kernel's: xsaves, xfd" },
	{ VKCKPT_CPUID_D1_EAX, { 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31 }, "reserved" },
	{ VKCKPT_CPUID_80000001_ECX, { 1, 22 }, "how topology is to be read: no instruction" },
	{ VKCKPT_CPUID_80000001_ECX, { 2, 3, 4, 9, 10, 12, 13, 17, 19, 23, 24, 26, 27, 28, 30 }, "the kernel's: virtualisation, APIC, sampling, counters, MSRs" },
	{ VKCKPT_CPUID_80000001_ECX, { 14, 18, 20, 25, 31 }, "reserved" },
	{ VKCKPT_CPUID_80000001_EDX, { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 14, 15, 16, 17, 23, 24 }, "leaf 1 over again, or reserved on Intel's" },
	{ VKCKPT_CPUID_80000001_EDX, { 19, 20, 25, 26, 29 }, "the kernel's: mp, nx, fast FXSAVE (ring 0), large pages; long mode" },
	{ VKCKPT_CPUID_80000001_EDX, { 22 }, "mmxext: all of it is in sse" },
	{ VKCKPT_CPUID_80000001_EDX, { 10, 18, 21, 28 }, "reserved" },
	{ VKCKPT_CPUID_80000008_EBX, { 1, 2, 3, 5, 6, 8, 9, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 23, 24, 25, 26, 27, 28, 29, 30, 31 }, "the kernel's: counters, "
	    "invlpgb, bandwidth, wbnoinvd, mitigations, power, sampling" },
	{ VKCKPT_CPUID_80000008_EBX, { 7, 10, 11, 22 }, "reserved" },
};

}  // namespace

TEST_CASE("every bit of CPUID in an image is a named feature or has a reason to be none", "[cpu]")
{
	std::set<std::string> names;
	uint32_t named[VKCKPT_CPUID_WORDS] = {}, without[VKCKPT_CPUID_WORDS] = {};
	for (size_t i = 0; i < vk::kCpuFeatureCount; i++) {
		const vk::CpuFeature &f = vk::kCpuFeatures[i];
		INFO(f.name);
		REQUIRE(f.word < VKCKPT_CPUID_WORDS);
		CHECK(names.insert(f.name).second);
		CHECK((named[f.word] & 1u << f.bit) == 0);
		named[f.word] |= 1u << f.bit;
	}
	for (const Without &w : kWithout)
		for (unsigned bit : w.bits) {
			INFO("word " << int(w.word) << " bit " << bit << ": " << w.reason);
			CHECK(((named[w.word] | without[w.word]) & 1u << bit) == 0);
			without[w.word] |= 1u << bit;
		}
	for (unsigned word = 0; word < VKCKPT_CPUID_WORDS; word++) {
		INFO("word " << word << ": neither " << std::hex << ~(named[word] | without[word]));
		CHECK((named[word] | without[word]) == 0xffffffff);
	}
}

TEST_CASE("instructions that few processors have are missed by name", "[cpu]")
{
	const struct { uint8_t word, bit; const char *name; } kFew[] = {
		{ VKCKPT_CPUID_7_EBX, 4, "hle" }, { VKCKPT_CPUID_7_EBX, 11, "rtm" }, { VKCKPT_CPUID_7_EBX, 26, "avx512pf" },
		{ VKCKPT_CPUID_7_EBX, 27, "avx512er" }, { VKCKPT_CPUID_7_ECX, 0, "prefetchwt1" }, { VKCKPT_CPUID_7_EDX, 2, "avx512_4vnniw" },
		{ VKCKPT_CPUID_7_EDX, 3, "avx512_4fmaps" }, { VKCKPT_CPUID_71_EAX, 0, "sha512" }, { VKCKPT_CPUID_71_EAX, 1, "sm3" },
		{ VKCKPT_CPUID_71_EAX, 2, "sm4" }, { VKCKPT_CPUID_71_EDX, 8, "amx_complex" }, { VKCKPT_CPUID_71_EDX, 10, "avx_vnni_int16" },
		{ VKCKPT_CPUID_80000001_ECX, 29, "mwaitx" }, { VKCKPT_CPUID_80000001_EDX, 30, "3dnowext" },
		{ VKCKPT_CPUID_80000001_EDX, 31, "3dnow" }, { VKCKPT_CPUID_80000008_EBX, 0, "clzero" }, { VKCKPT_CPUID_80000008_EBX, 4, "rdpru" },
	};
	for (const auto &few : kFew) {
		INFO(few.name);
		struct vkckpt_f_host needed = {}, here = {};
		needed.cpuid[few.word] = 1u << few.bit;
		CHECK(vk::cpu_check(needed, needed).ok());
		const vk::Status s = vk::cpu_check(needed, here);
		CHECK(s.reason == VKCKPT_R_CPU_LACKS_FEATURE);
		CHECK(std::string(s.subject) == few.name);
	}
}

TEST_CASE("what this host offers beyond the first level is asked of the processor", "[cpu]")
{
	struct vkckpt_f_host here = {};
	vk::cpu_facts(&here);
	if (vk::cpuid(0x80000000, 0).eax >= 0x80000008)
		CHECK(here.cpuid[VKCKPT_CPUID_80000008_EBX] == vk::cpuid(0x80000008, 0).ebx);
	else
		CHECK(here.cpuid[VKCKPT_CPUID_80000008_EBX] == 0);
	for (unsigned word = VKCKPT_CPUID_WORDS; word < std::size(here.cpuid); word++)
		CHECK(here.cpuid[word] == 0);
}
