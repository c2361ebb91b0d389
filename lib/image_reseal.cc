// Copies an image record by record and chunk by chunk, opened with one key and sealed with another or none. Nothing is decoded. Tools.
#include <vkckpt/image.h>

#include <errno.h>

#include "lib/codec.h"
#include "lib/export.h"
#include "lib/image_file.h"
#include "lib/sys.h"

inline void *operator new(size_t, void *place) noexcept { return place; }

namespace vk {
namespace {

struct Reseal {
	OpenImage in;
	ImageWriter out;
	Arena arena;
	uint64_t *order = nullptr;		// of the index, as the chunks stand in the file
	uint8_t *stored = nullptr;
	int fd = -1;
};

// Heapsort, because nothing of libc is here: entries by their place in the file.
void sink(const struct vkckpt_f_chunk *index, uint64_t *order, uint64_t root, uint64_t count)
{
	for (uint64_t child; (child = 2 * root + 1) < count; root = child) {
		if (child + 1 < count && index[order[child + 1]].offset > index[order[child]].offset)
			child++;
		if (index[order[root]].offset >= index[order[child]].offset)
			return;
		uint64_t held = order[root];
		order[root] = order[child];
		order[child] = held;
	}
}

void sort_by_place(const struct vkckpt_f_chunk *index, uint64_t *order, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		order[i] = i;
	for (uint64_t i = count / 2; i-- > 0;)
		sink(index, order, i, count);
	for (uint64_t end = count; end-- > 1;) {
		uint64_t held = order[0];
		order[0] = order[end];
		order[end] = held;
		sink(index, order, 0, end);
	}
}

Status open(Reseal &r, const char *path, const struct vkckpt_crypto *from)
{
	Result<int> fd = open_image_file(path, O_NOFOLLOW);
	if (!fd.ok())
		return fd.status;
	r.fd = fd.value;
	VK_TRY(r.in.open(r.fd));
	if (from)
		VK_TRY(r.in.use(*from, path));
	VK_TRY(r.in.read_head());
	VK_TRY(r.in.read_index());
	const ImageShape &shape = r.in.head().shape();
	VK_TRY(r.arena.map(ImageWriter::arena_bytes(shape) + Arena::room(r.in.index_count() * sizeof *r.order) +
	    Arena::room(OpenImage::kStoredRoom), Prefault::no));
	r.out.init(r.arena, shape);
	r.order = r.arena.take_array<uint64_t>(r.in.index_count());
	r.stored = static_cast<uint8_t *>(r.arena.take(OpenImage::kStoredRoom));
	return success();
}

Status copy_head(Reseal &r)
{
	const ImageHead &head = r.in.head();
	for (uint16_t type = VKCKPT_REC_HOST; type < VKCKPT_REC_HEAD_END; type++)
		for (size_t i = 0; i < head.count(type); i++) {
			size_t bytes = 0;
			const void *payload = head.record(type, i, &bytes);
			VK_TRY(r.out.record(type, payload, bytes));
		}
	return r.out.head_end();
}

Status copy_chunks(Reseal &r, void (*progress)(void *, uint64_t), void *arg)
{
	GroupBuilder &builder = r.out.own_builder();
	sort_by_place(r.in.index(), r.order, r.in.index_count());
	for (uint64_t i = 0; i < r.in.index_count(); i++) {
		const struct vkckpt_f_chunk &c = r.in.index()[r.order[i]];
		if (has_stored_bytes(c.codec))
			VK_TRY(r.in.read_stored(c, r.stored));
		if (!builder.room()) {
			VK_TRY(r.out.write_group(builder));
			if (progress)
				progress(arg, r.out.bytes_written());
		}
		builder.add_encoded(c, r.stored, r.in.plain_stored(c));
	}
	VK_TRY(r.out.write_group(builder));
	// What a new capture would count is as it was; only the sizes in the file differ, by the tags.
	struct vkckpt_f_stats stats = r.in.stats();
	stats.stored_bytes = r.out.stats().stored_bytes;
	__builtin_memcpy(stats.class_bytes, r.out.stats().class_bytes, sizeof stats.class_bytes);
	r.out.stats() = stats;
	return r.out.finish();
}

Status reseal(Reseal &r, const char *path, const struct vkckpt_crypto *from, int fd, const struct vkckpt_crypto *to,
    void (*progress)(void *, uint64_t), void *arg)
{
	VK_TRY(open(r, path, from));
	if (to && to->make_key)
		VK_TRY(r.out.seal_with(*to));
	const struct vkckpt_f_header &h = r.in.head().header();
	VK_TRY(r.out.begin(fd, h.image_id, h.created_realtime_ns));
	VK_TRY(copy_head(r));
	return copy_chunks(r, progress, arg);
}

}  // namespace
}  // namespace vk

VK_EXPORT int vkckpt_image_reseal(const char *path, const struct vkckpt_crypto *from, int fd, const struct vkckpt_crypto *to,
    void (*progress)(void *, uint64_t bytes), void *arg, struct vkckpt_error *err)
{
	using namespace vk;
	Arena self;				// too large for a stack that nobody has looked at
	Status status = self.map(Arena::room(sizeof(Reseal)), Prefault::no);
	if (!status.ok())
		return report(status, err);
	Reseal &r = *new (self.take(sizeof(Reseal))) Reseal();
	status = reseal(r, path, from, fd, to, progress, arg);
	r.out.release();
	r.in.close();
	r.arena.release();
	if (r.fd >= 0)
		(void)sys_close(r.fd);		// read-only: there is nothing to lose
	self.release();
	return report(status, err);
}
