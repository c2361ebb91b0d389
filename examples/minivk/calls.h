// Shared by the files that implement the core's system calls.
#ifndef MINIVK_CALLS_H
#define MINIVK_CALLS_H

#include "process.h"
#include "syscall.h"

namespace minivk {

struct KTimespec {
	int64_t seconds, nanoseconds;
	bool valid() const { return seconds >= 0 && nanoseconds >= 0 && nanoseconds < 1'000'000'000; }
	uint64_t ns() const		// saturates: a far deadline is as good as the furthest
	{
		return seconds > 9'000'000'000 ? 9'000'000'000'000'000'000ull
					       : uint64_t(seconds) * 1'000'000'000 + uint64_t(nanoseconds);
	}
	static KTimespec of(uint64_t ns) { return {int64_t(ns / 1'000'000'000), int64_t(ns % 1'000'000'000)}; }
};
struct KTimeval {
	int64_t seconds, microseconds;
	bool valid() const { return seconds >= 0 && microseconds >= 0 && microseconds < 1'000'000; }
	uint64_t ns() const { return KTimespec{seconds, microseconds * 1000}.ns(); }
	static KTimeval of(uint64_t ns) { return {int64_t(ns / 1'000'000'000), int64_t(ns % 1'000'000'000 / 1000)}; }
};
inline uint64_t saturating_add(uint64_t a, uint64_t b) { return a + b < a ? ~0ull >> 1 : a + b; }

// One list per file; process_syscalls() joins them.
SyscallList futex_syscalls();
SyscallList clone_syscalls();
SyscallList exit_syscalls();
SyscallList exec_syscalls();
SyscallList signal_syscalls();
SyscallList memory_syscalls();
SyscallList time_syscalls();
SyscallList identity_syscalls();
SyscallList system_syscalls();

}  // namespace minivk
#endif
