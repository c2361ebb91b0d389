// What the rest of the kernel needs of futexes: the end of a thread.
#ifndef MINIVK_FUTEX_H
#define MINIVK_FUTEX_H

#include "process.h"

namespace minivk {

void futex_thread_ended(Thread &);	// waits no more
void futex_clear_child_tid(Thread &);	// 0 to clear_child_tid, and wakes who waits there (pthread_join)
void futex_exit_robust(Thread &);	// marks the mutexes it held

}  // namespace minivk
#endif
