#include <catch2/catch.hpp>

#include "lib/cpu.h"
#include "test/unit/fixture.h"

using namespace fixture;

namespace {

bool shows(const struct vkckpt_cpu &cpu, const char *name)
{
	for (size_t i = 0; i < vk::kCpuFeatureCount; i++)
		if (!strcmp(vk::kCpuFeatures[i].name, name))
			return cpu.cpuid[vk::kCpuFeatures[i].word] >> vk::kCpuFeatures[i].bit & 1;
	FAIL("no feature " << name);
	return false;
}

std::string refusal(const char *spec)
{
	struct vkckpt_cpu cpu;
	struct vkckpt_error err = {};
	return vkckpt_cpu_parse(spec, &cpu, &err) == 0 ? "" : vkckpt_reason_name(err.reason);
}

struct Regs { uint32_t r[4]; };
Regs leaf(const struct vkckpt_cpu &cpu, uint32_t number, uint32_t sub = 0)
{
	Regs regs;
	vkckpt_cpu_leaf(&cpu, number, sub, regs.r);
	return regs;
}

struct vkckpt_cpu level_two()
{
	struct vkckpt_cpu cpu = {};
	REQUIRE(vkckpt_cpu_parse("x86-64-v2", &cpu, nullptr) == 0);
	return cpu;
}

}  // namespace

TEST_CASE("a mask is a level, or the host, with features added and taken away")
{
	struct vkckpt_cpu cpu = {};
	REQUIRE(vkckpt_cpu_parse("host", &cpu, nullptr) == 0);
	CHECK(cpu.masked == 0);
	CHECK(shows(cpu, "sse2"));
	cpu = level_two();
	CHECK(cpu.masked == 1);
	for (const char *name : { "sse2", "cmov", "syscall", "sse4_2", "popcnt", "cx16", "lahf_lm" })
		CHECK(shows(cpu, name));
	for (const char *name : { "avx", "avx2", "osxsave", "aes", "rdrand", "avx512f", "rdtscp" })
		CHECK_FALSE(shows(cpu, name));
	CHECK(cpu.xcr0 == 3);
	REQUIRE(vkckpt_cpu_parse("x86-64-v2,-popcnt,-sse4*", &cpu, nullptr) == 0);
	CHECK_FALSE(shows(cpu, "popcnt"));
	CHECK_FALSE(shows(cpu, "sse4_1"));
	CHECK_FALSE(shows(cpu, "sse4_2"));
	CHECK_FALSE(shows(cpu, "sse4a"));
	CHECK(shows(cpu, "ssse3"));
	REQUIRE(vkckpt_cpu_parse("-sse3,+sse3", &cpu, nullptr) == 0);
	CHECK(cpu.masked == 0);
	REQUIRE(vkckpt_cpu_parse("-sse3", &cpu, nullptr) == 0);
	CHECK(cpu.masked == 1);
	CHECK(shows(cpu, "ssse3"));
	for (const char *bad : { "", ",", "v2", "x86-64-v5", "sse3", "host,sse3", "-sse33", "-", "+*x", "-avx512*f", "x86-64,host",
	    "-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" }) {
		INFO(bad);
		CHECK(refusal(bad) == "BAD_ARGUMENT");
	}
	CHECK(refusal("x86-64,+xop,+amx_tile") == "CPU_LACKS_FEATURE");	// no processor has both
	CHECK(vkckpt_cpu_parse(nullptr, &cpu, nullptr) == -EINVAL);
	CHECK(vkckpt_cpu_parse("host", nullptr, nullptr) == -EINVAL);
}

TEST_CASE("CPUID as guests are shown it: no bit beyond the mask, and no leaf that is not known to be harmless")
{
	const struct vkckpt_cpu cpu = level_two();
	struct vkckpt_cpu all = {};
	REQUIRE(vkckpt_cpu_parse("host", &all, nullptr) == 0);
	const Regs host_one = leaf(all, 1), one = leaf(cpu, 1);
	CHECK((one.r[2] & ~cpu.cpuid[VKCKPT_CPUID_1_ECX]) == 0);
	CHECK((one.r[3] & ~cpu.cpuid[VKCKPT_CPUID_1_EDX]) == 0);
	CHECK((one.r[3] >> 26 & 1) == 1);	// sse2
	CHECK(one.r[0] == host_one.r[0]);	// family and model
	CHECK(leaf(cpu, 0).r[0] <= 13);
	for (int i = 1; i < 4; i++)
		CHECK(leaf(cpu, 0).r[i] == leaf(all, 0).r[i]);	// who made it
	for (uint32_t sub : { 0u, 1u, 2u })
		for (int i = 1; i < 4; i++)
			CHECK(leaf(cpu, 7, sub).r[i] == 0);
	for (uint32_t sub : { 0u, 1u, 2u, 9u, 62u, 63u, 4000000000u })
		CHECK((leaf(cpu, 13, sub).r[0] | leaf(cpu, 13, sub).r[1]) == 0);	// no XSAVE at this level
	CHECK((leaf(cpu, 0x80000001).r[2] & 1u << 6) == 0);	// sse4a
	CHECK((leaf(cpu, 0x80000001).r[3] >> 29 & 1) == 1);	// lm
	CHECK(leaf(cpu, 0x80000008).r[1] == 0);
	for (uint32_t hidden : { 5u, 6u, 10u, 0x14u, 0x19u, 0x1du, 0x1eu, 0x24u, 0x40000000u, 0x80000021u, 0xc0000001u, 0xffffffffu }) {
		INFO(hidden);
		for (uint32_t r : leaf(cpu, hidden).r)
			CHECK(r == 0);
	}
	CHECK(memcmp(leaf(all, 7).r, leaf(all, 7).r, sizeof(Regs)) == 0);
	if (vkckpt_cpu_parse("x86-64-v3", &all, nullptr) == 0) {	// with AVX and the state that belongs to it
		CHECK(all.xcr0 == 7);
		CHECK(leaf(all, 13).r[0] == 7);
		CHECK(leaf(all, 13, 2).r[0] == 256);
		CHECK(leaf(all, 13, 9).r[0] == 0);
		CHECK((leaf(all, 7).r[1] >> 5 & 1) == 1);
		CHECK((leaf(all, 7).r[1] >> 16 & 1) == 0);
	}
}

namespace {

struct Asked {
	int answer = 0, count = 0;
	struct vkckpt_cpu cpu = {};
} asked;

int cpu_masked(void *, const struct vkckpt_cpu *cpu)
{
	asked.count++;
	asked.cpu = *cpu;
	return asked.answer;
}

struct vkckpt_f_host host_of(const std::string &path)
{
	struct vkckpt_image *image = nullptr;
	REQUIRE(vkckpt_image_open(path.c_str(), &image, nullptr) == 0);
	struct vkckpt_f_host host = *vkckpt_image_host(image);
	vkckpt_image_close(image);
	return host;
}

}  // namespace

TEST_CASE("an image of a masked vkernel requires what its guests were shown, and its thaw goes on so or is refused")
{
	const struct vkckpt_cpu two = level_two();
	Vkernel v;
	v.hooks.cpu_masked = cpu_masked;
	v.make_ram();
	v.config.cpu = &two;
	REQUIRE(v.arm() == 0);
	REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT);
	v.die();
	struct vkckpt_f_host host = host_of(v.image);
	CHECK(host.cpu_masked == 1);
	CHECK(memcmp(host.cpuid, two.cpuid, sizeof two.cpuid) == 0);
	CHECK(host.xcr0 == 3);
	CHECK(host.xsave_bytes == 576);
	CHECK(vk::cpu_check(host, host).ok());

	v.config.cpu = nullptr;		// a thaw takes it from the image
	asked = { -EOPNOTSUPP, 0, {} };
	CHECK(v.thaw(v.image) == -ENOTSUP);
	CHECK(v.err.reason == VKCKPT_R_CPU_UNMASKED);
	CHECK(asked.count == 1);
	v.hooks.cpu_masked = nullptr;
	CHECK(v.thaw(v.image) == -ENOTSUP);
	CHECK(v.err.reason == VKCKPT_R_CPU_UNMASKED);
	v.hooks.cpu_masked = cpu_masked;
	v.hooks.size = offsetof(struct vkckpt_hooks, cpu_masked);	// an older vkernel
	CHECK(v.thaw(v.image) == -ENOTSUP);
	CHECK(v.err.reason == VKCKPT_R_CPU_UNMASKED);
	v.hooks.size = sizeof v.hooks;
	asked = {};
	REQUIRE(v.thaw(v.image) == 0);
	CHECK(asked.count == 1);
	CHECK(memcmp(asked.cpu.cpuid, two.cpuid, sizeof two.cpuid) == 0);
	v.disarm();
	v.drop_ram();

	struct vkckpt_cpu less = {}, all = {};
	REQUIRE(vkckpt_cpu_parse("x86-64", &less, nullptr) == 0);
	REQUIRE(vkckpt_cpu_parse("host", &all, nullptr) == 0);
	v.config.cpu = &less;		// its guests know of more
	CHECK(v.thaw(v.image) == -EINVAL);
	CHECK(v.err.reason == VKCKPT_R_BAD_ARGUMENT);
	CHECK(std::string(v.err.subject).find("its guests were shown") != std::string::npos);
	v.config.cpu = &all;		// the mask is given up
	asked = { -EOPNOTSUPP, 0, {} };
	REQUIRE(v.thaw(v.image) == 0);
	CHECK(asked.count == 0);
	REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT);
	v.die();
	CHECK(host_of(v.image).cpu_masked == 0);
}
