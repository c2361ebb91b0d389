/* Threads: mutexes, condition variables, barriers, thread-local storage; a ring in which every thread waits for its turn. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { kThreads = 8, kRounds = 200 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn_changed = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static int turn;
static unsigned long sum;
static __thread unsigned long mine;

static void *worker(void *arg)
{
	long self = (long)arg;
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < kRounds; i++) {
		pthread_mutex_lock(&lock);
		while (turn != self)
			pthread_cond_wait(&turn_changed, &lock);
		sum = sum * 31 + (unsigned long)self;
		mine += sum & 0xff;
		turn = (turn + 1) % kThreads;
		pthread_cond_broadcast(&turn_changed);
		pthread_mutex_unlock(&lock);
	}
	pthread_barrier_wait(&barrier);
	return (void *)mine;
}

int main(void)
{
	pthread_t t[kThreads];
	pthread_barrier_init(&barrier, NULL, kThreads);
	for (long i = 0; i < kThreads; i++)
		if (pthread_create(&t[i], NULL, worker, (void *)i) != 0)
			return printf("pthread_create failed\n"), 1;
	for (int i = 0; i < kThreads; i++) {
		void *result;
		pthread_join(t[i], &result);
		printf("thread %d: %lu\n", i, (unsigned long)result);
	}
	printf("sum %lx\n", sum);
	for (int i = 0; i < 50; i++) {	/* threads that come and go */
		if (pthread_create(&t[0], NULL, (void *(*)(void *))abs, (void *)5L) != 0)
			return printf("pthread_create failed\n"), 1;
		pthread_join(t[0], NULL);
	}
	printf("done\n");
	return 0;
}
