#include <catch2/catch.hpp>

#include <algorithm>

#include <vkckpt/image.h>

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "test/unit/fixture.h"

using namespace fixture;

namespace {
uint8_t region_memory[70000];		// crosses a chunk, ends inside a frame
std::string reason(const Vkernel &v) { return vkckpt_reason_name(v.err.reason); }
}

TEST_CASE("a suspended vkernel comes back with RAM, region, devices and its identity")
{
	Vkernel v;
	v.regions.push_back({ "bss", region_memory, sizeof region_memory });
	v.add_device("console").value = 42;
	v.make_ram();
	for (size_t i = 0; i < kRamBytes; i += 4096)
		v.ram()[i] = (uint8_t)(i >> 12);
	memset(region_memory, 7, sizeof region_memory);
	region_memory[sizeof region_memory - 1] = 9;
	REQUIRE(v.arm() == 0);
	struct vkckpt_uuid before = vkckpt_generation(v.ck);
	REQUIRE(v.request(VKCKPT_ACTION_EXIT, 77) == VKCKPT_EXIT);
	CHECK(vkckpt_safe_point(v.ck, 0) == VKCKPT_EXIT);
	CHECK(v.entry().phase == VKCKPT_PHASE_EXITING);
	CHECK(v.entry().done_id == 77);
	CHECK(v.entry().result_reason == 0);
	CHECK_FALSE(exists(v.image + ".part"));
	v.die();
	memset(region_memory, 0, sizeof region_memory);

	int r = v.thaw(v.image);
	INFO(v.err.message);
	REQUIRE(r == 0);
	for (size_t i = 0; i < kRamBytes; i += 4096)
		REQUIRE(v.ram()[i] == (uint8_t)(i >> 12));
	CHECK(region_memory[0] == 7);
	CHECK(region_memory[sizeof region_memory - 1] == 9);
	CHECK(v.opened.devices.at(0).value == 42);
	CHECK(v.log.text() == "console.begin console.drained console.open console.attach thawed");
	CHECK(vkckpt_thaw_count(v.ck) == 1);
	struct vkckpt_uuid after = vkckpt_generation(v.ck);
	CHECK(memcmp(&before, &after, sizeof before) != 0);
	CHECK(memcmp(&after, &v.info.generation, sizeof after) == 0);
	CHECK(v.info.realtime_gap_ns >= 0);
	CHECK(vkckpt_resume(v.ck, 0) == 0);
	CHECK(vkckpt_resume(v.ck, 1) == -EINVAL);
	CHECK(std::string(vkckpt_name(v.ck)) == "one");
	CHECK(std::string(vkckpt_device_at(v.ck, 0)->name) == "console");
	CHECK(vkckpt_device_at(v.ck, 1) == nullptr);
	v.segment.fd = -1;
	SECTION("and can be suspended again")
	{
		REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT);
		v.die();
		REQUIRE(v.thaw(v.image) == 0);
		CHECK(vkckpt_thaw_count(v.ck) == 2);
		CHECK(v.ram()[4096] == 1);
	}
}

TEST_CASE("a checkpoint that continues leaves the vkernel running and can be thawed any number of times without disks")
{
	Vkernel v;
	REQUIRE(v.arm() == 0);
	v.ram()[5] = 5;
	REQUIRE(v.request(VKCKPT_ACTION_CONTINUE) == VKCKPT_RESUMED);
	CHECK(v.last_resumed.reason == 0);
	v.ram()[5] = 6;
	CHECK(vkckpt_safe_point(v.ck, 0) == VKCKPT_NOTHING);
	REQUIRE(v.request(VKCKPT_ACTION_CONTINUE) == VKCKPT_RESUMED);
	v.ram()[5] = 7;
	for (int i = 0; i < 2; i++) {
		v.die();
		REQUIRE(v.thaw(v.image) == 0);
		CHECK(v.ram()[5] == 6);
	}
}

TEST_CASE("a thaw is refused before anything is touched")
{
	Vkernel v;
	v.add_device("console");
	REQUIRE(v.arm() == 0);
	REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT);
	v.die();
	v.log.lines.clear();
	std::string image = slurp(v.image);
	uint64_t layout = 1;
	SECTION("another program")
	{
		v.config.program = "other";
		CHECK(v.thaw(v.image) == -ENOTSUP);
		CHECK(reason(v) == "PROGRAM_DIFFERS");
	}
	SECTION("another build")
	{
		v.config.build_id = "abcd";
		v.config.build_id_bytes = 4;
		CHECK(v.thaw(v.image) == -ENOTSUP);
		CHECK(reason(v) == "BUILD_DIFFERS");
	}
	SECTION("another layout")
	{
		v.config.layout = &layout;
		v.config.layout_count = 1;
		CHECK(v.thaw(v.image) == -ENOTSUP);
		CHECK(reason(v) == "LAYOUT_DIFFERS");
	}
	SECTION("another page-table format")
	{
		v.config.pagetable_format = VKCKPT_PT_DRAGONFLY;
		CHECK(v.thaw(v.image) == -ENOTSUP);
		CHECK(reason(v) == "LAYOUT_DIFFERS");
	}
	SECTION("a device that this program does not have")
	{
		v.device_class.name = "another";
		CHECK(v.thaw(v.image) == -ENODEV);
		CHECK(reason(v) == "DEVICE_UNKNOWN");
	}
	SECTION("an override of nothing")
	{
		v.overrides.push_back("console.colour=green");
		CHECK(v.thaw(v.image) < 0);
		CHECK(reason(v) == "OVERRIDE_UNKNOWN");
	}
	SECTION("RAM's address is taken")
	{
		void *p = mmap(v.ram() + 4096, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		CHECK(v.thaw(v.image) == -EEXIST);
		CHECK(reason(v) == "ADDRESS_TAKEN");
		munmap(p, 4096);
	}
	SECTION("RAM outside the places that this vkernel has for it")
	{
		const struct vkckpt_range short_by_a_page = { kRam, kRamBytes - 4096 };
		v.config.places = &short_by_a_page;
		v.config.place_count = 1;
		CHECK(v.thaw(v.image) == -ENOTSUP);
		CHECK(reason(v) == "LAYOUT_DIFFERS");
		CHECK(v.err.number == kRam);
	}
	SECTION("there is no image")
	{
		CHECK(v.thaw(v.image + "x") == -ENOENT);
		CHECK(reason(v) == "NOT_FOUND");
	}
	CHECK(v.ck == nullptr);
	CHECK(v.log.text() == "");
	v.device_class.name = "fake";
	v.overrides.clear();
	v.config.program = "fixture";
	v.config.build_id = nullptr;
	v.config.build_id_bytes = 0;
	v.config.layout_count = 0;
	v.config.pagetable_format = 0;
	v.config.place_count = 0;
	CHECK(slurp(v.image) == image);
	REQUIRE(v.thaw(v.image) == 0);
}

TEST_CASE("an image is taken where its RAM and regions fill their places, and refused where a region leaves them")
{
	Vkernel v;
	v.regions.push_back({ "bss", region_memory, sizeof region_memory });
	struct vkckpt_range places[] = { { kRam, kRamBytes }, { (uint64_t)region_memory, sizeof region_memory } };
	v.config.places = places;
	v.config.place_count = 2;
	REQUIRE(v.arm() == 0);
	REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT);
	v.die();
	places[1].size_bytes--;
	REQUIRE(v.thaw(v.image) == -ENOTSUP);
	CHECK(reason(v) == "LAYOUT_DIFFERS");
	CHECK(v.err.number == (uint64_t)region_memory);
	places[1].size_bytes++;
	REQUIRE(v.thaw(v.image) == 0);
}

TEST_CASE("SIGTHAW is sent to who handles it")
{
	static volatile sig_atomic_t came;
	came = 0;
	Vkernel v;
	REQUIRE(v.arm() == 0);
	REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT);
	v.die();
	REQUIRE(v.thaw(v.image) == 0);
	CHECK(came == 0);	// and nobody dies of it
	v.disarm();
	v.drop_ram();
	signal(VKCKPT_SIGTHAW, [](int) { came = 1; });
	REQUIRE(v.thaw(v.image) == 0);
	CHECK(came == 1);
	signal(VKCKPT_SIGTHAW, SIG_DFL);
}

TEST_CASE("a device that does not open refuses the thaw and those opened before are closed")
{
	Vkernel v;
	v.add_device("a");
	REQUIRE(v.arm() == 0);
	REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT);
	v.die();
	v.log.lines.clear();
	v.opened.open_result = -ENXIO;
	CHECK(v.thaw(v.image) == -ENXIO);
	CHECK(reason(v) == "DEVICE_MISSING");
	CHECK(std::string(v.err.subject) == "a");
	v.opened.open_result = 0;
	CHECK(v.thaw(v.image) == 0);
}

TEST_CASE("a device with policy drop may be missing")
{
	Vkernel v;
	v.add_device("a", VKCKPT_POLICY_DROP);
	REQUIRE(v.arm() == 0);
	REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT);
	v.die();
	v.opened.open_result = -ENXIO;
	REQUIRE(v.thaw(v.image) == 0);
	CHECK(vkckpt_device_at(v.ck, 0) == nullptr);
}

TEST_CASE("a disk with policy drop may be missing, but not be somebody else's by now")
{
	Vkernel v;
	const std::string disk = v.dir / "disk";
	REQUIRE(v.add_disk("disk0", disk) == 0);
	v.devices[0].policy = VKCKPT_POLICY_DROP;
	REQUIRE(v.arm() == 0);
	REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT);
	v.die();
	struct vkckpt_disk other = {};
	const int fd = open(disk.c_str(), O_RDWR);
	REQUIRE(vkckpt_disk_discard(disk.c_str(), &v.err) == 0);
	CHECK(v.thaw(v.image) < 0);
	CHECK(reason(v) == "DISK_SUPERSEDED");
	REQUIRE(vkckpt_disk_boot(&other, disk.c_str(), fd, &v.err) == 0);
	CHECK(v.thaw(v.image) < 0);
	CHECK(reason(v) == "DISK_IN_USE");
	vkckpt_disk_shutdown(&other);
	close(fd);
	REQUIRE(unlink(disk.c_str()) == 0);
	REQUIRE(unlink((disk + ".vkckpt").c_str()) == 0);
	CHECK(v.thaw(v.image) == 0);
}

TEST_CASE("a dry run opens and closes the devices and changes nothing")
{
	Vkernel v;
	v.add_device("a").value = 3;
	REQUIRE(v.arm() == 0);
	REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT);
	v.die();
	v.log.lines.clear();
	v.dry_run = 1;
	v.overrides.push_back("a.value=4");
	CHECK(v.thaw(v.image) == 0);
	CHECK(v.ck == nullptr);
	CHECK(v.log.text() == "a.open a.close");
	CHECK(v.opened.devices.at(0).value == 4);
	v.dry_run = 0;
	CHECK(v.thaw(v.image) == 0);
}

TEST_CASE("a dry run tells every refusal, a thaw only the first")
{
	Vkernel v;
	v.add_device("a");
	v.add_device("b");
	REQUIRE(v.add_disk("disk0", v.dir.path + "/disk") == 0);
	REQUIRE(v.arm() == 0);
	REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT);
	v.die();
	spill(v.dir.path + "/disk", "changed");
	v.log.lines.clear();
	v.config.build_id = "abcd";
	v.config.build_id_bytes = 4;
	v.config.pagetable_format = VKCKPT_PT_DRAGONFLY;
	v.config.resume_kind = VKCKPT_RESUME_CONTEXT;
	v.overrides = { "a.value=4", "a.nothing=1", "c.value=1" };
	void *taken = mmap(v.ram(), 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	REQUIRE(taken == v.ram());

	CHECK(v.thaw(v.image) == -ENOTSUP);
	CHECK(reason(v) == "BUILD_DIFFERS");
	CHECK(v.refusals.empty());

	v.dry_run = 1;
	CHECK(v.thaw(v.image) == -ENOTSUP);
	CHECK(reason(v) == "BUILD_DIFFERS");
	REQUIRE(v.refusals.size() == 7);
	CHECK(v.refusals[0].find("BUILD_DIFFERS written by build ") == 0);
	CHECK(v.refusals[1] == "LAYOUT_DIFFERS pagetable_format");
	CHECK(v.refusals[2] == "RESUME_DIFFERS resume_kind");
	CHECK(v.refusals[3].find("OVERRIDE_UNKNOWN") == 0);
	CHECK(v.refusals[4].find("OVERRIDE_UNKNOWN") == 0);
	CHECK(v.refusals[5] == "ADDRESS_TAKEN segment 0");
	CHECK(v.refusals[6].find("DISK_CHANGED") == 0);
	CHECK(v.log.text() == "a.open b.open disk0.open b.close a.close");	// nothing is kept, whatever was refused

	munmap(taken, 4096);
	v.dry_run = 0;
	v.config.build_id_bytes = 0;
	v.config.build_id = nullptr;
	v.config.pagetable_format = VKCKPT_PT_NONE;
	v.config.resume_kind = VKCKPT_RESUME_ENTRY;
	v.overrides.clear();
	CHECK(v.thaw(v.image) == -ESTALE);
	CHECK(reason(v) == "DISK_CHANGED");
}

TEST_CASE("a damaged image is refused whole and its RAM given back")
{
	Vkernel v;
	v.make_ram();
	for (size_t i = 0; i < kRamBytes; i++)
		v.ram()[i] = (uint8_t)rand();
	REQUIRE(v.arm() == 0);
	REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT);
	v.die();
	std::string good = slurp(v.image);
	for (size_t at : { (size_t)100, good.size() / 2, good.size() - 10 }) {
		std::string bad = good;
		bad[at] = (char)(bad[at] ^ 1);
		spill(v.image, bad);
		CHECK(v.thaw(v.image) == -EBADMSG);
	}
	spill(v.image, good.substr(0, good.size() - 4096));
	CHECK(v.thaw(v.image) < 0);
	spill(v.image, good);
	REQUIRE(v.thaw(v.image) == 0);
}

TEST_CASE("an image goes through a pipe both ways")
{
	Vkernel v;
	int out[2];
	REQUIRE(pipe(out) == 0);
	v.config.image_path = nullptr;
	v.config.image_fd = out[1];
	v.make_ram();
	memset(v.ram(), 'p', 4096 * 5);
	REQUIRE(v.arm() == 0);
	std::string copy = v.dir / "copy";
	pid_t reader = fork();
	if (reader == 0) {
		close(out[1]);
		std::string all;
		char buffer[65536];
		for (ssize_t n; (n = read(out[0], buffer, sizeof buffer)) > 0;)
			all.append(buffer, (size_t)n);
		spill(copy, all);
		_exit(0);
	}
	close(out[0]);
	REQUIRE(v.request(VKCKPT_ACTION_CONTINUE) == VKCKPT_RESUMED);
	CHECK(v.last_resumed.reason == 0);
	REQUIRE(v.request(VKCKPT_ACTION_CONTINUE) == VKCKPT_RESUMED);
	CHECK(v.last_resumed.reason == VKCKPT_R_BAD_ARGUMENT);	// a descriptor takes one image
	close(out[1]);
	int status;
	REQUIRE(waitpid(reader, &status, 0) == reader);
	v.die();
	int in[2];
	REQUIRE(pipe(in) == 0);
	pid_t writer = fork();
	if (writer == 0) {
		close(in[0]);
		std::string all = slurp(copy);
		for (size_t at = 0; at < all.size();) {
			ssize_t n = write(in[1], all.data() + at, std::min<size_t>(777, all.size() - at));
			if (n <= 0)
				_exit(1);
			at += (size_t)n;
		}
		_exit(0);
	}
	close(in[1]);
	v.thaw_fd = in[0];
	v.config.image_path = v.image.c_str();
	int r = v.thaw("");
	INFO(v.err.message);
	CHECK(r == 0);
	CHECK(v.ram()[4096 * 5 - 1] == 'p');
	close(in[0]);
	waitpid(writer, &status, 0);
}

namespace {
// A vCPU of kind CONTEXT in a process of its own; what it finds goes to a file.
struct vkckpt *context_ck;
char context_report[256];

void context_main(void *)
{
	volatile int *counter = reinterpret_cast<int *>(kRam);
	uint64_t kept = 0x1122334455667788;
	double half = 0.5;
	asm volatile("" : "+r"(kept));
	*counter = 41;
	vkckpt_request(context_ck, VKCKPT_REQUEST(VKCKPT_ACTION_EXIT, 0, 0));
	int v;
	do
		v = vkckpt_safe_point(context_ck, 0);
	while (v == VKCKPT_PENDING || v == VKCKPT_NOTHING);
	asm volatile("" : "+r"(kept));
	if (v == VKCKPT_EXIT)
		_exit(VKCKPT_EXIT_SUSPENDED);
	if (v == VKCKPT_THAWED && *counter == 41 && kept == 0x1122334455667788 && half * 2 == 1)
		_exit(7);
	_exit(1);
}
}

TEST_CASE("a saved context goes on behind its safe point in another process")
{
	TempDir dir;
	std::string image = dir / "image";
	auto child = [&](bool thaw) {
		pid_t pid = fork();
		if (pid == 0) {
			Vkernel *v = new Vkernel;
			v->config.resume_kind = VKCKPT_RESUME_CONTEXT;
			v->config.image_path = image.c_str();
			v->config.run_dir = nullptr;
			if (thaw) {
				if (v->thaw(image) < 0) {
					write(2, v->err.message, strlen(v->err.message));
					_exit(2);
				}
				context_ck = v->ck;
				vkckpt_resume(v->ck, 0);
				_exit(3);
			}
			if (v->arm() < 0)
				_exit(2);
			context_ck = v->ck;
			vkckpt_enter_stack(v->ram() + kRamBytes, context_main, nullptr);
		}
		int status = 0;
		waitpid(pid, &status, 0);
		return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
	};
	(void)context_report;
	REQUIRE(child(false) == VKCKPT_EXIT_SUSPENDED);
	CHECK(child(true) == 7);
	CHECK(child(true) == 7);
}

TEST_CASE("a context whose stack would not be in the image refuses the checkpoint")
{
	Vkernel v;
	v.config.resume_kind = VKCKPT_RESUME_CONTEXT;
	REQUIRE(v.arm() == 0);
	REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_RESUMED);	// from the test's own stack
	CHECK(v.last_resumed.reason == VKCKPT_R_BAD_ARGUMENT);
	CHECK_FALSE(exists(v.image));
}

TEST_CASE("secrets are in no image, in RAM and in regions, to the byte, and the vkernel that goes on keeps them")
{
	Vkernel v;
	v.regions.push_back({ "bss", region_memory, sizeof region_memory });
	v.make_ram();
	memset(v.ram(), 'r', 8 * 4096);
	memset(region_memory, 'b', sizeof region_memory);
	const struct vkckpt_secret secrets[] = {
		{ v.ram() + 4090, 12 },				// over the end of a frame
		{ region_memory + 65530, 12 },			// over the end of a chunk
		{ region_memory + sizeof region_memory - 1, 1 },
	};
	v.config.secrets = secrets;
	v.config.secret_count = 3;
	v.hooks.frame_states = [](void *, unsigned, uint64_t first, unsigned count, uint8_t *state, uint8_t *) {
		for (unsigned i = 0; i < count; i++)
			state[i] = first + i == 5 ? VKCKPT_FRAME_SECRET : VKCKPT_FRAME_LIVE;
	};
	REQUIRE(v.arm() == 0);
	REQUIRE(v.request(VKCKPT_ACTION_CONTINUE) == VKCKPT_RESUMED);
	CHECK(std::count(v.ram(), v.ram() + 8 * 4096, 'r') == 8 * 4096);
	CHECK(std::count(region_memory, std::end(region_memory), 'b') == sizeof region_memory);
	struct vkckpt_image *image = nullptr;
	REQUIRE(vkckpt_image_open(v.image.c_str(), &image, &v.err) == 0);
	CHECK(vkckpt_image_stats(image)->frames_secret == 1);
	vkckpt_image_close(image);
	v.die();
	memset(region_memory, 'x', sizeof region_memory);
	REQUIRE(v.thaw(v.image) == 0);
	auto zeros = [](const uint8_t *p, size_t count) { return std::count(p, p + count, 0) == (long)count; };
	CHECK(std::count(v.ram(), v.ram() + 8 * 4096, 'r') == 7 * 4096 - 12);
	CHECK(zeros(v.ram() + 4090, 12));
	CHECK(zeros(v.ram() + 5 * 4096, 4096));
	CHECK(std::count(region_memory, std::end(region_memory), 'b') == sizeof region_memory - 13);
	CHECK(zeros(region_memory + 65530, 12));
	CHECK(zeros(std::end(region_memory) - 1, 1));
}

TEST_CASE("a secret must lie inside RAM or a region")
{
	Vkernel v;
	v.regions.push_back({ "bss", region_memory, sizeof region_memory });
	v.make_ram();
	struct vkckpt_secret secret = { region_memory + 10, sizeof region_memory - 9 };
	v.config.secrets = &secret;
	v.config.secret_count = 1;
	CHECK(v.arm() == -EINVAL);
	CHECK(std::string(v.err.subject).find("secrets") == 0);
	secret = { v.ram() - 1, 2 };
	CHECK(v.arm() == -EINVAL);
	secret = { v.ram(), 0 };
	CHECK(v.arm() == -EINVAL);
	v.config.secrets = nullptr;
	CHECK(v.arm() == -EINVAL);
	v.config.secret_count = VKCKPT_MAX_SECRETS + 1;
	CHECK(v.arm() == -ENOBUFS);
}
