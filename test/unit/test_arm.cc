#include <catch2/catch.hpp>

#include <sys/wait.h>

#include <signal.h>
#include <sys/file.h>

#include "lib/replace.h"
#include "test/unit/fixture.h"

using namespace fixture;

namespace {
std::string arm_error(Vkernel &v)
{
	if (v.arm() == 0)
		return "armed";
	CHECK(v.ck == nullptr);
	return std::string(vkckpt_reason_name(v.err.reason)) + " " + v.err.subject;
}
uint8_t small_region[100];
}

TEST_CASE("arm names the field that is wrong")
{
	Vkernel v;
	v.make_ram();
	struct vkckpt_segment two[2] = { v.segment, v.segment };
	const struct vkckpt_range elsewhere = { kRam + 4096, kRamBytes }, ram_alone = { kRam, kRamBytes };
	std::string expected;
	SECTION("size") { v.config.size = 8; expected = "BAD_ARGUMENT size"; }
	SECTION("name") { v.config.name = "a/b"; expected = "BAD_ARGUMENT name"; }
	SECTION("program") { v.config.program = nullptr; expected = "BAD_ARGUMENT program"; }
	SECTION("image_path") { v.config.image_path = nullptr; expected = "BAD_ARGUMENT image_path"; }
	SECTION("on_ckpt") { v.config.on_ckpt = 0; expected = "BAD_ARGUMENT on_ckpt"; }
	SECTION("vcpu_count 0") { v.config.vcpu_count = 0; expected = "BAD_ARGUMENT vcpu_count"; }
	SECTION("vcpu_count") { v.config.vcpu_count = 257; expected = "LIMIT vcpu_count"; }
	SECTION("hooks") { v.config.hooks = nullptr; expected = "BAD_ARGUMENT hooks"; }
	SECTION("format") { v.config.pagetable_format = 99; expected = "BAD_ARGUMENT pagetable_format"; }
	SECTION("segment") { v.segment.size_bytes = 5000; expected = "BAD_ARGUMENT segments[0].size_bytes"; }
	SECTION("segment's place") { v.segment.address = v.ram() + 1; expected = "BAD_ARGUMENT segments[0].address"; }
	SECTION("segment's descriptor is no file") { v.segment.fd = 99; expected = "BAD_ARGUMENT segments[0].fd"; }
	SECTION("segment's file is too short") { v.segment.size_bytes += 4096; expected = "BAD_ARGUMENT segments[0].fd"; }
	SECTION("segments overlap")
	{
		v.config.segments = two;
		v.config.segment_count = 2;
		expected = "BAD_ARGUMENT segments[1].address: overlaps";
	}
	SECTION("region in RAM") { v.regions.push_back({ "r", v.ram() + 8, 8 }); expected = "BAD_ARGUMENT regions[0].address: overlaps RAM"; }
	SECTION("region's name") { v.regions.push_back({ "", small_region, 8 }); expected = "BAD_ARGUMENT regions[0].name"; }
	SECTION("region too large") { v.regions.push_back({ "r", small_region, 2ull << 30 }); expected = "LIMIT regions[0].size_bytes"; }
	SECTION("RAM in none of the places")
	{
		v.config.places = &elsewhere;
		v.config.place_count = 1;
		expected = "BAD_ARGUMENT segments[0].address: in none of the places";
	}
	SECTION("places forgotten") { v.config.place_count = 1; expected = "BAD_ARGUMENT places"; }
	SECTION("a region in none of the places")
	{
		v.config.places = &ram_alone;
		v.config.place_count = 1;
		v.regions.push_back({ "r", small_region, 8 });
		expected = "BAD_ARGUMENT regions[0].address: in none of the places";
	}
	SECTION("device twice") { v.add_device("a"); v.add_device("a"); expected = "BAD_ARGUMENT devices[1].name: occurs twice"; }
	SECTION("device class") { v.add_device("a"); v.device_class.size = 1; expected = "BAD_ARGUMENT devices[0].device_class"; }
	CHECK(arm_error(v) == expected);
	CHECK(std::string(v.err.message).find("(") != std::string::npos);
}

TEST_CASE("one vkernel per process, and disarm makes room for the next")
{
	Vkernel v;
	REQUIRE(v.arm() == 0);
	struct vkckpt *other = nullptr;
	CHECK(vkckpt_arm(&v.config, &other, &v.err) == -EEXIST);
	CHECK(other == nullptr);
	CHECK(exists(v.run_dir + "/one." + std::to_string(getpid())));
	v.disarm();
	CHECK_FALSE(exists(v.run_dir + "/one." + std::to_string(getpid())));
	struct sigaction action;
	sigaction(VKCKPT_SIGCKPT, nullptr, &action);
	CHECK(action.sa_handler == SIG_DFL);
	CHECK(v.arm() == 0);
}

TEST_CASE("the entry says who the vkernel is, and is locked")
{
	Vkernel v;
	REQUIRE(v.arm() == 0);
	struct vkckpt_run_entry e = v.entry();
	CHECK(memcmp(e.magic, VKCKPT_RUN_MAGIC, 8) == 0);
	CHECK(e.pid == (uint64_t)getpid());
	CHECK(e.start_time != 0);
	CHECK(std::string(e.program) == "fixture");
	CHECK(e.image_path == v.image);
	CHECK(e.ram_bytes == kRamBytes);
	CHECK(e.estimate_bytes > kRamBytes);
	CHECK(e.phase == VKCKPT_PHASE_RUNNING);
	CHECK(e.warning_reason == 0);
	struct stat st;
	stat(v.run_dir.c_str(), &st);
	CHECK((st.st_mode & 0777) == 0700);
	std::string path = v.run_dir + "/one." + std::to_string(getpid());
	stat(path.c_str(), &st);
	CHECK((st.st_mode & 0777) == 0600);
	int fd = open(path.c_str(), O_RDWR);
	struct flock lock = {};
	lock.l_type = F_WRLCK;
	CHECK(fcntl(fd, F_OFD_SETLK, &lock) < 0);
	close(fd);
}

TEST_CASE("dead entries of the same name go, others stay")
{
	Vkernel v;
	mkdir(v.run_dir.c_str(), 0700);
	spill(v.run_dir + "/one.99999999", "dead");
	spill(v.run_dir + "/one.two.3", "other name");
	spill(v.run_dir + "/two.1", "other");
	REQUIRE(v.arm() == 0);
	CHECK_FALSE(exists(v.run_dir + "/one.99999999"));
	CHECK(exists(v.run_dir + "/one.two.3"));
	CHECK(exists(v.run_dir + "/two.1"));
}

TEST_CASE("a run directory that others could enter, or a link, is refused")
{
	Vkernel v;
	SECTION("open to others") { mkdir(v.run_dir.c_str(), 0777); chmod(v.run_dir.c_str(), 0777); }
	SECTION("a link") { REQUIRE(symlink("/tmp", v.run_dir.c_str()) == 0); }
	SECTION("a file") { spill(v.run_dir, ""); }
	CHECK(v.arm() == -EPERM);
	CHECK(v.err.reason == VKCKPT_R_PERMISSION);
}

TEST_CASE("a vkernel may stay unpublished")
{
	Vkernel v;
	v.config.run_dir = nullptr;
	REQUIRE(v.arm() == 0);
	CHECK_FALSE(exists(v.run_dir));
	CHECK(v.request(VKCKPT_ACTION_CONTINUE) == VKCKPT_RESUMED);
}

TEST_CASE("room for an image is set aside until it is needed")
{
	Vkernel v;
	v.config.reserve_image = 1;
	REQUIRE(v.arm() == 0);
	struct stat st;
	REQUIRE(stat((v.image + ".reserve").c_str(), &st) == 0);
	CHECK(st.st_blocks * 512 >= (long)kRamBytes);
	REQUIRE(v.request(VKCKPT_ACTION_CONTINUE) == VKCKPT_RESUMED);
	CHECK(exists(v.image + ".reserve"));	// for the next one
	REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT);
	CHECK_FALSE(exists(v.image + ".reserve"));
	v.disarm();
	REQUIRE(v.arm() == 0);
	v.disarm();
	CHECK_FALSE(exists(v.image + ".reserve"));
}

TEST_CASE("what others put in the place of the room for an image is removed, or refused with the reason")
{
	Vkernel v;
	v.config.reserve_image = 1;
	const std::string reserve = v.image + ".reserve", precious = v.dir / "precious";
	spill(precious, "mine");
	SECTION("a link") { REQUIRE(symlink(precious.c_str(), reserve.c_str()) == 0); }
	SECTION("a hard link") { REQUIRE(link(precious.c_str(), reserve.c_str()) == 0); }
	SECTION("a named pipe") { REQUIRE(mkfifo(reserve.c_str(), 0600) == 0); }
	SECTION("what cannot be removed")
	{
		REQUIRE(mkdir(reserve.c_str(), 0700) == 0);
		CHECK(v.arm() == -EISDIR);
		CHECK(std::string(v.err.message).find("EISDIR") != std::string::npos);
		REQUIRE(rmdir(reserve.c_str()) == 0);
	}
	REQUIRE(v.arm() == 0);
	struct stat st;
	REQUIRE(lstat(reserve.c_str(), &st) == 0);
	CHECK(S_ISREG(st.st_mode));
	CHECK(st.st_blocks * 512 >= (long)kRamBytes);
	CHECK(slurp(precious) == "mine");
	v.disarm();
}

TEST_CASE("an image whose folder is missing is a warning, not an error")
{
	Vkernel v;
	std::string path = v.dir / "none/image";
	v.config.image_path = path.c_str();
	REQUIRE(v.arm() == 0);
	CHECK(v.entry().warning_reason == VKCKPT_R_NOT_FOUND);
	REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_RESUMED);
	CHECK(v.last_resumed.reason == VKCKPT_R_NOT_FOUND);
}

TEST_CASE("two vkernels with one image: the second is warned, as long as the first lives and is not suspended")
{
	Vkernel v;
	bool suspends = GENERATE(false, true);
	int ready[2], go[2];
	REQUIRE(pipe(ready) == 0);
	REQUIRE(pipe(go) == 0);
	pid_t other = fork();
	if (other == 0) {
		close(go[1]);
		char word = 0;
		v.config.name = "two";
		if (v.arm() < 0 || (suspends && v.request(VKCKPT_ACTION_EXIT) != VKCKPT_EXIT) || write(ready[1], "r", 1) != 1)
			_exit(1);
		(void)!read(go[0], &word, 1);
		_exit(0);
	}
	close(ready[1]);
	char word = 0;
	REQUIRE(read(ready[0], &word, 1) == 1);
	REQUIRE(v.arm() == 0);
	CHECK(v.entry().warning_reason == (suspends ? VKCKPT_R_NONE : VKCKPT_R_IMAGE_IN_USE));
	v.disarm();
	close(go[1]);
	int status;
	REQUIRE(waitpid(other, &status, 0) == other);
	REQUIRE(v.arm() == 0);
	CHECK(v.entry().warning_reason == 0);
	close(ready[0]);
	close(go[0]);
}

TEST_CASE("an image never replaces what is no file")
{
	Vkernel v;
	REQUIRE(mkfifo(v.image.c_str(), 0600) == 0);
	REQUIRE(v.arm() == 0);
	REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_RESUMED);
	CHECK(v.last_resumed.reason == VKCKPT_R_BAD_ARGUMENT);
	struct stat st;
	CHECK((stat(v.image.c_str(), &st) == 0 && S_ISFIFO(st.st_mode)));
}

TEST_CASE("the image is written under another name, 0600, and replaces the old one whole")
{
	Vkernel v;
	spill(v.image, "old");
	REQUIRE(v.arm() == 0);
	SECTION("an unlocked leftover is removed")
	{
		spill(v.image + ".part", "left over");
		REQUIRE(v.request(VKCKPT_ACTION_CONTINUE) == VKCKPT_RESUMED);
		CHECK(v.last_resumed.reason == 0);
		struct stat st;
		stat(v.image.c_str(), &st);
		CHECK((st.st_mode & 0777) == 0600);
		CHECK(slurp(v.image).size() % 4096 == 0);
	}
	SECTION("a locked one is somebody's")
	{
		int fd = open((v.image + ".part").c_str(), O_RDWR | O_CREAT, 0600);
		struct flock lock = {};
		lock.l_type = F_WRLCK;
		REQUIRE(fcntl(fd, F_OFD_SETLK, &lock) == 0);
		REQUIRE(v.request(VKCKPT_ACTION_CONTINUE) == VKCKPT_RESUMED);
		CHECK(v.last_resumed.reason == VKCKPT_R_IMAGE_IN_USE);
		CHECK(exists(v.image + ".part"));
		CHECK(slurp(v.image) == "old");
		close(fd);
		REQUIRE(v.request(VKCKPT_ACTION_CONTINUE) == VKCKPT_RESUMED);
		CHECK(v.last_resumed.reason == 0);
	}
	SECTION("that of a vkernel that was killed is waited for, until what it was making has ended too")
	{
		int ends[2];
		REQUIRE(pipe(ends) == 0);
		const pid_t killed = fork();
		if (killed == 0) {
			if (!vk::part_create((v.image + ".part").c_str(), "test").ok())
				_exit(1);
			if (fork() == 0) {	// has copies of its descriptors, for a moment
				char word;
				if (read(ends[0], &word, 1) == 1)
					usleep(120000);
				_exit(0);
			}
			kill(getpid(), SIGKILL);
		}
		int status = -1;
		REQUIRE(waitpid(killed, &status, 0) == killed);
		REQUIRE(WIFSIGNALED(status));
		REQUIRE(write(ends[1], "g", 1) == 1);
		REQUIRE(v.request(VKCKPT_ACTION_CONTINUE) == VKCKPT_RESUMED);
		INFO(v.last_resumed.message);
		CHECK(v.last_resumed.reason == 0);
		CHECK(slurp(v.image) != "old");
		close(ends[0]);
		close(ends[1]);
	}
	SECTION("a link is not followed")
	{
		spill(v.dir / "victim", "mine");
		REQUIRE(symlink((v.dir / "victim").c_str(), (v.image + ".part").c_str()) == 0);
		REQUIRE(v.request(VKCKPT_ACTION_CONTINUE) == VKCKPT_RESUMED);
		CHECK(v.last_resumed.reason != 0);
		CHECK(slurp(v.dir / "victim") == "mine");
		CHECK(slurp(v.image) == "old");
	}
}

TEST_CASE("only the vkernel's word drops a frame, and a hook that lies about classes is harmless")
{
	Vkernel v;
	v.hooks.frame_states = [](void *, unsigned, uint64_t first, unsigned count, uint8_t *state, uint8_t *page_class) {
		for (unsigned i = 0; i < count; i++) {
			state[i] = first + i == 3 ? VKCKPT_FRAME_FREE : VKCKPT_FRAME_LIVE;
			page_class[i] = 200;
		}
	};
	v.make_ram();
	v.ram()[2 * 4096] = v.ram()[3 * 4096] = v.ram()[4 * 4096] = 1;
	v.ram()[5 * 4096] = 0;	// touched, zero
	REQUIRE(v.arm() == 0);
	REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT);
	struct vkckpt_image *image;
	REQUIRE(vkckpt_image_open(v.image.c_str(), &image, &v.err) == 0);
	const struct vkckpt_f_stats *stats = vkckpt_image_stats(image);
	CHECK(stats->frames_total == 256);
	CHECK(stats->frames_stored == 2);
	CHECK(stats->frames_zero == 1);
	CHECK(stats->frames_free == 1);
	CHECK(stats->frames_hole == 252);
	CHECK(stats->frames_stored + stats->frames_zero + stats->frames_free + stats->frames_hole == stats->frames_total);
	vkckpt_image_close(image);
	v.die();
	REQUIRE(v.thaw(v.image) == 0);
	CHECK(v.ram()[2 * 4096] == 1);
	CHECK(v.ram()[3 * 4096] == 0);
}

TEST_CASE("vmspaces are written with their mappings and made anew")
{
	Vkernel v;
	static std::vector<uint64_t> made;
	static uint64_t segment;
	static vkckpt_mapping second;
	made.clear();
	segment = 0;
	second = {};
	v.hooks.vmspace_next = [](void *, uint64_t *cursor, struct vkckpt_vmspace *out) {
		if (*cursor == 3)
			return 0;
		out->id = 100 + *cursor;
		out->pid = 7;
		out->mapping_count = 1;
		out->mapping[0].address = 0x1000;
		out->mapping[0].size_bytes = 0x2000;
		out->mapping[0].root = *cursor;
		out->mapping[0].segment = (uint32_t)segment;
		out->mapping[1] = second;
		out->mapping_count += second.size_bytes != 0;
		++*cursor;
		return 1;
	};
	v.hooks.vmspace_make = [](void *, const struct vkckpt_vmspace *m) {
		made.push_back(m->id * 10 + m->mapping[0].root);
		return 0;
	};
	REQUIRE(v.arm() == 0);
	segment = 1;
	REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_RESUMED);
	CHECK(v.last_resumed.reason == VKCKPT_R_HOOK_FAILED);
	segment = 0;
	// What no reader would take must not be written: the vkernel would be lost.
	for (const vkckpt_mapping &bad : { vkckpt_mapping{0x2000, 0x1000, 0, 0, 0, 7}, {0, 0x1001, 0, 0, 0, 7}, {0, ~0ull, 0, 0, 0, 7},
	    {0x1000, ~0ull, 0, 0, 0, 7}, {0x8000, 0x1000, 0, 0, 0, 8}, {0x8000, 0x1000, 0, 0, 9, 7} }) {
		second = bad;
		REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_RESUMED);
		CHECK(v.last_resumed.reason == VKCKPT_R_HOOK_FAILED);
		CHECK(std::string(v.last_resumed.where) == "capture: vmspace_next");
	}
	second = {0x3000, 0x1000, 0, 0, 0, 7};		// beside it
	REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT);
	v.die();
	SECTION("made")
	{
		REQUIRE(v.thaw(v.image) == 0);
		CHECK(made == std::vector<uint64_t>{ 1000, 1011, 1022 });
	}
	SECTION("not made: the image is as good as before")
	{
		v.hooks.vmspace_make = [](void *, const struct vkckpt_vmspace *) { return -ENOMEM; };
		CHECK(v.thaw(v.image) == -ENOMEM);
		v.hooks.vmspace_make = nullptr;
		CHECK(v.thaw(v.image) == 0);
	}
}
