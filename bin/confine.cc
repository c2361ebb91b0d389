// See confine.h. The constants of Landlock are ours: the distribution's header is older than the kernels this may run on.
#include "bin/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <iterator>

namespace tool {
namespace {

constexpr long kCreateRuleset = 444, kAddRule = 445, kRestrictSelf = 446;
constexpr uint32_t kAskVersion = 1, kPathBeneath = 1;
constexpr uint64_t kReadFile = 1 << 2, kReadDir = 1 << 3;
struct Ruleset { uint64_t files, network, scoped; };
struct [[gnu::packed]] PathRule { uint64_t allowed; int32_t fd; };

int landlock_abi()
{
	long abi = syscall(kCreateRuleset, nullptr, 0, kAskVersion);
	return abi > 0 ? static_cast<int>(abi) : 0;
}

// Everything that this version of Landlock can forbid.
int make_ruleset(int abi)
{
	Ruleset r = {};
	r.files = (uint64_t{1} << (abi >= 5 ? 16 : abi >= 3 ? 15 : abi == 2 ? 14 : 13)) - 1;
	r.network = abi >= 4 ? 3 : 0;		// bind and connect TCP
	r.scoped = abi >= 6 ? 3 : 0;		// abstract sockets of others, signals to others
	size_t size = abi >= 6 ? sizeof r : abi >= 4 ? offsetof(Ruleset, scoped) : offsetof(Ruleset, network);
	return static_cast<int>(syscall(kCreateRuleset, &r, size, 0));
}

// What is not there, or lies in no file system (a pipe by way of /proc/self/fd), needs no rule.
void allow_reading(int ruleset, const std::string &path)
{
	struct stat facts;
	int fd = open(path.c_str(), O_PATH | O_CLOEXEC);
	if (fd < 0)
		return;
	if (fstat(fd, &facts) == 0) {
		PathRule rule = { S_ISDIR(facts.st_mode) ? kReadDir : kReadFile, fd };
		(void)syscall(kAddRule, ruleset, kPathBeneath, &rule, 0);	// refused: it cannot be opened then
	}
	close(fd);
}

bool restrict_files(int abi, const std::vector<std::string> &readable)
{
	int ruleset = make_ruleset(abi);
	if (ruleset < 0)
		return false;
	for (const std::string &path : readable)
		allow_reading(ruleset, path);
	long r = syscall(kRestrictSelf, ruleset, 0);
	close(ruleset);
	return r == 0;
}

// --- system calls

constexpr uint32_t number_offset = offsetof(seccomp_data, nr);
constexpr uint32_t argument(unsigned i) { return static_cast<uint32_t>(offsetof(seccomp_data, args)) + 8 * i; }	// its low half

constexpr uint16_t kFree[] = {
	SYS_read, SYS_readv, SYS_pread64, SYS_write, SYS_writev, SYS_close, SYS_fstat, SYS_stat, SYS_lstat, SYS_newfstatat, SYS_statx,
	SYS_lseek, SYS_munmap, SYS_madvise, SYS_mlock, SYS_munlock, SYS_brk, SYS_mremap, SYS_readlink, SYS_readlinkat, SYS_access, SYS_faccessat, SYS_faccessat2,
	SYS_getcwd, SYS_getdents64, SYS_dup, SYS_poll, SYS_ppoll, SYS_futex, SYS_set_robust_list, SYS_rseq, SYS_exit, SYS_exit_group,
	SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_sigaltstack, SYS_sched_getaffinity, SYS_sched_yield, SYS_clock_gettime,
	SYS_clock_nanosleep, SYS_nanosleep, SYS_gettimeofday, SYS_getpid, SYS_gettid, SYS_getuid, SYS_geteuid, SYS_getrandom, SYS_uname,
	SYS_sysinfo,
};

// Allowed where the 32-bit argument has none of these bits (or, flags_are: all of them).
struct Masked { uint16_t number; unsigned index; uint32_t forbidden; };
constexpr Masked kMasked[] = {
	{ SYS_openat, 2, O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY) },
	{ SYS_open, 1, O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY) },
	{ SYS_mmap, 2, PROT_EXEC },
	{ SYS_mprotect, 2, PROT_EXEC },
};

struct Equal { uint16_t number; unsigned index; uint32_t value; };
constexpr Equal kEqual[] = {
	{ SYS_ioctl, 1, TCGETS }, { SYS_ioctl, 1, TIOCGWINSZ }, { SYS_fcntl, 1, F_GETFL }, { SYS_fcntl, 1, F_GETFD },
	{ SYS_fcntl, 1, F_DUPFD_CLOEXEC },
};

bool restrict_calls()
{
	std::vector<sock_filter> f;
	auto load = [&](uint32_t offset) { f.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset)); };
	auto answer = [&](uint32_t value) { f.push_back(BPF_STMT(BPF_RET | BPF_K, value)); };
	const uint32_t refuse = SECCOMP_RET_ERRNO | EPERM;
	load(offsetof(seccomp_data, arch));
	f.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0));
	answer(SECCOMP_RET_KILL_PROCESS);
	load(number_offset);
	for (uint16_t number : kFree) {
		f.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1));
		answer(SECCOMP_RET_ALLOW);
	}
	for (const Masked &m : kMasked) {
		f.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, m.number, 0, 4));
		load(argument(m.index));
		f.push_back(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, m.forbidden, 0, 1));
		answer(refuse);
		answer(SECCOMP_RET_ALLOW);
	}
	for (const Equal &e : kEqual) {
		f.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, e.number, 0, 4));
		load(argument(e.index));
		f.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, e.value, 0, 1));
		answer(SECCOMP_RET_ALLOW);
		load(number_offset);
	}
	// Threads of its own, no processes; the structure of clone3 cannot be looked into, ENOSYS leads libc back to clone.
	f.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4));
	load(argument(0));
	f.push_back(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 0, 1));
	answer(SECCOMP_RET_ALLOW);
	answer(refuse);
	f.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1));
	answer(SECCOMP_RET_ERRNO | ENOSYS);
	answer(refuse);
	sock_fprog program = { static_cast<unsigned short>(f.size()), f.data() };
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}

}  // namespace

Confinement confine(const std::vector<std::string> &readable)
{
	Confinement done;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return done;
	int abi = landlock_abi();
	if (abi > 0 && restrict_files(abi, readable))
		done.landlock_abi = abi;
	done.calls = restrict_calls();
	return done;
}

std::string confinement_text()
{
	int abi = landlock_abi();
	std::string files = abi > 0 ? "files by Landlock " + std::to_string(abi) : "files not (this host has no Landlock)";
	bool calls = prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0;
	return files + (calls ? ", system calls by seccomp" : ", system calls not (this host has no seccomp)");
}

}  // namespace tool
