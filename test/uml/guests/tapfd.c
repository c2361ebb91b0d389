/* tapfd INTERFACE FD COMMAND...: runs the command with a socket as descriptor FD whose packets are those of a tap interface of the host, as a
 * service that hands out network devices would. A process of its own copies between the two, and ends with the command; that of the command
 * before may take a moment to end, and keeps the interface until then. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int attached(int tap, struct ifreq *r)
{
	for (int tenths = 300; ioctl(tap, TUNSETIFF, r); tenths--) {
		if (errno != EBUSY || tenths == 0)
			return 0;
		usleep(100000);
	}
	return 1;
}

static void relay(int tap, int packets)
{
	struct pollfd p[2] = { { tap, POLLIN, 0 }, { packets, POLLIN, 0 } };
	static char frame[65536];
	for (;;) {
		ssize_t n;
		if (poll(p, 2, -1) < 0)
			return;
		if ((p[0].revents & POLLIN) && (n = read(tap, frame, sizeof frame)) > 0)
			send(packets, frame, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (p[1].revents && ((n = recv(packets, frame, sizeof frame, 0)) <= 0 || write(tap, frame, n) < 0))
			return;
	}
}

int main(int argc, char **argv)
{
	struct ifreq r;
	int tap = open("/dev/net/tun", O_RDWR), s[2];
	if (argc < 4)
		return 2;
	memset(&r, 0, sizeof r);
	r.ifr_flags = IFF_TAP | IFF_NO_PI;
	snprintf(r.ifr_name, IFNAMSIZ, "%s", argv[1]);
	if (tap < 0 || !attached(tap, &r) || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s)) {
		perror(argv[1]);
		return 1;
	}
	pid_t parent = getpid();
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		close(s[0]);
		relay(tap, s[1]);
		_exit(0);
	}
	if (s[0] != atoi(argv[2]) && dup2(s[0], atoi(argv[2])) < 0)
		return 1;
	for (int fd = 3; fd < 20; fd++)
		if (fd != atoi(argv[2]))
			close(fd);
	execvp(argv[3], argv + 3);
	perror(argv[3]);
	return 127;
}
