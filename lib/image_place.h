// The image must not take the place of a disk that its vkernel uses, nor of what the disk's fence needs.
#ifndef VKCKPT_LIB_IMAGE_PLACE_H
#define VKCKPT_LIB_IMAGE_PLACE_H

#include "lib/context.h"

namespace vk {

// ARM or QUIET. BAD_ARGUMENT if an image of this path, or what is made beside it on the way, would lie where a fenced disk of the
// vkernel or its sidecar does. "": a stream, which lies nowhere.
Status check_image_place(const struct vkckpt &, const char *path, const char *where);

}  // namespace vk
#endif
