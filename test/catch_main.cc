// main of every test program, and the count of what passed, failed and was skipped. With TEST_RESULT set the counts are
// appended to that file as "SUITE PASSED FAILED SKIPPED", for test/run.sh to add up.
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>

#include <cstdio>
#include <cstdlib>

#include "test/skip.h"

namespace {

bool skipped_now = false;

// A comma would end the name.
std::string filter_for(const std::string &name)
{
	std::string out;
	for (char c : name)
		out += (c == ',' || c == '[' ? "\\" : "") + std::string(1, c);
	return out;
}

struct Counter : Catch::TestEventListenerBase {
	using TestEventListenerBase::TestEventListenerBase;
	unsigned passed = 0, failed = 0, skipped = 0;
	std::string program;

	void testRunStarting(const Catch::TestRunInfo &info) override { program = info.name; }
	void testCaseStarting(const Catch::TestCaseInfo &) override { skipped_now = false; }
	void testCaseEnded(const Catch::TestCaseStats &stats) override
	{
		if (!stats.totals.assertions.allOk()) {
			++failed;
			std::printf("repeat: %s \"%s\"\n", program.c_str(), filter_for(stats.testInfo.name).c_str());
		} else if (skipped_now) {
			++skipped;
		} else {
			++passed;
		}
	}
	void testRunEnded(const Catch::TestRunStats &) override
	{
		const char *path = std::getenv("TEST_RESULT");
		if (path == nullptr)
			return;
		if (std::FILE *out = std::fopen(path, "a")) {
			std::fprintf(out, "%s %u %u %u\n", program.c_str(), passed, failed, skipped);
			std::fclose(out);
		}
	}
};
CATCH_REGISTER_LISTENER(Counter)

}  // namespace

void test_skip(const char *reason)
{
	skipped_now = true;
	std::printf("skipped: %s: %s\n", Catch::getResultCapture().getCurrentTestName().c_str(), reason);
	SUCCEED("skipped");
}
