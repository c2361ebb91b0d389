// Names of Linux' x86-64 system calls, for the log.
#ifndef MINIVK_CALL_NAMES_H
#define MINIVK_CALL_NAMES_H

#include <cstdint>

namespace minivk {

const char *call_name(uint32_t number);		// "?" when it has none

}  // namespace minivk
#endif
