// Power loss at every moment of every operation on images and disks. The operation runs once on the simulated host, a copy of which is
// taken after every write, fsync and change of a name; from each copy every state is made that a power loss may leave
// (the model stands at the end of simfs.h). In each the library is asked what goes on: the image under its name is whole and an
// expected one; it thaws or the disk boots; who has gone on shuts the other out for good.
#include <catch2/catch.hpp>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "test/fault/machine.h"

using namespace machine;
using simfs::World;

namespace {

std::vector<World> *moments;

void record(uint64_t)
{
	const World &w = *simfs::world;
	const World &last = moments->back();
	if (w.writes != last.writes || w.syncs != last.syncs || w.name_changes != last.name_changes)
		moments->push_back(w);
}

struct Operation {
	const char *name;
	unsigned disks;
	std::function<void(Machine &)> before, during;
	bool image_before;		// whole under its name already
	enum class Way { thaw_or_boot, boot, image_and_boot } way;
	bool may_need_discard = false;	// with two disks: one has changed hands, the other not yet
	std::string image = kImage;
	std::vector<std::string> kept = {};	// images with disks of their own, which thaw whatever comes
};

struct Tally {
	unsigned moments = 0, states = 0, thaws = 0, boots = 0, discards = 0;
	std::string why;		// the last thaw was refused
	std::vector<std::string> wrong;
	void fail(const std::string &what)
	{
		if (wrong.size() < 10)
			wrong.push_back(what);
	}
};

// A new process on this host, and the host itself, for one attempt.
struct Attempt {
	World host;
	Machine machine;
	World *outer = simfs::world;
	explicit Attempt(const World &w) : host(w)
	{
		simfs::world = &host;
		host.process = 2;
	}
	~Attempt() { simfs::world = outer; }
};

bool thaws(const World &lost, const Operation &op, const std::set<std::string> &contents, Tally &tally)
{
	Attempt a(lost);
	if (a.machine.thaw(op.image.c_str()) != 0) {
		tally.why = a.machine.err.message;
		return false;
	}
	if (!contents.count(a.machine.content))
		tally.fail("thawed with the RAM of " + a.machine.content);
	if (op.way == Operation::Way::image_and_boot)
		return true;		// on a disk of its own
	a.machine.run("after the thaw");
	for (int second = 3; second <= 4; second++) {
		Machine other;
		a.host.process = second;
		if ((second == 3 ? other.boot(op.disks) : other.thaw(op.image.c_str())) == 0)
			tally.fail("two run: the second by its own " + std::string(second == 3 ? "boot" : "thaw"));
	}
	a.host.end_process(2);
	a.host.process = 5;
	if (Machine again; again.thaw(op.image.c_str()) == 0)
		tally.fail("thawed twice");
	return true;
}

void kept_thaw(const World &lost, const Operation &op, Tally &tally)
{
	for (const std::string &image : op.kept) {
		Attempt a(lost);
		if (a.machine.thaw(image.c_str()) != 0)
			tally.fail(image + " is lost: " + a.machine.err.message);
	}
}

bool boots(const World &lost, const Operation &op, Tally &tally, bool after_discard)
{
	Attempt a(lost);
	for (unsigned i = 0; after_discard && i < op.disks; i++)
		if (int r = discard(i); r < 0 && r != -ENOENT)
			tally.fail("no discard: " + std::to_string(r));
	if (a.machine.boot(op.disks) != 0)
		return false;
	a.machine.run("after the boot");
	a.host.end_process(2);
	a.host.process = 3;
	if (op.way == Operation::Way::image_and_boot)
		return true;
	if (Machine other; other.thaw(op.image.c_str()) == 0)
		tally.fail("thawed after another boot");
	return true;
}

void judge(const World &lost, const Operation &op, const std::set<std::string> &images, const std::set<std::string> &contents, Tally &tally)
{
	tally.states++;
	const std::string *image = lost.content(op.image);
	kept_thaw(lost, op, tally);
	if (image ? !images.count(*image) : op.image_before)
		tally.fail(image ? "an image that is not whole" : "no image, though there was one");
	bool thawed = image && thaws(lost, op, contents, tally), booted = boots(lost, op, tally, false);
	tally.thaws += thawed;
	tally.boots += booted;
	switch (op.way) {
	case Operation::Way::boot:
		if (!booted)
			tally.fail("the disk does not boot");
		break;
	case Operation::Way::image_and_boot:
		if (!booted || (image && !thawed))
			tally.fail(booted ? "the checkpoint does not thaw" : "the disk does not boot");
		break;
	case Operation::Way::thaw_or_boot:
		if (thawed || booted)
			break;
		tally.discards++;
		if (!op.may_need_discard || !boots(lost, op, tally, true))
			tally.fail("neither thaws nor boots");
	}
}

// Names and contents in a few words, for a failure.
std::string picture(const World &w)
{
	std::string all;
	for (const auto &[name, values] : w.names)
		if (values.back()) {
			const std::string &data = w.inodes.at(values.back()).data;
			all += "\n  " + name + ": " + std::to_string(data.size()) + " bytes";
			vkckpt_f_sidecar s;
			if (data.size() == sizeof s && name.find(".vkckpt") != std::string::npos) {
				memcpy(&s, data.data(), sizeof s);
				all += ", state " + std::to_string(s.state) + " epoch " + std::to_string(s.epoch);
			}
		}
	return all;
}

Tally replay(const Operation &op)
{
	World host = fresh_world(op.disks);
	simfs::world = &host;
	std::vector<World> recorded;
	std::set<std::string> images;
	{
		Machine machine;
		machine.content = "first";
		op.before(machine);
		if (const std::string *image = host.content(op.image))
			images.insert(*image);
		std::set<std::string> unused;
		recorded.push_back(host);
		moments = &recorded;
		simfs::after_call = record;
		op.during(machine);
		simfs::after_call = nullptr;
	}
	recorded.push_back(host);
	if (const std::string *image = host.content(op.image))
		images.insert(*image);
	Tally tally;
	tally.moments = (unsigned)recorded.size();
	std::set<std::string> seen;
	for (const World &moment : recorded)
		simfs::each_power_loss(moment, seen, [&](const World &lost) {
			size_t before = tally.wrong.size();
			judge(lost, op, images, { "booted", "first", "second" }, tally);
			if (tally.wrong.size() > before)
				tally.wrong.back() += " (" + tally.why + ")" + picture(lost);
		});
	simfs::world = nullptr;
	return tally;
}

void must(int r)
{
	INFO(r);
	REQUIRE(r == 0);
}

const uint32_t kExit = VKCKPT_ACTION_EXIT, kContinue = VKCKPT_ACTION_CONTINUE;
using Way = Operation::Way;

void boot_and_arm(Machine &m, unsigned disks)
{
	must(m.boot(disks));
	must(m.arm());
}

// Suspended, and its process gone.
void suspended(unsigned disks)
{
	Machine m;
	boot_and_arm(m, disks);
	must(m.capture(kExit));
	simfs::world->end_process(simfs::world->process);
}

// Two checkpoints of a chain that went on; what comes next is the third image.
void begin_chain(Machine &m, unsigned disks)
{
	m.chain = 4;
	m.reserve = true;
	boot_and_arm(m, disks);
	for (int i = 0; i < 2; i++) {
		must(m.capture(kContinue));
		m.run("between the checkpoints");
		m.content = "second";
	}
}

std::vector<Operation> operations()
{
	auto nothing = [](Machine &) {};
	std::vector<Operation> all = {
		{ "the first boot", 1, nothing, [](Machine &m) { must(m.boot(1)); }, false, Way::boot },
		{ "a boot after an orderly end", 1, [](Machine &) {
			Machine m;
			must(m.boot(1));
			m.shutdown();
		}, [](Machine &m) { must(m.boot(1)); }, false, Way::boot },
		{ "an orderly end", 1, [](Machine &m) { must(m.boot(1)); }, [](Machine &m) { m.shutdown(); }, false, Way::boot },
		{ "discard", 1, [](Machine &) { suspended(1); }, [](Machine &) { must(discard(0)); }, true, Way::thaw_or_boot },
		{ "a clone", 1, [](Machine &) { suspended(1); }, [](Machine &m) { must(m.thaw(kImage, "k")); }, true, Way::thaw_or_boot },
		{ "the first checkpoint that continues", 1, [](Machine &m) { boot_and_arm(m, 1); },
		    [](Machine &m) { must(m.capture(kContinue)); }, false, Way::image_and_boot },
		{ "a checkpoint that replaces one", 2, [](Machine &m) {
			boot_and_arm(m, 2);
			must(m.capture(kContinue));
			m.run("between the checkpoints");
			m.content = "second";
		}, [](Machine &m) { must(m.capture(kContinue)); }, true, Way::image_and_boot },
	};
	const std::vector<std::string> older = { member(1), member(2) };
	all.push_back({ "a checkpoint onto a chain", 1, [](Machine &m) { begin_chain(m, 1); }, [](Machine &m) { must(m.capture(kContinue)); },
	    false, Way::image_and_boot, false, member(3), older });
	all.push_back({ "a suspend onto a chain", 1, [](Machine &m) { begin_chain(m, 1); }, [](Machine &m) { must(m.capture(kExit)); },
	    false, Way::thaw_or_boot, false, member(3), older });
	all.push_back({ "a thaw of a chain", 1, [](Machine &m) {
		Machine early;
		begin_chain(early, 1);
		must(early.capture(kExit));
		simfs::world->end_process(simfs::world->process);
		m.chain = 4;
	}, [](Machine &m) { must(m.thaw(member(3).c_str())); }, true, Way::thaw_or_boot, false, member(3), older });
	all.push_back({ "arm with room set aside", 1, [](Machine &m) {
		must(m.boot(1));
		m.reserve = true;
	}, [](Machine &m) { must(m.arm()); m.disarm(); }, false, Way::boot });
	for (unsigned disks : { 1u, 2u }) {
		bool two = disks == 2;
		all.push_back({ two ? "the first suspend, two disks" : "the first suspend", disks,
		    [=](Machine &m) { boot_and_arm(m, disks); }, [](Machine &m) { must(m.capture(kExit)); }, false, Way::thaw_or_boot });
		all.push_back({ two ? "a suspend after a thaw, two disks" : "a suspend after a thaw", disks, [=](Machine &m) {
			suspended(disks);
			must(m.thaw());
			m.run("after the thaw");
			m.content = "second";
		}, [](Machine &m) { must(m.capture(kExit)); }, true, Way::thaw_or_boot });
		all.push_back({ two ? "a thaw, two disks" : "a thaw", disks, [=](Machine &) { suspended(disks); },
		    [](Machine &m) { must(m.thaw()); }, true, Way::thaw_or_boot });
	}
	return all;
}

}  // namespace

TEST_CASE("power loss at any moment leaves one way to go on and no more", "[power]")
{
	unsigned moments_all = 0, states = 0;
	for (const Operation &op : operations()) {
		Tally t = replay(op);
		moments_all += t.moments;
		states += t.states;
		printf("power loss: %-38s %4u moments %6u states, %5u thaw %5u boot %3u after discard\n", op.name, t.moments, t.states,
		    t.thaws, t.boots, t.discards);
		for (const std::string &w : t.wrong)
			FAIL_CHECK(op.name << ": " << w);
		CHECK(t.states >= 2);
		CHECK(t.thaws + t.boots >= t.states - t.discards);
	}
	printf("figure: power-loss-moments %u\nfigure: power-loss-states %u\n", moments_all, states);
	CHECK(states >= 300);
}

// The proof that the states above are hard enough: a host that does not sync what it says it does is caught.
TEST_CASE("power loss on a host that lies about fsync is found out", "[power]")
{
	for (simfs::Lie lie : { simfs::Lie::files, simfs::Lie::folders })
		for (const Operation &op : operations()) {
			if (std::string(op.name) != (lie == simfs::Lie::files ? "the first boot" : "a suspend after a thaw"))
				continue;
			simfs::lie = lie;
			Tally t = replay(op);
			simfs::lie = simfs::Lie::none;
			INFO(op.name << ": " << t.states << " states");
			CHECK(!t.wrong.empty());
		}
}
