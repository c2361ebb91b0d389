#include "test/fault/faults.h"
#include "test/fault/simfs.h"

extern "C" long vkckpt_fault_hook(long number, const long *arguments, int *inject)
{
	if (long result; simfs::world && simfs::call(number, arguments, &result)) {
		*inject = 1;
		return result;
	}
	faults::State *s = faults::state();
	if (number == SYS_ioctl && s->reflinks && !(s->on && s->calls + 1 == s->at)) {
		s->calls += s->on;
		*inject = 1;
		return 0;
	}
	// Calls that cannot fail with the arguments they get here.
	while (number == SYS_pread64 && __atomic_load_n(&s->reads_wait, __ATOMIC_SEQ_CST)) {
		__atomic_store_n(&s->read_waits, true, __ATOMIC_SEQ_CST);
		usleep(1000);
	}
	if (s->slow_write_us && (number == SYS_pwrite64 || number == SYS_writev))
		usleep(static_cast<useconds_t>(s->slow_write_us));
	bool event = number == SYS_write && arguments[2] == 8;	// to an eventfd
	if (!s->on || event || number == SYS_clock_gettime || number == SYS_rt_sigprocmask || number == SYS_futex ||
	    number == SYS_sched_yield || number == SYS_exit_group || number == SYS_close || number == SYS_munmap ||
	    number == SYS_getpid || number == SYS_getuid)
		return 0;
	if (__atomic_add_fetch(&s->calls, 1, __ATOMIC_SEQ_CST) != s->at)	// workers call too
		return 0;
	s->failed_number = number;
	if (s->result == 0)
		kill(getpid(), SIGKILL);
	bool read = number == SYS_pread64 || number == SYS_read;
	if (s->result >= faults::kHalf && !read)
		return 0;
	*inject = 1;
	if (s->result == faults::kEnd)
		return 0;
	if (s->result == faults::kHalf) {
		long got = syscall(number, arguments[0], arguments[1], (arguments[2] + 1) / 2, arguments[3]);
		return got < 0 ? -errno : got;
	}
	return s->result;
}
