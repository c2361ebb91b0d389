// The terminal: a line discipline over the host's console. Input that is not read yet and output that the host has no
// room for are in RAM, both bounded: a full output queue blocks the guest's writers, never the kernel.
#ifndef MINIVK_TTY_H
#define MINIVK_TTY_H

#include <termios.h>

#include "files.h"
#include "host.h"
#include "process.h"

namespace minivk {

struct KTermios {	// Linux' struct termios for TCGETS; the two speeds belong to TCGETS2 only
	uint32_t iflag, oflag, cflag, lflag;
	uint8_t line, cc[19];
	uint32_t ispeed, ospeed;
};
static_assert(sizeof(KTermios) == 44);
constexpr size_t kTermiosBytes = 36;

class Tty final : public Counted {
public:
	Tty();
	long read(Thread &, const File &, IoBuffer &);
	long write(Thread &, const File &, IoBuffer &);
	uint32_t poll() const;
	long ioctl(Thread &, const File &, uint32_t request, uint64_t arg);
	void opened(Thread &, uint32_t flags);	// may become the controlling terminal of the opener's session
	WaitQueue changed;

	// Host side.
	void poll_host();		// moves input in and output out
	void resize(WinSize);

	// Sessions.
	void take_session(Process &leader);
	void drop_session(bool hangup);		// every process of the session loses its terminal
	int64_t session = 0, foreground = 0;

private:
	// tty_ldisc.cc
	void receive(uint8_t);
	bool receive_signal(uint8_t);
	bool receive_edit(uint8_t);
	void end_line();
	void echo(uint8_t);
	void erase_one(bool show);
	void erase_word();
	bool is(int which, uint8_t c) const { return termios_.cc[which] && c == termios_.cc[which]; }
	bool canonical() const { return termios_.lflag & ICANON; }
	size_t input_room() const;
	size_t readable() const;
	long take_line(IoBuffer &);
	long read_raw(Thread &, const File &, IoBuffer &);
	long read_some_raw(IoBuffer &);
	void mode_changed(bool was_canonical);
	void flush_input();

	// tty.cc
	void emit(uint8_t);		// through output processing, dropped when there is no room
	void put_out(uint8_t);
	size_t out_room() const { return sizeof out_ - out_used_; }
	void flush_output();
	long background(Thread &, int sig, bool even_if_tostop_is_off);

	// tty_ioctl.cc
	long set_termios(Thread &, const File &, uint32_t kind, uint64_t arg, size_t bytes);
	long set_foreground(Thread &, uint64_t arg);
	long claim(Thread &, bool steal);
	long drain(Thread &, const File &);
	long flush(int which);

	KTermios termios_;
	WinSize size_ = {};
	bool has_terminal_ = false;	// the host's console is a terminal: else no echo and no CR before LF
	bool input_ended_ = false;
	bool stopped_ = false;		// by the stop character
	bool literal_ = false;		// the next byte is data
	uint32_t column_ = 0;
	uint64_t last_input_ns_ = 0;

	KString line_;			// canonical: under edit
	KDeque<KString> lines_;		// canonical: complete; an empty one is an end of file
	size_t lines_bytes_ = 0;
	KString raw_;

	size_t out_start_ = 0, out_used_ = 0;
	char out_[16384];
};

// The session's leader has ended: its terminal hangs up.
void tty_session_ended(int64_t sid);
Ref<File> make_tty_file(Ref<Tty>);

}  // namespace minivk
#endif
