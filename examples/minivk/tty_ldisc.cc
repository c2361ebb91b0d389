// The line discipline's input: editing, signals, echo, and what a read gets.
#include <algorithm>

#include "tty.h"

namespace minivk {

namespace {
constexpr size_t kLineMax = 4095, kInputMax = 4096;	// as Linux
constexpr uint64_t kTenthNs = 100'000'000;		// the unit of VTIME
bool is_control(uint8_t c) { return c < 32 || c == 127; }
bool is_continuation(uint8_t c) { return (c & 0xc0) == 0x80; }
bool is_word(uint8_t c) { return c > 127 || c == '_' || (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z'); }
}  // namespace

// While a line is edited input always has room, so that the interrupt character gets through.
size_t Tty::input_room() const
{
	const size_t used = canonical() ? lines_bytes_ : raw_.size();
	return used >= kInputMax ? 0 : kInputMax - used;
}

void Tty::echo(uint8_t c)
{
	if (!has_terminal_ || (!(termios_.lflag & ECHO) && !(c == '\n' && (termios_.lflag & ECHONL) && canonical())))
		return;
	if ((termios_.lflag & ECHOCTL) && is_control(c) && c != '\n' && c != '\t') {
		emit('^');
		emit(c ^ 64);
	} else {
		emit(c);
	}
}

void Tty::erase_one(bool show)
{
	if (line_.empty())
		return;
	uint8_t c = uint8_t(line_.back());
	line_.pop_back();
	if (termios_.iflag & IUTF8)
		while (is_continuation(c) && !line_.empty()) {
			c = uint8_t(line_.back());
			line_.pop_back();
		}
	if (!show || !has_terminal_ || !(termios_.lflag & ECHO))
		return;
	if (!(termios_.lflag & ECHOE)) {
		echo(termios_.cc[VERASE]);
		return;
	}
	const int columns = is_control(c) && (termios_.lflag & ECHOCTL) ? 2 : 1;
	for (int i = 0; i < columns; ++i)
		for (char b : {'\b', ' ', '\b'})
			emit(uint8_t(b));
}

void Tty::erase_word()
{
	while (!line_.empty() && !is_word(uint8_t(line_.back())))
		erase_one(true);
	while (!line_.empty() && is_word(uint8_t(line_.back())))
		erase_one(true);
}

void Tty::flush_input()
{
	line_.clear();
	lines_.clear();
	lines_bytes_ = 0;
	raw_.clear();
	literal_ = false;
}

bool Tty::receive_signal(uint8_t c)
{
	const int sig = is(VINTR, c) ? kSigInt : is(VQUIT, c) ? kSigQuit : is(VSUSP, c) ? kSigTstp : 0;
	if (!sig || !(termios_.lflag & ISIG))
		return false;
	if (!(termios_.lflag & NOFLSH))
		flush_input();
	stopped_ = false;
	echo(c);
	if (foreground)
		signal_group(foreground, sig);
	return true;
}

void Tty::end_line()
{
	lines_bytes_ += line_.size() + 1;	// ends of file take room too
	lines_.push_back(line_);
	line_.clear();
	changed.wake_all();
}

// Canonical mode: what the byte does to the line. False: it is to be added.
bool Tty::receive_edit(uint8_t c)
{
	if (is(VERASE, c) || (c == '\b' && termios_.cc[VERASE] == 127)) {
		erase_one(true);
	} else if (is(VKILL, c)) {
		const bool wipe = (termios_.lflag & ECHOKE) && (termios_.lflag & ECHOE);
		while (!line_.empty())
			erase_one(wipe);
		if (!wipe && (termios_.lflag & ECHOK))
			echo('\n');
	} else if (is(VWERASE, c) && (termios_.lflag & IEXTEN)) {
		erase_word();
	} else if (is(VREPRINT, c) && (termios_.lflag & IEXTEN)) {
		echo(c);
		echo('\n');
		for (char b : line_)
			echo(uint8_t(b));
	} else if (is(VEOF, c)) {
		end_line();
	} else if (c == '\n' || is(VEOL, c) || is(VEOL2, c)) {
		echo(c);
		line_ += char(c);
		end_line();
	} else {
		return false;
	}
	return true;
}

void Tty::receive(uint8_t c)
{
	last_input_ns_ = now_ns();
	if (termios_.iflag & ISTRIP)
		c &= 127;
	if (!literal_) {
		if (termios_.iflag & IXON) {
			const bool start = is(VSTART, c), stop = is(VSTOP, c);
			if (start || stop || (stopped_ && (termios_.iflag & IXANY))) {
				stopped_ = stop;
				if (start || stop)
					return;
			}
		}
		if (receive_signal(c))
			return;
		if (c == '\r' && (termios_.iflag & IGNCR))
			return;
		if (c == '\r' && (termios_.iflag & ICRNL))
			c = '\n';
		else if (c == '\n' && (termios_.iflag & INLCR))
			c = '\r';
		if (canonical() && is(VLNEXT, c) && (termios_.lflag & IEXTEN)) {
			literal_ = true;
			return;
		}
		if (canonical() && receive_edit(c))
			return;
	}
	literal_ = false;
	if (!canonical()) {
		raw_ += char(c);
		echo(c);
		changed.wake_all();
	} else if (line_.size() < kLineMax) {
		line_ += char(c);
		echo(c);
	}
}

// Input that was typed under one mode stays readable under the other.
void Tty::mode_changed(bool was_canonical)
{
	if (was_canonical == canonical())
		return;
	if (was_canonical) {
		for (const KString &l : lines_)
			raw_ += l;
		raw_ += line_;
		line_.clear();
		lines_.clear();
		lines_bytes_ = 0;
	} else if (!raw_.empty()) {
		line_ = std::move(raw_);
		raw_ = KString();
		end_line();
	}
	changed.wake_all();
}

size_t Tty::readable() const
{
	if (canonical())
		return lines_.empty() ? 0 : lines_.front().size();
	return raw_.size();
}

long Tty::take_line(IoBuffer &to)
{
	KString &line = lines_.front();
	const long r = line.empty() ? 0 : to.put(line.data(), std::min(line.size(), to.left()));
	if (r < 0)
		return r;
	lines_bytes_ -= size_t(r);
	line.erase(0, size_t(r));
	if (line.empty()) {
		lines_.pop_front();
		--lines_bytes_;
	}
	return r;
}

// MIN and TIME as termios(3) has them.
long Tty::read_raw(Thread &t, const File &file, IoBuffer &to)
{
	CallState &call = thread_call(t);
	const size_t min = termios_.cc[VMIN];
	const uint64_t time = termios_.cc[VTIME] * kTenthNs;
	const bool enough = raw_.size() >= std::min(min, to.left()) && (min || !raw_.empty() || !time);
	const bool late = min ? time && !raw_.empty() && now_ns() >= last_input_ns_ + time
	    : call.again && call.deadline_ns && now_ns() >= call.deadline_ns;
	if (!enough && !late && !input_ended_) {
		const long r = block_on(t, file, changed);
		if (r != kBlocked)
			return raw_.empty() ? r : read_some_raw(to);
		if (min && time && !raw_.empty())
			wait_until(t, last_input_ns_ + time);
		if (!min) {
			if (!call.deadline_ns)
				call.deadline_ns = now_ns() + time;
			wait_until(t, call.deadline_ns);
		}
		return kBlocked;
	}
	return read_some_raw(to);
}

long Tty::read_some_raw(IoBuffer &to)
{
	const long r = raw_.empty() ? 0 : to.put(raw_.data(), std::min(raw_.size(), to.left()));
	if (r > 0)
		raw_.erase(0, size_t(r));
	return r;
}

long Tty::read(Thread &t, const File &file, IoBuffer &to)
{
	if (const long r = background(t, kSigTtin, true))
		return r;
	if (!to.left())
		return 0;
	long r;
	if (!canonical())
		r = read_raw(t, file, to);
	else if (!lines_.empty())
		r = take_line(to);
	else
		r = input_ended_ ? 0 : block_on(t, file, changed);
	if (r >= 0)
		poll_host();	// there may be room for more input now
	return r;
}

}  // namespace minivk
