// XXH3-128 in its canonical form, the checksum of everything in an image; and random uuids.
#ifndef VKCKPT_LIB_DIGEST_H
#define VKCKPT_LIB_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include <vkckpt/format.h>

#include "lib/status.h"

namespace vk {

struct vkckpt_digest digest_of(const void *bytes, size_t count);
uint64_t digest64_of(const void *bytes, size_t count);	// XXH3-64

bool digest_equal(const struct vkckpt_digest &, const struct vkckpt_digest &);
bool digest_is_zero(const struct vkckpt_digest &);

// In pieces. 640 bytes, on the stack or in the arena; a copy of it is a fork of the computation.
class DigestStream {
public:
	DigestStream() { reset(); }
	void reset();
	void add(const void *bytes, size_t count);
	struct vkckpt_digest result() const;

private:
	alignas(64) uint8_t state_[640];
};

// Version 4, from getrandom.
Status uuid_make(struct vkckpt_uuid *out);
bool uuid_equal(const struct vkckpt_uuid &, const struct vkckpt_uuid &);
bool uuid_is_zero(const struct vkckpt_uuid &);

}  // namespace vk
#endif
