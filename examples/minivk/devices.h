// Device nodes: their numbers, and what opening one makes.
#ifndef MINIVK_DEVICES_H
#define MINIVK_DEVICES_H

#include "files.h"

namespace minivk {

// Numbers are Linux' where it has them.
constexpr uint64_t kDevNull = make_dev(1, 3), kDevZero = make_dev(1, 5), kDevFull = make_dev(1, 7), kDevRandom = make_dev(1, 8),
    kDevUrandom = make_dev(1, 9), kDevTty = make_dev(5, 0), kDevConsole = make_dev(5, 1), kDevCkpt = make_dev(10, 240),
    kDevDisk = make_dev(254, 0);

Ref<File> make_ckpt_file();

}  // namespace minivk
#endif
