#include <catch2/catch.hpp>

#include <stdio.h>

#include "lib/cpu.h"
#include "lib/host.h"
#include "test/unit/fixture.h"

using namespace fixture;

TEST_CASE("a host has what it has, and features it lacks are named")
{
	struct vkckpt_f_host here = {}, needed;
	vk::cpu_facts(&here);
	CHECK(here.cpuid[VKCKPT_CPUID_1_EDX] != 0);
	CHECK((here.xcr0 & 3) == 3);
	CHECK(here.xsave_bytes >= 512);
	CHECK(vk::cpu_check(here, here).ok());
	struct vkckpt_f_host lesser = here;
	lesser.cpuid[VKCKPT_CPUID_1_EDX] &= ~(1u << 26);
	vk::Status s = vk::cpu_check(here, lesser);
	CHECK(s.code == ENOTSUP);
	CHECK(s.reason == VKCKPT_R_CPU_LACKS_FEATURE);
	CHECK(std::string(s.subject) == "sse2");
	needed = here;
	memset(needed.cpuid, 0xff, sizeof needed.cpuid);
	lesser = {};
	lesser.xcr0 = ~0ull;
	s = vk::cpu_check(needed, lesser);
	CHECK(s.reason == VKCKPT_R_CPU_LACKS_FEATURE);
	CHECK(std::string(s.subject).find("...") != std::string::npos);
	needed = here;
	needed.xcr0 = here.xcr0 | 1ull << 18 | 1ull << 60;
	s = vk::cpu_check(needed, here);
	if (!(here.xcr0 & 1ull << 18)) {
		CHECK(s.reason == VKCKPT_R_XSTATE_LACKING);
		CHECK(std::string(s.subject).find("amx_tiledata") == 0);
	}
	CHECK(vk::cpu_check(lesser, here).reason == VKCKPT_R_XSTATE_LACKING);
	lesser.xcr0 = 0;
	CHECK(vk::cpu_check(lesser, here).ok());	// an image of a lesser host
}

namespace {
int in_data = 1;
int in_bss;
}

TEST_CASE("facts about this process")
{
	uint8_t id[32];
	size_t n = vkckpt_build_id(id, sizeof id);
	CHECK(n == 20);
	CHECK(vkckpt_build_id(id, 4) == 4);
	CHECK(vk::program_owns((uint64_t)&in_data, sizeof in_data));
	CHECK(vk::program_owns((uint64_t)&in_bss, sizeof in_bss));
	int on_stack;
	CHECK_FALSE(vk::program_owns((uint64_t)&on_stack, sizeof on_stack));
	CHECK_FALSE(vk::program_owns((uint64_t)&vkckpt_build_id, 4));	// text
	CHECK_FALSE(vk::program_owns((uint64_t)&in_bss, 1ull << 40));
	CHECK_FALSE(vk::program_owns((uint64_t)&in_bss, ~0ull));
	CHECK(vk::process_start_time() != 0);
	CHECK(vk::host_memory_available() > 1 << 20);
	CHECK(vk::group_memory_available() > 1 << 20);
	struct vkckpt_f_host host;
	REQUIRE(vk::host_facts(&host).ok());
	CHECK(std::string(host.system).find("Linux ") == 0);
	uint8_t zero[16] = {};
	CHECK(memcmp(host.boot_id, zero, 16) != 0);
}

TEST_CASE("the environment that the process was started with")
{
	char value[4096];
	REQUIRE(vk::start_environment("PATH", value, sizeof value));
	CHECK(std::string(value) == getenv("PATH"));
	CHECK_FALSE(vk::start_environment("PAT", value, sizeof value));
	CHECK_FALSE(vk::start_environment("PATHX", value, sizeof value));
	CHECK_FALSE(vk::start_environment("PATH", value, 2));	// no room
	setenv("MADE_LATER", "x", 1);
	CHECK_FALSE(vk::start_environment("MADE_LATER", value, sizeof value));
}

TEST_CASE("every reason code stands in the manual with its name, text and remedy")
{
	std::string page = slurp("man/vkckpt-refusals.7");
	REQUIRE(page.size() > 1000);
	for (uint32_t r = 1; r < 200; r++) {
		std::string name = vkckpt_reason_name(r);
		if (name == "UNKNOWN")
			continue;
		INFO(name);
		CHECK(page.find(".It Li " + name + " Pq " + std::to_string(r) + "\n") != std::string::npos);
		for (std::string text : { vkckpt_reason_text(r), vkckpt_reason_remedy(r) }) {
			text[0] = (char)toupper(text[0]);
			CHECK(page.find("\n" + text + ".\n") != std::string::npos);
		}
	}
}
