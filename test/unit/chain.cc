// Chains of images: what is as in the parent is found, and nothing wrong with a chain gets past the readers.
#include <catch2/catch.hpp>

#include <sys/stat.h>

#include <fcntl.h>
#include <sys/stat.h>

#include "test/unit/chain_support.h"

using namespace chain_test;

TEST_CASE("every image of a chain of ten has its own frames", "[chain]")
{
	Chain c;
	std::vector<Frames> then;
	for (unsigned i = 0; i < 10; i++) {
		c.write();
		then.push_back(c.frames);
		for (unsigned k = 0; k < 4; k++) {	// changed, gone, come, turned zero
			uint64_t f = c.random() % 80;
			switch (c.random() % 4) {
			case 0: c.frames.erase({ 0, f }); break;
			case 1: c.frames[{ 0, f }] = Bytes(VKCKPT_FRAME); break;
			default: c.frames[{ 0, f }] = frame_of(Fill::text, c.random);
			}
		}
	}
	for (unsigned i = 1; i <= 10; i++) {
		INFO("image " << i);
		REQUIRE(c.verify(i) == 0);
		Frames random_access, streamed;
		REQUIRE(c.read(i, &random_access) == 0);
		REQUIRE(random_access == then[i - 1]);
		REQUIRE(c.stream(i, &streamed).reason == 0);
		REQUIRE(streamed == then[i - 1]);
		if (i > 1)
			REQUIRE(c.load(i).size() < c.load(1).size() * 2 / 3);
	}
}

TEST_CASE("an unchanged image stores no frame, one that changed all is as a full one", "[chain]")
{
	Chain c;
	c.write();
	c.write();
	struct vkckpt_error err = {};
	struct vkckpt_image *image = nullptr;
	REQUIRE(vkckpt_image_open(c.path(2).c_str(), &image, &err) == 0);
	REQUIRE(vkckpt_image_stats(image)->frames_stored == 0);
	REQUIRE(vkckpt_image_stats(image)->stored_bytes == 0);
	REQUIRE(vkckpt_image_stats(image)->frames_parent > 50);
	REQUIRE(vkckpt_image_chain(image, nullptr, &err) == 1);
	struct vkckpt_ancestor parent;
	REQUIRE(vkckpt_image_ancestor(image, 0, &parent) == 1);
	REQUIRE(std::string(parent.path) == c.path(1));
	REQUIRE(parent.header->image_id.bytes[0] == 3);
	REQUIRE(vkckpt_image_ancestor(image, 1, &parent) == 0);
	vkckpt_image_close(image);
	for (auto &[place, frame] : c.frames)
		frame = frame_of(Fill::noise, c.random);
	c.write();
	Frames all;
	REQUIRE(c.read(3, &all) == 0);
	REQUIRE(all == c.frames);
}

TEST_CASE("a full image with content hashes is readable without a chain, one without them is as of format 1.0", "[chain]")
{
	Chain c;
	c.write();
	Frames all;
	REQUIRE(read_bytes(c.load(1)).ok());
	vk::ImageShape plain = chain_shape();
	plain.features = 0;
	TempFile file;
	REQUIRE(write_image(file.fd(), plain, c.frames).ok());
	Bytes image = file.content();
	REQUIRE(at<vkckpt_f_header>(image, 0).required_features == 0);
	uint64_t group = offset_of_type(image, VKCKPT_REC_RAM_GROUP) + sizeof(vkckpt_f_record) + sizeof(vkckpt_f_group);
	REQUIRE(vk::digest_is_zero(at<vkckpt_f_chunk>(image, group).content));
}

TEST_CASE("an incremental image from a pipe is refused with the remedy, or read with the parent that is named", "[chain]")
{
	Chain c;
	c.write();
	c.write();
	int fd = open(c.path(2).c_str(), O_RDONLY | O_CLOEXEC);
	struct vkckpt_error err = {};
	REQUIRE(vkckpt_image_verify(nullptr, fd, nullptr, nullptr, &err) == -ESPIPE);
	REQUIRE(err.reason == VKCKPT_R_PARENT_NEEDED);
	REQUIRE(std::string(err.message).find("vkckpt flatten") != std::string::npos);
	close(fd);
	mkdir((c.dir / "elsewhere").c_str(), 0700);
	REQUIRE(rename(c.path(1).c_str(), (c.dir / "elsewhere/full").c_str()) == 0);
	REQUIRE(c.verify(2) == VKCKPT_R_PARENT_MISSING);
	Frames all;
	REQUIRE(c.stream(2, &all, (c.dir / "elsewhere/full").c_str()).reason == 0);
	REQUIRE(all == c.frames);
}

TEST_CASE("a link to an image finds its parent beside the image", "[chain]")
{
	Chain c;
	c.write();
	c.write();
	mkdir((c.dir / "links").c_str(), 0700);
	std::string link = c.dir / "links/newest";
	REQUIRE(symlink("../web.2", link.c_str()) == 0);
	REQUIRE(vkckpt_image_verify(link.c_str(), -1, nullptr, nullptr, nullptr) == 0);
}

TEST_CASE("a parent that is missing, another image, no file or damaged is refused by its name", "[chain]")
{
	Chain c;
	for (int i = 0; i < 3; i++)
		c.write();
	const Bytes one = c.load(1), two = c.load(2);
	struct vkckpt_error err = {};
	auto message = [&] {
		REQUIRE(vkckpt_image_verify(c.path(3).c_str(), -1, nullptr, nullptr, &err) < 0);
		return std::string(err.message);
	};
	unlink(c.path(1).c_str());
	REQUIRE(c.verify(3) == VKCKPT_R_PARENT_MISSING);
	REQUIRE(c.read(3) == VKCKPT_R_PARENT_MISSING);
	REQUIRE(message().find("web.1") != std::string::npos);
	c.store(1, two);
	REQUIRE(c.verify(3) == VKCKPT_R_PARENT_CHANGED);
	REQUIRE(c.read(3) == VKCKPT_R_PARENT_CHANGED);
	unlink(c.path(1).c_str());
	REQUIRE(mkfifo(c.path(1).c_str(), 0600) == 0);
	REQUIRE(c.verify(3) == VKCKPT_R_PARENT_MISSING);	// and does not wait for a writer
	unlink(c.path(1).c_str());
	REQUIRE(mkdir(c.path(1).c_str(), 0700) == 0);
	REQUIRE(c.verify(3) == VKCKPT_R_PARENT_MISSING);
	rmdir(c.path(1).c_str());
	fixture::spill(c.path(1), "root:x:0:0:root:/root:/bin/sh\n");
	REQUIRE(c.verify(3) == VKCKPT_R_NOT_AN_IMAGE);
	REQUIRE(message().find("web.1") != std::string::npos);
	c.store(1, Bytes(one.begin(), one.end() - 4096));
	REQUIRE(c.verify(3) == VKCKPT_R_TRUNCATED);
	c.store(1, one);
	REQUIRE(c.verify(3) == 0);
}

TEST_CASE("every byte of an ancestor counts for verify, and those that are needed for reading", "[chain]")
{
	Chain c;
	c.write();
	c.write();
	const Bytes one = c.load(1);
	unsigned unread = 0;
	for (size_t at = 0; at < one.size(); at += 401) {
		Bytes bad = one;
		bad[at] ^= 0x10;
		c.store(1, bad);
		INFO("byte " << at);
		REQUIRE(c.verify(2) != 0);
		Frames all;
		uint32_t reason = c.read(2, &all);
		if (reason == 0) {
			REQUIRE(all == c.frames);	// damaged where this image needs nothing
			unread++;
		}
	}
	REQUIRE(unread < one.size() / 401 / 2);
}

TEST_CASE("an ancestor that is exchanged while its descendant is verified is not taken for it", "[chain]")
{
	Chain c, other;
	for (unsigned i = 0; i < 2; i++)
		c.write();
	other.write();
	other.write();
	const Bytes stranger = other.load(1);
	struct Exchange {
		Chain *chain;
		Bytes stranger;
		bool pipe;
		static void now(void *arg, uint64_t)
		{
			Exchange &e = *static_cast<Exchange *>(arg);
			unlink(e.chain->path(1).c_str());
			if (e.pipe)
				(void)mkfifo(e.chain->path(1).c_str(), 0600);
			else
				e.chain->store(1, e.stranger);
		}
	} exchange{ &c, stranger, false };
	at<vkckpt_f_header>(exchange.stranger, 0).image_id.bytes[0] ^= 1;
	at<vkckpt_f_identity>(exchange.stranger, offset_of_type(exchange.stranger, VKCKPT_REC_IDENTITY) + sizeof(vkckpt_f_record)).image_id.bytes[0] ^= 1;
	reseal(exchange.stranger, record_offsets(exchange.stranger));
	vkckpt_error err = {};
	SECTION("by another image")
	{
		CHECK(vkckpt_image_verify(c.path(2).c_str(), -1, Exchange::now, &exchange, &err) == -ESTALE);
		CHECK(err.reason == VKCKPT_R_PARENT_CHANGED);
		CHECK(std::string(err.message).find("web.1") != std::string::npos);
	}
	SECTION("by a pipe")
	{
		exchange.pipe = true;
		CHECK(vkckpt_image_verify(c.path(2).c_str(), -1, Exchange::now, &exchange, &err) == -EINVAL);
		CHECK(err.reason == VKCKPT_R_BAD_ARGUMENT);
	}
}

TEST_CASE("loops, images that are their own parent, and chains without end are refused", "[chain]")
{
	Chain c;
	for (int i = 0; i < 3; i++)
		c.write();
	const Bytes one = c.load(1);
	auto identity = [](Bytes &image) -> vkckpt_f_identity & {
		return at<vkckpt_f_identity>(image, offset_of_type(image, VKCKPT_REC_IDENTITY) + sizeof(vkckpt_f_record));
	};
	c.forge(1, [&](Bytes &image) {
		identity(image).parent_id = uuid(9);
		strcpy(identity(image).parent_path, "web.3");
	});
	REQUIRE(c.verify(3) == VKCKPT_R_CHAIN_LOOP);
	REQUIRE(c.read(3) == VKCKPT_R_CHAIN_LOOP);
	c.forge(1, [&](Bytes &image) {
		identity(image).parent_id = uuid(6);
		strcpy(identity(image).parent_path, "web.2");
	});
	REQUIRE(c.verify(3) == VKCKPT_R_CHAIN_LOOP);
	c.store(1, one);
	c.forge(3, [&](Bytes &image) { identity(image).parent_id = uuid(9); });
	REQUIRE(c.verify(3) == VKCKPT_R_DAMAGED);	// its own parent
	c.store(1, one);
	while (c.length < VKCKPT_MAX_CHAIN + 3)
		c.write();
	REQUIRE(c.verify(VKCKPT_MAX_CHAIN + 3) == VKCKPT_R_CHAIN_TOO_DEEP);
}

TEST_CASE("the longest chain is read", "[chain]")
{
	Chain c;
	while (c.length < VKCKPT_MAX_CHAIN) {
		c.frames[{ 0, c.length }] = frame_of(Fill::text, c.random);
		c.write();
	}
	REQUIRE(c.verify(VKCKPT_MAX_CHAIN) == 0);
	Frames all;
	REQUIRE(c.read(VKCKPT_MAX_CHAIN, &all) == 0);
	REQUIRE(all == c.frames);
	c.write();
	REQUIRE(c.verify(VKCKPT_MAX_CHAIN + 1) == VKCKPT_R_CHAIN_TOO_DEEP);
}

TEST_CASE("an identity that names its parent badly is damaged", "[chain]")
{
	Chain c;
	c.write();
	c.write();
	const Bytes two = c.load(2);
	auto forged = [&](auto change) {
		c.store(2, two);
		c.forge(2, [&](Bytes &image) {
			change(image, at<vkckpt_f_identity>(image, offset_of_type(image, VKCKPT_REC_IDENTITY) + sizeof(vkckpt_f_record)));
		});
		uint32_t streamed = c.verify(2), opened = c.read(2);
		REQUIRE(streamed == opened);
		return opened;
	};
	REQUIRE(forged([](Bytes &, vkckpt_f_identity &i) { i.parent_path[0] = '/'; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Bytes &, vkckpt_f_identity &i) { memset(i.parent_path, 0, sizeof i.parent_path); }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Bytes &, vkckpt_f_identity &i) { memset(i.parent_path, 'x', sizeof i.parent_path); }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Bytes &, vkckpt_f_identity &i) { i.parent_id = {}; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Bytes &, vkckpt_f_identity &i) {
		i.parent_id = {};
		memset(i.parent_path, 0, sizeof i.parent_path);
	}) == VKCKPT_R_DAMAGED);	// entries of codec PARENT without one
	REQUIRE(forged([](Bytes &image, vkckpt_f_identity &) { at<vkckpt_f_header>(image, 0).required_features = 0; }) == VKCKPT_R_DAMAGED);
}

TEST_CASE("a forged entry of codec PARENT is refused: outside the object, not covered, with bytes, with another content", "[chain]")
{
	Chain c;
	c.write();
	c.frames.erase({ 0, 79 });	// the parent has it
	c.write();
	const Bytes two = c.load(2);
	auto forged = [&](auto change) {
		c.store(2, two);
		c.forge(2, [&](Bytes &image) { forge_parent(image, change); });
		uint32_t streamed = c.verify(2), opened = c.read(2);
		REQUIRE(streamed == opened);
		return opened;
	};
	REQUIRE(forged([](vkckpt_f_chunk &) {}) == 0);
	REQUIRE(forged([](vkckpt_f_chunk &e) { e.chunk = 1000; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](vkckpt_f_chunk &e) { e.mask = 0; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](vkckpt_f_chunk &e) { e.mask |= 1; }) == VKCKPT_R_DAMAGED);	// frame 0 is in no image
	REQUIRE(forged([](vkckpt_f_chunk &e) { e.stored_bytes = 4096; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](vkckpt_f_chunk &e) { e.offset = 4096; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](vkckpt_f_chunk &e) { e.digest.bytes[3] = 1; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](vkckpt_f_chunk &e) { e.content.bytes[3] ^= 1; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](vkckpt_f_chunk &e) { e.content = {}; }) == VKCKPT_R_DAMAGED);
}

TEST_CASE("a parent of another size is refused", "[chain]")
{
	Chain c;
	c.write();
	c.write();
	vk::ImageShape larger = shape_of({ 96 * VKCKPT_FRAME }, { 6000 });
	larger.features = VKCKPT_FEATURE_INCREMENTAL;
	TempFile file;
	Lineage l;
	l.id = 3;
	REQUIRE(write_image(file.fd(), larger, c.frames, nullptr, l).ok());
	c.store(1, file.content());
	REQUIRE(c.verify(2) == VKCKPT_R_DAMAGED);
	REQUIRE(c.read(2) == VKCKPT_R_DAMAGED);
}

TEST_CASE("a path as seen from a folder", "[chain]")
{
	auto seen = [](const char *folder, const char *to) {
		char out[64];
		return vk::relative_path(folder, to, out, sizeof out) ? std::string(out) : std::string("-");
	};
	CHECK(seen("/a/b", "/a/b/web.0001.ckpt") == "web.0001.ckpt");
	CHECK(seen("/a/b", "/a/web") == "../web");
	CHECK(seen("/a/b", "/a/bc/web") == "../bc/web");
	CHECK(seen("/a/bc", "/a/b/web") == "../b/web");
	CHECK(seen("/a", "/a/b/c/web") == "b/c/web");
	CHECK(seen("/x/y/z", "/web") == "../../../web");
	CHECK(seen("", "/web") == "web");
	CHECK(seen("", "/a/web") == "a/web");
	CHECK(seen("/a/b", ("/" + std::string(90, 'q')).c_str()) == "-");
}

TEST_CASE("a flattened image has the same frames and id, needs no other, and takes the place of the original", "[chain]")
{
	Chain c;
	std::vector<Frames> then;
	for (unsigned i = 0; i < 6; i++) {
		for (unsigned k = 0; k < 5 && i > 0; k++)
			c.frames[{ 0, c.random() % 80 }] = frame_of(k ? Fill::text : Fill::zero, c.random);
		c.write();
		then.push_back(c.frames);
	}
	struct vkckpt_error err = {};
	for (unsigned i : { 1u, 2u, 5u }) {
		INFO("image " << i);
		const std::string flat = c.dir / "flat";
		int fd = open(flat.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		REQUIRE(vkckpt_image_flatten(c.path(i).c_str(), nullptr, nullptr, fd, nullptr, nullptr, nullptr, &err) == 0);
		close(fd);
		struct vkckpt_image *image = nullptr, *original = nullptr;
		REQUIRE(vkckpt_image_open(flat.c_str(), &image, &err) == 0);
		REQUIRE(vkckpt_image_open(c.path(i).c_str(), &original, &err) == 0);
		CHECK(!memcmp(&vkckpt_image_header(image)->image_id, &vkckpt_image_header(original)->image_id, 16));
		CHECK(vkckpt_image_chain(image, nullptr, &err) == 0);
		CHECK(vkckpt_image_identity(image)->parent_path[0] == '\0');
		CHECK(vkckpt_image_stats(image)->frames_parent == 0);
		CHECK(vkckpt_image_stats(image)->frames_stored ==
		    vkckpt_image_stats(original)->frames_stored + vkckpt_image_stats(original)->frames_parent);
		CHECK(std::string(vkckpt_get_string(vkckpt_image_device(image, 0), "path")) == "/var/vkernel/disk0");
		vkckpt_image_close(image);
		vkckpt_image_close(original);
		REQUIRE(rename(flat.c_str(), c.path(i).c_str()) == 0);
		if (i == 5)
			for (unsigned k = 1; k < 5; k++)
				unlink(c.path(k).c_str());
		for (unsigned k = i; k <= 6; k++) {
			Frames all;
			REQUIRE(c.verify(k) == 0);
			REQUIRE(c.read(k, &all) == 0);
			REQUIRE(all == then[k - 1]);
		}
	}
}

TEST_CASE("flatten refuses a chain that is not whole, and says why", "[chain]")
{
	Chain c;
	c.write();
	c.write();
	TempFile out;
	struct vkckpt_error err = {};
	unlink(c.path(1).c_str());
	CHECK(vkckpt_image_flatten(c.path(2).c_str(), nullptr, nullptr, out.fd(), nullptr, nullptr, nullptr, &err) == -ENOENT);
	CHECK(err.reason == VKCKPT_R_PARENT_MISSING);
	CHECK(vkckpt_image_flatten(c.path(1).c_str(), nullptr, nullptr, out.fd(), nullptr, nullptr, nullptr, &err) == -ENOENT);
	CHECK(err.reason == VKCKPT_R_NOT_FOUND);
}
