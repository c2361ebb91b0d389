// Key files: one line "vkckpt-KIND-1 TEXT", the text is base64 (URL alphabet, no padding) of the key's 32 bytes and 4 bytes that guard
// against slips: the first of BLAKE2b over the word and the key. Lines that begin with # are passed over. A descriptor may also give
// the 32 bytes of a raw key as they are.
#include "vkernel-hooks/sodium/internal.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vksodium {
namespace {

constexpr size_t kCheckBytes = 4;
constexpr const char *kWords[] = { "vkckpt-seal-public-1", "vkckpt-seal-secret-1", "vkckpt-sign-public-1", "vkckpt-sign-secret-1",
	"vkckpt-raw-1" };
constexpr const char *kMeaning[] = { "a public key to seal to", "a secret key that opens images", "a public key to check signatures with",
	"a secret key to sign with", "a raw key" };

const char *word_of(KeyKind kind) { return kWords[static_cast<int>(kind)]; }
bool is_public(KeyKind kind) { return kind == KeyKind::seal_public || kind == KeyKind::sign_public; }

void check_of(const char *word, const uint8_t *key, uint8_t *out)
{
	crypto_generichash_state state;
	uint8_t digest[crypto_generichash_BYTES];
	crypto_generichash_init(&state, nullptr, 0, sizeof digest);
	crypto_generichash_update(&state, reinterpret_cast<const uint8_t *>(word), strlen(word));
	crypto_generichash_update(&state, key, kKeyBytes);
	crypto_generichash_final(&state, digest, sizeof digest);
	memcpy(out, digest, kCheckBytes);
	sodium_memzero(&state, sizeof state);
}

int open_key_file(const char *file, struct stat *facts, struct vkckpt_error *err)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return refuse(err, errno, VKCKPT_R_KEY_FILE, file, "%s", errno == ELOOP ?
		    "a symbolic link, which is not followed; name the file itself" : errno == ENOENT ?
		    "there is no such file; check the name, vkckpt keygen makes keys" : strerror(errno));
	int r = fstat(fd, facts) < 0 ? refuse(err, errno, VKCKPT_R_KEY_FILE, file, "%s", strerror(errno)) : 0;
	if (r == 0 && !S_ISREG(facts->st_mode))
		r = refuse(err, EINVAL, VKCKPT_R_KEY_FILE, file, "not a regular file; give a pipe as fd:N");
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

// Looked at when its kind is known to be right: of a wrong one nothing is to be said about its mode.
int check_rights(const char *file, const struct stat &st, bool secret, struct vkckpt_error *err)
{
	unsigned mode = st.st_mode & 07777u, wrong = mode & (secret ? 077u : 022u);
	int r = 0;
	if (st.st_uid != geteuid() && st.st_uid != 0)
		r = refuse(err, EPERM, VKCKPT_R_KEY_FILE, file, "belongs to user %u, who could exchange it; make it your own", st.st_uid);
	else if (wrong != 0)
		r = refuse(err, EPERM, VKCKPT_R_KEY_FILE, file, "mode %04o: others can %s it; chmod %s it, and make a new key if others "
		    "had access", mode, secret ? "get at" : "change", secret ? "600" : "644");
	return r;
}

int read_all_of(int fd, const char *file, uint8_t *scratch, size_t *bytes, struct vkckpt_error *err)
{
	for (*bytes = 0; *bytes < kFileRoom;) {
		ssize_t got = read(fd, scratch + *bytes, kFileRoom - *bytes);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return refuse(err, errno, VKCKPT_R_KEY_FILE, file, "%s", strerror(errno));
		if (got == 0)
			return 0;
		*bytes += static_cast<size_t>(got);
	}
	return refuse(err, EINVAL, VKCKPT_R_KEY_FILE, file, "too long for a key");
}

// The line that is no comment: its first and last byte.
void find_line(const char *text, size_t bytes, size_t *from, size_t *to)
{
	for (*from = 0; *from < bytes && (text[*from] == '#' || text[*from] == '\n'); ++*from)
		for (; *from < bytes && text[*from] != '\n';)
			++*from;
	for (*to = *from; *to < bytes && text[*to] != '\n' && text[*to] != '\r';)
		++*to;
}

int parse(const char *file, const char *text, size_t bytes, KeyFile *key, struct vkckpt_error *err)
{
	size_t from, to;
	find_line(text, bytes, &from, &to);
	for (int k = 0; k < 5; k++) {
		size_t word = strlen(kWords[k]);
		if (to - from <= word || memcmp(text + from, kWords[k], word) != 0 || text[from + word] != ' ')
			continue;
		KeyKind kind = static_cast<KeyKind>(k);
		if (kind != key->kind && !(key->any && kind == KeyKind::raw))
			return refuse(err, EINVAL, VKCKPT_R_KEY_FILE, file, "is %s; %s is needed here", kMeaning[k],
			    kMeaning[static_cast<int>(key->kind)]);
		uint8_t raw[kKeyBytes + kCheckBytes], check[kCheckBytes];
		size_t got = 0;
		const char *end = nullptr;
		bool good = sodium_base642bin(raw, sizeof raw, text + from + word + 1, to - from - word - 1, nullptr, &got, &end,
		    sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0 && got == sizeof raw && end == text + to;
		check_of(kWords[k], raw, check);
		good = good && sodium_memcmp(check, raw + kKeyBytes, kCheckBytes) == 0;
		key->kind = kind;
		memcpy(key->key, raw, kKeyBytes);
		sodium_memzero(raw, sizeof raw);
		return good ? 0 : refuse(err, EINVAL, VKCKPT_R_KEY_FILE, file, "is damaged; use a copy of it");
	}
	return refuse(err, EINVAL, VKCKPT_R_KEY_FILE, file, "is no key file; vkckpt keygen makes them");
}

// A file that was not there, with its text, on the disk when this returns 0.
int write_key(const char *file, KeyKind kind, const uint8_t *key, const char *comment, struct vkckpt_error *err)
{
	uint8_t raw[kKeyBytes + kCheckBytes];
	char text[512], base64[64];
	memcpy(raw, key, kKeyBytes);
	check_of(word_of(kind), key, raw + kKeyBytes);
	sodium_bin2base64(base64, sizeof base64, raw, sizeof raw, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	int length = snprintf(text, sizeof text, "# %s%s\n%s %s\n", kMeaning[static_cast<int>(kind)], comment, word_of(kind), base64);
	int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, is_public(kind) ? 0644 : 0600);
	int r = 0;
	if (fd < 0)
		r = refuse(err, errno, VKCKPT_R_KEY_FILE, file, "%s", errno == EEXIST ? "is there already; name another, keys are never replaced" :
		    errno == ENOENT ? "its folder is not there; make it first, or name a key in another" : strerror(errno));
	else if (write(fd, text, static_cast<size_t>(length)) != length || fsync(fd) < 0 || !sync_folder(file)) {
		r = refuse(err, errno ? errno : ENOSPC, VKCKPT_R_KEY_FILE, file, "%s", strerror(errno ? errno : ENOSPC));
		unlink(file);
	}
	if (fd >= 0)
		close(fd);
	sodium_memzero(raw, sizeof raw);
	sodium_memzero(text, sizeof text);
	sodium_memzero(base64, sizeof base64);
	return r;
}

}  // namespace

int refuse(struct vkckpt_error *err, int code, uint32_t reason, const char *subject, const char *format, ...)
{
	if (!err)
		return -code;
	*err = {};
	err->code = code;
	err->reason = reason;
	err->where = "key";
	snprintf(err->subject, sizeof err->subject, "%s", subject);
	int used = snprintf(err->message, sizeof err->message, "%s: ", subject);
	size_t at = static_cast<size_t>(used) < sizeof err->message ? static_cast<size_t>(used) : sizeof err->message - 1;
	va_list args;
	va_start(args, format);
	vsnprintf(err->message + at, sizeof err->message - at, format, args);
	va_end(args);
	at = strlen(err->message);
	snprintf(err->message + at, sizeof err->message - at, " (%s)", vkckpt_reason_name(reason));
	return -code;
}

int read_key(const char *file, KeyFile *key, uint8_t *scratch, struct vkckpt_error *err)
{
	bool descriptor = strncmp(file, "fd:", 3) == 0;
	char *end = nullptr;
	long number = descriptor ? strtol(file + 3, &end, 10) : -1;
	if (descriptor && (number < 0 || *end != '\0' || end == file + 3))
		return refuse(err, EINVAL, VKCKPT_R_KEY_FILE, file, "not a descriptor; write fd:N");
	struct stat facts;
	int fd = descriptor ? static_cast<int>(number) : open_key_file(file, &facts, err);
	if (fd < 0)
		return fd;
	size_t bytes = 0;
	int r = read_all_of(fd, file, scratch, &bytes, err);
	close(fd);
	bool raw_wanted = key->kind == KeyKind::raw || key->any;
	if (r == 0 && descriptor && raw_wanted && bytes == kKeyBytes) {
		key->kind = KeyKind::raw;
		memcpy(key->key, scratch, kKeyBytes);
	} else if (r == 0) {
		r = parse(file, reinterpret_cast<const char *>(scratch), bytes, key, err);
		if (r == 0 && !descriptor)
			r = check_rights(file, facts, !is_public(key->kind), err);
		if (r < 0)
			sodium_memzero(key->key, sizeof key->key);
	}
	sodium_memzero(scratch, kFileRoom);
	return r;
}

}  // namespace vksodium

using namespace vksodium;

extern "C" int vkckpt_sodium_keygen(enum vkckpt_sodium_pair kind, const char *secret_file, const char *public_file,
    struct vkckpt_error *err)
{
	if (sodium_init() < 0)
		return refuse(err, EIO, VKCKPT_R_SYSTEM, "libsodium", "cannot be started: the host gives no random numbers");
	uint8_t secret[kKeyBytes], open_half[kKeyBytes], both[crypto_sign_SECRETKEYBYTES];
	char comment[64] = "";
	randombytes_buf(secret, sizeof secret);
	if (kind == VKCKPT_SODIUM_SEAL)
		crypto_scalarmult_base(open_half, secret);
	else if (kind == VKCKPT_SODIUM_SIGN)
		crypto_sign_seed_keypair(open_half, both, secret);
	if (kind != VKCKPT_SODIUM_RAW) {
		char hex[17];
		sodium_bin2hex(hex, sizeof hex, open_half, 8);
		snprintf(comment, sizeof comment, "; public key %s", hex);
	}
	KeyKind secret_kind = kind == VKCKPT_SODIUM_SEAL ? KeyKind::seal_secret : kind == VKCKPT_SODIUM_SIGN ? KeyKind::sign_secret :
	    KeyKind::raw;
	int r = write_key(secret_file, secret_kind, secret, comment, err);
	if (r == 0 && kind != VKCKPT_SODIUM_RAW) {
		r = write_key(public_file, kind == VKCKPT_SODIUM_SEAL ? KeyKind::seal_public : KeyKind::sign_public, open_half, comment, err);
		if (r < 0)
			unlink(secret_file);
	}
	sodium_memzero(secret, sizeof secret);
	sodium_memzero(both, sizeof both);
	sodium_stackzero(32 << 10);
	return r;
}
