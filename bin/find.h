// The one vkernel that a command is about.
#ifndef VKCKPT_BIN_FIND_H
#define VKCKPT_BIN_FIND_H

#include "bin/rundir.h"

namespace tool {

// By name or pid; false after saying why there is none. `consequence` ends the sentence: "nothing was sent; ", or "".
bool find_one(const char *word, const char *consequence, Entry *out);

}  // namespace tool
#endif
