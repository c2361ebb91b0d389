// What the files of this folder share.
#ifndef VKCKPT_SODIUM_INTERNAL_H
#define VKCKPT_SODIUM_INTERNAL_H

#include "vkernel-hooks/sodium/sodium.h"

#include <sodium.h>

#include <errno.h>
#include <stdint.h>

namespace vksodium {

enum class KeyKind { seal_public, seal_secret, sign_public, sign_secret, raw };
constexpr size_t kKeyBytes = 32;		// of every kind; of a signing secret, its seed
constexpr size_t kPassphraseRoom = 1024, kFileRoom = 4096, kMaxChain = 256;
static_assert(kKeyBytes == VKCKPT_KEY_BYTES && kKeyBytes == crypto_box_PUBLICKEYBYTES && kKeyBytes == crypto_box_SECRETKEYBYTES &&
    kKeyBytes == crypto_sign_SEEDBYTES && kKeyBytes == crypto_sign_PUBLICKEYBYTES &&
    kKeyBytes == crypto_aead_xchacha20poly1305_ietf_KEYBYTES);
static_assert(VKCKPT_NONCE_BYTES == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES &&
    VKCKPT_TAG_BYTES == crypto_aead_xchacha20poly1305_ietf_ABYTES);

// The file beside an image: this, then the leaves.
struct Signature {
	uint8_t magic[8];
	uint32_t version;			// 1
	uint32_t leaf_bytes;
	uint64_t file_bytes;			// of the image
	struct vkckpt_uuid image_id;
	uint8_t signer[kKeyBytes];		// Ed25519 public key
	uint64_t signed_realtime_ns;
	// Ed25519 over kSignatureContext, the 80 bytes above, and BLAKE2b-256 of the leaves.
	uint8_t signature[crypto_sign_BYTES];
	uint8_t zero[48];
};
static_assert(sizeof(Signature) == 192 && crypto_sign_BYTES == 64);
constexpr char kSignatureMagic[] = VKCKPT_SODIUM_SIGNATURE_MAGIC;
constexpr size_t kSignatureMagicBytes = sizeof kSignatureMagic - 1;
static_assert(kSignatureMagicBytes == sizeof Signature::magic);
constexpr char kSignatureContext[] = "vkckpt image signature, version 1\n";
constexpr uint32_t kLeafBytes = 16384;

// The leaves of a signature that was verified.
struct Leaves {
	uint8_t *digests;			// malloc
	struct vkckpt_leaves table;
};

// Fills *err: "key: SUBJECT: SENTENCE (REASON)"; returns -code.
int refuse(struct vkckpt_error *err, int code, uint32_t reason, const char *subject, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

// FILE with a key of this kind; *kind with `any` set: a secret for sealing or a raw one, as the file says. scratch: kFileRoom bytes of locked
// memory, wiped afterwards.
struct KeyFile {
	KeyKind kind;
	bool any;
	uint8_t key[kKeyBytes];
};
int read_key(const char *file, KeyFile *key, uint8_t *scratch, struct vkckpt_error *err);

// The leaves of an image that is open at fd, from where it stands to its end; digests by malloc.
int make_leaves(int fd, const char *path, Leaves *out, struct vkckpt_error *err);
// The leaves that the signature file vouches for, if it was made with this public key. -ENOENT, -EBADMSG or another -errno.
int read_signature(const char *path, const uint8_t *signer, Leaves *out);
void leaf_digest(const void *bytes, size_t count, uint8_t *digest);

// The name of a new file is on the disk. False: errno; true on a file system that cannot tell.
bool sync_folder(const char *path);

}  // namespace vksodium

// In memory of sodium_malloc: guarded, locked, left out of core files.
struct vkckpt_sodium {
	struct vkckpt_crypto table;
	// sealing
	uint32_t seal_kind;			// enum vkckpt_key_kind, 0: none
	bool keep;
	uint8_t seal_public[vksodium::kKeyBytes], seal_raw[vksodium::kKeyBytes];
	char seal_passphrase[vksodium::kPassphraseRoom];
	// opening
	bool have_secret, have_raw, have_passphrase;
	uint8_t secret[vksodium::kKeyBytes], raw[vksodium::kKeyBytes];
	char passphrase[vksodium::kPassphraseRoom];
	// signatures
	uint8_t signer[vksodium::kKeyBytes];
	const char *signature;			// of the first image; null: used, or none named
	vksodium::Leaves leaves[vksodium::kMaxChain];
	size_t leaves_count;
	uint8_t scratch[vksodium::kFileRoom];
};
#endif
