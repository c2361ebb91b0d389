// The ancestors of an incremental image, opened for random access: its parent, the parent of that, to the full image at the end. What an
// image says to be "as in the parent" is found here, through as many levels as it takes. THAW, tools, and the fill of a lazy thaw.
//
// Before anything is read: PARENT_NEEDED the image came from a pipe and nobody says where its parent is; PARENT_MISSING; PARENT_CHANGED
// another image lies in its place; CHAIN_LOOP; CHAIN_TOO_DEEP; DAMAGED or what else is wrong with an ancestor, which is named.
#ifndef VKCKPT_LIB_CHAIN_H
#define VKCKPT_LIB_CHAIN_H

#include "lib/atomic.h"
#include "lib/image_file.h"

namespace vk {

constexpr size_t kChainPath = 4096;

// The path of an open file, links resolved; `given` where that is not to be had (the file has no name any more).
void path_of_file(int fd, const char *given, char *out, size_t room);
// The same error, with the name of the file that it is about.
Status about_image(const Status &, const char *path);
// Memory of the same objects and sizes: frames of the one can stand for frames of the other.
bool same_shape(const ImageShape &, const ImageShape &);
// Both absolute and without links or dots: `to` as seen from `folder` (which ends in no slash). False: it does not fit.
bool relative_path(const char *folder, const char *to, char *out, size_t room);

class Chain {
public:
	// path: where the child was read from, null for a pipe; fd: the same, open, or -1. parent: where its parent is, null: where the child says.
	// A full image has no ancestors, and nothing is opened.
	// crypto: as for the child, or null.
	Status open(const ImageHead &child, const char *path, int fd, const char *parent, const struct vkckpt_crypto *crypto = nullptr);
	void close();				// idempotent

	unsigned count() const { return count_; }
	const OpenImage &ancestor(unsigned i) const { return ancestors_[i].image; }	// 0: the parent
	const char *path(unsigned i) const { return ancestors_[i].path; }

	// The frames of a PARENT entry of the child's, one behind the other, to `frames`; checked against its content hash. Both have room for
	// VKCKPT_CHUNK bytes. Several threads at once, each with its own memory.
	Status read(const struct vkckpt_f_chunk &c, uint8_t *stored, uint8_t *frames) const;

	// The one entry that stores exactly the frames of a PARENT entry of the child's, by its content hash, and the image that it stands
	// in; null: they come from several places, or there is no telling.
	const struct vkckpt_f_chunk *find_whole(const struct vkckpt_f_chunk &c, const OpenImage **image) const;

private:
	struct Ancestor {
		OpenImage image;
		int fd;
		char path[kChainPath];
	};
	Status open_next(const char *path, const struct vkckpt_crypto *crypto);
	Status check(const struct vkckpt_f_identity &child, const struct vkckpt_f_header &first, const ImageHead &found) const;
	Status take(const Ancestor &, const struct vkckpt_f_chunk &entry, uint16_t wanted, uint16_t all, uint8_t *stored, uint8_t *frames) const;
	uint8_t *take_scratch(unsigned *number) const;

	Arena arena_;
	Ancestor *ancestors_ = nullptr;
	unsigned count_ = 0;
	uint8_t *scratch_ = nullptr;		// kScratch chunks, for pieces of which only a part is wanted
	mutable Atomic<uint32_t> scratch_taken_;	// a bit each
};

}  // namespace vk
#endif
