// The seal of one image: its key, and how records and chunks are encrypted and opened with it (vkckpt(5), "Sealed images"). The
// cryptography itself is the caller's table (vkckpt/crypto.h).
//
// The key lies in a page of its own that is locked, left out of core files and of forked children, and wiped when the image ends.
#ifndef VKCKPT_LIB_SEAL_H
#define VKCKPT_LIB_SEAL_H

#include <vkckpt/crypto.h>

#include "lib/status.h"

namespace vk {

// Sizes of a payload in clear and in the file (clear_bytes: what stands in front of the ciphertext). plain: false if no payload has
// this size.
uint64_t sealed_bytes(uint64_t plain_bytes);
bool plain_bytes(uint64_t sealed_bytes, uint64_t *plain);
// In front of the ciphertext of a record of this type, in clear.
constexpr size_t sealed_prefix(uint16_t type) { return type == VKCKPT_REC_RAM_GROUP ? sizeof(struct vkckpt_f_sealed_group) : 0; }

class Seal {
public:
	// ARM, THAW: makes the page for the key; once. The table is copied.
	Status init(const struct vkckpt_crypto &);
	void release();

	// QUIET: a fresh key for this image; *key is the payload of its record KEY.
	Status make(const struct vkckpt_f_header &, struct vkckpt_f_key *key);
	// THAW: the key that the record holds. SEALED, KEY_WRONG.
	Status open(const struct vkckpt_f_header &, const struct vkckpt_f_key &key);
	void wipe();				// idempotent
	bool ready() const { return page_ != nullptr; }	// init was done
	bool active() const { return active_; }	// it has a key

	// One piece of the payload of the record with this head, in place. prefix: the bytes in clear in front of the ciphertext. room for
	// the tag behind count bytes.
	Status seal_piece(const struct vkckpt_f_record &, uint32_t piece, const void *prefix, void *bytes, size_t count) const;
	Status open_piece(const struct vkckpt_f_record &, uint32_t piece, const void *prefix, void *bytes, size_t count) const;
	// A whole payload that lies in one piece of memory: plain -> with tags, moved apart for them (room: sealed_bytes(count)); and back.
	Status seal_payload(const struct vkckpt_f_record &, const void *prefix, void *payload, uint64_t plain_count) const;
	Status open_payload(const struct vkckpt_f_record &, const void *prefix, void *payload, uint64_t plain_count) const;
	// The stored bytes of a chunk; count without the tag. Of the descriptor: object, chunk, codec and mask.
	Status seal_chunk(const struct vkckpt_f_chunk &, void *bytes, size_t count) const;
	Status open_chunk(const struct vkckpt_f_chunk &, void *bytes, size_t count) const;

private:
	size_t record_ad(const struct vkckpt_f_record &, uint32_t piece, const void *prefix, uint8_t *out) const;
	void bind(const struct vkckpt_f_header &, const struct vkckpt_f_key &);

	struct Page {				// locked
		uint8_t key[VKCKPT_KEY_BYTES];
	};
	struct vkckpt_crypto crypto_ = {};
	Page *page_ = nullptr;
	bool active_ = false;
	// What the record SHAPE is bound to, beside its own head: nothing of what an image shows in clear can be changed.
	struct vkckpt_f_header header_ = {};
	struct vkckpt_f_key key_record_ = {};
};

// There is no key at hand for an image with this record.
Status seal_refused(const struct vkckpt_f_key &);
// Limits of what a record KEY may say; an image that breaks them is damaged.
Status check_key(const struct vkckpt_f_key &);

}  // namespace vk
#endif
