/*
 * Orders to the mapper task of a stub. They lie in the control page, which the guest cannot write; a message on the
 * socket starts them and the answer ends them, so neither can be forged.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "vkernel-hooks/linux/internal.h"

namespace vmspace {

int give_orders(Stub &stub, const Order *orders, unsigned count) {
	if (count > CTL_MAX_ORDERS)
		return E2BIG;
	memcpy(stub.shared + CTL_ORDERS, orders, count * sizeof *orders);
	memcpy(stub.shared + CTL_ORDER_COUNT, &count, sizeof count);

	const char start = 0;
	ssize_t sent;
	do
		sent = send(stub.socket, &start, sizeof start, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent != sizeof start)
		return EIO;

	/* The vCPU's signals must not cut this short: the answer would be taken for that of the next order. */
	uint16_t answer;
	ssize_t received;
	do
		received = recv(stub.socket, &answer, sizeof answer, 0);
	while (received < 0 && errno == EINTR);
	return received == sizeof answer ? answer : EIO;
}

int unmap_range(Stub &stub, uint64_t start, uint64_t end) {
	if (start >= end)
		return 0;
	const Order order = {start, end - start, 0, 0, 0};
	const int error = give_orders(stub, &order, 1);
	return error == EIO ? 0 : error;	/* of a stub that is gone nothing is mapped */
}

}  // namespace vmspace
