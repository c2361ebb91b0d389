/*
 * Orders to the mapper task of a stub. They lie in the control page, which the guest cannot write; the mapper
 * waits for them in a seccomp notification of its own, whose argument is the answer to the last. Where there are no
 * notifications two eventfds, which no executor has, do the same. So neither order nor answer can be forged.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "vkernel-hooks/linux/internal.h"

namespace vmspace {

namespace {

int await_eventfd(const Stub &stub) {
	pollfd ask[] = {{stub.answer, POLLIN, 0}, {stub.pidfd, POLLIN, 0}};
	for (;;) {
		if (poll(ask, 2, -1) < 0) {
			if (errno != EINTR)
				return EIO;
			note_signal();
		} else if ((ask[0].revents & POLLIN) != 0) {
			uint64_t answer;
			return read(stub.answer, &answer, sizeof answer) == sizeof answer ? static_cast<int>(answer - 1) : EIO;
		} else if (ask[1].revents != 0) {
			return EIO;
		}
	}
}

}  // namespace

int await_answer(Stub &stub) {
	if (stub.mapper.listener < 0)
		return await_eventfd(stub);
	Stop stop;
	while ((stop = await_notification(stub.mapper)) == Stop::kInterrupted)
		note_signal();
	return stop == Stop::kStopped ? static_cast<int>(stub.mapper.argument) : EIO;
}

int give_orders(Stub &stub, const Order *orders, unsigned count) {
	if (count > CTL_MAX_ORDERS)
		return E2BIG;
	memcpy(stub.shared + CTL_ORDERS, orders, count * sizeof *orders);
	memcpy(stub.shared + CTL_ORDER_COUNT, &count, sizeof count);
	if (stub.mapper.listener >= 0) {
		if (!answer_notification(stub.mapper))
			return EIO;
	} else {
		const uint64_t start = 1;
		if (write(stub.order, &start, sizeof start) != sizeof start)
			return EIO;
	}
	return await_answer(stub);
}

int unmap_range(const Vmspace &vm, uint64_t start, uint64_t end) {
	Stub *stub = vm.stub.load();
	if (start >= end || stub == nullptr)	/* not made yet: it will begin empty */
		return 0;
	const Order order = {start, end - start, 0, 0, 0};
	const int error = give_orders(*stub, &order, 1);
	return error == EIO ? 0 : error;	/* of a stub that is gone nothing is mapped */
}

}  // namespace vmspace
