// Children and pseudo terminals for the tests of minivk.
#include "test/e2e/vk.h"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

namespace vktest {

namespace {

using Clock = std::chrono::steady_clock;

int left_ms(Clock::time_point end)
{
	const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
	return left > 0 ? int(left) : 0;
}

int status_of(int wait_status)
{
	return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

// In the child: becomes minivk, and dies with the test.
[[noreturn]] void become(const std::vector<std::string> &arguments, const std::string &folder)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!folder.empty() && chdir(folder.c_str()) != 0)
		_exit(126);
	const std::string path = minivk_path();
	std::vector<char *> argv = {const_cast<char *>(path.c_str())};
	for (const std::string &a : arguments)
		argv.push_back(const_cast<char *>(a.c_str()));
	argv.push_back(nullptr);
	execv(path.c_str(), argv.data());
	_exit(127);
}

// The status of a child, which is killed when it has not ended at the deadline.
int reap(pid_t pid, Clock::time_point end)
{
	int status = 0;
	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (left_ms(end) == 0) {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			return -1;
		}
		poll(nullptr, 0, 5);
	}
	return status_of(status);
}

void drain(int *fd, std::string *to)
{
	char bytes[16384];
	const ssize_t n = read(*fd, bytes, sizeof bytes);
	if (n > 0)
		to->append(bytes, size_t(n));
	else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		close(*fd);
		*fd = -1;
	}
}

void feed(int *fd, const std::string &input, size_t *done)
{
	const ssize_t n = write(*fd, input.data() + *done, input.size() - *done);
	if (n > 0)
		*done += size_t(n);
	if (*done == input.size() || (n < 0 && errno != EAGAIN)) {
		close(*fd);
		*fd = -1;
	}
}

struct Pipes {
	int in[2], out[2], err[2];
	Pipes()
	{
		for (int *p : {in, out, err})
			if (pipe2(p, O_CLOEXEC) != 0)
				abort();
	}
};

}  // namespace

std::string minivk_path()
{
	return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "../../bin/minivk").lexically_normal();
}

Outcome run(const Spec &spec)
{
	std::vector<std::string> arguments = spec.options;
	if (!spec.program.empty()) {
		arguments.push_back("--");
		arguments.insert(arguments.end(), spec.program.begin(), spec.program.end());
	}
	signal(SIGPIPE, SIG_IGN);
	Pipes p;
	const pid_t pid = fork();
	if (pid == 0) {
		signal(SIGPIPE, SIG_DFL);
		dup2(p.in[0], 0);
		dup2(p.out[1], 1);
		dup2(p.err[1], 2);
		become(arguments, spec.folder);
	}
	close(p.in[0]);
	close(p.out[1]);
	close(p.err[1]);
	int in = p.in[1], out = p.out[0], err = p.err[0];
	fcntl(in, F_SETFL, O_NONBLOCK);
	Outcome outcome;
	size_t fed = 0;
	const auto end = Clock::now() + std::chrono::seconds(spec.deadline_s);
	if (spec.input.empty()) {
		close(in);
		in = -1;
	}
	while ((out >= 0 || err >= 0) && left_ms(end)) {
		pollfd fds[3] = {{out, POLLIN, 0}, {err, POLLIN, 0}, {in, POLLOUT, 0}};
		poll(fds, 3, left_ms(end));
		if (out >= 0 && fds[0].revents)
			drain(&out, &outcome.out);
		if (err >= 0 && fds[1].revents)
			drain(&err, &outcome.err);
		if (in >= 0 && fds[2].revents)
			feed(&in, spec.input, &fed);
	}
	outcome.status = reap(pid, end);
	for (int fd : {in, out, err})
		if (fd >= 0)
			close(fd);
	return outcome;
}

Outcome sh(const std::string &script, std::vector<std::string> options)
{
	Spec spec;
	spec.options = std::move(options);
	spec.program = {"/bin/sh", "-c", script};
	return run(spec);
}

Session::Session(std::vector<std::string> arguments, unsigned short rows, unsigned short cols)
{
	winsize size = {rows, cols, 0, 0};
	pid_ = forkpty(&master_, nullptr, nullptr, &size);
	if (pid_ == 0)
		become(arguments, {});
	fcntl(master_, F_SETFD, FD_CLOEXEC);
}

Session::~Session()
{
	if (pid_ > 0) {
		kill(pid_, SIGKILL);
		waitpid(pid_, nullptr, 0);
	}
	if (master_ >= 0)
		close(master_);
}

void Session::send(const std::string &bytes)
{
	size_t done = 0;
	while (done < bytes.size()) {
		const ssize_t n = write(master_, bytes.data() + done, bytes.size() - done);
		if (n <= 0)
			return;
		done += size_t(n);
	}
}

bool Session::read_more(int timeout_ms)
{
	pollfd fd = {master_, POLLIN, 0};
	if (poll(&fd, 1, timeout_ms) <= 0)
		return false;
	char bytes[16384];
	const ssize_t n = read(master_, bytes, sizeof bytes);
	if (n <= 0)
		return false;
	all_.append(bytes, size_t(n));
	return true;
}

bool Session::expect(const std::string &text, int deadline_s)
{
	const auto end = Clock::now() + std::chrono::seconds(deadline_s);
	for (;;) {
		const size_t at = all_.find(text, matched_);
		if (at != std::string::npos) {
			matched_ = at + text.size();
			return true;
		}
		if (!read_more(left_ms(end)))
			return false;
	}
}

bool Session::raw(int deadline_s)
{
	const auto end = Clock::now() + std::chrono::seconds(deadline_s);
	for (termios modes; left_ms(end) != 0; poll(nullptr, 0, 5))
		if (tcgetattr(master_, &modes) == 0 && !(modes.c_lflag & ISIG))
			return true;
	return false;
}

void Session::resize(unsigned short rows, unsigned short cols)
{
	winsize size = {rows, cols, 0, 0};
	ioctl(master_, TIOCSWINSZ, &size);
}

int Session::wait(int deadline_s)
{
	const auto end = Clock::now() + std::chrono::seconds(deadline_s);
	int status = 0;
	pid_t done;
	// Its last output must be taken from it, or it could not end.
	while ((done = waitpid(pid_, &status, WNOHANG)) == 0 && left_ms(end))
		if (!read_more(20))
			poll(nullptr, 0, 5);
	while (done == pid_ && read_more(0))
		continue;
	if (done == 0) {
		kill(pid_, SIGKILL);
		waitpid(pid_, nullptr, 0);
	}
	pid_ = -1;
	return done > 0 ? status_of(status) : -1;
}

}  // namespace vktest
