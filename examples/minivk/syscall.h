// The table of system calls. Each area of the kernel lists its own; dispatch.cc merges the lists.
#ifndef MINIVK_SYSCALL_H
#define MINIVK_SYSCALL_H

#include "thread.h"

namespace minivk {

// a: the six arguments as the guest gave them. Returns the result, -errno, kBlocked or kRestart... Under the kernel lock.
using SyscallHandler = long (*)(Thread &, const uint64_t *a);
struct SyscallEntry {
	uint16_t number;	// Linux x86-64
	const char *name;
	SyscallHandler handler;
};
struct SyscallList { const SyscallEntry *entries; size_t count; };

SyscallList process_syscalls();	// proc: fork, execve, wait, signals, ids, futex, time, memory
SyscallList file_syscalls();	// vfs: files, directories, pipes, poll, ioctl

}  // namespace minivk
#endif
