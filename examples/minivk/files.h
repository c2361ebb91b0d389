// What the parts of the files half share with each other: the globals in RAM, and small helpers.
#ifndef MINIVK_FILES_H
#define MINIVK_FILES_H

#include <cerrno>
#include <fcntl.h>

#include "kernel.h"

namespace minivk {

class Disk;

struct FsGlobals {
	uint64_t next_inode = 1;
	uint64_t used_file_frames = 0;	// of the RAM file system, for statfs
	Ref<Inode> proc;		// root of /proc
	Ref<Tty> console;
	Ref<Disk> disk;			// null without one
};
inline FsGlobals &files() { return *kernel().fs; }

constexpr uint32_t kTypeMask = 0170000;
uint32_t mode_type_bits(InodeKind);			// S_IFREG ...
bool kind_of_mode(uint32_t mode, InodeKind *out);	// false for types that have no inode here
constexpr size_t kNameMax = 255, kPathMax = 4096;

inline bool file_reads(const File &f) { return (f.flags & O_ACCMODE) != O_WRONLY; }
inline bool file_writes(const File &f) { return (f.flags & O_ACCMODE) != O_RDONLY; }

// For File::read and File::write that cannot move anything now: -EAGAIN for a non-blocking file, kRestartSys when a
// signal waits, else registers on the queue and returns kBlocked.
long block_on(Thread &, const File &, WaitQueue &);

// Moves min(n, left) bytes of a kernel object through a buffer; for File::read of text made on the fly (procfs).
long read_from_text(const KString &, IoBuffer &, uint64_t *offset);

// Files that have an object of their own: made by device nodes and inodes.
Ref<File> make_directory_file(Ref<Inode>);
long open_device(Thread &, Inode &, uint32_t flags, Ref<File> *out);	// by inode.rdev; -ENXIO for unknown numbers
long open_fifo(Thread &, Ref<class Pipe> &, Inode &, uint32_t flags, Ref<File> *out);
bool fill_dev(Inode &dev);						// makes the nodes of /dev
Ref<Inode> make_proc_root(Ref<Inode> parent);

constexpr uint64_t make_dev(uint32_t major, uint32_t minor)
{
	return (uint64_t(major & 0xfff) << 8) | (minor & 0xff) | (uint64_t(minor & 0xfff00) << 12);
}

}  // namespace minivk
#endif
