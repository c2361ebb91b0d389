// Handlers of the files half, for the table in file_table.cc, and what they share.
#ifndef MINIVK_FILE_CALLS_H
#define MINIVK_FILE_CALLS_H

#include "files.h"
#include "process.h"
#include "syscall.h"
#include "vm.h"

namespace minivk {

inline long copy_path(Thread &t, uint64_t va, KString *out) { return copy_in_string(thread_space(t), va, out, kPathMax); }
inline Ref<File> file_of(Thread &t, uint64_t fd) { return thread_files(t).get(int(fd)); }
void take_ownership(Thread &, Inode &);		// a new inode belongs to its maker
// The inode a call of the "at" family names: a path in the guest's memory, or with AT_EMPTY_PATH the descriptor itself.
long inode_at(Thread &, int dirfd, uint64_t path, uint32_t flags, Ref<Inode> *out);

// io_calls.cc
long sys_read(Thread &, const uint64_t *);
long sys_write(Thread &, const uint64_t *);
long sys_readv(Thread &, const uint64_t *);
long sys_writev(Thread &, const uint64_t *);
long sys_pread64(Thread &, const uint64_t *);
long sys_pwrite64(Thread &, const uint64_t *);
long sys_preadv(Thread &, const uint64_t *);
long sys_pwritev(Thread &, const uint64_t *);
long sys_lseek(Thread &, const uint64_t *);
long sys_sendfile(Thread &, const uint64_t *);
long sys_copy_file_range(Thread &, const uint64_t *);
long sys_getdents64(Thread &, const uint64_t *);
long sys_fsync(Thread &, const uint64_t *);
long sys_fdatasync(Thread &, const uint64_t *);
long sys_sync(Thread &, const uint64_t *);
long sys_ftruncate(Thread &, const uint64_t *);
long sys_fallocate(Thread &, const uint64_t *);
long sys_fadvise64(Thread &, const uint64_t *);

// open_calls.cc
long sys_open(Thread &, const uint64_t *);
long sys_openat(Thread &, const uint64_t *);
long sys_creat(Thread &, const uint64_t *);
long sys_close(Thread &, const uint64_t *);
long sys_close_range(Thread &, const uint64_t *);
long sys_dup(Thread &, const uint64_t *);
long sys_dup2(Thread &, const uint64_t *);
long sys_dup3(Thread &, const uint64_t *);
long sys_fcntl(Thread &, const uint64_t *);
long sys_flock(Thread &, const uint64_t *);
long sys_ioctl(Thread &, const uint64_t *);
long sys_pipe(Thread &, const uint64_t *);
long sys_pipe2(Thread &, const uint64_t *);
long sys_socket(Thread &, const uint64_t *);
long sys_socketpair(Thread &, const uint64_t *);
long sys_memfd_create(Thread &, const uint64_t *);
long sys_eventfd(Thread &, const uint64_t *);
long sys_eventfd2(Thread &, const uint64_t *);

// name_calls.cc
long sys_chdir(Thread &, const uint64_t *);
long sys_fchdir(Thread &, const uint64_t *);
long sys_chroot(Thread &, const uint64_t *);
long sys_getcwd(Thread &, const uint64_t *);
long sys_mkdir(Thread &, const uint64_t *);
long sys_mkdirat(Thread &, const uint64_t *);
long sys_mknod(Thread &, const uint64_t *);
long sys_mknodat(Thread &, const uint64_t *);
long sys_rmdir(Thread &, const uint64_t *);
long sys_unlink(Thread &, const uint64_t *);
long sys_unlinkat(Thread &, const uint64_t *);
long sys_rename(Thread &, const uint64_t *);
long sys_renameat(Thread &, const uint64_t *);
long sys_renameat2(Thread &, const uint64_t *);
long sys_link(Thread &, const uint64_t *);
long sys_linkat(Thread &, const uint64_t *);
long sys_symlink(Thread &, const uint64_t *);
long sys_symlinkat(Thread &, const uint64_t *);
long sys_readlink(Thread &, const uint64_t *);
long sys_readlinkat(Thread &, const uint64_t *);
long sys_mount(Thread &, const uint64_t *);
long sys_umount2(Thread &, const uint64_t *);

// stat_calls.cc
long sys_stat(Thread &, const uint64_t *);
long sys_lstat(Thread &, const uint64_t *);
long sys_fstat(Thread &, const uint64_t *);
long sys_newfstatat(Thread &, const uint64_t *);
long sys_statx(Thread &, const uint64_t *);
long sys_statfs(Thread &, const uint64_t *);
long sys_fstatfs(Thread &, const uint64_t *);
long sys_access(Thread &, const uint64_t *);
long sys_faccessat(Thread &, const uint64_t *);
long sys_faccessat2(Thread &, const uint64_t *);

// attribute_calls.cc
long sys_chmod(Thread &, const uint64_t *);
long sys_fchmod(Thread &, const uint64_t *);
long sys_fchmodat(Thread &, const uint64_t *);
long sys_chown(Thread &, const uint64_t *);
long sys_lchown(Thread &, const uint64_t *);
long sys_fchown(Thread &, const uint64_t *);
long sys_fchownat(Thread &, const uint64_t *);
long sys_utime(Thread &, const uint64_t *);
long sys_utimes(Thread &, const uint64_t *);
long sys_futimesat(Thread &, const uint64_t *);
long sys_utimensat(Thread &, const uint64_t *);
long sys_truncate(Thread &, const uint64_t *);
long sys_umask(Thread &, const uint64_t *);

// poll.cc
long sys_poll(Thread &, const uint64_t *);
long sys_ppoll(Thread &, const uint64_t *);
long sys_select(Thread &, const uint64_t *);
long sys_pselect6(Thread &, const uint64_t *);

}  // namespace minivk
#endif
