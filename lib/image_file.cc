// An image opened for random access. See image_file.h.
#include "lib/image_file.h"

#include <errno.h>

#include "lib/chain.h"
#include "lib/codec.h"
#include "lib/image_check.h"
#include "lib/sys.h"
#include "lib/text.h"

namespace vk {

Result<int> open_image_file(const char *path, int flags)
{
	long fd = sys_open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK | flags);
	if (fd < 0)
		return fail_host(static_cast<int>(-fd), "open", path);
	struct stat st = {};
	long r = sys_fstat(static_cast<int>(fd), &st);
	if (r >= 0 && S_ISREG(st.st_mode))
		return static_cast<int>(fd);
	(void)sys_close(static_cast<int>(fd));		// read-only: there is nothing to lose
	return r < 0 ? fail_host(static_cast<int>(-r), "open", path) : fail(EINVAL, VKCKPT_R_BAD_ARGUMENT, "open: not a regular file", path);
}

// Not blocking: whoever should write may never come, or has written all and gone.
Result<int> open_image_stream(const char *path, const char *where)
{
	long fd = sys_open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return fail_host(static_cast<int>(-fd), where, path);
	struct stat st = {};
	long r = sys_fstat(static_cast<int>(fd), &st);
	if (r >= 0 && !S_ISDIR(st.st_mode) && (!S_ISFIFO(st.st_mode) || text_starts(path, "/dev/") || text_starts(path, "/proc/")))
		return static_cast<int>(fd);
	(void)sys_close(static_cast<int>(fd));		// read-only: there is nothing to lose
	if (r < 0)
		return fail_host(static_cast<int>(-r), where, path);
	char subject[64];	// of a long path the end, which tells more than its beginning
	const size_t length = text_length(path), cut = length > 26 ? length - 26 : 0;
	Text(subject, sizeof subject).add(cut ? "..." : "").add(path + cut).add(S_ISDIR(st.st_mode) ? ": a folder, not an image" : ": a named pipe; use its descriptor");
	return fail(EINVAL, VKCKPT_R_BAD_ARGUMENT, where, subject);
}

Status OpenImage::read_plain(void *out, size_t bytes, uint64_t offset) const
{
	long got = pread_all(fd_, out, bytes, offset);
	if (got < 0)
		return fail_host(static_cast<int>(-got), "read", "the image", offset);
	if (static_cast<size_t>(got) < bytes)
		return fail(EBADMSG, VKCKPT_R_TRUNCATED, "image", "", offset + static_cast<uint64_t>(got));
	return success();
}

// Of a signed image whole leaves are read and checked: where they lie inside what is asked for, in their place, else aside.
Status OpenImage::read_at(void *out, size_t bytes, uint64_t offset) const
{
	const Leaves &leaves = reader_.leaves();
	if (!leaves.active())
		return read_plain(out, bytes, offset);
	uint8_t aside[VKCKPT_LEAF_BYTES_MAX], *to = static_cast<uint8_t *>(out);
	while (bytes > 0) {
		uint64_t start = offset - offset % leaves.leaf_bytes();
		if (start >= leaves.file_bytes())
			return fail(EBADMSG, VKCKPT_R_TRUNCATED, "image", "", leaves.file_bytes());
		size_t leaf = leaves.bytes_at(start), skip = offset - start;
		if (skip >= leaf)
			return fail(EBADMSG, VKCKPT_R_TRUNCATED, "image", "", leaves.file_bytes());
		size_t part = leaf - skip < bytes ? leaf - skip : bytes;
		uint8_t *at = part == leaf ? to : aside;
		VK_TRY(read_plain(at, leaf, start));
		VK_TRY(leaves.check(start, at, leaf));
		if (at == aside)
			__builtin_memcpy(to, aside + skip, part);
		to += part;
		offset += part;
		bytes -= part;
	}
	return success();
}

// There is no trailer at the end of the file. Follows the records to find out whether the file is too short or too long.
Status OpenImage::explain_end(uint64_t at) const
{
	for (;;) {
		struct vkckpt_f_record record;
		bool known = false;
		VK_TRY(read_at(&record, sizeof record, at));
		VK_TRY(check_record(record, record.sequence, features(), &known));
		uint64_t end = (at + sizeof record + record.payload_bytes + 15) & ~uint64_t{15};
		uint64_t block = (end + VKCKPT_BLOCK - 1) & ~uint64_t{VKCKPT_BLOCK - 1};
		if (known && record.type == VKCKPT_REC_INDEX) {
			end = block + sizeof(struct vkckpt_f_trailer);
			if (size_bytes_ < end)
				return fail(EBADMSG, VKCKPT_R_TRUNCATED, "image", "", size_bytes_);
			if (size_bytes_ > end)
				return fail(EBADMSG, VKCKPT_R_TRAILING_DATA, "image", "", end);
			return image_damaged("trailer", block);
		}
		if (known && record.type == VKCKPT_REC_RAM_GROUP) {
			struct vkckpt_f_group group;
			struct vkckpt_f_sealed_group sealed;
			VK_TRY(read_at(&group, sizeof group, at + sizeof record));
			VK_TRY(read_at(&sealed, sizeof sealed, at + sizeof record));
			uint64_t data_bytes = is_sealed(features()) ? sealed.data_bytes : group.data_bytes;
			if (data_bytes > VKCKPT_GROUP_CHUNKS * (VKCKPT_CHUNK + 32) + VKCKPT_BLOCK)
				return image_damaged("group", data_bytes);
			end = block + data_bytes;
		}
		at = end;
	}
}

uint64_t OpenImage::features() const { return reader_.head().header().required_features; }

// A record at a known place: its head into *record, its payload into out (room for payload_bytes, checked by the caller's limit), opened
// there. Of STATS and INDEX, whose sizes are multiples of 16, sealed or not: no zeros follow.
static_assert(sizeof(struct vkckpt_f_stats) % 16 == 0 && sizeof(struct vkckpt_f_index) % 16 == 0 && sizeof(struct vkckpt_f_chunk) % 16 == 0 &&
    VKCKPT_TAG_BYTES % 16 == 0);
Status OpenImage::read_record_head(uint64_t offset, uint16_t type, struct vkckpt_f_record *record) const
{
	bool known = false;
	VK_TRY(read_at(record, sizeof *record, offset));
	VK_TRY(check_record(*record, record->sequence, features(), &known));
	return known && record->type == type ? success() : image_damaged("record type", record->type);
}

Status OpenImage::read_record_payload(uint64_t offset, const struct vkckpt_f_record &record, void *out) const
{
	VK_TRY(read_at(out, record.payload_bytes, offset + sizeof record));
	DigestStream digest;
	digest.add(&record, offsetof(struct vkckpt_f_record, digest));
	digest.add(out, record.payload_bytes);
	if (!digest_equal(digest.result(), record.digest))
		return image_damaged("record", record.sequence);
	if (!reader_.seal().active())
		return success();
	return reader_.seal().open_payload(record, nullptr, out, plain_payload(record, features()));
}

namespace {

// Sorts in place, without recursion or memory; n log n whatever a hostile file holds.
void heap_sort(uint64_t *v, uint64_t count)
{
	auto sink = [v](uint64_t at, uint64_t end) {
		for (uint64_t child; (child = 2 * at + 1) < end; at = child) {
			if (child + 1 < end && v[child] < v[child + 1])
				child++;
			if (v[at] >= v[child])
				return;
			uint64_t swap = v[at];
			v[at] = v[child];
			v[child] = swap;
		}
	};
	for (uint64_t i = count / 2; i-- > 0;)
		sink(i, count);
	for (uint64_t end = count; end > 1;) {
		uint64_t largest = v[0];
		v[0] = v[--end];
		v[end] = largest;
		sink(0, end);
	}
}

}  // namespace

// No two chunks share stored bytes. An offset (a multiple of 16 below 2^48, check_entries) and a size in units of 16 fit one word.
Status OpenImage::check_overlaps() const
{
	constexpr unsigned kSizeBits = 13;
	static_assert(VKCKPT_CHUNK / 16 < 1u << kSizeBits);
	if (index_count_ == 0)
		return success();
	Arena arena;
	VK_TRY(arena.map(Arena::room(index_count_ * sizeof(uint64_t)), Prefault::no));
	uint64_t *places = arena.take_array<uint64_t>(index_count_), count = 0;
	for (uint64_t i = 0; i < index_count_; i++)
		if (index_[i].stored_bytes != 0)
			places[count++] = index_[i].offset / 16 << kSizeBits | (index_[i].stored_bytes + 15) / 16;
	heap_sort(places, count);
	Status s = success();
	for (uint64_t i = 1; i < count && s.ok(); i++)
		if ((places[i - 1] >> kSizeBits) + (places[i - 1] & ((1u << kSizeBits) - 1)) > places[i] >> kSizeBits)
			s = image_damaged("chunks overlap: index", (places[i] >> kSizeBits) * 16);
	arena.release();
	return s;
}

Status OpenImage::check_entries() const
{
	const ImageShape &shape = reader_.head().shape();
	for (uint64_t i = 0; i < index_count_; i++) {
		const struct vkckpt_f_chunk &c = index_[i];
		VK_TRY(check_chunk(c, shape));
		if (has_stored_bytes(c.codec) && (c.offset < reader_.file_bytes() || c.offset % 16 != 0 ||
		    c.stored_bytes > trailer_.stats_offset || c.offset > trailer_.stats_offset - c.stored_bytes))
			return image_damaged("index", c.chunk);
		if (i == 0)
			continue;
		if (!index_order(index_[i - 1], c))
			return image_damaged("index", c.chunk);
		for (uint64_t k = i; k-- > 0 && index_[k].object == c.object && index_[k].chunk == c.chunk;)	// two at most
			if (index_[k].mask & c.mask)
				return image_damaged("index", c.chunk);
	}
	return check_overlaps();
}

Status OpenImage::read_entries()
{
	uint64_t offset = trailer_.index_offset, trailer_offset = size_bytes_ - sizeof trailer_;
	struct vkckpt_f_record record;
	VK_TRY(read_record_head(offset, VKCKPT_REC_INDEX, &record));
	if (record.sequence + 1 != trailer_.record_count || record.payload_bytes > trailer_offset - offset || record.payload_bytes + sizeof record > trailer_offset - offset ||
	    trailer_offset - offset - record.payload_bytes - sizeof record >= VKCKPT_BLOCK)
		return image_damaged("index", record.payload_bytes);
	VK_TRY(index_arena_.map(Arena::room(record.payload_bytes), Prefault::no));
	uint8_t *payload = static_cast<uint8_t *>(index_arena_.take(record.payload_bytes));
	VK_TRY(read_record_payload(offset, record, payload));
	uint8_t rest[VKCKPT_BLOCK];		// up to the trailer: zeros
	uint64_t end = (offset + sizeof record + record.payload_bytes + 15) & ~uint64_t{15};
	VK_TRY(read_at(rest, end < trailer_offset ? trailer_offset - end : 0, end));
	for (uint64_t i = 0; end + i < trailer_offset; i++)
		if (rest[i] != 0)
			return image_damaged("padding", end + i);
	const struct vkckpt_f_index &index = *reinterpret_cast<const struct vkckpt_f_index *>(payload);
	index_count_ = (plain_payload(record, features()) - sizeof index) / sizeof(struct vkckpt_f_chunk);
	index_ = reinterpret_cast<struct vkckpt_f_chunk *>(payload + sizeof index);
	if (index.entry_count != index_count_ || index.reserved != 0)
		return image_damaged("index", index.entry_count);
	return check_entries();
}

Status OpenImage::read_index()
{
	struct stat st = {};
	long result = sys_fstat(fd_, &st);
	if (result < 0)
		return fail_host(static_cast<int>(-result), "open", "the image");
	if (!S_ISREG(st.st_mode))
		return fail(EINVAL, VKCKPT_R_BAD_ARGUMENT, "open: not a regular file", "the image");
	size_bytes_ = static_cast<uint64_t>(st.st_size);
	if (reader_.leaves().active() && reader_.leaves().file_bytes() != size_bytes_)
		return fail(EACCES, VKCKPT_R_SIGNATURE_WRONG, "image", "size", size_bytes_);
	uint64_t head_end = reader_.file_bytes();
	if (size_bytes_ % VKCKPT_BLOCK != 0 || size_bytes_ < head_end + sizeof trailer_)
		return explain_end(head_end);
	VK_TRY(read_at(&trailer_, sizeof trailer_, size_bytes_ - sizeof trailer_));
	if (!is_trailer(trailer_))
		return explain_end(head_end);
	VK_TRY(check_trailer(trailer_, reader_.head().header().image_id, size_bytes_ - sizeof trailer_));
	if (trailer_.stats_offset < head_end || size_bytes_ >= uint64_t{1} << 48)
		return image_damaged("trailer", size_bytes_);
	struct vkckpt_f_record record;
	VK_TRY(read_record_head(trailer_.stats_offset, VKCKPT_REC_STATS, &record));
	if (trailer_.record_count == 0 || record.sequence >= trailer_.record_count - 1)		// INDEX comes after it
		return image_damaged("record", record.sequence);
	uint8_t stats[sizeof stats_ + VKCKPT_TAG_BYTES];
	VK_TRY(read_record_payload(trailer_.stats_offset, record, stats));
	__builtin_memcpy(&stats_, stats, sizeof stats_);
	return read_entries();
}

void OpenImage::close()
{
	reader_.close();
	index_arena_.release();
	index_ = nullptr;
	index_count_ = 0;
	chain_ = nullptr;
}

const struct vkckpt_f_chunk *OpenImage::find(uint32_t object, uint64_t chunk, unsigned *count) const
{
	uint64_t low = 0, high = index_count_;
	while (low < high) {
		uint64_t middle = low + (high - low) / 2;
		const struct vkckpt_f_chunk &c = index_[middle];
		if (c.object < object || (c.object == object && c.chunk < chunk))
			low = middle + 1;
		else
			high = middle;
	}
	for (*count = 0; low + *count < index_count_; ++*count)
		if (index_[low + *count].object != object || index_[low + *count].chunk != chunk)
			break;
	return index_ + low;
}

const struct vkckpt_f_chunk *OpenImage::find_frame(uint32_t object, uint64_t frame) const
{
	unsigned count;
	const struct vkckpt_f_chunk *c = find(object, frame / VKCKPT_CHUNK_FRAMES, &count);
	for (unsigned i = 0; i < count; i++)
		if (c[i].mask & 1u << frame % VKCKPT_CHUNK_FRAMES)
			return &c[i];
	return nullptr;
}

Status OpenImage::read_stored(const struct vkckpt_f_chunk &c, uint8_t *stored) const
{
	VK_TRY(read_at(stored, c.stored_bytes, c.offset));
	if (!digest_equal(digest_of(stored, c.stored_bytes), c.digest))
		return image_damaged("chunk", c.chunk);
	return reader_.seal().active() ? reader_.seal().open_chunk(c, stored, plain_stored(c)) : success();
}

// The checksum of what is stored comes first: a flipped bit in an LZ4 block may well decode.
Status OpenImage::read_chunk(const struct vkckpt_f_chunk &c, uint8_t *stored, uint8_t *frames) const
{
	size_t bytes = mask_count(c.mask) * size_t{VKCKPT_FRAME};
	if (c.codec == VKCKPT_CODEC_PARENT)
		return chain_ ? chain_->read(c, stored, frames) : fail(ENOENT, VKCKPT_R_PARENT_NEEDED, "image", "the image");
	if (c.codec == VKCKPT_CODEC_ZERO) {
		__builtin_memset(frames, 0, bytes);
		return success();
	}
	if (c.codec == VKCKPT_CODEC_RAW && !reader_.seal().active())
		return read_stored(c, frames);
	VK_TRY(read_stored(c, stored));
	if (c.codec == VKCKPT_CODEC_RAW) {
		__builtin_memcpy(frames, stored, bytes);
		return success();
	}
	return lz4_decode(stored, plain_stored(c), frames, bytes) ? success() : image_damaged("chunk", c.chunk);
}

}  // namespace vk
