// Facts that /proc and the kernel give about this host and this process. ARM or THAW.
#ifndef VKCKPT_LIB_HOST_H
#define VKCKPT_LIB_HOST_H

#include <stddef.h>
#include <stdint.h>

#include <vkckpt/format.h>

#include "lib/status.h"

namespace vk {

// Everything of REC_HOST but the clocks.
Status host_facts(struct vkckpt_f_host *out);
// The host's boot, 16 bytes; zeros where it cannot be read.
void host_boot_id(uint8_t out[16]);
// Bytes that may be used for new memory now; ~0: unknown.
uint64_t host_memory_available();
// The same within the memory limits of the control groups that this process is in; ~0: none, or unknown.
uint64_t group_memory_available();
// Field 22 of /proc/self/stat; 0: unknown.
uint64_t process_start_time();
// GNU build id of the running program: bytes copied, 0: none.
size_t program_build_id(uint8_t *out, size_t room);
// Value of an environment variable as the process was started with. False: not there (or over room).
bool start_environment(const char *name, char *out, size_t room);

// It runs elsewhere than where it was linked to (a PIE), and elsewhere again the next time.
bool program_is_relocated();
// The range lies in one writable segment (.data, .bss) of the running program.
bool program_owns(uint64_t address, uint64_t bytes);

}  // namespace vk
#endif
