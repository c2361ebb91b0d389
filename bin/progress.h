// One line on a terminal that tells how far a request is; nothing where stderr is none.
#ifndef VKCKPT_BIN_PROGRESS_H
#define VKCKPT_BIN_PROGRESS_H

#include <cstdint>
#include <string>

namespace tool {

uint64_t monotonic_ns();

class Progress {
public:
	explicit Progress(std::string label);
	~Progress() { clear(); }
	// what: "writing". total 0: not known yet, only `what` is shown. Redraws ten times a second at most.
	void show(const std::string &what, uint64_t done, uint64_t total);
	// A sentence that stays while the line goes on below it.
	void note(const std::string &sentence);
	void clear();

private:
	void draw(const std::string &text);

	std::string label_;
	bool terminal_;
	bool drawn_ = false;
	uint64_t drawn_ns_ = 0;
	uint64_t first_ns_ = 0, first_done_ = 0;	// where the rate is counted from
};

}  // namespace tool
#endif
