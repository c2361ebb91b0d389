// Reads an image from front to back and checks every byte of it. See image_reader.h. THAW and tools.
#include "lib/image_reader.h"

#include <errno.h>

#include "lib/chain.h"
#include "lib/codec.h"
#include "lib/image_check.h"
#include "lib/sys.h"

namespace vk {
namespace {

constexpr size_t kBatchBytes = 1 << 20;		// of stored data at a time: stays in the cache from checksum to decoding
constexpr size_t kDataRoom = kBatchBytes + VKCKPT_CHUNK;
constexpr size_t kGroupRoom = sizeof(struct vkckpt_f_group) + VKCKPT_GROUP_CHUNKS * sizeof(struct vkckpt_f_chunk);
constexpr size_t kBatchChunkBytes = VKCKPT_GROUP_CHUNKS * sizeof(struct vkckpt_f_chunk);

}  // namespace

Status ImageReader::open(int fd, unsigned workers)
{
	VK_TRY(arena_.map(Input::arena_bytes() + Arena::room(kGroupRoom) + Arena::room(workers * sizeof(Batch)) + workers *
	    (Arena::room(kBatchChunkBytes) + Arena::room(kDataRoom, VKCKPT_BLOCK) + Arena::room(VKCKPT_CHUNK, VKCKPT_BLOCK) +
	    Arena::room(OpenImage::kStoredRoom, VKCKPT_BLOCK)) +
	    Crew::arena_bytes(workers), Prefault::no));
	in_.init(arena_);
	group_ = static_cast<uint8_t *>(arena_.take(kGroupRoom));
	batches_ = arena_.take_array<Batch>(workers);
	for (unsigned i = 0; i < workers; i++) {
		batches_[i].chunks = arena_.take_array<struct vkckpt_f_chunk>(VKCKPT_GROUP_CHUNKS);
		batches_[i].data = static_cast<uint8_t *>(arena_.take(kDataRoom, VKCKPT_BLOCK));
		batches_[i].scratch = static_cast<uint8_t *>(arena_.take(VKCKPT_CHUNK, VKCKPT_BLOCK));
		batches_[i].stored = static_cast<uint8_t *>(arena_.take(OpenImage::kStoredRoom, VKCKPT_BLOCK));
	}
	data_ = batches_[0].data;
	crew_.init(arena_, workers);
	in_.begin(fd);
	return head_.init();
}

Status ImageReader::use(const struct vkckpt_crypto &crypto, const char *path)
{
	if (crypto.size != sizeof crypto)
		return fail(EINVAL, VKCKPT_R_BAD_ARGUMENT, "crypto", "size", crypto.size);
	crypto_ = crypto;
	VK_TRY(leaves_.open(crypto, path));
	if (leaves_.active())
		in_.verify(&leaves_);
	return success();
}

void ImageReader::close()
{
	seal_.release();
	leaves_.close();
	piece_arena_.release();
	head_.release();
	present_arena_.release();
	arena_.release();
}

Status ImageReader::next_record(struct vkckpt_f_record &record, bool *known)
{
	record_offset_ = in_.position();
	VK_TRY(in_.read(&record, sizeof record));
	return check_record(record, sequence_++, head_.header().required_features, known);
}

Status ImageReader::begin_payload(const struct vkckpt_f_record &record)
{
	record_ = record;
	payload_left_ = record.payload_bytes;
	piece_head_ = piece_tail_ = piece_count_ = 0;
	digest_.reset();
	digest_.add(&record, offsetof(struct vkckpt_f_record, digest));
	if (size_t prefix = payload_sealed() ? sealed_prefix(record.type) : 0; prefix != 0) {
		VK_TRY(in_.read(&prefix_, prefix));
		digest_.add(&prefix_, prefix);
		payload_left_ -= prefix;
	}
	return success();
}

// Behind the last byte of the payload: the zeros, then the digest over all of it.
Status ImageReader::close_record()
{
	static constexpr uint8_t kZeros[16] = {};
	size_t pad = (16 - in_.position() % 16) % 16;
	VK_TRY(in_.skip_zeros(pad));
	digest_.add(kZeros, pad);
	if (!digest_equal(digest_.result(), record_.digest))
		return image_damaged("record", record_.sequence);
	whole_.add(&record_.digest, sizeof record_.digest);
	return success();
}

// Opens the next piece. When it cannot be opened the record's digest tells whether that is an accident (DAMAGED) or was made.
Status ImageReader::next_piece()
{
	size_t count = payload_left_ < VKCKPT_SEALED_PIECE + VKCKPT_TAG_BYTES ? payload_left_ : VKCKPT_SEALED_PIECE + VKCKPT_TAG_BYTES;
	VK_TRY(in_.read(piece_, count));
	digest_.add(piece_, count);
	payload_left_ -= count;
	Status opened = seal_.open_piece(record_, piece_count_++, &prefix_, piece_, count - VKCKPT_TAG_BYTES);
	if (!opened.ok()) {
		for (; payload_left_ > 0; payload_left_ -= count) {
			count = payload_left_ < count ? payload_left_ : count;
			VK_TRY(in_.read(piece_, count));
			digest_.add(piece_, count);
		}
		VK_TRY(close_record());
		return opened;
	}
	piece_head_ = 0;
	piece_tail_ = count - VKCKPT_TAG_BYTES;
	return success();
}

Status ImageReader::payload(void *out, size_t bytes)
{
	if (!payload_sealed()) {
		VK_TRY(in_.read(out, bytes));
		digest_.add(out, bytes);
		payload_left_ -= bytes;
		return success();
	}
	for (uint8_t *to = static_cast<uint8_t *>(out); bytes > 0;) {
		if (piece_head_ == piece_tail_)
			VK_TRY(next_piece());
		size_t part = piece_tail_ - piece_head_ < bytes ? piece_tail_ - piece_head_ : bytes;
		__builtin_memcpy(to, piece_ + piece_head_, part);
		piece_head_ += part;
		to += part;
		bytes -= part;
	}
	return success();
}

// An empty payload is an empty piece, which nobody has asked for.
Status ImageReader::end_payload()
{
	if (payload_sealed() && payload_left_ > 0)
		VK_TRY(next_piece());
	VK_CHECK(payload_left_ == 0 && piece_head_ == piece_tail_);
	return close_record();
}

Status ImageReader::read_payload(const struct vkckpt_f_record &record, void *out)
{
	VK_TRY(begin_payload(record));
	VK_TRY(payload(out, plain_payload(record, head_.header().required_features)));
	return end_payload();
}

Status ImageReader::skip_record(const struct vkckpt_f_record &record)
{
	VK_TRY(begin_payload(record));
	for (uint64_t left = plain_payload(record, head_.header().required_features); left > 0;) {
		size_t part = left < kBatchBytes ? static_cast<size_t>(left) : kBatchBytes;
		VK_TRY(payload(data_, part));
		left -= part;
	}
	return end_payload();
}

// The two records with which a sealed image begins: its key, which is opened, and what the header does not show.
Status ImageReader::read_shape(const struct vkckpt_crypto *crypto)
{
	struct vkckpt_f_record record;
	struct vkckpt_f_shape shape;
	bool known = false;
	VK_TRY(next_record(record, &known));
	if (!known || record.type != VKCKPT_REC_KEY)
		return image_damaged("record type", record.type);
	VK_TRY(read_payload(record, &key_));
	if (!crypto)
		return seal_refused(key_);
	VK_TRY(seal_.init(*crypto));
	VK_TRY(seal_.open(head_.header(), key_));
	VK_TRY(piece_arena_.map(Arena::room(VKCKPT_SEALED_PIECE + VKCKPT_TAG_BYTES), Prefault::no));
	piece_ = static_cast<uint8_t *>(piece_arena_.take(VKCKPT_SEALED_PIECE + VKCKPT_TAG_BYTES));
	VK_TRY(next_record(record, &known));
	if (!known || record.type != VKCKPT_REC_SHAPE)
		return image_damaged("record type", record.type);
	VK_TRY(read_payload(record, &shape));
	VK_TRY(check_shape(shape));
	head_.set_shape(shape);
	return success();
}

Status ImageReader::read_head()
{
	Result<size_t> got = in_.read_some(data_, sizeof(struct vkckpt_f_header));
	VK_TRY(got.status);
	VK_TRY(check_magic(data_, got.value));
	VK_TRY(head_.set_header(data_));
	whole_.add(&head_.header().digest, sizeof head_.header().digest);
	if (is_sealed(head_.header().required_features))
		VK_TRY(read_shape(crypto_.open_key ? &crypto_ : nullptr));
	else if (crypto_.open_key)
		return fail(EACCES, VKCKPT_R_NOT_SEALED, "image");
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
		uint64_t bytes = plain_payload(record, head_.header().required_features);
		Result<void *> room = head_.room(bytes);
		VK_TRY(room.status);
		VK_TRY(read_payload(record, room.value));
		if (record.type == VKCKPT_REC_HEAD_END)
			break;
		VK_TRY(head_.add(record.type, room.value, bytes));
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
	group_next_ = group_count_ = 0;
	groups_ended_ = false;
	failure_ = success();
	populates_.store(1);
	return success();
}

Status ImageReader::read_ram(const ChunkTarget &target)
{
	VK_TRY(begin_ram());
	target_ = &target;
	VK_TRY(crew_.start());
	crew_.run(work, this);
	crew_.stop();
	VK_TRY(failure_);
	for (;;) {
		if (!pending_known_) {
			VK_TRY(skip_record(pending_));
		} else if (pending_.type == VKCKPT_REC_STATS && stats_offset_ == 0) {
			VK_TRY(read_stats(pending_));
		} else if (pending_.type == VKCKPT_REC_INDEX && stats_offset_ != 0) {
			index_offset_ = record_offset_;
			VK_TRY(read_index(pending_));
			return read_trailer();
		} else {
			return image_damaged("record type", pending_.type);
		}
		VK_TRY(next_record(pending_, &pending_known_));
	}
}

// One worker: reads a batch while it has the lock, decodes it without. The stream is read in order whoever reads, so all checks of records and
// of descriptors are those of a single reader; a batch is its worker's alone. What the others decoded is seen after Crew::run.
void ImageReader::work(void *arg, unsigned number)
{
	ImageReader &self = *static_cast<ImageReader *>(arg);
	Batch &batch = self.batches_[number];
	for (;;) {
		self.lock_.take();
		bool more = !self.groups_ended_;
		Status s = more ? self.next_batch(batch, &more) : success();
		if (!s.ok())
			self.fail_at(self.in_.position(), s);
		uint64_t position = self.in_.position();
		self.lock_.give();
		if (number == 0 && self.progress_)
			self.progress_(self.progress_arg_, position);
		if (!s.ok() || !more)
			return;
		s = self.deliver_batch(batch);
		if (!s.ok()) {
			self.lock_.take();
			self.fail_at(batch.start, s);
			self.lock_.give();
		}
	}
}

// Under the lock. What is damaged first in the file is what is reported, whoever was quickest.
void ImageReader::fail_at(uint64_t offset, const Status &s)
{
	groups_ended_ = true;
	if (!failure_.ok() && failure_offset_ <= offset)
		return;
	failure_ = s;
	failure_offset_ = offset;
}

// Under the lock: goes on to the next group if need be, and reads of it. *more false: there is none; pending_ is what came instead.
Status ImageReader::next_batch(Batch &batch, bool *more)
{
	while (group_next_ == group_count_) {
		VK_TRY(next_record(pending_, &pending_known_));
		if (pending_known_ && pending_.type != VKCKPT_REC_RAM_GROUP) {
			groups_ended_ = true;
			*more = false;
			return success();
		}
		VK_TRY(pending_known_ ? begin_group(pending_) : skip_record(pending_));
	}
	return read_batch(batch);
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

Status ImageReader::begin_group(const struct vkckpt_f_record &record)
{
	VK_TRY(read_payload(record, group_));
	const struct vkckpt_f_group &group = *reinterpret_cast<const struct vkckpt_f_group *>(group_);
	const struct vkckpt_f_chunk *chunks = reinterpret_cast<const struct vkckpt_f_chunk *>(&group + 1);
	VK_TRY(check_group(group, chunks, plain_payload(record, head_.header().required_features), in_.position(), head_.shape()));
	if (seal_.active() && (prefix_.data_bytes != group.data_bytes || prefix_.reserved != 0))
		return image_damaged("group", prefix_.data_bytes);
	for (uint32_t i = 0; i < group.chunk_count; i++) {
		VK_TRY(claim_frames(chunks[i]));
		sum_add(seen_, chunks[i]);
		chunk_count_++;
		if (chunks[i].codec == VKCKPT_CODEC_ZERO && target_->zero)
			target_->zero(target_->arg, chunks[i].object, chunks[i].chunk, chunks[i].mask);
	}
	group_next_ = 0;
	group_count_ = group.chunk_count;
	return in_.skip_zeros(group.data_offset - in_.position());
}

// From where the stream stands to the end of the last chunk that fits; behind the last one of the group, its padding too.
Status ImageReader::read_batch(Batch &batch)
{
	const struct vkckpt_f_group &group = *reinterpret_cast<const struct vkckpt_f_group *>(group_);
	const struct vkckpt_f_chunk *chunks = reinterpret_cast<const struct vkckpt_f_chunk *>(&group + 1);
	uint64_t end = batch.start = in_.position();
	batch.count = 0;
	for (; group_next_ < group_count_; group_next_++) {
		const struct vkckpt_f_chunk &c = chunks[group_next_];
		if (c.codec == VKCKPT_CODEC_ZERO)
			continue;
		if (c.codec == VKCKPT_CODEC_PARENT) {	// nothing is read for it here
			batch.chunks[batch.count++] = c;
			continue;
		}
		if (c.offset + c.stored_bytes - batch.start > kDataRoom)
			break;
		end = c.offset + c.stored_bytes;
		batch.chunks[batch.count++] = c;
	}
	VK_TRY(in_.read(batch.data, end - batch.start));
	return group_next_ < group_count_ ? success() : in_.skip_zeros(group.data_offset + group.data_bytes - in_.position());
}

Status ImageReader::populate_run(const uint8_t *start, const uint8_t *end)
{
	if (start == end)
		return success();
	long r = sys_populate(const_cast<uint8_t *>(start), static_cast<size_t>(end - start));
	if (r > 0)	// pages come one by one, as they are written
		populates_.store(0);
	return r < 0 ? fail_host(static_cast<int>(-r), "thaw: memory for RAM", "", static_cast<uint64_t>(end - start)) : success();
}

// Makes the pages of a batch before anything is decoded into them: a call for each run of frames instead of a fault for each frame, and
// a host without memory to give says so here.
Status ImageReader::populate(const Batch &batch)
{
	const uint8_t *start = nullptr, *end = nullptr;
	for (uint32_t i = 0; i < batch.count; i++) {
		const struct vkckpt_f_chunk &c = batch.chunks[i];
		if (c.codec == VKCKPT_CODEC_PARENT && target_->drop_parents)
			continue;
		const uint8_t *base = target_->base(target_->arg, c.object, c.chunk, c.mask);
		for (unsigned left = c.mask; left != 0; left &= left - 1) {
			const uint8_t *frame = base + mask_first(static_cast<uint16_t>(left)) * VKCKPT_FRAME;
			if (frame != end) {
				VK_TRY(populate_run(start, end));
				start = frame;
			}
			end = frame + VKCKPT_FRAME;
		}
	}
	return populate_run(start, end);
}

Status ImageReader::deliver_batch(const Batch &batch)
{
	if (target_->populate && populates_.load())
		VK_TRY(populate(batch));
	uint64_t at = batch.start;
	for (uint32_t i = 0; i < batch.count; i++) {
		const struct vkckpt_f_chunk &c = batch.chunks[i];
		if (c.codec == VKCKPT_CODEC_PARENT) {
			VK_TRY(deliver_parent(c, batch));
			continue;
		}
		for (; at < c.offset; at++)
			if (batch.data[at - batch.start] != 0)
				return image_damaged("padding", at);
		VK_TRY(deliver(c, batch.data + (c.offset - batch.start), batch.scratch));
		at = c.offset + c.stored_bytes;
	}
	return success();
}

Status ImageReader::deliver_parent(const struct vkckpt_f_chunk &c, const Batch &batch)
{
	if (target_->drop_parents)
		return success();
	if (!chain_)
		return fail(ENOENT, VKCKPT_R_PARENT_NEEDED, "image", "the image");
	uint8_t *base = target_->base ? target_->base(target_->arg, c.object, c.chunk, c.mask) : nullptr;
	bool direct = base && mask_contiguous(c.mask);
	VK_TRY(chain_->read(c, batch.stored, direct ? base + mask_first(c.mask) * VKCKPT_FRAME : batch.scratch));
	if (base && !direct)
		frames_scatter(base, batch.scratch, c.mask);
	return success();
}

// The checksum of what is stored comes first: a flipped bit in an LZ4 block may well decode.
Status ImageReader::deliver(const struct vkckpt_f_chunk &c, uint8_t *stored, uint8_t *scratch)
{
	if (!digest_equal(digest_of(stored, c.stored_bytes), c.digest))
		return image_damaged("chunk", c.chunk);
	size_t stored_bytes = c.stored_bytes - head_.shape().tag_bytes;
	if (seal_.active())
		VK_TRY(seal_.open_chunk(c, stored, stored_bytes));
	uint8_t *base = target_->base ? target_->base(target_->arg, c.object, c.chunk, c.mask) : nullptr;
	if (c.codec == VKCKPT_CODEC_RAW) {
		if (base)
			frames_scatter(base, stored, c.mask);
		return success();
	}
	bool direct = base && mask_contiguous(c.mask);
	uint8_t *out = direct ? base + mask_first(c.mask) * VKCKPT_FRAME : scratch;
	if (!lz4_decode(stored, stored_bytes, out, mask_count(c.mask) * size_t{VKCKPT_FRAME}))
		return image_damaged("chunk", c.chunk);
	if (base && !direct)
		frames_scatter(base, scratch, c.mask);
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
	if (plain_payload(record, head_.header().required_features) != sizeof index + chunk_count_ * sizeof(struct vkckpt_f_chunk))
		return image_damaged("index", record.payload_bytes);
	VK_TRY(begin_payload(record));
	VK_TRY(payload(&index, sizeof index));
	if (index.entry_count != chunk_count_ || index.reserved != 0)
		return image_damaged("index", index.entry_count);
	struct vkckpt_f_chunk before = {};
	Sum sum;
	for (uint64_t left = index.entry_count; left > 0;) {
		uint64_t part = kBatchBytes / sizeof(struct vkckpt_f_chunk);
		part = left < part ? left : part;
		VK_TRY(payload(data_, part * sizeof(struct vkckpt_f_chunk)));
		const struct vkckpt_f_chunk *entry = reinterpret_cast<const struct vkckpt_f_chunk *>(data_);
		for (uint64_t i = 0; i < part; i++) {
			VK_TRY(check_index_entry(entry[i], before, sum));
			before = entry[i];
		}
		left -= part;
	}
	VK_TRY(end_payload());
	if (__builtin_memcmp(&sum, &seen_, sizeof sum) != 0)
		return image_damaged("index", index.entry_count);
	return success();
}

// Data of a sealed group whose record was passed over: to its end, against the digest that stands in clear.
Status ImageReader::check_group_sums()
{
	size_t over = in_.position() % VKCKPT_BLOCK;
	VK_TRY(in_.skip_zeros(over ? VKCKPT_BLOCK - over : 0));
	DigestStream digest;
	for (uint64_t left = prefix_.data_bytes; left > 0;) {
		size_t part = left < kBatchBytes ? static_cast<size_t>(left) : kBatchBytes;
		VK_TRY(in_.read(data_, part));
		digest.add(data_, part);
		left -= part;
	}
	return digest_equal(digest.result(), prefix_.data) ? success() : image_damaged("group", record_.sequence);
}

Status ImageReader::check_sums()
{
	VK_CHECK(is_sealed(head_.header().required_features) && !seal_.active());
	for (bool ended = false; !ended;) {
		struct vkckpt_f_record record;
		bool known = false;
		VK_TRY(next_record(record, &known));
		VK_TRY(begin_payload(record));
		bool group = known && record.type == VKCKPT_REC_RAM_GROUP;
		if (group) {
			VK_TRY(payload(&prefix_, sizeof prefix_));
			if (prefix_.data_bytes % VKCKPT_BLOCK != 0 || prefix_.reserved != 0)
				return image_damaged("group", prefix_.data_bytes);
		}
		while (payload_left_ > 0)
			VK_TRY(payload(data_, payload_left_ < kBatchBytes ? payload_left_ : kBatchBytes));
		VK_TRY(close_record());
		if (group)
			VK_TRY(check_group_sums());
		if (known && record.type == VKCKPT_REC_STATS)
			stats_offset_ = record_offset_;
		ended = known && record.type == VKCKPT_REC_INDEX;
	}
	index_offset_ = record_offset_;
	return read_trailer();
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
	VK_TRY(in_.expect_end());
	if (progress_)
		progress_(progress_arg_, in_.position());
	return success();
}

}  // namespace vk
