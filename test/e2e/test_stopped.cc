// Somebody stops the host's processes in which guests run, also while they are being made: that delays guests and nothing else.
#include <catch2/catch.hpp>

#include <csignal>
#include <set>

#include "test/e2e/place.h"

using namespace vktest;

namespace {

// A process for every line, and more for its pipe.
const std::vector<std::string> kForks = {"/bin/sh", "-c", "i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo $i $(echo $i | sha256sum); done; echo ended"};

// Those that this vkernel has had so far.
class Seen {
public:
	explicit Seen(pid_t vkernel) : vkernel_(vkernel) {}
	// One that was not there at the last look: it has just been made, or still is; 0: none.
	pid_t fresh()
	{
		pid_t found = 0;
		for (pid_t pid : guest_processes(vkernel_))
			if (seen_.insert(pid).second)
				found = pid;
		return found;
	}
private:
	pid_t vkernel_;
	std::set<pid_t> seen_;
};

}  // namespace

TEST_CASE("processes of guests are stopped as soon as they are there, over suspends too, and nobody notices", "[host]")
{
	Place place;
	Random random;
	INFO(random.repeat());
	const Outcome undisturbed = place.boot(kForks)->end();
	REQUIRE(undisturbed.status == 0);
	std::string said;
	unsigned stopped = 0, suspends = 0;
	Child child = place.boot(kForks);
	REQUIRE(child->expect("1 "));
	for (bool ended = false; !ended;) {
		Seen seen(child->pid());
		const unsigned wanted = stopped + 6;
		while (child->running() && (suspends == 2 || stopped < wanted)) {
			child->read_for(0);
			const pid_t pid = seen.fresh();
			if (pid == 0)
				continue;
			kill(pid, SIGSTOP);
			if (suspends < 2 && stopped + 1 == wanted)	// the last is stopped when the suspend begins
				child->signal(VKCKPT_SIGCKPT);
			child->read_for(int(random.below(20)));
			kill(pid, SIGCONT);
			stopped++;
		}
		const Outcome o = child->end();
		INFO("after " << suspends << " suspends: " << o.err);
		said += o.out;
		ended = o.status != VKCKPT_EXIT_SUSPENDED;
		if (ended)
			CHECK(o.status == 0);
		else
			child = place.thaw(), suspends++;
	}
	CHECK(said == undisturbed.out);
	CHECK(suspends > 0);
	CHECK(stopped > 10);
}

TEST_CASE("a vkernel is killed while a process that it makes stands still, which ends when it goes on", "[host]")
{
	Place place;
	Random random;
	INFO(random.repeat());
	const std::string disk = place.make_disk();
	unsigned stopped = 0;
	for (int round = 0; round < 6; round++) {
		Child child = place.boot(kForks, {"-r", disk});
		REQUIRE(child->expect("1 "));
		Seen seen(child->pid());
		(void)seen.fresh();
		pid_t pid = 0;
		REQUIRE(await([&] { child->read_for(0); return (pid = seen.fresh()) != 0 || !child->running(); }));
		if (pid != 0 && kill(pid, SIGSTOP) == 0)
			stopped++;
		random.pause_us(2000);
		child->signal(SIGKILL);
		CHECK(child->end().status == 128 + SIGKILL);
		if (pid != 0)
			kill(pid, SIGCONT);
		CHECK(await([&] { return survivors(child->pid()).empty(); }));
	}
	CHECK(stopped > 0);
}
