// XXH3-128 by the inline form of xxhash.h: no symbol of libxxhash is needed. Every context but SIGNAL.
#define XXH_INLINE_ALL
#define XXH_NO_STREAM_ALLOC
#include <xxhash.h>

#include "lib/digest.h"
#include "lib/sys.h"

namespace vk {
namespace {

struct vkckpt_digest canonical(XXH128_hash_t hash)
{
	XXH128_canonical_t bytes;
	XXH128_canonicalFromHash(&bytes, hash);
	struct vkckpt_digest out;
	__builtin_memcpy(&out, &bytes, sizeof out);
	return out;
}

}  // namespace

struct vkckpt_digest digest_of(const void *bytes, size_t count) { return canonical(XXH3_128bits(bytes, count)); }
uint64_t digest64_of(const void *bytes, size_t count) { return XXH3_64bits(bytes, count); }

bool digest_equal(const struct vkckpt_digest &a, const struct vkckpt_digest &b) { return __builtin_memcmp(&a, &b, sizeof a) == 0; }

bool digest_is_zero(const struct vkckpt_digest &digest)
{
	struct vkckpt_digest zero = {};
	return digest_equal(digest, zero);
}

void DigestStream::reset()
{
	static_assert(sizeof(XXH3_state_t) <= sizeof state_ && alignof(XXH3_state_t) <= 64);
	XXH3_state_t *state = reinterpret_cast<XXH3_state_t *>(state_);
	__builtin_memset(state, 0, sizeof *state);
	(void)XXH3_128bits_reset(state);
}

void DigestStream::add(const void *bytes, size_t count)
{
	(void)XXH3_128bits_update(reinterpret_cast<XXH3_state_t *>(state_), bytes, count);
}

struct vkckpt_digest DigestStream::result() const
{
	return canonical(XXH3_128bits_digest(reinterpret_cast<const XXH3_state_t *>(state_)));
}

Status uuid_make(struct vkckpt_uuid *out)
{
	long result = sys_getrandom(out->bytes, sizeof out->bytes);
	if (result < 0)
		return fail_host(static_cast<int>(-result), "random numbers");
	out->bytes[6] = static_cast<uint8_t>((out->bytes[6] & 0x0f) | 0x40);
	out->bytes[8] = static_cast<uint8_t>((out->bytes[8] & 0x3f) | 0x80);
	return success();
}

bool uuid_equal(const struct vkckpt_uuid &a, const struct vkckpt_uuid &b) { return __builtin_memcmp(&a, &b, sizeof a) == 0; }

bool uuid_is_zero(const struct vkckpt_uuid &uuid)
{
	struct vkckpt_uuid zero = {};
	return uuid_equal(uuid, zero);
}

}  // namespace vk
