// Finds running vkernels: the run directory and the entries in it, as vkckpt/run.h describes them.
#ifndef VKCKPT_BIN_RUNDIR_H
#define VKCKPT_BIN_RUNDIR_H

#include <vkckpt/run.h>

#include <string>
#include <vector>

namespace tool {

// A descriptor that closes itself.
class Fd {
public:
	explicit Fd(int fd = -1) : fd_(fd) {}
	Fd(Fd &&other) : fd_(other.fd_) { other.fd_ = -1; }
	Fd &operator=(Fd &&other);
	~Fd();
	int get() const { return fd_; }
	explicit operator bool() const { return fd_ >= 0; }

private:
	int fd_;
};

// One vkernel, alive when it was found.
struct Entry {
	std::string file;		// name in the run directory
	Fd fd;
	vkckpt_run_entry words;		// a copy
	std::string name() const;
	std::string program() const;
	std::string image() const;	// "": a descriptor
	pid_t pid() const { return static_cast<pid_t>(words.pid); }
	std::string label() const;	// "web (pid 123)", safe to print
};

class RunDirectory {
public:
	// Fails with a message if the directory is not the caller's alone. That it does not exist is no failure: nothing runs.
	bool open(std::string *problem);
	// Living entries sorted by name and pid; those of dead vkernels are removed on the way.
	std::vector<Entry> entries() const;
	// Those whose pid, or else name, is `word`.
	std::vector<Entry> find(const std::string &word) const;
	const std::string &path() const { return path_; }

private:
	bool read_entry(const std::string &file, Entry *out) const;

	std::string path_;
	Fd fd_;
};

// Field 22 of /proc/PID/stat, 0 if there is no such process. state: its letter, may be null.
uint64_t process_start_time(pid_t pid, char *state = nullptr);

const char *phase_name(uint32_t phase);		// "running", "writing" ...

}  // namespace tool
#endif
