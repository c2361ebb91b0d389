// Every host call of arm, suspend and thaw fails once, with several errnos, and the process is killed at every one of them.
#include <catch2/catch.hpp>

#include <sys/wait.h>

#include <atomic>
#include <thread>

#include "test/fault/life.h"

using namespace life;

namespace {

uint8_t region_memory[10000];
// Thousands of suspends: where fsync costs nothing, if there is such a place.
[[maybe_unused]] const char *const base = fixture::temp_base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
const int kErrors[] = { EIO, ENOSPC, EINVAL, ENOMEM };
constexpr long kMost = 2000;	// host calls

}  // namespace

TEST_CASE("arm fails cleanly at every host call")
{
	Vkernel v;
	v.config.reserve_image = 1;
	fill(v);
	REQUIRE(v.arm() == 0);	// whatever is made once is made
	v.disarm();
	int before = open_descriptors();
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
		REQUIRE_FALSE(exists(v.run_dir + "/one." + std::to_string(getpid())));
		if (faults::state()->failed_number != SYS_unlink)
			REQUIRE_FALSE(exists(v.image + ".reserve"));
		return reached;
	});
}

TEST_CASE("a suspend fails cleanly at every host call, and the vkernel runs on")
{
	each_fault(kErrors, kMost, [&](long k, int error) {
		Vkernel v;
		std::string disk = v.dir / "disk";
		v.regions.push_back({ "bss", region_memory, sizeof region_memory });
		fill(v);
		REQUIRE(v.add_disk("disk0", disk) == 0);
		v.device_state[0].fence.digests = 1;
		spill(v.image, "old");
		std::string sidecar = slurp(disk + ".vkckpt");
		REQUIRE(v.arm() == 0);
		int before = open_descriptors();
		faults::start(k, -error);
		int verdict = v.request(VKCKPT_ACTION_EXIT);
		bool reached = faults::stop();
		bool unlink_failed = faults::state()->failed_number == SYS_unlink;
		INFO("call " << k << " (" << faults::state()->failed_number << ") errno " << error << ": " << v.last_resumed.message);
		if (verdict == VKCKPT_RESUMED) {
			REQUIRE(explained(v.last_resumed));
			REQUIRE(slurp(v.image) == "old");
			REQUIRE(slurp(disk + ".vkckpt") == sidecar);
			REQUIRE_FALSE(exists(v.image + ".part"));
			REQUIRE_FALSE(exists(disk + ".vkckpt.new"));
			REQUIRE(open_descriptors() == before);
			REQUIRE(filled(v));
			verdict = v.request(VKCKPT_ACTION_EXIT);
			INFO(v.last_resumed.message);
			REQUIRE(verdict == VKCKPT_EXIT);
		} else if (!unlink_failed) {
			REQUIRE_FALSE(exists(v.image + ".part"));
			REQUIRE_FALSE(exists(disk + ".vkckpt.new"));
		}
		REQUIRE(verdict == VKCKPT_EXIT);
		v.die();
		int r = v.thaw(v.image);
		INFO(v.err.message);
		REQUIRE(r == 0);
		REQUIRE(filled(v));
		return reached;
	});
}

TEST_CASE("a thaw fails cleanly at every host call, and the image thaws afterwards")
{
	each_fault(kErrors, kMost, [&](long k, int error) {
		Vkernel v;
		std::string disk = v.dir / "disk";
		fill(v);
		REQUIRE(v.add_disk("disk0", disk) == 0);
		v.device_state[0].fence.digests = 1;
		REQUIRE(v.arm() == 0);
		REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT);
		v.die();
		REQUIRE(chmod(disk.c_str(), 0640) == 0);	// so that it must be read
		std::string sidecar = slurp(disk + ".vkckpt"), image = slurp(v.image);
		int before = open_descriptors();
		faults::start(k, -error);
		int r = v.thaw(v.image);
		bool reached = faults::stop();
		INFO("call " << k << " (" << faults::state()->failed_number << ") errno " << error << ": " << v.err.message);
		if (r < 0) {
			REQUIRE(explained(v.err));
			REQUIRE(v.ck == nullptr);
			REQUIRE(slurp(disk + ".vkckpt") == sidecar);
			REQUIRE(open_descriptors() == before);
			REQUIRE_FALSE(exists(v.run_dir + "/one." + std::to_string(getpid())));
			r = v.thaw(v.image);
			INFO(v.err.message);
			REQUIRE(r == 0);
		}
		REQUIRE(slurp(v.image) == image);
		REQUIRE(filled(v));
		REQUIRE(inspect(disk).state == VKCKPT_DISK_RUNNING);
		return reached;
	});
}

TEST_CASE("a thaw with regions dies with a message or returns, and the image thaws afterwards")
{
	each_fault(kErrors, kMost, [&](long k, int error) {
		if (error != EIO)	// processes are dear, the ways out are the same
			return false;
		Vkernel v;
		std::string disk = v.dir / "disk";
		memset(region_memory, 1, sizeof region_memory);
		v.regions.push_back({ "bss", region_memory, sizeof region_memory });
		fill(v);
		REQUIRE(v.add_disk("disk0", disk) == 0);
		REQUIRE(v.arm() == 0);
		REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT);
		v.die();
		memset(region_memory, 2, sizeof region_memory);
		pid_t child = fork();
		if (child == 0) {
			int quiet = open("/dev/null", O_WRONLY);
			dup2(quiet, 2);
			faults::start(k, -error);
			int r = v.thaw(v.image);
			_exit(r == 0 ? 0 : region_memory[0] == 2 ? 1 : 99);	// an error return leaves the caller's data alone
		}
		int status;
		REQUIRE(waitpid(child, &status, 0) == child);
		bool reached = faults::stop();
		INFO("call " << k << " (" << faults::state()->failed_number << ")");
		REQUIRE(WIFEXITED(status));
		REQUIRE(WEXITSTATUS(status) <= 1);
		if (WEXITSTATUS(status) == 1) {
			int r = v.thaw(v.image);
			INFO(v.err.message);
			REQUIRE(r == 0);
			REQUIRE(region_memory[0] == 1);
		}
		return reached;
	});
}

TEST_CASE("kill -9 at every host call of a suspend: the disk thaws or boots, never both, never neither")
{
	int thaws = 0, boots = 0;
	bool reached = true;
	for (long k = 1; reached; k++) {
		Vkernel v;
		std::string disk = v.dir / "disk";
		spill(v.image, "old");
		spill(disk, std::string(8192, 'd'));
		pid_t child = fork();
		if (child == 0) {
			fill(v);
			if (v.add_disk("disk0", disk) < 0 || v.arm() < 0)
				_exit(1);
			faults::start(k, 0);
			_exit(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT ? VKCKPT_EXIT_SUSPENDED : 2);
		}
		int status;
		REQUIRE(waitpid(child, &status, 0) == child);
		reached = faults::stop();
		INFO("call " << k << " (" << faults::state()->failed_number << ")");
		REQUIRE((reached ? WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL :
		    WIFEXITED(status) && WEXITSTATUS(status) == VKCKPT_EXIT_SUSPENDED));
		// Under the final name: the old image or the new one, whole.
		struct vkckpt_error err = {};
		if (slurp(v.image) != "old")
			REQUIRE(vkckpt_image_verify(v.image.c_str(), -1, nullptr, nullptr, &err) == 0);
		(who_gets_it(v, { disk }) == "thaw" ? thaws : boots)++;
	}
	CHECK(thaws >= 2);
	CHECK(boots >= 10);
}

TEST_CASE("kill -9 at every host call of a thaw: the image thaws again or the disk boots")
{
	bool reached = true;
	for (long k = 1; reached; k++) {
		Vkernel v;
		std::string disk = v.dir / "disk";
		fill(v);
		REQUIRE(v.add_disk("disk0", disk) == 0);
		REQUIRE(v.arm() == 0);
		REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT);
		v.die();
		pid_t child = fork();
		if (child == 0) {
			faults::start(k, 0);
			_exit(v.thaw(v.image) == 0 ? 0 : 2);
		}
		int status;
		REQUIRE(waitpid(child, &status, 0) == child);
		reached = faults::stop();
		INFO("call " << k << " (" << faults::state()->failed_number << ")");
		REQUIRE((reached || (WIFEXITED(status) && WEXITSTATUS(status) == 0)));
		(void)who_gets_it(v, { disk });
	}
}

// reflinks: the host has them; else the disk is copied because the request allows it.
static void freezes_or_leaves_nothing(bool reflinks)
{
	faults::state()->reflinks = reflinks;
	each_fault(kErrors, kMost, [&](long k, int error) {
		if (error != EIO)
			return false;
		Vkernel v;
		std::string disk = v.dir / "disk";
		fill(v);
		REQUIRE(v.add_disk("disk0", disk) == 0);
		std::string sidecar = slurp(disk + ".vkckpt");
		REQUIRE(v.arm() == 0);
		faults::start(k, -error);
		REQUIRE(v.request(VKCKPT_ACTION_CONTINUE, 0, reflinks ? 0 : VKCKPT_REQUEST_COPY_DISKS) == VKCKPT_RESUMED);
		bool reached = faults::stop();
		INFO("call " << k << " (" << faults::state()->failed_number << "): " << v.last_resumed.message);
		std::vector<std::string> names = names_in(v.dir.path);
		REQUIRE(slurp(disk + ".vkckpt") == sidecar);
		if (v.last_resumed.reason) {
			REQUIRE(explained(v.last_resumed));
			REQUIRE(names == std::vector<std::string>{ "disk", "disk.vkckpt", "run" });
			return reached;
		}
		if (faults::state()->failed_number != SYS_unlink)
			REQUIRE(names.size() == 6);	// and the image, the frozen disk, its sidecar
		std::string frozen;
		for (const std::string &name : names)
			if (name.find("image.disk0-") == 0 && name.find(".vkckpt") == std::string::npos)
				frozen = v.dir / name;
		REQUIRE(inspect(frozen).state == VKCKPT_DISK_SUSPENDED);
		REQUIRE((reflinks || slurp(frozen) == slurp(disk)));
		v.disarm();
		v.drop_ram();
		std::string original = "disk0.path=" + disk;
		v.overrides.push_back(original.c_str());
		REQUIRE(v.thaw(v.image) < 0);	// the original runs on
		REQUIRE(v.err.reason == VKCKPT_R_DISK_IN_USE);
		v.overrides.clear();
		int r = v.thaw(v.image);	// on the frozen copy
		INFO(v.err.message);
		REQUIRE(r == 0);
		REQUIRE(inspect(frozen).state == VKCKPT_DISK_RUNNING);
		REQUIRE(slurp(disk + ".vkckpt") == sidecar);
		return reached;
	});
	faults::state()->reflinks = false;
}

TEST_CASE("a checkpoint that continues freezes each writable disk where reflinks are, or leaves nothing behind")
{
	freezes_or_leaves_nothing(true);
}

TEST_CASE("a checkpoint that may copy disks does so where no reflinks are, or leaves nothing behind")
{
	freezes_or_leaves_nothing(false);
}

TEST_CASE("an image on a disk that is slower than the workers is whole, and can be cancelled")
{
	Vkernel v;
	v.make_ram();
	for (size_t i = 0; i < kRamBytes; i += 8)	// nothing that becomes smaller
		*reinterpret_cast<uint64_t *>(v.ram() + i) = (i + 1) * 0x9e3779b97f4a7c15ull;
	v.config.workers = 8;
	v.config.codec = VKCKPT_CODEC_LZ4;
	REQUIRE(v.arm() == 0);
	faults::state()->slow_write_us = 20000;
	REQUIRE(v.request(VKCKPT_ACTION_CONTINUE) == VKCKPT_RESUMED);
	faults::state()->slow_write_us = 0;
	INFO(v.last_resumed.message);
	REQUIRE(v.last_resumed.reason == 0);
	const std::string image = slurp(v.image);
	faults::state()->slow_write_us = 200000;
	std::atomic<bool> ended{false};
	std::thread canceller([&] {
		do {
			usleep(10000);
			if (v.entry().phase == VKCKPT_PHASE_WRITE)
				vkckpt_request(v.ck, VKCKPT_REQUEST(VKCKPT_ACTION_CANCEL, 0, 0));
		} while (!ended);
	});
	int verdict = v.request(VKCKPT_ACTION_EXIT);
	ended = true;
	canceller.join();
	REQUIRE(verdict == VKCKPT_RESUMED);
	faults::state()->slow_write_us = 0;
	CHECK(v.last_resumed.reason == VKCKPT_R_CANCELLED);
	CHECK(slurp(v.image) == image);
	v.die();
	REQUIRE(v.thaw(v.image) == 0);
	for (size_t i = 0; i < kRamBytes; i += 8)
		REQUIRE(*reinterpret_cast<uint64_t *>(v.ram() + i) == (i + 1) * 0x9e3779b97f4a7c15ull);
}
