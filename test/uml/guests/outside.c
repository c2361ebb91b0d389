/*
 * On the host, outside the guest: outside ADDRESS STOPFILE. A load of writes on Redis and PostgreSQL, both spoken by hand: kConnections to each, all made
 * at the start and kept to the end, over each a row of writes after the other, kDepth of them under way at a time. A write counts when it is
 * acknowledged. In the end each connection asks for what it has written: all of it must be there, and nothing else. Prints "DONE redis N postgres N
 * rounds N" as it goes; a round is over when every connection has had answers since the one before.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

enum { kConnections = 4, kDepth = 8, kServices = 2 };
static const long kRow = 1000000000;	/* connection I writes the numbers from I * kRow on */

struct stream {
	int fd;
	size_t at, end;
	unsigned char bytes[4096];
};

struct worker {
	int service, number;
	pthread_t thread;
	_Atomic long acknowledged;
	long of_round;		/* acknowledged when the round began */
};

static struct in_addr address;
static _Atomic int stop;
static struct worker workers[kServices][kConnections];
static const char *const kName[kServices] = { "redis", "postgres" };

static void die(const char *who, const char *what)
{
	fprintf(stderr, "%s: %s (%m)\n", who, what);
	exit(1);
}

static void connect_to(struct stream *s, int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = address };
	struct timeval wait = { 60, 0 };
	int one = 1;
	s->fd = socket(AF_INET, SOCK_STREAM, 0);
	s->at = s->end = 0;
	if (connect(s->fd, (void *)&a, sizeof a) < 0)
		die("connect", "no connection");
	setsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
	setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static void put(struct stream *s, const void *bytes, size_t count)
{
	if (write(s->fd, bytes, count) != (ssize_t)count)
		die("write", "the connection is gone");
}

static void get(struct stream *s, void *bytes, size_t count)
{
	for (unsigned char *p = bytes; count > 0; count--) {
		if (s->at == s->end) {
			ssize_t n = read(s->fd, s->bytes, sizeof s->bytes);
			if (n <= 0)
				die("read", n < 0 ? "no answer in a minute" : "the connection is gone");
			s->at = 0;
			s->end = n;
		}
		*p++ = s->bytes[s->at++];
	}
}

/* What is written under a number: the number with zeros before it, 20 to 419 bytes. */
static int width(long n)
{
	return 20 + n % 400;
}

static void redis_line(struct stream *s, char *line, size_t room)
{
	size_t n = 0;
	do
		get(s, line + n, 1);
	while (line[n++] != '\n' && n < room - 1);
	line[n] = 0;
}

/* PostgreSQL, protocol 3: messages {type, length, body}; returns when it is ready for the next query. *value: of the last row. */
static void postgres_ready(struct stream *s, char *value, size_t room)
{
	for (;;) {
		unsigned char head[5], body[8192];
		get(s, head, 5);
		unsigned length = (head[1] << 24 | head[2] << 16 | head[3] << 8 | head[4]) - 4;
		if (length > sizeof body)
			die("postgres", "a long message");
		get(s, body, length);
		if (head[0] == 'E') {	/* its fields end in zeros */
			fprintf(stderr, "postgres: ");
			fwrite(body, 1, length, stderr);
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

static int postgres_query(char *message, size_t room, const char *sql)
{
	unsigned length = snprintf(message + 5, room - 5, "%s", sql) + 5;
	memcpy(message, (char[]){ 'Q', 0, 0, length >> 8, length }, 5);
	return length + 1;
}

static void open_service(struct stream *s, int service)
{
	connect_to(s, service == 0 ? 6379 : 5432);
	if (service == 0)
		return;
	static const char hello[] = "\0\0\0\51\0\3\0\0user\0postgres\0database\0postgres\0";
	_Static_assert(sizeof hello == 051, "a message names its length");
	put(s, hello, sizeof hello);
	postgres_ready(s, NULL, 0);
}

static void write_some(struct stream *s, struct worker *w, long n)
{
	char message[kDepth * 600], sql[600], answer[200];
	size_t length = 0;
	for (long k = n; k < n + kDepth; k++) {
		snprintf(sql, sizeof sql, "insert into t values (%ld, '%0*ld')", k, width(k), k);
		length += w->service == 0
			? (size_t)snprintf(message + length, sizeof message - length, "SET k%ld %0*ld\r\n", k, width(k), k)
			: (size_t)postgres_query(message + length, sizeof message - length, sql);
	}
	put(s, message, length);
	for (int k = 0; k < kDepth; k++) {
		if (w->service == 0) {
			redis_line(s, answer, sizeof answer);
			if (strcmp(answer, "+OK\r\n"))
				die("redis", answer);
		} else {
			postgres_ready(s, NULL, 0);
		}
		w->acknowledged++;
	}
}

/* Over the connection that has written them: every number has its value there. */
static void look(struct stream *s, const struct worker *w, long from)
{
	char text[600], answer[600] = "", want[600];
	if (w->service == 1) {
		snprintf(want, sizeof want, "select count(*) from t where n >= %ld and n < %ld and v = lpad(n::text, (20 + n %% 400)::int, '0')", from,
			from + w->acknowledged);
		put(s, text, postgres_query(text, sizeof text, want));
		postgres_ready(s, answer, sizeof answer);
		if (atol(answer) != w->acknowledged) {
			fprintf(stderr, "postgres has %s of %ld rows of connection %d\n", answer, w->acknowledged, w->number);
			exit(1);
		}
		return;
	}
	for (long k = from; k < from + w->acknowledged; k++) {
		put(s, text, snprintf(text, sizeof text, "GET k%ld\r\n", k));
		redis_line(s, answer, sizeof answer);
		redis_line(s, answer, sizeof answer);
		snprintf(want, sizeof want, "%0*ld\r\n", width(k), k);
		if (strcmp(answer, want)) {
			fprintf(stderr, "redis has lost %ld of connection %d: %s\n", k, w->number, answer);
			exit(1);
		}
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct stream s;
	long from = w->number * kRow;
	open_service(&s, w->service);
	while (!stop)
		write_some(&s, w, from + w->acknowledged);
	look(&s, w, from);
	return NULL;
}

/* Nothing is there that nobody has written. */
static void look_at_all(int service, long acknowledged)
{
	struct stream s;
	char text[100], answer[100] = "";
	open_service(&s, service);
	if (service == 0) {
		put(&s, "DBSIZE\r\n", 8);
		redis_line(&s, answer, sizeof answer);
	} else {
		put(&s, text, postgres_query(text, sizeof text, "select count(*) from t"));
		postgres_ready(&s, answer + 1, sizeof answer - 1);
	}
	if (atol(answer + 1) != acknowledged) {
		fprintf(stderr, "%s has %ld of %ld\n", kName[service], atol(answer + 1), acknowledged);
		exit(1);
	}
}

static int round_is_over(void)
{
	for (int i = 0; i < kServices * kConnections; i++) {
		const struct worker *w = &workers[i / kConnections][i % kConnections];
		if (w->acknowledged == w->of_round)
			return 0;
	}
	for (int i = 0; i < kServices * kConnections; i++) {
		struct worker *w = &workers[i / kConnections][i % kConnections];
		w->of_round = w->acknowledged;
	}
	return 1;
}

int main(int argc, char **argv)
{
	long sum[kServices], rounds = 0;
	struct stat st;
	if (argc != 3 || !inet_aton(argv[1], &address))
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 0; i < kServices * kConnections; i++) {
		struct worker *w = &workers[i / kConnections][i % kConnections];
		w->service = i / kConnections;
		w->number = i % kConnections;
		if (pthread_create(&w->thread, NULL, work, w))
			die("outside", "no thread");
	}
	while (!stop) {
		stop = stat(argv[2], &st) == 0;
		for (int i = 0; i < kServices; i++) {
			sum[i] = 0;
			for (int k = 0; k < kConnections; k++)
				sum[i] += workers[i][k].acknowledged;
		}
		rounds += round_is_over();
		printf("DONE redis %ld postgres %ld rounds %ld\n", sum[0], sum[1], rounds);
		usleep(50000);
	}
	for (int i = 0; i < kServices; i++) {
		sum[i] = 0;
		for (int k = 0; k < kConnections; k++) {
			pthread_join(workers[i][k].thread, NULL);
			sum[i] += workers[i][k].acknowledged;
		}
		look_at_all(i, sum[i]);
	}
	printf("%ld writes acknowledged by redis and %ld by postgres over %d connections each, all there\n", sum[0], sum[1], kConnections);
	return 0;
}
