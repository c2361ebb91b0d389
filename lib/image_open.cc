// An image in a regular file, opened for random access (vkckpt/image.h). Head, statistics and index are read and checked at once, RAM
// frame by frame when it is asked for. Tools and lazy thaw; one thread at a time per image.
#include <vkckpt/image.h>

#include <errno.h>

#include "lib/codec.h"
#include "lib/image_check.h"
#include "lib/image_reader.h"
#include "lib/sys.h"

#define VK_EXPORT extern "C" __attribute__((visibility("default")))

struct vkckpt_image {
	int fd;
	uint64_t size_bytes;
	vk::Arena self;				// this struct and the two buffers
	vk::Arena index_arena;
	vk::ImageReader reader;			// owns the head
	struct vkckpt_f_stats stats;
	struct vkckpt_f_trailer trailer;
	struct vkckpt_f_chunk *index;
	uint64_t index_count;
	const struct vkckpt_f_chunk *decoded;	// whose frames stand in `frames`; null: none
	uint8_t *stored, *frames;
};

namespace vk {
namespace {

Status read_at(vkckpt_image &image, void *out, size_t bytes, uint64_t offset)
{
	long got = pread_all(image.fd, out, bytes, offset);
	if (got < 0)
		return fail_host(static_cast<int>(-got), "read", "the image", offset);
	if (static_cast<size_t>(got) < bytes)
		return fail(EBADMSG, VKCKPT_R_TRUNCATED, "image", "", offset + static_cast<uint64_t>(got));
	return success();
}

// There is no trailer at the end of the file. Follows the records to find out whether the file is too short or too long.
Status explain_end(vkckpt_image &image, uint64_t at)
{
	for (;;) {
		struct vkckpt_f_record record;
		bool known = false;
		VK_TRY(read_at(image, &record, sizeof record, at));
		VK_TRY(check_record(record, record.sequence, &known));
		uint64_t end = (at + sizeof record + record.payload_bytes + 15) & ~uint64_t{15};
		uint64_t block = (end + VKCKPT_BLOCK - 1) & ~uint64_t{VKCKPT_BLOCK - 1};
		if (known && record.type == VKCKPT_REC_INDEX) {
			end = block + sizeof(struct vkckpt_f_trailer);
			if (image.size_bytes < end)
				return fail(EBADMSG, VKCKPT_R_TRUNCATED, "image", "", image.size_bytes);
			if (image.size_bytes > end)
				return fail(EBADMSG, VKCKPT_R_TRAILING_DATA, "image", "", end);
			return image_damaged("trailer", block);
		}
		if (known && record.type == VKCKPT_REC_RAM_GROUP) {
			struct vkckpt_f_group group;
			VK_TRY(read_at(image, &group, sizeof group, at + sizeof record));
			if (group.data_bytes > VKCKPT_GROUP_CHUNKS * (VKCKPT_CHUNK + 16) + VKCKPT_BLOCK)
				return image_damaged("group", group.data_bytes);
			end = block + group.data_bytes;
		}
		at = end;
	}
}

// A record at a known place: its head into *record, its payload into out (bytes: its size, checked by the caller's limit).
Status read_record_head(vkckpt_image &image, uint64_t offset, uint16_t type, struct vkckpt_f_record *record)
{
	bool known = false;
	VK_TRY(read_at(image, record, sizeof *record, offset));
	VK_TRY(check_record(*record, record->sequence, &known));
	return known && record->type == type ? success() : image_damaged("record type", record->type);
}

Status read_record_payload(vkckpt_image &image, uint64_t offset, const struct vkckpt_f_record &record, void *out)
{
	static constexpr uint8_t kZeros[16] = {};
	VK_TRY(read_at(image, out, record.payload_bytes, offset + sizeof record));
	uint8_t pad[16] = {};
	size_t pad_bytes = (16 - (offset + sizeof record + record.payload_bytes) % 16) % 16;
	VK_TRY(read_at(image, pad, pad_bytes, offset + sizeof record + record.payload_bytes));
	DigestStream digest;
	digest.add(&record, offsetof(struct vkckpt_f_record, digest));
	digest.add(out, record.payload_bytes);
	digest.add(pad, pad_bytes);
	if (!digest_equal(digest.result(), record.digest) || __builtin_memcmp(pad, kZeros, sizeof pad) != 0)
		return image_damaged("record", record.sequence);
	return success();
}

Status check_index(const vkckpt_image &image)
{
	const ImageShape &shape = image.reader.head().shape();
	for (uint64_t i = 0; i < image.index_count; i++) {
		const struct vkckpt_f_chunk &c = image.index[i];
		VK_TRY(check_chunk(c, shape));
		if (c.codec != VKCKPT_CODEC_ZERO && (c.offset < sizeof(struct vkckpt_f_header) || c.offset % 16 != 0 ||
		    c.stored_bytes > image.trailer.stats_offset || c.offset > image.trailer.stats_offset - c.stored_bytes))
			return image_damaged("index", c.chunk);
		if (i == 0)
			continue;
		const struct vkckpt_f_chunk &before = image.index[i - 1];
		if (!index_order(before, c) || (before.object == c.object && before.chunk == c.chunk && before.mask & c.mask))
			return image_damaged("index", c.chunk);
	}
	return success();
}

Status read_index(vkckpt_image &image)
{
	uint64_t offset = image.trailer.index_offset, trailer_offset = image.size_bytes - sizeof image.trailer;
	struct vkckpt_f_record record;
	VK_TRY(read_record_head(image, offset, VKCKPT_REC_INDEX, &record));
	if (record.payload_bytes > trailer_offset - offset || record.payload_bytes + sizeof record > trailer_offset - offset ||
	    trailer_offset - offset - record.payload_bytes - sizeof record >= VKCKPT_BLOCK)
		return image_damaged("index", record.payload_bytes);
	VK_TRY(image.index_arena.map(Arena::room(record.payload_bytes), Prefault::no));
	uint8_t *payload = static_cast<uint8_t *>(image.index_arena.take(record.payload_bytes));
	VK_TRY(read_record_payload(image, offset, record, payload));
	const struct vkckpt_f_index &index = *reinterpret_cast<const struct vkckpt_f_index *>(payload);
	image.index_count = (record.payload_bytes - sizeof index) / sizeof(struct vkckpt_f_chunk);
	image.index = reinterpret_cast<struct vkckpt_f_chunk *>(payload + sizeof index);
	if (index.entry_count != image.index_count || index.reserved != 0)
		return image_damaged("index", index.entry_count);
	return check_index(image);
}

Status open_image(vkckpt_image &image, const char *path)
{
	long fd = sys_open(path, O_RDONLY | O_NOCTTY);
	if (fd < 0)
		return fail_host(static_cast<int>(-fd), "open", path);
	image.fd = static_cast<int>(fd);
	struct stat st = {};
	long result = sys_fstat(image.fd, &st);
	if (result < 0)
		return fail_host(static_cast<int>(-result), "open", path);
	if (!S_ISREG(st.st_mode))
		return fail(EINVAL, VKCKPT_R_BAD_ARGUMENT, "open: not a regular file", path);
	image.size_bytes = static_cast<uint64_t>(st.st_size);
	VK_TRY(image.reader.open(image.fd));
	VK_TRY(image.reader.read_head());
	uint64_t head_end = image.reader.file_bytes();
	if (image.size_bytes % VKCKPT_BLOCK != 0 || image.size_bytes < head_end + sizeof image.trailer)
		return explain_end(image, head_end);
	VK_TRY(read_at(image, &image.trailer, sizeof image.trailer, image.size_bytes - sizeof image.trailer));
	if (!is_trailer(image.trailer))
		return explain_end(image, head_end);
	VK_TRY(check_trailer(image.trailer, image.reader.head().header().image_id, image.size_bytes - sizeof image.trailer));
	struct vkckpt_f_record record;
	VK_TRY(read_record_head(image, image.trailer.stats_offset, VKCKPT_REC_STATS, &record));
	VK_TRY(read_record_payload(image, image.trailer.stats_offset, record, &image.stats));
	return read_index(image);
}

Status decode(vkckpt_image &image, const struct vkckpt_f_chunk &c)
{
	image.decoded = nullptr;
	VK_TRY(read_at(image, image.stored, c.stored_bytes, c.offset));
	if (!digest_equal(digest_of(image.stored, c.stored_bytes), c.digest))
		return image_damaged("chunk", c.chunk);
	size_t bytes = mask_count(c.mask) * size_t{VKCKPT_FRAME};
	if (c.codec == VKCKPT_CODEC_RAW)
		__builtin_memcpy(image.frames, image.stored, bytes);
	else if (!lz4_decode(image.stored, c.stored_bytes, image.frames, bytes))
		return image_damaged("chunk", c.chunk);
	image.decoded = &c;
	return success();
}

// The entry that names the frame, or null.
const struct vkckpt_f_chunk *find(const vkckpt_image &image, uint32_t object, uint64_t number)
{
	uint64_t chunk = number / VKCKPT_CHUNK_FRAMES, low = 0, high = image.index_count;
	while (low < high) {
		uint64_t middle = low + (high - low) / 2;
		const struct vkckpt_f_chunk &c = image.index[middle];
		if (c.object < object || (c.object == object && c.chunk < chunk))
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < image.index_count && image.index[low].object == object && image.index[low].chunk == chunk; low++)
		if (image.index[low].mask & 1u << number % VKCKPT_CHUNK_FRAMES)
			return &image.index[low];
	return nullptr;
}

Status read_frame(vkckpt_image &image, const struct vkckpt_f_chunk &c, unsigned f, void *frame)
{
	if (image.decoded != &c)
		VK_TRY(decode(image, c));
	unsigned before = mask_count(static_cast<uint16_t>(c.mask & ((1u << f) - 1)));
	__builtin_memcpy(frame, image.frames + before * VKCKPT_FRAME, VKCKPT_FRAME);
	return success();
}

Status verify(const char *path, int fd, void (*progress)(void *, uint64_t), void *arg)
{
	long opened = -1;
	if (path) {
		opened = sys_open(path, O_RDONLY | O_NOCTTY);
		if (opened < 0)
			return fail_host(static_cast<int>(-opened), "open", path);
		fd = static_cast<int>(opened);
	}
	ImageReader reader;
	Status status = reader.open(fd);
	reader.watch(progress, arg);
	if (status.ok())
		status = reader.read_head();
	if (status.ok())
		status = reader.read_ram(ChunkTarget());
	reader.close();
	if (opened >= 0)
		(void)sys_close(static_cast<int>(opened));	// read-only: there is nothing to lose
	return status;
}

}  // namespace
}  // namespace vk

VK_EXPORT int vkckpt_image_open(const char *path, struct vkckpt_image **out, struct vkckpt_error *err)
{
	using namespace vk;
	*out = nullptr;
	Arena arena;
	Status status = arena.map(Arena::room(sizeof(vkckpt_image)) + 2 * Arena::room(VKCKPT_CHUNK), Prefault::no);
	if (!status.ok())
		return report(status, err);
	vkckpt_image *image = arena.take_array<vkckpt_image>(1);
	*image = vkckpt_image();
	image->fd = -1;
	image->stored = static_cast<uint8_t *>(arena.take(VKCKPT_CHUNK));
	image->frames = static_cast<uint8_t *>(arena.take(VKCKPT_CHUNK));
	image->self = arena;
	status = open_image(*image, path);
	if (!status.ok())
		vkckpt_image_close(image);
	else
		*out = image;
	return report(status, err);
}

VK_EXPORT void vkckpt_image_close(struct vkckpt_image *image)
{
	if (image == nullptr)
		return;
	image->reader.close();
	image->index_arena.release();
	if (image->fd >= 0)
		(void)vk::sys_close(image->fd);		// read-only: there is nothing to lose
	vk::Arena self = image->self;			// the struct lies in it
	self.release();
}

VK_EXPORT const struct vkckpt_f_header *vkckpt_image_header(const struct vkckpt_image *image)
{
	return &image->reader.head().header();
}
VK_EXPORT const struct vkckpt_f_host *vkckpt_image_host(const struct vkckpt_image *image)
{
	return &image->reader.head().host();
}
VK_EXPORT const struct vkckpt_f_identity *vkckpt_image_identity(const struct vkckpt_image *image)
{
	return &image->reader.head().identity();
}
VK_EXPORT const struct vkckpt_f_stats *vkckpt_image_stats(const struct vkckpt_image *image) { return &image->stats; }
VK_EXPORT uint64_t vkckpt_image_file_bytes(const struct vkckpt_image *image) { return image->size_bytes; }

VK_EXPORT const void *vkckpt_image_record(const struct vkckpt_image *image, uint32_t type, size_t i, size_t *bytes)
{
	if (type >= VKCKPT_REC_HEAD_END)
		return nullptr;
	return image->reader.head().record(static_cast<uint16_t>(type), i, bytes);
}
VK_EXPORT const struct vkckpt_source *vkckpt_image_device(const struct vkckpt_image *image, size_t i)
{
	return image->reader.head().source(i);
}
VK_EXPORT const struct vkckpt_f_chunk *vkckpt_image_chunks(const struct vkckpt_image *image, uint64_t *count)
{
	*count = image->index_count;
	return image->index;
}

VK_EXPORT int vkckpt_image_frame(struct vkckpt_image *image, uint32_t object, uint64_t number, void *frame,
    struct vkckpt_error *err)
{
	using namespace vk;
	const struct vkckpt_f_chunk *c = find(*image, object, number);
	if (c == nullptr || c->codec == VKCKPT_CODEC_ZERO) {
		__builtin_memset(frame, 0, VKCKPT_FRAME);
		return c != nullptr;
	}
	Status status = read_frame(*image, *c, number % VKCKPT_CHUNK_FRAMES, frame);
	int result = report(status, err);
	return result < 0 ? result : 1;
}

VK_EXPORT int vkckpt_image_verify(const char *path, int fd, void (*progress)(void *, uint64_t bytes), void *arg,
    struct vkckpt_error *err)
{
	return vk::report(vk::verify(path, fd, progress, arg), err);
}
