// The loop of a vCPU, and system calls as it sees them.
#ifndef MINIVK_VCPU_H
#define MINIVK_VCPU_H

#include "process.h"

namespace minivk {

void vcpu_loop(unsigned cpu);		// until the vkernel halts or was suspended
void calls_boot();			// builds the table of system calls (host side: rebuilt in every process)
void begin_call(Thread &);		// a system call trap: takes number and arguments from the registers
void continue_call(Thread &);		// calls the handler; the first time or again
void handle_trap(Thread &);		// what ended RUN, from the trapframe
bool vcpu_was_suspended();		// the loops ended because the image is committed

// Test hook: a checkpoint at exactly this trap (counted over the vkernel's whole life), or at every multiple of it.
struct TestCheckpoint { uint64_t at_trap = 0, every = 0; };
extern TestCheckpoint test_checkpoint;

}  // namespace minivk
#endif
