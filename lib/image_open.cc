// The C ABI of reading images (vkckpt/image.h): for tools; one thread at a time per image.
#include <vkckpt/image.h>

#include <errno.h>

#include "lib/codec.h"
#include "lib/export.h"
#include "lib/image_open.h"
#include "lib/sys.h"
#include "lib/text.h"

// <new> belongs to libstdc++.
inline void *operator new(size_t, void *place) noexcept { return place; }

namespace vk {
namespace {

Status open_image(vkckpt_image &image, const char *path, const struct vkckpt_crypto *crypto)
{
	Result<int> fd = open_image_file(path);
	if (!fd.ok())
		return fd.status;
	image.fd = fd.value;
	(void)text_copy(image.path, kChainPath, path);
	VK_TRY(image.file.open(image.fd));
	if (crypto) {
		VK_TRY(image.file.use(*crypto, path));
		image.crypto = *crypto;
	}
	VK_TRY(image.file.read_head());
	return image.file.read_index();
}

// The ancestors, once: where the image says that they are, or where the caller says.
Status open_chain(vkckpt_image &image, const char *parent)
{
	if (image.chain_open)
		return success();
	if (Status s = image.chain.open(image.file.head(), image.path, image.fd, parent, image.crypto.size ? &image.crypto : nullptr); !s.ok()) {
		image.chain.close();
		return s;
	}
	image.chain_open = true;
	image.file.set_chain(&image.chain);
	return success();
}

Status read_frame(vkckpt_image &image, const struct vkckpt_f_chunk &c, unsigned f, void *frame)
{
	if (image.decoded != &c) {
		image.decoded = nullptr;
		if (c.codec == VKCKPT_CODEC_PARENT)
			VK_TRY(open_chain(image, nullptr));
		VK_TRY(image.file.read_chunk(c, image.stored, image.frames));
		image.decoded = &c;
	}
	unsigned before = mask_count(static_cast<uint16_t>(c.mask & ((1u << f) - 1)));
	__builtin_memcpy(frame, image.frames + before * VKCKPT_FRAME, VKCKPT_FRAME);
	return success();
}

}  // namespace
}  // namespace vk

VK_EXPORT int vkckpt_image_open(const char *path, struct vkckpt_image **out, struct vkckpt_error *err)
{
	return vkckpt_image_open_with(path, nullptr, out, err);
}

VK_EXPORT int vkckpt_image_open_with(const char *path, const struct vkckpt_crypto *crypto, struct vkckpt_image **out,
    struct vkckpt_error *err)
{
	using namespace vk;
	*out = nullptr;
	Arena arena;
	Status status = arena.map(Arena::room(sizeof(vkckpt_image)) + Arena::room(VKCKPT_CHUNK) + Arena::room(OpenImage::kStoredRoom) +
	    Arena::room(kChainPath), Prefault::no);
	if (!status.ok())
		return report(status, err);
	vkckpt_image *image = new (arena.take(sizeof(vkckpt_image))) vkckpt_image();
	image->stored = static_cast<uint8_t *>(arena.take(OpenImage::kStoredRoom));
	image->frames = static_cast<uint8_t *>(arena.take(VKCKPT_CHUNK));
	image->path = arena.take_array<char>(kChainPath);
	image->self = arena;
	status = open_image(*image, path, crypto);
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
	image->tables.memory.release();
	image->chain.close();
	image->file.close();
	if (image->fd >= 0)
		(void)vk::sys_close(image->fd);		// read-only: there is nothing to lose
	vk::Arena self = image->self;			// the struct lies in it
	self.release();
}

VK_EXPORT const struct vkckpt_f_header *vkckpt_image_header(const struct vkckpt_image *image)
{
	return &image->file.head().header();
}
VK_EXPORT const struct vkckpt_f_host *vkckpt_image_host(const struct vkckpt_image *image)
{
	return &image->file.head().host();
}
VK_EXPORT const struct vkckpt_f_identity *vkckpt_image_identity(const struct vkckpt_image *image)
{
	return &image->file.head().identity();
}
VK_EXPORT const struct vkckpt_f_stats *vkckpt_image_stats(const struct vkckpt_image *image) { return &image->file.stats(); }
VK_EXPORT uint64_t vkckpt_image_file_bytes(const struct vkckpt_image *image) { return image->file.file_bytes(); }

VK_EXPORT const void *vkckpt_image_record(const struct vkckpt_image *image, uint32_t type, size_t i, size_t *bytes)
{
	if (type >= VKCKPT_REC_HEAD_END)
		return nullptr;
	return image->file.head().record(static_cast<uint16_t>(type), i, bytes);
}
VK_EXPORT const struct vkckpt_source *vkckpt_image_device(const struct vkckpt_image *image, size_t i)
{
	return image->file.head().source(i);
}
VK_EXPORT const struct vkckpt_f_chunk *vkckpt_image_chunks(const struct vkckpt_image *image, uint64_t *count)
{
	*count = image->file.index_count();
	return image->file.index();
}

VK_EXPORT int vkckpt_image_frame(struct vkckpt_image *image, uint32_t object, uint64_t number, void *frame,
    struct vkckpt_error *err)
{
	using namespace vk;
	const struct vkckpt_f_chunk *c = image->file.find_frame(object, number);
	if (c == nullptr || c->codec == VKCKPT_CODEC_ZERO) {
		__builtin_memset(frame, 0, VKCKPT_FRAME);
		return c != nullptr;
	}
	Status status = read_frame(*image, *c, number % VKCKPT_CHUNK_FRAMES, frame);
	int result = report(status, err);
	return result < 0 ? result : 1;
}

VK_EXPORT int vkckpt_image_chain(struct vkckpt_image *image, const char *parent, struct vkckpt_error *err)
{
	int result = vk::report(vk::open_chain(*image, parent), err);
	return result < 0 ? result : static_cast<int>(image->chain.count());
}

VK_EXPORT int vkckpt_image_ancestor(const struct vkckpt_image *image, unsigned i, struct vkckpt_ancestor *out)
{
	if (i >= image->chain.count())
		return 0;
	const vk::OpenImage &file = image->chain.ancestor(i);
	*out = { image->chain.path(i), &file.head().header(), &file.head().identity(), &file.stats(), file.file_bytes() };
	return 1;
}

VK_EXPORT int vkckpt_image_peek(const char *path, struct vkckpt_f_header *header, struct vkckpt_f_key *key, struct vkckpt_error *err)
{
	using namespace vk;
	Result<int> fd = open_image_file(path);
	if (!fd.ok())
		return report(fd.status, err);
	ImageReader reader;
	Status status = reader.open(fd.value);
	if (status.ok())
		status = reader.read_head();
	bool sealed = status.reason == VKCKPT_R_SEALED;
	if (status.ok() || sealed) {
		*header = reader.head().header();
		*key = reader.key();
	}
	reader.close();
	(void)sys_close(fd.value);		// read-only: there is nothing to lose
	if (sealed)
		return 1;
	return report(status, err);
}
