// /proc: made when it is looked at. Its inodes hold a process id or nothing, never a process.
#ifndef MINIVK_PROCFS_H
#define MINIVK_PROCFS_H

#include "files.h"
#include "process.h"

namespace minivk {

// Appends like printf.
void add_text(KString &, const char *format, ...) __attribute__((format(printf, 2, 3)));

// The text of one file; pid is 0 in files that belong to no process. Files of a process are made only while it is there.
using ProcText = void (*)(KString &out, int64_t pid);
struct ProcFile { const char *name; ProcText text; };
struct ProcFiles { const ProcFile *file; size_t count; };
ProcFiles proc_system_files();		// procfs_system.cc: directly in /proc
ProcFiles proc_kernel_files();		// procfs_system.cc: in /proc/sys/kernel
ProcFiles proc_process_files();		// procfs_process.cc: in /proc/PID

// CPU time of all guests since boot.
void total_times(uint64_t *user_ns, uint64_t *system_ns);

}  // namespace minivk
#endif
