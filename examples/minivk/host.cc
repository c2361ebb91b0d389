// Small services of the host: the log, random numbers, the end.
#include "host.h"

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/random.h>
#include <unistd.h>

#include "host_console.h"
#include "mem_state.h"

namespace minivk {

void host_random(void *to, size_t bytes)
{
	for (char *at = static_cast<char *>(to); bytes;) {
		ssize_t n = getrandom(at, bytes, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			kernel_panic("the host has no random numbers");
		at += n;
		bytes -= size_t(n);
	}
}

std::string folder_of(const std::string &path)
{
	const size_t slash = path.rfind('/');
	return slash == path.npos ? "." : slash ? path.substr(0, slash) : "/";
}

namespace {

// Names that an image holds must not steer the terminal: control characters, also those of Unicode's second set, become '?'.
void clean(char *text)
{
	for (unsigned char before = 0; unsigned char c = static_cast<unsigned char>(*text); before = c, text++) {
		if (c < 0x20 || c == 0x7f || (c >= 0x80 && c < 0xa0 && before < 0x80))
			*text = '?';
		else if (c >= 0x80 && c < 0xa0 && before == 0xc2)
			text[-1] = text[0] = '?';
	}
}

}  // namespace

// One write per line: lines of several threads do not mix. A terminal in raw mode wants a carriage return.
void host_log(const char *format, ...)
{
	char line[512];
	int n = snprintf(line, sizeof line, "minivk: ");
	va_list args;
	va_start(args, format);
	n += vsnprintf(line + n, sizeof line - size_t(n) - 2, format, args);
	va_end(args);
	clean(line);
	if (size_t(n) > sizeof line - 3)
		n = sizeof line - 3;
	if (isatty(STDERR_FILENO))
		line[n++] = '\r';
	line[n++] = '\n';
	(void)!write(STDERR_FILENO, line, size_t(n));
}

void kernel_panic(const char *why)
{
	host_log("panic: %s", why);
	host_console_close();
	_exit(70);
}

}  // namespace minivk
