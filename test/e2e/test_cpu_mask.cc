// Guests that are shown less of the processor than the host has. Where the host cannot fault CPUID, what lies behind the trap is tested with
// a CPUID instruction that is too long and so traps on any processor (minivk --test-cpuid-trap).
#include <catch2/catch.hpp>

#include <asm/prctl.h>
#include <filesystem>
#include <sys/syscall.h>
#include <unistd.h>

#include <vkckpt/cpu.h>

#include "test/e2e/place.h"
#include "test/skip.h"

using namespace vktest;

namespace {

bool host_faults_cpuid()
{
	if (syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0UL) != 0)
		return false;
	syscall(SYS_arch_prctl, ARCH_SET_CPUID, 1UL);
	return true;
}

bool host_has_avx2()
{
	vkckpt_cpu cpu = {};
	return vkckpt_cpu_parse("host,+avx2", &cpu, nullptr) == 0;
}

const char kMasked[] = "max 13 sse4_2 1 avx2 0 xcr0 0\n";	// of x86-64-v2, which has no XSAVE

// A vkernel whose guest asks again after each thaw, in the way that traps here.
struct Asking {
	Place place;
	std::string how = host_faults_cpuid() ? "short" : "long";
	std::vector<std::string> options(std::vector<std::string> more) const
	{
		if (how == "long")
			more.push_back("--test-cpuid-trap");
		return more;
	}
	Child boot(const std::string &mask) const
	{
		return place.sh("/cpuid " + how + "; echo ready; while :; do thawed; /cpuid " + how + "; echo again; done",
		    options({"--root", full_root({"cpuid"}), "--cpu-mask", mask}));
	}
};

}  // namespace

TEST_CASE("a host that cannot hide features from guests refuses a mask and says what would help", "[cpu]")
{
	if (host_faults_cpuid())
		TEST_SKIP("this host can hide them");
	Place place;
	const Outcome o = place.sh("echo ran", {"--cpu-mask", "x86-64-v2"})->end();
	INFO(o.err);
	CHECK(o.status == 1);
	CHECK(o.out == "");
	CHECK(has(o.err, "(CPU_UNMASKED)"));
	CHECK(has(o.err, "cpuid_fault"));
	CHECK(has(o.err, "least processor"));
	CHECK(place.sh("echo ran", {"--cpu-mask", "host"})->end().out == "ran\n");
}

TEST_CASE("a mask that nobody can understand or this host cannot give is refused before anything starts", "[cpu]")
{
	Place place;
	for (const char *spec : {"x86-64-v9", "+avx3", "avx2", "host,avx2", "", "x86-64-v2,", "x86-64-v2,,+aes",
	    "+a_name_that_is_longer_than_any_feature_has"}) {
		const Outcome o = place.sh("echo ran", {"--cpu-mask", spec})->end();
		INFO(spec << ": " << o.err);
		if (std::string(spec) == "x86-64-v2,")
			continue;	// nothing behind the comma: the level alone
		CHECK(o.status == 2);
		CHECK(has(o.err, "(BAD_ARGUMENT)"));
		CHECK(has(o.err, "vkckpt info"));
	}
	const Outcome o = place.sh("echo ran", {"--cpu-mask", "x86-64,+xop,+amx_tile"})->end();
	INFO(o.err);
	CHECK(o.status == 1);
	CHECK(has(o.err, "(CPU_LACKS_FEATURE)"));	// no processor has both
}

TEST_CASE("guests see what the mask leaves, over a suspend too, and the image requires no more", "[cpu]")
{
	if (!host_has_avx2())
		TEST_SKIP("this host has nothing beyond x86-64-v2 that the guest asks for");
	Asking asking;
	Child child = asking.boot("x86-64-v2");
	REQUIRE(child->expect(kMasked));
	REQUIRE(child->expect("ready"));
	REQUIRE(suspend(*child) == "");
	const std::string info = asking.place.tool({"info", asking.place.image()}).out;
	CHECK(has(info, "no more than these (--cpu-mask)"));
	CHECK(has(info, "sse4_2"));
	CHECK(!has(info, "avx2"));
	CHECK(has(asking.place.tool({"info", "--json", asking.place.image()}).out, "\"cpu_masked\": true"));

	Child after = asking.place.thaw(asking.options({}));
	REQUIRE(after->expect(kMasked));
	REQUIRE(after->expect("again"));
	REQUIRE(suspend(*after) == "");
	CHECK(!has(asking.place.tool({"info", asking.place.image()}).out, "avx2"));

	const Outcome narrower = asking.place.thawed(asking.options({"--cpu-mask", "x86-64"}));
	INFO(narrower.err);
	CHECK(narrower.status == 1);
	CHECK(has(narrower.err, "its guests were shown"));
	CHECK(has(narrower.err, "(BAD_ARGUMENT)"));

	Child wider = asking.place.thaw(asking.options({"--cpu-mask", "x86-64-v2,+osxsave,+avx,+avx2"}));
	REQUIRE(wider->expect("max 13 sse4_2 1 avx2 1 xcr0 7\n"));
	REQUIRE(wider->expect("again"));
	REQUIRE(suspend(*wider) == "");
	CHECK(has(asking.place.tool({"info", asking.place.image()}).out, "avx2"));
}

TEST_CASE("a masked image is not thawed where CPUID cannot be masked, unless the mask is given up", "[cpu]")
{
	if (host_faults_cpuid())
		TEST_SKIP("this host can mask it");
	Asking asking;
	Child child = asking.boot("x86-64-v2");
	REQUIRE(child->expect("ready"));
	REQUIRE(suspend(*child) == "");
	for (const std::vector<std::string> &options : {std::vector<std::string>{}, {"--dry-run"}, {"--lazy"}}) {
		const Outcome o = asking.place.thawed(options);
		INFO(o.err);
		CHECK(o.status == 1);
		CHECK(has(o.err, "(CPU_UNMASKED)"));
		CHECK(has(o.err, "--cpu-mask host"));
	}
	CHECK(has(asking.place.tool({"info", "--json", asking.place.image()}).out, "\"cpu_masked\": true"));
	Child after = asking.place.thaw({"--cpu-mask", "host"});
	REQUIRE(after->expect("trapped\n"));	// as on any host
	REQUIRE(after->expect("again"));
	REQUIRE(suspend(*after) == "");
	CHECK(has(asking.place.tool({"info", "--json", asking.place.image()}).out, "\"cpu_masked\": false"));
}
