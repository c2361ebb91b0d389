// The digests of a signed image's leaves. See leaves.h.
#include "lib/leaves.h"

#include <errno.h>

#include "lib/text.h"

namespace vk {

Status Leaves::open(const struct vkckpt_crypto &crypto, const char *path)
{
	if (!crypto.leaves)
		return success();
	if (!crypto.leaf_digest)
		return fail(EINVAL, VKCKPT_R_BAD_ARGUMENT, "crypto", "leaf_digest");
	int r = crypto.leaves(crypto.arg, path, &table_);
	if (r == -ENOENT)
		return fail(EACCES, VKCKPT_R_NOT_SIGNED, "image");
	if (r == -EBADMSG)
		return fail(EACCES, VKCKPT_R_SIGNATURE_WRONG, "image");
	if (r != 0)
		return fail_host(r < 0 ? -r : EINVAL, "signature", "the image");
	if (!table_.digests || table_.leaf_bytes == 0 || table_.leaf_bytes % 4096 != 0 || table_.leaf_bytes > VKCKPT_LEAF_BYTES_MAX ||
	    table_.file_bytes == 0)
		return fail(EINVAL, VKCKPT_R_BAD_ARGUMENT, "crypto", "leaves", table_.leaf_bytes);
	digest_ = crypto.leaf_digest;
	return success();
}

size_t Leaves::bytes_at(uint64_t offset) const
{
	VK_CHECK(offset % table_.leaf_bytes == 0 || offset == table_.file_bytes);
	uint64_t left = offset < table_.file_bytes ? table_.file_bytes - offset : 0;
	return left < table_.leaf_bytes ? left : table_.leaf_bytes;
}

Status Leaves::check(uint64_t offset, const void *bytes, size_t count) const
{
	const uint8_t *at = static_cast<const uint8_t *>(bytes);
	while (count > 0) {
		size_t leaf = bytes_at(offset);
		VK_CHECK(leaf != 0 && leaf <= count);
		uint8_t digest[VKCKPT_LEAF_DIGEST];
		digest_(at, leaf, digest);
		if (__builtin_memcmp(digest, table_.digests + offset / table_.leaf_bytes * VKCKPT_LEAF_DIGEST, sizeof digest) != 0) {
			char subject[40];
			Text(subject, sizeof subject).add("bytes at ").decimal(offset);
			return fail(EACCES, VKCKPT_R_SIGNATURE_WRONG, "image", subject, offset);
		}
		offset += leaf;
		at += leaf;
		count -= leaf;
	}
	return success();
}

}  // namespace vk
