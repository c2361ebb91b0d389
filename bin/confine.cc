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

#include <algorithm>
#include <iterator>

namespace tool {
namespace {

constexpr long kCreateRuleset = 444, kAddRule = 445, kRestrictSelf = 446;
constexpr uint32_t kAskVersion = 1, kPathBeneath = 1;
constexpr uint64_t kWriteFile = 1 << 1, kReadFile = 1 << 2, kReadDir = 1 << 3, kRemoveFile = 1 << 5, kMakeFile = 1 << 8;
constexpr uint64_t kNames = kReadDir | kRemoveFile | kMakeFile, kFiles = kNames | kReadFile | kWriteFile;
constexpr uint64_t kForeignSockets = 1, kForeignSignals = 2;
struct Ruleset { uint64_t files, network, scoped; };
struct [[gnu::packed]] PathRule { uint64_t allowed; int32_t fd; };

int landlock_abi()
{
	long abi = syscall(kCreateRuleset, nullptr, 0, kAskVersion);
	return abi > 0 ? static_cast<int>(abi) : 0;
}

// Everything that this version of Landlock can forbid. A command that writes asks whether the holder of a disk lives (kill with signal 0, and no
// other signal: kEqual below), so it cannot be kept from that here.
int make_ruleset(int abi, bool writes)
{
	Ruleset r = {};
	r.files = (uint64_t{1} << (abi >= 5 ? 16 : abi >= 3 ? 15 : abi == 2 ? 14 : 13)) - 1;
	r.network = abi >= 4 ? 3 : 0;		// bind and connect TCP
	r.scoped = abi < 6 ? 0 : writes ? kForeignSockets : kForeignSockets | kForeignSignals;
	size_t size = abi >= 6 ? sizeof r : abi >= 4 ? offsetof(Ruleset, scoped) : offsetof(Ruleset, network);
	return static_cast<int>(syscall(kCreateRuleset, &r, size, 0));
}

// False: no such rule.
bool allow(int ruleset, const std::string &path, uint64_t of_file, uint64_t of_folder)
{
	struct stat facts;
	int fd = openat(AT_FDCWD, path.c_str(), O_PATH | O_CLOEXEC);
	if (fd < 0)
		return false;
	bool allowed = fstat(fd, &facts) == 0;
	if (allowed) {
		PathRule rule = { S_ISDIR(facts.st_mode) ? of_folder : of_file, fd };
		allowed = syscall(kAddRule, ruleset, kPathBeneath, &rule, 0) == 0;
	}
	close(fd);
	return allowed;
}

// What is to be read and is not there, or lies in no file system (a pipe by way of /proc/self/fd), needs no rule. A folder without one would keep the
// command from its work when that is nearly done, and from removing what it made: then files are not confined.
bool add_rules(int ruleset, const std::vector<std::string> &readable, const std::vector<Folder> &folders)
{
	for (const std::string &path : readable)
		(void)allow(ruleset, path, kReadFile, kReadDir);
	for (const Folder &folder : folders)
		if (!allow(ruleset, folder.path, 0, folder.writing == Writing::kFiles ? kFiles : kNames))
			return false;
	return true;
}

bool restrict_files(int abi, const std::vector<std::string> &readable, const std::vector<Folder> &folders)
{
	int ruleset = make_ruleset(abi, !folders.empty());
	if (ruleset < 0)
		return false;
	bool done = add_rules(ruleset, readable, folders) && syscall(kRestrictSelf, ruleset, 0) == 0;
	close(ruleset);
	return done;
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

// What writing takes, besides.
constexpr uint16_t kFreeToWrite[] = { SYS_pwrite64, SYS_fsync, SYS_rename, SYS_renameat2, SYS_unlink };

// Allowed where the 32-bit argument has none of these bits.
struct Masked { uint16_t number; unsigned index; uint32_t forbidden; };
constexpr uint32_t kWriting = O_WRONLY | O_RDWR | O_CREAT, kNever = O_TRUNC | (O_TMPFILE & ~O_DIRECTORY);
constexpr Masked kOpening[] = { { SYS_openat, 2, kWriting | kNever }, { SYS_open, 1, kWriting | kNever } };
constexpr Masked kOpeningFiles[] = { { SYS_openat, 2, kNever }, { SYS_open, 1, kNever } };
constexpr Masked kMasked[] = {
	{ SYS_mmap, 2, PROT_EXEC },
	{ SYS_mprotect, 2, PROT_EXEC },
};

struct Equal { uint16_t number; unsigned index; uint32_t value; };
constexpr Equal kEqual[] = {
	{ SYS_ioctl, 1, TCGETS }, { SYS_ioctl, 1, TIOCGWINSZ }, { SYS_fcntl, 1, F_GETFL }, { SYS_fcntl, 1, F_GETFD },
	{ SYS_fcntl, 1, F_DUPFD_CLOEXEC }, { SYS_fcntl, 1, F_OFD_GETLK },	// whether a disk is in use
};
constexpr Equal kEqualForFiles[] = { { SYS_fcntl, 1, F_OFD_SETLK }, { SYS_kill, 1, 0 } };

bool restrict_calls(const std::vector<Folder> &folders)
{
	bool files = std::any_of(folders.begin(), folders.end(), [](const Folder &folder) { return folder.writing == Writing::kFiles; });
	uint32_t self = static_cast<uint32_t>(getpid());
	std::vector<uint16_t> free(std::begin(kFree), std::end(kFree));
	std::vector<Masked> masked(std::begin(kMasked), std::end(kMasked));
	std::vector<Equal> equal(std::begin(kEqual), std::end(kEqual));
	equal.insert(equal.end(), { { SYS_kill, 0, self }, { SYS_tgkill, 0, self } });	// abort
	masked.insert(masked.end(), files ? std::begin(kOpeningFiles) : std::begin(kOpening), files ? std::end(kOpeningFiles) : std::end(kOpening));
	if (!folders.empty())
		free.insert(free.end(), std::begin(kFreeToWrite), std::end(kFreeToWrite));
	if (files)
		equal.insert(equal.end(), std::begin(kEqualForFiles), std::end(kEqualForFiles));

	std::vector<sock_filter> f;
	auto load = [&](uint32_t offset) { f.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset)); };
	auto answer = [&](uint32_t value) { f.push_back(BPF_STMT(BPF_RET | BPF_K, value)); };
	const uint32_t refuse = SECCOMP_RET_ERRNO | EPERM;
	load(offsetof(seccomp_data, arch));
	f.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0));
	answer(SECCOMP_RET_KILL_PROCESS);
	load(number_offset);
	for (uint16_t number : free) {
		f.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1));
		answer(SECCOMP_RET_ALLOW);
	}
	for (const Masked &m : masked) {
		f.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, m.number, 0, 4));
		load(argument(m.index));
		f.push_back(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, m.forbidden, 0, 1));
		answer(refuse);
		answer(SECCOMP_RET_ALLOW);
	}
	for (const Equal &e : equal) {
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

Confinement confine(const std::vector<std::string> &readable, const std::vector<Folder> &folders)
{
	Confinement done;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return done;
	int abi = landlock_abi();
	if (abi > 0 && restrict_files(abi, readable, folders))
		done.landlock_abi = abi;
	done.landlock_failed = abi > 0 && done.landlock_abi == 0;
	done.calls = restrict_calls(folders);
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
