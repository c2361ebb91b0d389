// The floor of a lazy thaw, a program of its own as minivk is one: execs, maps as much RAM from an uncompressed file, starts one guest
// address space that makes one system call, and decodes the blocks of the image's hot set.
//
// usage: start --forks COUNT: only fork, exit and wait of so many small processes
//        start IMAGE RAM, where the last kTail bytes of the file RAM are free for the guest's page tables and its two instructions
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <lz4.h>

#include <vkckpt/image.h>

#include "test/bench/start.h"
#include "vkernel-hooks/linux/vmspace.h"

namespace {

[[noreturn]] void die(const char *what)
{
	std::perror(what);
	std::exit(1);
}

char *map(const char *path, int flags, int prot, size_t *bytes, int *fd)
{
	*fd = open(path, flags | O_CLOEXEC);
	struct stat st;
	if (*fd < 0 || fstat(*fd, &st) < 0)
		die(path);
	*bytes = static_cast<size_t>(st.st_size);
	void *at = mmap(nullptr, *bytes, prot, MAP_SHARED, *fd, 0);
	if (at == MAP_FAILED)
		die("mmap");
	return static_cast<char *>(at);
}

void decode_hot(const char *path)
{
	size_t bytes;
	int fd;
	const char *stored = map(path, O_RDONLY, PROT_READ, &bytes, &fd);
	vkckpt_error err{};
	vkckpt_image *image = nullptr;
	if (vkckpt_image_open(path, &image, &err) != 0) {
		std::fprintf(stderr, "%s\n", err.message);
		std::exit(1);
	}
	const uint64_t end = vkckpt_image_stats(image)->hot_end;
	uint64_t count;
	const vkckpt_f_chunk *chunk = vkckpt_image_chunks(image, &count);
	size_t room = 0;
	for (uint64_t i = 0; i < count; i++)
		room += chunk[i].offset < end ? VKCKPT_CHUNK : 0;
	char *to = static_cast<char *>(mmap(nullptr, room + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	if (to == MAP_FAILED)
		die("mmap");
	for (uint64_t i = 0; i < count; i++) {
		const vkckpt_f_chunk &c = chunk[i];
		if (c.offset >= end || c.codec == VKCKPT_CODEC_ZERO)
			continue;
		if (c.codec == VKCKPT_CODEC_RAW)
			std::memcpy(to, stored + c.offset, c.stored_bytes);
		else if (LZ4_decompress_safe(stored + c.offset, to, static_cast<int>(c.stored_bytes), VKCKPT_CHUNK) < 0)
			die("a block does not decode");
		to += VKCKPT_CHUNK;
	}
	vkckpt_image_close(image);
}

// One guest address space with one page of code: syscall.
void run_guest(char *ram, size_t bytes, int fd)
{
	static int id;
	constexpr vpte_t kBits = VPTE_V | VPTE_RW | VPTE_U;
	const uint64_t first = bytes - bench::kTail;
	for (unsigned level = 0; level < 4; level++)	// four tables and the page behind them, all at address 0 of the guest, bar the page
		*reinterpret_cast<vpte_t *>(ram + first + level * 4096 + (level == 3 ? 8 * 16 : 0)) = (first + (level + 1) * 4096) | kBits;
	std::memcpy(ram + first + 4 * 4096, "\x0f\x05", 2);
	const char *fallback;
	trapframe tf = {};
	vextframe vf = {};
	tf.tf_rip = 16 * 4096;
	if (vmspace_host_init(fd, ram, bytes, 1, &fallback) != 0 || vmspace_host_enter_vcpu(0) != 0 || vmspace_create(&id, 0, nullptr) != 0
	    || vmspace_mmap(&id, nullptr, VM_MAX_USER_ADDRESS, 7, DF_MAP_VPAGETABLE | DF_MAP_SHARED | DF_MAP_FIXED, fd, 0) == MAP_FAILED
	    || vmspace_mcontrol(&id, nullptr, VM_MAX_USER_ADDRESS, DF_MADV_SETMAP, static_cast<off_t>(first | kBits)) != 0
	    || vmspace_ctl(&id, VMSPACE_CTL_RUN, &tf, &vf) != 0 || tf.tf_trapno != T_FAST_SYSCALL)
		die("vmspace");
}

int fork_and_wait(int count)
{
	for (; count > 0; count--) {
		pid_t pid = fork();
		if (pid == 0)
			_exit(0);
		if (pid < 0 || waitpid(pid, nullptr, 0) != pid)
			die("fork");
	}
	return 0;
}

}  // namespace

int main(int argc, char **argv)
{
	size_t bytes;
	int fd;
	if (argc != 3)
		return 2;
	if (std::strcmp(argv[1], "--forks") == 0)
		return fork_and_wait(std::atoi(argv[2]));
	char *ram = map(argv[2], O_RDWR, PROT_READ | PROT_WRITE | PROT_EXEC, &bytes, &fd);
	decode_hot(argv[1]);
	run_guest(ram, bytes, fd);
	(void)!write(1, "thawed\n", 7);
	_exit(0);
}
