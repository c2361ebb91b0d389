// A vkernel with two writable disks is killed at every host call of a suspend and of a thaw, also between the exchanges of the two sidecars:
// the image thaws with both or both boot, never one of each, never neither. On the host's own file system; with every order and every loss
// of power: explorer.cc, power_loss.cc.
#include "test/fault/life.h"

using namespace life;

namespace {

struct TwoDisks : Vkernel {
	std::vector<std::string> disks = { dir / "disk0", dir / "disk1" };
	TwoDisks()
	{
		for (const std::string &disk : disks)
			spill(disk, std::string(8192, 'd'));
	}
	bool boot()
	{
		fill(*this);
		return add_disk("disk0", disks[0]) == 0 && add_disk("disk1", disks[1]) == 0 && arm() == 0;
	}
	void suspend()
	{
		REQUIRE(boot());
		REQUIRE(request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT);
		die();
	}
	// A thaw dies with the sidecar of the first disk exchanged and that of the second one not.
	void die_in_between()
	{
		bool between = false;
		for (long k = 1; !between; k++) {
			REQUIRE(k < 2000);
			(void)status_of_child([&] {
				faults::start(k, 0);
				return thaw(image);
			});
			REQUIRE(faults::stop());
			between = inspect(disks[0]).state == VKCKPT_DISK_RUNNING && inspect(disks[1]).state == VKCKPT_DISK_SUSPENDED;
		}
	}
};

// How it ended, over all the calls at which it was killed.
struct Ends {
	int thaws = 0, boots = 0, between = 0;
};

// For every k a new vkernel: begin in this process, go_on in a child that is killed at its k-th host call from faults::start on.
Ends killed_at_every_call(void (*begin)(TwoDisks &), int (*go_on)(TwoDisks &, long k))
{
	Ends ends;
	bool reached = true;
	for (long k = 1; reached; k++) {
		TwoDisks v;
		begin(v);
		int status = status_of_child([&] { return go_on(v, k); });
		reached = faults::stop();
		INFO("call " << k << " (" << faults::state()->failed_number << ")");
		REQUIRE(status == (reached ? kKilled : 0));
		ends.between += inspect(v.disks[0]).state != inspect(v.disks[1]).state;
		(who_gets_it(v, v.disks) == "thaw" ? ends.thaws : ends.boots)++;
	}
	return ends;
}

std::string reason(const struct vkckpt_error &e) { return vkckpt_reason_name(e.reason); }

}  // namespace

TEST_CASE("two disks: kill -9 at every host call of a suspend")
{
	const Ends ends = killed_at_every_call([](TwoDisks &) {}, [](TwoDisks &v, long k) {
		if (!v.boot())
			return 1;
		faults::start(k, 0);
		return v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT ? 0 : 2;
	});
	CHECK(ends.thaws >= 2);
	CHECK(ends.boots >= 10);
	CHECK(ends.between >= 1);
}

TEST_CASE("two disks: kill -9 at every host call of a thaw")
{
	const Ends ends = killed_at_every_call([](TwoDisks &v) { v.suspend(); }, [](TwoDisks &v, long k) {
		faults::start(k, 0);
		return v.thaw(v.image) == 0 ? 0 : 2;
	});
	CHECK(ends.thaws >= 10);
	CHECK(ends.boots >= 1);
	CHECK(ends.between >= 1);
}

TEST_CASE("two disks: a thaw that died between them is done again, however often it dies there")
{
	TwoDisks v;
	v.suspend();
	v.die_in_between();
	const vkckpt_f_sidecar once = inspect(v.disks[0]);
	v.die_in_between();
	CHECK(inspect(v.disks[0]).epoch == once.epoch);
	CHECK(who_gets_it(v, v.disks) == "thaw");
	CHECK(inspect(v.disks[0]).epoch == inspect(v.disks[1]).epoch);
}

TEST_CASE("two disks: between them nobody else may go on, and what is said leads out of it")
{
	TwoDisks v;
	v.suspend();
	v.die_in_between();
	struct vkckpt_error err = {};
	struct vkckpt_disk fence = {};
	SECTION("the second does not boot: its image thaws")
	{
		int fd = open(v.disks[1].c_str(), O_RDWR | O_CLOEXEC);
		CHECK(vkckpt_disk_boot(&fence, v.disks[1].c_str(), fd, &err) == -EBUSY);
		CHECK(reason(err) == "DISK_SUSPENDED");
		CHECK(std::string(err.message).find("thaw its image") != std::string::npos);
		close(fd);
		CHECK(who_gets_it(v, v.disks) == "thaw");
	}
	SECTION("the first was changed meanwhile: no thaw")
	{
		usleep(20000);
		spill(v.disks[0], std::string(8192, 'x'));
		CHECK(v.thaw(v.image) == -ESTALE);
		CHECK(reason(v.err) == "DISK_CHANGED");
	}
	SECTION("the first has booted meanwhile: no thaw, and discard sets the second free")
	{
		int fd = open(v.disks[0].c_str(), O_RDWR | O_CLOEXEC);
		REQUIRE(vkckpt_disk_boot(&fence, v.disks[0].c_str(), fd, &err) == 0);
		vkckpt_disk_release(&fence);
		close(fd);
		CHECK(v.thaw(v.image) == -ESTALE);
		CHECK(reason(v.err) == "DISK_SUPERSEDED");
		CHECK(std::string(v.err.message).find("vkckpt discard") != std::string::npos);
		CHECK(vkckpt_disk_discard(v.disks[1].c_str(), &err) == 0);
		CHECK(who_gets_it(v, v.disks) == "boot");
	}
	SECTION("the second was given up: no thaw")
	{
		CHECK(vkckpt_disk_discard(v.disks[1].c_str(), &err) == 0);
		CHECK(v.thaw(v.image) == -ESTALE);
		CHECK(reason(v.err) == "DISK_SUPERSEDED");
		CHECK(who_gets_it(v, v.disks) == "boot");
	}
	SECTION("a dry run says that it would thaw, and changes nothing")
	{
		v.dry_run = 1;
		CHECK(v.thaw(v.image) == 0);
		v.dry_run = 0;
		CHECK(who_gets_it(v, v.disks) == "thaw");
	}
}
