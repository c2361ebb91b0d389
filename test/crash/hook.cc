// The hook of the programs in build/faulty/bin: notes which fault points are passed and kills, stops or fails there what the plan says.
// Every context of the library, its own threads included: no libc that has state, no TLS, no allocation; host calls of its own.
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "test/crash/plan.h"
#include "test/fault/points.h"

namespace {

crash::Plan *plan;
long owner;			// a process that it makes, to look at an image before it confines itself, does nothing of the operation
char run_folder[512];		// what is published there is no fault point

long host_call(long number, long a, long b, long c)
{
	long result;
	asm volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return result;
}

__attribute__((constructor)) void open_plan()
{
	const char *path = getenv("VKCKPT_TEST_PLAN"), *run = getenv("VKCKPT_RUNDIR");
	if (run && strlen(run) < sizeof run_folder)
		strcpy(run_folder, run);
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	if (fd < 0)
		return;
	void *at = mmap(nullptr, sizeof(crash::Plan), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	owner = getpid();
	if (at != MAP_FAILED)
		plan = static_cast<crash::Plan *>(at);
}

// The path of an open file; "": it has none.
void path_of(long fd, char *out, size_t room)
{
	char link[40] = "/proc/self/fd/", digits[20];
	size_t at = strlen(link), n = 0;
	for (long rest = fd; rest > 0 || n == 0; rest /= 10)
		digits[n++] = char('0' + rest % 10);
	while (n > 0)
		link[at++] = digits[--n];
	long length = host_call(SYS_readlink, long(link), long(out), long(room - 1));
	out[length > 0 ? length : 0] = 0;
	if (out[0] != '/' || strncmp(out, "/memfd:", 7) == 0)
		out[0] = 0;
}

// What the call is about. False: nothing that a host refuses.
bool subject(long number, const long *a, char *path, size_t room)
{
	path[0] = 0;
	const char *named = nullptr;
	switch (number) {
	case SYS_openat: named = reinterpret_cast<const char *>(a[1]); break;
	case SYS_renameat2: named = reinterpret_cast<const char *>(a[3]); break;
	case SYS_rename: case SYS_link: named = reinterpret_cast<const char *>(a[1]); break;
	case SYS_stat: case SYS_lstat: case SYS_unlink: case SYS_readlink: case SYS_statfs: named = reinterpret_cast<const char *>(a[0]); break;
	case SYS_read: case SYS_pread64: case SYS_pwrite64: case SYS_write: case SYS_writev: case SYS_fsync: case SYS_fstat: case SYS_fcntl:
	case SYS_ioctl: case SYS_getdents64: case SYS_ftruncate: case SYS_fallocate: case SYS_lseek:
		path_of(a[0], path, room);
		return true;
	case SYS_mmap: case SYS_madvise: case SYS_mprotect: case SYS_mlock: case SYS_memfd_create: case SYS_getrandom:
		return true;
	default: return false;
	}
	for (size_t i = 0; i + 1 < room && (path[i] = named[i]); i++)
		path[i + 1] = 0;
	return true;
}

}  // namespace

extern "C" long vkckpt_fault_hook(long number, const long *arguments, int *inject)
{
	char path[512], name[crash::kNameRoom];
	if (!plan || host_call(SYS_getpid, 0, 0, 0) != owner || !subject(number, arguments, path, sizeof path))
		return 0;
	if (run_folder[0] && strncmp(path, run_folder, strlen(run_folder)) == 0)
		return 0;
	points::name_of(number, arguments, path, name, sizeof name);
	uint32_t at = __atomic_fetch_add(&plan->seen_count, 1, __ATOMIC_SEQ_CST);
	if (at < crash::kMostSeen)
		memcpy(plan->seen[at], name, sizeof name);
	if (__atomic_load_n(&plan->action, __ATOMIC_ACQUIRE) == crash::kNothing || strcmp(name, plan->point) != 0 ||
	    __atomic_add_fetch(&plan->passed, 1, __ATOMIC_SEQ_CST) != plan->time)
		return 0;
	const uint32_t action = plan->action;
	__atomic_store_n(&plan->reached, 1, __ATOMIC_RELEASE);
	if (action == crash::kError) {
		*inject = 1;
		return -long(plan->error);
	}
	host_call(SYS_kill, host_call(SYS_getpid, 0, 0, 0), action == crash::kKill ? 9 : 19, 0);
	return 0;
}
