// Every host call of the image's writer and readers fails once, the first, the second ...: the error is reported, nothing leaks,
// nothing half-read is taken for whole.
#include <catch2/catch.hpp>

#include <dirent.h>
#include <fcntl.h>
#include <fstream>
#include <functional>

#include "test/fault/faults.h"
#include "test/unit/chain_support.h"
#include "test/unit/image_support.h"
#include "test/unit/seal_support.h"

using namespace image_test;

namespace {

Bytes sample()
{
	std::mt19937_64 random(8);
	Frames frames;
	for (uint64_t f = 0; f < 40; f++)
		frames[{ 0, f }] = frame_of(f % 4 ? Fill::text : Fill::noise, random);
	return image_bytes(shape_of({ 40 * 4096 }, {}), frames);
}

size_t descriptors()
{
	size_t n = 0;
	DIR *dir = opendir("/proc/self/fd");
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

size_t mapped_bytes()
{
	std::ifstream statm("/proc/self/statm");
	size_t pages = 0;
	statm >> pages;
	return pages * 4096;
}

// A close or a hint to the memory manager that fails changes nothing, and a thread that is missing, or not known of, costs only speed;
// everything else must be reported.
bool may_fail(long number)
{
	for (long harmless : { SYS_close, SYS_madvise, SYS_mprotect, SYS_sched_getaffinity, SYS_clone, SYS_futex, SYS_sched_yield })
		if (number == harmless)
			return true;
	return false;
}

// Nor a question for a file's own name: /proc may be missing, and it is then the one that was given.
bool may_fail_in_chain(long number) { return may_fail(number) || number == SYS_readlink || number == SYS_lstat || number == SYS_fstat; }

// Calls `run` with host call 1, 2, 3 ... failing until it is no longer reached; run says whether it succeeded.
unsigned each_call(long result, const std::function<bool()> &run, bool (*harmless)(long) = may_fail)
{
	for (long n = 1;; n++) {
		size_t fds = descriptors(), mapped = mapped_bytes();
		faults::start(n, result);
		bool ok = run();
		bool reached = faults::stop();
		INFO("call " << n << " number " << faults::state()->failed_number << " with " << result);
		REQUIRE(descriptors() == fds);
		REQUIRE(mapped_bytes() <= mapped + (1 << 20));	// the test's own heap may grow
		if (!reached) {
			REQUIRE(ok);
			return static_cast<unsigned>(n - 1);
		}
		if (!harmless(faults::state()->failed_number) && result != -EINTR)
			REQUIRE(!ok);
		REQUIRE(n < 1000);
	}
}

}  // namespace

TEST_CASE("opening an image survives every failing host call", "[fault][image]")
{
	TempFile file(sample());
	for (long result : { -EIO, -ENOMEM }) {
		unsigned calls = each_call(result, [&] {
			struct vkckpt_error err = {};
			struct vkckpt_image *image = nullptr;
			int opened = vkckpt_image_open(file.path().c_str(), &image, &err);
			if (opened < 0)
				return image == nullptr && err.reason == 0;	// must be false: an error has a reason
			uint8_t frame[VKCKPT_FRAME];
			bool ok = true;
			for (uint64_t f = 0; f < 40 && ok; f++)
				ok = vkckpt_image_frame(image, 0, f, frame, &err) == 1;
			vkckpt_image_close(image);
			return ok;
		});
		REQUIRE(calls > 8);
	}
}

TEST_CASE("verify survives every failing host call", "[fault][image]")
{
	TempFile file(sample());
	for (long result : { -EIO, -ENOMEM })
		REQUIRE(each_call(result, [&] { return vkckpt_image_verify(file.path().c_str(), -1, nullptr, nullptr, nullptr) == 0; }) > 4);
}

TEST_CASE("reading a sealed image survives every failing host call, and a key leaves no page behind", "[fault][image]")
{
	vkckpt_crypto table = seal_test::open_to_all();
	TempFile file(image_bytes(seal_test::kShape, seal_test::some_frames(), &table));
	for (long result : { -EIO, -ENOMEM }) {
		REQUIRE(each_call(result, [&] { return vkckpt_image_verify(file.path().c_str(), -1, nullptr, nullptr, nullptr) == 1; }) > 4);
		REQUIRE(each_call(result, [&] {
			return vkckpt_image_verify_with(file.path().c_str(), -1, &table, nullptr, nullptr, nullptr) == 0;
		}) > 5);
		REQUIRE(each_call(result, [&] {
			vkckpt_f_header header = {};
			vkckpt_f_key key = {};
			vkckpt_error err = {};
			return vkckpt_image_peek(file.path().c_str(), &header, &key, &err) == 1;
		}) > 3);
	}
}

TEST_CASE("reading a signed image survives every failing host call, and a read that gives half or nothing", "[fault][image]")
{
	const Bytes image = sample();
	seal_test::Signed signer(image, 4096);
	TempFile file(image);
	auto reads = [&] {
		vkckpt_image *opened = nullptr;
		uint8_t frame[VKCKPT_FRAME];
		if (vkckpt_image_open_with(file.path().c_str(), &signer.table, &opened, nullptr) < 0)
			return false;
		bool ok = vkckpt_image_frame(opened, 0, 1, frame, nullptr) == 1 && vkckpt_image_frame(opened, 0, 20, frame, nullptr) == 1;
		vkckpt_image_close(opened);
		return ok && vkckpt_image_verify_with(file.path().c_str(), -1, &signer.table, nullptr, nullptr, nullptr) == 0;
	};
	for (long result : { -EIO, -ENOMEM })
		REQUIRE(each_call(result, reads) > 8);
	for (long n = 1; n < 100; n++) {
		faults::start(n, faults::kHalf);
		CHECK(reads());
		if (!faults::stop())
			break;
	}
}

TEST_CASE("reading a chain survives every failing host call", "[fault][image]")
{
	chain_test::Chain c;
	for (int i = 0; i < 3; i++) {
		c.frames[{ 0, 3 + static_cast<uint64_t>(i) }] = frame_of(Fill::text, c.random);
		c.write();
	}
	for (long result : { -EIO, -ENOMEM }) {
		REQUIRE(each_call(result, [&] { return vkckpt_image_verify(c.path(3).c_str(), -1, nullptr, nullptr, nullptr) == 0; },
		    may_fail_in_chain) > 12);
		REQUIRE(each_call(result, [&] {
			vkckpt_error err = {};
			vkckpt_image *image = nullptr;
			if (vkckpt_image_open(c.path(3).c_str(), &image, &err) < 0)
				return false;
			uint8_t frame[VKCKPT_FRAME];
			bool ok = vkckpt_image_frame(image, 0, 1, frame, &err) == 1 && !std::memcmp(frame, c.frames[{ 0, 1 }].data(), VKCKPT_FRAME);
			vkckpt_image_close(image);
			return ok;
		}, may_fail_in_chain) > 12);
	}
}

TEST_CASE("memory that a host cannot give in bulk comes singly, or the reading ends with the reason", "[fault][image]")
{
	TempFile file(sample());
	void *ram = mmap(nullptr, 64 * VKCKPT_FRAME, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(ram != MAP_FAILED);
	vk::ChunkTarget target;
	target.arg = ram;
	target.base = [](void *arg, uint32_t, uint64_t chunk, uint16_t) { return static_cast<uint8_t *>(arg) + chunk * VKCKPT_CHUNK; };
	target.populate = true;
	auto read = [&](long result) {
		vk::Status worst = vk::success();	// of all calls of madvise, one after the other
		for (long n = 1;; n++) {
			lseek(file.fd(), 0, SEEK_SET);
			vk::ImageReader reader;
			REQUIRE(reader.open(file.fd()).ok());
			REQUIRE(reader.read_head().ok());
			faults::start(n, result);
			vk::Status s = reader.read_ram(target);
			bool reached = faults::stop();
			reader.close();
			if (!reached)
				return worst;
			if (faults::state()->failed_number == SYS_madvise && !s.ok())
				worst = s;
			REQUIRE(n < 200);
		}
	};
	CHECK(read(-EINVAL).ok());	// an older host
	CHECK(read(-EAGAIN).ok());
	CHECK(read(-EINTR).ok());
	vk::Status none = read(-EFAULT);
	CHECK((none.code == ENOMEM && none.reason == VKCKPT_R_NO_MEMORY));
	none = read(-ENOMEM);
	CHECK((none.code == ENOMEM && none.reason == VKCKPT_R_NO_MEMORY));
	munmap(ram, 64 * VKCKPT_FRAME);
}

TEST_CASE("an interrupted call is made again", "[fault][image]")
{
	TempFile file(sample());
	faults::start(0, 0);
	REQUIRE(vkckpt_image_verify(file.path().c_str(), -1, nullptr, nullptr, nullptr) == 0);
	(void)faults::stop();
	for (long n = 1; n <= faults::state()->calls; n++) {
		faults::start(n, -EINTR);
		int result = vkckpt_image_verify(file.path().c_str(), -1, nullptr, nullptr, nullptr);
		(void)faults::stop();
		long number = faults::state()->failed_number;
		INFO("system call " << number);
		if (number == SYS_read || number == SYS_openat)
			REQUIRE(result == 0);
	}
}

TEST_CASE("writing an image reports every failing host call, and a full disk by its name", "[fault][image]")
{
	std::mt19937_64 random(8);
	Frames frames;
	for (uint64_t f = 0; f < 40; f++)
		frames[{ 0, f }] = frame_of(Fill::noise, random);
	TempFile file;
	uint32_t reason = 0;
	unsigned calls = each_call(-ENOSPC, [&] {
		lseek(file.fd(), 0, SEEK_SET);
		vk::Status status = write_image(file.fd(), shape_of({ 40 * 4096 }), frames);
		reason = status.ok() ? reason : status.reason;
		return status.ok();
	});
	REQUIRE(calls >= 4);
	REQUIRE(reason == VKCKPT_R_NO_SPACE);
}
