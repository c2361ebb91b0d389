// A vkernel that keeps a chain: names, parents, what makes an image a full one, and going on after a thaw.
#include <catch2/catch.hpp>

#include <errno.h>
#include <sys/stat.h>

#include "test/unit/fixture.h"

using namespace fixture;

namespace {

struct ChainVkernel : Vkernel {
	ChainVkernel()
	{
		image = dir / "web.ckpt";
		config.image_path = image.c_str();
		config.chain = 4;
		make_ram();
		for (size_t i = 0; i < kRamBytes; i += 64)
			ram()[i] = static_cast<uint8_t>(i >> 12 ^ i >> 6 | 1);
	}
	std::string member(unsigned n)
	{
		char name[32];
		snprintf(name, sizeof name, "web.%04u.ckpt", n);
		return dir / name;
	}
	void touch(unsigned frame) { ram()[frame * 4096 + 5]++; }
	int checkpoint(unsigned flags = 0) { return request(VKCKPT_ACTION_CONTINUE, 0, flags); }
	std::string last(uint32_t *length = nullptr) { return vkckpt_last_image(ck, length); }
};

struct Facts {
	uint32_t reason = 0;
	bool full = false;
	uint64_t stored = 0, parent = 0;
	int ancestors = -1;
	std::string parent_path;
};
Facts facts(const std::string &path)
{
	Facts f;
	struct vkckpt_error err = {};
	struct vkckpt_image *image = nullptr;
	if (vkckpt_image_open(path.c_str(), &image, &err) < 0) {
		f.reason = err.reason;
		return f;
	}
	struct vkckpt_uuid none = {};
	f.full = !memcmp(&vkckpt_image_identity(image)->parent_id, &none, sizeof none);
	f.parent_path = vkckpt_image_identity(image)->parent_path;
	f.stored = vkckpt_image_stats(image)->frames_stored;
	f.parent = vkckpt_image_stats(image)->frames_parent;
	f.ancestors = vkckpt_image_chain(image, nullptr, &err);
	if (f.ancestors < 0)
		f.reason = err.reason;
	vkckpt_image_close(image);
	return f;
}
uint32_t verify(const std::string &path)
{
	struct vkckpt_error err = {};
	return vkckpt_image_verify(path.c_str(), -1, nullptr, nullptr, &err) < 0 ? err.reason : 0;
}

}  // namespace

TEST_CASE("checkpoints of a chain get names of their own, hold what changed, and after so many comes a full one")
{
	ChainVkernel v;
	REQUIRE(v.arm() == 0);
	CHECK(v.last() == "");
	CHECK(v.entry().chain_limit == 4);
	for (unsigned n = 1; n <= 6; n++) {
		v.touch(n);
		v.touch(n + 40);
		REQUIRE(v.checkpoint() == VKCKPT_RESUMED);
		Facts f = facts(v.member(n));
		INFO("image " << n);
		uint32_t length = 0;
		CHECK(v.last(&length) == v.member(n));
		CHECK(length == (n - 1) % 4 + 1);
		CHECK(v.entry().chain_length == length);
		CHECK(std::string(v.entry().last_image) == v.member(n));
		CHECK(v.entry().warning_reason == 0);
		CHECK(verify(v.member(n)) == 0);
		CHECK(f.ancestors == static_cast<int>((n - 1) % 4));
		if (n % 4 == 1) {
			CHECK(f.full);
			CHECK(f.stored == kRamBytes / 4096);
		} else {
			CHECK(f.parent_path == "web.000" + std::to_string(n - 1) + ".ckpt");
			CHECK(f.stored == 2);
			CHECK(f.parent == kRamBytes / 4096 - 2);
		}
	}
	CHECK_FALSE(exists(v.image));
	CHECK_FALSE(exists(v.member(6) + ".part"));
}

TEST_CASE("each image of a chain thaws to its own moment, and the chain goes on from there under new names")
{
	ChainVkernel v;
	REQUIRE(v.arm() == 0);
	for (unsigned n = 1; n <= 3; n++) {
		v.ram()[7] = static_cast<uint8_t>(n);
		v.ram()[n * 65536] = static_cast<uint8_t>(100 + n);
		REQUIRE(v.checkpoint() == VKCKPT_RESUMED);
	}
	for (unsigned n : { 3u, 1u, 2u }) {
		v.die();
		v.config.chain = 0;
		v.config.image_path = nullptr;
		REQUIRE(v.thaw(v.member(n)) == 0);
		CHECK(v.ram()[7] == n);
		for (unsigned k = 1; k <= 3; k++)
			CHECK((v.ram()[k * 65536] == 100 + k) == (k <= n));
		CHECK(v.ram()[200 * 4096] == static_cast<uint8_t>((200 * 4096) >> 12 ^ (200 * 4096) >> 6 | 1));
		CHECK(v.entry().chain_limit == VKCKPT_CHAIN_DEFAULT);
		v.segment.fd = -1;
	}
	v.touch(9);
	REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT);
	Facts f = facts(v.member(4));
	CHECK(f.ancestors == 2);
	CHECK(f.parent_path == "web.0002.ckpt");
	CHECK(f.stored == 15);	// what image 2 took of the chunk from its parent, as a whole: an index knows no single frames
	CHECK(verify(v.member(4)) == 0);
	v.die();
	REQUIRE(v.thaw(v.member(4)) == 0);
	CHECK(v.ram()[7] == 2);
	v.touch(9);
	REQUIRE(v.checkpoint() == VKCKPT_RESUMED);
	v.touch(9);
	REQUIRE(v.checkpoint() == VKCKPT_RESUMED);
	CHECK(facts(v.member(6)).stored == 1);
	CHECK(facts(v.member(6)).ancestors == 4);
	CHECK(verify(v.member(6)) == 0);
	v.segment.fd = -1;
}

TEST_CASE("a full image on request begins a new chain")
{
	ChainVkernel v;
	REQUIRE(v.arm() == 0);
	REQUIRE(v.checkpoint() == VKCKPT_RESUMED);
	REQUIRE(v.checkpoint() == VKCKPT_RESUMED);
	REQUIRE(v.checkpoint(VKCKPT_REQUEST_FULL) == VKCKPT_RESUMED);
	CHECK(facts(v.member(2)).ancestors == 1);
	CHECK(facts(v.member(3)).full);
	REQUIRE(v.checkpoint() == VKCKPT_RESUMED);
	CHECK(facts(v.member(4)).parent_path == "web.0003.ckpt");
	CHECK(facts(v.member(4)).stored == 0);
}

TEST_CASE("without one of the images it would need, the next one is a full one, and that is said")
{
	ChainVkernel v;
	REQUIRE(v.arm() == 0);
	for (int i = 0; i < 3; i++)
		REQUIRE(v.checkpoint() == VKCKPT_RESUMED);
	SECTION("the oldest is gone")
	unlink(v.member(1).c_str());
	SECTION("the newest is gone")
	unlink(v.member(3).c_str());
	SECTION("another one lies in its place")
	spill(v.member(2), slurp(v.member(1)));
	REQUIRE(v.checkpoint() == VKCKPT_RESUMED);
	CHECK(facts(v.member(4)).full);
	CHECK(v.entry().warning_reason == VKCKPT_R_PARENT_MISSING);
	REQUIRE(v.checkpoint() == VKCKPT_RESUMED);
	CHECK(facts(v.member(5)).ancestors == 1);
	CHECK(v.entry().warning_reason == 0);
	CHECK(verify(v.member(5)) == 0);
}

TEST_CASE("nothing that lies there is ever replaced, whoever made it")
{
	ChainVkernel v;
	spill(v.member(7), "mine");
	spill(v.dir / "web.123.ckpt", "too few digits");
	spill(v.dir / "web.0050.ckpt.part", "left over");
	spill(v.dir / "other.0099.ckpt", "of another");
	REQUIRE(v.arm() == 0);
	spill(v.member(8), "made since");
	mkdir(v.member(9).c_str(), 0700);
	REQUIRE(symlink("nowhere", v.member(10).c_str()) == 0);
	REQUIRE(v.checkpoint() == VKCKPT_RESUMED);
	CHECK(v.last() == v.member(11));
	CHECK(slurp(v.member(7)) == "mine");
	CHECK(slurp(v.member(8)) == "made since");
	spill(v.member(12) + ".part", "left over by one that was killed");
	REQUIRE(v.checkpoint() == VKCKPT_RESUMED);
	CHECK(v.last() == v.member(12));
	CHECK_FALSE(exists(v.member(12) + ".part"));
}

TEST_CASE("a checkpoint of a chain that fails changes nothing of it")
{
	ChainVkernel v;
	Device &d = v.add_device("net");
	REQUIRE(v.arm() == 0);
	REQUIRE(v.checkpoint() == VKCKPT_RESUMED);
	v.touch(3);
	d.save_result = -EIO;
	REQUIRE(v.checkpoint() == VKCKPT_RESUMED);
	CHECK(v.last_resumed.reason == VKCKPT_R_HOOK_FAILED);
	CHECK(v.last() == v.member(1));
	CHECK_FALSE(exists(v.member(2)));
	CHECK_FALSE(exists(v.member(2) + ".part"));
	d.save_result = 0;
	v.touch(4);
	REQUIRE(v.checkpoint() == VKCKPT_RESUMED);
	CHECK(facts(v.member(2)).stored == 2);
	CHECK(verify(v.member(2)) == 0);
}

TEST_CASE("a vkernel without a chain replaces its image, and thawing a member it uses the name without a number")
{
	ChainVkernel v;
	REQUIRE(v.arm() == 0);
	REQUIRE(v.checkpoint() == VKCKPT_RESUMED);
	v.die();
	v.config.chain = VKCKPT_CHAIN_OFF;
	v.config.image_path = nullptr;
	REQUIRE(v.thaw(v.member(1)) == 0);
	CHECK(v.entry().chain_limit == 0);
	const std::string before = slurp(v.member(1));
	for (int i = 0; i < 2; i++) {
		REQUIRE(v.checkpoint() == VKCKPT_RESUMED);
		CHECK(v.last() == v.image);
		CHECK(facts(v.image).full);
	}
	CHECK(slurp(v.member(1)) == before);
	CHECK_FALSE(exists(v.member(2)));
	v.segment.fd = -1;
}

TEST_CASE("an incremental image is refused before anything is touched when its chain is not whole")
{
	ChainVkernel v;
	REQUIRE(v.arm() == 0);
	for (int i = 0; i < 3; i++) {
		v.touch(3);
		REQUIRE(v.checkpoint() == VKCKPT_RESUMED);
	}
	v.die();
	const std::string two = slurp(v.member(2));
	uint32_t expected = 0;
	SECTION("a parent is missing")
	{
		unlink(v.member(2).c_str());
		expected = VKCKPT_R_PARENT_MISSING;
	}
	SECTION("a parent is another image")
	{
		spill(v.member(2), slurp(v.member(1)));
		expected = VKCKPT_R_PARENT_CHANGED;
	}
	SECTION("a parent is cut short")
	{
		spill(v.member(2), two.substr(0, two.size() - 4096));
		expected = VKCKPT_R_TRUNCATED;
	}
	CHECK(v.thaw(v.member(3)) < 0);
	CHECK(v.err.reason == expected);
	CHECK(std::string(v.err.message).find("web.0002.ckpt") != std::string::npos);
	CHECK(v.log.text().find("open") == std::string::npos);
	spill(v.member(2), two);
	REQUIRE(v.thaw(v.member(3)) == 0);
	v.segment.fd = -1;
}

TEST_CASE("an incremental image from a descriptor is refused with the remedy, or thawed with the parent that is named")
{
	ChainVkernel v;
	REQUIRE(v.arm() == 0);
	REQUIRE(v.checkpoint() == VKCKPT_RESUMED);
	v.touch(3);
	REQUIRE(v.checkpoint() == VKCKPT_RESUMED);
	uint8_t then = v.ram()[3 * 4096 + 5];
	v.die();
	v.thaw_fd = open(v.member(2).c_str(), O_RDONLY | O_CLOEXEC);
	CHECK(v.thaw("") == -ESPIPE);
	CHECK(v.err.reason == VKCKPT_R_PARENT_NEEDED);
	CHECK(std::string(v.err.message).find("vkckpt flatten") != std::string::npos);
	lseek(v.thaw_fd, 0, SEEK_SET);
	const std::string parent = v.member(1);
	v.thaw_parent = parent.c_str();
	REQUIRE(v.thaw("") == 0);
	CHECK(v.ram()[3 * 4096 + 5] == then);
	// It does not know where its image lies, so the next one is a full one.
	REQUIRE(v.checkpoint() == VKCKPT_RESUMED);
	CHECK(facts(v.last()).full);
	close(v.thaw_fd);
	v.segment.fd = -1;
}

TEST_CASE("the first image is built on the one that is named, in another folder too")
{
	ChainVkernel v;
	REQUIRE(v.arm() == 0);
	REQUIRE(v.checkpoint() == VKCKPT_RESUMED);
	v.disarm();
	mkdir((v.dir / "sub").c_str(), 0700);
	const std::string image = v.dir / "sub/next.ckpt", parent = v.dir / "sub/../web.0001.ckpt";
	v.config.image_path = image.c_str();
	v.config.parent_path = parent.c_str();
	REQUIRE(v.arm() == 0);
	v.touch(20);
	REQUIRE(v.checkpoint() == VKCKPT_RESUMED);
	CHECK(v.last() == v.dir / "sub/next.0001.ckpt");
	Facts f = facts(v.last());
	CHECK(f.parent_path == "../web.0001.ckpt");
	CHECK(f.ancestors == 1);
	CHECK(f.stored == 16);
	CHECK(verify(v.last()) == 0);
}

TEST_CASE("what cannot be a parent, and what does not go with a chain, is refused at arm")
{
	ChainVkernel v;
	auto refused = [&](uint32_t reason) {
		int r = v.arm();
		if (r == 0)
			v.disarm();
		CHECK(vkckpt_reason_name(v.err.reason) == std::string(vkckpt_reason_name(reason)));
		CHECK(r < 0);
		return std::string(v.err.message);
	};
	v.config.chain = 0;
	REQUIRE(v.arm() == 0);
	REQUIRE(v.checkpoint() == VKCKPT_RESUMED);	// without content hashes
	v.disarm();
	const std::string plain = v.image, missing = v.dir / "missing";
	v.config.parent_path = plain.c_str();
	CHECK(refused(VKCKPT_R_BAD_ARGUMENT).find("parent_path") != std::string::npos);
	v.config.chain = 4;
	CHECK(refused(VKCKPT_R_PARENT_UNFIT).find("web.ckpt") != std::string::npos);
	v.config.parent_path = missing.c_str();
	refused(VKCKPT_R_NOT_FOUND);
	v.config.parent_path = nullptr;
	v.config.chain = VKCKPT_MAX_CHAIN + 1;
	refused(VKCKPT_R_LIMIT);
	v.config.chain = 4;
	v.config.image_path = nullptr;
	v.config.image_fd = 1;
	CHECK(refused(VKCKPT_R_BAD_ARGUMENT).find("chain") != std::string::npos);
	const std::string endless = v.dir / std::string(200, 'x') + std::string(1, '/') + std::string(900, 'y');
	v.config.image_path = endless.c_str();
	refused(VKCKPT_R_BAD_ARGUMENT);
}

TEST_CASE("a parent of another vkernel's size is refused")
{
	ChainVkernel v;
	REQUIRE(v.arm() == 0);
	REQUIRE(v.checkpoint() == VKCKPT_RESUMED);
	v.disarm();
	const std::string parent = v.member(1);
	struct vkckpt_segment half = v.segment;
	half.size_bytes /= 2;
	v.config.segments = &half;
	v.config.parent_path = parent.c_str();
	CHECK(v.arm() < 0);
	CHECK(v.err.reason == VKCKPT_R_PARENT_UNFIT);
}

TEST_CASE("frames that were freed, turned zero or were never touched are not taken from the parent")
{
	ChainVkernel v;
	static bool freed;
	freed = false;
	v.hooks.frame_states = [](void *, unsigned, uint64_t first, unsigned count, uint8_t *state, uint8_t *) {
		for (unsigned i = 0; i < count; i++)
			if (freed && first + i >= 16 && first + i < 24)
				state[i] = VKCKPT_FRAME_FREE;
	};
	REQUIRE(v.arm() == 0);
	REQUIRE(v.checkpoint() == VKCKPT_RESUMED);
	freed = true;
	memset(v.ram() + 24 * 4096, 0, 4096);
	REQUIRE(v.checkpoint() == VKCKPT_RESUMED);
	CHECK(facts(v.member(2)).stored == 0);
	v.die();
	REQUIRE(v.thaw(v.member(2)) == 0);
	for (unsigned f = 0; f < 40; f++)
		CHECK((v.ram()[f * 4096] == 0) == (f >= 16 && f <= 24));
	v.segment.fd = -1;
}

TEST_CASE("a disk belongs to the newest image of a chain alone")
{
	ChainVkernel v;
	REQUIRE(v.add_disk("disk0", v.dir / "disk") == 0);
	REQUIRE(v.arm() == 0);
	REQUIRE(v.checkpoint(VKCKPT_REQUEST_RAM_ONLY) == VKCKPT_RESUMED);
	v.touch(3);
	REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT);
	v.die();
	CHECK(v.thaw(v.member(1)) < 0);
	INFO(v.err.message);
	CHECK((v.err.reason == VKCKPT_R_DISK_SUPERSEDED || v.err.reason == VKCKPT_R_DISK_SUSPENDED ||
	    v.err.reason == VKCKPT_R_DISK_CHANGED));
	struct vkckpt_f_sidecar sidecar = {};
	struct vkckpt_error err = {};
	REQUIRE(vkckpt_disk_inspect((v.dir / "disk").c_str(), &sidecar, &err) == 0);
	CHECK(std::string(sidecar.image_path) == v.member(2));
	REQUIRE(v.thaw(v.member(2)) == 0);
	v.touch(4);
	REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT);
	v.die();
	for (Device &d : v.opened.devices)
		vkckpt_disk_release(&d.fence), close(d.disk_fd);
	CHECK(v.thaw(v.member(2)) < 0);		// superseded by its own child
	CHECK(v.err.reason == VKCKPT_R_DISK_SUPERSEDED);
	REQUIRE(v.thaw(v.member(3)) == 0);
	CHECK(facts(v.member(3)).ancestors == 2);
	v.segment.fd = -1;
}
