// The head records of an image, from what the armed vkernel is. QUIET.
#ifndef VKCKPT_LIB_RECORDS_H
#define VKCKPT_LIB_RECORDS_H

#include "lib/commit.h"
#include "lib/context.h"

namespace vk {

Status begin_image(struct vkckpt &, const ImageFile &);
Status write_host(struct vkckpt &);
Status write_identity(struct vkckpt &, const ImageFile &);
Status write_devices(struct vkckpt &);
Status write_regions(struct vkckpt &);
Status write_vcpus(struct vkckpt &);

}  // namespace vk
#endif
