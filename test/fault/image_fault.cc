// Every host call of the image's writer and readers fails once, the first, the second ...: the error is reported, nothing leaks,
// nothing half-read is taken for whole.
#include <catch2/catch.hpp>

#include <dirent.h>
#include <fstream>
#include <functional>

#include "test/fault/faults.h"
#include "test/unit/image_support.h"

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

// Calls `run` with host call 1, 2, 3 ... failing until it is no longer reached; run says whether it succeeded.
unsigned each_call(long result, const std::function<bool()> &run)
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
		if (!may_fail(faults::state()->failed_number) && result != -EINTR)
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
