// Sealed and signed images: what the command line says about them, as tables for the library (vkernel-hooks/sodium). Host side.
#ifndef MINIVK_CKPT_SEAL_H
#define MINIVK_CKPT_SEAL_H

#include <vkckpt/crypto.h>

#include "options.h"

namespace minivk {

struct Seals {
	const struct vkckpt_crypto *write = nullptr;	// how images of this vkernel are sealed
	const struct vkckpt_crypto *read = nullptr;	// what opens and checks the image that is thawed
};
// Ends the process with a message and status 1 where a key cannot be had.
Seals seals_of(const Options &);
void seals_forget();	// the image is open: no secret that opens it stays

}  // namespace minivk
#endif
