#include "bin/progress.h"
#include "bin/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

namespace tool {

constexpr uint64_t kRedraw_ns = 100'000'000;
constexpr uint64_t kRateAfter_ns = 300'000'000;	// a rate from less is noise

uint64_t monotonic_ns()
{
	timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

// A terminal that knows no ESC [ K says that it is dumb.
static bool can_redraw()
{
	const char *kind = getenv("TERM");
	return !kind || strcmp(kind, "dumb") != 0;
}

Progress::Progress(std::string label) : label_(std::move(label)), terminal_(isatty(STDERR_FILENO) && can_redraw()) {}

void Progress::show(const std::string &what, uint64_t done, uint64_t total)
{
	uint64_t now = monotonic_ns();
	if (!terminal_ || (drawn_ && now - drawn_ns_ < kRedraw_ns))
		return;
	drawn_ns_ = now;
	std::string text = label_ + ": " + what;
	if (total == 0) {
		draw(text);
		return;
	}
	if (done > total)
		done = total;
	if (first_ns_ == 0 || done < first_done_) {
		first_ns_ = now;
		first_done_ = done;
	}
	char part[64];
	snprintf(part, sizeof part, "  %3d%%", static_cast<int>(static_cast<double>(done) * 100 / static_cast<double>(total)));
	text += part + ("  " + human_size(done)) + " of " + human_size(total);
	if (now - first_ns_ >= kRateAfter_ns && done > first_done_) {
		double rate = static_cast<double>(done - first_done_) * 1e9 / static_cast<double>(now - first_ns_);
		uint64_t left_s = static_cast<uint64_t>(static_cast<double>(total - done) / rate + 0.5);
		snprintf(part, sizeof part, "/s  ETA %llu:%02llu", static_cast<unsigned long long>(left_s / 60),
		    static_cast<unsigned long long>(left_s % 60));
		text += "  " + human_size(static_cast<uint64_t>(rate)) + part;
	}
	draw(text);
}

void Progress::draw(const std::string &text)
{
	winsize size{};
	std::string cut = text;
	// A line that wraps cannot be drawn over.
	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 && cut.size() >= size.ws_col)
		cut.resize(size.ws_col - 1);
	fprintf(stderr, "\r%s\033[K", cut.c_str());
	fflush(stderr);
	drawn_ = true;
}

void Progress::note(const std::string &sentence)
{
	clear();
	fprintf(stderr, "vkckpt: %s\n", sentence.c_str());
}

void Progress::clear()
{
	if (!drawn_)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	drawn_ = false;
}

}  // namespace tool
