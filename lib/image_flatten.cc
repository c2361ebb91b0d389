// Merges an incremental image with all that it is built on into a full one. What one image of the chain holds of a chunk is copied as it is
// stored; only chunks whose frames come from several are decoded and encoded anew. Tools.
#include <vkckpt/image.h>

#include <errno.h>

#include "lib/chain.h"
#include "lib/codec.h"
#include "lib/export.h"
#include "lib/sys.h"

inline void *operator new(size_t, void *place) noexcept { return place; }

namespace vk {
namespace {

struct Flatten {
	OpenImage in;
	Chain chain;
	ImageWriter out;
	Arena arena;
	uint8_t *stored = nullptr, *frames = nullptr;
	uint8_t *chunk = nullptr;		// frames at their places
	int fd = -1;
};

Status open(Flatten &f, const char *path, const char *parent, const struct vkckpt_crypto *from, const struct vkckpt_crypto *to)
{
	Result<int> fd = open_image_file(path);
	if (!fd.ok())
		return fd.status;
	f.fd = fd.value;
	VK_TRY(f.in.open(f.fd));
	if (from)
		VK_TRY(f.in.use(*from, path));
	VK_TRY(f.in.read_head());
	if (f.in.reader().seal().active() && !(to && to->make_key))
		return fail(EINVAL, VKCKPT_R_BAD_ARGUMENT, "flatten: the image is sealed, the new one would not be", path);
	VK_TRY(f.chain.open(f.in.head(), path, f.fd, parent, from));
	f.in.set_chain(&f.chain);
	VK_TRY(f.in.read_index());
	ImageShape shape = f.in.head().shape();
	shape.has_parent = false;
	VK_TRY(f.arena.map(ImageWriter::arena_bytes(shape) + Arena::room(OpenImage::kStoredRoom) + 2 * Arena::room(VKCKPT_CHUNK),
	    Prefault::no));
	f.out.init(f.arena, shape);
	f.stored = static_cast<uint8_t *>(f.arena.take(OpenImage::kStoredRoom));
	f.frames = static_cast<uint8_t *>(f.arena.take(VKCKPT_CHUNK));
	f.chunk = static_cast<uint8_t *>(f.arena.take(VKCKPT_CHUNK));
	return success();
}

Status copy_head(Flatten &f)
{
	const ImageHead &head = f.in.head();
	struct vkckpt_f_identity identity = head.identity();
	identity.parent_id = {};
	__builtin_memset(identity.parent_path, 0, sizeof identity.parent_path);
	for (uint16_t type = VKCKPT_REC_HOST; type < VKCKPT_REC_HEAD_END; type++)
		for (size_t i = 0; i < head.count(type); i++) {
			size_t bytes = 0;
			const void *payload = head.record(type, i, &bytes);
			VK_TRY(f.out.record(type, type == VKCKPT_REC_IDENTITY ? &identity : payload, bytes));
		}
	return f.out.head_end();
}

// From the one image that has exactly these frames; c: the entry that asks for them.
Status copy_stored(Flatten &f, const OpenImage &from, const struct vkckpt_f_chunk &entry, const struct vkckpt_f_chunk &c)
{
	VK_TRY(from.read_stored(entry, f.stored));
	struct vkckpt_f_chunk copy = entry;
	copy.page_class = c.page_class;
	copy.content = c.content;
	f.out.own_builder().add_encoded(copy, f.stored, from.plain_stored(entry));
	return success();
}

Status merge(Flatten &f, const struct vkckpt_f_chunk *entry, unsigned count)
{
	uint8_t page_class[VKCKPT_CHUNK_FRAMES] = {};
	ChunkSource source;
	source.base = f.chunk;
	source.object = entry->object;
	source.chunk = entry->chunk;
	source.page_class = page_class;
	for (unsigned i = 0; i < count; i++) {
		VK_TRY(f.in.read_chunk(entry[i], f.stored, f.frames));
		frames_scatter(f.chunk, f.frames, entry[i].mask);
		source.mask = static_cast<uint16_t>(source.mask | entry[i].mask);
		for (unsigned k = 0; k < VKCKPT_CHUNK_FRAMES; k++)
			if (entry[i].mask & 1u << k)
				page_class[k] = entry[i].page_class;
	}
	f.out.own_builder().add(source);
	return success();
}

// The entries of one chunk: zero, stored, parent; those that there are.
Status copy_chunk(Flatten &f, const struct vkckpt_f_chunk *entry, unsigned count)
{
	const struct vkckpt_f_chunk &last = entry[count - 1], *whole = nullptr;
	const OpenImage *from = &f.in;
	if (last.codec != VKCKPT_CODEC_PARENT)
		whole = &last;
	else if (count == 1 || entry[count - 2].codec == VKCKPT_CODEC_ZERO)
		whole = f.chain.find_whole(last, &from);
	if (!whole)
		return merge(f, entry, count);
	for (unsigned i = 0; i < count; i++)
		if (entry[i].codec == VKCKPT_CODEC_ZERO)
			f.out.own_builder().add_encoded(entry[i], nullptr, 0);
		else
			VK_TRY(copy_stored(f, *from, &entry[i] == &last ? *whole : entry[i], entry[i]));
	return success();
}

Status copy_chunks(Flatten &f, void (*progress)(void *, uint64_t), void *arg)
{
	GroupBuilder &builder = f.out.own_builder();
	builder.set_content(f.in.head().shape().incremental(), nullptr);
	unsigned count;
	for (uint64_t i = 0; i < f.in.index_count(); i += count) {
		const struct vkckpt_f_chunk &c = f.in.index()[i];
		(void)f.in.find(c.object, c.chunk, &count);
		if (!builder.room()) {
			VK_TRY(f.out.write_group(builder));
			if (progress)
				progress(arg, f.out.bytes_written());
		}
		VK_TRY(copy_chunk(f, &c, count));
	}
	VK_TRY(f.out.write_group(builder));
	// What was counted is as it was; only where frames lie is another matter.
	struct vkckpt_f_stats stats = f.in.stats();
	const struct vkckpt_f_stats &now = f.out.stats();
	stats.frames_stored = now.frames_stored;
	stats.frames_zero = now.frames_zero;
	stats.frames_parent = 0;
	stats.stored_bytes = now.stored_bytes;
	stats.hot_end = 0;
	__builtin_memcpy(stats.class_bytes, now.class_bytes, sizeof stats.class_bytes);
	f.out.stats() = stats;
	return f.out.finish();
}

Status flatten(Flatten &f, const char *path, const char *parent, const struct vkckpt_crypto *from, int fd, const struct vkckpt_crypto *to,
    void (*progress)(void *, uint64_t), void *arg)
{
	VK_TRY(open(f, path, parent, from, to));
	if (to && to->make_key)
		VK_TRY(f.out.seal_with(*to));
	const struct vkckpt_f_header &h = f.in.head().header();
	VK_TRY(f.out.begin(fd, h.image_id, h.created_realtime_ns));
	VK_TRY(copy_head(f));
	return copy_chunks(f, progress, arg);
}

}  // namespace
}  // namespace vk

VK_EXPORT int vkckpt_image_flatten(const char *path, const char *parent, const struct vkckpt_crypto *from, int fd,
    const struct vkckpt_crypto *to, void (*progress)(void *, uint64_t bytes), void *arg, struct vkckpt_error *err)
{
	using namespace vk;
	Arena self;				// too large for a stack that nobody has looked at
	Status status = self.map(Arena::room(sizeof(Flatten)), Prefault::no);
	if (!status.ok())
		return report(status, err);
	Flatten &f = *new (self.take(sizeof(Flatten))) Flatten();
	status = flatten(f, path, parent, from, fd, to, progress, arg);
	f.out.release();
	f.chain.close();
	f.in.close();
	f.arena.release();
	if (f.fd >= 0)
		(void)sys_close(f.fd);		// read-only: there is nothing to lose
	self.release();
	return report(status, err);
}
