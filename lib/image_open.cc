// The C ABI of reading images (vkckpt/image.h): for tools; one thread at a time per image.
#include <vkckpt/image.h>

#include <errno.h>

#include "lib/codec.h"
#include "lib/image_file.h"
#include "lib/sys.h"

#define VK_EXPORT extern "C" __attribute__((visibility("default")))

struct vkckpt_image {
	int fd;
	vk::Arena self;				// this struct and the two buffers
	vk::OpenImage file;
	const struct vkckpt_f_chunk *decoded;	// whose frames stand in `frames`; null: none
	uint8_t *stored, *frames;
};

namespace vk {
namespace {

Status open_image(vkckpt_image &image, const char *path, const struct vkckpt_crypto *crypto)
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
	VK_TRY(image.file.open(image.fd));
	if (crypto)
		VK_TRY(image.file.use(*crypto, path));
	VK_TRY(image.file.read_head());
	return image.file.read_index();
}

Status read_frame(vkckpt_image &image, const struct vkckpt_f_chunk &c, unsigned f, void *frame)
{
	if (image.decoded != &c) {
		image.decoded = nullptr;
		VK_TRY(image.file.read_chunk(c, image.stored, image.frames));
		image.decoded = &c;
	}
	unsigned before = mask_count(static_cast<uint16_t>(c.mask & ((1u << f) - 1)));
	__builtin_memcpy(frame, image.frames + before * VKCKPT_FRAME, VKCKPT_FRAME);
	return success();
}

// *sums_only: sealed, and there is no key: only the checksums were checked.
Status verify(const char *path, int fd, const struct vkckpt_crypto *crypto, void (*progress)(void *, uint64_t), void *arg,
    bool *sums_only)
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
	if (status.ok() && crypto)
		status = reader.use(*crypto, path);
	if (status.ok())
		status = reader.read_head();
	*sums_only = status.reason == VKCKPT_R_SEALED && (!crypto || !crypto->open_key);
	if (*sums_only)
		status = reader.check_sums();
	else if (status.ok())
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
	return vkckpt_image_open_with(path, nullptr, out, err);
}

VK_EXPORT int vkckpt_image_open_with(const char *path, const struct vkckpt_crypto *crypto, struct vkckpt_image **out,
    struct vkckpt_error *err)
{
	using namespace vk;
	*out = nullptr;
	Arena arena;
	Status status = arena.map(Arena::room(sizeof(vkckpt_image)) + Arena::room(VKCKPT_CHUNK) + Arena::room(OpenImage::kStoredRoom),
	    Prefault::no);
	if (!status.ok())
		return report(status, err);
	vkckpt_image *image = arena.take_array<vkckpt_image>(1);
	*image = vkckpt_image();
	image->fd = -1;
	image->stored = static_cast<uint8_t *>(arena.take(OpenImage::kStoredRoom));
	image->frames = static_cast<uint8_t *>(arena.take(VKCKPT_CHUNK));
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

VK_EXPORT int vkckpt_image_verify(const char *path, int fd, void (*progress)(void *, uint64_t bytes), void *arg,
    struct vkckpt_error *err)
{
	return vkckpt_image_verify_with(path, fd, nullptr, progress, arg, err);
}

VK_EXPORT int vkckpt_image_verify_with(const char *path, int fd, const struct vkckpt_crypto *crypto,
    void (*progress)(void *, uint64_t bytes), void *arg, struct vkckpt_error *err)
{
	bool sums_only = false;
	int result = vk::report(vk::verify(path, fd, crypto, progress, arg, &sums_only), err);
	return result < 0 ? result : sums_only;
}

VK_EXPORT int vkckpt_image_peek(const char *path, struct vkckpt_f_header *header, struct vkckpt_f_key *key, struct vkckpt_error *err)
{
	using namespace vk;
	long fd = sys_open(path, O_RDONLY | O_NOCTTY);
	if (fd < 0)
		return report(fail_host(static_cast<int>(-fd), "open", path), err);
	ImageReader reader;
	Status status = reader.open(static_cast<int>(fd));
	if (status.ok())
		status = reader.read_head();
	bool sealed = status.reason == VKCKPT_R_SEALED;
	if (status.ok() || sealed) {
		*header = reader.head().header();
		*key = reader.key();
	}
	reader.close();
	(void)sys_close(static_cast<int>(fd));		// read-only: there is nothing to lose
	if (sealed)
		return 1;
	return report(status, err);
}
