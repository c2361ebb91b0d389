// A lock for the library's own threads while they share one job: encoding an image or reading one. QUIET and THAW. Nobody else ever
// takes it, no hook is called and no signal handler can run under it, so that it cannot be held by somebody who is stopped.
//
// 0 free, 1 held, 2 held and somebody may wait. Taking it is a compare-and-swap (acquire), giving it back an exchange (release), so what was
// written under it is seen by the next holder; the futex only saves the waiting one from spinning.
#ifndef VKCKPT_LIB_LOCK_H
#define VKCKPT_LIB_LOCK_H

#include "lib/atomic.h"
#include "lib/sys.h"

namespace vk {

class Lock {
public:
	void take()
	{
		uint32_t was = 0;
		if (word_.swap_if(was, 1))
			return;
		while (word_.exchange(2) != 0)
			sys_futex_wait(&word_.value_, 2, 0);
	}
	void give()
	{
		if (word_.exchange(0) == 2)
			sys_futex_wake(&word_.value_, 1);
	}

private:
	Atomic<uint32_t> word_;
};

}  // namespace vk
#endif
