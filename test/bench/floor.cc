// The floors of an eager thaw: populating the same pages, and decoding the same blocks, each on so many threads and nothing else.
#include "test/bench/bench.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <thread>

#include <lz4.h>

#include <vkckpt/image.h>

namespace bench {
namespace {

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
constexpr size_t kPiece = 1 << 20;

// f(0) .. f(count - 1), each once.
double on_threads(unsigned threads, size_t count, const std::function<void(size_t)> &f)
{
	std::atomic<size_t> next{0};
	auto body = [&] {
		for (size_t i; (i = next.fetch_add(1)) < count;)
			f(i);
	};
	double t = now();
	std::vector<std::thread> all;
	for (unsigned i = 1; i < threads; i++)
		all.emplace_back(body);
	body();
	for (auto &thread : all)
		thread.join();
	return now() - t;
}

struct Map {
	char *base;
	size_t bytes;
	Map(int fd, size_t size, int prot, int flags) : base(static_cast<char *>(mmap(nullptr, size, prot, flags, fd, 0))), bytes(size)
	{
		if (base == MAP_FAILED)
			die("mmap");
	}
	~Map() { munmap(base, bytes); }
};

struct Image {
	vkckpt_image *image = nullptr;
	const vkckpt_f_chunk *chunk = nullptr;
	uint64_t count = 0;
	explicit Image(const std::string &path)
	{
		vkckpt_error err{};
		if (vkckpt_image_open(path.c_str(), &image, &err) != 0)
			die(err.message);
		chunk = vkckpt_image_chunks(image, &count);
	}
	~Image() { vkckpt_image_close(image); }
};

}  // namespace

Floor floor_of(const std::string &path, unsigned threads)
{
	Image image(path);
	std::vector<vkckpt_f_chunk> blocks;
	std::vector<size_t> place;
	size_t bytes = 0;
	for (uint64_t i = 0; i < image.count; i++)
		if (image.chunk[i].codec != VKCKPT_CODEC_ZERO) {
			blocks.push_back(image.chunk[i]);
			place.push_back(bytes);
			bytes += static_cast<size_t>(__builtin_popcount(image.chunk[i].mask)) * VKCKPT_FRAME;
		}
	int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		die(path);
	Map stored(fd, static_cast<size_t>(st.st_size), PROT_READ, MAP_SHARED | MAP_POPULATE);
	close(fd);
	int ram_fd = memfd_create("bench", MFD_CLOEXEC);
	if (ram_fd < 0 || ftruncate(ram_fd, static_cast<off_t>(bytes)) < 0)
		die("memfd");
	Map ram(ram_fd, bytes, PROT_READ | PROT_WRITE, MAP_SHARED);
	close(ram_fd);

	Floor floor;
	floor.populate = on_threads(threads, (bytes + kPiece - 1) / kPiece, [&](size_t i) {
		size_t at = i * kPiece, n = bytes - at < kPiece ? bytes - at : kPiece;
		if (madvise(ram.base + at, n, MADV_POPULATE_WRITE) < 0)
			die("MADV_POPULATE_WRITE");
	});
	floor.decode = on_threads(threads, blocks.size(), [&](size_t i) {
		const vkckpt_f_chunk &c = blocks[i];
		size_t n = static_cast<size_t>(__builtin_popcount(c.mask)) * VKCKPT_FRAME;
		if (c.codec == VKCKPT_CODEC_RAW)
			__builtin_memcpy(ram.base + place[i], stored.base + c.offset, n);
		else if (LZ4_decompress_safe(stored.base + c.offset, ram.base + place[i], static_cast<int>(c.stored_bytes),
			     static_cast<int>(n)) != static_cast<int>(n))
			die("a block does not decode");
	});
	return floor;
}

uint64_t extract(const std::string &path, const std::string &out)
{
	Image image(path);
	vkckpt_error err{};
	int fd = open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	uint64_t bytes = 0;
	std::vector<char> frame(VKCKPT_FRAME);
	for (uint64_t i = 0; i < image.count; i++)
		for (unsigned f = 0; f < VKCKPT_CHUNK_FRAMES; f++) {
			const vkckpt_f_chunk &c = image.chunk[i];
			if (!(c.mask >> f & 1))
				continue;
			if (vkckpt_image_frame(image.image, c.object, c.chunk * VKCKPT_CHUNK_FRAMES + f, frame.data(), &err) < 0)
				die(err.message);
			if (write(fd, frame.data(), frame.size()) != static_cast<ssize_t>(frame.size()))
				die(out + ": cannot write");
			bytes += frame.size();
		}
	close(fd);
	return bytes;
}

}  // namespace bench
