// Whether this host gives this user a userfaultfd, which a lazy thaw needs; and a process that gets none.
#ifndef TEST_USERFAULT_H
#define TEST_USERFAULT_H

#include <cerrno>
#include <cstddef>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "test/skip.h"

namespace vktest {

inline bool host_gives_userfaultfd()
{
	long fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (fd < 0 && errno == EPERM)
		fd = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
	if (fd >= 0)
		close(int(fd));
	return fd >= 0;
}

// In a child before its exec: none for this process from now on.
inline void refuse_userfaultfd()
{
	sock_filter code[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 3, 0),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 3),
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[1])),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0xaa00, 0, 1),	// USERFAULTFD_IOC_NEW
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	sock_fprog program = {sizeof code / sizeof *code, code};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		_exit(99);
}

}  // namespace vktest

#define NEEDS_USERFAULTFD() \
	do { \
		if (!vktest::host_gives_userfaultfd()) \
			TEST_SKIP("this host gives this user no userfaultfd"); \
	} while (0)
#endif
