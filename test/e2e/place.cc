// Processes, places and chains for the tests of suspend and thaw.
#include "test/e2e/place.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <poll.h>
#include <pty.h>
#include <sstream>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

namespace vktest {

namespace fs = std::filesystem;

namespace {

using Clock = std::chrono::steady_clock;

int left_ms(Clock::time_point end)
{
	const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
	return left > 0 ? int(left) : 0;
}

uint64_t chosen_seed()
{
	if (const char *seed = std::getenv("TEST_SEED"))
		return std::strtoull(seed, nullptr, 10);
	return std::random_device{}();
}

void take(int *fd, std::string *to)
{
	char bytes[65536];
	const ssize_t n = read(*fd, bytes, sizeof bytes);
	if (n > 0) {
		to->append(bytes, size_t(n));
	} else if (n == 0 || errno != EINTR) {
		close(*fd);
		*fd = -1;
	}
}

}  // namespace

Random::Random() : seed_(chosen_seed()), engine_(seed_) {}
void Random::pause_us(uint64_t most) { usleep(useconds_t(below(most + 1))); }

void pause_ms(int ms) { poll(nullptr, 0, ms); }

bool hears_requests(pid_t pid)
{
	const std::string status = contents("/proc/" + std::to_string(pid) + "/status");
	for (const char *field : {"SigCgt:\t", "SigBlk:\t"})
		if (const size_t at = status.find(field); at != status.npos && std::stoull(status.substr(at + 8, 16), nullptr, 16) >> (VKCKPT_SIGCKPT - 1) & 1)
			return true;
	return false;
}

bool await(const std::function<bool()> &condition)
{
	for (int i = 0; i < 6000; i++) {
		if (condition())
			return true;
		pause_ms(10);
	}
	return false;
}

std::string contents(const std::string &path)
{
	std::ifstream file(path, std::ios::binary);
	std::ostringstream all;		// what /proc says of a process may end in an error
	all << file.rdbuf();
	return all.str();
}

void write_file(const std::string &path, const std::string &bytes) { std::ofstream(path, std::ios::binary) << bytes; }
bool has(const std::string &text, const std::string &part) { return text.find(part) != std::string::npos; }
std::string tool_path() { return fs::path(minivk_path()).parent_path() / "vkckpt"; }

Process::Process(const Setup &setup)
{
	int out[2] = {-1, setup.out}, err[2];
	if ((setup.out < 0 && pipe2(out, O_CLOEXEC) != 0) || pipe2(err, O_CLOEXEC) != 0)
		abort();
	std::vector<char *> argv;
	for (const std::string &word : setup.words)
		argv.push_back(const_cast<char *>(word.c_str()));
	argv.push_back(nullptr);
	prctl(PR_SET_CHILD_SUBREAPER, 1);	// orphans of the child come here: see survivors()
	// A signal between fork and exec must not find the test's own handlers.
	sigset_t own, before;
	sigemptyset(&own);
	for (int number : {SIGINT, SIGTERM, SIGHUP})
		sigaddset(&own, number);
	sigprocmask(SIG_BLOCK, &own, &before);
	pid_ = fork();
	if (pid_ == 0) {
		for (int number : {SIGINT, SIGTERM, SIGHUP})
			::signal(number, SIG_DFL);
		sigprocmask(SIG_SETMASK, &before, nullptr);
		setsid();
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		::signal(SIGPIPE, SIG_DFL);
		dup2(setup.in >= 0 ? setup.in : open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
		dup2(out[1], 1);
		dup2(err[1], 2);
		if (!setup.folder.empty() && chdir(setup.folder.c_str()) != 0)
			_exit(126);
		if (setup.before_exec)
			setup.before_exec();
		execv(argv[0], argv.data());
		_exit(127);
	}
	sigprocmask(SIG_SETMASK, &before, nullptr);
	session_ = pid_;
	if (setup.out < 0)
		close(out[1]);
	close(err[1]);
	out_ = out[0];
	err_ = err[0];
}

Process::~Process()
{
	if (pid_ > 0) {
		kill(pid_, SIGKILL);
		waitpid(pid_, nullptr, 0);
	}
	for (int fd : {out_, err_})
		if (fd >= 0)
			close(fd);
}

bool Process::running() const
{
	siginfo_t info{};
	return pid_ > 0 && waitid(P_PID, id_t(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0;
}

void Process::signal(int number) const
{
	if (pid_ > 0)
		kill(pid_, number);
}

bool Process::pump(int timeout_ms)
{
	if (out_ < 0 && err_ < 0)
		return false;
	pollfd fds[2] = {{out_, POLLIN, 0}, {err_, POLLIN, 0}};
	if (poll(fds, 2, timeout_ms) <= 0)
		return false;
	if (out_ >= 0 && fds[0].revents)
		take(&out_, &outcome_.out);
	if (err_ >= 0 && fds[1].revents)
		take(&err_, &outcome_.err);
	return true;
}

bool Process::expect(const std::string &text, int deadline_s)
{
	const auto end = Clock::now() + std::chrono::seconds(deadline_s);
	for (;;) {
		const size_t at = outcome_.out.find(text, matched_);
		if (at != std::string::npos) {
			matched_ = at + text.size();
			return true;
		}
		if (!pump(left_ms(end)))
			return false;
	}
}

void Process::read_for(int ms)
{
	const auto end = Clock::now() + std::chrono::milliseconds(ms);
	do
		if (!pump(left_ms(end)))
			pause_ms(left_ms(end));
	while (left_ms(end));
}

Outcome Process::end(int deadline_s)
{
	const auto end = Clock::now() + std::chrono::seconds(deadline_s);
	while ((out_ >= 0 || err_ >= 0) && left_ms(end))
		pump(left_ms(end));
	int status = 0;
	pid_t done;
	while ((done = waitpid(pid_, &status, WNOHANG)) == 0 && left_ms(end))
		pause_ms(1);
	if (done == 0) {
		kill(pid_, SIGKILL);
		waitpid(pid_, nullptr, 0);
	}
	pid_ = -1;
	outcome_.status = done == 0 ? -1 : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	return outcome_;
}

namespace {

struct Stat {
	pid_t pid;
	std::string name;
	char state;
	int parent, group, session;
};

std::vector<Stat> all_processes()
{
	std::vector<Stat> all;
	for (const auto &entry : fs::directory_iterator("/proc")) {
		const pid_t pid = atoi(entry.path().filename().c_str());
		const std::string text = pid ? contents(entry.path() / "stat") : "";
		const size_t open = text.find('('), close = text.rfind(')');
		Stat s = {pid, "", 0, 0, 0, 0};
		if (close == std::string::npos || sscanf(text.c_str() + close + 1, " %c %d %d %d", &s.state, &s.parent, &s.group, &s.session) != 4)
			continue;
		s.name = text.substr(open + 1, close - open - 1);
		all.push_back(s);
	}
	return all;
}

}  // namespace

std::vector<pid_t> guest_processes(pid_t vkernel)
{
	std::vector<pid_t> found;
	for (const Stat &s : all_processes())
		if (s.parent == vkernel)
			found.push_back(s.pid);
	return found;
}

// Guest processes have sessions of their own; an orphan of them comes to this process, which is its subreaper.
std::string survivors(pid_t vkernel)
{
	std::string found;
	for (const Stat &s : all_processes()) {
		const bool orphan = s.parent == getpid() && s.name == "vmspace";
		if (orphan && s.state == 'Z')
			waitpid(s.pid, nullptr, WNOHANG);
		else if (s.pid != vkernel && (orphan || s.parent == vkernel || s.session == vkernel) && s.state != 'Z')
			found += s.name + " ";
	}
	return found;
}

Gate::Gate()
{
	if (pipe2(ends_, O_CLOEXEC) != 0)
		abort();
}

void Gate::open()
{
	for (int &end : ends_)
		if (end >= 0)
			close(std::exchange(end, -1));
}

OnTerminal::OnTerminal(std::vector<std::string> words, int in)
{
	words.insert(words.begin(), tool_path());
	std::vector<char *> argv;
	for (std::string &word : words)
		argv.push_back(word.data());
	argv.push_back(nullptr);
	pid_ = forkpty(&terminal_, nullptr, nullptr, nullptr);
	if (pid_ == 0) {
		if (in >= 0)
			dup2(in, 0);
		execv(argv[0], argv.data());
		_exit(127);
	}
}

OnTerminal::~OnTerminal() { close(terminal_); }

void OnTerminal::hear()
{
	pollfd fd = {terminal_, POLLIN, 0};
	char some[512];
	if (poll(&fd, 1, 10) > 0)
		if (const ssize_t n = read(terminal_, some, sizeof some); n > 0)
			said_.append(some, size_t(n));
}

bool OnTerminal::asks(const std::string &question)
{
	return await([&] { hear(); return has(said_, question); });
}

bool OnTerminal::answer(const std::string &line) { return write(terminal_, line.data(), line.size()) == ssize_t(line.size()); }

int OnTerminal::end()
{
	int status = -1;
	return await([&] { hear(); return waitpid(pid_, &status, WNOHANG) == pid_; }) ? status : -1;
}

Place::Place() { setenv("VKCKPT_RUNDIR", run_dir().c_str(), 1); }
Place::~Place() { unsetenv("VKCKPT_RUNDIR"); }

std::vector<std::string> Place::images() const
{
	std::vector<std::string> found;
	for (const auto &entry : std::filesystem::directory_iterator(path()))
		if (entry.path().extension() == ".ckpt")
			found.push_back(entry.path());
	std::sort(found.begin(), found.end());
	return found;
}

std::vector<std::string> Place::boot_words(const std::vector<std::string> &program, const std::vector<std::string> &options) const
{
	std::vector<std::string> words = {minivk_path(), "-m", "64m", "--name", "vk", "--image", image()};
	words.insert(words.end(), options.begin(), options.end());
	words.push_back("--");
	words.insert(words.end(), program.begin(), program.end());
	return words;
}

Child Place::boot(const std::vector<std::string> &program, const std::vector<std::string> &options, const Gate *gate) const
{
	return std::make_unique<Process>(Process::Setup{.words = boot_words(program, options), .in = gate ? gate->input() : -1, .folder = path()});
}

Child Place::sh(const std::string &script, const std::vector<std::string> &options, const Gate *gate) const
{
	static const std::string functions = "read a b c thaws </dev/vkckpt; "
	    "thawed() { while read a b c now </dev/vkckpt; [ $now = $thaws ]; do sleep 0.05; done; thaws=$now; }; ";
	return boot({"/bin/sh", "-c", functions + script}, options, gate);
}

std::vector<std::string> Place::thaw_words(const std::vector<std::string> &options, const std::string &from) const
{
	std::vector<std::string> words = {minivk_path(), "--thaw", from.empty() ? image() : from};
	words.insert(words.end(), options.begin(), options.end());
	return words;
}

Child Place::thaw(const std::vector<std::string> &options, const std::string &from, const Gate *gate) const
{
	return std::make_unique<Process>(Process::Setup{.words = thaw_words(options, from), .in = gate ? gate->input() : -1, .folder = path()});
}

Outcome Place::thawed(const std::vector<std::string> &options, const std::string &from) const { return thaw(options, from)->end(); }

Outcome Place::tool(std::vector<std::string> words) const
{
	words.insert(words.begin(), tool_path());
	return Process({.words = words, .folder = path()}).end();
}

vkckpt_run_entry Place::entry(pid_t pid) const
{
	vkckpt_run_entry words = {};
	const std::string bytes = contents(run_dir() + "/vk." + std::to_string(pid));
	if (bytes.size() == sizeof words)
		memcpy(&words, bytes.data(), sizeof words);
	return words;
}

std::string Place::make_disk(uint64_t bytes, const std::string &name) const
{
	const std::string disk = dir_ / name;
	write_file(disk, "");
	fs::resize_file(disk, bytes);
	return disk;
}

bool goes_on(Process &child)
{
	child.read_for(60);
	const size_t seen = child.out().size();
	return await([&] { child.read_for(20); return !child.running() || child.out().size() > seen + 12; }) && child.running();
}

std::string suspend(Process &process)
{
	process.signal(VKCKPT_SIGCKPT);
	const Outcome o = process.end();
	return o.status == VKCKPT_EXIT_SUSPENDED ? "" : "status " + std::to_string(o.status) + ": " + o.err.substr(0, 2000);
}

std::string full_root(const std::vector<std::string> &guests)
{
	static Scratch all;
	std::string name = "root";
	for (const std::string &guest : guests)
		name += "-" + guest;
	const fs::path root = all / name;
	if (fs::exists(root))
		return root;
	for (const char *folder : {"bin", "tmp", "etc", "root"})
		fs::create_directories(root / folder);
	fs::copy_file("/bin/busybox", root / "bin/busybox");
	const Outcome applets = Process({.words = {"/bin/busybox", "--list"}}).end();
	for (size_t at = 0, end; (end = applets.out.find('\n', at)) != std::string::npos; at = end + 1)
		if (const std::string applet = applets.out.substr(at, end - at); applet != "busybox")
			fs::create_symlink("busybox", root / "bin" / applet);
	for (const std::string &guest : guests)
		fs::copy_file(fs::path(minivk_path()).parent_path().parent_path() / "test/guests" / guest, root / guest);
	return root;
}

namespace {

// One run of a Case with its legs.
struct Chain {
	const Place &place;
	const Case &what;
	std::string secret;
	Run run;
	unsigned early = 0;	// signals that came between fork and the first instruction of minivk

	Chain(const Place &p, const Case &c) : place(p), what(c), secret(std::to_string(std::random_device{}()) + "0711") {}

	Child first()
	{
		std::vector<std::string> options = {"-e", "NONCE=" + secret, "-n", std::to_string(what.cpus)};
		if (!what.root.empty())
			options.insert(options.end(), {"--root", what.root});
		options.insert(options.end(), what.options.begin(), what.options.end());
		Child child = place.boot(what.program, options);
		if (!child->expect(secret))
			run.trouble = "the guest did not start: " + child->err();
		return child;
	}
	// Ends the leg; false: it was the last one.
	bool leg(Process &child)
	{
		const Outcome o = child.end(180);
		run.out += o.out;
		run.status = o.status;
		if (o.status == VKCKPT_EXIT_SUSPENDED) {
			++run.legs;
			return true;
		}
		// A SIGCKPT before the first instruction of a thaw ends it, and it was no leg at all.
		if (o.status == 128 + VKCKPT_SIGCKPT && run.legs > 1 && o.out.empty() && ++early < 50)
			return true;
		if (o.status != 0)
			run.trouble = "leg " + std::to_string(run.legs) + ": status " + std::to_string(o.status) + ": " + o.err;
		return false;
	}
	Run done()
	{
		size_t found = 0;
		for (size_t at; (at = run.out.find(secret)) != std::string::npos; found++)
			run.out.replace(at, secret.size(), "NONCE");
		if (run.trouble.empty() && found != 2)
			run.trouble = "the nonce was printed " + std::to_string(found) + " times, not twice; output: " + run.out;
		return run;
	}
};

}  // namespace

Run suspended_at(const Place &place, const Case &c, unsigned suspends, const Moment &moment)
{
	Chain chain(place, c);
	Child child = chain.first();
	bool goes_on = chain.run.trouble.empty();
	while (goes_on && chain.run.legs <= suspends) {
		moment(*child, chain.run.out);
		child->signal(VKCKPT_SIGCKPT);
		goes_on = chain.leg(*child);
		if (goes_on)
			child = chain.place.thaw();
	}
	if (goes_on)
		chain.leg(*child);
	return chain.done();
}

Run suspended_at_random(const Place &place, const Case &c, unsigned suspends, unsigned most_ms, Random &random)
{
	return suspended_at(place, c, suspends, [&](Process &leg, const std::string &) { leg.read_for(int(random.below(most_ms + 1))); });
}

}  // namespace vktest
