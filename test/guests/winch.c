/* winch: says the size of its terminal, again at every SIGWINCH; ends with a line of input. */
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>

static volatile sig_atomic_t changed = 1;
static void on_winch(int sig) { (void)sig; changed = 1; }

int main(void)
{
	struct sigaction a = {.sa_handler = on_winch};
	struct pollfd input = { 0, POLLIN, 0 };
	struct winsize size;
	sigset_t blocked, open;

	sigemptyset(&open);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGWINCH);
	sigprocmask(SIG_BLOCK, &blocked, NULL);	/* comes in ppoll only: none is lost */
	sigaction(SIGWINCH, &a, NULL);
	do {
		if (changed) {
			changed = 0;
			ioctl(0, TIOCGWINSZ, &size);
			printf("size %d %d\n", size.ws_row, size.ws_col);
			fflush(stdout);
		}
	} while (ppoll(&input, 1, NULL, &open) != 1);
	return 0;
}
