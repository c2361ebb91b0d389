/* Many processes at once, each blocked in a chain of pipes; a token passes through all of them. Arguments: how many (200), rounds (5). */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 200, rounds = argc > 2 ? atoi(argv[2]) : 5, first[2], in, status, bad = 0;
	if (pipe(first) != 0)
		return 1;
	in = first[0];
	for (int i = 0; i < n; i++) {
		int link[2];
		if (pipe(link) != 0)
			return printf("pipe %d failed\n", i), 1;
		pid_t pid = fork();
		if (pid < 0)
			return printf("fork %d failed\n", i), 1;
		if (pid == 0) {
			int token;
			close(first[1]);
			close(link[0]);
			while (read(in, &token, sizeof token) == sizeof token) {
				token += i;
				if (write(link[1], &token, sizeof token) != sizeof token)
					_exit(2);
			}
			_exit(i % 100);
		}
		close(in);
		close(link[1]);
		in = link[0];
	}
	for (int round = 0; round < rounds; round++) {
		int token = round;
		if (write(first[1], &token, sizeof token) != sizeof token || read(in, &token, sizeof token) != sizeof token)
			return printf("round %d broke\n", round), 1;
		printf("round %d: %d\n", round, token);
	}
	close(first[1]);
	for (int i = 0; i < n; i++)
		bad += wait(&status) < 0 || !WIFEXITED(status);
	printf("ended: %d wrong: %d\n", n, bad);
	return bad != 0;
}
