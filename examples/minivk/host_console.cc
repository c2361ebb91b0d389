// Console back ends. Descriptors of the caller (a terminal or pipe shared with others) keep their modes: they are opened
// again through /proc/self/fd so that O_NONBLOCK is ours alone; where that cannot be, poll() comes before each transfer.
#include "host_console.h"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <pty.h>
#include <string>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "host.h"
#include "host_cpu.h"

namespace minivk {

bool host_console_deaf = false;

namespace {

int in_fd = -1, out_fd = -1;
int pty_slave = -1;		// kept open, so that the master sees no end while nobody is attached
bool polled_in = false, polled_out = false;	// blocking descriptors: ask first
bool is_socket = false;
std::string kind, pty_name, link_path;	// the last: made, so to be removed
termios saved_modes;
bool modes_saved = false;
std::atomic<bool> want_read{true}, want_write{false}, input_ended{false};

bool starts(const char *prefix) { return kind.compare(0, strlen(prefix), prefix) == 0; }

void restore_modes()
{
	if (modes_saved)
		tcsetattr(STDIN_FILENO, TCSANOW, &saved_modes);
}

// A description of our own without blocking; the old descriptor, and *polled set, where the host has none to give.
int reopen(int fd, int flags, bool *polled)
{
	struct stat st;
	*polled = false;
	if (fstat(fd, &st) != 0)
		return -1;
	if (S_ISREG(st.st_mode))
		return fd;
	if (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode)) {
		char path[32];
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		int own = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (own >= 0)
			return own;
	}
	*polled = true;
	is_socket = is_socket || S_ISSOCK(st.st_mode);
	return fd;
}

std::atomic<bool> winch{false};

void on_winch(int)
{
	winch = true;
	host_events_poke();
}

bool open_stdio()
{
	in_fd = host_console_deaf ? -1 : reopen(STDIN_FILENO, O_RDONLY, &polled_in);
	out_fd = reopen(STDOUT_FILENO, O_WRONLY, &polled_out);
	if (in_fd < 0)
		input_ended = true;
	return true;
}

void make_raw()
{
	// In the background tcsetattr would stop us: then the terminal is somebody else's.
	if (isatty(STDIN_FILENO) && tcgetpgrp(STDIN_FILENO) == getpgrp() && tcgetattr(STDIN_FILENO, &saved_modes) == 0) {
		termios raw = saved_modes;
		cfmakeraw(&raw);
		raw.c_cc[VMIN] = 1;
		raw.c_cc[VTIME] = 0;
		modes_saved = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
		atexit(restore_modes);
	}
}

// 0: a name can be made in its folder, which is all that may be known of it before it is made; else an errno.
int cannot_make(const std::string &path)
{
	return faccessat(AT_FDCWD, folder_of(path).c_str(), W_OK | X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

// What lies in a folder like /tmp may have been put there by another user: his file, or another name of a file of ours.
bool may_be_planted(const std::string &path, const struct stat &found)
{
	struct stat folder;
	if (stat(folder_of(path).c_str(), &folder) != 0 || !(folder.st_mode & S_ISVTX))
		return false;
	return (found.st_uid != geteuid() && found.st_uid != folder.st_uid) || (S_ISREG(found.st_mode) && found.st_nlink > 1);
}

bool open_pty(char *message, size_t bytes)
{
	char name[128];
	termios raw;
	cfmakeraw(&(raw = {}));
	raw.c_cflag |= CS8 | CREAD;
	winsize size = {24, 80, 0, 0};
	if (openpty(&in_fd, &pty_slave, name, &raw, &size) != 0) {
		snprintf(message, bytes, "no pseudo-terminal: %s; use --console stdio, log:FILE or null", strerror(errno));
		return false;
	}
	out_fd = in_fd;
	fcntl(in_fd, F_SETFL, O_NONBLOCK);
	fcntl(in_fd, F_SETFD, FD_CLOEXEC);
	fcntl(pty_slave, F_SETFD, FD_CLOEXEC);
	pty_name = name;
	return true;
}

// 0: a link to our terminal can be made there. A link of ours to a terminal, left by a vkernel that was killed, is replaced; nothing else is.
int cannot_link(const std::string &link)
{
	struct stat st;
	char target[16] = "";
	if (lstat(link.c_str(), &st) != 0)
		return errno == ENOENT ? cannot_make(link) : errno;
	const bool left_over = S_ISLNK(st.st_mode) && st.st_uid == geteuid() &&
	    readlink(link.c_str(), target, sizeof target - 1) > 0 && strncmp(target, "/dev/pts/", 9) == 0;
	return left_over ? cannot_make(link) : EEXIST;
}

bool refuse_link(int code, const std::string &link, char *message, size_t bytes)
{
	snprintf(message, bytes, "cannot make the link %s: %s; name a place that can be written", link.c_str(), strerror(code));
	return false;
}

bool make_link(const std::string &link, char *message, size_t bytes)
{
	int code = cannot_link(link);
	if (code == 0 && unlink(link.c_str()) != 0 && errno != ENOENT)
		code = errno;
	if (code == 0 && symlink(pty_name.c_str(), link.c_str()) != 0)
		code = errno;
	if (code != 0)
		return refuse_link(code, link, message, bytes);
	link_path = link;
	return true;
}

void remove_link()
{
	char target[128];
	const ssize_t n = link_path.empty() ? -1 : readlink(link_path.c_str(), target, sizeof target);
	if (n > 0 && pty_name == std::string(target, size_t(n)))	// not if somebody has put another in its place
		unlink(link_path.c_str());
	link_path.clear();
}

// create: O_CREAT or 0. An errno, or 0 and out_fd.
int open_log(const std::string &path, int create)
{
	const int follow = path.compare(0, 5, "/dev/") == 0 ? 0 : O_NOFOLLOW;	// others may lay a link to a file of ours in a shared folder
	const int fd = open(path.c_str(), O_WRONLY | create | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | follow, 0666);
	struct stat st;
	if (fd < 0)
		return errno;		// of a named pipe that nobody reads ENXIO: it is refused, not waited for
	if (fstat(fd, &st) != 0 || may_be_planted(path, st) || fcntl(fd, F_SETFL, O_APPEND) != 0) {
		close(fd);
		return EPERM;
	}
	out_fd = fd;
	return 0;
}

// Of a file that is not there yet: can it be made? A named pipe's reader would take the end of a look for the end of all.
int look_for_log(const std::string &path, ConsoleUse use)
{
	struct stat st;
	if (use == ConsoleUse::kLook && lstat(path.c_str(), &st) == 0 && S_ISFIFO(st.st_mode))
		return faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) == 0 ? 0 : errno;
	const int code = open_log(path, 0);
	return code == ENOENT ? cannot_make(path) : code;
}

bool refuse_log(int code, const std::string &path, char *message, size_t bytes)
{
	snprintf(message, bytes, "%s: %s; name a file that can be written", path.c_str(), strerror(code));
	return false;
}

}  // namespace

// Leaves everything as it is: a thaw may still be refused, or be a dry run.
bool host_console_open(const char *what, ConsoleUse use, char *message, unsigned long bytes)
{
	kind = what;
	signal(SIGPIPE, SIG_IGN);
	if (kind == "stdio")
		return open_stdio();
	if (kind == "pty" || (starts("pty:") && kind.size() > 4)) {
		const int code = kind == "pty" ? 0 : cannot_link(kind.substr(4));
		return code ? refuse_link(code, kind.substr(4), message, bytes) : open_pty(message, bytes);
	}
	input_ended = true;
	if (kind == "null")
		return true;
	if (starts("log:") && kind.size() > 4) {
		const int code = look_for_log(kind.substr(4), use);
		return code ? refuse_log(code, kind.substr(4), message, bytes) : true;
	}
	snprintf(message, bytes, "\"%s\" is none of stdio, pty, pty:LINK, log:FILE, null", what);
	return false;
}

bool host_console_start(char *message, unsigned long bytes)
{
	if (kind == "stdio") {
		struct sigaction action = {};
		action.sa_handler = on_winch;
		action.sa_flags = SA_RESTART;
		sigaction(SIGWINCH, &action, nullptr);
		make_raw();
		return true;
	}
	if (starts("pty")) {
		const bool made = kind == "pty" || make_link(kind.substr(4), message, bytes);
		host_log("console: %s", link_path.empty() ? pty_name.c_str() : link_path.c_str());
		return made;
	}
	const int code = starts("log:") && out_fd < 0 ? open_log(kind.substr(4), O_CREAT) : 0;
	return code ? refuse_log(code, kind.substr(4), message, bytes) : true;
}

void host_console_close()
{
	if (modes_saved)
		restore_modes();
	modes_saved = false;
	remove_link();
}

const char *host_console_kind() { return kind.c_str(); }

unsigned long host_console_poll_set(pollfd *fds)
{
	unsigned long n = 0;
	if (winch.exchange(false))
		host_post_news({false, true, false});
	if (want_read && !input_ended && in_fd >= 0)
		fds[n++] = {in_fd, POLLIN, 0};
	if (want_write && out_fd >= 0)
		fds[n++] = {out_fd, POLLOUT, 0};
	return n;
}

// Asked for once: a vCPU that finds nothing asks again.
void host_console_polled(int fd, short events)
{
	if (fd == out_fd && (events & (POLLOUT | POLLERR | POLLHUP)))
		want_write = false;
	if (fd == in_fd && (events & (POLLIN | POLLHUP | POLLERR | POLLNVAL)))
		want_read = false;
}

namespace {

bool ready(int fd, short event)
{
	pollfd p = {fd, event, 0};
	return poll(&p, 1, 0) == 1;
}

long nothing_yet()
{
	if (!want_read.exchange(true))
		host_events_poke();
	return 0;
}

}  // namespace

long host_console_read(void *to, size_t bytes)
{
	if (input_ended)
		return -1;
	if (polled_in && !ready(in_fd, POLLIN))
		return nothing_yet();
	ssize_t n = read(in_fd, to, bytes);
	if (n > 0)
		return n;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return nothing_yet();
	// EIO: a terminal whose job we are not, or the far side of a pty is closed for now.
	if (n < 0 && errno == EIO && pty_slave >= 0)
		return nothing_yet();
	input_ended = true;
	return -1;
}

long host_console_write(const void *from, size_t bytes)
{
	if (out_fd < 0)
		return long(bytes);
	if (polled_out && !is_socket) {
		if (!ready(out_fd, POLLOUT))
			return 0;
		bytes = bytes < 512 ? bytes : 512;	// room for that much is sure
	}
	ssize_t n = is_socket && polled_out ? send(out_fd, from, bytes, MSG_DONTWAIT | MSG_NOSIGNAL) : write(out_fd, from, bytes);
	if (n >= 0)
		return n;
	// Nobody reads any more: the guest writes into the void, as on a terminal that is switched off.
	return errno == EAGAIN || errno == EINTR ? 0 : long(bytes);
}

void host_console_want_write(bool on)
{
	if (want_write.exchange(on) != on && on)
		host_events_poke();
}

WinSize host_console_size()
{
	winsize ws = {};
	int fd = pty_slave >= 0 ? in_fd : STDOUT_FILENO;
	if ((kind == "stdio" || pty_slave >= 0) && (ioctl(fd, TIOCGWINSZ, &ws) == 0 || ioctl(STDIN_FILENO, TIOCGWINSZ, &ws) == 0))
		return {ws.ws_row, ws.ws_col, ws.ws_xpixel, ws.ws_ypixel};
	return {0, 0, 0, 0};
}

}  // namespace minivk
