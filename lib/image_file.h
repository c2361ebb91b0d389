// An image in a regular file, opened for random access: head, trailer, statistics and index are read and checked once, chunks in any
// order whenever they are asked for, each checked before it is decoded. THAW, tools, and the fill of a lazy thaw.
#ifndef VKCKPT_LIB_IMAGE_FILE_H
#define VKCKPT_LIB_IMAGE_FILE_H

#include "lib/image_reader.h"

namespace vk {

class Chain;

// The file for it, to be closed by the caller. What is no regular file (a named pipe, that would be waited for) is refused: BAD_ARGUMENT. flags
// besides O_RDONLY.
Result<int> open_image_file(const char *path, int flags = 0);
// The same for an image that is read front to back: it may also come through a pipe that this process was handed (/dev/stdin, /dev/fd/N).
Result<int> open_image_stream(const char *path, const char *where);

class OpenImage {
public:
	// The head of an image in the file that fd names, which stays the caller's and stands at the image's first byte. Errors: those of
	// ImageReader. The head may also be all that is wanted, or be read by reader() to its end: then fd may be a pipe.
	Status open(int fd, unsigned workers = 1) { fd_ = fd; return reader_.open(fd, workers); }
	Status use(const struct vkckpt_crypto &crypto, const char *path) { return reader_.use(crypto, path); }
	Status read_head() { return reader_.read_head(); }
	// Trailer, statistics and index, in any place of the file, after read_head. EINVAL: not a regular file. Maps what the file justifies.
	Status read_index();
	void close();				// idempotent; frees all that was read; fd stays open

	ImageReader &reader() { return reader_; }
	ImageHead &head() { return reader_.head(); }
	const ImageHead &head() const { return reader_.head(); }
	const struct vkckpt_f_stats &stats() const { return stats_; }
	const struct vkckpt_f_trailer &trailer() const { return trailer_; }
	const struct vkckpt_f_chunk *index() const { return index_; }
	uint64_t index_count() const { return index_count_; }
	uint64_t file_bytes() const { return size_bytes_; }

	// The entries of a chunk of an object, one behind the other: *count of them, 0 when the image has none.
	const struct vkckpt_f_chunk *find(uint32_t object, uint64_t chunk, unsigned *count) const;
	// The entry that has this frame, or null.
	const struct vkckpt_f_chunk *find_frame(uint32_t object, uint64_t frame) const;

	// Where entries of codec PARENT are looked up, opened by the caller and his own. Without it they are refused: PARENT_NEEDED.
	void set_chain(const Chain *chain) { chain_ = chain; }

	// The stored bytes of an entry, checked and in clear (plain_stored of them), to `stored`: room for c.stored_bytes. Several threads at
	// once, each with its own memory.
	Status read_stored(const struct vkckpt_f_chunk &c, uint8_t *stored) const;
	uint32_t plain_stored(const struct vkckpt_f_chunk &c) const { return c.stored_bytes - (c.stored_bytes ? head().shape().tag_bytes : 0); }
	// The frames of an entry's mask, one behind the other, to `frames`: room for VKCKPT_CHUNK bytes; stored: kStoredRoom. Several threads
	// likewise.
	static constexpr size_t kStoredRoom = VKCKPT_CHUNK + VKCKPT_TAG_BYTES;
	Status read_chunk(const struct vkckpt_f_chunk &c, uint8_t *stored, uint8_t *frames) const;

private:
	uint64_t features() const;
	Status read_at(void *out, size_t bytes, uint64_t offset) const;
	Status read_plain(void *out, size_t bytes, uint64_t offset) const;
	Status explain_end(uint64_t at) const;
	Status read_record_head(uint64_t offset, uint16_t type, struct vkckpt_f_record *record) const;
	Status read_record_payload(uint64_t offset, const struct vkckpt_f_record &record, void *out) const;
	Status read_entries();
	Status check_entries() const;
	Status check_overlaps() const;

	const Chain *chain_ = nullptr;
	int fd_ = -1;
	uint64_t size_bytes_ = 0;
	ImageReader reader_;			// owns the head
	Arena index_arena_;
	struct vkckpt_f_stats stats_ = {};
	struct vkckpt_f_trailer trailer_ = {};
	struct vkckpt_f_chunk *index_ = nullptr;
	uint64_t index_count_ = 0;
};

}  // namespace vk
#endif
