// The seal of one image. See seal.h. QUIET and THAW: no allocation but init's page.
#include "lib/seal.h"

#include <errno.h>

#include "lib/image_check.h"
#include "lib/sys.h"
#include "lib/text.h"

namespace vk {
namespace {

constexpr size_t kPageBytes = 4096;
constexpr uint64_t kPiece = VKCKPT_SEALED_PIECE, kTag = VKCKPT_TAG_BYTES;
constexpr uint64_t kMaxPasses = 64, kMaxArgonBytes = uint64_t{4} << 30;
constexpr size_t kAdRoom = sizeof(struct vkckpt_f_record_ad) + sizeof(struct vkckpt_f_header) + sizeof(struct vkckpt_f_key);

bool zeros(const void *memory, size_t bytes)
{
	const uint8_t *at = static_cast<const uint8_t *>(memory);
	for (size_t i = 0; i < bytes; i++)
		if (at[i] != 0)
			return false;
	return true;
}

uint64_t pieces(uint64_t plain) { return plain == 0 ? 1 : (plain + kPiece - 1) / kPiece; }

// What a person needs to find the right key.
void describe(const struct vkckpt_f_key &key, char *out, size_t room)
{
	Text text(out, room);
	if (key.kind == VKCKPT_KEY_BOX)
		text.add("sealed to public key ").bytes_hex(key.recipient, 8);
	else
		text.add(key.kind == VKCKPT_KEY_PASSPHRASE ? "sealed with a passphrase" : "sealed with a raw key");
}

Status refused(int code, const char *where, const struct vkckpt_f_key &key)
{
	char subject[64];
	describe(key, subject, sizeof subject);
	if (code == ENOENT)
		return fail(EACCES, VKCKPT_R_SEALED, where, subject);
	if (code == EBADMSG)
		return fail(EACCES, VKCKPT_R_KEY_WRONG, where, subject);
	if (code == ENOMEM)
		return fail_host(code, where, subject, key.memory_bytes);
	return fail(code, VKCKPT_R_HOOK_FAILED, where, subject);
}

Status outcome(int result, const char *where, const char *subject, uint64_t number)
{
	if (result == 0)
		return success();
	if (result == -EBADMSG)
		return fail(EBADMSG, VKCKPT_R_FORGED, where, subject, number);
	return fail(result < 0 ? -result : EINVAL, VKCKPT_R_HOOK_FAILED, where, subject, number);
}

struct vkckpt_f_nonce chunk_nonce(const struct vkckpt_f_chunk &c)
{
	return { c.chunk, c.object + c.codec * uint32_t{65536}, VKCKPT_NONCE_CHUNK, 0 };
}

}  // namespace

uint64_t sealed_bytes(uint64_t plain) { return plain + pieces(plain) * kTag; }

bool plain_bytes(uint64_t sealed, uint64_t *plain)
{
	uint64_t count = (sealed + kPiece + kTag - 1) / (kPiece + kTag);
	if (sealed >= uint64_t{1} << 62 || sealed < count * kTag)
		return false;
	*plain = sealed - count * kTag;
	return count != 0 && pieces(*plain) == count;
}

Status check_key(const struct vkckpt_f_key &k)
{
	bool box = k.kind == VKCKPT_KEY_BOX, passphrase = k.kind == VKCKPT_KEY_PASSPHRASE;
	if (k.kind < VKCKPT_KEY_BOX || k.kind > VKCKPT_KEY_RAW)
		return fail(ENOTSUP, VKCKPT_R_FEATURE_UNKNOWN, "image", "kind of key", k.kind);
	if (k.wrapped_bytes != (box ? 80u : 48u) || !zeros(k.wrapped + k.wrapped_bytes, sizeof k.wrapped - k.wrapped_bytes) ||
	    !zeros(k.reserved, sizeof k.reserved) || (box ? !zeros(k.nonce, sizeof k.nonce) : !zeros(k.recipient, sizeof k.recipient)) ||
	    (!passphrase && (!zeros(k.salt, sizeof k.salt) || k.passes != 0 || k.memory_bytes != 0)))
		return image_damaged("key", k.kind);
	if (passphrase && (k.passes < 1 || k.passes > kMaxPasses || k.memory_bytes < 8192 || k.memory_bytes > kMaxArgonBytes ||
	    k.memory_bytes % 1024 != 0))
		return fail(ENOBUFS, VKCKPT_R_LIMIT, "image", "memory or passes of Argon2id", k.memory_bytes);
	return success();
}

Status seal_refused(const struct vkckpt_f_key &key)
{
	VK_TRY(check_key(key));
	return refused(ENOENT, "image", key);
}

Status Seal::init(const struct vkckpt_crypto &crypto)
{
	VK_CHECK(page_ == nullptr);
	if (crypto.size != sizeof crypto || !crypto.seal || !crypto.open)
		return fail(EINVAL, VKCKPT_R_BAD_ARGUMENT, "crypto", "size, seal or open", crypto.size);
	long at = sys_mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at < 0)
		return fail_host(static_cast<int>(-at), "memory", "for a key", kPageBytes);
	page_ = reinterpret_cast<Page *>(at);
	crypto_ = crypto;
	(void)sys_madvise(page_, kPageBytes, MADV_DONTDUMP);	// help, but no need: the page is wiped
	(void)sys_madvise(page_, kPageBytes, MADV_DONTFORK);
	if (long r = sys_mlock(page_, kPageBytes); r < 0) {
		release();
		return fail_host(static_cast<int>(-r), "memory: lock (ulimit -l)", "for a key", kPageBytes);
	}
	return success();
}

void Seal::release()
{
	wipe();
	if (page_)
		VK_CHECK(sys_munmap(page_, kPageBytes) == 0);
	page_ = nullptr;
	crypto_ = {};
}

void Seal::wipe()
{
	active_ = false;
	if (!page_)
		return;
	__builtin_memset(page_, 0, sizeof *page_);
	asm volatile("" : : "r"(page_) : "memory");	// not to be left out as a dead store
}

void Seal::bind(const struct vkckpt_f_header &header, const struct vkckpt_f_key &key)
{
	header_ = header;
	key_record_ = key;
	active_ = true;
}

Status Seal::make(const struct vkckpt_f_header &header, struct vkckpt_f_key *key)
{
	VK_CHECK(page_ != nullptr);
	wipe();
	*key = {};
	if (!crypto_.make_key)
		return fail(EINVAL, VKCKPT_R_BAD_ARGUMENT, "crypto", "make_key");
	if (int r = crypto_.make_key(crypto_.arg, &header.image_id, page_->key, key); r != 0) {
		wipe();
		return fail(r < 0 ? -r : EINVAL, VKCKPT_R_HOOK_FAILED, "seal", "make_key");
	}
	if (Status s = check_key(*key); !s.ok()) {
		wipe();
		return fail(EINVAL, VKCKPT_R_HOOK_FAILED, "seal", "make_key gave no valid record", key->kind);
	}
	bind(header, *key);
	return success();
}

Status Seal::open(const struct vkckpt_f_header &header, const struct vkckpt_f_key &key)
{
	VK_CHECK(page_ != nullptr);
	wipe();
	VK_TRY(check_key(key));
	int r = crypto_.open_key ? crypto_.open_key(crypto_.arg, &header.image_id, &key, page_->key) : -ENOENT;
	if (r != 0) {
		wipe();
		return refused(r < 0 ? -r : EINVAL, "image", key);
	}
	bind(header, key);
	return success();
}

size_t Seal::record_ad(const struct vkckpt_f_record &record, uint32_t piece, const void *prefix, uint8_t *out) const
{
	struct vkckpt_f_record_ad ad;
	ad.image_id = header_.image_id;
	__builtin_memcpy(ad.head, &record, sizeof ad.head);
	ad.piece = piece;
	__builtin_memcpy(out, &ad, sizeof ad);
	size_t used = sizeof ad;
	if (size_t count = sealed_prefix(record.type); count != 0) {
		__builtin_memcpy(out + used, prefix, count);
		used += count;
	}
	if (record.type == VKCKPT_REC_SHAPE) {
		__builtin_memcpy(out + used, &header_, sizeof header_);
		__builtin_memcpy(out + used + sizeof header_, &key_record_, sizeof key_record_);
		used += sizeof header_ + sizeof key_record_;
	}
	return used;
}

Status Seal::seal_piece(const struct vkckpt_f_record &record, uint32_t piece, const void *prefix, void *bytes, size_t count) const
{
	VK_CHECK(active_);
	uint8_t ad[kAdRoom];
	size_t ad_bytes = record_ad(record, piece, prefix, ad);
	struct vkckpt_f_nonce nonce = { record.sequence, piece, VKCKPT_NONCE_RECORD, 0 };
	return outcome(crypto_.seal(page_->key, &nonce, ad, ad_bytes, bytes, count), "seal", "record", record.sequence);
}

Status Seal::open_piece(const struct vkckpt_f_record &record, uint32_t piece, const void *prefix, void *bytes, size_t count) const
{
	VK_CHECK(active_);
	uint8_t ad[kAdRoom];
	size_t ad_bytes = record_ad(record, piece, prefix, ad);
	struct vkckpt_f_nonce nonce = { record.sequence, piece, VKCKPT_NONCE_RECORD, 0 };
	return outcome(crypto_.open(page_->key, &nonce, ad, ad_bytes, bytes, count), "image", "record", record.sequence);
}

// From the last piece to the first: each makes room behind it for the tags of those before.
Status Seal::seal_payload(const struct vkckpt_f_record &record, const void *prefix, void *payload, uint64_t plain_count) const
{
	uint8_t *base = static_cast<uint8_t *>(payload);
	for (uint64_t piece = pieces(plain_count); piece-- > 0;) {
		uint64_t at = piece * kPiece, count = plain_count - at < kPiece ? plain_count - at : kPiece;
		uint8_t *to = base + at + piece * kTag;
		__builtin_memmove(to, base + at, count);
		VK_TRY(seal_piece(record, static_cast<uint32_t>(piece), prefix, to, count));
	}
	return success();
}

Status Seal::open_payload(const struct vkckpt_f_record &record, const void *prefix, void *payload, uint64_t plain_count) const
{
	uint8_t *base = static_cast<uint8_t *>(payload);
	for (uint64_t piece = 0; piece < pieces(plain_count); piece++) {
		uint64_t at = piece * kPiece, count = plain_count - at < kPiece ? plain_count - at : kPiece;
		uint8_t *from = base + at + piece * kTag;
		VK_TRY(open_piece(record, static_cast<uint32_t>(piece), prefix, from, count));
		__builtin_memmove(base + at, from, count);
	}
	return success();
}

Status Seal::seal_chunk(const struct vkckpt_f_chunk &c, void *bytes, size_t count) const
{
	VK_CHECK(active_);
	struct vkckpt_f_chunk_ad ad = { header_.image_id, c.chunk, c.object, c.mask, c.codec, {} };
	struct vkckpt_f_nonce nonce = chunk_nonce(c);
	return outcome(crypto_.seal(page_->key, &nonce, &ad, sizeof ad, bytes, count), "seal", "chunk", c.chunk);
}

Status Seal::open_chunk(const struct vkckpt_f_chunk &c, void *bytes, size_t count) const
{
	VK_CHECK(active_);
	struct vkckpt_f_chunk_ad ad = { header_.image_id, c.chunk, c.object, c.mask, c.codec, {} };
	struct vkckpt_f_nonce nonce = chunk_nonce(c);
	return outcome(crypto_.open(page_->key, &nonce, &ad, sizeof ad, bytes, count), "image", "chunk", c.chunk);
}

}  // namespace vk
