// What guests are shown of the processor: parsed, and CPUID answered accordingly. Any context; no host calls.
#include "lib/cpu.h"

#include <errno.h>
#include <string.h>

#include "lib/export.h"
#include "lib/text.h"

namespace vk {
namespace {

constexpr const char *kWhere = "cpu mask";

// Bits without a name in the table of features that a level leaves as they are: of no consequence to programs, or how the rest is to be read.
constexpr uint32_t kPlain[VKCKPT_CPUID_WORDS] = {
	1u << 26 | 1u << 31,		// xsave, hypervisor
	0x18037ae8,			// pse msr pae mce apic sep mtrr pge mca pat pse36 ss ht
	0, 0, 0, 0, 0, 0,
	1u << 1 | 1u << 22,		// cmp_legacy, topoext
	0x2593f3ff,			// what AMD repeats of leaf 1; nx, pdpe1gb, lm
	0,
};

constexpr uint64_t kLegacy = 3, kAvx = 1 << 2, kAvx512 = 7 << 5, kPkru = 1 << 9, kAmx = 3 << 17;

bool has(const uint32_t *cpuid, const char *name)
{
	for (size_t i = 0; i < kCpuFeatureCount; i++)
		if (text_equal(kCpuFeatures[i].name, name))
			return cpuid[kCpuFeatures[i].word] & 1u << kCpuFeatures[i].bit;
	return false;
}

// Components of the processor's state whose instructions guests are shown. all: also those that belong to no feature with a name.
uint64_t components_of(const uint32_t *cpuid, uint64_t xcr0, bool all)
{
	const uint64_t known = kLegacy | kAvx | kAvx512 | kPkru | kAmx;
	uint64_t shown = kLegacy | (all ? ~known : 0);
	if (!has(cpuid, "osxsave"))
		return xcr0 & kLegacy;
	shown |= has(cpuid, "avx") ? kAvx : 0;
	shown |= has(cpuid, "avx512f") ? kAvx512 : 0;
	shown |= has(cpuid, "ospke") ? kPkru : 0;
	shown |= has(cpuid, "amx_tile") ? kAmx : 0;
	return xcr0 & shown;
}

// 1 .. 4; 5: the host; 0: no level.
unsigned level_of(const char *word)
{
	static constexpr const char *kLevels[] = { "x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4", "host" };
	for (unsigned i = 0; i < 5; i++)
		if (text_equal(word, kLevels[i]))
			return i + 1;
	return 0;
}
constexpr unsigned kHostLevel = 5;

void begin_with(unsigned level, const struct vkckpt_f_host &host, struct vkckpt_cpu *out)
{
	for (unsigned w = 0; w < VKCKPT_CPUID_WORDS; w++)
		out->cpuid[w] = level == kHostLevel ? host.cpuid[w] : kPlain[w] & host.cpuid[w];
	for (size_t i = 0; i < kCpuFeatureCount && level != kHostLevel; i++)
		if (kCpuFeatures[i].level && kCpuFeatures[i].level <= level)
			out->cpuid[kCpuFeatures[i].word] |= 1u << kCpuFeatures[i].bit;
}

// "avx512*" fits every name that begins so.
bool fits(const char *pattern, const char *name)
{
	for (; *pattern && *pattern == *name; pattern++, name++)
		;
	return (*pattern == '*' && !pattern[1]) || *pattern == *name;
}

// "+avx2", "-avx2", "-avx512*". False: no such feature.
bool change(const char *word, struct vkckpt_cpu *out)
{
	bool found = false;
	for (size_t i = 0; i < kCpuFeatureCount; i++) {
		const CpuFeature &f = kCpuFeatures[i];
		if (!fits(word + 1, f.name))
			continue;
		out->cpuid[f.word] = word[0] == '+' ? out->cpuid[f.word] | 1u << f.bit : out->cpuid[f.word] & ~(1u << f.bit);
		found = true;
	}
	return found;
}

int bad_word(const char *word, struct vkckpt_error *err)
{
	return vkckpt_error_fill(err, EINVAL, VKCKPT_R_BAD_ARGUMENT, kWhere, word,
	    "no such level or feature; write host, x86-64, x86-64-v2, -v3 or -v4, then +NAME or -NAME with names as in vkckpt info, "
	    "with commas between");
}

// The next word of *spec, which is moved behind it. False: it is too long for any.
bool next_word(const char **spec, char *word, size_t room)
{
	size_t n = 0;
	for (; **spec && **spec != ',' && n + 1 < room; ++*spec)
		word[n++] = **spec;
	word[n] = 0;
	if (**spec && **spec != ',')
		return false;
	if (**spec)
		++*spec;
	return true;
}

int parse(const char *spec, const struct vkckpt_f_host &host, struct vkckpt_cpu *out, struct vkckpt_error *err)
{
	char word[32];
	const char *rest = spec;
	unsigned level = next_word(&rest, word, sizeof word) ? level_of(word) : 0;
	begin_with(level ? level : kHostLevel, host, out);
	if (!level)
		rest = spec;
	while (*rest || (!level && rest == spec)) {
		bool whole = next_word(&rest, word, sizeof word);
		if (!whole || (word[0] != '+' && word[0] != '-') || !change(word, out))
			return bad_word(word, err);
	}
	struct vkckpt_f_host asked;
	memset(&asked, 0, sizeof asked);
	memcpy(asked.cpuid, out->cpuid, sizeof out->cpuid);
	Status s = cpu_check_features(asked, host);
	if (!s.ok())
		return vkckpt_error_fill(err, s.code, s.reason, kWhere, s.subject,
		    "this host's processor lacks what guests were to be shown; take a lower level, or leave it out (-NAME)");
	out->xcr0 = components_of(out->cpuid, host.xcr0, !level || level == kHostLevel);
	out->masked = memcmp(out->cpuid, host.cpuid, sizeof out->cpuid) != 0 || out->xcr0 != host.xcr0;
	return 0;
}

// Standard format: the end of the last component.
uint32_t xsave_bytes_of(uint64_t xcr0)
{
	uint32_t bytes = 512 + 64;
	for (unsigned i = 2; i < 63; i++)
		if (xcr0 >> i & 1)
			if (CpuLeaf c = cpuid(13, i); c.ebx + c.eax > bytes)
				bytes = c.ebx + c.eax;
	return bytes;
}

/*
 * The sizes of leaf 13 stay the host's: XGETBV is not masked, so a program that saves everything XCR0 has must find room for it.
 */
void state_leaf(const struct vkckpt_cpu &cpu, uint32_t subleaf, CpuLeaf *r)
{
	if (!has(cpu.cpuid, "osxsave"))
		memset(r, 0, sizeof *r);
	else if (subleaf == 0)
		r->eax &= (uint32_t)cpu.xcr0, r->edx &= (uint32_t)(cpu.xcr0 >> 32);
	else if (subleaf == 1)
		r->eax &= cpu.cpuid[VKCKPT_CPUID_D1_EAX], r->ecx = r->edx = 0;
	else if (subleaf >= 63 || !(cpu.xcr0 >> subleaf & 1))
		memset(r, 0, sizeof *r);
}

void features_leaf(const struct vkckpt_cpu &cpu, uint32_t subleaf, CpuLeaf *r)
{
	const uint32_t *word = cpu.cpuid;
	if (subleaf == 0) {
		r->eax = r->eax ? 1 : 0;
		r->ebx &= word[VKCKPT_CPUID_7_EBX], r->ecx &= word[VKCKPT_CPUID_7_ECX], r->edx &= word[VKCKPT_CPUID_7_EDX];
	} else if (subleaf == 1) {
		r->eax &= word[VKCKPT_CPUID_71_EAX], r->edx &= word[VKCKPT_CPUID_71_EDX];
		r->ebx = r->ecx = 0;
	} else {
		memset(r, 0, sizeof *r);
	}
}

}  // namespace

void cpu_show(const struct vkckpt_cpu &cpu, struct vkckpt_f_host *host)
{
	for (unsigned w = 0; w < VKCKPT_CPUID_WORDS; w++)
		host->cpuid[w] &= cpu.cpuid[w];
	host->xcr0 &= cpu.xcr0;
	host->xsave_bytes = xsave_bytes_of(host->xcr0);
	host->cpu_masked = 1;
}

struct vkckpt_cpu cpu_shown(const struct vkckpt_f_host &image)
{
	struct vkckpt_cpu cpu;
	memset(&cpu, 0, sizeof cpu);
	memcpy(cpu.cpuid, image.cpuid, sizeof cpu.cpuid);
	cpu.xcr0 = image.xcr0;
	cpu.masked = image.cpu_masked != 0;
	return cpu;
}

}  // namespace vk

using namespace vk;

VK_EXPORT int vkckpt_cpu_parse(const char *spec, struct vkckpt_cpu *out, struct vkckpt_error *err)
{
	if (!spec || !out)
		return vkckpt_error_fill(err, EINVAL, VKCKPT_R_BAD_ARGUMENT, kWhere, spec ? "out" : "spec", nullptr);
	struct vkckpt_f_host host;
	memset(&host, 0, sizeof host);
	cpu_facts(&host);
	memset(out, 0, sizeof *out);
	return parse(spec, host, out, err);
}

VK_EXPORT void vkckpt_cpu_leaf(const struct vkckpt_cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t reg[4])
{
	constexpr uint32_t kLastBasic = 13, kLastExtended = 0x8000001e;
	CpuLeaf r = cpuid(leaf, subleaf);
	const uint32_t *word = cpu->cpuid;
	if (cpu->masked)
		switch (leaf) {
		case 0: r.eax = r.eax < kLastBasic ? r.eax : kLastBasic; break;
		case 1: r.ecx &= word[VKCKPT_CPUID_1_ECX], r.edx &= word[VKCKPT_CPUID_1_EDX]; break;
		case 2: case 4: case 11: break;		// caches, topology
		case 7: features_leaf(*cpu, subleaf, &r); break;
		case 13: state_leaf(*cpu, subleaf, &r); break;
		case 0x80000000: r.eax = r.eax < kLastExtended ? r.eax : kLastExtended; break;
		case 0x80000001:
			r.ecx &= word[VKCKPT_CPUID_80000001_ECX], r.edx &= word[VKCKPT_CPUID_80000001_EDX];
			break;
		case 0x80000008: r.ebx &= word[VKCKPT_CPUID_80000008_EBX]; break;	// addresses and cores
		case 0x80000002: case 0x80000003: case 0x80000004:	// its name
		case 0x80000005: case 0x80000006: case 0x80000007: case 0x8000001d: case 0x8000001e: break;
		default: memset(&r, 0, sizeof r);
		}
	reg[0] = r.eax, reg[1] = r.ebx, reg[2] = r.ecx, reg[3] = r.edx;
}
