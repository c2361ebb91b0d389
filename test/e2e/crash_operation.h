// Operations of the real programs of build/faulty/bin, each to be killed, stopped or refused by the host at every named fault point that it passes.
#ifndef TEST_E2E_CRASH_OPERATION_H
#define TEST_E2E_CRASH_OPERATION_H

#include <functional>

#include "test/e2e/crash_stage.h"

namespace vktest {

using Points = std::vector<std::pair<std::string, unsigned>>;

// Who may go on from here does, and nobody else: by thaw, or by boot where the image is gone or out of date. Returns it, running.
Child settle(CrashStage &, bool boot_first);

// begin: prepares. run: begins the operation and returns its process; it is called with the plan armed. Both are handed the vkernel that runs
// (or null) and may take it.
struct Operation {
	const char *name;
	std::function<void(CrashStage &, Child &)> begin;
	std::function<Child(CrashStage &, Child &)> run;
	bool leaves_running;	// done without a fault, the vkernel runs (else it or nobody has ended)
	std::function<Child(CrashStage &, bool boot_first)> settled = settle;
};

// A point that is passed more than once: the first time and, in long runs (CRASH_DEEP=1), up to the fourth.
unsigned most_times();
// Reading what nobody has changed yet, and memory of the process: a death there is like one at the next point, so once is enough.
bool is_only_memory(const std::string &point);
void need(bool ok, const char *what);
void be_suspended(CrashStage &, Child &vk);

// Waits until it is over with the process: done, refused or dead.
void await_end(CrashStage &, const Operation &, Process &);
// Every point is in the table of points.h; operation: those that the table has of it (points::kSeal ...) and no others, 0: not known.
void hold_against_table(const Points &passed, unsigned operation);
// What is passed when nothing happens; vk: the vkernel that runs before it, and afterwards.
Points points_of(CrashStage &, const Operation &, Child &vk);
// True: the point was reached. Nobody has settled anything yet.
bool killed_at(CrashStage &, const Operation &, Child &vk, const std::string &point, unsigned time);
// The process stands still there, others try, it goes on: at most one runs. vk: who runs when all is settled.
void stopped_at(CrashStage &, const Operation &, Child &vk, const std::string &point);

}  // namespace vktest
#endif
