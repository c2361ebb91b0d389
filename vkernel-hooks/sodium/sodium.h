/*
 * vkckpt/sodium.h: the table of vkckpt/crypto.h over libsodium, key files, and signatures of images, for programs that link
 * libvkckpt and libsodium. Manual: vkckpt_crypto(3). C11 and C++20.
 *
 * Every function but those of the table is ordinary program code: it may block and allocate; one thread at a time per
 * object. 0, or -errno with *err filled (which may be NULL). FILE below is a path, or "fd:N": a descriptor, read to its end
 * and closed. A file with a secret must belong to the caller or root and be closed to all others, one with a public key
 * must not be writable for others; symbolic links are not followed.
 */
#ifndef VKCKPT_SODIUM_H
#define VKCKPT_SODIUM_H

#include <vkckpt/crypto.h>
#include <vkckpt/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vkckpt_sodium;	/* keys, in memory that is locked and left out of core files */

int vkckpt_sodium_new(struct vkckpt_sodium **out, struct vkckpt_error *err);
/* Wipes everything. What the table gave to an open image (leaves) goes too. NULL is allowed. */
void vkckpt_sodium_free(struct vkckpt_sodium *);
/* Its functions are those that the calls below have asked for. Valid until free; open_key may set make_key (see keep). */
const struct vkckpt_crypto *vkckpt_sodium_table(const struct vkckpt_sodium *);

/* How images are sealed from now on, instead of what was said before. */
int vkckpt_sodium_seal_to(struct vkckpt_sodium *, const char *public_key_file, struct vkckpt_error *err);
int vkckpt_sodium_seal_raw(struct vkckpt_sodium *, const char *raw_key_file, struct vkckpt_error *err);
/* For tools: the passphrase is stretched (256 MiB, about a second) when an image is made. */
int vkckpt_sodium_seal_passphrase(struct vkckpt_sodium *, int fd, struct vkckpt_error *err);
/* For a thaw: as the image that is opened was sealed: to the same public key, or with the same raw key. */
void vkckpt_sodium_keep(struct vkckpt_sodium *);

/* What opens images: a secret key or a raw key, as the file says, and a passphrase: the first line of fd, -1: asked for on the terminal. */
int vkckpt_sodium_key(struct vkckpt_sodium *, const char *key_file, struct vkckpt_error *err);
int vkckpt_sodium_passphrase(struct vkckpt_sodium *, int fd, struct vkckpt_error *err);
/*
 * Every image must be signed by the owner of this public key. signature: the file with the signature of the first image that is opened;
 * NULL: IMAGE.sig. Those of parents stand in PARENT.sig.
 */
int vkckpt_sodium_require_signature(struct vkckpt_sodium *, const char *public_key_file, const char *signature,
    struct vkckpt_error *err);
/* Images are open: secret key and passphrase are wiped, and a raw key unless new images are sealed with it. */
void vkckpt_sodium_forget(struct vkckpt_sodium *);

enum vkckpt_sodium_pair { VKCKPT_SODIUM_SEAL = 1, VKCKPT_SODIUM_SIGN = 2, VKCKPT_SODIUM_RAW = 3 };
/* Makes two files that were not there (EEXIST), a secret one, mode 0600, and a public one, 0644. RAW: only the first; public_file NULL. */
int vkckpt_sodium_keygen(enum vkckpt_sodium_pair kind, const char *secret_file, const char *public_file,
    struct vkckpt_error *err);

#define VKCKPT_SODIUM_SIGNATURE_MAGIC	"\x89VKSIG1\n"	/* the first 8 bytes of a signature file, without the NUL */

/* Signs the image: reads it, verifies it as it was read, and writes its signature to `signature` (NULL: IMAGE.sig), whole or not at all.
 * EEXIST: another file than a signature has that name, or the image itself. */
int vkckpt_sodium_sign(const char *image, const char *secret_key_file, const char *signature, struct vkckpt_error *err);

#ifdef __cplusplus
}
#endif
#endif
