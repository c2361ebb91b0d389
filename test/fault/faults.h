// Making host calls of the library fail, or the process die at them. The state is shared with children.
#ifndef VKCKPT_TEST_FAULTS_H
#define VKCKPT_TEST_FAULTS_H

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace faults {

struct State {
	bool on;
	long calls;		// counted since start
	long at;		// the call that is to fail, from 1; 0: none
	long result;		// what it returns; 0: the process is killed
	long failed_number;	// its system call
	bool reflinks;		// as if the file system had them: FICLONE succeeds (and copies nothing)
	bool reads_wait;	// each pread waits until this is false
	bool read_waits;	// one does
	long slow_write_us;	// each write takes so long
};
constexpr long kHalf = 1001, kEnd = 1002;	// results: a read gives half of what was asked; nothing, as at the end of a file
inline State *state()
{
	static State *s = static_cast<State *>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	return s;
}
inline void start(long at, long result) { *state() = { true, 0, at, result, -1, state()->reflinks, false, false, state()->slow_write_us }; }
// True: the call was reached.
inline bool stop()
{
	state()->on = false;
	return state()->failed_number >= 0;
}
// The end of a process that may have been killed: where a thread beside this one (lib/watch.h) has reached the call, this one waits for its signal.
// No later call counts.
inline void end_of_process()
{
	State *s = state();
	if (s->on && s->at > 0 && s->result == 0 && __atomic_exchange_n(&s->calls, LONG_MAX / 2, __ATOMIC_SEQ_CST) >= s->at)
		for (;;)
			pause();
}

}  // namespace faults
#endif
