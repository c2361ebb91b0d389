// The signal goes through a pidfd that was proven to be the entry's process, so a reused pid cannot be hit. What becomes of
// the request is read from the entry, which stays mapped when the file is gone.
#include "bin/request.h"
#include "bin/progress.h"
#include "bin/text.h"

#include <vkckpt/error.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

namespace tool {
namespace {

constexpr int kPoll_ms = 10;
constexpr uint64_t kSilence_ns = 3'000'000'000;		// without any sign: say what is being waited for
constexpr uint64_t kExit_ns = 30'000'000'000;		// from commit to the end of the process

volatile sig_atomic_t interrupts;

void on_interrupt(int) { interrupts = interrupts + 1; }

// ^C and its like cancel the request; they must not leave it running unseen. For good: one that comes when the outcome is
// known must not keep it from being told.
void catch_interrupts()
{
	struct sigaction action{}, old{};
	action.sa_handler = on_interrupt;
	for (int signal : {SIGINT, SIGTERM, SIGHUP}) {
		sigaction(signal, nullptr, &old);
		if (old.sa_handler != SIG_IGN)		// what the caller ignores (nohup) stays ignored
			sigaction(signal, &action, nullptr);
	}
}

struct Status {
	uint32_t phase, result_reason;
	int32_t result_code;
	uint64_t request_id, done_id, done_count, refused_id, bytes_done, bytes_total;
	std::string message;
};

class Target {
public:
	~Target()
	{
		if (words_)
			munmap(words_, sizeof *words_);
	}
	bool open(const Entry &, std::string *problem);
	bool send(uint64_t request) const;
	bool wait_for_end(int timeout_ms) const;	// true: the process has ended
	Status status() const;
	void last_image(std::string *image, uint32_t *chain_length) const;
	std::string parts() const;			// of the last request that was committed

private:
	Fd pidfd_;
	vkckpt_run_entry *words_ = nullptr;
};

bool Target::open(const Entry &entry, std::string *problem)
{
	const std::string label = entry.label();
	pidfd_ = Fd(static_cast<int>(syscall(SYS_pidfd_open, entry.pid(), 0)));
	if (!pidfd_) {
		*problem = label + ": cannot open the process: " + strerror(errno) + (errno == ESRCH ? " (NOT_FOUND)" : " (SYSTEM)") +
		    "; see `vkckpt list'";
		return false;
	}
	// In this order: if the process of the pidfd still lives after its start time and owner were read, they are its own.
	struct stat process, file;
	std::string directory = "/proc/" + std::to_string(entry.pid());
	bool readable = stat(directory.c_str(), &process) == 0 && fstat(entry.fd.get(), &file) == 0;
	uint64_t start_time = process_start_time(entry.pid());
	if (!readable || wait_for_end(0) || start_time != entry.words.start_time) {
		*problem = label + ": the process has ended and its pid may be another's now (NOT_FOUND); nothing was sent;"
		    " see `vkckpt list'";
		return false;
	}
	if (process.st_uid != file.st_uid && process.st_uid != 0) {
		*problem = label + ": the process belongs to uid " + std::to_string(process.st_uid) + " and its entry to uid " +
		    std::to_string(file.st_uid) + " (PERMISSION); nothing was sent; this entry is not its own";
		return false;
	}
	void *place = mmap(nullptr, sizeof *words_, PROT_READ, MAP_SHARED, entry.fd.get(), 0);
	if (place == MAP_FAILED) {
		*problem = label + ": cannot map its entry: " + strerror(errno) + " (SYSTEM); nothing was sent";
		return false;
	}
	words_ = static_cast<vkckpt_run_entry *>(place);
	return true;
}

bool Target::send(uint64_t request) const
{
	siginfo_t info{};
	info.si_signo = VKCKPT_SIGCKPT;
	info.si_code = SI_QUEUE;
	info.si_pid = getpid();
	info.si_uid = getuid();
	info.si_value.sival_ptr = reinterpret_cast<void *>(request);
	return syscall(SYS_pidfd_send_signal, pidfd_.get(), VKCKPT_SIGCKPT, &info, 0) == 0;
}

bool Target::wait_for_end(int timeout_ms) const
{
	pollfd end{pidfd_.get(), POLLIN, 0};
	return poll(&end, 1, timeout_ms) == 1 && (end.revents & POLLIN);
}

template <class T> T load(const T &word) { return __atomic_load_n(&word, __ATOMIC_ACQUIRE); }

// done_count rises last of all, so a result read between two equal counts belongs together.
Status Target::status() const
{
	Status status;
	for (int attempt = 0; attempt < 100; attempt++) {
		status.done_count = load(words_->done_count);
		status.phase = load(words_->phase);
		status.result_reason = load(words_->result_reason);
		status.result_code = load(words_->result_code);
		status.request_id = load(words_->request_id);
		status.done_id = load(words_->done_id);
		status.refused_id = load(words_->refused_id);
		status.bytes_done = load(words_->bytes_done);
		status.bytes_total = load(words_->bytes_total);
		char text[sizeof words_->message];
		for (size_t i = 0; i < sizeof text; i++)
			text[i] = load(words_->message[i]);
		status.message = field(text);
		if (load(words_->done_count) == status.done_count)
			break;
	}
	return status;
}

void Target::last_image(std::string *image, uint32_t *chain_length) const
{
	char text[sizeof words_->last_image];
	for (size_t i = 0; i < sizeof text; i++)
		text[i] = load(words_->last_image[i]);
	*image = field(text);
	*chain_length = load(words_->chain_length);
}

std::string Target::parts() const
{
	const struct { const char *name; uint32_t us; } parts[] = {
		{"sync", load(words_->sync_us)}, {"freeze", load(words_->freeze_us)}, {"devices", load(words_->devices_us)},
		{"walk", load(words_->walk_us)}, {"write", load(words_->write_us)}, {"commit", load(words_->commit_us)},
	};
	std::string text;
	for (const auto &part : parts)
		if (part.us)
			text += (text.empty() ? "" : ", ") + std::string(part.name) + " " + human_duration(part.us * uint64_t{1000});
	return text;
}

// Follows one request. Each step() is one look; it says when the end has come.
class Follower {
public:
	Follower(const Entry &entry, const Target &target, const Order &order, uint64_t id)
	    : entry_(entry), target_(target), order_(order), id_(id), progress_(printable(entry.name())),
	      count_before_(target.status().done_count), start_ns_(monotonic_ns()) {}
	Outcome follow();

private:
	bool step();
	bool judge(const Status &, bool ended);
	bool finish(End end) { outcome_.end = end; return true; }
	bool committed(const Status &);
	void cancel_if_due();
	void tell(const Status &);

	const Entry &entry_;
	const Target &target_;
	const Order &order_;
	const uint64_t id_;
	Progress progress_;
	const uint64_t count_before_, start_ns_;
	uint64_t heard_ns_ = 0, committed_ns_ = 0;
	bool seen_ = false, told_silence_ = false;
	Outcome outcome_{End::kFailed};
};

Outcome Follower::follow()
{
	while (!step())
		;
	progress_.clear();
	outcome_.elapsed_ns = monotonic_ns() - start_ns_;
	if (outcome_.end == End::kCommitted)
		outcome_.parts = target_.parts();
	return outcome_;
}

bool Follower::step()
{
	// First whether it has ended, then what it left: the other way round its last words could be missed.
	bool ended = target_.wait_for_end(kPoll_ms);
	Status status = target_.status();
	if (judge(status, ended))
		return true;
	cancel_if_due();
	// The first interrupt may have been the cancellation itself.
	if (outcome_.was_cancelled && interrupts > (outcome_.interrupted ? 1 : 0))
		return finish(End::kAbandoned);
	tell(status);
	return false;
}

bool Follower::committed(const Status &status)
{
	bool done = status.done_id == id_ && status.done_count != count_before_;
	return done ? status.result_reason == VKCKPT_R_NONE : status.phase == VKCKPT_PHASE_EXITING && status.request_id == id_;
}

bool Follower::judge(const Status &status, bool ended)
{
	outcome_.bytes = std::max(outcome_.bytes, status.bytes_total);
	if (committed(status)) {
		target_.last_image(&outcome_.image, &outcome_.chain_length);
		if (order_.action != VKCKPT_ACTION_EXIT || ended)
			return finish(End::kCommitted);
		if (committed_ns_ == 0)
			committed_ns_ = monotonic_ns();
		if (monotonic_ns() - committed_ns_ > kExit_ns)
			return finish(End::kStays);
		return false;
	}
	if (status.done_id == id_ && status.done_count != count_before_) {
		outcome_.reason = status.result_reason;
		outcome_.code = status.result_code;
		outcome_.message = status.message;
		bool ours = outcome_.was_cancelled && status.result_reason == VKCKPT_R_CANCELLED;
		return finish(ended ? End::kDied : ours ? End::kCancelled : End::kFailed);
	}
	if (status.refused_id == id_)
		return finish(End::kBusy);
	if (ended)
		return finish(End::kDied);
	if (status.request_id == id_)
		seen_ = true;
	else if (seen_)
		return finish(End::kOverwritten);
	return false;
}

void Follower::cancel_if_due()
{
	bool expired = order_.timeout_s && monotonic_ns() - start_ns_ >= order_.timeout_s * 1'000'000'000ull;
	if (outcome_.was_cancelled || committed_ns_ || (!expired && interrupts == 0))
		return;
	outcome_.was_cancelled = true;
	outcome_.interrupted = !expired;
	heard_ns_ = monotonic_ns();
	told_silence_ = false;
	target_.send(VKCKPT_REQUEST(VKCKPT_ACTION_CANCEL, 0, id_));
}

void Follower::tell(const Status &status)
{
	uint64_t now = monotonic_ns();
	bool served = status.request_id == id_ && status.phase != VKCKPT_PHASE_RUNNING;
	if ((served && !outcome_.was_cancelled) || heard_ns_ == 0)
		heard_ns_ = now;
	if (!told_silence_ && now - heard_ns_ > kSilence_ns) {
		told_silence_ = true;
		char state = '?';
		process_start_time(entry_.pid(), &state);
		if (state == 'T' || state == 't')
			progress_.note(entry_.label() + ": the process is stopped, so it cannot answer; `kill -CONT " +
			    std::to_string(entry_.words.pid) + "' lets it go on");
		else if (outcome_.was_cancelled)
			progress_.note(entry_.label() + ": waiting until it has taken the cancellation; ^C gives up the wait");
		else
			progress_.note(entry_.label() + ": no answer yet; ^C cancels the request");
	}
	bool writing = status.phase == VKCKPT_PHASE_WRITE && served;
	std::string what = outcome_.was_cancelled ? "cancelling" : served ? phase_name(status.phase) : "asking";
	progress_.show(what, writing ? status.bytes_done : 0, writing ? status.bytes_total : 0);
}

uint64_t random_id()
{
	uint64_t id = 0;
	while (id == 0)
		id = static_cast<uint64_t>(arc4random()) << 16 | (arc4random() & 0xffff);
	return id;
}

}  // namespace

bool serve(const Entry &entry, const Order &order, Outcome *out, std::string *problem)
{
	Target target;
	if (!target.open(entry, problem))
		return false;
	catch_interrupts();
	uint64_t id = random_id();
	Follower follower(entry, target, order, id);
	if (!target.send(VKCKPT_REQUEST(order.action, order.flags, id))) {
		const std::string why = errno == EAGAIN ?
		    "as many signals wait as its user may have (LIMIT); raise that (ulimit -i), or kill -" + std::to_string(VKCKPT_SIGCKPT) :
		    std::string(strerror(errno)) + " (PERMISSION)";
		*problem = entry.label() + ": cannot send SIGCKPT: " + why + "; it runs on";
		return false;
	}
	*out = follower.follow();
	return true;
}

}  // namespace tool
