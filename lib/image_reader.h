// Reads an image from front to back, from a pipe or a file, and checks every byte of it: read_head first (everything that can be refused
// is known then), then read_ram to the very end. Errors: NOT_AN_IMAGE, VERSION_UNKNOWN, FEATURE_UNKNOWN, RECORD_UNKNOWN,
// CODEC_UNKNOWN, TRUNCATED, DAMAGED, TRAILING_DATA, LIMIT, or the host's. THAW and tools.
#ifndef VKCKPT_LIB_IMAGE_READER_H
#define VKCKPT_LIB_IMAGE_READER_H

#include "lib/crew.h"
#include "lib/digest.h"
#include "lib/image_head.h"
#include "lib/input.h"
#include "lib/lock.h"
#include "lib/seal.h"

namespace vk {

// Where chunks go. base returns where frame 16 * chunk of the object belongs: frames of the mask are written to base + f * 4096
// and nothing else is touched, so a mask that ends before the 16th frame needs no more room than that. Null: the chunk is decoded and
// dropped. Memory must be zero beforehand: zero frames are not written (zero, if set, is told of them instead). With several workers base is
// called by all of them at once, zero by one at a time.
struct ChunkTarget {
	void *arg = nullptr;
	uint8_t *(*base)(void *arg, uint32_t object, uint64_t chunk, uint16_t mask) = nullptr;
	void (*zero)(void *arg, uint32_t object, uint64_t chunk, uint16_t mask) = nullptr;
	bool drop_parents = false;	// entries of codec PARENT are passed over: their frames are not wanted
	bool populate = false;	// fresh memory of our own, whose pages are best made in bulk: 16 frames from base may be touched
};

class Chain;

class ImageReader {
public:
	// fd stays the caller's and stands at the image's first byte. Maps the reader's own memory (about 0.3 MiB, 1.2 for each worker; for
	// RAM, a bit per frame more). More than one worker: read_ram makes threads, and ends them before it returns.
	Status open(int fd, unsigned workers = 1);
	// What sealed and signed images are opened with; before read_head. A table with open_key refuses images that are not sealed, one with
	// leaves those that are not signed. path: of the image, null for a descriptor's. NOT_SIGNED, SIGNATURE_WRONG.
	Status use(const struct vkckpt_crypto &crypto, const char *path);
	// Told now and then in the thread that calls read_ram, never in a worker's: it may be a program's own function.
	void watch(void (*progress)(void *, uint64_t bytes), void *arg) { progress_ = progress, progress_arg_ = arg; }
	Status read_head();
	ImageHead &head() { return head_; }
	const ImageHead &head() const { return head_; }
	// The key of a sealed image, for those who read it at random; not active in others. Until close.
	const Seal &seal() const { return seal_; }
	const struct vkckpt_f_key &key() const { return key_; }
	const Leaves &leaves() const { return leaves_; }	// likewise
	// After a read_head that ended with SEALED: the rest of the image, its checksums only. For who has no key.
	Status check_sums();
	// Where what is "as in the parent" comes from; the caller's. For an incremental image, before read_ram.
	void set_chain(const Chain *chain) { chain_ = chain; }
	// All groups, statistics, index, trailer, end of file. What was delivered counts only when this succeeds.
	Status read_ram(const ChunkTarget &);
	const struct vkckpt_f_stats &stats() const { return stats_; }
	uint64_t file_bytes() const { return in_.position(); }
	void close();				// idempotent; frees all that head() gave

private:
	void (*progress_)(void *, uint64_t) = nullptr;
	void *progress_arg_ = nullptr;
	// Some whole chunks of one group: what a worker reads at once, while it has the lock, and then decodes.
	struct Batch {
		struct vkckpt_f_chunk *chunks;
		uint32_t count;
		uint64_t start;			// offset in the file of data[0]
		uint8_t *data;
		uint8_t *scratch, *stored;	// one decoded chunk; one of an ancestor, as it is stored
	};
	struct Sum { uint64_t low = 0, high = 0; };	// of the digests of descriptors, whatever their order
	Status next_record(struct vkckpt_f_record &, bool *known);
	Status read_shape(const struct vkckpt_crypto *);
	// The payload of a record, opened where the image is sealed: begin, read in any portions, end (which reads what is left of it).
	Status begin_payload(const struct vkckpt_f_record &);
	Status payload(void *out, size_t bytes);
	Status end_payload();
	bool payload_sealed() const { return seal_.active() && record_.type != VKCKPT_REC_KEY; }
	Status next_piece();
	Status close_record();
	Status read_payload(const struct vkckpt_f_record &, void *out);
	Status skip_record(const struct vkckpt_f_record &);
	Status begin_ram();
	static void work(void *, unsigned number);
	void fail_at(uint64_t offset, const Status &);
	Status next_batch(Batch &, bool *more);
	Status begin_group(const struct vkckpt_f_record &);
	Status read_batch(Batch &);
	Status read_stats(const struct vkckpt_f_record &);
	Status read_index(const struct vkckpt_f_record &);
	Status check_index_entry(const struct vkckpt_f_chunk &, const struct vkckpt_f_chunk &before, Sum &);
	Status read_trailer();
	Status check_group_sums();
	Status claim_frames(const struct vkckpt_f_chunk &);
	Status populate(const Batch &);
	Status populate_run(const uint8_t *start, const uint8_t *end);
	Status deliver_batch(const Batch &);
	Status deliver_parent(const struct vkckpt_f_chunk &, const Batch &);
	Status deliver(const struct vkckpt_f_chunk &, uint8_t *stored, uint8_t *scratch);
	static void sum_add(Sum &, const struct vkckpt_f_chunk &);

	Arena arena_;				// buffers
	Arena present_arena_;
	Input in_;
	ImageHead head_;
	struct vkckpt_f_stats stats_ = {};
	uint8_t *group_ = nullptr;		// payload of the record of the group that is being read
	uint32_t group_next_ = 0, group_count_ = 0;	// its chunks: the next one to be read, and how many
	uint8_t *data_ = nullptr;		// pieces of other records; batch 0's too
	struct vkckpt_f_record record_ = {};	// whose payload is being read
	DigestStream digest_;			// of it
	struct vkckpt_f_sealed_group prefix_ = {};	// of it, if it is a sealed group
	struct vkckpt_crypto crypto_ = {};	// size 0: none was given
	Seal seal_;
	Leaves leaves_;
	struct vkckpt_f_key key_ = {};		// of a sealed image
	Arena piece_arena_;			// of a sealed image
	uint8_t *piece_ = nullptr;		// an opened piece of the payload
	size_t piece_head_ = 0, piece_tail_ = 0;
	uint32_t piece_count_ = 0;
	uint64_t payload_left_ = 0;		// of the payload, in the stream
	Batch *batches_ = nullptr;		// one per worker
	Crew crew_;
	Lock lock_;				// the stream and all that counts what was seen of it
	const ChunkTarget *target_ = nullptr;
	const Chain *chain_ = nullptr;
	struct vkckpt_f_record pending_ = {};	// read ahead: the first one behind the last group
	bool pending_known_ = false, groups_ended_ = false;
	Status failure_;			// the one that lies first in the file
	uint64_t failure_offset_ = 0;
	Atomic<uint32_t> populates_;		// the host makes pages in bulk
	uint16_t *present_ = nullptr;		// of each chunk, frames seen: each occurs once
	uint64_t first_chunk_[VKCKPT_MAX_SEGMENTS + VKCKPT_MAX_REGIONS + 1] = {};
	uint64_t sequence_ = 0;
	uint64_t chunk_count_ = 0;
	uint64_t stats_offset_ = 0, index_offset_ = 0, record_offset_ = 0;
	Sum seen_;
	DigestStream whole_;
};

}  // namespace vk
#endif
