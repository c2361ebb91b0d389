// Faults where an image is one of many or sealed: arm on a sealed chain with room set aside, disarm, a checkpoint onto the chain with a disk
// that is frozen beside it, and a lazy thaw of it; each host call fails, and the process dies at each. The older images are whole whatever
// comes, the newest is whole or not there, the vkernel runs on, and nothing is left behind. All on the host's own calls, with its threads.
#include <map>

#include "test/fault/life.h"
#include "test/unit/seal_support.h"
#include "test/userfault.h"

using namespace life;

namespace {

const int kErrors[] = { EIO, ENOSPC };
constexpr long kMost = 5000;	// host calls

struct Chained : Vkernel {
	seal_test::Known keys;
	std::string disk = dir / "disk", parent = member(2);
	Chained()
	{
		image = dir / "web.ckpt";
		config.image_path = image.c_str();
		config.chain = 8;
		config.crypto = opens = &keys.table;
		config.workers = 2;
		fill(*this);
	}
	std::string member(unsigned n) const { return dir.path + "/web.000" + std::to_string(n) + ".ckpt"; }
	int checkpoint() { return request(VKCKPT_ACTION_CONTINUE, 0, VKCKPT_REQUEST_COPY_DISKS); }
	bool good(unsigned n)
	{
		return vkckpt_image_verify_with(member(n).c_str(), -1, &keys.table, nullptr, nullptr, &err) == 0;
	}
	// Armed, with two images, the second built on the first.
	bool begun()
	{
		if (add_disk("disk0", disk) < 0 || arm() < 0)
			return false;
		for (int i = 0; i < 2; i++) {
			ram()[8192] = (uint8_t)(i + 1);
			if (checkpoint() != VKCKPT_RESUMED || last_resumed.reason)
				return false;
		}
		ram()[8192] = 3;
		return true;
	}
	// The n-th thaws to what RAM was then, on a disk of its own.
	bool thaws(unsigned n)
	{
		bool ok = thaw(member(n)) == 0 && ram()[8192] == n && ram()[40960] == 11;
		if (!ok)
			return false;
		disarm();
		drop_ram();
		for (Device &d : opened.devices)
			if (d.writable_disk)
				vkckpt_disk_release(&d.fence), close(d.disk_fd);
		opened.devices.clear();
		return true;
	}
};

}  // namespace

TEST_CASE("arm on a sealed chain with room set aside fails cleanly at every host call, and disarm does what it can")
{
	Chained v;
	REQUIRE(v.begun());
	v.die();
	fill(v);
	v.config.parent_path = v.parent.c_str();
	v.config.reserve_image = 1;
	REQUIRE(v.arm() == 0);		// whatever is made once is made
	v.disarm();
	const int before = open_descriptors();
	const std::vector<std::string> names = names_in(v.dir.path);
	each_fault(kErrors, kMost, [&](long k, int error) {
		faults::start(k, -error);
		int r = v.arm();
		bool reached = faults::stop();
		INFO("call " << k << " (" << faults::state()->failed_number << ") errno " << error << ": " << v.err.message);
		if (r == 0)
			v.disarm();
		else
			REQUIRE(explained(v.err));
		REQUIRE(open_descriptors() == before);
		REQUIRE(names_in(v.run_dir).empty());
		if (faults::state()->failed_number != SYS_unlink)
			REQUIRE(names_in(v.dir.path) == names);
		return reached;
	});
	each_fault(kErrors, kMost, [&](long k, int error) {
		REQUIRE(v.arm() == 0);
		faults::start(k, -error);
		v.disarm();
		bool reached = faults::stop();
		INFO("disarm, call " << k << " (" << faults::state()->failed_number << ")");
		REQUIRE(open_descriptors() == before);
		return reached;
	});
	REQUIRE(v.arm() == 0);		// what could not be removed is in nobody's way
	v.disarm();
	REQUIRE(names_in(v.dir.path) == names);
	REQUIRE(names_in(v.run_dir).empty());
	for (unsigned n : { 1u, 2u })
		REQUIRE(v.good(n));
}

TEST_CASE("a sealed checkpoint onto a chain, with its disk, fails cleanly at every host call, and the vkernel runs on")
{
	for (int error : kErrors) {
		bool reached = true;
		for (long k = 1; reached; k++) {
			REQUIRE(k < 2000);
			Chained v;
			REQUIRE(v.begun());
			const std::vector<std::string> names = names_in(v.dir.path);
			const int before = open_descriptors();
			faults::start(k, -error);
			REQUIRE(v.checkpoint() == VKCKPT_RESUMED);
			reached = faults::stop();
			INFO("call " << k << " (" << faults::state()->failed_number << ") errno " << error << ": " << v.last_resumed.message);
			REQUIRE(open_descriptors() == before);
			REQUIRE(v.ram()[8192] == 3);
			if (v.last_resumed.reason) {
				REQUIRE(explained(v.last_resumed));
				REQUIRE(names_in(v.dir.path) == names);
				REQUIRE(v.checkpoint() == VKCKPT_RESUMED);
				INFO(v.last_resumed.message);
				REQUIRE(v.last_resumed.reason == 0);
			}
			v.die();
			for (unsigned n : { 1u, 2u, 3u }) {
				REQUIRE(v.good(n));
				REQUIRE(v.thaws(n));
			}
		}
	}
}

TEST_CASE("kill -9 at every host call of a sealed checkpoint onto a chain: every image that has its name is whole, and thaws")
{
	int made = 0, lost = 0;
	bool reached = true;
	for (long k = 1; reached; k++) {
		Chained v;
		int status = status_of_child([&] {
			if (!v.begun())
				return 1;
			faults::start(k, 0);
			return v.checkpoint() == VKCKPT_RESUMED ? 0 : 2;
		});
		reached = faults::stop();
		INFO("call " << k << " (" << faults::state()->failed_number << ")");
		REQUIRE(status == (reached ? kKilled : 0));
		v.drop_ram();
		bool third = exists(v.member(3));
		(third ? made : lost)++;
		for (unsigned n = 1; n <= (third ? 3u : 2u); n++) {
			INFO("image " << n);
			REQUIRE(v.good(n));
			REQUIRE(v.thaws(n));
		}
		fill(v);
		REQUIRE(v.add_disk("disk0", v.disk) == 0);	// the disk itself was never suspended
		REQUIRE(v.arm() == 0);				// and what the dead one left is in nobody's way
		REQUIRE(v.checkpoint() == VKCKPT_RESUMED);
		REQUIRE(v.last_resumed.reason == 0);
	}
	CHECK(made >= 2);
	CHECK(lost >= 20);
}

namespace {

// Suspended with a disk, RAM full of what is to be brought.
struct Lazy : Vkernel {
	std::string disk = dir / "disk";
	bool suspend()
	{
		make_ram();
		for (size_t i = 0; i < kRamBytes; i += 64)
			*reinterpret_cast<uint64_t *>(ram() + i) = i * 0x9e3779b97f4a7c15ull + 1;
		if (add_disk("disk0", disk) < 0 || arm() < 0 || request(VKCKPT_ACTION_EXIT) != VKCKPT_EXIT)
			return false;
		die();
		return true;
	}
	bool right()
	{
		for (size_t i = 0; i < kRamBytes; i += 64)
			if (*reinterpret_cast<volatile uint64_t *>(ram() + i) != i * 0x9e3779b97f4a7c15ull + 1)
				return false;
		return true;
	}
	bool complete()
	{
		struct vkckpt_fill_info f = {};
		f.size = sizeof f;
		return vkckpt_fill_status(ck, &f) == 0 && f.state == VKCKPT_FILL_COMPLETE;
	}
};

constexpr uint32_t kLazily = VKCKPT_LAZY | VKCKPT_LAZY_REQUIRED;
constexpr int kWrong = 78, kFailed = 79;

}  // namespace

TEST_CASE("kill -9 at every host call of a lazy thaw and of its fill: the image thaws again or the disk boots")
{
	NEEDS_USERFAULTFD();
	std::map<std::string, int> ends;
	bool reached = true;
	for (long k = 1; reached; k++) {
		Lazy v;
		REQUIRE(v.suspend());
		const std::string image = slurp(v.image);
		v.lazy = kLazily;
		int status = status_of_child([&] {
			alarm(60);
			faults::start(k, 0);
			if (v.thaw(v.image) < 0 || !v.right())
				return kWrong;
			while (!v.complete())
				usleep(1000);
			return 0;
		});
		reached = faults::stop();
		INFO("call " << k << " (" << faults::state()->failed_number << ")");
		REQUIRE(status == (reached ? kKilled : 0));
		REQUIRE(slurp(v.image) == image);
		v.lazy = 0;
		// Not the marks of life.h: RAM is looked at here.
		if (v.thaw(v.image) == 0) {
			REQUIRE(v.right());
			ends["thaw"]++;
		} else {
			struct vkckpt_disk boot = {};
			int fd = open(v.disk.c_str(), O_RDWR | O_CLOEXEC);
			REQUIRE(vkckpt_disk_boot(&boot, v.disk.c_str(), fd, &v.err) == 0);
			vkckpt_disk_shutdown(&boot);
			close(fd);
			ends["boot"]++;
		}
	}
	CHECK(ends["thaw"] >= 20);
	CHECK(ends["boot"] >= 5);
}

// The image that is read is the one that is replaced: what has not come is copied from it.
TEST_CASE("a suspend before the fill is complete, each host call failing or the last: the old image or the new one, whole")
{
	NEEDS_USERFAULTFD();
	std::map<int, int> ends;
	for (long result : { 0L, long{-EIO} }) {
		bool reached = true;
		for (long k = 1; reached; k++) {
			REQUIRE(k < 2000);
			Lazy v;
			REQUIRE(v.suspend());
			const std::string before = slurp(v.image);
			v.lazy = kLazily | VKCKPT_LAZY_ON_DEMAND;
			int status = status_of_child([&] {
				alarm(60);
				int quiet = open("/dev/null", O_WRONLY);
				if (v.thaw(v.image) < 0)
					return kWrong;
				for (size_t i = 0; i < 4; i++)
					(void)*static_cast<volatile uint8_t *>(v.ram() + i * 200000);
				dup2(quiet, 2);
				faults::start(k, result);
				int r = v.request(VKCKPT_ACTION_EXIT);
				faults::state()->on = false;
				if (r == VKCKPT_EXIT)
					return 0;
				if (!explained(v.last_resumed) || !v.right() || slurp(v.image) != before || exists(v.image + ".part"))
					return kWrong;
				return v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT ? kFailed : kWrong;
			});
			reached = faults::stop();
			INFO("call " << k << " (" << faults::state()->failed_number << ") result " << result);
			REQUIRE((status == 0 || status == kFailed || (result == 0 && status == kKilled) || status == VKCKPT_EXIT_STOPPED));
			ends[status]++;
			REQUIRE(vkckpt_image_verify(v.image.c_str(), -1, nullptr, nullptr, &v.err) == 0);
			v.lazy = 0;
			if (v.thaw(v.image) == 0) {
				REQUIRE(v.right());
				continue;
			}
			INFO(v.err.message);
			REQUIRE(status != 0);
			REQUIRE(status != kFailed);
			REQUIRE(v.err.reason == VKCKPT_R_DISK_SUPERSEDED);	// its guest ran, and died
			REQUIRE(slurp(v.image) == before);
		}
	}
	CHECK(ends[kKilled] >= 20);
	CHECK(ends[kFailed] >= 20);
	CHECK(ends[0] >= 1);
}
