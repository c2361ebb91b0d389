/* Stands in for in.telnetd behind a port channel of User Mode Linux: makes a terminal, hands it over through descriptor 3 as port-helper does,
 * and copies between it and the connection (descriptor 0). */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void)
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
	if (sendmsg(3, &m, 0) < 0)
		return 1;
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
