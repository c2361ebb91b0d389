// Corners of the readers: what random access checks by itself, every text of the head, limits of the head as a whole, and several workers
// that meet damage at once.
#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/stat.h>

#include "lib/image_file.h"
#include "test/unit/forgery.h"

using namespace image_test;

namespace {

// The same forgery by the stream and at random: both refuse it, or neither.
uint32_t both(const std::function<void(Forgery &)> &change)
{
	Forgery f = forgery();
	change(f);
	uint32_t streamed = f.reason();
	CHECK((open_reason(f.image) != 0) == (streamed != 0));
	return streamed;
}

// A head by itself, with a header that has one segment.
struct Head {
	vk::ImageHead head;
	Head()
	{
		Bytes image = image_bytes(shape_of({ 4096 }), {});
		REQUIRE(head.init().ok());
		REQUIRE(head.set_header(image.data()).ok());
	}
	~Head() { head.release(); }
};

}  // namespace

TEST_CASE("random access refuses a trailer or an index that lies, as the stream does", "[image][hostile]")
{
	CHECK(both([](Forgery &) {}) == 0);
	CHECK(both([](Forgery &f) { f.trailer().record_count = 0; }) == VKCKPT_R_DAMAGED);
	CHECK(both([](Forgery &f) { f.trailer().record_count++; }) == VKCKPT_R_DAMAGED);
	CHECK(both([](Forgery &f) { f.trailer().stats_offset = sizeof(vkckpt_f_header); }) == VKCKPT_R_DAMAGED);
	CHECK(both([](Forgery &f) { f.trailer().stats_offset = 16; }) == VKCKPT_R_DAMAGED);
	CHECK(both([](Forgery &f) { f.trailer().stats_offset += 8; }) == VKCKPT_R_DAMAGED);
	CHECK(both([](Forgery &f) { f.trailer().index_offset += 8; }) == VKCKPT_R_DAMAGED);
	CHECK(both([](Forgery &f) { f.trailer().index_offset = f.trailer().stats_offset; }) == VKCKPT_R_DAMAGED);
	CHECK(both([](Forgery &f) { f.trailer().index_offset = ~15ull; }) == VKCKPT_R_DAMAGED);
	CHECK(both([](Forgery &f) { f.record(VKCKPT_REC_INDEX).payload_bytes += 64; }) == VKCKPT_R_DAMAGED);
	CHECK(both([](Forgery &f) { f.record(VKCKPT_REC_INDEX).payload_bytes += 1ull << 40; }) == VKCKPT_R_DAMAGED);
	CHECK(both([](Forgery &f) { f.record(VKCKPT_REC_INDEX).payload_bytes = 0; }) == VKCKPT_R_DAMAGED);
	CHECK(both([](Forgery &f) { f.record(VKCKPT_REC_INDEX).payload_bytes = 1ull << 62; }) == VKCKPT_R_DAMAGED);
	CHECK(forged([](Forgery &f) { f.record(VKCKPT_REC_RAM_GROUP).payload_bytes = sizeof(vkckpt_f_group); }) == VKCKPT_R_DAMAGED);
	CHECK(both([](Forgery &f) { f.payload<vkckpt_f_index>(VKCKPT_REC_INDEX).entry_count++; }) == VKCKPT_R_DAMAGED);
	CHECK(both([](Forgery &f) { f.payload<vkckpt_f_index>(VKCKPT_REC_INDEX).reserved = 1; }) == VKCKPT_R_DAMAGED);
	CHECK(both([](Forgery &f) { f.index()[0].mask = 0; }) == VKCKPT_R_DAMAGED);
	CHECK(both([](Forgery &f) { f.image[f.image.size() - sizeof(vkckpt_f_trailer) - 1] = 1; }) == VKCKPT_R_DAMAGED);	// padding
}

TEST_CASE("both readers take a newer minor version and refuse a newer major one, whatever else it has changed", "[image]")
{
	CHECK(both([](Forgery &f) { f.header().version_minor = VKCKPT_VERSION_MINOR + 1; }) == 0);
	CHECK(both([](Forgery &f) { f.header().version_minor = 0xffff; }) == 0);
	CHECK(both([](Forgery &f) { f.header().version_minor = 0; }) == 0);	// an older one
	for (uint32_t major : { 0u, VKCKPT_VERSION_MAJOR + 1u, 0xffffu }) {
		CHECK(both([&](Forgery &f) { f.header().version_major = major; }) == VKCKPT_R_VERSION_UNKNOWN);
		Bytes other = forgery().image;	// of a format whose header has another layout and digest: the version is what is told
		std::memset(other.data() + 12, 0x5a, 4000);
		at<vkckpt_f_header>(other, 0).version_major = major;
		CHECK(read_bytes(other).reason == VKCKPT_R_VERSION_UNKNOWN);
		CHECK(open_reason(other) == VKCKPT_R_VERSION_UNKNOWN);
	}
	CHECK(both([](Forgery &f) { f.header().required_features |= 1ull << 40; }) == VKCKPT_R_FEATURE_UNKNOWN);
	CHECK(both([](Forgery &f) { f.header().optional_features = ~0ull; }) == 0);
}

TEST_CASE("an entry of the index with more bytes than there are before it is DAMAGED", "[image][hostile]")
{
	Frames frames;
	for (uint64_t f = 0; f < 16; f++)
		frames[{ 0, f }] = Bytes(VKCKPT_FRAME);
	Bytes image = image_bytes(shape_of({ 16 * VKCKPT_FRAME }), frames);
	std::vector<uint64_t> offsets = record_offsets(image);
	vkckpt_f_chunk &c = at<vkckpt_f_chunk>(image, offset_of_type(image, VKCKPT_REC_INDEX) + sizeof(vkckpt_f_record) + sizeof(vkckpt_f_index));
	c.codec = VKCKPT_CODEC_RAW;
	c.stored_bytes = VKCKPT_CHUNK;
	c.offset = 2 * VKCKPT_BLOCK;
	reseal(image, offsets);
	REQUIRE(image.size() < VKCKPT_CHUNK);
	CHECK(open_reason(image) == VKCKPT_R_DAMAGED);
}

TEST_CASE("an image cut at any block, and a group that reaches beyond it, is explained", "[image][hostile]")
{
	const Forgery f = forgery();
	for (size_t length = 0; length < f.image.size(); length += length % VKCKPT_BLOCK == 16 ? VKCKPT_BLOCK - 16 : 16) {
		Bytes cut(f.image.begin(), f.image.begin() + static_cast<long>(length));
		CAPTURE(length);
		uint32_t reason = open_reason(cut);
		CHECK((reason == VKCKPT_R_TRUNCATED || (length == 0 && reason != 0)));
	}
	Forgery far = forgery();
	far.group().data_bytes = 1ull << 40;
	reseal(far.image, far.offsets);
	far.image.resize(far.image.size() - sizeof(vkckpt_f_trailer));
	CHECK(open_reason(far.image) == VKCKPT_R_DAMAGED);
	Forgery longer = forgery();
	longer.image.resize(longer.image.size() + 1);
	CHECK(open_reason(longer.image) == VKCKPT_R_TRAILING_DATA);
	Forgery overwritten = forgery();
	overwritten.trailer().magic[0] ^= 1;
	CHECK(open_reason(overwritten.image) == VKCKPT_R_DAMAGED);
}

TEST_CASE("a pipe is no file for random access", "[image]")
{
	const Bytes image = image_bytes(shape_of({ 4096 }), {});
	int ends[2];
	REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
	REQUIRE(write(ends[1], image.data(), image.size()) == static_cast<ssize_t>(image.size()));
	vk::OpenImage opened;
	REQUIRE(opened.open(ends[0]).ok());
	REQUIRE(opened.read_head().ok());
	CHECK(opened.read_index().reason == VKCKPT_R_BAD_ARGUMENT);
	opened.close();
	close(ends[0]), close(ends[1]);
}

TEST_CASE("an image comes from a pipe that is not ready, byte by byte too", "[image]")
{
	const Bytes image = image_bytes(shape_of({ 4096 * 40 }), { { { 0, 3 }, Bytes(VKCKPT_FRAME, 7) } });
	int ends[2];
	REQUIRE(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
	pid_t child = fork();
	if (child == 0) {
		for (size_t i = 0; i < image.size(); i += i < 300 || i > 9000 ? 997 : 1) {
			size_t count = std::min<size_t>(i < 300 || i > 9000 ? 997 : 1, image.size() - i);
			if (i % 50 == 0)
				usleep(200);
			if (write(ends[1], image.data() + i, count) != static_cast<ssize_t>(count))
				_exit(1);
		}
		_exit(0);
	}
	close(ends[1]);
	Frames frames;
	CHECK(read_image(ends[0], &frames).reason == 0);
	CHECK(frames[{ 0, 3 }] == Bytes(VKCKPT_FRAME, 7));
	close(ends[0]);
}

TEST_CASE("every text of the head ends, and is followed by zeros", "[image][hostile]")
{
	auto text = [](uint16_t type, size_t offset, size_t bytes) {
		for (bool unended : { true, false }) {
			Bytes image = image_bytes(shape_of({ 4096 }, { 100 }), {});
			std::vector<uint64_t> offsets = record_offsets(image);
			uint8_t *field = image.data() + offset_of_type(image, type) + sizeof(vkckpt_f_record) + offset;
			if (unended)
				std::memset(field, 'x', bytes);
			else
				field[bytes - 1] = 'x';
			reseal(image, offsets);
			CAPTURE(type, offset, unended);
			CHECK(read_bytes(image).reason == VKCKPT_R_DAMAGED);
			CHECK(open_reason(image) == VKCKPT_R_DAMAGED);
		}
	};
	text(VKCKPT_REC_HOST, offsetof(vkckpt_f_host, system), sizeof vkckpt_f_host::system);
	text(VKCKPT_REC_IDENTITY, offsetof(vkckpt_f_identity, program), sizeof vkckpt_f_identity::program);
	text(VKCKPT_REC_IDENTITY, offsetof(vkckpt_f_identity, name), sizeof vkckpt_f_identity::name);
	text(VKCKPT_REC_IDENTITY, offsetof(vkckpt_f_identity, library), sizeof vkckpt_f_identity::library);
	text(VKCKPT_REC_IDENTITY, offsetof(vkckpt_f_identity, parent_path), sizeof vkckpt_f_identity::parent_path);
	text(VKCKPT_REC_DEVICE, offsetof(vkckpt_f_device, device_class), sizeof vkckpt_f_device::device_class);
	text(VKCKPT_REC_DEVICE, offsetof(vkckpt_f_device, name), sizeof vkckpt_f_device::name);
	text(VKCKPT_REC_VMSPACE, offsetof(vkckpt_f_vmspace, name), sizeof vkckpt_f_vmspace::name);
	text(VKCKPT_REC_REGION, offsetof(vkckpt_f_region, name), sizeof vkckpt_f_region::name);
}

TEST_CASE("an identity with another action, or a program's name that is none, is DAMAGED", "[image][hostile]")
{
	auto identity = [](auto change) { return both([&](Forgery &f) { change(f.payload<vkckpt_f_identity>(VKCKPT_REC_IDENTITY)); }); };
	CHECK(identity([](vkckpt_f_identity &i) { i.action = 0; }) == VKCKPT_R_DAMAGED);
	CHECK(identity([](vkckpt_f_identity &i) { i.action = 3; }) == VKCKPT_R_DAMAGED);
	CHECK(identity([](vkckpt_f_identity &i) { i.vcpu_count = VKCKPT_MAX_VCPUS + 1; }) == VKCKPT_R_DAMAGED);
	for (const char *name : { "", "../x", "a b", "x\n" }) {
		auto set = [name](char *field) { std::memset(field, 0, 64), std::strcpy(field, name); };
		CHECK(identity([&](vkckpt_f_identity &i) { set(i.program); }) == VKCKPT_R_DAMAGED);
		CHECK(identity([&](vkckpt_f_identity &i) { set(i.name); }) == VKCKPT_R_DAMAGED);
	}
}

TEST_CASE("a head has an order, kinds and a size that are limited", "[image][hostile]")
{
	Head h;
	CHECK(h.head.record(VKCKPT_REC_HOST, 0) == nullptr);
	CHECK(h.head.count(VKCKPT_REC_INDEX) == 0);
	CHECK(h.head.room(VKCKPT_MAX_HEAD + 1).status.reason == VKCKPT_R_LIMIT);
	CHECK(h.head.complete().reason == VKCKPT_R_DAMAGED);	// nothing in it
	uint64_t nothing[200] = {};
	CHECK(h.head.add(0, nothing, sizeof nothing).reason == VKCKPT_R_DAMAGED);
	CHECK(h.head.add(VKCKPT_REC_HEAD_END, nothing, 0).reason == VKCKPT_R_DAMAGED);
	// Records as large as they may be, until the limit of all together.
	unsigned taken = 0;
	for (vk::Status s = vk::success(); s.ok(); taken += s.ok()) {
		vk::Result<void *> room = h.head.room(VKCKPT_MAX_RECORD);
		s = room.status;
		if (!s.ok()) {
			CHECK(s.reason == VKCKPT_R_LIMIT);
			break;
		}
		vkckpt_f_device *device = static_cast<vkckpt_f_device *>(room.value);
		std::strcpy(device->device_class, "disk");
		std::snprintf(device->name, sizeof device->name, "disk%u", taken);
		s = h.head.add(VKCKPT_REC_DEVICE, device, VKCKPT_MAX_RECORD);
	}
	CHECK(taken == VKCKPT_MAX_HEAD / VKCKPT_MAX_RECORD);
	CHECK(h.head.record(VKCKPT_REC_DEVICE, 0) == nullptr);	// not before it is complete
}

TEST_CASE("a table of callbacks of another size is refused before anything is read", "[image]")
{
	vkckpt_crypto other = {};
	other.size = sizeof other + 8;
	const Bytes image = image_bytes(shape_of({ 4096 }), {});
	CHECK(read_bytes(image, &other).reason == VKCKPT_R_BAD_ARGUMENT);
	CHECK(open_reason(image, &other) == VKCKPT_R_BAD_ARGUMENT);
}

TEST_CASE("a peek tells of a file that is missing or damaged", "[image]")
{
	vkckpt_f_header header = {};
	vkckpt_f_key key = {};
	vkckpt_error err = {};
	CHECK(vkckpt_image_peek("/nonexistent/image", &header, &key, &err) == -ENOENT);
	Forgery f = forgery();
	f.image[5000] ^= 1;
	TempFile file(f.image);
	CHECK(vkckpt_image_peek(file.path().c_str(), &header, &key, &err) == -EBADMSG);
	CHECK(err.reason == VKCKPT_R_DAMAGED);
	CHECK(header.header_bytes == 0);
}

TEST_CASE("a named pipe in the place of an image is refused, not waited for; one that was handed in is read", "[image]")
{
	char folder[] = "/tmp/vkckpt-fifo-XXXXXX";
	REQUIRE(mkdtemp(folder));
	const std::string fifo = std::string(folder) + "/fifo";
	REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
	struct vkckpt_error err = {};
	struct vkckpt_f_header header;
	struct vkckpt_f_key key;
	struct vkckpt_image *opened = nullptr;
	auto refused = [&](int result) {
		INFO(err.message);
		CHECK(result == -EINVAL);
		CHECK(err.reason == VKCKPT_R_BAD_ARGUMENT);
		CHECK(std::string(err.message).find("fifo") != std::string::npos);
	};
	refused(vkckpt_image_peek(fifo.c_str(), &header, &key, &err));
	refused(vkckpt_image_open(fifo.c_str(), &opened, &err));
	refused(vkckpt_image_verify(fifo.c_str(), -1, nullptr, nullptr, &err));
	refused(vkckpt_image_reseal(fifo.c_str(), nullptr, -1, nullptr, nullptr, nullptr, &err));
	refused(vkckpt_image_flatten(fifo.c_str(), nullptr, nullptr, -1, nullptr, nullptr, nullptr, &err));
	unlink(fifo.c_str());
	rmdir(folder);

	const Bytes image = image_bytes(shape_of({ 4096 }, {}), {});
	int ends[2];
	REQUIRE(pipe(ends) == 0);
	REQUIRE(write(ends[1], image.data(), image.size()) == static_cast<ssize_t>(image.size()));
	close(ends[1]);		// nobody is there any more who could be waited for
	CHECK(vkckpt_image_verify(("/dev/fd/" + std::to_string(ends[0])).c_str(), -1, nullptr, nullptr, &err) == 0);
	close(ends[0]);
}

TEST_CASE("of much damage that several workers meet at once, the first in the file is told", "[image]")
{
	std::mt19937_64 random(12);
	Frames frames;
	Bytes noise = frame_of(Fill::noise, random);
	for (uint64_t f = 0; f < 2048; f++) {
		std::memcpy(noise.data(), &f, sizeof f);
		frames[{ 0, f }] = noise;
	}
	Bytes image = image_bytes(shape_of({ 2048 * VKCKPT_FRAME }), frames);
	uint64_t index = offset_of_type(image, VKCKPT_REC_INDEX) + sizeof(vkckpt_f_record) + sizeof(vkckpt_f_index);
	const unsigned bad[] = { 17, 18, 33, 34, 49, 65, 66, 81, 97, 113 };	// a batch is 16 of them
	for (unsigned chunk : bad)
		image[at<vkckpt_f_chunk>(image, index + chunk * sizeof(vkckpt_f_chunk)).offset + 99] ^= 1;
	TempFile file(image);
	for (unsigned repeat = 0; repeat < 20; repeat++) {
		lseek(file.fd(), 0, SEEK_SET);
		vk::ImageReader reader;
		REQUIRE(reader.open(file.fd(), 4).ok());
		REQUIRE(reader.read_head().ok());
		vk::Status s = reader.read_ram({});
		CHECK(s.reason == VKCKPT_R_DAMAGED);
		CHECK(s.number == 17);
		reader.close();
	}
}
