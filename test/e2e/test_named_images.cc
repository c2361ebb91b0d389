// As test_named_points.cc, for images that are built on others and sealed, and for the commands that make one image of another: chains that a
// vkernel seals to a public key, suspends and thaws of them, vkckpt seal, unseal and sign. At every named fault point the process is killed,
// stopped while others try, or refused by the host. Afterwards every image that has its name is whole, one side runs, and a refusal says why.
#include <catch2/catch.hpp>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>

#include "test/e2e/crash_operation.h"
#include "test/fault/points.h"

using namespace vktest;
namespace fs = std::filesystem;

namespace {

// A vkernel whose images are a sealed chain. Each suspend and checkpoint makes the next one.
class ChainStage : public CrashStage {
public:
	ChainStage()
	{
		need(place.tool({"keygen", "-q", place / "op"}).status == 0, "no key");
		need(place.tool({"keygen", "-q", "--sign", place / "by"}).status == 0, "no key to sign with");
	}
	std::string key() const { return place / "op.key"; }
	std::string open_key() const { return place / "op.pub"; }
	// An image of a checkpoint that went on has a copy of the disk for itself.
	bool has_own_disk(const std::string &member) const
	{
		const std::string begin = fs::path(member).filename().string() + ".disk0-";
		return std::any_of(fs::directory_iterator(place.path()), fs::directory_iterator(), [&](const auto &entry) {
			return entry.path().filename().string().starts_with(begin);
		});
	}
	std::string newest(bool own_disk) const
	{
		std::string last = place / "none.ckpt";
		for (const std::string &member : place.images())
			if (has_own_disk(member) == own_disk)
				last = member;
		return last;
	}
	Child go_on_by_boot() override { return boot({"--chain", "8", "--seal-to", open_key()}); }
	Child go_on_by_thaw() override { return thaw({"--key", key()}, newest(false)); }
	Outcome checkpoint() { return place.tool({"checkpoint", "--copy-disks", "vk"}); }
	// Boots with nothing behind it, and makes the image that the next one is built on.
	Child begin_anew()
	{
		for (const auto &entry : fs::directory_iterator(place.path()))
			if (has(entry.path().filename(), ".ckpt"))
				fs::remove(entry.path());
		look();
		Child vk = go_on_by_boot();
		need(vk->expect("booted") && goes_on(*vk), "no boot");
		need(checkpoint().status == 0, "no first image");
		return vk;
	}
	void all_whole()
	{
		for (const std::string &member : place.images()) {
			const Outcome o = place.tool({"verify", "-q", "--key", key(), member});
			INFO(member << ": " << o.err);
			CHECK(o.status == 0);
		}
	}
};

ChainStage &chain_of(CrashStage &s) { return static_cast<ChainStage &>(s); }

// Booted anew it has nothing to build on: then it is given that.
Child with_parent(ChainStage &s, Child vk)
{
	if (!has(vk->out(), "booted"))
		return vk;
	vk->signal(SIGTERM);
	(void)vk->end();
	return s.begin_anew();
}

Child settle_chain(CrashStage &s, bool boot_first)
{
	chain_of(s).all_whole();
	return with_parent(chain_of(s), settle(s, boot_first));
}

// The image that there is now thaws, on its own disk; so does the one before it, and the vkernel's own disk boots.
Child settle_checkpoint(CrashStage &s, bool)
{
	ChainStage &c = chain_of(s);
	c.all_whole();
	Child from_image = s.thaw({"--key", c.key()}, c.newest(true));
	INFO(from_image->err());
	need(s.goes_on(*from_image), "the newest image of a checkpoint does not thaw");
	from_image = nullptr;
	return c.begin_anew();
}

void be_suspended_again(CrashStage &s, Child &vk)
{
	need(suspend(*vk).empty(), "no suspend");
	vk = nullptr;
	s.look();
}

const Operation kSuspend = { "suspend onto a sealed chain", [](CrashStage &, Child &) {}, [](CrashStage &, Child &vk) {
	vk->signal(VKCKPT_SIGCKPT);
	return std::move(vk);
}, false, settle_chain };
const Operation kThaw = { "thaw of a sealed chain", be_suspended_again, [](CrashStage &s, Child &) { return s.go_on_by_thaw(); }, true, settle_chain };
const Operation kCheckpoint = { "checkpoint onto a sealed chain", [](CrashStage &, Child &) {}, [](CrashStage &s, Child &vk) {
	s.asking = std::make_unique<Process>(Process::Setup{.words = {tool_path(), "checkpoint", "--copy-disks", "vk"}});
	return std::move(vk);
}, true, settle_checkpoint };

// What nobody has changed yet is read in the same way by other operations, which test_named_points.cc kills.
bool is_tried(const std::string &point) { return !is_only_memory(point) || most_times() > 1; }

void add(Points &all, const Points &more) { all.insert(all.end(), more.begin(), more.end()); }

// A host that refuses there: the operation is done all the same, or says why not, and the vkernel or its image is as good as before.
unsigned refused_everywhere(ChainStage &s, const Operation &op, Child &vk)
{
	unsigned refused = 0;
	for (const auto &[point, count] : points_of(s, op, vk))
		if (is_tried(point)) {
			const int error = refused % 2 ? EIO : ENOSPC;
			INFO(op.name << " refused at " << point << " with " << error);
			op.begin(s, vk);
			s.arm(point, 1, crash::kError, error);
			Child child = op.run(s, vk);
			const size_t said = child->err().size();
			if (op.leaves_running)
				await_end(s, op, *child);
			else
				need(await([&] { child->read_for(1); return !child->running() || child->err().find("failed: ", said) != std::string::npos; }),
				    "a suspend neither done nor refused");
			refused += s.reached();
			s.look();
			std::string told;
			if (s.asking) {
				const Outcome o = s.asking->end();
				told = o.status ? o.err : "";
				s.asking = nullptr;
				CHECK((o.status == 0 || has(told, ")")));
			}
			if (child->running()) {		// it went on, or goes on with what it was asked
				CHECK(s.goes_on(*child));
				vk = with_parent(s, std::move(child));
				continue;
			}
			const Outcome o = child->end();
			INFO(o.err << told);
			CHECK((o.status == VKCKPT_EXIT_SUSPENDED || o.status == 1));
			CHECK((o.status == VKCKPT_EXIT_SUSPENDED || has(o.err, ")")));
			vk = op.settled(s, false);
		}
	return refused;
}

// vkckpt seal, unseal, sign with one image of a vkernel without a disk to wait for.
struct Command {
	const char *name;
	std::vector<std::string> words;
	bool seals;		// what it makes
	unsigned operation;	// in the table of points
};

struct Commands {
	ChainStage s;
	std::string image, plain, sealed;	// what the image holds before it is sealed, and unsealed
	std::vector<Command> all;
	Commands()
	{
		Child vk = s.boot({});
		need(s.goes_on(*vk) && suspend(*vk).empty(), "no image");
		image = s.image;
		plain = contents(image);
		need(s.place.tool({"seal", "-q", "--seal-to", s.open_key(), image}).status == 0, "not sealed");
		sealed = contents(image);
		all = { { "seal", {"seal", "--seal-to", s.open_key(), image}, true, points::kSeal }, { "unseal", {"unseal", "--key", s.key(), image}, false, points::kUnseal },
		    { "sign", {"sign", "-q", "--key", s.place / "by.key", image}, false, points::kSign } };
	}
	void begin(const Command &c)
	{
		write_file(image, has(c.name, "unseal") ? sealed : plain);
		fs::remove(image + ".sig");
		s.look();
	}
	Points points(const Command &c)
	{
		begin(c);
		const Outcome o = s.command(c.words)->end();
		INFO(o.err);
		need(o.status == 0, c.name);
		return s.passed();
	}
	// The old one or the new one, whole; a signature, if there is one, is good.
	void judge(const Command &c)
	{
		const std::string now = contents(image);
		const Outcome whole = s.place.tool({"verify", "-q", "--key", s.key(), image}), open = s.place.tool({"verify", "-q", image});
		INFO(whole.err << open.err);
		CHECK((now == plain || now == sealed || (c.seals ? whole.status == 0 : has(whole.err, "(NOT_SEALED)"))));
		CHECK(open.status == 0);
		if (fs::exists(image + ".sig"))
			CHECK(s.place.tool({"verify", "-q", "--signed-by", s.place / "by.pub", image}).status == 0);
		for (const auto &entry : fs::directory_iterator(s.place.path()))
			CHECK(entry.path().extension() != ".part");
	}
};

}  // namespace

TEST_CASE("a sealed chain, killed at every named point: one side goes on, with its disk, and no image is half", "[crash]")
{
	ChainStage s;
	Child vk = s.begin_anew();
	unsigned killed = 0, turn = 0;
	for (const Operation *op : { &kCheckpoint, &kSuspend, &kThaw }) {
		const Points points = points_of(s, *op, vk);
		REQUIRE(points.size() > 15);
		for (const auto &[point, count] : points)
			for (unsigned time = 1; is_tried(point) && time <= std::min(count, most_times()); time++) {
				INFO(op->name << " killed at " << point << ", time " << time);
				killed += killed_at(s, *op, vk, point, time);
				vk = op->settled(s, turn++ % 2);
			}
	}
	printf("figure: crash-chain-killed %u\n", killed);
	CHECK(killed > 55);
}

TEST_CASE("a sealed chain, stopped where names and disks change hands while others try: at most one runs", "[crash]")
{
	ChainStage s;
	Child vk = s.begin_anew();
	unsigned stopped = 0;
	for (const Operation *op : { &kSuspend, &kThaw })
		for (const auto &[point, count] : points_of(s, *op, vk))
			if (point == "image.move" || point == "image.part.rename" || point == "sidecar.exchange" || point == "sidecar.lock" ||
			    point == "sidecar.new.sync" || point == "folder.sync") {
				INFO(op->name << " stopped at " << point);
				stopped_at(s, *op, vk, point);
				stopped++;
			}
	printf("figure: crash-chain-stopped %u\n", stopped);
	CHECK(stopped > 5);
}

TEST_CASE("a sealed chain, refused by the host at every named point: done, or the reason is told", "[crash]")
{
	ChainStage s;
	Child vk = s.begin_anew();
	unsigned refused = 0;
	for (const Operation *op : { &kCheckpoint, &kSuspend, &kThaw })
		refused += refused_everywhere(s, *op, vk);
	printf("figure: crash-chain-refused %u\n", refused);
	CHECK(refused > 55);
}

TEST_CASE("keygen, killed or refused at every named point: no public key without its secret one, and none is half", "[crash]")
{
	ChainStage s;
	const std::vector<std::string> words = {"keygen", "-q", s.place / "new"};
	const std::string secret = s.place / "new.key", open = s.place / "new.pub";
	auto begin = [&] {
		fs::remove(secret);
		fs::remove(open);
		s.look();
	};
	{	// an image to try pairs with
		Child vk = s.boot({});
		need(s.goes_on(*vk) && suspend(*vk).empty(), "no image");
	}
	const std::string plain = contents(s.image);
	auto seal = [&] {
		write_file(s.image, plain);
		return s.place.tool({"seal", "-q", "--seal-to", open, s.image});
	};
	begin();
	REQUIRE(s.command(words)->end().status == 0);
	const Points points = s.passed();
	Points all = points;
	REQUIRE(points.size() >= 5);
	unsigned pairs = 0, halves = 0, refused = 0;
	for (const auto &[point, count] : points)
		for (unsigned time = 1; time <= count; time++) {
			INFO("keygen at " << point << ", time " << time);
			begin();
			s.arm(point, time, crash::kKill);
			REQUIRE(s.command(words)->end().status == 128 + SIGKILL);
			s.look();
			if (fs::exists(open) && seal().status == 0) {
				CHECK(s.place.tool({"verify", "-q", "--key", secret, s.image}).status == 0);
				pairs++;
			} else if (fs::exists(secret)) {	// in the way by its name, and nobody can have sealed to it
				const Outcome again = s.command(words)->end();
				INFO(again.err);
				CHECK(again.status == 1);
				CHECK(has(again.err, "is there already"));
				halves++;
			}
			begin();
			s.arm(point, time, crash::kError, ENOSPC);
			const Outcome o = s.command(words)->end();
			add(all, s.passed());
			INFO(o.err);
			CHECK((o.status == 0 || (o.status == 1 && has(o.err, "("))));
			CHECK(fs::exists(open) == (o.status == 0));
			CHECK(fs::exists(secret) == (o.status == 0));
			refused += o.status == 1;
		}
	hold_against_table(all, points::kKeygen);
	printf("figure: crash-keygen-killed %u\nfigure: crash-keygen-refused %u\n", pairs + halves, refused);
	CHECK(pairs > 0);
	CHECK(halves > 2);
	CHECK(refused > 5);
}

TEST_CASE("seal, unseal and sign, killed, refused or stopped at every named point: the old file or the new one, whole", "[crash]")
{
	Commands c;
	unsigned killed = 0, refused = 0, stopped = 0;
	for (const Command &command : c.all) {
		const Points points = c.points(command);
		Points all = points;
		REQUIRE(points.size() > 8);
		for (const auto &[point, count] : points) {
			INFO(command.name << " at " << point);
			c.begin(command);
			c.s.arm(point, 1, crash::kKill);
			CHECK(c.s.command(command.words)->end().status == 128 + SIGKILL);
			killed++;
			// What it left is in nobody's way.
			c.s.look();
			Outcome o = c.s.command(command.words)->end();
			add(all, c.s.passed());
			const bool was_done = contents(c.image) != c.plain && contents(c.image) != c.sealed;
			INFO(o.err);
			CHECK((o.status == 0 || has(command.name, "seal")));	// a sealed one is not sealed again without its key, and one in clear not unsealed
			CHECK((o.status == 0 || was_done || contents(c.image) == c.plain));
			c.judge(command);

			c.begin(command);
			c.s.arm(point, 1, crash::kError, EIO);
			o = c.s.command(command.words)->end();
			add(all, c.s.passed());
			INFO(o.err);
			CHECK((o.status == 0 || (o.status == 1 && has(o.err, "("))));
			refused += o.status == 1;
			c.s.look();
			if (point.find("unlink") == std::string::npos)
				c.judge(command);

			if (point.find("part.") == std::string::npos && point.find("sync") == std::string::npos)
				continue;
			c.begin(command);
			c.s.arm(point, 1, crash::kStop);
			Child first = c.s.command(command.words);
			REQUIRE(await([&] { return c.s.reached(); }));
			c.s.look();
			const Outcome second = c.s.command(command.words)->end();
			INFO(second.err);
			CHECK((second.status == 0 || has(second.err, "(IMAGE_IN_USE)") || has(command.name, "seal")));
			first->signal(SIGCONT);
			const Outcome one = first->end();
			INFO(one.err);
			CHECK((one.status == 0 || one.status == 1));
			CHECK(one.status + second.status < 2);
			c.judge(command);
			stopped++;
		}
		hold_against_table(all, command.operation);
	}
	printf("figure: crash-commands-killed %u\nfigure: crash-commands-refused %u\nfigure: crash-commands-stopped %u\n", killed, refused, stopped);
	CHECK(killed > 30);
	CHECK(refused > 25);
	CHECK(stopped > 10);
}
