// What lies beside an image and hangs on it: images that are built on it, its signature, the copies of disks that were frozen with it.
#ifndef VKCKPT_BIN_NEIGHBOURS_H
#define VKCKPT_BIN_NEIGHBOURS_H

#include <string>
#include <vector>

#include "bin/image_file.h"

namespace tool {

// A regular file that begins with these 8 bytes. Nothing else of it is read.
bool begins_with(const std::string &path, const char *magic);
// IMAGE.sig, if that is a signature; else "".
std::string signature_beside(const std::string &image);
// Of an image that took the place of another one: the signature is still the other's.
void tell_stale_signature(const std::string &image);
// The other images in the folder of this one, links to itself left out. Before the process confines itself.
std::vector<std::string> images_beside(const std::string &image);
// One of these that is built on the image; "": none, as far as they can be opened. Of full ones only the header is read, of incremental ones
// the head.
std::string child_of(const ImageFile &image, const std::vector<std::string> &others, const vkckpt_crypto *crypto);
// The copies of disks that were frozen with the image, lie in its folder under the names that the library gives them, and wait for it, so that
// no vkernel has run on them.
std::vector<std::string> unused_copies(const ImageFile &image, const std::string &path);

}  // namespace tool
#endif
