// Boot: RAM, the kernel's root object, the file system, the first process.
#include "boot.h"
#include "ckpt.h"

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cpu_mask.h"
#include "elf_load.h"
#include "host.h"
#include "host_console.h"
#include "host_cpu.h"
#include "host_root.h"
#include "mem_state.h"
#include "tty.h"

namespace minivk {

void fail(const char *format, ...)
{
	char line[768];
	va_list args;
	va_start(args, format);
	vsnprintf(line, sizeof line, format, args);
	va_end(args);
	host_console_close();
	fprintf(stderr, "minivk: %s\n", line);
	exit(1);
}

bool is_own_file(int fd)
{
	struct stat st;
	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() && st.st_nlink == 1;
}

namespace {

int open_ram(const Options &o)
{
	if (!o.memory_image) {
		int fd = memfd_create("minivk-ram", MFD_CLOEXEC);
		if (fd < 0)
			fail("memory: %s", strerror(errno));
		return fd;
	}
	// It will hold all that the guest knows, and what is in it is lost: only a file of our own, which nobody else may read.
	int fd = open(o.memory_image, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
	if (fd < 0 && errno == ELOOP)
		fail("memory image %s: it is a link; name the file itself with -i", o.memory_image);
	if (fd < 0)
		fail("memory image %s: %s; name a file that can be written with -i", o.memory_image, strerror(errno));
	if (!is_own_file(fd) || fchmod(fd, 0600) != 0)
		fail("memory image %s: not a regular file of this user with one name; name another with -i", o.memory_image);
	if (flock(fd, LOCK_EX | LOCK_NB) != 0)
		fail("memory image %s: used by another vkernel; name another file with -i", o.memory_image);
	if (ftruncate(fd, 0) != 0)	// what an earlier vkernel left there is not ours
		fail("memory image %s: %s", o.memory_image, strerror(errno));
	return fd;
}

}  // namespace

void boot_engine(int ram_fd, uint64_t ram_bytes, unsigned cpus)
{
	const char *fallback = nullptr;
	rlimit descriptors;	// some for each guest process; nothing here uses select(2), for which the usual limit is low
	if (getrlimit(RLIMIT_NOFILE, &descriptors) == 0) {
		descriptors.rlim_cur = descriptors.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &descriptors);
	}
	(void)madvise(reinterpret_cast<void *>(kRamBase), ram_bytes, MADV_DONTDUMP);	// what guests know belongs in no core file
	cpu_mask_engine();
	if (vmspace_host_init(ram_fd, reinterpret_cast<void *>(kRamBase), ram_bytes, cpus, &fallback) != 0)
		fail("cannot run guests on this host: %s", strerror(errno));
	if (fallback)
		host_log("%s", fallback);
	vmspace_host_fill([](void *, uint64_t offset, uint64_t bytes) { ckpt_fill(offset, bytes); }, nullptr);
	host_cpus_init(cpus);
	kernel().ram_fd = ram_fd;
}

void boot_ram(const Options &o)
{
	int fd = open_ram(o);
	if (ftruncate(fd, off_t(o.ram_bytes)) != 0)
		fail("memory of %llu MiB: %s; ask for less with -m", static_cast<unsigned long long>(o.ram_bytes >> 20),
		    strerror(errno));
	void *at = mmap(reinterpret_cast<void *>(kRamBase), o.ram_bytes, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_NORESERVE, fd, 0);
	if (at != reinterpret_cast<void *>(kRamBase))
		fail("memory of %llu MiB: %s; ask for less with -m", static_cast<unsigned long long>(o.ram_bytes >> 20),
		    strerror(errno));
	Kernel &k = *new (at) Kernel;
	k.magic = 0x6b76696e696dull;
	k.ram_bytes = o.ram_bytes;
	k.cpu_count = o.cpus;
	snprintf(k.name, sizeof k.name, "%s", o.name.c_str());
	k.monotonic_offset_ns = int64_t(1'000'000'000 - host_monotonic_ns());	// one second after the guest's boot
	mem_boot(o.ram_bytes);
	heap_boot();
	k.zero_frame = frame_alloc(FrameUse::kKernel);
	host_random(k.ckpt.generation, sizeof k.ckpt.generation);
	k.shown_cpu = cpu_mask_begin(o.cpu_mask);
	boot_engine(fd, o.ram_bytes, o.cpus);
	k.xsave_bytes = uint32_t(vmspace_host_xsave_bytes());
	k.xcr0 = vmspace_host_xcr0();
}

void boot_files(const Options &o)
{
	HostBuffer archive;
	char message[512] = "";
	if (!host_root_load(o.root, &archive, message, sizeof message))
		fail("%s", message);
	KString why;
	bool ok = vfs_boot(archive.bytes, archive.size, &why);
	free(archive.bytes);
	if (!ok)
		fail("root file system: %s", why.c_str());
}

namespace {

bool is_program(Thread &t, const KString &path)
{
	Ref<Inode> inode;
	return vfs_lookup(t, -100, path, true, &inode) == 0 && inode->kind == InodeKind::kFile;
}

KString find_in_path(Thread &t, const char *name)
{
	if (strchr(name, '/'))
		return name;
	for (const char *folder : {"/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/", "/"})
		if (KString path = KString(folder) + name; is_program(t, path))
			return path;
	return name;
}

KVector<KString> environment(const Options &o)
{
	KVector<KString> env;
	auto set = [&](const KString &entry) {
		KString name = entry.substr(0, entry.find('=') + 1);
		std::erase_if(env, [&](const KString &e) { return e.compare(0, name.size(), name) == 0; });
		env.push_back(entry);
	};
	const char *term = getenv("TERM");
	set("PATH=/bin:/sbin:/usr/bin:/usr/sbin");
	set("HOME=/root");
	set(KString("TERM=") + (term && *term ? term : "dumb"));
	for (const std::string &e : o.environment)
		set(e.c_str());
	return env;
}

}  // namespace

void boot_first_process(const Options &o)
{
	Kernel &k = kernel();
	Process &p = *process_new(nullptr);
	k.init = &p;
	p.fs = kmake<FsContext>();
	p.fs->root = p.fs->cwd = k.root;
	p.files = kmake<FdTable>();
	Thread &t = *thread_new(p, p.pid);
	Ref<File> console = vfs_open_console();
	for (int fd = 0; fd < 3; fd++)
		p.files->install(console, fd, false);
	if (k.tty)
		k.tty->take_session(p);
	KVector<KString> args;
	for (const char *a : o.program)
		args.push_back(a);
	if (args.empty())
		args.push_back("/bin/sh");
	KString path = find_in_path(t, args[0].c_str());
	long r = exec_program(t, path, args, environment(o));
	if (r < 0)
		fail("%s: %s; %s", path.c_str(), strerror(int(-r)), r == -E2BIG ? "give it fewer arguments and a smaller environment (-e)" :
		    "name a program of the guest's root file system");
	make_runnable(t);
}

}  // namespace minivk
