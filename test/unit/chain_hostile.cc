// Chains by an attacker, or by an accident: parents of another shape, seal or signature, paths that lead elsewhere, and damage that is met in
// the middle of a chunk.
#include <catch2/catch.hpp>

#include <sys/stat.h>

#include "test/unit/chain_support.h"
#include "test/unit/seal_support.h"

using namespace chain_test;

namespace {

// Two images of the same memory, sealed or signed as the table says.
struct Pair {
	TempDir dir;
	vk::ImageShape shape = chain_shape();
	vk::Arena arena;
	vk::ParentHashes hashes;
	Frames frames;
	std::string parent = dir / "one", child = dir / "two";

	Pair()
	{
		REQUIRE(arena.map(vk::ParentHashes::arena_bytes(shape), vk::Prefault::no).ok());
		hashes.init(arena, shape);
		std::mt19937_64 random(9);
		for (uint64_t f = 0; f < 40; f++)
			frames[{ 0, f }] = frame_of(f % 3 ? Fill::text : Fill::noise, random);
	}
	~Pair() { arena.release(); }
	void write(const std::string &path, const vkckpt_crypto *crypto)
	{
		Lineage l;
		l.id = path == parent ? 3 : 6;
		l.hashes = &hashes;
		if (path == child)
			l.parent = 3, l.parent_path = "one";
		hashes.begin(path == parent);
		TempFile file;
		REQUIRE(write_image(file.fd(), shape, frames, crypto, l).ok());
		hashes.commit();
		Bytes content = file.content();
		fixture::spill(path, std::string(content.begin(), content.end()));
	}
	// By verify, and by the first frame at random.
	uint32_t reason(const vkckpt_crypto *crypto, std::string *message = nullptr)
	{
		vkckpt_error err = {}, other = {};
		uint32_t verified = vkckpt_image_verify_with(child.c_str(), -1, crypto, nullptr, nullptr, &err) < 0 ? err.reason : 0;
		vkckpt_image *image = nullptr;
		uint32_t opened = vkckpt_image_open_with(child.c_str(), crypto, &image, &other) < 0 ? other.reason : 0;
		Bytes frame(VKCKPT_FRAME);
		if (opened == 0 && vkckpt_image_frame(image, 0, 5, frame.data(), &other) < 0)
			opened = other.reason;
		vkckpt_image_close(image);
		CHECK(opened == verified);
		CHECK((verified != 0 || frame == frames[{ 0, 5 }]));
		if (message)
			*message = err.message;
		return verified;
	}
};

}  // namespace

TEST_CASE("a sealed chain opens with its key; a parent in clear, or of another key, is refused by its name", "[chain][seal]")
{
	seal_test::Known known;
	seal_test::Sodium other = seal_test::raw('b');
	std::string message;
	Pair p;
	p.write(p.parent, &known.table);
	p.write(p.child, &known.table);
	CHECK(p.reason(&known.table) == 0);
	p.hashes.forget();
	p.write(p.parent, nullptr);
	CHECK(p.reason(&known.table, &message) == VKCKPT_R_NOT_SEALED);
	CHECK(message.find("one") != std::string::npos);
	p.write(p.parent, vkckpt_sodium_table(other.get()));
	vkckpt_crypto real = known.table;	// opens with the key that the record holds, or not at all
	real.open_key = [](void *, const vkckpt_uuid *, const vkckpt_f_key *key, uint8_t *out) {
		std::memset(out, seal_test::Known::kByte, VKCKPT_KEY_BYTES);
		return key->nonce[0] || key->nonce[1] ? -EBADMSG : 0;
	};
	CHECK(p.reason(&real, &message) == VKCKPT_R_KEY_WRONG);
	CHECK(message.find("one") != std::string::npos);
}

TEST_CASE("in a chain of which signatures are demanded the parent must be signed too", "[chain][sign]")
{
	Pair p;
	p.write(p.parent, nullptr);
	p.write(p.child, nullptr);
	std::string content = fixture::slurp(p.child);
	seal_test::Signed child(Bytes(content.begin(), content.end()), 4096);
	content = fixture::slurp(p.parent);
	static seal_test::Signed *parent;
	seal_test::Signed of_parent(Bytes(content.begin(), content.end()), 4096);
	parent = &of_parent;
	vkckpt_crypto table = child.table;
	table.leaves = [](void *arg, const char *path, vkckpt_leaves *out) {
		bool first = std::string(path).ends_with("two");
		*out = first ? static_cast<seal_test::Signed *>(arg)->leaves : parent->leaves;
		return first ? 0 : parent->result;
	};
	CHECK(p.reason(&table) == 0);
	of_parent.result = -ENOENT;
	CHECK(p.reason(&table) == VKCKPT_R_NOT_SIGNED);
	of_parent.result = -EBADMSG;
	CHECK(p.reason(&table) == VKCKPT_R_SIGNATURE_WRONG);
	of_parent.result = 0;
	of_parent.digests[33] ^= 1;
	CHECK(p.reason(&table) == VKCKPT_R_SIGNATURE_WRONG);
}

TEST_CASE("each image of a chain is signed by itself, and all are asked for", "[chain][sign]")
{
	Pair p;
	p.write(p.parent, nullptr);
	p.write(p.child, nullptr);
	vkckpt_error err = {};
	const std::string secret = p.dir / "by.key", open = p.dir / "by.pub";
	REQUIRE(vkckpt_sodium_keygen(VKCKPT_SODIUM_SIGN, secret.c_str(), open.c_str(), &err) == 0);
	seal_test::Sodium sodium = seal_test::sodium();
	REQUIRE(vkckpt_sodium_require_signature(sodium.get(), open.c_str(), nullptr, &err) == 0);
	REQUIRE(vkckpt_sodium_sign(p.child.c_str(), secret.c_str(), nullptr, &err) == 0);
	CHECK(p.reason(vkckpt_sodium_table(sodium.get())) == VKCKPT_R_NOT_SIGNED);
	REQUIRE(vkckpt_sodium_sign(p.parent.c_str(), secret.c_str(), nullptr, &err) == 0);
	CHECK(p.reason(vkckpt_sodium_table(sodium.get())) == 0);
	std::string content = fixture::slurp(p.parent);
	content[9000] ^= 1;
	fixture::spill(p.parent, content);
	CHECK(vkckpt_sodium_sign(p.child.c_str(), secret.c_str(), nullptr, &err) < 0);	// what it is built on is not whole
}

TEST_CASE("a parent whose memory has another shape is refused, whatever differs", "[chain][hostile]")
{
	auto parent_with = [](auto change) {
		Chain c;
		c.write();
		c.write();
		vk::ImageShape shape = chain_shape();
		change(shape);
		Lineage l;
		l.id = 3;
		TempFile file;
		REQUIRE(write_image(file.fd(), shape, {}, nullptr, l).ok());
		c.store(1, file.content());
		uint32_t verified = c.verify(2);
		CHECK(c.read(2) == verified);
		return verified;
	};
	CHECK(parent_with([](vk::ImageShape &s) { s.segment[0].size_bytes += VKCKPT_FRAME; }) == VKCKPT_R_DAMAGED);
	CHECK(parent_with([](vk::ImageShape &s) { s.segment_skip[0] = VKCKPT_FRAME; }) == VKCKPT_R_DAMAGED);
	CHECK(parent_with([](vk::ImageShape &s) { s.segment[s.segment_count++] = { 0x200000000, VKCKPT_FRAME }; }) == VKCKPT_R_DAMAGED);
	CHECK(parent_with([](vk::ImageShape &s) { s.region_bytes[0] += 8; }) == VKCKPT_R_DAMAGED);
	CHECK(parent_with([](vk::ImageShape &s) { s.region_bytes[s.region_count++] = 100; }) == VKCKPT_R_DAMAGED);
	// Of the right shape, but without a frame: what the child leaves to it, it lacks.
	CHECK(parent_with([](vk::ImageShape &) {}) == VKCKPT_R_DAMAGED);
}

TEST_CASE("a path that leads nowhere, in a circle, or is too long is told for what it is", "[chain]")
{
	Chain c;
	c.write();
	c.write();
	auto renamed = [&](const char *parent_path) {
		c.forge(2, [&](Bytes &image) {
			vkckpt_f_identity &i = at<vkckpt_f_identity>(image, offset_of_type(image, VKCKPT_REC_IDENTITY) + sizeof(vkckpt_f_record));
			std::memset(i.parent_path, 0, sizeof i.parent_path);
			strcpy(i.parent_path, parent_path);
		});
		uint32_t verified = c.verify(2);
		CHECK(c.read(2) == verified);
		return verified;
	};
	CHECK(renamed("web.1") == 0);
	CHECK(renamed("./web.1") == 0);
	CHECK(renamed("web.1/web.1") == VKCKPT_R_PARENT_MISSING);	// a file is no folder
	REQUIRE(symlink("circle", (c.dir / "circle").c_str()) == 0);
	CHECK(renamed("circle") == VKCKPT_R_SYSTEM);
	Frames all;
	std::string endless(vk::kChainPath + 10, 'x');
	CHECK(c.stream(2, &all, endless.c_str()).reason == VKCKPT_R_LIMIT);
	CHECK(c.stream(2, &all, c.path(1).c_str()).reason == 0);
}

TEST_CASE("the path of an open file is asked of the host, or is the one that was given", "[chain]")
{
	TempDir dir;
	fixture::spill(dir / "file", "x");
	REQUIRE(symlink("file", (dir / "link").c_str()) == 0);
	char out[vk::kChainPath];
	int fd = open((dir / "link").c_str(), O_RDONLY | O_CLOEXEC);
	vk::path_of_file(fd, "given", out, sizeof out);
	CHECK(std::string(out) == dir / "file");
	unlink((dir / "file").c_str());
	vk::path_of_file(fd, "given", out, sizeof out);
	CHECK(std::string(out) == "given");	// "... (deleted)" leads nowhere
	close(fd);
	int ends[2];
	REQUIRE(pipe(ends) == 0);
	vk::path_of_file(ends[0], "given", out, sizeof out);
	CHECK(std::string(out) == "given");	// "pipe:[...]"
	close(ends[0]), close(ends[1]);
	vk::path_of_file(-1, nullptr, out, sizeof out);
	CHECK(std::string(out).empty());
	CHECK(!vk::relative_path("/a", "/a/", out, sizeof out));
	CHECK(!vk::relative_path("", "//a", out, sizeof out));
	REQUIRE(vk::relative_path("/x/y/", "/x/z", out, sizeof out));
	CHECK(std::string(out) == "../z");
	CHECK(std::string(vk::about_image(vk::fail(EIO, VKCKPT_R_DAMAGED, "read", "the image"), "/a/b/").subject) == "b/");
	CHECK(std::string(vk::about_image(vk::fail(EIO, VKCKPT_R_DAMAGED, "read", "chunk"), "/a/b").subject) == "b: chunk");
}

TEST_CASE("damage in an ancestor is met where only some frames of its chunk are wanted", "[chain]")
{
	Chain c;
	c.write();
	for (uint64_t f = 2; f < 80; f += 16)
		c.frames[{ 0, f }] = frame_of(Fill::text, c.random);
	c.write();
	Frames all;
	REQUIRE(c.read(2, &all) == 0);
	REQUIRE(all == c.frames);
	const Bytes one = c.load(1);
	unsigned met = 0;
	for (size_t place = 8192; place < one.size(); place += 1021) {
		Bytes bad = one;
		bad[place] ^= 1;
		c.store(1, bad);
		CAPTURE(place);
		uint32_t reason = c.read(2, &all);
		met += reason == VKCKPT_R_DAMAGED;
		CHECK((reason == VKCKPT_R_DAMAGED || all == c.frames));
	}
	CHECK(met > 10);
}

TEST_CASE("without its chain an incremental image gives nothing but a request for it", "[chain]")
{
	Chain c;
	c.write();
	c.write();
	CHECK(read_bytes(c.load(2)).reason == VKCKPT_R_PARENT_NEEDED);
	int fd = open(c.path(2).c_str(), O_RDONLY | O_CLOEXEC);
	vk::OpenImage image;
	REQUIRE(image.open(fd).ok());
	REQUIRE(image.read_head().ok());
	REQUIRE(image.read_index().ok());
	std::vector<uint8_t> stored(vk::OpenImage::kStoredRoom), frames(VKCKPT_CHUNK);
	const vkckpt_f_chunk *entry = image.find_frame(0, 1);
	REQUIRE(entry->codec == VKCKPT_CODEC_PARENT);
	CHECK(image.read_chunk(*entry, stored.data(), frames.data()).reason == VKCKPT_R_PARENT_NEEDED);
	vk::Chain closed;
	CHECK(closed.read(*entry, stored.data(), frames.data()).reason == VKCKPT_R_DAMAGED);
	const vk::OpenImage *owner = nullptr;
	CHECK(closed.find_whole(*entry, &owner) == nullptr);
	image.close();
	unlink(c.path(1).c_str());
	vkckpt_error err = {};
	vkckpt_image *opened = nullptr;
	REQUIRE(vkckpt_image_open(c.path(2).c_str(), &opened, &err) == 0);
	CHECK(vkckpt_image_frame(opened, 0, 1, frames.data(), &err) == -ENOENT);
	CHECK(err.reason == VKCKPT_R_PARENT_MISSING);
	vkckpt_image_close(opened);
	close(fd);
}

TEST_CASE("an entry is found whole only where one ancestor has just these frames with this content", "[chain]")
{
	Chain c;
	c.frames[{ 0, 70 }] = Bytes(VKCKPT_FRAME);
	c.write();
	c.write();
	c.write();
	int fd = open(c.path(3).c_str(), O_RDONLY | O_CLOEXEC);
	vk::ImageReader reader;
	vk::Chain chain;
	REQUIRE(reader.open(fd).ok());
	REQUIRE(reader.read_head().ok());
	REQUIRE(chain.open(reader.head(), c.path(3).c_str(), fd, nullptr).ok());
	REQUIRE(chain.count() == 2);
	const vk::OpenImage *owner = nullptr;
	unsigned entries = 0;
	const vkckpt_f_chunk *parent = chain.ancestor(0).find(0, 0, &entries);
	REQUIRE(entries > 0);
	while (parent->codec != VKCKPT_CODEC_PARENT)
		parent++;
	vkckpt_f_chunk wanted = *parent;
	const vkckpt_f_chunk *found = chain.find_whole(wanted, &owner);
	REQUIRE(found != nullptr);
	CHECK(owner == &chain.ancestor(1));
	CHECK(found->codec != VKCKPT_CODEC_PARENT);
	wanted.content.bytes[0] ^= 1;
	CHECK(chain.find_whole(wanted, &owner) == nullptr);
	wanted = *parent;
	wanted.mask &= static_cast<uint16_t>(wanted.mask - 1);	// fewer frames than it stores
	CHECK(chain.find_whole(wanted, &owner) == nullptr);
	wanted.mask = 0xffff;
	CHECK(chain.find_whole(wanted, &owner) == nullptr);
	wanted.chunk = 70 / 16;
	wanted.mask = 1 << 70 % 16;
	CHECK(chain.find_whole(wanted, &owner) == nullptr);	// zeros
	chain.close();
	reader.close();
	close(fd);
}
