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
	if (!s->on || number == SYS_clock_gettime || number == SYS_rt_sigprocmask || number == SYS_futex ||
	    number == SYS_sched_yield || number == SYS_exit_group || number == SYS_close || number == SYS_munmap ||
	    number == SYS_getpid || number == SYS_getuid)
		return 0;
	if (__atomic_add_fetch(&s->calls, 1, __ATOMIC_SEQ_CST) != s->at)	// workers call too
		return 0;
	s->failed_number = number;
	if (s->result == 0)
		kill(getpid(), SIGKILL);
	*inject = 1;
	return s->result;
}
