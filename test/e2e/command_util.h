// Helpers of the tests of vkckpt: run it as a child, a folder that removes itself, a stand-in for a vkernel that follows
// vkckpt/run.h by a script, and a JSON reader strict enough to find what is not JSON.
#ifndef TEST_COMMAND_UTIL_H
#define TEST_COMMAND_UTIL_H

#include <vkckpt/error.h>
#include <vkckpt/run.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace command_test {

// build/bin, found from build/test/e2e/run.
inline std::string bin(const std::string &name)
{
	return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "../../bin" / name).lexically_normal();
}
inline std::string source(const std::string &path)
{
	return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "../../.." / path).lexically_normal();
}

class TempDir {
public:
	TempDir()
	{
		const char *base = getenv("TMPDIR");
		std::string pattern = std::string(base && *base ? base : "/tmp") + "/vkckpt-test.XXXXXX";
		if (!mkdtemp(pattern.data()))
			throw std::runtime_error("mkdtemp");
		path_ = pattern;
	}
	~TempDir() { std::error_code ignored; std::filesystem::remove_all(path_, ignored); }
	TempDir(const TempDir &) = delete;
	TempDir &operator=(const TempDir &) = delete;
	std::string operator/(const std::string &name) const { return path_ + "/" + name; }
	const std::string &path() const { return path_; }

private:
	std::string path_;
};

inline std::string read_all(const std::string &path)
{
	std::ifstream file(path, std::ios::binary);
	return {std::istreambuf_iterator<char>(file), {}};
}
inline void write_all(const std::string &path, const std::string &bytes)
{
	std::ofstream(path, std::ios::binary) << bytes;
}
inline void pause_ms(int ms) { poll(nullptr, 0, ms); }
// Looks every 10 ms, for a minute: generous, because only a failure waits that long.
template <class Condition> bool await(Condition condition)
{
	for (int i = 0; i < 6000; i++) {
		if (condition())
			return true;
		pause_ms(10);
	}
	return false;
}

struct Ran {
	int status;		// exit status, or 128 + signal
	std::string out, err;
};

using Environment = std::map<std::string, std::string>;

// A child whose output goes into two pipes; stderr may be a terminal of its own instead.
class Child {
public:
	enum class Stderr { kPipe, kTerminal };
	Child(std::vector<std::string> command, const Environment &environment, Stderr kind = Stderr::kPipe,
	    const std::string &stdin_path = "/dev/null")
	{
		int out[2], err[2] = {-1, -1}, tty = -1;
		if (pipe2(out, O_CLOEXEC) != 0 || (kind == Stderr::kPipe && pipe2(err, O_CLOEXEC) != 0))
			throw std::runtime_error("pipe");
		if (kind == Stderr::kTerminal) {
			err[0] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
			grantpt(err[0]);
			unlockpt(err[0]);
			tty = open(ptsname(err[0]), O_RDWR | O_NOCTTY | O_CLOEXEC);
		}
		pid_ = fork();
		if (pid_ == 0) {
			for (int number : {SIGINT, SIGTERM, SIGHUP})	// the tool leaves ignored what nohup ignores
				::signal(number, SIG_DFL);
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			dup2(open(stdin_path.c_str(), O_RDONLY), 0);
			dup2(out[1], 1);
			dup2(kind == Stderr::kTerminal ? tty : err[1], 2);
			for (const auto &[key, value] : environment)
				setenv(key.c_str(), value.c_str(), 1);
			std::vector<char *> arguments;
			for (std::string &word : command)
				arguments.push_back(word.data());
			arguments.push_back(nullptr);
			execvp(arguments[0], arguments.data());
			_exit(127);
		}
		close(out[1]);
		if (kind == Stderr::kPipe)
			close(err[1]);
		else
			close(tty);
		out_ = out[0];
		err_ = err[0];
	}
	~Child()
	{
		if (pid_ > 0) {
			kill(pid_, SIGKILL);
			waitpid(pid_, nullptr, 0);
		}
		for (int fd : {out_, err_})
			if (fd >= 0)
				close(fd);
	}
	Child(const Child &) = delete;
	Child &operator=(const Child &) = delete;
	pid_t pid() const { return pid_; }
	bool running() const
	{
		siginfo_t info{};
		return pid_ > 0 && waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0;
	}
	// Reads both outputs to their end, then the status.
	Ran finish()
	{
		while (out_open_ || err_open_)
			pump(-1);
		int status = 0;
		waitpid(pid_, &status, 0);
		pid_ = 0;
		ran_.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		return ran_;
	}
	// Until `text` has appeared in the errors.
	bool await_error(const std::string &text)
	{
		return await([&] {
			pump(0);
			return ran_.err.find(text) != std::string::npos;
		});
	}

private:
	void pump(int timeout_ms)
	{
		pollfd fds[2] = {{out_open_ ? out_ : -1, POLLIN, 0}, {err_open_ ? err_ : -1, POLLIN, 0}};
		if (poll(fds, 2, timeout_ms) <= 0)
			return;
		char buffer[4096];
		auto drain = [&](const pollfd &fd, bool *is_open, std::string *into) {
			if (!fd.revents)
				return;
			ssize_t got = read(fd.fd, buffer, sizeof buffer);
			if (got > 0)
				into->append(buffer, static_cast<size_t>(got));
			else
				*is_open = false;
		};
		drain(fds[0], &out_open_, &ran_.out);
		drain(fds[1], &err_open_, &ran_.err);
	}

	pid_t pid_ = 0;
	int out_ = -1, err_ = -1;
	bool out_open_ = true, err_open_ = true;
	Ran ran_{};
};

inline uint64_t start_time_of(pid_t pid)
{
	std::string text = read_all("/proc/" + std::to_string(pid) + "/stat");
	size_t place = text.rfind(')');
	if (place == std::string::npos)
		return 0;
	std::istringstream fields(text.substr(place + 2));
	std::string word;
	for (int number = 3; number <= 22; number++)
		fields >> word;
	return strtoull(word.c_str(), nullptr, 10);
}

inline vkckpt_run_entry make_entry(const std::string &name, pid_t pid)
{
	vkckpt_run_entry words{};
	memcpy(words.magic, VKCKPT_RUN_MAGIC, sizeof words.magic);
	words.pid = static_cast<uint64_t>(pid);
	words.start_time = start_time_of(pid);
	strncpy(words.name, name.c_str(), sizeof words.name - 1);
	strncpy(words.program, "standin", sizeof words.program - 1);
	words.ram_bytes = 64 << 20;
	words.estimate_bytes = 65 << 20;
	words.on_ckpt = VKCKPT_ACTION_EXIT;
	return words;
}
inline std::string entry_file(const std::string &directory, const std::string &name, pid_t pid)
{
	return directory + "/" + name + "." + std::to_string(pid);
}
inline void write_entry(const std::string &directory, const vkckpt_run_entry &words)
{
	std::string path = entry_file(directory, words.name, static_cast<pid_t>(words.pid));
	write_all(path, std::string(reinterpret_cast<const char *>(&words), sizeof words));
	chmod(path.c_str(), 0600);
}
// Held until the descriptor is closed.
inline int lock_entry(const std::string &path)
{
	int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
	struct flock lock{};
	lock.l_type = F_WRLCK;
	lock.l_whence = SEEK_SET;
	return fcntl(fd, F_OFD_SETLK, &lock) == 0 ? fd : -1;
}

// What the stand-in does when a request comes.
enum class Script {
	kObey,			// commit, then exit or go on as asked
	kCommitThenVanish,	// image committed and phase EXITING, but the process is gone before it says "done"
	kFail,			// no space
	kWaitForCancel,		// runs until it is cancelled, then cancels
	kCommitOnCancel,	// the cancel comes too late
	kDie,			// ends in the middle
	kBusy,			// refuses: another request
	kSlow,			// obeys after a second of progress
};

// A process with an entry in a run directory.
class StandIn {
public:
	StandIn(const std::string &directory, const std::string &name, Script script, const std::string &image = "")
	    : name_(name)
	{
		pid_ = fork();
		if (pid_ == 0)
			live(directory, name, script, image);
		path_ = entry_file(directory, name, pid_);
		if (!await([&] { return read_all(path_).substr(0, 8) == VKCKPT_RUN_MAGIC; }))
			throw std::runtime_error("the stand-in did not publish itself");
	}
	~StandIn()
	{
		if (pid_ > 0) {
			kill(pid_, SIGKILL);
			waitpid(pid_, nullptr, 0);
		}
	}
	StandIn(const StandIn &) = delete;
	StandIn &operator=(const StandIn &) = delete;
	pid_t pid() const { return pid_; }
	std::string pid_text() const { return std::to_string(pid_); }
	const std::string &file() const { return path_; }
	bool running() const
	{
		siginfo_t info{};
		return waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0;
	}
	vkckpt_run_entry words() const
	{
		vkckpt_run_entry out{};
		std::string bytes = read_all(path_);
		memcpy(&out, bytes.data(), std::min(bytes.size(), sizeof out));
		return out;
	}

private:
	[[noreturn]] static void live(const std::string &directory, const std::string &name, Script script,
	    const std::string &image)
	{
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		sigset_t set;
		sigemptyset(&set);
		sigaddset(&set, VKCKPT_SIGCKPT);
		sigprocmask(SIG_BLOCK, &set, nullptr);
		vkckpt_run_entry words = make_entry(name, getpid());
		memset(words.magic, 0, sizeof words.magic);
		strncpy(words.image_path, image.c_str(), sizeof words.image_path - 1);
		write_entry(directory, words);
		int fd = lock_entry(entry_file(directory, name, getpid()));
		void *place = mmap(nullptr, sizeof words, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (fd < 0 || place == MAP_FAILED)
			_exit(99);
		auto *entry = static_cast<vkckpt_run_entry *>(place);
		memcpy(entry->magic, VKCKPT_RUN_MAGIC, sizeof entry->magic);
		for (;;) {
			siginfo_t info;
			if (sigwaitinfo(&set, &info) < 0)
				continue;
			serve(entry, reinterpret_cast<uint64_t>(info.si_value.sival_ptr), script, set);
		}
	}
	static void serve(vkckpt_run_entry *entry, uint64_t request, Script script, const sigset_t &set)
	{
		uint32_t action = request & 0xff;
		entry->action = action;
		if (action == VKCKPT_ACTION_CANCEL)
			return;
		if (script == Script::kBusy) {
			__atomic_store_n(&entry->refused_id, request >> 16, __ATOMIC_RELEASE);
			return;
		}
		entry->request_id = request >> 16;
		entry->bytes_total = 64 << 20;
		entry->phase = VKCKPT_PHASE_WRITE;
		if (script == Script::kSlow)
			for (int i = 1; i <= 20; i++) {
				pause_ms(50);
				entry->bytes_done = entry->bytes_total * static_cast<unsigned>(i) / 20;
			}
		if (script == Script::kDie)
			_exit(1);
		if (script == Script::kWaitForCancel || script == Script::kCommitOnCancel)
			if (!was_cancelled(set, entry->request_id))
				return;
		if (script == Script::kWaitForCancel)
			return done(entry, ECANCELED, VKCKPT_R_CANCELLED, "standin: cancelled (CANCELLED); it runs on");
		if (script == Script::kFail)
			return done(entry, ENOSPC, VKCKPT_R_NO_SPACE, "capture: write: no space is left for the image (NO_SPACE); free some");
		if (entry->image_path[0])
			write_all(entry->image_path, "an image");
		if (action == VKCKPT_ACTION_EXIT)
			entry->phase = VKCKPT_PHASE_EXITING;
		if (script == Script::kCommitThenVanish)
			_exit(VKCKPT_EXIT_SUSPENDED);
		done(entry, 0, 0, "");
		if (action == VKCKPT_ACTION_EXIT) {
			pause_ms(50);
			_exit(VKCKPT_EXIT_SUSPENDED);
		}
	}
	static bool was_cancelled(const sigset_t &set, uint64_t id)
	{
		siginfo_t info;
		while (sigwaitinfo(&set, &info) < 0)
			;
		return reinterpret_cast<uint64_t>(info.si_value.sival_ptr) == VKCKPT_REQUEST(VKCKPT_ACTION_CANCEL, 0, id);
	}
	static void done(vkckpt_run_entry *entry, int code, uint32_t reason, const char *message)
	{
		entry->result_code = code;
		entry->result_reason = reason;
		strncpy(entry->message, message, sizeof entry->message - 1);
		entry->done_id = entry->request_id;
		if (entry->phase != VKCKPT_PHASE_EXITING)
			entry->phase = VKCKPT_PHASE_RUNNING;
		__atomic_add_fetch(&entry->done_count, 1, __ATOMIC_RELEASE);
	}

	pid_t pid_ = 0;
	std::string name_, path_;
};

// JSON, RFC 8259. Throws on anything else.
struct JsonValue {
	enum Kind { kNull, kBool, kNumber, kString, kArray, kObject } kind = kNull;
	bool truth = false;
	std::string text;	// of strings, and numbers as they stand
	std::vector<JsonValue> items;
	std::map<std::string, JsonValue> members;
	const JsonValue &operator[](const std::string &key) const { return members.at(key); }
	const JsonValue &operator[](size_t i) const { return items.at(i); }
	uint64_t number() const { return strtoull(text.c_str(), nullptr, 10); }
	bool has(const std::string &key) const { return members.count(key) != 0; }
};

class JsonReader {
public:
	static JsonValue parse(const std::string &text)
	{
		JsonReader reader(text);
		JsonValue value = reader.value();
		reader.space();
		if (reader.at_ != text.size())
			reader.bad("text behind the value");
		return value;
	}

private:
	explicit JsonReader(const std::string &text) : text_(text) {}
	[[noreturn]] void bad(const std::string &why) const
	{
		throw std::runtime_error("not JSON at " + std::to_string(at_) + ": " + why + ": " + text_.substr(at_, 40));
	}
	char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
	bool take(char c) { return peek() == c && (at_++, true); }
	void need(char c) { if (!take(c)) bad(std::string("expected ") + c); }
	void space() { while (at_ < text_.size() && strchr(" \t\r\n", text_[at_])) at_++; }
	JsonValue value()
	{
		JsonValue v;
		space();
		if (take('{')) {
			v.kind = JsonValue::kObject;
			for (space(); !take('}'); space()) {
				if (!v.members.empty())
					need(','), space();
				std::string key = string();
				space();
				need(':');
				if (!v.members.emplace(key, value()).second)
					bad("key twice: " + key);
			}
		} else if (take('[')) {
			v.kind = JsonValue::kArray;
			for (space(); !take(']'); space()) {
				if (!v.items.empty())
					need(',');
				v.items.push_back(value());
			}
		} else if (peek() == '"') {
			v.kind = JsonValue::kString;
			v.text = string();
		} else if (word("true") || word("false")) {
			v.kind = JsonValue::kBool;
			v.truth = text_[at_ - 1] == 'e' && text_[at_ - 2] == 'u';
		} else if (!word("null")) {
			v.kind = JsonValue::kNumber;
			v.text = digits();
		}
		return v;
	}
	bool word(const std::string &w) { return text_.compare(at_, w.size(), w) == 0 && (at_ += w.size(), true); }
	std::string digits()
	{
		size_t begin = at_;
		take('-');
		size_t first = at_;
		while (isdigit(static_cast<unsigned char>(peek())))
			at_++;
		if (at_ == first || (text_[first] == '0' && at_ - first > 1))
			bad("number");
		if (take('.')) {
			size_t behind = at_;
			while (isdigit(static_cast<unsigned char>(peek())))
				at_++;
			if (at_ == behind)
				bad("number");
		}
		return text_.substr(begin, at_ - begin);
	}
	std::string string()
	{
		std::string out;
		need('"');
		while (!take('"')) {
			unsigned char c = static_cast<unsigned char>(peek());
			if (at_ >= text_.size() || c < 0x20)
				bad("control character in a string");
			at_++;
			if (c != '\\') {
				out += static_cast<char>(c);
			} else if (take('u')) {
				unsigned long point = strtoul(text_.substr(at_, 4).c_str(), nullptr, 16);
				out += point < 0x80 ? std::string(1, static_cast<char>(point)) : "?";
				at_ += 4;
			} else if (strchr("\"\\/", peek())) {
				out += text_[at_++];
			} else {
				bad("escape");
			}
		}
		return out;
	}

	const std::string &text_;
	size_t at_ = 0;
};

}  // namespace command_test
#endif
