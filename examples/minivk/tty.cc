// The terminal's output queue, its host side, job control and sessions.
#include "tty.h"

#include <algorithm>
#include <cstring>
#include <sys/ioctl.h>

namespace minivk {

Tty::Tty()
{
	termios_ = {};
	termios_.iflag = ICRNL | IXON | IUTF8;
	termios_.oflag = OPOST | ONLCR;
	termios_.cflag = B38400 | CS8 | CREAD | HUPCL;
	termios_.lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN;
	termios_.ispeed = termios_.ospeed = 38400;
	const struct { int which; uint8_t c; } defaults[] = {
		{VINTR, 3}, {VQUIT, 28}, {VERASE, 127}, {VKILL, 21}, {VEOF, 4}, {VTIME, 0}, {VMIN, 1}, {VSTART, 17}, {VSTOP, 19},
		{VSUSP, 26}, {VREPRINT, 18}, {VDISCARD, 15}, {VWERASE, 23}, {VLNEXT, 22},
	};
	for (const auto &d : defaults)
		termios_.cc[d.which] = d.c;
}

// --- output

void Tty::put_out(uint8_t c)
{
	if (out_room() == 0)
		return;
	out_[(out_start_ + out_used_) % sizeof out_] = char(c);
	++out_used_;
}

void Tty::emit(uint8_t c)
{
	if (!(termios_.oflag & OPOST)) {
		put_out(c);
		return;
	}
	if (c == '\n') {
		// A file or a pipe behind the console gets plain lines; the flag stays as the guest set it, for a later terminal.
		if ((termios_.oflag & ONLCR) && has_terminal_)
			put_out('\r');
		column_ = 0;
	} else if (c == '\r') {
		if (termios_.oflag & OCRNL)
			c = '\n';
		column_ = 0;
	} else if (c == '\t') {
		const uint32_t spaces = 8 - column_ % 8;
		column_ += spaces;
		if ((termios_.oflag & TABDLY) == TAB3) {
			for (uint32_t i = 0; i < spaces; ++i)
				put_out(' ');
			return;
		}
	} else if (c == '\b') {
		column_ -= column_ > 0;
	} else if (c >= 32) {
		++column_;
	}
	put_out(c);
}

void Tty::flush_output()
{
	const size_t before = out_used_;
	while (out_used_ && !stopped_) {
		const size_t n = std::min(out_used_, sizeof out_ - out_start_);
		const long r = host_console_write(out_ + out_start_, n);
		if (r < 0)
			out_used_ = 0;		// nobody will ever read it
		if (r <= 0)
			break;
		out_start_ = (out_start_ + size_t(r)) % sizeof out_;
		out_used_ -= size_t(r);
	}
	host_console_want_write(out_used_ && !stopped_);
	if (out_used_ != before)
		changed.wake_all();
}

long Tty::write(Thread &t, const File &file, IoBuffer &from)
{
	if (termios_.lflag & TOSTOP)
		if (const long r = background(t, kSigTtou, false))
			return r;
	if (!from.left())
		return 0;
	long done = 0;
	while (from.left() && out_room() >= 64) {
		char piece[512];
		const bool tabs = (termios_.oflag & TABDLY) == TAB3;
		const long r = from.get(piece, std::min({sizeof piece, from.left(), out_room() / (tabs ? 8 : 2)}));
		if (r <= 0)
			return done ? done : r;
		for (long i = 0; i < r; ++i)
			emit(uint8_t(piece[i]));
		done += r;
		flush_output();
	}
	return done ? done : block_on(t, file, changed);
}

uint32_t Tty::poll() const
{
	const size_t min = termios_.cc[VTIME] ? 1 : std::max<size_t>(termios_.cc[VMIN], 1);
	const bool ready = canonical() ? !lines_.empty() : raw_.size() >= min;
	return (ready || input_ended_ ? uint32_t(kPollIn) : 0) | (out_room() >= 256 ? uint32_t(kPollOut) : 0);
}

// --- the host

void Tty::poll_host()
{
	flush_output();
	for (;;) {
		uint8_t bytes[256];
		const size_t room = std::min(input_room(), sizeof bytes);
		if (room == 0)
			break;
		const long n = host_console_read(bytes, room);
		if (n < 0 && !input_ended_) {
			input_ended_ = true;
			if (canonical() && !line_.empty())
				end_line();
			changed.wake_all();
		}
		if (n >= 0)
			input_ended_ = false;	// a thaw can bring a console that has input again, be it later
		if (n <= 0)
			break;
		for (long i = 0; i < n; ++i)
			receive(bytes[i]);
	}
	flush_output();
}

void Tty::resize(WinSize size)
{
	has_terminal_ = size.rows != 0;
	if (memcmp(&size, &size_, sizeof size) == 0)
		return;
	size_ = size;
	if (foreground)
		signal_group(foreground, kSigWinch);
}

void console_interrupt()
{
	if (kernel().tty)
		kernel().tty->poll_host();
}

void console_resized()
{
	if (kernel().tty)
		kernel().tty->resize(host_console_size());
}

// --- job control

// Whether a process in the background may do this: 0, or what the call returns.
long Tty::background(Thread &t, int sig, bool ignoring_fails)
{
	const Process &p = thread_process(t);
	if (p.terminal != this || !foreground || p.pgid == foreground)
		return 0;
	if (signal_is_blocked_or_ignored(t, sig))
		return ignoring_fails ? -EIO : 0;
	if (group_is_orphaned(p.pgid))
		return -EIO;
	signal_group(p.pgid, sig);
	return kRestartSys;
}

void Tty::take_session(Process &leader)
{
	session = leader.sid;
	foreground = leader.pgid;
	leader.terminal = this;
}

void Tty::drop_session(bool hangup)
{
	if (hangup && foreground) {
		signal_group(foreground, kSigHup);
		signal_group(foreground, kSigCont);
	}
	for (auto &p : kernel().processes)
		if (p.second->sid == session && p.second->terminal == this)
			p.second->terminal = nullptr;
	session = foreground = 0;
}

void tty_session_ended(int64_t sid)
{
	Tty *tty = kernel().tty;
	if (tty && tty->session == sid)
		tty->drop_session(true);
}

void Tty::opened(Thread &t, uint32_t flags)
{
	Process &p = thread_process(t);
	if (!(flags & O_NOCTTY) && p.pid == p.sid && !p.terminal && !session)
		take_session(p);
}

// --- open files

namespace {

class TtyFile final : public File {
public:
	explicit TtyFile(Ref<Tty> tty) : tty_(std::move(tty)) {}
	long read(Thread &t, IoBuffer &to, uint64_t *) override { return tty_->read(t, *this, to); }
	long write(Thread &t, IoBuffer &from, uint64_t *) override { return tty_->write(t, *this, from); }
	uint32_t poll(Thread &, WaitQueue **queue) override
	{
		*queue = &tty_->changed;
		return tty_->poll();
	}
	long ioctl(Thread &t, uint32_t request, uint64_t arg) override { return tty_->ioctl(t, *this, request, arg); }
private:
	Ref<Tty> tty_;
};

}  // namespace

Ref<File> make_tty_file(Ref<Tty> tty) { return kmake<TtyFile>(std::move(tty)); }

}  // namespace minivk
