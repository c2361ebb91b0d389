// Asks a running vkernel for a checkpoint and follows the request to its end (vkckpt/run.h: the protocol).
#ifndef VKCKPT_BIN_REQUEST_H
#define VKCKPT_BIN_REQUEST_H

#include "bin/rundir.h"

#include <string>

namespace tool {

struct Order {
	uint32_t action;	// VKCKPT_ACTION_EXIT or _CONTINUE
	uint32_t flags;		// enum vkckpt_request_flags
	unsigned timeout_s;	// 0: as long as it takes
};

enum class End {
	kCommitted,		// the image is whole; with ACTION_EXIT the process is gone as well
	kFailed,		// reason, code and message say why; the vkernel runs on
	kCancelled,		// by us; the vkernel runs on
	kBusy,			// another request was being served
	kDied,			// the process ended before the commit
	kStays,			// committed, but the process does not end
	kOverwritten,		// done, but a later request took the place of the result
	kAbandoned,		// a second interrupt: we do not know
};

struct Outcome {
	End end;
	bool was_cancelled = false;	// a cancel was sent; kCommitted then means that it came too late
	bool interrupted = false;	// by a signal to us, not by the timeout
	uint32_t reason = 0;
	int code = 0;
	std::string message;
	std::string image;		// that was committed; "": not told
	uint32_t chain_length = 0;	// images that it needs, itself included
	uint64_t bytes = 0;		// of RAM
	uint64_t elapsed_ns = 0;
	std::string parts;		// where the time went: "sync 30.1 ms, ... commit 2.0 ms"; "": not told
};

// True with *out filled, or false with *problem when the process is not the one of the entry or cannot be signalled: then
// nothing was sent.
bool serve(const Entry &, const Order &, Outcome *out, std::string *problem);

}  // namespace tool
#endif
