// A place for one test: a folder with a run directory, images and disks, in which minivk and vkckpt are started, signalled
// and watched while they run. Chains: a guest program suspended again and again at random moments.
#ifndef TEST_PLACE_H
#define TEST_PLACE_H

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <vkckpt/error.h>
#include <vkckpt/run.h>

#include "test/e2e/oracle.h"
#include "test/e2e/vk.h"

namespace vktest {

// Random moments that can be had again: INFO(random.repeat()) in a test says how.
class Random {
public:
	Random();			// seed: TEST_SEED, else a new one
	uint64_t below(uint64_t n) { return n ? engine_() % n : 0; }
	void pause_us(uint64_t most);	// from 0 to most
	std::string repeat() const { return "repeat with TEST_SEED=" + std::to_string(seed_); }
private:
	uint64_t seed_;
	std::mt19937_64 engine_;
};

void pause_ms(int ms);
// Looks every 10 ms, for a minute: generous, because only a failure waits that long.
bool await(const std::function<bool()> &condition);
// SIGCKPT does no more what a signal does by itself: minivk has begun. In the moments between fork and that it ends the process.
bool hears_requests(pid_t);
std::string contents(const std::string &path);
void write_file(const std::string &path, const std::string &bytes);
bool has(const std::string &text, const std::string &part);
std::string tool_path();	// build/bin/vkckpt

// A child in a session of its own, its outputs in pipes. It is killed at the end of its owner.
class Process {
public:
	struct Setup {
		std::vector<std::string> words;		// program and arguments
		int in = -1, out = -1;			// descriptors it gets; -1: /dev/null and a pipe that is read here
		std::string folder = {};
		std::function<void()> before_exec = {};
	};
	explicit Process(const Setup &);
	~Process();
	Process(const Process &) = delete;
	Process &operator=(const Process &) = delete;
	pid_t pid() const { return session_; }	// also after its end
	bool running() const;
	void signal(int number) const;
	// Reads until the text appears in what has not been matched yet.
	bool expect(const std::string &text, int deadline_s = 60);
	void read_for(int ms);			// takes what comes in this time
	Outcome end(int deadline_s = 60);	// all it said, and its status; -1: killed at the deadline
	const std::string &out() const { return outcome_.out; }
	const std::string &err() const { return outcome_.err; }
private:
	bool pump(int timeout_ms);		// false: both outputs have ended, or nothing came
	pid_t pid_ = -1, session_ = -1;
	int out_ = -1, err_ = -1;
	size_t matched_ = 0;
	Outcome outcome_;
};
using Child = std::unique_ptr<Process>;

// vkckpt on a terminal of its own, where it asks.
class OnTerminal {
public:
	explicit OnTerminal(std::vector<std::string> words, int in = -1);	// in: its standard input instead of the terminal
	~OnTerminal();
	OnTerminal(const OnTerminal &) = delete;
	bool asks(const std::string &question);
	bool answer(const std::string &line);
	int end();				// its status, as waitpid tells it; -1: it does not end
	pid_t pid() const { return pid_; }
	const std::string &said() const { return said_; }

private:
	void hear();
	pid_t pid_;
	int terminal_;
	std::string said_;
};

// A shell script that begins with "ready" and goes on.
constexpr char kTicks[] = "echo ready; while :; do echo tick; sleep 0.05; done";

// The processes in which a vkernel's guests run.
std::vector<pid_t> guest_processes(pid_t vkernel);
// Names of what a vkernel that has ended left running: nothing may be.
std::string survivors(pid_t vkernel);

// Input of a console at which guests wait in a read until it is opened: then they find the end of it, as everywhere else.
class Gate {
public:
	Gate();
	~Gate() { open(); }
	Gate(const Gate &) = delete;
	Gate &operator=(const Gate &) = delete;
	int input() const { return ends_[0]; }
	void open();
private:
	int ends_[2];
};

class Place {
public:
	Place();
	~Place();
	std::string operator/(const std::string &name) const { return dir_ / name; }
	const std::string &path() const { return dir_.path(); }
	std::string image() const { return dir_ / "vk.ckpt"; }
	std::vector<std::string> images() const;	// by name: of a chain the newest last
	std::string run_dir() const { return dir_ / "run"; }

	// minivk of 64 MiB, named vk, with its image in this place.
	std::vector<std::string> boot_words(const std::vector<std::string> &program, const std::vector<std::string> &options = {}) const;
	Child boot(const std::vector<std::string> &program, const std::vector<std::string> &options = {}, const Gate *gate = nullptr) const;
	// A shell script. In it `thawed' waits until the vkernel was thawed since the last time, counted from the start.
	Child sh(const std::string &script, const std::vector<std::string> &options = {}, const Gate *gate = nullptr) const;
	std::vector<std::string> thaw_words(const std::vector<std::string> &options = {}, const std::string &image = "") const;
	Child thaw(const std::vector<std::string> &options = {}, const std::string &image = "", const Gate *gate = nullptr) const;
	Outcome thawed(const std::vector<std::string> &options = {}, const std::string &image = "") const;	// to its end
	Outcome tool(std::vector<std::string> words) const;		// vkckpt
	vkckpt_run_entry entry(pid_t) const;				// of a vkernel named vk; magic empty: none
	bool armed(pid_t pid) const { return entry(pid).magic[0] != 0; }
	std::string make_disk(uint64_t bytes = 1 << 20, const std::string &name = "disk.img") const;
private:
	Scratch dir_;
};

// The guest, which writes all the time, writes on.
bool goes_on(Process &);

// Suspends by SIGCKPT and waits for the end: "" or what was wrong.
std::string suspend(Process &);

// A folder for --root: busybox with its applets, and these programs of test/guests as /NAME.
std::string full_root(const std::vector<std::string> &guests = {});

// The guest wrote NONCE at its start; it is suspended `suspends` times and then runs to its end. Run::legs - 1 is how often it
// was. moment: waits in a leg until it is time; earlier: what the legs before have said.
using Moment = std::function<void(Process &leg, const std::string &earlier)>;
Run suspended_at(const Place &, const Case &, unsigned suspends, const Moment &moment);
// Each leg runs up to most_ms.
Run suspended_at_random(const Place &, const Case &, unsigned suspends, unsigned most_ms, Random &);

}  // namespace vktest
#endif
