/* Stands in for in.telnetd behind a port channel of User Mode Linux: makes a terminal, hands it over through descriptor 3 as port-helper does,
 * and copies between it and the connection (descriptor 0). With "-uml-socket PATH" among its arguments it stands in for an xterm. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* where an xterm's helper sends the terminal; 3 for a port's */
static int socket_of(int argc, char **argv)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	for (int i = 1; i + 1 < argc; i++)
		if (!strcmp(argv[i], "-uml-socket")) {
			int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
			strncpy(a.sun_path, argv[i + 1], sizeof a.sun_path - 1);
			return connect(fd, (void *)&a, sizeof a) ? -1 : fd;
		}
	return 3;
}

int main(int argc, char **argv)
{
	int pid = getpid(), master = posix_openpt(O_RDWR | O_NOCTTY), slave;
	union { struct cmsghdr head; char bytes[CMSG_SPACE(sizeof(int))]; } control;
	struct iovec v = { &pid, sizeof pid };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
	struct pollfd p[2] = { { 0, POLLIN, 0 }, { master, POLLIN, 0 } };
	char block[4096];
	if (master < 0 || unlockpt(master) || (slave = open(ptsname(master), O_RDWR | O_NOCTTY)) < 0)
		return 1;
	memset(&control, 0, sizeof control);
	control.head.cmsg_len = CMSG_LEN(sizeof(int));
	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	memcpy(CMSG_DATA(&control.head), &slave, sizeof slave);
	int to = socket_of(argc, argv);
	if (sendmsg(to, &m, 0) < 0)
		return 1;
	if (to != 3)
		p[0].fd = -1;		/* a window: nobody types */
	for (;;) {
		ssize_t n;
		if (poll(p, 2, -1) < 0)
			return 1;
		if (p[0].revents && ((n = read(0, block, sizeof block)) <= 0 || write(master, block, n) != n))
			return 0;
		if (p[1].revents && ((n = read(master, block, sizeof block)) <= 0 || write(1, block, n) != n))
			return 0;
	}
}
