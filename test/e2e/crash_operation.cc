#include "test/e2e/crash_operation.h"

#include <catch2/catch.hpp>

#include <csignal>
#include <cstdlib>
#include <set>

#include "test/fault/points.h"

namespace vktest {

unsigned most_times() { return std::getenv("CRASH_DEEP") ? 4 : 1; }

bool is_only_memory(const std::string &point) { return point.starts_with("memory.") || point.starts_with("host.") || point.starts_with("descriptor."); }

void need(bool ok, const char *what)
{
	if (!ok)
		FAIL(what);
}

void be_suspended(CrashStage &s, Child &vk)
{
	need(s.suspended(*vk), "no suspend");
	vk = nullptr;
}

Child settle(CrashStage &s, bool boot_first)
{
	Child boots, thaws;
	auto try_boot = [&] { boots = s.go_on_by_boot(); return boots->expect("booted") && s.goes_on(*boots); };
	auto try_thaw = [&] { thaws = s.go_on_by_thaw(); return s.goes_on(*thaws); };
	bool booted = boot_first && try_boot();
	bool thawed = !booted && try_thaw();
	if (!booted && !thawed && !boot_first)
		booted = try_boot();
	INFO((boots ? boots->err() : "") << (thaws ? thaws->err() : ""));
	if (!booted && !thawed)
		FAIL("nobody goes on");
	Child &one = booted ? boots : thaws;
	const Outcome again = s.go_on_by_thaw()->end(), second = s.go_on_by_boot()->end();
	INFO(again.err << second.err);
	REQUIRE(again.status == 1);
	REQUIRE(second.status == 1);
	REQUIRE(again.out + second.out == "");
	REQUIRE(s.goes_on(*one));
	return std::move(one);
}

void await_end(CrashStage &s, const Operation &op, Process &child)
{
	const size_t seen = child.out().size();
	if (!await([&] {
		    child.read_for(1);
		    if (!child.running())
			    return true;
		    const bool asked = !s.asking || !s.asking->running();
		    return op.leaves_running && asked && child.out().find("on 1", seen) != std::string::npos;
	    }))
		FAIL(op.name << ": no end: " << child.err());
}

void hold_against_table(const Points &passed, unsigned operation)
{
	std::set<std::string> names;
	for (const auto &[point, count] : passed)
		names.insert(point);
	for (const std::string &name : names) {
		const points::Point *p = points::find(name);
		INFO(name << " is passed by the real programs; the row of test/fault/points.cc, operation " << operation);
		CHECK(p);
		CHECK((!p || (p->operations & operation) == operation));
	}
	for (const points::Point *p = points::begin(); operation && p != points::end(); p++) {
		INFO(p->name << " is not passed by the real programs; operation " << operation);
		CHECK((!(p->operations & operation) || names.count(p->name)));
	}
}

Points points_of(CrashStage &s, const Operation &op, Child &vk)
{
	op.begin(s, vk);
	s.look();
	Child child = op.run(s, vk);
	await_end(s, op, *child);
	const Points all = s.passed();
	hold_against_table(all, 0);
	s.asking = nullptr;
	child->signal(SIGKILL);
	(void)child->end();
	vk = op.settled(s, false);
	return all;
}

bool killed_at(CrashStage &s, const Operation &op, Child &vk, const std::string &point, unsigned time)
{
	op.begin(s, vk);
	s.arm(point, time, crash::kKill);
	Child child = op.run(s, vk);
	await_end(s, op, *child);
	const bool reached = s.reached();
	child->signal(SIGKILL);		// a point may be passed less often than in the first run
	const Outcome o = child->end();
	INFO(o.err);
	s.asking = nullptr;
	s.look();
	CHECK((!reached || o.status == 128 + SIGKILL));
	CHECK(o.out.find("WRONG") == std::string::npos);
	return reached;
}

void stopped_at(CrashStage &s, const Operation &op, Child &vk, const std::string &point)
{
	op.begin(s, vk);
	s.arm(point, 1, crash::kStop);
	Child child = op.run(s, vk);
	if (!await([&] { child->read_for(1); return s.reached() || !child->running(); }) || !s.reached())
		FAIL("not stopped: " << child->err());
	s.look();
	Child others[2] = {s.go_on_by_thaw(), s.go_on_by_boot()};
	unsigned runners = 0;
	for (Child &other : others)
		runners += s.goes_on(*other);
	child->signal(SIGCONT);
	await_end(s, op, *child);
	s.asking = nullptr;
	const bool runs = child->running() && s.goes_on(*child);
	INFO(child->err() << others[0]->err() << others[1]->err());
	CHECK(runners + runs <= 1);
	for (Child *one : {&child, &others[0], &others[1]}) {
		CHECK((*one)->out().find("WRONG") == std::string::npos);
		(*one)->signal(SIGKILL);
		(void)(*one)->end();
	}
	vk = op.settled(s, false);
}

}  // namespace vktest
