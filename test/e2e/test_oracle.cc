// The oracle at traps: suspended at every N-th trap, the guest's output is byte by byte that of an undisturbed run.
// ORACLE_DEEP=1 (make soak) takes every trap also of the long programs.
#include <catch2/catch.hpp>

#include <cstdlib>

#include "test/e2e/oracle.h"

using namespace vktest;

namespace {

bool deep() { return std::getenv("ORACLE_DEEP") != nullptr; }

// Each trap from 1 (or every step-th), one suspend per run. Returns how many suspends there were.
unsigned each_trap(const Case &c, uint64_t step)
{
	const Run plain = straight(c);
	REQUIRE(plain.trouble == "");
	unsigned suspends = 0;
	for (uint64_t trap = 1;; trap += step) {
		const Run run = suspended_at(c, trap);
		INFO("suspended at trap " << trap << " with " << c.cpus << " vCPUs");
		REQUIRE(run.trouble == "");
		REQUIRE(run.out == plain.out);
		if (run.legs == 1)
			break;
		++suspends;
	}
	return suspends;
}

unsigned chain(const Case &c, uint64_t step)
{
	const Run plain = straight(c);
	REQUIRE(plain.trouble == "");
	const Run run = suspended_every(c, step);
	INFO("suspended every " << step << " traps with " << c.cpus << " vCPUs, " << run.legs << " legs");
	REQUIRE(run.trouble == "");
	REQUIRE(run.out == plain.out);
	return run.legs - 1;
}

Case alone(const std::string &name, unsigned cpus) { return {{"/" + name}, guest_root(name), cpus, {}}; }
Case guest(const std::string &name, unsigned cpus)
{
	return {{"/bin/sh", "-c", "echo $NONCE; /" + name + "; echo $NONCE"}, guest_root(name), cpus, {}};
}
Case shell(const std::string &script, unsigned cpus)
{
	return {{"/bin/sh", "-c", "echo $NONCE;" + script + "; echo $NONCE"}, "", cpus, {}};
}

const char kPipeline[] = "seq 1 300 | awk '{ s += $1 * $1; print s }' | sort -rn | sed 's/1/one/g' | sha256sum";
const char kFiles[] = "mkdir -p /tmp/a/b; for i in 1 2 3 4 5; do seq $i 40 >/tmp/a/b/$i; done; tar cf /tmp/t.tar -C /tmp a; "
		      "gzip /tmp/t.tar; rm -r /tmp/a; gunzip -c /tmp/t.tar.gz | tar xf - -C /tmp; find /tmp/a -type f | sort | "
		      "xargs cat | sha256sum";

}  // namespace

TEST_CASE("a program of few traps survives a suspend at each of them")
{
	for (unsigned cpus : {1u, 2u})
		CHECK(each_trap(alone("steps", cpus), 1) > 20);
}

TEST_CASE("a program of few traps survives a suspend at every one in a row")
{
	for (unsigned cpus : {1u, 2u})
		CHECK(chain(alone("steps", cpus), 1) > 20);
}

TEST_CASE("a shell with a pipe survives a suspend at every trap in turn")
{
	for (unsigned cpus : {1u, 2u})
		CHECK(each_trap(shell("echo a b c | tr a-c x-z", cpus), deep() ? 1 : 17) > 5);
}

TEST_CASE("shell pipelines survive chains of suspends")
{
	for (unsigned cpus : {1u, 2u}) {
		CHECK(chain(shell(kPipeline, cpus), deep() ? 1 : 60) > 3);
		CHECK(chain(shell(kFiles, cpus), deep() ? 7 : 150) > 3);
	}
}

TEST_CASE("threads with futexes survive suspends")
{
	for (unsigned cpus : {1u, 2u})
		CHECK(chain(guest("threads", cpus), deep() ? 3 : 60) > 3);
}

TEST_CASE("AVX registers survive suspends")
{
	for (unsigned cpus : {1u, 2u})
		CHECK(chain(guest("avx", cpus), deep() ? 1 : 10) > 3);
}

TEST_CASE("signals and timers in flight survive suspends")
{
	for (unsigned cpus : {1u, 2u})
		CHECK(chain(guest("signals", cpus), deep() ? 1 : 15) > 3);
}

TEST_CASE("a tree of forked processes survives suspends")
{
	for (unsigned cpus : {1u, 2u})
		CHECK(chain(guest("forktree", cpus), deep() ? 3 : 60) > 3);
}
