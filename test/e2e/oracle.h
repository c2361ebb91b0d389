// The oracle: a run with suspends and thaws in the middle must be indistinguishable from one without. A Case is a guest
// program whose output is always the same; legs of one run are separate minivk processes connected by images alone.
#ifndef TEST_ORACLE_H
#define TEST_ORACLE_H

#include <cstdint>
#include <string>
#include <vector>

namespace vktest {

// A folder of its own for one test, removed at the end.
class Scratch {
public:
	Scratch();
	~Scratch();
	Scratch(const Scratch &) = delete;
	Scratch &operator=(const Scratch &) = delete;
	const std::string &path() const { return path_; }
	std::string operator/(const std::string &name) const { return path_ + "/" + name; }
private:
	std::string path_;
};

struct Case {
	std::vector<std::string> program;	// its first output line ends in the value of $NONCE, and so does its last
	std::string root;			// --root; empty: busybox
	unsigned cpus = 1;
	std::vector<std::string> options;	// more of minivk's
	std::vector<std::string> thaw_options = {};	// and of a thaw
};

struct Run {
	std::string out;	// of all legs, one after the other
	int status = -1;	// of the last leg
	unsigned legs = 1;	// 1: never suspended
	std::string trouble;	// what was wrong (a leg that died, a thaw that failed); empty: nothing
};

// Without any checkpoint.
Run straight(const Case &);
// Suspended once, at trap number `trap` of the boot; thawed; to its end. legs is 1 if it ended before.
Run suspended_at(const Case &, uint64_t trap);
// Suspended at every `step`-th trap, counted through all legs, until it ends.
Run suspended_every(const Case &, uint64_t step);

// Folder with a shell and one static guest program as /NAME, for --root: boots in no time. NAME is of test/guests.
std::string guest_root(const std::string &name);

}  // namespace vktest
#endif
