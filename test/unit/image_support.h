// Images for tests: small ones made with the library's writer, read back into memory, and resealed after a forgery.
#ifndef VKCKPT_TEST_IMAGE_SUPPORT_H
#define VKCKPT_TEST_IMAGE_SUPPORT_H

#include <cstring>
#include <map>
#include <random>
#include <string>
#include <unistd.h>
#include <vector>

#include <sys/mman.h>

#include <vkckpt/image.h>

#include "lib/image_check.h"
#include "lib/image_reader.h"
#include "lib/image_writer.h"
#include "lib/parent.h"

namespace image_test {

using Bytes = std::vector<uint8_t>;

// A file in memory; closed at the end of its scope.
class TempFile {
public:
	TempFile() : fd_(memfd_create("image", 0)) {}
	explicit TempFile(const Bytes &content) : TempFile()
	{
		if (pwrite(fd_, content.data(), content.size(), 0) != static_cast<ssize_t>(content.size()))
			std::abort();
	}
	~TempFile() { close(fd_); }
	TempFile(const TempFile &) = delete;
	int fd() const { return fd_; }
	std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }
	Bytes content() const
	{
		Bytes out(static_cast<size_t>(lseek(fd_, 0, SEEK_END)));
		if (pread(fd_, out.data(), out.size(), 0) != static_cast<ssize_t>(out.size()))
			std::abort();
		return out;
	}

private:
	int fd_;
};

// One frame as a test wants it.
enum class Fill { absent, zero, text, noise };

// What stands in a test's image: RAM as (object, frame) -> 4096 bytes; zero frames may be there or not.
using Frames = std::map<std::pair<uint32_t, uint64_t>, Bytes>;

inline Bytes frame_of(Fill fill, std::mt19937_64 &random)
{
	Bytes frame(VKCKPT_FRAME);
	if (fill == Fill::noise)
		for (uint8_t &b : frame)
			b = static_cast<uint8_t>(random());
	if (fill == Fill::text) {
		std::string line = "frame " + std::to_string(random() % 1000) + " of a guest; ";
		for (size_t i = 0; i < frame.size(); i++)
			frame[i] = static_cast<uint8_t>(line[i % line.size()]);
	}
	return frame;
}

inline vk::ImageShape shape_of(std::vector<uint64_t> segment_bytes, std::vector<uint64_t> region_bytes = {})
{
	vk::ImageShape shape;
	for (uint64_t bytes : segment_bytes)
		shape.segment[shape.segment_count++] = { 0x100000000ull + shape.segment_count * 0x10000000ull, bytes };
	for (uint64_t bytes : region_bytes)
		shape.region_bytes[shape.region_count++] = bytes;
	return shape;
}

inline struct vkckpt_uuid uuid(uint8_t seed)
{
	struct vkckpt_uuid u;
	for (unsigned i = 0; i < 16; i++)
		u.bytes[i] = static_cast<uint8_t>(seed + i);
	return u;
}

// What an image of a chain is beside its frames.
struct Lineage {
	uint8_t id = 1, parent = 0;		// seeds of uuid(); parent 0: a full image
	std::string parent_path;
	vk::ParentHashes *hashes = nullptr;	// what its parent has
};

// The head records that every image here has: host, identity, a device, a vmspace, the regions, a vCPU.
inline vk::Status write_head(vk::ImageWriter &writer, const vk::ImageShape &shape, const Lineage &lineage = {})
{
	struct vkckpt_f_host host = {};
	host.page_bytes = 4096;
	std::strcpy(host.system, "Linux test");
	VK_TRY(writer.record(VKCKPT_REC_HOST, &host, sizeof host));
	struct vkckpt_f_identity identity = {};
	identity.image_id = uuid(lineage.id);
	if (lineage.parent)
		identity.parent_id = uuid(lineage.parent);
	std::strcpy(identity.parent_path, lineage.parent_path.c_str());
	identity.action = 1;
	identity.vcpu_count = 1;
	std::strcpy(identity.program, "test");
	std::strcpy(identity.name, "one");
	VK_TRY(writer.record(VKCKPT_REC_IDENTITY, &identity, sizeof identity));
	struct vkckpt_sink *sink = writer.device_begin("disk", "disk0", 1, VKCKPT_POLICY_REOPEN, 0);
	(void)vkckpt_put_string(sink, "path", "/var/vkernel/disk0");
	(void)vkckpt_put_u64(sink, "blocks", 2048);
	(void)vkckpt_put_bytes(sink, "state", "\1\2\3", 3);
	VK_TRY(writer.device_end());
	if (shape.segment_count > 0) {
		struct vkckpt_f_vmspace vmspace = {};
		vmspace.id = 7;
		vmspace.mapping_count = 1;
		struct vkckpt_f_mapping mapping = { 0x1000, 0x2000, 0, 3, 0, 3 };
		VK_TRY(writer.record(VKCKPT_REC_VMSPACE, &vmspace, sizeof vmspace, &mapping, sizeof mapping));
	}
	for (uint32_t i = 0; i < shape.region_count; i++) {
		struct vkckpt_f_region region = {};
		std::strcpy(region.name, ".data");
		region.address = 0x400000 + i * 0x100000;
		region.size_bytes = shape.region_bytes[i];
		VK_TRY(writer.record(VKCKPT_REC_REGION, &region, sizeof region));
	}
	struct vkckpt_f_vcpu vcpu = { 0, VKCKPT_VCPU_ENTRY, 0 };
	VK_TRY(writer.record(VKCKPT_REC_VCPU, &vcpu, sizeof vcpu));
	return writer.head_end();
}

// Writes frames (chunks in the order of the map) to fd; sealed with crypto, if it is given.
inline vk::Status write_image(int fd, const vk::ImageShape &shape, const Frames &frames, const struct vkckpt_crypto *crypto = nullptr,
    const Lineage &lineage = {})
{
	vk::Arena arena;
	VK_TRY(arena.map(vk::ImageWriter::arena_bytes(shape), vk::Prefault::no));
	vk::ImageWriter writer;
	writer.init(arena, shape);
	writer.own_builder().set_content(shape.incremental(), lineage.hashes);
	vk::Status status = crypto ? writer.seal_with(*crypto) : vk::success();
	if (status.ok())
		status = writer.begin(fd, uuid(lineage.id), 12345);
	if (status.ok())
		status = write_head(writer, shape, lineage);
	alignas(64) static uint8_t chunk_bytes[VKCKPT_CHUNK];
	for (auto it = frames.begin(); it != frames.end() && status.ok();) {
		vk::ChunkSource source;
		source.base = chunk_bytes;
		source.object = static_cast<uint16_t>(it->first.first);
		source.chunk = it->first.second / VKCKPT_CHUNK_FRAMES;
		for (; it != frames.end() && it->first.first == source.object && it->first.second / VKCKPT_CHUNK_FRAMES == source.chunk; ++it) {
			unsigned f = it->first.second % VKCKPT_CHUNK_FRAMES;
			source.mask = static_cast<uint16_t>(source.mask | 1u << f);
			std::memcpy(chunk_bytes + f * VKCKPT_FRAME, it->second.data(), VKCKPT_FRAME);
		}
		status = writer.chunk(source);
	}
	if (status.ok())
		status = writer.finish();
	writer.release();
	arena.release();
	return status;
}

inline Bytes image_bytes(const vk::ImageShape &shape, const Frames &frames, const struct vkckpt_crypto *crypto = nullptr)
{
	TempFile file;
	vk::Status status = write_image(file.fd(), shape, frames, crypto);
	if (!status.ok())
		std::abort();
	return file.content();
}

// Takes every chunk into a map of frames; frames of codec ZERO become zero frames.
struct Collector {
	Frames frames;
	std::vector<uint8_t> chunk = std::vector<uint8_t>(VKCKPT_CHUNK);
	uint32_t object = 0;
	uint64_t number = 0;
	uint16_t mask = 0;

	void take()
	{
		for (unsigned f = 0; f < VKCKPT_CHUNK_FRAMES; f++)
			if (mask & 1u << f)
				frames[{ object, number * VKCKPT_CHUNK_FRAMES + f }] =
				    Bytes(chunk.begin() + f * VKCKPT_FRAME, chunk.begin() + (f + 1) * VKCKPT_FRAME);
		mask = 0;
	}
	static uint8_t *base(void *arg, uint32_t object, uint64_t chunk, uint16_t mask)
	{
		Collector &self = *static_cast<Collector *>(arg);
		self.take();
		self.object = object, self.number = chunk, self.mask = mask;
		return self.chunk.data();
	}
	static void zero(void *arg, uint32_t object, uint64_t chunk, uint16_t mask)
	{
		for (unsigned f = 0; f < VKCKPT_CHUNK_FRAMES; f++)
			if (mask & 1u << f)
				static_cast<Collector *>(arg)->frames[{ object, chunk * VKCKPT_CHUNK_FRAMES + f }] = Bytes(VKCKPT_FRAME);
	}
};

// Reads a whole image from where fd stands.
inline vk::Status read_image(int fd, Frames *frames, struct vkckpt_f_stats *stats = nullptr, const struct vkckpt_crypto *crypto = nullptr)
{
	vk::ImageReader reader;
	Collector collector;
	vk::ChunkTarget target = { &collector, Collector::base, Collector::zero };
	vk::Status status = reader.open(fd);
	if (status.ok() && crypto)
		status = reader.use(*crypto, nullptr);
	if (status.ok())
		status = reader.read_head();
	if (status.ok())
		status = reader.read_ram(target);
	collector.take();
	if (stats)
		*stats = reader.stats();
	reader.close();
	if (frames)
		*frames = collector.frames;
	return status;
}

inline vk::Status read_bytes(const Bytes &image, const struct vkckpt_crypto *crypto = nullptr, Frames *frames = nullptr)
{
	TempFile file(image);
	lseek(file.fd(), 0, SEEK_SET);
	return read_image(file.fd(), frames, nullptr, crypto);
}

// The reason that vkckpt_image_open gives for these bytes; 0: it opened, and every frame of the index could be read.
inline uint32_t open_reason(const Bytes &image, const struct vkckpt_crypto *crypto = nullptr)
{
	TempFile file(image);
	struct vkckpt_error err = {};
	struct vkckpt_image *opened = nullptr;
	if (vkckpt_image_open_with(file.path().c_str(), crypto, &opened, &err) < 0)
		return err.reason;
	uint64_t count = 0;
	const struct vkckpt_f_chunk *chunks = vkckpt_image_chunks(opened, &count);
	uint32_t reason = 0;
	for (uint64_t i = 0; i < count && reason == 0; i++) {
		uint8_t frame[VKCKPT_FRAME];
		uint64_t number = chunks[i].chunk * VKCKPT_CHUNK_FRAMES + static_cast<unsigned>(__builtin_ctz(chunks[i].mask));
		if (vkckpt_image_frame(opened, chunks[i].object, number, frame, &err) < 0)
			reason = err.reason;
	}
	vkckpt_image_close(opened);
	return reason;
}

template <class T> T &at(Bytes &image, uint64_t offset) { return *reinterpret_cast<T *>(image.data() + offset); }

// Offsets of all records in the order of the file.
inline std::vector<uint64_t> record_offsets(const Bytes &image)
{
	std::vector<uint64_t> offsets;
	uint64_t pos = sizeof(vkckpt_f_header);
	while (pos + sizeof(vkckpt_f_record) <= image.size()) {
		vkckpt_f_record r;
		std::memcpy(&r, image.data() + pos, sizeof r);
		offsets.push_back(pos);
		if (r.payload_bytes > image.size() - pos - sizeof r) {	// a fuzzer's: the chain ends here
			offsets.pop_back();
			break;
		}
		uint64_t end = (pos + sizeof r + r.payload_bytes + 15) & ~15ull;
		if (r.type == VKCKPT_REC_RAM_GROUP && r.payload_bytes >= sizeof(vkckpt_f_group)) {
			vkckpt_f_group g;
			std::memcpy(&g, image.data() + pos + sizeof r, sizeof g);
			if (vk::is_sealed(reinterpret_cast<const vkckpt_f_header *>(image.data())->required_features))
				std::memcpy(&g.data_bytes, image.data() + pos + sizeof r, sizeof g.data_bytes);	// vkckpt_f_sealed_group
			end = ((end + 4095) & ~4095ull) + (g.data_bytes < image.size() ? g.data_bytes : image.size());
		}
		if (r.type == VKCKPT_REC_INDEX)
			break;
		pos = end;
	}
	return offsets;
}

inline uint64_t offset_of_type(const Bytes &image, uint16_t type)
{
	for (uint64_t offset : record_offsets(image)) {
		vkckpt_f_record r;
		std::memcpy(&r, image.data() + offset, sizeof r);
		if (r.type == type)
			return offset;
	}
	std::abort();
}

// Makes all checksums right again after a forgery: header, the records at these offsets, the chain, the trailer.
inline void reseal(Bytes &image, const std::vector<uint64_t> &offsets)
{
	vkckpt_f_header &header = at<vkckpt_f_header>(image, 0);
	header.digest = vk::digest_of(&header, offsetof(vkckpt_f_header, digest));
	vk::DigestStream whole;
	whole.add(&header.digest, 16);
	for (uint64_t offset : offsets) {
		vkckpt_f_record &r = at<vkckpt_f_record>(image, offset);
		r.head_check = static_cast<uint32_t>(vk::digest64_of(&r, offsetof(vkckpt_f_record, head_check)));
		vk::DigestStream digest;
		digest.add(&r, offsetof(vkckpt_f_record, digest));
		uint64_t end = (offset + sizeof r + r.payload_bytes + 15) & ~15ull;
		if (end > offset && end <= image.size())
			digest.add(image.data() + offset + sizeof r, end - offset - sizeof r);
		r.digest = digest.result();
		whole.add(&r.digest, 16);
	}
	vkckpt_f_trailer trailer;	// a fuzzer's stands anywhere
	uint8_t *end = image.data() + image.size() - sizeof trailer;
	std::memcpy(&trailer, end, sizeof trailer);
	trailer.whole = whole.result();
	trailer.digest = vk::digest_of(&trailer, offsetof(vkckpt_f_trailer, digest));
	std::memcpy(end, &trailer, sizeof trailer);
}

// An image of one segment whose address space is `space_bytes' at 0 and has its page tables, of this format, in the frames; root: as the vmspace has it.
inline Bytes image_with_tables(uint64_t segment_bytes, const Frames &frames, uint32_t format, uint64_t space_bytes, uint64_t root)
{
	Bytes bytes = image_bytes(shape_of({ segment_bytes }), frames);
	const std::vector<uint64_t> offsets = record_offsets(bytes);
	const uint64_t head = sizeof(vkckpt_f_record);
	at<vkckpt_f_identity>(bytes, offset_of_type(bytes, VKCKPT_REC_IDENTITY) + head).pagetable_format = format;
	at<vkckpt_f_mapping>(bytes, offset_of_type(bytes, VKCKPT_REC_VMSPACE) + head + sizeof(vkckpt_f_vmspace)) = { 0, space_bytes, 0, root, 0, 7 };
	reseal(bytes, offsets);
	return bytes;
}

}  // namespace image_test
#endif
