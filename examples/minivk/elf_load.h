// Programs: ELF files into an address space, and the stack a Linux program starts on.
#ifndef MINIVK_ELF_LOAD_H
#define MINIVK_ELF_LOAD_H

#include "process.h"

namespace minivk {

struct LoadedProgram {
	uint64_t entry = 0;		// of the interpreter, if there is one
	uint64_t program_entry = 0, header_address = 0, header_count = 0, interpreter_base = 0;
	uint64_t end = 0;		// where brk begins
};
// Static and static-pie programs; those with an interpreter if that is there. 0 or -errno.
long elf_load(Thread &, AddressSpace &, Inode &, LoadedProgram *);
bool read_inode(Inode &, uint64_t offset, void *to, size_t bytes);	// false past the end

struct StartStack { uint64_t pointer, arg_start, arg_end, env_start, env_end; };
long build_stack(AddressSpace &, const Process &, const LoadedProgram &, const KVector<KString> &args,
    const KVector<KString> &env, const KString &path, StartStack *);

// The whole of execve. 0: the thread's registers are those of the new program. -errno: nothing has changed.
long exec_program(Thread &, const KString &path, KVector<KString> args, KVector<KString> env);

}  // namespace minivk
#endif
