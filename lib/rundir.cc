// The run directory. Its entry is mapped shared: the words of status are plain stores, with done_count (release order) last.
#include "lib/rundir.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include "lib/host.h"
#include "lib/sys.h"
#include "lib/text.h"

namespace vk {
namespace {

// Made if need be; a directory of ours, not a link, closed to others.
Status check_dir(const char *path)
{
	long made = sys_mkdir(path, 0700);
	if (made < 0 && made != -EEXIST)
		return fail_host((int)-made, "arm: the run directory cannot be made (VKCKPT_RUNDIR names another)", path);
	struct stat st;
	if (long r = sys_lstat(path, &st); r < 0)
		return fail_host((int)-r, "arm: run directory", path);
	if (!S_ISDIR(st.st_mode))
		return fail(EPERM, VKCKPT_R_PERMISSION, "arm: the run directory is not a folder (remove it, or set VKCKPT_RUNDIR to another)", path);
	if ((long)st.st_uid != sys_getuid())
		return fail(EPERM, VKCKPT_R_PERMISSION, "arm: the run directory is another user's (set VKCKPT_RUNDIR to one of yours)", path);
	if ((st.st_mode & 077) != 0)
		return fail(EPERM, VKCKPT_R_PERMISSION, "arm: others may enter the run directory (chmod 700 it, or set VKCKPT_RUNDIR to another)", path);
	return success();
}

// An entry of a vkernel of this name that is dead (nobody holds its lock).
// A process that is alive may be between creating its entry and locking it; only one of our own number is surely older than we are.
bool may_be_starting(const char *entry)
{
	const char *dot = entry;
	for (const char *p = entry; *p; p++)
		if (*p == '.')
			dot = p;
	uint64_t pid;
	return text_to_u64(dot + 1, &pid) && pid != (uint64_t)sys_getpid() && sys_kill((int)pid, 0) != -ESRCH;
}

void remove_if_dead(int dir, const char *name)
{
	if (may_be_starting(name))
		return;
	long fd = sys_openat(dir, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return;
	struct flock lock;
	memset(&lock, 0, sizeof lock);
	lock.l_type = F_WRLCK;
	if (sys_fcntl((int)fd, F_OFD_SETLK, (long)&lock) == 0)
		sys_unlinkat(dir, name, 0);
	sys_close((int)fd);
}

bool is_entry_of(const char *file, const char *name)
{
	size_t n = text_length(name);
	if (!text_starts(file, name) || file[n] != '.' || !file[n + 1])
		return false;
	for (const char *p = file + n + 1; *p; p++)
		if (*p < '0' || *p > '9')
			return false;
	return true;
}

// Calls f(dir, file name) for every file of the directory.
template <class F> void each_file(const char *dir_path, F f)
{
	long dir = sys_open(dir_path, O_RDONLY | O_DIRECTORY);
	if (dir < 0)
		return;
	struct Call {
		F &f;
		int dir;
		static void name(void *arg, const char *file) { static_cast<Call *>(arg)->f(static_cast<Call *>(arg)->dir, file); }
	} call = { f, (int)dir };
	(void)list_folder((int)dir, Call::name, &call);
	sys_close((int)dir);
}

void remove_dead_entries(const char *dir_path, const char *name)
{
	each_file(dir_path, [&](int dir, const char *file) {
		if (is_entry_of(file, name))
			remove_if_dead(dir, file);
	});
}

// The entry of a vkernel that is alive, has this image path, and is not at its end.
bool wants_image(int dir, const char *file, const char *image_path)
{
	long fd = sys_openat(dir, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return false;
	struct flock lock;
	memset(&lock, 0, sizeof lock);
	lock.l_type = F_WRLCK;
	char path[sizeof vkckpt_run_entry::image_path];
	uint32_t phase = 0;
	bool wants = sys_fcntl((int)fd, F_OFD_GETLK, (long)&lock) == 0 && lock.l_type != F_UNLCK &&
	    pread_all((int)fd, path, sizeof path, offsetof(struct vkckpt_run_entry, image_path)) == (long)sizeof path &&
	    pread_all((int)fd, &phase, sizeof phase, offsetof(struct vkckpt_run_entry, phase)) == (long)sizeof phase &&
	    phase != VKCKPT_PHASE_EXITING;
	sys_close((int)fd);
	path[sizeof path - 1] = 0;
	return wants && text_equal(path, image_path);
}

Status lock_for_life(int fd, const char *path)
{
	struct flock lock;
	memset(&lock, 0, sizeof lock);
	lock.l_type = F_WRLCK;
	if (long r = sys_fcntl(fd, F_OFD_SETLK, (long)&lock); r < 0)
		return fail_host((int)-r, "arm: run directory", path);
	return success();
}

}  // namespace

Status rundir_find(const char *chosen, char *out, size_t room)
{
	if (*chosen) {
		text_copy(out, room, chosen);
		return check_dir(out);
	}
	if (start_environment("VKCKPT_RUNDIR", out, room) && *out)
		return check_dir(out);
	char base[1024];
	if (start_environment("XDG_RUNTIME_DIR", base, sizeof base) && *base) {
		Text(out, room).add(base).add("/vkckpt");
		return check_dir(out);
	}
	text_copy(out, room, "/run/vkckpt");
	if (check_dir(out).ok())
		return success();
	Text(out, room).add("/tmp/vkckpt-").decimal((uint64_t)sys_getuid());
	return check_dir(out);
}

Status RunEntry::open(const char *run_dir, const char *name, void *page)
{
	entry_ = static_cast<struct vkckpt_run_entry *>(page);
	fd_ = -1;
	path_[0] = 0;
	if (!run_dir)
		return success();
	char dir[1024];
	VK_TRY(rundir_find(run_dir, dir, sizeof dir));
	remove_dead_entries(dir, name);
	Text(path_, sizeof path_).add(dir).add("/").add(name).add(".").decimal((uint64_t)sys_getpid());
	long fd = sys_open(path_, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fail_host((int)-fd, "arm: run directory", path_);
	fd_ = (int)fd;
	Status s = lock_for_life(fd_, path_);
	if (s.ok())
		if (long r = sys_fallocate(fd_, 0, 0, sizeof *entry_); r < 0 && (r != -EOPNOTSUPP ||
		    (r = sys_ftruncate(fd_, sizeof *entry_)) < 0))
			s = fail_host((int)-r, "arm: run directory", path_);
	if (s.ok()) {
		long mapped = sys_mmap(nullptr, sizeof *entry_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd_, 0);
		if (mapped < 0 && mapped > -4096)
			s = fail_host((int)-mapped, "arm: run directory", path_);
		else
			entry_ = reinterpret_cast<struct vkckpt_run_entry *>(mapped), mapped_ = true;
	}
	if (!s.ok())
		withdraw();
	return s;
}

bool RunEntry::image_is_shared() const
{
	if (fd_ < 0 || !entry_->image_path[0])
		return false;
	const char *own = path_;
	for (const char *p = path_; *p; p++)
		if (*p == '/')
			own = p + 1;
	char dir[sizeof path_];
	Text(dir, sizeof dir).add(path_, (size_t)(own - path_));
	bool shared = false;
	each_file(dir, [&](int fd, const char *file) {
		if (*file != '.' && !text_equal(file, own) && wants_image(fd, file, entry_->image_path))
			shared = true;
	});
	return shared;
}

void RunEntry::publish()
{
	__atomic_thread_fence(__ATOMIC_RELEASE);
	memcpy(entry_->magic, VKCKPT_RUN_MAGIC, sizeof entry_->magic);
}

void RunEntry::withdraw()
{
	if (fd_ < 0)
		return;
	sys_unlink(path_);	// while it is still locked
	if (mapped_)
		sys_munmap(entry_, sizeof *entry_);
	mapped_ = false;
	sys_close(fd_);
	fd_ = -1;
	entry_ = nullptr;
}

void RunEntry::requested(uint32_t action, uint64_t id)
{
	entry_->action = action;
	entry_->request_id = id;
	entry_->bytes_done = entry_->bytes_total = 0;
	phase(VKCKPT_PHASE_REQUESTED);
}

void RunEntry::refuse(uint64_t id) { __atomic_store_n(&entry_->refused_id, id, __ATOMIC_RELEASE); }

void RunEntry::phase(uint32_t phase) { __atomic_store_n(&entry_->phase, phase, __ATOMIC_RELEASE); }

void RunEntry::progress(uint64_t done, uint64_t total)
{
	__atomic_store_n(&entry_->bytes_total, total, __ATOMIC_RELAXED);
	__atomic_store_n(&entry_->bytes_done, done, __ATOMIC_RELEASE);
}

void RunEntry::committed(const char *path, uint32_t chain_length)
{
	(void)text_copy(entry_->last_image, sizeof entry_->last_image, path);
	entry_->chain_length = chain_length;
}

void RunEntry::done(const Status &status, uint32_t next_phase)
{
	entry_->result_code = status.code;
	entry_->result_reason = status.reason;
	if (status.ok()) {
		memset(entry_->message, 0, sizeof entry_->message);
	} else {
		struct vkckpt_error err;
		(void)report(status, &err);
		memcpy(entry_->message, err.message, sizeof entry_->message);
	}
	entry_->done_id = entry_->request_id;
	phase(next_phase);
	__atomic_fetch_add(&entry_->done_count, 1, __ATOMIC_ACQ_REL);
}

}  // namespace vk
