/*
 * On the host, outside the guest: outside ADDRESS STOPFILE. One connection to Redis and one to PostgreSQL, both spoken by hand and kept open; each
 * number is written to both and counts when both have acknowledged it. In the end all that were acknowledged must be there. Prints DONE N as it goes.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int connect_to(const char *address, int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct timeval wait = { 60, 0 };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	inet_pton(AF_INET, address, &a.sin_addr);
	if (connect(fd, (void *)&a, sizeof a) < 0)
		die("connect");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
	return fd;
}

static void put(int fd, const void *bytes, size_t count)
{
	if (write(fd, bytes, count) != (ssize_t)count)
		die("write");
}

static void get(int fd, void *bytes, size_t count)
{
	for (char *p = bytes; count > 0;) {
		ssize_t n = read(fd, p, count);
		if (n <= 0)
			die("read: the connection is gone");
		p += n;
		count -= n;
	}
}

static void redis_line(int fd, char *line, size_t room)
{
	size_t n = 0;
	do
		get(fd, line + n, 1);
	while (line[n++] != '\n' && n < room - 1);
	line[n] = 0;
}

/* PostgreSQL, protocol 3: messages {type, length, body}; returns when it is ready for the next query. *value: of the last row. */
static void pg_ready(int fd, char *value, size_t room)
{
	for (;;) {
		unsigned char head[5], body[8192];
		get(fd, head, 5);
		unsigned length = (head[1] << 24 | head[2] << 16 | head[3] << 8 | head[4]) - 4;
		if (length > sizeof body)
			die("postgres: a long message");
		get(fd, body, length);
		if (head[0] == 'E') {
			fprintf(stderr, "postgres: %.*s\n", (int)length, body);
			exit(1);
		}
		if (head[0] == 'D' && value) {
			unsigned n = body[2] << 24 | body[3] << 16 | body[4] << 8 | body[5];
			snprintf(value, room, "%.*s", (int)n, body + 6);
		}
		if (head[0] == 'Z')
			return;
	}
}

static void pg_query(int fd, const char *sql, char *value, size_t room)
{
	unsigned char message[256] = { 'Q' };
	unsigned length = 4 + strlen(sql) + 1;
	message[3] = length >> 8;
	message[4] = length;
	strcpy((char *)message + 5, sql);
	put(fd, message, length + 1);
	pg_ready(fd, value, room);
}

int main(int argc, char **argv)
{
	char text[200], answer[200] = "";
	struct stat st;
	if (argc != 3)
		return 2;
	int redis = connect_to(argv[1], 6379), pg = connect_to(argv[1], 5432);
	static const char start[] = "\0\0\0\0\0\3\0\0user\0postgres\0database\0postgres\0";
	unsigned char hello[64];
	memcpy(hello, start, sizeof start);
	hello[3] = sizeof start;
	put(pg, hello, sizeof start);
	pg_ready(pg, NULL, 0);
	long n = 0;
	for (; stat(argv[2], &st) < 0; n++) {
		snprintf(text, sizeof text, "SET k%ld %ld\r\n", n, n);
		put(redis, text, strlen(text));
		redis_line(redis, answer, sizeof answer);
		if (strcmp(answer, "+OK\r\n"))
			die(answer);
		snprintf(text, sizeof text, "insert into t values (%ld)", n);
		pg_query(pg, text, NULL, 0);
		printf("DONE %ld\n", n + 1);
		fflush(stdout);
		usleep(2000);
	}
	for (long k = 0; k < n; k++) {
		char want[40];
		snprintf(text, sizeof text, "GET k%ld\r\n", k);
		put(redis, text, strlen(text));
		redis_line(redis, answer, sizeof answer);
		redis_line(redis, answer, sizeof answer);
		snprintf(want, sizeof want, "%ld\r\n", k);
		if (strcmp(answer, want)) {
			fprintf(stderr, "redis has lost %ld: %s\n", k, answer);
			return 1;
		}
	}
	pg_query(pg, "select count(*) from t", answer, sizeof answer);
	if (atol(answer) != n) {
		fprintf(stderr, "postgres has %s of %ld rows\n", answer, n);
		return 1;
	}
	printf("%ld acknowledged writes, all there\n", n);
	return 0;
}
