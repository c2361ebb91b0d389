/* wire SECONDS INTERFACE MAC...: listens on a network interface of the host until each MAC has told where it is by a gratuitous ARP (sender and
 * target address are the same). Says "ready" when it listens. Status 0, or 1 when the time is over. */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	struct sockaddr_ll a = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ARP), .sll_ifindex = if_nametoindex(argv[2]) };
	int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ARP)), left = argc - 3;
	time_t end = time(NULL) + atoi(argv[1]);
	if (fd < 0 || bind(fd, (void *)&a, sizeof a) < 0) {
		perror("wire");
		return 2;
	}
	printf("ready\n");
	fflush(stdout);
	while (left && time(NULL) < end) {
		unsigned char f[1600];
		struct pollfd p = { fd, POLLIN, 0 };
		if (poll(&p, 1, 500) <= 0)
			continue;
		ssize_t n = recv(fd, f, sizeof f, 0);
		if (n < 42)
			continue;		/* ethernet 14, then ARP: sender's MAC at 8, its IP at 14, target's IP at 24 */
		unsigned char *arp = f + 14;
		char mac[20];
		snprintf(mac, sizeof mac, "%02x:%02x:%02x:%02x:%02x:%02x", arp[8], arp[9], arp[10], arp[11], arp[12], arp[13]);
		if (memcmp(arp + 14, arp + 24, 4))
			continue;
		for (int i = 3; i < argc; i++)
			if (!strcmp(argv[i], mac)) {
				printf("%s is %d.%d.%d.%d\n", mac, arp[14], arp[15], arp[16], arp[17]);
				argv[i] = "";
				left--;
			}
	}
	return left != 0;
}
