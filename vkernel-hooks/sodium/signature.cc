// Signatures: a file beside the image with the digests of its leaves, so that every byte can be checked when it is read and before it is
// used, in any order; and one Ed25519 signature over all of it. The layout: vkckpt(5).
#include "vkernel-hooks/sodium/internal.h"

#include <vkckpt/image.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

namespace vksodium {
namespace {

constexpr size_t kSignedHead = offsetof(Signature, signature);
static_assert(kSignedHead == 80 && kLeafBytes <= VKCKPT_LEAF_BYTES_MAX);
constexpr uint64_t kMaxImage = 1ull << 48;

uint64_t leaf_count(uint64_t file_bytes, uint32_t leaf_bytes) { return (file_bytes + leaf_bytes - 1) / leaf_bytes; }

// What is signed.
struct Message {
	uint8_t bytes[sizeof kSignatureContext - 1 + kSignedHead + VKCKPT_LEAF_DIGEST];
	Message(const Signature &s, const uint8_t *leaves)
	{
		size_t context = sizeof kSignatureContext - 1;
		memcpy(bytes, kSignatureContext, context);
		memcpy(bytes + context, &s, kSignedHead);
		leaf_digest(leaves, leaf_count(s.file_bytes, s.leaf_bytes) * VKCKPT_LEAF_DIGEST, bytes + context + kSignedHead);
	}
};

// Exactly so many bytes; fewer is an error.
bool read_exactly(int fd, void *out, size_t bytes)
{
	uint8_t *at = static_cast<uint8_t *>(out);
	while (bytes > 0) {
		ssize_t got = read(fd, at, bytes);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		at += got;
		bytes -= static_cast<size_t>(got);
	}
	return true;
}

bool write_all(int fd, const void *bytes, size_t count)
{
	const uint8_t *at = static_cast<const uint8_t *>(bytes);
	while (count > 0) {
		ssize_t done = write(fd, at, count);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		at += done;
		count -= static_cast<size_t>(done);
	}
	return true;
}

// The head and the leaves of an open signature file, everything checked but the signature itself.
int read_parts(int fd, Signature *s, uint8_t **leaves)
{
	static const uint8_t kZeros[sizeof s->zero] = {};
	struct stat st;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || !read_exactly(fd, s, sizeof *s) || memcmp(s->magic, kSignatureMagic, sizeof s->magic) != 0 ||
	    s->version != 1 || memcmp(s->zero, kZeros, sizeof kZeros) != 0)
		return -EBADMSG;
	if (s->leaf_bytes < 4096 || s->leaf_bytes > VKCKPT_LEAF_BYTES_MAX || s->leaf_bytes % 4096 != 0 || s->file_bytes == 0 ||
	    s->file_bytes > kMaxImage)
		return -EBADMSG;
	uint64_t bytes = leaf_count(s->file_bytes, s->leaf_bytes) * VKCKPT_LEAF_DIGEST;
	if (static_cast<uint64_t>(st.st_size) != sizeof *s + bytes)
		return -EBADMSG;
	*leaves = static_cast<uint8_t *>(malloc(bytes));
	if (!*leaves)
		return -ENOMEM;
	return read_exactly(fd, *leaves, bytes) ? 0 : -EBADMSG;
}

}  // namespace

bool sync_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char folder[VKCKPT_MAX_PATH + 16] = ".";
	if (slash)
		snprintf(folder, sizeof folder, "%.*s", slash == path ? 1 : int(slash - path), path);
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool synced = fd >= 0 && (fsync(fd) == 0 || errno == EINVAL);
	int code = errno;
	if (fd >= 0)
		close(fd);
	errno = code;
	return synced;
}

void leaf_digest(const void *bytes, size_t count, uint8_t *digest)
{
	static_assert(crypto_generichash_blake2b_BYTES == VKCKPT_LEAF_DIGEST);
	crypto_generichash_blake2b(digest, VKCKPT_LEAF_DIGEST, static_cast<const uint8_t *>(bytes), count, nullptr, 0);
}

int read_signature(const char *path, const uint8_t *signer, Leaves *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	Signature s = {};
	uint8_t *leaves = nullptr;
	int r = read_parts(fd, &s, &leaves);
	close(fd);
	if (r == 0) {
		Message message(s, leaves);
		if (memcmp(s.signer, signer, sizeof s.signer) != 0 ||
		    crypto_sign_verify_detached(s.signature, message.bytes, sizeof message.bytes, signer) != 0)
			r = -EBADMSG;
	}
	if (r < 0) {
		free(leaves);
		return r;
	}
	out->digests = leaves;
	out->table = { s.file_bytes, s.leaf_bytes, 0, leaves };
	return 0;
}

int make_leaves(int fd, const char *path, Leaves *out, struct vkckpt_error *err)
{
	struct stat st;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= 0)
		return refuse(err, EINVAL, VKCKPT_R_BAD_ARGUMENT, path, "not a regular file");
	uint64_t file_bytes = static_cast<uint64_t>(st.st_size), count = leaf_count(file_bytes, kLeafBytes);
	uint8_t *leaves = static_cast<uint8_t *>(malloc(count * VKCKPT_LEAF_DIGEST)), *leaf = static_cast<uint8_t *>(malloc(kLeafBytes));
	int r = leaves && leaf ? 0 : refuse(err, ENOMEM, VKCKPT_R_NO_MEMORY, path, "no memory for its signature");
	for (uint64_t i = 0; i < count && r == 0; i++) {
		size_t bytes = i + 1 < count ? kLeafBytes : file_bytes - i * kLeafBytes;
		errno = 0;
		if (!read_exactly(fd, leaf, bytes))
			r = refuse(err, errno ? errno : EIO, VKCKPT_R_IO_ERROR, path, "%s", errno ? strerror(errno) : "it became shorter");
		else
			leaf_digest(leaf, bytes, leaves + i * VKCKPT_LEAF_DIGEST);
	}
	free(leaf);
	if (r < 0)
		free(leaves);
	else
		*out = { leaves, { file_bytes, kLeafBytes, 0, leaves } };
	return r;
}

namespace {

bool lock(int fd)
{
	struct flock all = {};
	all.l_type = F_WRLCK;
	return fcntl(fd, F_OFD_SETLK, &all) == 0;
}

// One that nobody writes: it is left over from a process that died. False: errno says why it stays.
bool remove_leftover(const char *part)
{
	int fd = open(part, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT;
	bool removed = lock(fd) && unlink(part) == 0;
	int code = errno;
	close(fd);
	errno = code;
	return removed;
}

int open_part(const char *part, struct vkckpt_error *err)
{
	for (int attempt = 0; attempt < 3; attempt++) {
		int fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
		if (fd >= 0 && lock(fd))
			return fd;
		int code = errno;
		if (fd >= 0)
			close(fd);
		errno = code;
		if (fd >= 0 || code != EEXIST || !remove_leftover(part))
			break;
	}
	bool busy = errno == EAGAIN || errno == EEXIST;
	uint32_t reason = busy ? VKCKPT_R_IMAGE_IN_USE : errno == EACCES || errno == EPERM || errno == EROFS ? VKCKPT_R_PERMISSION :
	    errno == ENOSPC || errno == EDQUOT ? VKCKPT_R_NO_SPACE : errno == ENOENT || errno == ENOTDIR ? VKCKPT_R_NOT_FOUND : VKCKPT_R_SYSTEM;
	return refuse(err, errno, reason, part, "%s", busy ? "another is signing" : errno == ELOOP ? "a symbolic link, which is not followed" :
	    strerror(errno));
}

// Whole or not at all, on the disk when it returns 0.
int write_signature(const char *path, const Signature &s, const uint8_t *leaves, struct vkckpt_error *err)
{
	char part[VKCKPT_MAX_PATH + 16];
	snprintf(part, sizeof part, "%s.part", path);
	int fd = open_part(part, err);
	if (fd < 0)
		return fd;
	bool good = write_all(fd, &s, sizeof s) && write_all(fd, leaves, leaf_count(s.file_bytes, s.leaf_bytes) * VKCKPT_LEAF_DIGEST) &&
	    fsync(fd) == 0 && rename(part, path) == 0;
	int r = 0;
	if (!good) {
		r = refuse(err, errno, errno == ENOSPC || errno == EDQUOT ? VKCKPT_R_NO_SPACE : VKCKPT_R_IO_ERROR, path, "%s", strerror(errno));
		unlink(part);
	} else if (!sync_folder(path)) {
		r = refuse(err, errno, VKCKPT_R_IO_ERROR, path, "%s; it is there but its name may not survive a power loss", strerror(errno));
	}
	close(fd);
	return r;
}

// A signature replaces an older one, and nothing else: what has its name may be the image, a key, or anybody's file.
int refuse_foreign(const char *path, const struct stat &image, struct vkckpt_error *err)
{
	struct stat st;
	if (lstat(path, &st) < 0)
		return 0;		// not there, or the making of the file says why
	if (st.st_dev == image.st_dev && st.st_ino == image.st_ino)
		return refuse(err, EEXIST, VKCKPT_R_BAD_ARGUMENT, path, "is the image itself; name another file for the signature");
	uint8_t magic[kSignatureMagicBytes];
	int fd = S_ISREG(st.st_mode) ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK) : -1;
	bool signature = fd >= 0 && read_exactly(fd, magic, sizeof magic) && memcmp(magic, kSignatureMagic, sizeof magic) == 0;
	if (fd >= 0)
		close(fd);
	return signature ? 0 : refuse(err, EEXIST, VKCKPT_R_BAD_ARGUMENT, path, "is there and no signature; only a signature is replaced, "
	    "name another file");
}

// The image is opened first. The images that it is built on have signatures of their own; here they are only read, so each is compared with
// what it was a moment ago.
struct Reading {
	const Leaves *image;
	Leaves parents[2 * VKCKPT_MAX_CHAIN];
	unsigned count;
	bool begun;
};

int leaves_of(void *arg, const char *path, struct vkckpt_leaves *out)
{
	Reading &r = *static_cast<Reading *>(arg);
	if (!r.begun) {
		r.begun = true;
		*out = r.image->table;
		return 0;
	}
	if (r.count == sizeof r.parents / sizeof *r.parents)
		return -EMFILE;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	Leaves &parent = r.parents[r.count];
	struct vkckpt_error unused;
	int result = make_leaves(fd, path, &parent, &unused);
	close(fd);
	if (result < 0)
		return result;
	r.count++;
	*out = parent.table;
	return 0;
}

// What is signed must be a good image, read now as it was digested.
int verify_same(const char *image, Leaves *leaves, struct vkckpt_error *err)
{
	Reading reading = {};
	reading.image = leaves;
	struct vkckpt_crypto table = {};
	table.size = sizeof table;
	table.arg = &reading;
	table.leaves = leaves_of;
	table.leaf_digest = leaf_digest;
	int r = vkckpt_image_verify_with(image, -1, &table, nullptr, nullptr, err);
	for (unsigned i = 0; i < reading.count; i++)
		free(reading.parents[i].digests);
	return r < 0 ? r : 0;
}

}  // namespace
}  // namespace vksodium

using namespace vksodium;

extern "C" int vkckpt_sodium_sign(const char *image, const char *secret_key_file, const char *signature, struct vkckpt_error *err)
{
	struct vkckpt_sodium *locked = nullptr;
	if (int r = vkckpt_sodium_new(&locked, err); r < 0)
		return r;
	char beside[VKCKPT_MAX_PATH + 8];
	snprintf(beside, sizeof beside, "%.*s.sig", int(VKCKPT_MAX_PATH), image);
	KeyFile key = { KeyKind::sign_secret, false, {} };
	int r = read_key(secret_key_file, &key, locked->scratch, err);
	Leaves leaves = {};
	struct vkckpt_f_header header;
	struct vkckpt_f_key unused;
	int fd = -1;
	if (r == 0)
		r = vkckpt_image_peek(image, &header, &unused, err);
	if (r >= 0) {
		fd = open(image, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
		struct stat st;
		r = fd < 0 || fstat(fd, &st) < 0 ? refuse(err, errno, VKCKPT_R_NOT_FOUND, image, "%s", strerror(errno)) :
		    refuse_foreign(signature ? signature : beside, st, err);
	}
	if (r == 0)
		r = make_leaves(fd, image, &leaves, err);
	if (r == 0)
		r = verify_same(image, &leaves, err);
	if (r == 0) {
		Signature s = {};
		uint8_t both[crypto_sign_SECRETKEYBYTES];
		struct timespec now;
		clock_gettime(CLOCK_REALTIME, &now);
		memcpy(s.magic, kSignatureMagic, sizeof s.magic);
		s.version = 1;
		s.leaf_bytes = leaves.table.leaf_bytes;
		s.file_bytes = leaves.table.file_bytes;
		s.image_id = header.image_id;
		s.signed_realtime_ns = static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
		crypto_sign_seed_keypair(s.signer, both, key.key);
		Message message(s, leaves.digests);
		crypto_sign_detached(s.signature, nullptr, message.bytes, sizeof message.bytes, both);
		sodium_memzero(both, sizeof both);
		r = write_signature(signature ? signature : beside, s, leaves.digests, err);
	}
	if (fd >= 0)
		close(fd);
	free(leaves.digests);
	sodium_memzero(&key, sizeof key);
	sodium_stackzero(32 << 10);
	vkckpt_sodium_free(locked);
	return r;
}
