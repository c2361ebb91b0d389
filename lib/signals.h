// The signals that command a vkernel, and the latch that a request goes through. One request is served at a time.
#ifndef VKCKPT_LIB_SIGNALS_H
#define VKCKPT_LIB_SIGNALS_H

#include <stdint.h>

struct vkckpt;

namespace vk {

constexpr uint64_t signal_bit(int signal) { return 1ull << (signal - 1); }
constexpr uint64_t kAllSignals = ~0ull;

// Handlers find their vkernel through this one pointer.
struct vkckpt *armed_vkernel();
void install_handlers(struct vkckpt *);	// also sets the pointer
void remove_handlers();
// A thaw has written old contents over .data: the pointer is that of a process that is gone.
void forget_armed_vkernel();

// SIGXFSZ and SIGPIPE end a process whose write meets the limit on the size of its files, or a pipe that nobody reads. Ignored, the write fails and that
// is told. Of the two those with their default action are, and returned for heed_write_signals.
uint64_t ignore_write_signals();
void heed_write_signals(uint64_t ignored);

// SIGNAL. 0, -EBUSY: another request is being served.
int latch_request(struct vkckpt &, uint64_t request);
// The request that is being served has been cancelled.
bool request_cancelled(const struct vkckpt &);

// QUIET: all signals are blocked now, so a cancellation or another request is fetched, not delivered.
void hear_requests(struct vkckpt &);
// The same, and whether the request has been cancelled: for struct Patience, arg is the struct vkckpt.
bool request_ended(void *vkernel);

}  // namespace vk
#endif
