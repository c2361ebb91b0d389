// The library's threads as ThreadSanitizer can see them: it knows those that pthread_create makes, not those that clone(2) makes without
// libc. Stands in for lib/sys_thread_x86_64.S in the build with -fsanitize=thread; everything else of the crew is as it is.
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace {

struct Start {
	void (*entry)(void *);
	void *argument;
	uint32_t *alive;
};

void *body(void *p)
{
	Start start = *static_cast<Start *>(p);
	delete static_cast<Start *>(p);
	start.entry(start.argument);
	// The end, for ThreadSanitizer; then the kernel clears the word when the thread is no more, as it does for clone's.
	(void)__atomic_fetch_add(start.alive, 0, __ATOMIC_RELEASE);
	syscall(SYS_set_tid_address, start.alive);
	return nullptr;
}

}  // namespace

extern "C" __attribute__((visibility("hidden"))) long vkckpt_thread_clone(long, void *, uint32_t *alive, void (*entry)(void *), void *argument)
{
	static uint32_t last = 1000;
	pthread_t thread;
	Start *start = new Start{ entry, argument, alive };
	uint32_t id = __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
	__atomic_store_n(alive, id, __ATOMIC_RELEASE);
	if (int r = pthread_create(&thread, nullptr, body, start); r != 0) {
		__atomic_store_n(alive, 0, __ATOMIC_RELEASE);
		delete start;
		return -r;
	}
	pthread_detach(thread);
	return id;
}
