// The image as a file: NAME.part while it is written, NAME once it is whole; or a descriptor that it is streamed to.
#ifndef VKCKPT_LIB_COMMIT_H
#define VKCKPT_LIB_COMMIT_H

#include "lib/context.h"
#include "lib/replace.h"

namespace vk {

struct ImageFile {
	int fd = -1;
	bool stream = false;		// config.image_fd: nothing to rename, nothing to remove
	bool close_stream = false;	// fd is our own way to it
	struct vkckpt_uuid image_id = {};
	char part[VKCKPT_MAX_PATH + 16] = {};
	const char *final = "";		// "": a stream
	Replacement::Existing existing = Replacement::Existing::replace;
	Replacement replacement;
};

// QUIET, all of them.
Status image_file_open(struct vkckpt &, ImageFile &);
Status image_file_sync(ImageFile &);
Status image_file_replace(ImageFile &);
void image_file_revert(ImageFile &);
void image_file_finish(ImageFile &);

}  // namespace vk
#endif
