/*
 * terminal ROWS COLUMNS COMMAND... <SCRIPT: runs a command on a terminal of its own and does what the script's lines say.
 * COMMAND "-": nobody runs on it and it is no session's; others open it by its name.
 *
 *   send TEXT          types it; \r \n \t \e \\ and \xHH are understood
 *   expect TEXT        waits until it has appeared behind what was expected before
 *   not TEXT           it has not appeared anywhere so far
 *   size ROWS COLUMNS  the window is resized
 *   raw, cooked        waits until the terminal is in that mode
 *   name FILE          writes the name of the terminal (/dev/pts/N) there
 *   host COMMAND       runs a shell command beside it, which must succeed
 *   end STATUS         waits for the command's end and compares its status
 *
 * All that appears goes to the standard output. Status 0, or 1 and a line that says which step failed. A step may take 90 seconds.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { STEP_S = 90, SEEN = 1 << 20 };

static int master;
static pid_t child;
static char seen[SEEN + 1];
static size_t seen_bytes, expected;

static void fail(const char *step)
{
	printf("\nterminal: this step failed: %s\n", step);
	fflush(stdout);
	if (child)
		kill(child, SIGKILL);
	exit(1);
}

/* Takes what there is, for up to timeout_ms. 0: nothing came. */
static int listen_for(int timeout_ms)
{
	struct pollfd p = { master, POLLIN, 0 };
	char block[4096];
	if (poll(&p, 1, timeout_ms) <= 0)
		return 0;
	ssize_t n = read(master, block, sizeof block);
	if (n <= 0) {			/* nobody has the other side open just now */
		usleep(20000);
		return 0;
	}
	fwrite(block, 1, n, stdout);
	fflush(stdout);
	for (ssize_t i = 0; i < n; i++)
		if (block[i] && seen_bytes < SEEN)
			seen[seen_bytes++] = block[i];
	seen[seen_bytes] = 0;
	return 1;
}

static void unescape(char *s)
{
	char *out = s;
	for (; *s; s++) {
		if (*s != '\\') {
			*out++ = *s;
			continue;
		}
		s++;
		if (*s == 'x') {
			char hex[3] = { s[1], s[2], 0 };
			*out++ = strtol(hex, NULL, 16);
			s += 2;
		} else {
			*out++ = *s == 'r' ? '\r' : *s == 'n' ? '\n' : *s == 't' ? '\t' : *s == 'e' ? 27 : *s;
		}
	}
	*out = 0;
}

static int canonical(void)
{
	struct termios t;
	return tcgetattr(master, &t) == 0 && (t.c_lflag & ICANON) && (t.c_lflag & ECHO);
}

static void resize(int rows, int columns)
{
	struct winsize w = { .ws_row = rows, .ws_col = columns };
	ioctl(master, TIOCSWINSZ, &w);
}

static int ended(int *status)
{
	return waitpid(child, status, WNOHANG) == child;
}

static void step(char *line)
{
	char whole[1000], *arg = strchr(line, ' ');
	time_t until = time(NULL) + STEP_S;
	int rows, columns, status;
	snprintf(whole, sizeof whole, "%s", line);
	if (arg)
		*arg++ = 0;
	else
		arg = line + strlen(line);
	if (!strcmp(line, "send")) {
		unescape(arg);
		for (char *p = arg; *p; p++) {
			if (write(master, p, 1) != 1)
				fail(whole);
			listen_for(2);
		}
	} else if (!strcmp(line, "expect")) {
		char *at;
		unescape(arg);
		while (!(at = strstr(seen + expected, arg)))
			if (!listen_for(200) && time(NULL) > until)
				fail(whole);
		expected = at - seen + strlen(arg);
	} else if (!strcmp(line, "not")) {
		unescape(arg);
		while (listen_for(100))
			;
		if (strstr(seen, arg))
			fail(whole);
	} else if (!strcmp(line, "size") && sscanf(arg, "%d %d", &rows, &columns) == 2) {
		resize(rows, columns);
	} else if (!strcmp(line, "raw") || !strcmp(line, "cooked")) {
		while (canonical() != (*line == 'c'))
			if (!listen_for(50) && time(NULL) > until)
				fail(whole);
	} else if (!strcmp(line, "name")) {
		FILE *f = fopen(arg, "w");
		if (!f || fprintf(f, "%s\n", ptsname(master)) < 0 || fclose(f))
			fail(whole);
	} else if (!strcmp(line, "host")) {
		pid_t pid = fork();
		if (pid == 0) {
			close(master);
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			execl("/bin/sh", "sh", "-c", arg, NULL);
			_exit(127);
		}
		while (waitpid(pid, &status, WNOHANG) == 0)
			listen_for(20);		/* or whoever writes to it would stand still */
		if (status)
			fail(whole);
	} else if (!strcmp(line, "end")) {
		while (!ended(&status))
			if (!listen_for(50) && time(NULL) > until)
				fail(whole);
		while (listen_for(50))
			;
		if (!WIFEXITED(status) || WEXITSTATUS(status) != atoi(arg)) {
			printf("\nterminal: ended with %d", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
			fail(whole);
		}
	} else {
		fail(whole);
	}
}

int main(int argc, char **argv)
{
	char line[1000];
	if (argc < 4)
		return 2;
	master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (master < 0 || grantpt(master) || unlockpt(master)) {
		perror("terminal");
		return 1;
	}
	resize(atoi(argv[1]), atoi(argv[2]));
	if (!strcmp(argv[3], "-")) {
		child = 0;
		open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);	/* stays there when others close it */
	} else if ((child = fork()) == 0) {
		setsid();
		int slave = open(ptsname(master), O_RDWR);
		ioctl(slave, TIOCSCTTY, 0);
		dup2(slave, 0);
		dup2(slave, 1);
		dup2(slave, 2);
		if (slave > 2)
			close(slave);
		execvp(argv[3], argv + 3);
		perror(argv[3]);
		_exit(127);
	}
	while (fgets(line, sizeof line, stdin)) {
		line[strcspn(line, "\n")] = 0;
		if (*line && *line != '#')
			step(line);
	}
	return 0;
}
