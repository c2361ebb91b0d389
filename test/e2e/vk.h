// Runs minivk as a child process: one script to its end, or a session on a pseudo terminal. A child that outlives its
// deadline is killed, and so is every child at the end of its owner.
#ifndef TEST_VK_H
#define TEST_VK_H

#include <sys/types.h>

#include <string>
#include <vector>

namespace vktest {

std::string minivk_path();		// build/bin/minivk, found from the test program

struct Outcome {
	int status = -1;		// exit status; 128 + signal; -1: killed at the deadline
	std::string out, err;
};

struct Spec {
	std::vector<std::string> options;	// of minivk
	std::vector<std::string> program;	// in the guest; empty: its default shell
	std::string input;			// of the console; then it ends
	int deadline_s = 60;
	std::string folder;			// working directory of minivk; empty: the test's
};
Outcome run(const Spec &);
// `sh -c script` in a guest made by defaults, with more options before it.
Outcome sh(const std::string &script, std::vector<std::string> options = {});

// minivk on a pseudo terminal.
class Session {
public:
	explicit Session(std::vector<std::string> arguments, unsigned short rows = 24, unsigned short cols = 80);
	~Session();
	Session(const Session &) = delete;
	Session &operator=(const Session &) = delete;
	void send(const std::string &bytes);
	// Reads until the text appears in what has not been matched yet; that and everything before it counts as matched.
	bool expect(const std::string &text, int deadline_s = 60);
	bool raw(int deadline_s = 60);		// waits until minivk has the terminal's keys for itself
	void resize(unsigned short rows, unsigned short cols);
	int wait(int deadline_s = 60);		// as Outcome::status
	pid_t pid() const { return pid_; }
	const std::string &all() const { return all_; }	// everything that was read
private:
	bool read_more(int timeout_ms);
	pid_t pid_ = -1;
	int master_ = -1;
	std::string all_;
	size_t matched_ = 0;
};

}  // namespace vktest
#endif
