/* In the guest: says "WINCH ROWS COLUMNS" whenever a signal tells that the window of its terminal (standard input) has changed. */
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>

int main(void)
{
	sigset_t set;
	struct winsize w;
	int sig;
	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	sigprocmask(SIG_BLOCK, &set, NULL);
	printf("WATCHING\n");
	fflush(stdout);
	while (sigwait(&set, &sig) == 0)
		if (ioctl(0, TIOCGWINSZ, &w) == 0) {
			printf("WINCH %d %d\n", w.ws_row, w.ws_col);
			fflush(stdout);
		}
	return 1;
}
