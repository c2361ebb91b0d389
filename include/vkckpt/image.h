/*
 * vkckpt/image.h: reads an image: for tools, and the reader that a thaw uses. Nothing here needs a vkernel.
 * Manual: vkckpt_image_open(3); the format: vkckpt(5).
 */
#ifndef VKCKPT_IMAGE_H
#define VKCKPT_IMAGE_H

#include <vkckpt/vkckpt.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vkckpt_image;

/*
 * Opens a whole image in a regular file: header, trailer, index and all head records are read and checked, RAM is not.
 * -errno with *err filled; *out NULL. Memory: maps what the file justifies. Close with vkckpt_image_close.
 */
int vkckpt_image_open(const char *path, struct vkckpt_image **out, struct vkckpt_error *err);
/* The same for an image that may be sealed or must be signed. crypto: vkckpt/crypto.h; copied. NULL: as vkckpt_image_open. */
int vkckpt_image_open_with(const char *path, const struct vkckpt_crypto *crypto, struct vkckpt_image **out,
    struct vkckpt_error *err);
/*
 * What a sealed image in a regular file shows to everyone: 1, its header and its record KEY filled in; 0: it is not sealed, only
 * the header is filled in; -errno with *err.
 */
int vkckpt_image_peek(const char *path, struct vkckpt_f_header *header, struct vkckpt_f_key *key, struct vkckpt_error *err);
void vkckpt_image_close(struct vkckpt_image *);

const struct vkckpt_f_header *vkckpt_image_header(const struct vkckpt_image *);
const struct vkckpt_f_host *vkckpt_image_host(const struct vkckpt_image *);
const struct vkckpt_f_identity *vkckpt_image_identity(const struct vkckpt_image *);
const struct vkckpt_f_stats *vkckpt_image_stats(const struct vkckpt_image *);
uint64_t vkckpt_image_file_bytes(const struct vkckpt_image *);
/* Record i of a type (REC_DEVICE, REC_VMSPACE, REC_REGION, REC_VCPU): its payload, or NULL past the end. */
const void *vkckpt_image_record(const struct vkckpt_image *, uint32_t type, size_t i, size_t *bytes);
/* Configuration of device record i, overrides none. Valid until close. NULL past the end. */
const struct vkckpt_source *vkckpt_image_device(const struct vkckpt_image *, size_t i);
/* Key k of a source, for listing: 1 filled, 0 no more. */
int vkckpt_source_entry(const struct vkckpt_source *, size_t k, const char **key, uint32_t *type, const void **value,
    size_t *bytes);
/* The index, sorted by (object, chunk, codec). */
const struct vkckpt_f_chunk *vkckpt_image_chunks(const struct vkckpt_image *, uint64_t *count);
/*
 * Opens the images that an incremental one is built on, its parent first. parent: where that is; NULL: where the image says.
 * The number of them, 0 for a full image; or -errno, for which err->subject names the file: ENOENT PARENT_MISSING, ESTALE
 * PARENT_CHANGED, ELOOP CHAIN_LOOP, ENOBUFS CHAIN_TOO_DEEP, or what vkckpt_image_open says of the ancestor. Idempotent.
 * vkckpt_image_frame calls it when it has to. Since 0.2.
 */
int vkckpt_image_chain(struct vkckpt_image *, const char *parent, struct vkckpt_error *err);
struct vkckpt_ancestor {
	const char *path;
	const struct vkckpt_f_header *header;
	const struct vkckpt_f_identity *identity;
	const struct vkckpt_f_stats *stats;
	uint64_t file_bytes;
};
/* After vkckpt_image_chain: ancestor i, 0 the parent. 1 filled, valid until close; 0 no more. Since 0.2. */
int vkckpt_image_ancestor(const struct vkckpt_image *, unsigned i, struct vkckpt_ancestor *out);
/*
 * Reads one frame of an object into `frame` (4096 bytes), checksum checked: 1, 0 the image has no such frame (it reads as
 * zero; the buffer is zeroed), -errno damaged, or the chain cannot be opened.
 */
int vkckpt_image_frame(struct vkckpt_image *, uint32_t object, uint64_t number, void *frame, struct vkckpt_error *err);

/* Frames of a segment, one after the other, at consecutive addresses of a guest's address space; or page tables of it (address 0). */
struct vkckpt_image_run {
	uint64_t address, frame, frame_count;
	uint32_t segment;
	uint32_t table;			/* 1: these hold tables */
};
/*
 * Walks the page tables of address space i (record VMSPACE i) as they are in the image: run is called for everything that it maps and for
 * every table on the way. 0; or -errno: ENOENT no such record; ENOTSUP page tables of an unknown format; ENOMEM; what
 * vkckpt_image_frame says of a table that cannot be read; ENOBUFS LIMIT more tables than four for each frame that the image has and sixteen for
 * each mapping, over all calls for this open image. A table that makes no sense, or that the image does not have, is passed over. Since 0.2.
 */
int vkckpt_image_walk(struct vkckpt_image *, size_t i, void (*run)(void *arg, const struct vkckpt_image_run *), void *arg,
    struct vkckpt_error *err);

/*
 * Reads a whole image from the file or pipe, checks every byte of it, decodes every chunk, on all CPUs of the process; of an
 * incremental one also every byte of all images that it is built on (from a pipe: -ESPIPE, PARENT_NEEDED). progress, if not
 * NULL, is called with bytes read, in the calling thread. 0 or -errno with *err.
 */
int vkckpt_image_verify(const char *path, int fd, void (*progress)(void *, uint64_t bytes), void *arg,
    struct vkckpt_error *err);
/*
 * The same for an image that may be sealed or must be signed. A sealed image without a key (crypto NULL or without open_key): 1, every
 * byte is as it was written, by its checksums; what an attacker has changed cannot be told so.
 */
int vkckpt_image_verify_with(const char *path, int fd, const struct vkckpt_crypto *crypto,
    void (*progress)(void *, uint64_t bytes), void *arg, struct vkckpt_error *err);

/*
 * Writes the same image to fd (a file or pipe that stands at its beginning) sealed another way: opened with `from`, sealed with `to`
 * (NULL: in clear). Ids, order and contents stay, optional records that are not known here are left out. progress as above, with bytes
 * written. Not synced. 0 or -errno with *err; what was written then is to be thrown away.
 */
int vkckpt_image_reseal(const char *path, const struct vkckpt_crypto *from, int fd, const struct vkckpt_crypto *to,
    void (*progress)(void *, uint64_t bytes), void *arg, struct vkckpt_error *err);

/*
 * Writes the image to fd (a file or pipe that stands at its beginning) merged with all that it is built on: a full image of the same
 * content, id and time that can take its place, also for images that are built on it. parent: as for vkckpt_image_chain; from, to and
 * progress: as for vkckpt_image_reseal, but a sealed image is never written in clear. Not synced. 0 or -errno with *err: those of
 * vkckpt_image_open_with and vkckpt_image_chain, EINVAL: sealed, and `to' is not. Since 0.2.
 */
int vkckpt_image_flatten(const char *path, const char *parent, const struct vkckpt_crypto *from, int fd,
    const struct vkckpt_crypto *to, void (*progress)(void *, uint64_t bytes), void *arg, struct vkckpt_error *err);

#ifdef __cplusplus
}
#endif
#endif
