// A vkernel with a disk whose guest knows what the disk must hold, run as the programs of build/faulty/bin, which can be killed, stopped
// or refused by their host at any named fault point (test/crash/plan.h).
#ifndef TEST_CRASH_STAGE_H
#define TEST_CRASH_STAGE_H

#include <set>
#include <string>
#include <vector>

#include "test/crash/plan.h"
#include "test/e2e/place.h"

namespace vktest {

class CrashStage {
public:
	CrashStage();
	virtual ~CrashStage();
	CrashStage(const CrashStage &) = delete;
	CrashStage &operator=(const CrashStage &) = delete;

	Place place;
	std::string disk, image;
	crash::Plan *plan = nullptr;
	Child asking;		// a vkckpt that waits for a vkernel

	// The guest counts: before each write it compares the disk with its RAM ("WRONG" if they differ), then says "on N". At a boot it
	// says "booted N", N being what the disk holds.
	Child boot(const std::vector<std::string> &options = {});
	Child thaw(const std::vector<std::string> &options = {}, const std::string &from = "");
	Child command(std::vector<std::string> words);		// vkckpt
	// Who may go on from what there is.
	virtual Child go_on_by_boot() { return boot(); }
	virtual Child go_on_by_thaw() { return thaw(); }

	// Nothing happens from here on, but the names of points are noted.
	void look();
	// Distinct points passed since look(), with how often.
	std::vector<std::pair<std::string, unsigned>> passed() const;
	void arm(const std::string &point, unsigned time, crash::Action action, int error = 0);
	bool reached() const;
	bool goes_on(Process &child);		// the guest counts on, and never found its disk wrong
	bool suspended(Process &child);		// asks by signal; true: it ended as it should

private:
	Child start(std::vector<std::string> words);
};

}  // namespace vktest
#endif
