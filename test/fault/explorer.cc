// Never two, never none: every interleaving of two or three processes that suspend, thaw, boot and discard, with every one of them killed
// at any step. The processes run the library's own code on the simulated host (simfs.h), each on a stack of its own, and stop before
// every call that another process could notice. What is explored is not a model of the protocol but the protocol.
//
// A state is what the host looks like and what each process has seen so far (its code is deterministic, so that settles where it
// stands). From each new state every process takes one step, and is killed, in turn; a state that was seen is not followed
// again. A path is had again by running it from the start. In every state: at most one guest runs; a thaw finds the disks as they were when
// its image was made; no image thaws twice; and if everything died now, the image would thaw or the disk boot.
#include <catch2/catch.hpp>

#include <cstdio>
#include <cstring>
#include <memory>
#include <sys/mman.h>
#include <ucontext.h>
#include <unordered_set>

#include "test/fault/machine.h"

using namespace machine;
using simfs::World;

namespace {

struct Actor;
using Script = void (*)(Actor &);

enum class Life { ready, done, killed };

struct Actor {
	const char *name;
	Script script;
	int process = 0;
	Life life = Life::ready;
	bool runs = false;			// its guest may run
	uint64_t history = 1;			// of what it has seen
	std::unique_ptr<Machine> machine;
	ucontext_t context;
	char ram[256];				// its guest's, while others have theirs at the address
};

unsigned disks;
Actor *current;
ucontext_t scheduler;
std::vector<std::string> wrong;
std::map<std::string, int> thawed;		// images, by their RAM
std::vector<std::unique_ptr<Actor>> actors;

void swap_ram(Actor &a, bool in)
{
	char *ram = reinterpret_cast<char *>(kRam);
	memcpy(in ? ram : a.ram, in ? a.ram : ram, sizeof a.ram);
}

void pause()
{
	Actor &a = *current;
	swap_ram(a, false);
	swapcontext(&a.context, &scheduler);
	swap_ram(a, true);
}

void before(long) { pause(); }
void after(uint64_t seen)
{
	current->history = (current->history ^ seen) * 0x9e3779b97f4a7c15ull;
	current->history ^= current->history >> 31;
}

void begin_running(Actor &a)
{
	a.runs = true;
	unsigned running = 0;
	for (auto &other : actors)
		running += other->runs;
	if (running > 1)
		wrong.push_back("two run");
}

void end(Actor &a)
{
	a.runs = false;
	simfs::world->end_process(a.process);
}

// The guest runs, and then it ends in good order.
void run_and_end(Actor &a)
{
	begin_running(a);
	pause();
	a.machine->run(std::string("written by ") + a.name);
	pause();
	a.runs = false;
	a.machine->shutdown();
	end(a);
}

bool thaws(Actor &a, const char *image)
{
	if (a.machine->thaw(image) != 0) {
		end(a);
		return false;
	}
	if (a.machine->content != a.machine->disks())
		wrong.push_back("thawed on other disks: " + a.machine->content + " is now " + a.machine->disks());
	if (++thawed[a.machine->content] > 1)
		wrong.push_back("one image thawed twice");
	return true;
}

void suspends(Actor &a)
{
	a.machine->content = a.machine->disks();	// RAM knows what the disks must hold
	int r = a.machine->capture(VKCKPT_ACTION_EXIT);
	a.runs = r != 0;
	pause();
	end(a);
}

// --- the processes

std::vector<std::string> images;	// of the scenario, the oldest first

void suspend(Actor &a) { suspends(a); }		// it was booted before
void thaw(Actor &a)
{
	if (thaws(a, images.front().c_str()))
		run_and_end(a);
}
void thaw_of_the_newest(Actor &a)
{
	if (thaws(a, images.back().c_str()))
		run_and_end(a);
}
void thaw_of_a_copy(Actor &a)
{
	pause();
	if (!simfs::world->content(kImage))
		return;
	simfs::world->copy(kImage, "/sim/images/copy");
	if (thaws(a, "/sim/images/copy"))
		run_and_end(a);
}
// It runs on a disk of its own, beside whatever the others do.
void clone(Actor &a)
{
	if (a.machine->thaw(kImage, "k") == 0 && a.machine->content != a.machine->disks())
		wrong.push_back("cloned with other disks: " + a.machine->content + " is now " + a.machine->disks());
	pause();
	end(a);
}
void thaw_and_suspend(Actor &a)
{
	if (!thaws(a, images.front().c_str()))
		return;
	begin_running(a);
	pause();
	a.machine->run("written before the second suspend");
	suspends(a);
}
void boot(Actor &a)
{
	if (a.machine->boot(disks) == 0)
		run_and_end(a);
	else
		end(a);
}
void discard_it(Actor &a)
{
	for (unsigned i = 0; i < disks; i++)
		(void)discard(i);
	end(a);
}

struct Scenario {
	const char *name;
	unsigned disks;
	// running: the first process has booted; chain: suspended by the second image of a chain, whose first has a disk of its own
	enum class Start { fresh, running, suspended, chain } start;
	std::vector<std::pair<const char *, Script>> actors;
	bool may_need_discard = false;				// two disks change hands one after the other
};

void entry() { current->script(*current); current->life = Life::done; setcontext(&scheduler); }

class Explorer {
public:
	explicit Explorer(const Scenario &s) : scenario_(s) {}
	void explore()
	{
		std::vector<std::string> paths = { "" };
		while (!paths.empty()) {
			std::string path = paths.back();
			paths.pop_back();
			follow(path, paths);
		}
		leave();
		simfs::world = nullptr;
	}
	size_t states() const { return seen_.size(); }
	size_t executions = 0, steps = 0, ways = 0;

private:
	const Scenario &scenario_;
	bool chain() const { return scenario_.start == Scenario::Start::chain; }
	World host_;
	std::unordered_set<uint64_t> seen_, asked_;

	void leave()
	{
		simfs::before_call = nullptr;
		simfs::after_call = nullptr;
		for (auto &a : actors)
			a->machine->forget();
		actors.clear();
		simfs::drop_memory();
	}

	// Everything as it was at the start.
	void enter()
	{
		leave();
		executions++;
		disks = scenario_.disks;
		images = chain() ? std::vector<std::string>{ member(2), member(3) } : std::vector<std::string>{ kImage };
		host_ = fresh_world(disks);
		simfs::world = &host_;
		thawed.clear();
		for (const auto &[name, script] : scenario_.actors) {
			Actor &a = *actors.emplace_back(std::make_unique<Actor>());
			a.name = name;
			a.script = script;
			a.process = (int)actors.size();
			a.machine = std::make_unique<Machine>();
			a.machine->chain = chain() ? 4 : 0;
			prepare_stack(a);
		}
		if (scenario_.start != Scenario::Start::fresh)
			boot_first(*actors[0]);
	}

	void boot_first(Actor &a)
	{
		bool suspended = chain() || scenario_.start == Scenario::Start::suspended;
		Machine early;
		early.chain = chain() ? 4 : 0;
		Machine &m = suspended ? early : *a.machine;
		host_.process = suspended ? 9 : a.process;
		if (m.boot(disks) != 0 || m.arm() != 0)
			wrong.push_back("no start");
		a.runs = !suspended;
		if (!suspended)
			return;
		m.content = m.disks();
		if ((chain() && m.capture(VKCKPT_ACTION_CONTINUE) != 0) || m.capture(VKCKPT_ACTION_EXIT) != 0)
			wrong.push_back("no start");
		host_.end_process(9);
	}

	void prepare_stack(Actor &a)
	{
		constexpr size_t kStack = 1 << 20;
		static std::vector<void *> stacks;
		while (stacks.size() <= actors.size())
			stacks.push_back(mmap(nullptr, kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
		getcontext(&a.context);
		a.context.uc_stack.ss_sp = stacks[actors.size()];
		a.context.uc_stack.ss_size = kStack;
		a.context.uc_link = nullptr;
		makecontext(&a.context, entry, 0);
	}

	// A choice is a letter: 'a' the first process takes a step, 'A' it is killed.
	void take(char choice)
	{
		steps++;
		Actor &a = *actors[(size_t)((choice | 32) - 'a')];
		host_.process = a.process;
		if (choice < 'a') {
			end(a);
			a.life = Life::killed;
			return;
		}
		current = &a;
		after(0);		// a step counts, even if nothing was seen in it
		simfs::before_call = before;
		simfs::after_call = after;
		swapcontext(&scheduler, &a.context);
		simfs::before_call = nullptr;
		simfs::after_call = nullptr;
	}

	// Of the state, or of that after the death of this one.
	uint64_t key(const Actor *killed = nullptr) const
	{
		uint64_t hash = host_.visible(killed ? killed->process : -1);
		for (const auto &a : actors) {
			Life life = a.get() == killed ? Life::killed : a->life;
			uint64_t part = life == Life::ready ? a->history * 4 + 2 : (uint64_t)life;
			hash = (hash ^ (part * 2 + (a.get() != killed && a->runs))) * 0x9e3779b97f4a7c15ull;
			hash ^= hash >> 32;
		}
		return hash;
	}

	void follow(std::string path, std::vector<std::string> &paths)
	{
		enter();
		for (char choice : path)
			take(choice);
		while (seen_.insert(key()).second) {
			size_t before_these = wrong.size();
			look_for_a_way();
			std::string choices;
			for (size_t i = 0; i < actors.size(); i++)
				if (actors[i]->life == Life::ready) {
					choices += (char)('a' + i);
					if (!seen_.count(key(actors[i].get())))
						choices += (char)('A' + i);
				}
			if (wrong.size() > before_these)
				wrong.back() += " after " + path;
			if (choices.empty() || wrong.size() > 20)
				return;
			for (size_t i = 1; i < choices.size(); i++)
				paths.push_back(path + choices[i]);
			path += choices[0];
			before_these = wrong.size();
			take(choices[0]);
			if (wrong.size() > before_these)
				wrong.back() += " after " + path;
		}
	}

	// If everybody died now, something would go on: the image or the disk, and never both.
	void look_for_a_way()
	{
		World dead = host_;
		dead.open.clear();
		for (auto &[number, inode] : dead.inodes) {
			inode.lock = 0;
			inode.shared.clear();
		}
		if (!asked_.insert(dead.visible()).second)
			return;
		ways++;
		simfs::world = &dead;
		dead.process = 100;
		World again = dead;
		bool image = false, disk = false;
		for (const std::string &path : images) {
			Machine m;
			if (image || m.thaw(path.c_str()) != 0)
				continue;
			image = true;
			if (m.content != m.disks())
				wrong.push_back("a thaw on other disks: " + m.content + " is now " + m.disks());
			dead.end_process(100);
			Machine second, other;
			if (second.thaw(path.c_str()) == 0 || (path != images.back() && other.thaw(images.back().c_str()) == 0))
				wrong.push_back("thawed twice");
		}
		simfs::world = &again;
		{
			Machine m;
			for (unsigned i = 0; scenario_.may_need_discard && !image && i < disks; i++)
				(void)discard(i);
			disk = m.boot(disks) == 0;
			again.end_process(100);
			for (const std::string &path : images)
				if (Machine second; disk && second.thaw(path.c_str()) == 0)
					wrong.push_back("thawed after a boot");
		}
		simfs::world = &host_;
		if (!image && !disk)
			wrong.push_back("neither thaws nor boots");
	}
};

using Start = Scenario::Start;
const std::vector<Scenario> kPairs = {
	{ "suspend, thaw", 1, Start::running, { { "S", suspend }, { "T", thaw } } },
	{ "suspend, boot", 1, Start::running, { { "S", suspend }, { "B", boot } } },
	{ "suspend, discard", 1, Start::running, { { "S", suspend }, { "D", discard_it } } },
	{ "thaw, thaw of a copy", 1, Start::suspended, { { "T", thaw }, { "C", thaw_of_a_copy } } },
	{ "thaw, boot", 1, Start::suspended, { { "T", thaw }, { "B", boot } } },
	{ "thaw, discard", 1, Start::suspended, { { "T", thaw }, { "D", discard_it } } },
	{ "thaw, clone", 1, Start::suspended, { { "T", thaw }, { "K", clone } } },
	{ "clone, discard", 1, Start::suspended, { { "K", clone }, { "D", discard_it } } },
	{ "a chain: thaw and suspend, thaw", 1, Start::chain, { { "S", thaw_and_suspend }, { "N", thaw_of_the_newest } } },
	{ "the first boot, boot", 1, Start::fresh, { { "B", boot }, { "C", boot } } },
	{ "suspend, thaw; two disks", 2, Start::running, { { "S", suspend }, { "T", thaw } } },
	{ "thaw, thaw; two disks", 2, Start::suspended, { { "T", thaw }, { "U", thaw } } },
	{ "thaw, boot; two disks", 2, Start::suspended, { { "T", thaw }, { "B", boot } }, true },
};
const std::vector<Scenario> kTriples = {
	{ "suspend, thaw, thaw", 1, Start::running, { { "S", suspend }, { "T", thaw }, { "U", thaw } } },
	{ "suspend, thaw, boot", 1, Start::running, { { "S", suspend }, { "T", thaw }, { "B", boot } } },
	{ "suspend, boot, discard", 1, Start::running, { { "S", suspend }, { "B", boot }, { "D", discard_it } } },
	{ "suspend, thaw, discard", 1, Start::running, { { "S", suspend }, { "T", thaw }, { "D", discard_it } } },
	{ "thaw, thaw of a copy, boot", 1, Start::suspended, { { "T", thaw }, { "C", thaw_of_a_copy }, { "B", boot } } },
	{ "suspend, clone, thaw", 1, Start::running, { { "S", suspend }, { "K", clone }, { "T", thaw } } },
	{ "thaw, boot, discard", 1, Start::suspended, { { "T", thaw }, { "B", boot }, { "D", discard_it } } },
	{ "thaw and suspend, thaw, boot", 1, Start::suspended, { { "S", thaw_and_suspend }, { "T", thaw }, { "B", boot } } },
	{ "boot, boot, discard", 1, Start::fresh, { { "B", boot }, { "C", boot }, { "D", discard_it } } },
	{ "suspend, thaw, boot; two disks", 2, Start::running, { { "S", suspend }, { "T", thaw }, { "B", boot } }, true },
};

// name: of the figures that are printed.
void explore(const std::vector<Scenario> &scenarios, const char *name)
{
	size_t states = 0, executions = 0;
	for (const Scenario &s : scenarios) {
		wrong.clear();
		Explorer e(s);
		e.explore();
		states += e.states();
		executions += e.executions;
		printf("explorer: %-34s %7zu states %7zu executions %9zu steps %5zu ends looked at\n", s.name, e.states(), e.executions,
		    e.steps, e.ways);
		fflush(stdout);
		for (const std::string &w : wrong)
			FAIL_CHECK(s.name << ": " << w);
		CHECK(e.states() > 100);
	}
	printf("figure: explorer-%s-states %zu\nfigure: explorer-%s-executions %zu\n", name, states, name, executions);
}

}  // namespace

TEST_CASE("never two, never none: two processes, every interleaving, every kill", "[explorer]") { explore(kPairs, "pairs"); }

TEST_CASE("never two, never none, also where a file system cannot exchange names, or a file has one name only", "[explorer]")
{
	std::vector<Scenario> some;
	for (const Scenario &s : kPairs)
		if (s.disks == 1 && s.start != Start::chain && strstr(s.name, "clone") == nullptr)
			some.push_back(s);
	for (simfs::Names names : { simfs::Names::linked, simfs::Names::single }) {
		simfs::names = names;
		explore(some, names == simfs::Names::linked ? "linked" : "single");
	}
	simfs::names = simfs::Names::exchanged;
}

// The proof that the rules above are watched.
TEST_CASE("the explorer finds out a host whose locks everybody gets", "[explorer]")
{
	for (const Scenario &s : kPairs) {
		if (std::string(s.name) != "thaw, thaw of a copy" && std::string(s.name) != "suspend, boot")
			continue;
		wrong.clear();
		simfs::lie = simfs::Lie::locks;
		Explorer(s).explore();
		simfs::lie = simfs::Lie::none;
		INFO(s.name);
		CHECK(!wrong.empty());
	}
}

// What the fence cannot know (vkckpt/disk.h): a disk that was copied together with its sidecar. On the host where it was suspended the
// copy is another file; on another host nothing tells it from the original.
TEST_CASE("a disk copied with its sidecar is refused on its host and not on another", "[explorer]")
{
	World host = fresh_world(1), here, there;
	simfs::world = &host;
	{
		Machine m;
		REQUIRE(m.boot(1) == 0);
		REQUIRE(m.arm() == 0);
		m.content = m.disks();
		REQUIRE(m.capture(VKCKPT_ACTION_EXIT) == 0);
		host.end_process(host.process);
	}
	here = there = host;
	std::string disk = *here.content(disk_name(0));
	here.names.erase(disk_name(0));
	here.put(disk_name(0), disk);
	there.boot++;
	for (World *w : { &host, &here, &there }) {
		simfs::world = w;
		w->process = 2;
		Machine m;
		int r = m.thaw();
		INFO(m.err.message);
		CHECK((w == &here ? m.err.reason == VKCKPT_R_DISK_CHANGED : r == 0));
	}
	simfs::world = nullptr;
	simfs::drop_memory();
}

// Minutes: make explore.
TEST_CASE("never two, never none: three processes, every interleaving, every kill", "[.explore]") { explore(kTriples, "triples"); }
