// The checks that every reader of an image makes. See image_check.h. Every number that comes out of a file is compared with its limit
// here before anyone uses it.
#include "lib/image_check.h"

#include <errno.h>

#include "lib/codec.h"
#include "lib/digest.h"
#include "lib/seal.h"

namespace vk {
namespace {

constexpr char kWhere[] = "image";
constexpr uint64_t kKnownFeatures = VKCKPT_FEATURE_INCREMENTAL | VKCKPT_FEATURE_SEALED;

bool zeros(const void *memory, size_t bytes)
{
	const uint8_t *at = static_cast<const uint8_t *>(memory);
	for (size_t i = 0; i < bytes; i++)
		if (at[i] != 0)
			return false;
	return true;
}

// Payload limits by type: the sizes of what has a fixed size, or the most there can be.
bool length_fits(uint16_t type, uint64_t bytes)
{
	switch (type) {
	case VKCKPT_REC_HOST:
		return bytes == sizeof(struct vkckpt_f_host);
	case VKCKPT_REC_IDENTITY:
		return bytes == sizeof(struct vkckpt_f_identity);
	case VKCKPT_REC_REGION:
		return bytes == sizeof(struct vkckpt_f_region);
	case VKCKPT_REC_HEAD_END:
		return bytes == 0;
	case VKCKPT_REC_KEY:
		return bytes == sizeof(struct vkckpt_f_key);
	case VKCKPT_REC_SHAPE:
		return bytes == sizeof(struct vkckpt_f_shape);
	case VKCKPT_REC_STATS:
		return bytes == sizeof(struct vkckpt_f_stats);
	case VKCKPT_REC_RAM_GROUP:
		return bytes > sizeof(struct vkckpt_f_group) &&
		    bytes <= sizeof(struct vkckpt_f_group) + VKCKPT_GROUP_CHUNKS * sizeof(struct vkckpt_f_chunk) &&
		    (bytes - sizeof(struct vkckpt_f_group)) % sizeof(struct vkckpt_f_chunk) == 0;
	case VKCKPT_REC_INDEX:	// its size follows from the groups before it; the bound keeps sums from overflowing
		return bytes >= sizeof(struct vkckpt_f_index) && bytes < uint64_t{1} << 48 &&
		    (bytes - sizeof(struct vkckpt_f_index)) % sizeof(struct vkckpt_f_chunk) == 0;
	default:
		return bytes <= VKCKPT_MAX_RECORD;
	}
}

Status check_stored(const struct vkckpt_f_chunk &c, uint32_t frames, const ImageShape &shape)
{
	if (c.codec == VKCKPT_CODEC_PARENT && !shape.incremental())
		return fail(ENOTSUP, VKCKPT_R_CODEC_UNKNOWN, kWhere, "chunk", c.codec);
	uint64_t raw_bytes = uint64_t{frames} * VKCKPT_FRAME + shape.tag_bytes;
	switch (c.codec) {
	case VKCKPT_CODEC_PARENT:
	case VKCKPT_CODEC_ZERO:
		if (c.stored_bytes != 0 || c.offset != 0 || !digest_is_zero(c.digest))
			return image_damaged("chunk", c.chunk);
		return success();
	case VKCKPT_CODEC_RAW:
		return c.stored_bytes == raw_bytes ? success() : image_damaged("chunk", c.chunk);
	case VKCKPT_CODEC_LZ4:
		return c.stored_bytes > shape.tag_bytes && c.stored_bytes < raw_bytes ? success() : image_damaged("chunk", c.chunk);
	default:
		return fail(ENOTSUP, VKCKPT_R_CODEC_UNKNOWN, kWhere, "chunk", c.codec);
	}
}

// Segments in use: whole frames at the address of a frame, RAM of all together within the limit, no two in one place.
Status check_segment(const struct vkckpt_f_segment *segment, const uint64_t *skip, uint32_t i, uint64_t *ram_bytes)
{
	const struct vkckpt_f_segment &s = segment[i];
	if (s.size_bytes == 0 || s.size_bytes > VKCKPT_MAX_SEGMENT_BYTES || s.size_bytes % VKCKPT_FRAME != 0 ||
	    s.address % VKCKPT_FRAME != 0 || skip[i] % VKCKPT_FRAME != 0 || skip[i] >= s.size_bytes)
		return image_damaged("segment", i);
	if (s.size_bytes > VKCKPT_MAX_RAM_BYTES - *ram_bytes)
		return fail(ENOBUFS, VKCKPT_R_LIMIT, kWhere, "segment", i);
	*ram_bytes += s.size_bytes;
	if (!address_range(s.address, s.size_bytes))
		return image_damaged("segment", i);
	for (uint32_t j = 0; j < i; j++)
		if (ranges_overlap(s.address + skip[i], s.size_bytes - skip[i], segment[j].address + skip[j], segment[j].size_bytes - skip[j]))
			return image_damaged("segment", i);
	return success();
}

Status check_segments(uint32_t count, const struct vkckpt_f_segment *segment, const uint64_t *skip)
{
	if (count > VKCKPT_MAX_SEGMENTS)
		return image_damaged("segments", count);
	uint64_t ram_bytes = 0;
	for (uint32_t i = 0; i < count; i++)
		VK_TRY(check_segment(segment, skip, i, &ram_bytes));
	for (uint32_t i = count; i < VKCKPT_MAX_SEGMENTS; i++)
		if (segment[i].size_bytes != 0 || segment[i].address != 0 || skip[i] != 0)
			return image_damaged("segment", i);
	return success();
}

// Known and of a length that its type can have.
bool payload_fits(const struct vkckpt_f_record &r, uint64_t features, bool known)
{
	uint64_t plain = r.payload_bytes;
	if (is_sealed(features) && r.type != VKCKPT_REC_KEY) {
		size_t prefix = sealed_prefix(r.type);
		if (r.payload_bytes < prefix || !plain_bytes(r.payload_bytes - prefix, &plain))
			return false;
	}
	return known ? length_fits(r.type, plain) : plain <= VKCKPT_MAX_RECORD;
}

}  // namespace

Status image_damaged(const char *subject, uint64_t number) { return fail(EBADMSG, VKCKPT_R_DAMAGED, kWhere, subject, number); }

Status check_magic(const void *bytes, size_t count)
{
	size_t compare = count < 8 ? count : 8;
	if (__builtin_memcmp(bytes, VKCKPT_MAGIC, compare) != 0)
		return fail(EBADMSG, VKCKPT_R_NOT_AN_IMAGE, kWhere);
	if (count < sizeof(struct vkckpt_f_header))
		return fail(EBADMSG, VKCKPT_R_TRUNCATED, kWhere, "header", count);
	return success();
}

// The version decides what the other bytes mean, so it comes before the digest.
Status check_header(const struct vkckpt_f_header &h)
{
	if (h.version_major != VKCKPT_VERSION_MAJOR)
		return fail(ENOTSUP, VKCKPT_R_VERSION_UNKNOWN, kWhere, "header", h.version_major);
	struct vkckpt_digest digest = digest_of(&h, offsetof(struct vkckpt_f_header, digest));
	if (!digest_equal(digest, h.digest))
		return image_damaged("header", 0);
	if (uint64_t unknown = h.required_features & ~kKnownFeatures; unknown != 0)
		return fail(ENOTSUP, VKCKPT_R_FEATURE_UNKNOWN, kWhere, "required features", unknown);
	if (h.digest_id != VKCKPT_DIGEST_XXH3_128)
		return fail(ENOTSUP, VKCKPT_R_FEATURE_UNKNOWN, kWhere, "digest", h.digest_id);
	bool sealed = is_sealed(h.required_features);
	if (h.cipher_id != (sealed ? VKCKPT_CIPHER_XCHACHA20_POLY1305 : VKCKPT_CIPHER_NONE))
		return fail(ENOTSUP, VKCKPT_R_FEATURE_UNKNOWN, kWhere, "cipher", h.cipher_id);
	if (h.frame_bytes != VKCKPT_FRAME)
		return fail(ENOTSUP, VKCKPT_R_PAGE_SIZE_DIFFERS, kWhere, "header", h.frame_bytes);
	if (h.header_bytes != sizeof h || !zeros(h.reserved, sizeof h.reserved) || !zeros(h.zero, sizeof h.zero))
		return image_damaged("header", h.header_bytes);
	if (sealed && (h.segment_count != 0 || h.created_realtime_ns != 0))
		return image_damaged("header", h.segment_count);
	return check_segments(h.segment_count, h.segment, h.segment_skip);
}

Status check_shape(const struct vkckpt_f_shape &s)
{
	if (s.reserved != 0)
		return image_damaged("shape", s.reserved);
	return check_segments(s.segment_count, s.segment, s.segment_skip);
}

bool is_sealed(uint64_t features) { return (features & VKCKPT_FEATURE_SEALED) != 0; }

uint64_t plain_payload(const struct vkckpt_f_record &r, uint64_t features)
{
	uint64_t plain = r.payload_bytes;
	if (is_sealed(features) && r.type != VKCKPT_REC_KEY)
		VK_CHECK(plain_bytes(r.payload_bytes - sealed_prefix(r.type), &plain));
	return plain;
}

Status check_record(const struct vkckpt_f_record &r, uint64_t sequence, uint64_t features, bool *known)
{
	uint32_t check = static_cast<uint32_t>(digest64_of(&r, offsetof(struct vkckpt_f_record, head_check)));
	if (r.magic != VKCKPT_RECORD_MAGIC || r.head_check != check || r.sequence != sequence)
		return image_damaged("record", sequence);
	uint16_t last = is_sealed(features) ? VKCKPT_REC_SHAPE : VKCKPT_REC_INDEX;
	*known = r.version == 1 && r.type >= VKCKPT_REC_HOST && r.type <= last;
	if ((!*known && r.flags & VKCKPT_RECORD_REQUIRED) || r.flags & ~uint32_t{VKCKPT_RECORD_REQUIRED})
		return fail(ENOTSUP, VKCKPT_R_RECORD_UNKNOWN, kWhere, "record type", r.type);
	if ((*known && r.flags != VKCKPT_RECORD_REQUIRED) || !payload_fits(r, features, *known))
		return image_damaged("record", sequence);
	return success();
}

Status check_chunk(const struct vkckpt_f_chunk &c, const ImageShape &shape)
{
	uint64_t frames = shape.frames(c.object);
	if (c.mask == 0 || c.chunk > frames / VKCKPT_CHUNK_FRAMES || !zeros(c.reserved, sizeof c.reserved))
		return image_damaged("chunk", c.chunk);
	unsigned highest = 31u - static_cast<unsigned>(__builtin_clz(c.mask));
	unsigned lowest = static_cast<unsigned>(__builtin_ctz(c.mask));
	if (c.chunk * VKCKPT_CHUNK_FRAMES + highest >= frames || c.chunk * VKCKPT_CHUNK_FRAMES + lowest < shape.first_frame(c.object))
		return image_damaged("chunk", c.chunk);
	bool hashed = shape.incremental() && c.codec != VKCKPT_CODEC_ZERO;
	if ((!hashed && !digest_is_zero(c.content)) || (c.codec == VKCKPT_CODEC_PARENT && shape.incremental() && !shape.has_parent))
		return image_damaged("chunk", c.chunk);
	return check_stored(c, mask_count(c.mask), shape);
}

Status check_group(const struct vkckpt_f_group &g, const struct vkckpt_f_chunk *chunks, uint64_t payload_bytes, uint64_t record_end,
    const ImageShape &shape)
{
	if (g.chunk_count == 0 || g.chunk_count > VKCKPT_GROUP_CHUNKS || g.reserved != 0 ||
	    payload_bytes != sizeof g + g.chunk_count * sizeof *chunks ||
	    g.data_offset != ((record_end + VKCKPT_BLOCK - 1) & ~uint64_t{VKCKPT_BLOCK - 1}))
		return image_damaged("group", g.chunk_count);
	uint64_t end = g.data_offset;
	for (uint32_t i = 0; i < g.chunk_count; i++) {
		VK_TRY(check_chunk(chunks[i], shape));
		if (!has_stored_bytes(chunks[i].codec))
			continue;
		end = (end + 15) & ~uint64_t{15};
		if (chunks[i].offset != end)
			return image_damaged("chunk", chunks[i].chunk);
		end += chunks[i].stored_bytes;
	}
	end = (end + VKCKPT_BLOCK - 1) & ~uint64_t{VKCKPT_BLOCK - 1};
	return g.data_bytes == end - g.data_offset ? success() : image_damaged("group", g.data_bytes);
}

// Of one chunk: zero, stored, parent; one each.
static unsigned codec_rank(uint8_t codec) { return codec == VKCKPT_CODEC_ZERO ? 0 : codec == VKCKPT_CODEC_PARENT ? 2 : 1; }

bool index_order(const struct vkckpt_f_chunk &a, const struct vkckpt_f_chunk &b)
{
	if (a.object != b.object)
		return a.object < b.object;
	if (a.chunk != b.chunk)
		return a.chunk < b.chunk;
	return codec_rank(a.codec) < codec_rank(b.codec);
}

bool is_trailer(const struct vkckpt_f_trailer &t) { return __builtin_memcmp(t.magic, VKCKPT_TRAILER_MAGIC, sizeof t.magic) == 0; }

Status check_trailer(const struct vkckpt_f_trailer &t, const struct vkckpt_uuid &image_id, uint64_t trailer_offset)
{
	struct vkckpt_digest digest = digest_of(&t, offsetof(struct vkckpt_f_trailer, digest));
	if (!is_trailer(t) || !digest_equal(digest, t.digest) || !zeros(t.zero, sizeof t.zero))
		return image_damaged("trailer", trailer_offset);
	if (!uuid_equal(t.image_id, image_id) || t.file_bytes != trailer_offset + sizeof t || t.index_offset >= trailer_offset ||
	    t.stats_offset >= t.index_offset || t.stats_offset < sizeof(struct vkckpt_f_header) || t.index_offset % 16 != 0 ||
	    t.stats_offset % 16 != 0)
		return image_damaged("trailer", trailer_offset);
	return success();
}

bool address_range(uint64_t address, uint64_t bytes)
{
	return address != 0 && address < VKCKPT_MAX_ADDRESS && bytes <= VKCKPT_MAX_ADDRESS - address;
}

bool ranges_overlap(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes) { return a < b + b_bytes && b < a + a_bytes; }

uint32_t bad_mapping(const struct vkckpt_f_mapping *m, uint32_t count, uint32_t segment_count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (m[i].segment >= segment_count || m[i].prot > 7 || m[i].address + m[i].size_bytes < m[i].address)
			return i;
		for (uint32_t j = 0; j < i; j++)
			if (m[i].size_bytes && m[j].size_bytes && ranges_overlap(m[i].address, m[i].size_bytes, m[j].address, m[j].size_bytes))
				return i;
	}
	return count;
}

uint64_t first_chunks(const ImageShape &shape, uint64_t *first_chunk)
{
	uint64_t total = 0;
	for (uint32_t i = 0; i < shape.object_count(); i++) {
		first_chunk[i] = total;
		total += (shape.frames(shape.object_at(i)) + VKCKPT_CHUNK_FRAMES - 1) / VKCKPT_CHUNK_FRAMES;
	}
	first_chunk[shape.object_count()] = total;
	return total;
}

}  // namespace vk
