// Every fault point of every operation, made to fail in every way, on the simulated host: each time it is passed the call returns an
// error, is interrupted, does half of its work, or the process dies there. Afterwards the operation was done, or it has said why not and
// all is as before: the vkernel runs on and suspends the next time. Then the process ends, and somebody can go on, but never two.
// A process that is stopped there for any time while others go on is what the explorer does (explorer.cc).
#include <catch2/catch.hpp>

#include <algorithm>
#include <cerrno>
#include <csetjmp>
#include <cstdio>
#include <map>
#include <memory>
#include <set>
#include <sys/syscall.h>

#include <vkckpt/image.h>

#include "test/fault/machine.h"
#include "lib/sys.h"
#include "test/fault/points.h"
#include "test/unit/seal_support.h"

using namespace machine;
using simfs::World;

namespace {

constexpr int kKill = 1000, kHalf = 1001, kOnwards = 1002;	// the last: this call fails, and every one after it
// A point that is passed more often in one operation is the same loop; operations on chains and seals are longer, and pass what others do.
unsigned most_times(unsigned operation) { return operation < points::kArm ? 6 : 2; }
const int kFaults[] = { EIO, ENOSPC, EINTR, EMFILE, ENOMEM, EINVAL, kHalf, kKill, kOnwards };

// What interferes, and what was seen.
struct Plan {
	std::string point;		// "": only look
	unsigned time;			// from 1
	int fault;
	bool done;
	std::map<std::string, unsigned> seen;
} plan;
jmp_buf killed;

bool interfere(long number, const long *a, const std::string &path, long *result)
{
	if (plan.fault == kOnwards && plan.done) {
		*result = -EIO;
		return true;
	}
	std::string name = points::name_of(number, a, path);
	if (++plan.seen[name] != plan.time || name != plan.point)
		return false;
	plan.done = true;
	if (plan.fault == kKill)
		longjmp(killed, 1);
	if (plan.fault == kHalf) {
		if ((number != SYS_write && number != SYS_pwrite64 && number != SYS_pread64 && number != SYS_read) || a[2] < 2)
			return false;
		long half[6] = { a[0], a[1], a[2] / 2, a[3], a[4], a[5] };
		simfs::interfere = nullptr;
		simfs::call(number, half, result);
		simfs::interfere = interfere;
		return true;
	}
	*result = plan.fault == kOnwards ? -EIO : -plan.fault;
	return true;
}

struct Operation {
	unsigned bit;
	const char *name;
	std::function<void(Machine &)> before;
	std::function<int(Machine &)> during;
	bool sealed = false;
};

void must(int r)
{
	if (r != 0)
		FAIL("an operation failed without a fault: " << r);
}

void begin_armed(Machine &m)
{
	must(m.boot(1));
	must(m.arm());
	m.content = m.disks();
}

void suspended(Machine &)
{
	Machine m;
	begin_armed(m);
	must(m.capture(VKCKPT_ACTION_EXIT));
	simfs::world->end_process(simfs::world->process);
}

// Two checkpoints that went on, the second built on the first.
void begin_chain(Machine &m)
{
	m.chain = 4;
	begin_armed(m);
	for (const char *content : {"at the first", "at the second"}) {
		m.run(content);
		m.content = m.disks();
		must(m.capture(VKCKPT_ACTION_CONTINUE));
	}
	m.run("at the third");
	m.content = m.disks();
}

// Its process has ended: what is armed in its place is to be built on its images.
void chain_is_there(Machine &m)
{
	{
		Machine early;
		early.crypto = m.crypto;
		begin_chain(early);
		simfs::world->end_process(simfs::world->process);
	}
	static const std::string parent = member(2);
	m.chain = 4;
	m.parent = parent.c_str();
	m.reserve = true;
	must(m.boot(1));
}

// As vkckpt flatten does it, onto the image itself.
int flatten(Machine &m)
{
	const std::string image = member(2), part = image + ".part";
	vk::sys_unlink(part.c_str());
	int fd = (int)vk::sys_open(part.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600);
	int r = fd < 0 ? fd : 0;
	if (r == 0)
		r = vkckpt_image_flatten(image.c_str(), nullptr, m.crypto, fd, m.crypto, nullptr, nullptr, &m.err);
	if (r == 0)
		r = (int)vk::sys_fsync(fd);
	if (r == 0)
		r = (int)vk::sys_rename(part.c_str(), image.c_str());
	if (fd >= 0)
		vk::sys_close(fd);
	if (r < 0 && m.err.reason == 0)
		m.err.reason = VKCKPT_R_SYSTEM;		// a call of the command's own
	return r;
}

const std::vector<Operation> kOperations = {
	{ points::kBoot, "boot", [](Machine &) {}, [](Machine &m) { return m.boot(1); } },
	{ points::kEnd, "orderly end", [](Machine &m) { must(m.boot(1)); }, [](Machine &m) { m.shutdown(); return 0; } },
	{ points::kDiscard, "discard", suspended, [](Machine &) { return discard(0); } },
	{ points::kSuspend, "suspend", [](Machine &m) {
		simfs::world->put(kImage, "old");
		begin_armed(m);
	}, [](Machine &m) { return m.capture(VKCKPT_ACTION_EXIT); } },
	{ points::kCheckpoint, "checkpoint", [](Machine &m) {
		begin_armed(m);
		must(m.capture(VKCKPT_ACTION_CONTINUE));
	}, [](Machine &m) { return m.capture(VKCKPT_ACTION_CONTINUE); } },
	{ points::kThaw, "thaw", suspended, [](Machine &m) { return m.thaw(); } },
	{ points::kClone, "clone", suspended, [](Machine &m) { return m.thaw(kImage, "clone"); } },
	{ points::kArm, "arm on a sealed chain, with room set aside", chain_is_there, [](Machine &m) { return m.arm(); }, true },
	{ points::kDisarm, "disarm", [](Machine &m) {
		chain_is_there(m);
		must(m.arm());
	}, [](Machine &m) { m.disarm(); return 0; }, true },
	{ points::kChain, "checkpoint onto a chain", begin_chain, [](Machine &m) { return m.capture(VKCKPT_ACTION_CONTINUE); } },
	{ points::kSealed, "sealed suspend onto a chain, with room set aside", [](Machine &m) {
		chain_is_there(m);
		must(m.arm());
		m.content = m.disks();
	}, [](Machine &m) { return m.capture(VKCKPT_ACTION_EXIT); }, true },
	{ points::kSealedThaw, "thaw of a sealed chain", [](Machine &m) {
		Machine early;
		early.crypto = m.crypto;
		begin_chain(early);
		must(early.capture(VKCKPT_ACTION_EXIT));
		simfs::world->end_process(simfs::world->process);
		m.chain = 4;
	}, [](Machine &m) { return m.thaw(member(3).c_str()); }, true },
	{ points::kFlatten, "flatten a sealed chain", chain_is_there, flatten, true },
};

// Names and contents, without what a process that died may leave behind.
std::map<std::string, std::string> lasting(const World &w)
{
	const bool overwrites = simfs::names == simfs::Names::single;	// an old image is gone where names can do so little
	std::map<std::string, std::string> all;
	for (const auto &[name, values] : w.names)
		if (values.back() && !(overwrites && name == kImage) && !name.starts_with("/proc") && !name.starts_with("/sys") && !name.ends_with(".new") && !name.ends_with(".part") &&
		    !name.ends_with("~") && !name.ends_with(".reserve"))
			all[name] = w.inodes.at(values.back()).data;
	return all;
}

// In a process of its own.
int thaws(Machine &m, const std::string &image, const vkckpt_crypto *crypto, int process)
{
	simfs::world->process = process;
	m.crypto = crypto;
	return m.thaw(image.c_str());
}
int boots(int process)
{
	simfs::world->process = process;
	Machine m;
	int r = m.boot(1);
	simfs::world->end_process(process);
	return r;
}

std::vector<std::string> images_of(const World &w)
{
	std::vector<std::string> all;
	for (const auto &[name, values] : w.names)
		if (values.back() && name.ends_with(".ckpt"))
			all.push_back(name);
	return all;
}

// Each image of a checkpoint that went on thaws, on its own disk and once.
std::string each_thaws(World w, const vkckpt_crypto *crypto, const std::string &except)
{
	simfs::world = &w;
	int process = 50;
	for (const std::string &image : images_of(w)) {
		Machine first, second;
		if (image == except)
			continue;
		if (thaws(first, image, crypto, process++) != 0)
			return image + " does not thaw: " + first.err.message;
		if (first.content != first.disks())
			return image + " thawed on other disks";
		first.run("somebody went on");
		if (thaws(second, image, crypto, process++) == 0)
			return image + " thawed twice";
	}
	return except.empty() && boots(process) != 0 ? "the disk does not boot" : "";
}

// One thaws, and nobody after it; or boots, and no thaw after it. "": all is well. Images that were made by going on have disks of their own.
std::string goes_on(const World &host, const vkckpt_crypto *crypto, const std::string &image)
{
	for (bool thaw : { true, false }) {
		World w = host;
		simfs::world = &w;
		Machine first;
		if (thaw ? thaws(first, image, crypto, 50) != 0 : (w.process = 50, first.boot(1)) != 0)
			continue;
		if (thaw && first.content != first.disks())
			return "thawed on other disks";
		first.run("somebody went on");
		Machine second, third;
		if (boots(51) == 0 || thaws(second, image, crypto, 52) == 0)
			return "two run";
		w.end_process(50);
		if (thaws(third, image, crypto, 53) == 0)
			return "thawed twice, or after a boot";
		return "";
	}
	return "nobody goes on";
}

std::string judge(const World &host, const Operation &op, const vkckpt_crypto *crypto)
{
	const unsigned kGoesOn = points::kCheckpoint | points::kArm | points::kDisarm | points::kChain | points::kFlatten;
	if (op.bit & kGoesOn)
		return each_thaws(host, crypto, "");
	if (!op.sealed)
		return goes_on(host, crypto, kImage);
	std::string wrong = goes_on(host, crypto, member(3));
	return wrong.empty() ? each_thaws(host, crypto, member(3)) : wrong;
}

struct Run {
	bool reached = false;
	std::string wrong;
};

// The operation said that it failed: why, all is as before, and it works the next time.
std::string look_again(const Operation &op, Machine &m, const std::map<std::string, std::string> &before)
{
	if (m.err.reason == 0)
		return "an error without a reason";
	// A file that could not be removed stays; a boot that fails may have made the sidecar, which says nothing yet.
	if (plan.fault != kOnwards && lasting(*simfs::world) != before && op.bit != points::kBoot && plan.point.find("unlink") == std::string::npos)
		return "it failed and something is different: " + std::string(m.err.message);
	if (int r = op.during(m); r != 0)
		return "it does not work the next time: " + std::string(m.err.message);
	return "";
}

// A host that failed from some call on, whose vkernel runs on: nobody else may, and if it ended now one could go on.
std::string while_it_runs(const World &host, const Operation &op, const vkckpt_crypto *crypto)
{
	World beside = host, ended = host;
	simfs::world = &beside;
	Machine other;
	if (boots(51) == 0 || thaws(other, kImage, crypto, 52) == 0)
		return "another one runs";
	ended.end_process(host.process);
	return judge(ended, op, crypto);
}

Run run_once(const Operation &op, const std::string &point, unsigned time, int fault)
{
	World host = fresh_world(1);
	simfs::world = &host;
	Run run;
	auto machine = std::make_unique<Machine>();
	Machine &m = *machine;
	std::unique_ptr<seal_test::Known> keys;
	if (op.sealed)
		keys = std::make_unique<seal_test::Known>(), m.crypto = &keys->table;
	op.before(m);
	std::map<std::string, std::string> before = lasting(host);
	plan = { point, time, fault, false, {} };
	if (setjmp(killed) == 0) {
		simfs::interfere = interfere;
		int r = op.during(m);
		simfs::interfere = nullptr;
		if (r != 0 && op.bit == points::kDiscard)
			r = op.during(m), run.wrong = r ? "no second discard" : "";
		else if (r != 0) {
			if (fault == kOnwards && op.bit == points::kSuspend)
				run.wrong = while_it_runs(host, op, m.crypto);
			simfs::world = &host;
			// Of a thaw that finds no way back the disk says "running": it boots.
			if (run.wrong.empty() && !(fault == kOnwards && op.bit == points::kThaw))
				run.wrong = look_again(op, m, before);
		}
	} else {
		simfs::interfere = nullptr;
		m.forget();
	}
	run.reached = plan.done;
	host.end_process(host.process);
	if (run.wrong.empty())
		run.wrong = judge(host, op, m.crypto);
	simfs::world = &host;
	machine.reset();
	simfs::world = nullptr;
	simfs::drop_memory();
	return run;
}

// Every call of the operation, each as often as it is made, and what a fault leads to besides.
void try_all(const Operation &op, std::map<std::string, unsigned> &reached, unsigned &tried)
{
	Run clean = run_once(op, "", 0, 0);
	INFO(op.name << ": " << clean.wrong);
	REQUIRE(clean.wrong.empty());
	std::set<std::string> begun, todo;
	auto note = [&] {
		for (const auto &[name, count] : plan.seen)
			if (!begun.count(name))
				todo.insert(name);
	};
	for (note(); !todo.empty();) {
		std::string point = *todo.begin();
		todo.erase(point);
		begun.insert(point);
		reached[point] |= op.bit;
		bool again = true;
		for (unsigned time = 1; time <= most_times(op.bit) && again; time++)
			for (int fault : kFaults) {
				if (fault == kOnwards && !(op.bit & (points::kSuspend | points::kThaw)))
					continue;
				Run run = run_once(op, point, time, fault);
				again = run.reached;
				tried += run.reached;
				if (!run.wrong.empty())
					FAIL_CHECK(op.name << ": " << point << " time " << time << " fault " << fault << ": " << run.wrong);
				note();
				if (!again)
					break;
			}
	}
}

}  // namespace

TEST_CASE("every named fault point fails in every way", "[points]")
{
	unsigned tried = 0, pairs = 0;
	std::map<std::string, unsigned> reached;	// in which operations
	for (simfs::Names names : { simfs::Names::exchanged, simfs::Names::linked, simfs::Names::single })
		for (const Operation &op : kOperations) {
			if (names != simfs::Names::exchanged && !(op.bit & (points::kEnd | points::kSuspend | points::kThaw)))
				continue;
			simfs::names = names;
			try_all(op, reached, tried);
		}
	simfs::names = simfs::Names::exchanged;
	// The table and the library say the same.
	for (const auto &[name, operations] : reached) {
		const points::Point *p = points::find(name);
		INFO(name << ": passed in operations " << operations);
		CHECK((p && (operations & ~p->operations) == 0));
		pairs += (unsigned)__builtin_popcount(operations);
	}
	unsigned number = 0;
	for (const points::Point *p = points::begin(); p != points::end(); p++) {
		const unsigned here = p->operations & points::kSimulated;
		INFO(p->number << " " << p->name << ": reached in operations " << reached[p->name] << " of " << here);
		CHECK((reached[p->name] & here) == here);
		CHECK(p->number == ++number);
	}
	printf("figure: fault-points %zu\nfigure: fault-operations %zu\nfigure: fault-points-x-operations %u\nfigure: fault-tries %u\n",
	    size_t(std::count_if(reached.begin(), reached.end(), [](const auto &one) { return one.second != 0; })), kOperations.size(), pairs, tried);
	CHECK(tried > 2800);
}
