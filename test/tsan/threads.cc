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
	// What the kernel does when such a thread ends.
	__atomic_store_n(start.alive, 0, __ATOMIC_RELEASE);
	syscall(SYS_futex, start.alive, 1, 1 << 30);
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
