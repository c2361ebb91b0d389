/*
 * vkckpt/crypto.h: sealed and signed images: what a program lends to the library, which has no cryptography of its own.
 * Manual: vkckpt_crypto(3); the layout of sealed images and of signatures: vkckpt(5). One such table, over libsodium, is
 * vkernel-hooks/sodium.
 */
#ifndef VKCKPT_CRYPTO_H
#define VKCKPT_CRYPTO_H

#include <stddef.h>
#include <stdint.h>

#include <vkckpt/format.h>

#ifdef __cplusplus
extern "C" {
#endif

/* BLAKE2b-256 of every leaf_bytes of a file, the last leaf shorter: taken out of a signature that was verified. */
#define VKCKPT_LEAF_DIGEST	32u
#define VKCKPT_LEAF_BYTES_MAX	16384u
struct vkckpt_leaves {
	uint64_t file_bytes;
	uint32_t leaf_bytes;		/* a multiple of 4096, at most VKCKPT_LEAF_BYTES_MAX */
	uint32_t reserved;		/* 0 */
	const uint8_t *digests;		/* VKCKPT_LEAF_DIGEST for each leaf; stays until the image is closed */
};

/*
 * Contexts as in vkckpt/vkckpt.h. A function that the program does not need is NULL: make_key where nothing is captured
 * sealed, open_key where nothing is opened, leaves and leaf_digest where no signature is asked for.
 */
struct vkckpt_crypto {
	size_t size;			/* sizeof(struct vkckpt_crypto): versions this table */
	void *arg;			/* first argument of make_key, open_key and leaves */
	/*
	 * QUIET, once for each image, by the coordinating vCPU. 32 fresh random bytes to key; how it is wrapped to *out, which is
	 * zero before. 0, or -errno: the capture fails.
	 */
	int (*make_key)(void *arg, const struct vkckpt_uuid *image_id, uint8_t key[VKCKPT_KEY_BYTES], struct vkckpt_f_key *out);
	/*
	 * THAW and tools: the key that *wrapped holds; its fields are within their limits. 0; or -ENOENT there is no key of this
	 * kind at hand (reason SEALED), -EBADMSG the one at hand does not open it (KEY_WRONG), or another -errno. A table with
	 * this function opens sealed images only (else NOT_SEALED), so that nobody can slip in one without a seal. In a thaw,
	 * the table that the new vkernel will seal with is read after this was called.
	 */
	int (*open_key)(void *arg, const struct vkckpt_uuid *image_id, const struct vkckpt_f_key *wrapped,
	    uint8_t key[VKCKPT_KEY_BYTES]);
	/*
	 * QUIET, THAW, and while a thawed vkernel fills its RAM; by several workers at once, on stacks of 64 KiB with all signals
	 * blocked: no allocation, no thread-local storage but errno's, no state. XChaCha20-Poly1305 (IETF) of the count bytes
	 * at `bytes`, in place. seal writes the tag behind them: 0. open finds it there: 0, or -EBADMSG it does not fit; then the
	 * bytes are not used. Another -errno fails the capture or thaw.
	 */
	int (*seal)(const uint8_t key[VKCKPT_KEY_BYTES], const struct vkckpt_f_nonce *nonce, const void *ad, size_t ad_bytes,
	    void *bytes, size_t count);
	int (*open)(const uint8_t key[VKCKPT_KEY_BYTES], const struct vkckpt_f_nonce *nonce, const void *ad, size_t ad_bytes,
	    void *bytes, size_t count);
	/*
	 * THAW and tools. Not NULL: every image must carry a signature. The leaves of the image at `path` (NULL: the one that is
	 * read from a descriptor), its signature verified. 0; or -ENOENT there is no signature (NOT_SIGNED), -EBADMSG it does
	 * not fit the image, or is not by the wanted signer (SIGNATURE_WRONG), or another -errno.
	 */
	int (*leaves)(void *arg, const char *path, struct vkckpt_leaves *out);
	/* As seal: BLAKE2b-256 of the bytes. */
	void (*leaf_digest)(const void *bytes, size_t count, uint8_t digest[VKCKPT_LEAF_DIGEST]);
};

#ifdef __cplusplus
}
#endif
#endif
