// Reads an image from front to back and checks every byte of it. See image_reader.h. THAW and tools.
#include "lib/image_reader.h"

#include <errno.h>

#include "lib/codec.h"
#include "lib/image_check.h"

namespace vk {
namespace {

constexpr size_t kBatchBytes = 1 << 20;		// of stored data at a time: stays in the cache from checksum to decoding
constexpr size_t kDataRoom = kBatchBytes + VKCKPT_CHUNK;
constexpr size_t kGroupRoom = sizeof(struct vkckpt_f_group) + VKCKPT_GROUP_CHUNKS * sizeof(struct vkckpt_f_chunk);

}  // namespace

Status ImageReader::open(int fd)
{
	VK_TRY(arena_.map(Input::arena_bytes() + Arena::room(kGroupRoom) + Arena::room(kDataRoom, VKCKPT_BLOCK) +
	    Arena::room(VKCKPT_CHUNK, VKCKPT_BLOCK), Prefault::no));
	in_.init(arena_);
	group_ = static_cast<uint8_t *>(arena_.take(kGroupRoom));
	data_ = static_cast<uint8_t *>(arena_.take(kDataRoom, VKCKPT_BLOCK));
	scratch_ = static_cast<uint8_t *>(arena_.take(VKCKPT_CHUNK, VKCKPT_BLOCK));
	in_.begin(fd);
	return head_.init();
}

void ImageReader::close()
{
	head_.release();
	present_arena_.release();
	arena_.release();
}

Status ImageReader::next_record(struct vkckpt_f_record &record, bool *known)
{
	record_offset_ = in_.position();
	VK_TRY(in_.read(&record, sizeof record));
	return check_record(record, sequence_++, known);
}

void ImageReader::begin_payload(const struct vkckpt_f_record &record, DigestStream &digest)
{
	digest.add(&record, offsetof(struct vkckpt_f_record, digest));
}

// The zeros behind the payload, then the digest over all of it.
Status ImageReader::end_payload(const struct vkckpt_f_record &record, DigestStream &digest)
{
	static constexpr uint8_t kZeros[16] = {};
	size_t pad = (16 - in_.position() % 16) % 16;
	VK_TRY(in_.skip_zeros(pad));
	digest.add(kZeros, pad);
	if (!digest_equal(digest.result(), record.digest))
		return image_damaged("record", record.sequence);
	whole_.add(&record.digest, sizeof record.digest);
	return success();
}

Status ImageReader::read_payload(const struct vkckpt_f_record &record, void *out)
{
	DigestStream digest;
	begin_payload(record, digest);
	VK_TRY(in_.read(out, record.payload_bytes));
	digest.add(out, record.payload_bytes);
	return end_payload(record, digest);
}

Status ImageReader::skip_record(const struct vkckpt_f_record &record)
{
	DigestStream digest;
	begin_payload(record, digest);
	for (uint64_t left = record.payload_bytes; left > 0;) {
		size_t part = left < kBatchBytes ? static_cast<size_t>(left) : kBatchBytes;
		VK_TRY(in_.read(data_, part));
		digest.add(data_, part);
		left -= part;
	}
	return end_payload(record, digest);
}

Status ImageReader::read_head()
{
	Result<size_t> got = in_.read_some(data_, sizeof(struct vkckpt_f_header));
	VK_TRY(got.status);
	VK_TRY(check_magic(data_, got.value));
	VK_TRY(head_.set_header(data_));
	whole_.add(&head_.header().digest, sizeof head_.header().digest);
	for (;;) {
		struct vkckpt_f_record record;
		bool known = false;
		VK_TRY(next_record(record, &known));
		if (!known) {
			VK_TRY(skip_record(record));
			continue;
		}
		if (record.type > VKCKPT_REC_HEAD_END)
			return image_damaged("record type", record.type);
		Result<void *> room = head_.room(record.payload_bytes);
		VK_TRY(room.status);
		VK_TRY(read_payload(record, room.value));
		if (record.type == VKCKPT_REC_HEAD_END)
			break;
		VK_TRY(head_.add(record.type, room.value, record.payload_bytes));
	}
	return head_.complete();
}

Status ImageReader::begin_ram()
{
	uint64_t chunks = first_chunks(head_.shape(), first_chunk_);
	size_t bytes = chunks * sizeof *present_;
	VK_TRY(present_arena_.map(Arena::room(bytes) + Arena::kAlign, Prefault::no));
	present_ = static_cast<uint16_t *>(present_arena_.take(bytes));
	seen_ = {};
	chunk_count_ = stats_offset_ = 0;
	return success();
}

Status ImageReader::read_ram(const ChunkTarget &target)
{
	VK_TRY(begin_ram());
	for (bool index_read = false; !index_read;) {
		struct vkckpt_f_record record;
		bool known = false;
		VK_TRY(next_record(record, &known));
		if (!known) {
			VK_TRY(skip_record(record));
		} else if (record.type == VKCKPT_REC_RAM_GROUP && stats_offset_ == 0) {
			VK_TRY(read_group(record, target));
		} else if (record.type == VKCKPT_REC_STATS && stats_offset_ == 0) {
			VK_TRY(read_stats(record));
		} else if (record.type == VKCKPT_REC_INDEX && stats_offset_ != 0) {
			index_offset_ = record_offset_;
			VK_TRY(read_index(record));
			index_read = true;
		} else {
			return image_damaged("record type", record.type);
		}
	}
	return read_trailer();
}

Status ImageReader::read_stats(const struct vkckpt_f_record &record)
{
	stats_offset_ = record_offset_;
	return read_payload(record, &stats_);
}

void ImageReader::sum_add(Sum &sum, const struct vkckpt_f_chunk &chunk)
{
	struct vkckpt_digest digest = digest_of(&chunk, sizeof chunk);
	uint64_t low, high;
	__builtin_memcpy(&low, digest.bytes, sizeof low);
	__builtin_memcpy(&high, digest.bytes + 8, sizeof high);
	sum.low += low;
	sum.high += high;
}

Status ImageReader::claim_frames(const struct vkckpt_f_chunk &chunk)
{
	const ImageShape &shape = head_.shape();
	uint32_t i = chunk.object < VKCKPT_OBJECT_REGION ? chunk.object : chunk.object - VKCKPT_OBJECT_REGION + shape.segment_count;
	uint16_t &present = present_[first_chunk_[i] + chunk.chunk];
	if (present & chunk.mask)
		return image_damaged("frame occurs twice: chunk", chunk.chunk);
	present |= chunk.mask;
	return success();
}

Status ImageReader::read_group(const struct vkckpt_f_record &record, const ChunkTarget &target)
{
	VK_TRY(read_payload(record, group_));
	const struct vkckpt_f_group &group = *reinterpret_cast<const struct vkckpt_f_group *>(group_);
	const struct vkckpt_f_chunk *chunks = reinterpret_cast<const struct vkckpt_f_chunk *>(&group + 1);
	VK_TRY(check_group(group, chunks, record.payload_bytes, in_.position(), head_.shape()));
	for (uint32_t i = 0; i < group.chunk_count; i++) {
		VK_TRY(claim_frames(chunks[i]));
		sum_add(seen_, chunks[i]);
		chunk_count_++;
		if (chunks[i].codec == VKCKPT_CODEC_ZERO && target.zero)
			target.zero(target.arg, chunks[i].object, chunks[i].chunk, chunks[i].mask);
	}
	VK_TRY(in_.skip_zeros(group.data_offset - in_.position()));
	return read_group_data(group, target);
}

// Batches of whole chunks: from where the stream stands to the end of the last chunk that fits.
Status ImageReader::read_group_data(const struct vkckpt_f_group &group, const ChunkTarget &target)
{
	const struct vkckpt_f_chunk *chunks = reinterpret_cast<const struct vkckpt_f_chunk *>(&group + 1);
	uint32_t next = 0;
	while (next < group.chunk_count) {
		uint64_t start = in_.position(), end = start;
		uint32_t last = next;
		for (; last < group.chunk_count; last++) {
			uint64_t chunk_end = chunks[last].codec == VKCKPT_CODEC_ZERO ? end : chunks[last].offset + chunks[last].stored_bytes;
			if (chunk_end - start > kDataRoom)
				break;
			end = chunk_end;
		}
		VK_TRY(in_.read(data_, end - start));
		uint64_t at = start;
		for (; next < last; next++) {
			const struct vkckpt_f_chunk &c = chunks[next];
			if (c.codec == VKCKPT_CODEC_ZERO)
				continue;
			for (; at < c.offset; at++)
				if (data_[at - start] != 0)
					return image_damaged("padding", at);
			VK_TRY(deliver(c, data_ + (c.offset - start), target));
			at = c.offset + c.stored_bytes;
		}
	}
	return in_.skip_zeros(group.data_offset + group.data_bytes - in_.position());
}

// The checksum of what is stored comes first: a flipped bit in an LZ4 block may well decode.
Status ImageReader::deliver(const struct vkckpt_f_chunk &c, const uint8_t *stored, const ChunkTarget &target)
{
	if (!digest_equal(digest_of(stored, c.stored_bytes), c.digest))
		return image_damaged("chunk", c.chunk);
	uint8_t *base = target.base ? target.base(target.arg, c.object, c.chunk, c.mask) : nullptr;
	if (c.codec == VKCKPT_CODEC_RAW) {
		if (base)
			frames_scatter(base, stored, c.mask);
		return success();
	}
	bool direct = base && mask_contiguous(c.mask);
	uint8_t *out = direct ? base + mask_first(c.mask) * VKCKPT_FRAME : scratch_;
	if (!lz4_decode(stored, c.stored_bytes, out, mask_count(c.mask) * size_t{VKCKPT_FRAME}))
		return image_damaged("chunk", c.chunk);
	if (base && !direct)
		frames_scatter(base, scratch_, c.mask);
	return success();
}

Status ImageReader::check_index_entry(const struct vkckpt_f_chunk &entry, const struct vkckpt_f_chunk &before, Sum &sum)
{
	if (before.mask != 0 && !index_order(before, entry))
		return image_damaged("index", entry.chunk);
	if (entry.mask == 0)
		return image_damaged("index", entry.chunk);
	sum_add(sum, entry);
	return success();
}

// The index has no memory of its own here: strictly ascending, as many entries, and the same sum of digests as the groups'
// descriptors mean the same entries.
Status ImageReader::read_index(const struct vkckpt_f_record &record)
{
	struct vkckpt_f_index index;
	if (record.payload_bytes != sizeof index + chunk_count_ * sizeof(struct vkckpt_f_chunk))
		return image_damaged("index", record.payload_bytes);
	DigestStream digest;
	begin_payload(record, digest);
	VK_TRY(in_.read(&index, sizeof index));
	digest.add(&index, sizeof index);
	if (index.entry_count != chunk_count_ || index.reserved != 0)
		return image_damaged("index", index.entry_count);
	struct vkckpt_f_chunk before = {};
	Sum sum;
	for (uint64_t left = index.entry_count; left > 0;) {
		uint64_t part = kBatchBytes / sizeof(struct vkckpt_f_chunk);
		part = left < part ? left : part;
		VK_TRY(in_.read(data_, part * sizeof(struct vkckpt_f_chunk)));
		digest.add(data_, part * sizeof(struct vkckpt_f_chunk));
		const struct vkckpt_f_chunk *entry = reinterpret_cast<const struct vkckpt_f_chunk *>(data_);
		for (uint64_t i = 0; i < part; i++) {
			VK_TRY(check_index_entry(entry[i], before, sum));
			before = entry[i];
		}
		left -= part;
	}
	VK_TRY(end_payload(record, digest));
	if (sum.low != seen_.low || sum.high != seen_.high)
		return image_damaged("index", index.entry_count);
	return success();
}

Status ImageReader::read_trailer()
{
	size_t over = in_.position() % VKCKPT_BLOCK;
	VK_TRY(in_.skip_zeros(over ? VKCKPT_BLOCK - over : 0));
	uint64_t offset = in_.position();
	VK_TRY(in_.read(data_, sizeof(struct vkckpt_f_trailer)));
	const struct vkckpt_f_trailer &t = *reinterpret_cast<const struct vkckpt_f_trailer *>(data_);
	VK_TRY(check_trailer(t, head_.header().image_id, offset));
	if (t.stats_offset != stats_offset_ || t.index_offset != index_offset_ || t.record_count != sequence_ ||
	    !digest_equal(t.whole, whole_.result()))
		return image_damaged("trailer", offset);
	return in_.expect_end();
}

}  // namespace vk
