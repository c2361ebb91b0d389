// The root file system out of a cpio archive of the "newc" kind.
#ifndef MINIVK_CPIO_H
#define MINIVK_CPIO_H

#include "ramfs.h"

namespace minivk {

// Unpacks into root. False and a message that names the entry, or what is wrong with the whole.
bool cpio_load(RamDirectory &root, const void *archive, size_t bytes, KString *message);

}  // namespace minivk
#endif
