// What stty, shells and editors ask of a terminal.
#include "tty.h"

#include <cstring>
#include <sys/ioctl.h>

namespace minivk {

namespace {
constexpr uint32_t kTcGets2 = 0x802c542a, kTcSets2 = 0x402c542b, kTcSetsW2 = 0x402c542c, kTcSetsF2 = 0x402c542d;
}

long Tty::drain(Thread &t, const File &)
{
	flush_output();
	if (!out_used_)
		return 0;
	if (thread_call(t).interrupted)
		return kRestartSys;
	wait_on(t, changed);
	return kBlocked;
}

long Tty::flush(int which)
{
	if (which != TCIFLUSH && which != TCOFLUSH && which != TCIOFLUSH)
		return -EINVAL;
	if (which != TCOFLUSH)
		flush_input();
	if (which != TCIFLUSH) {
		out_used_ = 0;
		changed.wake_all();
	}
	poll_host();
	return 0;
}

// kind: TCSETS, TCSETSW (after the output is out) or TCSETSF (and input is thrown away).
long Tty::set_termios(Thread &t, const File &file, uint32_t kind, uint64_t arg, size_t bytes)
{
	if (const long r = background(t, kSigTtou, false))
		return r;
	if (kind != TCSETS)
		if (const long r = drain(t, file))
			return r;
	KTermios wanted = termios_;
	if (copy_in(thread_space(t), arg, &wanted, bytes) != 0)
		return -EFAULT;
	if (kind == TCSETSF)
		flush_input();
	const bool was_canonical = canonical();
	termios_ = wanted;
	if (!(termios_.iflag & IXON))
		stopped_ = false;
	mode_changed(was_canonical);
	poll_host();
	return 0;
}

long Tty::set_foreground(Thread &t, uint64_t arg)
{
	Process &p = thread_process(t);
	if (p.terminal != this || session != p.sid)
		return -ENOTTY;
	if (const long r = background(t, kSigTtou, false))
		return r;
	int32_t group;
	if (copy_in(thread_space(t), arg, &group) != 0)
		return -EFAULT;
	for (const auto &other : kernel().processes)
		if (other.second->pgid == group && other.second->sid == session) {
			foreground = group;
			return 0;
		}
	return group < 0 ? -EINVAL : -EPERM;
}

long Tty::claim(Thread &t, bool steal)
{
	Process &p = thread_process(t);
	if (p.terminal == this && session == p.sid)
		return 0;
	if (p.pid != p.sid || p.terminal)
		return -EPERM;
	if (session) {
		if (!steal)
			return -EPERM;
		drop_session(false);
	}
	take_session(p);
	return 0;
}

long Tty::ioctl(Thread &t, const File &file, uint32_t request, uint64_t arg)
{
	AddressSpace &as = thread_space(t);
	Process &p = thread_process(t);
	switch (request) {
	case TCGETS: return copy_out(as, arg, &termios_, kTermiosBytes);
	case kTcGets2: return copy_out(as, arg, &termios_, sizeof termios_);
	case TCSETS:
	case TCSETSW:
	case TCSETSF: return set_termios(t, file, request, arg, kTermiosBytes);
	case kTcSets2:
	case kTcSetsW2:
	case kTcSetsF2: return set_termios(t, file, TCSETS + (request - kTcSets2), arg, sizeof termios_);
	case TIOCGWINSZ: return copy_out(as, arg, size_);
	case TIOCSWINSZ: {
		WinSize size;
		if (copy_in(as, arg, &size) != 0)
			return -EFAULT;
		const bool terminal = has_terminal_;
		resize(size);
		has_terminal_ = terminal;
		return 0;
	}
	case TIOCGPGRP: return p.terminal == this ? copy_out(as, arg, int32_t(foreground)) : -ENOTTY;
	case TIOCSPGRP: return set_foreground(t, arg);
	case TIOCGSID: return p.terminal == this ? copy_out(as, arg, int32_t(session)) : -ENOTTY;
	case TIOCSCTTY: return claim(t, arg == 1);
	case TIOCNOTTY:
		if (p.terminal != this)
			return -ENOTTY;
		if (p.pid == p.sid)
			drop_session(true);
		p.terminal = nullptr;
		return 0;
	case FIONREAD: return copy_out(as, arg, int32_t(readable()));
	case TIOCOUTQ: return copy_out(as, arg, int32_t(out_used_));
	case TCFLSH: return flush(int(arg));
	case TCSBRK: return drain(t, file);	// tcdrain; a break has no meaning here
	case TCSBRKP: return 0;
	case TCXONC:
		if (arg == TCOOFF || arg == TCOON)
			stopped_ = arg == TCOOFF;
		flush_output();
		return 0;
	default: return -ENOTTY;
	}
}

}  // namespace minivk
