// The table of callbacks, and what it is told. seal and open are called by many workers at once and touch nothing but their arguments.
#include "vkernel-hooks/sodium/internal.h"

#include <bsd/readpassphrase.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

using namespace vksodium;

namespace {

constexpr uint64_t kPasses = crypto_pwhash_argon2id_OPSLIMIT_MODERATE, kMemoryBytes = crypto_pwhash_argon2id_MEMLIMIT_MODERATE;
constexpr size_t kStackToWipe = 32 << 10;	// more than what any function below us uses

int seal(const uint8_t *key, const struct vkckpt_f_nonce *nonce, const void *ad, size_t ad_bytes, void *bytes, size_t count)
{
	uint8_t *at = static_cast<uint8_t *>(bytes);
	return crypto_aead_xchacha20poly1305_ietf_encrypt_detached(at, at + count, nullptr, at, count,
	    static_cast<const uint8_t *>(ad), ad_bytes, nullptr, reinterpret_cast<const uint8_t *>(nonce), key) == 0 ? 0 : -EINVAL;
}

int open(const uint8_t *key, const struct vkckpt_f_nonce *nonce, const void *ad, size_t ad_bytes, void *bytes, size_t count)
{
	uint8_t *at = static_cast<uint8_t *>(bytes);
	return crypto_aead_xchacha20poly1305_ietf_decrypt_detached(at, nullptr, at, count, at + count, static_cast<const uint8_t *>(ad),
	    ad_bytes, reinterpret_cast<const uint8_t *>(nonce), key) == 0 ? 0 : -EBADMSG;
}

int stretch(const char *passphrase, const struct vkckpt_f_key &k, uint8_t *out)
{
	static_assert(sizeof k.salt == crypto_pwhash_argon2id_SALTBYTES);
	return crypto_pwhash(out, kKeyBytes, passphrase, strlen(passphrase), k.salt, k.passes, k.memory_bytes,
	    crypto_pwhash_ALG_ARGON2ID13) == 0 ? 0 : -ENOMEM;
}

// Under a key that wraps the image's.
void wrap(const uint8_t *wrapping, const struct vkckpt_uuid *image_id, const uint8_t *key, struct vkckpt_f_key *out)
{
	randombytes_buf(out->nonce, sizeof out->nonce);
	out->wrapped_bytes = kKeyBytes + crypto_aead_xchacha20poly1305_ietf_ABYTES;
	crypto_aead_xchacha20poly1305_ietf_encrypt(out->wrapped, nullptr, key, kKeyBytes, image_id->bytes, sizeof image_id->bytes, nullptr,
	    out->nonce, wrapping);
}

int unwrap(const uint8_t *wrapping, const struct vkckpt_uuid *image_id, const struct vkckpt_f_key *k, uint8_t *key)
{
	return crypto_aead_xchacha20poly1305_ietf_decrypt(key, nullptr, nullptr, k->wrapped, k->wrapped_bytes, image_id->bytes,
	    sizeof image_id->bytes, k->nonce, wrapping) == 0 ? 0 : -EBADMSG;
}

int make_key(void *arg, const struct vkckpt_uuid *image_id, uint8_t *key, struct vkckpt_f_key *out)
{
	vkckpt_sodium &s = *static_cast<vkckpt_sodium *>(arg);
	randombytes_buf(key, kKeyBytes);
	out->kind = s.seal_kind;
	uint8_t stretched[kKeyBytes];
	int r = 0;
	switch (s.seal_kind) {
	case VKCKPT_KEY_BOX:
		static_assert(crypto_box_SEALBYTES + kKeyBytes == sizeof out->wrapped);
		memcpy(out->recipient, s.seal_public, kKeyBytes);
		out->wrapped_bytes = sizeof out->wrapped;
		r = crypto_box_seal(out->wrapped, key, kKeyBytes, s.seal_public) == 0 ? 0 : -EINVAL;
		break;
	case VKCKPT_KEY_RAW:
		wrap(s.seal_raw, image_id, key, out);
		break;
	case VKCKPT_KEY_PASSPHRASE:
		randombytes_buf(out->salt, sizeof out->salt);
		out->passes = kPasses;
		out->memory_bytes = kMemoryBytes;
		r = stretch(s.seal_passphrase, *out, stretched);
		if (r == 0)
			wrap(stretched, image_id, key, out);
		break;
	default:
		r = -EINVAL;
	}
	sodium_memzero(stretched, sizeof stretched);
	return r;
}

int open_box(const vkckpt_sodium &s, const struct vkckpt_f_key *k, uint8_t *key)
{
	if (!s.have_secret)
		return -ENOENT;
	uint8_t own[kKeyBytes];
	crypto_scalarmult_base(own, s.secret);
	int r = sodium_memcmp(own, k->recipient, sizeof own) == 0 &&
	    crypto_box_seal_open(key, k->wrapped, k->wrapped_bytes, own, s.secret) == 0 ? 0 : -EBADMSG;
	sodium_stackzero(kStackToWipe);		// the code below works on copies of the secret
	return r;
}

int open_passphrase(vkckpt_sodium &s, const struct vkckpt_uuid *image_id, const struct vkckpt_f_key *k, uint8_t *key)
{
	if (!s.have_passphrase)
		return -ENOENT;
	if (!s.passphrase[0] && !readpassphrase("passphrase of the image: ", s.passphrase, sizeof s.passphrase, RPP_REQUIRE_TTY))
		return errno == ENOTTY ? -ENOENT : -errno;
	uint8_t stretched[kKeyBytes];
	int r = stretch(s.passphrase, *k, stretched);
	if (r == 0)
		r = unwrap(stretched, image_id, k, key);
	sodium_memzero(stretched, sizeof stretched);
	return r;
}

// The vkernel that is thawed seals as its image was. A passphrase is not kept in a running vkernel.
void keep(vkckpt_sodium &s, const struct vkckpt_f_key *k)
{
	if (k->kind == VKCKPT_KEY_PASSPHRASE)
		return;
	s.keep = false;
	s.seal_kind = k->kind;
	s.table.make_key = make_key;
	memcpy(s.seal_public, k->recipient, kKeyBytes);
	if (k->kind == VKCKPT_KEY_RAW)
		memcpy(s.seal_raw, s.raw, kKeyBytes);
}

int open_key(void *arg, const struct vkckpt_uuid *image_id, const struct vkckpt_f_key *k, uint8_t *key)
{
	vkckpt_sodium &s = *static_cast<vkckpt_sodium *>(arg);
	int r = -ENOENT;
	if (k->kind == VKCKPT_KEY_BOX)
		r = open_box(s, k, key);
	else if (k->kind == VKCKPT_KEY_PASSPHRASE)
		r = open_passphrase(s, image_id, k, key);
	else if (s.have_raw)
		r = unwrap(s.raw, image_id, k, key);
	if (r == 0 && s.keep)
		keep(s, k);
	return r;
}

int leaves(void *arg, const char *path, struct vkckpt_leaves *out)
{
	vkckpt_sodium &s = *static_cast<vkckpt_sodium *>(arg);
	if (s.leaves_count == kMaxChain)
		return -ENOBUFS;
	char beside[VKCKPT_MAX_PATH + 8];
	const char *file = s.signature;
	s.signature = nullptr;
	if (!file) {
		if (!path || strlen(path) > VKCKPT_MAX_PATH)
			return -ENOENT;
		memcpy(beside, path, strlen(path));
		memcpy(beside + strlen(path), ".sig", 5);
		file = beside;
	}
	Leaves &l = s.leaves[s.leaves_count];
	int r = read_signature(file, s.signer, &l);
	if (r == 0) {
		s.leaves_count++;
		*out = l.table;
	}
	return r;
}

// The first line of fd, without its end.
int read_passphrase(int fd, char *out, struct vkckpt_error *err)
{
	size_t used = 0;
	for (;;) {
		ssize_t got = read(fd, out + used, 1);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return refuse(err, errno, VKCKPT_R_KEY_FILE, "passphrase", "descriptor %d: %s; name one that is open for reading", fd,
			    strerror(errno));
		if (got == 0 || out[used] == '\n')
			break;
		if (++used == kPassphraseRoom)
			return refuse(err, ENOBUFS, VKCKPT_R_KEY_FILE, "passphrase", "more than %zu bytes", kPassphraseRoom - 1);
	}
	out[used] = '\0';
	if (used == 0 || strlen(out) != used)
		return refuse(err, EINVAL, VKCKPT_R_KEY_FILE, "passphrase", "descriptor %d: %s", fd, used ? "a NUL in it" : "an empty line");
	return 0;
}

int ask_passphrase_twice(char *out, struct vkckpt_error *err)
{
	static_assert(kPassphraseRoom <= kFileRoom);
	char *again = static_cast<char *>(sodium_malloc(kPassphraseRoom));
	int r = -ENOMEM;
	if (again && readpassphrase("passphrase: ", out, kPassphraseRoom, RPP_REQUIRE_TTY) &&
	    readpassphrase("the same again: ", again, kPassphraseRoom, RPP_REQUIRE_TTY))
		r = !out[0] ? refuse(err, EINVAL, VKCKPT_R_KEY_FILE, "passphrase", "empty") : strcmp(out, again) == 0 ? 0 :
		    refuse(err, EINVAL, VKCKPT_R_KEY_FILE, "passphrase", "the two differ; try again");
	else
		r = refuse(err, errno ? errno : ENOMEM, VKCKPT_R_KEY_FILE, "passphrase",
		    "there is no terminal to ask on; give it with --passphrase-fd N");
	sodium_free(again);
	return r;
}

}  // namespace

extern "C" {

int vkckpt_sodium_new(struct vkckpt_sodium **out, struct vkckpt_error *err)
{
	*out = nullptr;
	if (sodium_init() < 0)
		return refuse(err, EIO, VKCKPT_R_SYSTEM, "libsodium", "cannot be started: the host gives no random numbers");
	vkckpt_sodium *s = static_cast<vkckpt_sodium *>(sodium_malloc(sizeof *s));
	if (!s)
		return refuse(err, ENOMEM, VKCKPT_R_NO_MEMORY, "keys", "no locked memory for them; raise the limit (ulimit -l)");
	memset(s, 0, sizeof *s);
	s->table.size = sizeof s->table;
	s->table.arg = s;
	s->table.seal = seal;
	s->table.open = open;
	*out = s;
	return 0;
}

void vkckpt_sodium_free(struct vkckpt_sodium *s)
{
	for (size_t i = 0; s && i < s->leaves_count; i++)
		free(s->leaves[i].digests);
	sodium_free(s);
}

const struct vkckpt_crypto *vkckpt_sodium_table(const struct vkckpt_sodium *s) { return &s->table; }

int vkckpt_sodium_seal_to(struct vkckpt_sodium *s, const char *file, struct vkckpt_error *err)
{
	KeyFile key = { KeyKind::seal_public, false, {} };
	if (int r = read_key(file, &key, s->scratch, err); r < 0)
		return r;
	memcpy(s->seal_public, key.key, kKeyBytes);
	s->seal_kind = VKCKPT_KEY_BOX;
	s->table.make_key = make_key;
	return 0;
}

int vkckpt_sodium_seal_raw(struct vkckpt_sodium *s, const char *file, struct vkckpt_error *err)
{
	KeyFile key = { KeyKind::raw, false, {} };
	int r = read_key(file, &key, s->scratch, err);
	if (r == 0) {
		memcpy(s->seal_raw, key.key, kKeyBytes);
		s->seal_kind = VKCKPT_KEY_RAW;
		s->table.make_key = make_key;
	}
	sodium_memzero(&key, sizeof key);
	return r;
}

int vkckpt_sodium_seal_passphrase(struct vkckpt_sodium *s, int fd, struct vkckpt_error *err)
{
	int r = fd < 0 ? ask_passphrase_twice(s->seal_passphrase, err) : read_passphrase(fd, s->seal_passphrase, err);
	if (r < 0)
		return r;
	s->seal_kind = VKCKPT_KEY_PASSPHRASE;
	s->table.make_key = make_key;
	return 0;
}

void vkckpt_sodium_keep(struct vkckpt_sodium *s) { s->keep = true; }

int vkckpt_sodium_key(struct vkckpt_sodium *s, const char *file, struct vkckpt_error *err)
{
	KeyFile key = { KeyKind::seal_secret, true, {} };
	int r = read_key(file, &key, s->scratch, err);
	if (r == 0 && key.kind == KeyKind::raw) {
		memcpy(s->raw, key.key, kKeyBytes);
		s->have_raw = true;
	} else if (r == 0) {
		memcpy(s->secret, key.key, kKeyBytes);
		s->have_secret = true;
	}
	if (r == 0)
		s->table.open_key = open_key;
	sodium_memzero(&key, sizeof key);
	return r;
}

int vkckpt_sodium_passphrase(struct vkckpt_sodium *s, int fd, struct vkckpt_error *err)
{
	if (fd >= 0)
		if (int r = read_passphrase(fd, s->passphrase, err); r < 0)
			return r;
	s->have_passphrase = true;
	s->table.open_key = open_key;
	return 0;
}

int vkckpt_sodium_require_signature(struct vkckpt_sodium *s, const char *file, const char *signature, struct vkckpt_error *err)
{
	KeyFile key = { KeyKind::sign_public, false, {} };
	if (int r = read_key(file, &key, s->scratch, err); r < 0)
		return r;
	memcpy(s->signer, key.key, kKeyBytes);
	s->signature = signature;
	s->table.leaves = leaves;
	s->table.leaf_digest = leaf_digest;
	return 0;
}

void vkckpt_sodium_forget(struct vkckpt_sodium *s)
{
	sodium_memzero(s->secret, sizeof s->secret);
	sodium_memzero(s->raw, sizeof s->raw);
	sodium_memzero(s->passphrase, sizeof s->passphrase);
	sodium_memzero(s->scratch, sizeof s->scratch);
	s->have_secret = s->have_raw = s->have_passphrase = false;
	s->table.open_key = nullptr;
}

}
