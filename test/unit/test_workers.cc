// Workers: whatever their number, an image holds the same, and a failure of one ends the capture for all and nothing else.
#include <catch2/catch.hpp>

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>

#include <map>
#include <random>
#include <thread>

#include "test/unit/fixture.h"

using namespace fixture;

namespace {

// Without those that are about to end: the kernel frees a thread's stack, for which all wait, before it takes its name out of /proc.
size_t threads_of_process()
{
	constexpr unsigned long kExiting = 4;	// PF_EXITING
	size_t n = 0;
	DIR *dir = opendir("/proc/self/task");
	while (dirent *e = readdir(dir)) {
		const std::string stat = slurp(std::string("/proc/self/task/") + e->d_name + "/stat");
		unsigned long flags = kExiting;
		const size_t name_end = stat.rfind(')');
		if (name_end != std::string::npos)
			sscanf(stat.c_str() + name_end + 1, " %*c %*d %*d %*d %*d %*d %lu", &flags);
		n += !(flags & kExiting);
	}
	closedir(dir);
	return n;
}

void fill(Vkernel &v)
{
	v.make_ram();
	std::mt19937_64 random(3);
	for (size_t i = 0; i < kRamBytes; i += 8) {
		size_t page = i / 4096;
		uint64_t word = page % 5 == 0 ? 0 : page % 3 == 0 ? random() : page * 77;
		memcpy(v.ram() + i, &word, 8);
	}
}

// Every frame of RAM that an image holds, decoded.
std::map<uint64_t, std::string> frames_of(const std::string &path, struct vkckpt_f_stats *stats)
{
	struct vkckpt_error err = {};
	struct vkckpt_image *image = nullptr;
	if (vkckpt_image_open(path.c_str(), &image, &err) < 0)
		FAIL(err.message);
	*stats = *vkckpt_image_stats(image);
	std::map<uint64_t, std::string> out;
	uint64_t count = 0;
	const struct vkckpt_f_chunk *chunk = vkckpt_image_chunks(image, &count);
	for (uint64_t i = 0; i < count; i++)
		for (unsigned f = 0; f < VKCKPT_CHUNK_FRAMES; f++)
			if (chunk[i].mask >> f & 1) {
				std::string frame(VKCKPT_FRAME, 0);
				uint64_t number = chunk[i].chunk * VKCKPT_CHUNK_FRAMES + f;
				if (vkckpt_image_frame(image, chunk[i].object, number, frame.data(), &err) < 0)
					FAIL(err.message);
				out[number] = frame;
			}
	vkckpt_image_close(image);
	return out;
}

}  // namespace

TEST_CASE("an image holds the same whatever the number of workers and the codec")
{
	std::map<uint64_t, std::string> first;
	for (uint32_t codec : { VKCKPT_CODEC_LZ4, VKCKPT_CODEC_RAW })
		for (uint32_t workers : { 1u, 2u, 5u, 64u }) {
			Vkernel v;
			v.config.workers = workers;
			v.config.codec = codec;
			fill(v);
			std::string ram((const char *)v.ram(), kRamBytes);
			REQUIRE(v.arm() == 0);
			REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT);
			struct vkckpt_f_stats stats;
			auto frames = frames_of(v.image, &stats);
			REQUIRE(stats.workers == workers);
			REQUIRE(stats.codec == codec);
			REQUIRE(stats.levels == (codec == VKCKPT_CODEC_LZ4 ? 1u << 1 : 0u));	// too little to adapt to anything
			REQUIRE(stats.frames_stored + stats.frames_zero == kRamBytes / 4096);
			if (first.empty())
				first = frames;
			REQUIRE((frames == first));
			v.die();
			REQUIRE(v.thaw(v.image) == 0);
			REQUIRE(memcmp(v.ram(), ram.data(), kRamBytes) == 0);
		}
}

TEST_CASE("workers are made at arm and gone after disarm; a thaw leaves those of the new vkernel only")
{
	std::thread([] {}).join();		// a sanitizer's own thread comes with the first
	const size_t before = threads_of_process();
	Vkernel v;
	v.config.workers = 4;
	fill(v);
	const size_t with = GENERATE(0, 1);		// the thread that keeps the deadline
	v.config.quiesces_itself = with ? 0 : 1;
	REQUIRE(v.arm() == 0);
	REQUIRE(threads_of_process() == before + 3 + with);
	REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT);
	REQUIRE(threads_of_process() == before + 3 + with);
	v.die();
	REQUIRE(threads_of_process() == before);
	REQUIRE(v.thaw(v.image) == 0);
	REQUIRE(threads_of_process() == before + 3 + with);
}

TEST_CASE("too many workers and an unknown codec are refused by name; a config without the two fields is taken")
{
	Vkernel v;
	v.config.workers = VKCKPT_MAX_WORKERS + 1;
	REQUIRE(v.arm() == -ENOBUFS);
	REQUIRE(std::string(v.err.subject) == "workers");
	v.config.workers = 0;
	v.config.codec = VKCKPT_CODEC_SAME;
	REQUIRE(v.arm() == -EINVAL);
	REQUIRE(std::string(v.err.subject) == "codec");
	v.config.size = offsetof(struct vkckpt_config, workers);	// so codec is not looked at
	REQUIRE(v.arm() == 0);
	REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT);
}

TEST_CASE("a level of LZ4 that is asked for is used and told; those that there are not are refused by name")
{
	for (uint32_t level : { 1u, 2u }) {
		Vkernel v;
		v.config.workers = 2;
		v.config.level = level;
		fill(v);
		REQUIRE(v.arm() == 0);
		REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT);
		struct vkckpt_f_stats stats;
		frames_of(v.image, &stats);
		REQUIRE(stats.levels == 1u << level);
		REQUIRE(stats.waited <= 100);
	}
	Vkernel v;
	v.config.level = 3;
	REQUIRE(v.arm() == -EINVAL);
	REQUIRE(std::string(v.err.subject) == "level");
	v.config.level = 1;
	v.config.codec = VKCKPT_CODEC_RAW;
	REQUIRE(v.arm() == -EINVAL);
	REQUIRE(std::string(v.err.subject) == "level");
}

TEST_CASE("a full disk ends the capture for all workers, and the vkernel runs on")
{
	for (uint32_t workers : { 1u, 3u, 8u }) {
		Vkernel v;
		v.config.workers = workers;
		v.config.image_path = nullptr;
		v.config.image_fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
		fill(v);
		REQUIRE(v.arm() == 0);
		REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_RESUMED);
		REQUIRE(v.last_resumed.code == ENOSPC);
		REQUIRE(v.last_resumed.reason == VKCKPT_R_NO_SPACE);
		v.disarm();
		close(v.config.image_fd);
	}
}

TEST_CASE("a cancel while workers write into a slow pipe ends the capture")
{
	Vkernel v;
	int ends[2];
	REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
	v.config.workers = 3;
	v.config.codec = VKCKPT_CODEC_RAW;
	v.config.image_path = nullptr;
	v.config.image_fd = ends[1];
	fill(v);
	REQUIRE(v.arm() == 0);
	std::thread reader([&] {
		char buffer[65536];
		struct pollfd p = { ends[0], POLLIN, 0 };
		poll(&p, 1, -1);	// the first bytes come when RAM is being written
		vkckpt_request(v.ck, VKCKPT_REQUEST(VKCKPT_ACTION_CANCEL, 0, 0));
		while (read(ends[0], buffer, sizeof buffer) > 0)
			;
	});
	int verdict = v.request(VKCKPT_ACTION_EXIT);
	close(ends[1]);
	reader.join();
	close(ends[0]);
	REQUIRE(verdict == VKCKPT_RESUMED);
	REQUIRE(v.last_resumed.reason == VKCKPT_R_CANCELLED);
}
