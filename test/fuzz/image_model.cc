// An image taken apart and put together. See image_model.h.
#include "test/fuzz/image_model.h"

#include <algorithm>
#include <cstring>
#include <tuple>

#include "lib/digest.h"

namespace image_model {
namespace {

constexpr uint64_t kMostRecords = 4096;

uint64_t up(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }

// The stored bytes that the descriptors of a group name, where the file has them.
void take_stored(Record &r, const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < r.chunk_count(); i++) {
		const vkckpt_f_chunk &c = r.chunk(i);
		bool there = c.offset <= size && c.stored_bytes <= size - c.offset && c.stored_bytes <= VKCKPT_CHUNK;
		r.stored.push_back(there ? Bytes(data + c.offset, data + c.offset + c.stored_bytes) : Bytes());
	}
}

void pad(Bytes &out, uint64_t to) { out.resize(up(out.size(), to)); }

void put(Bytes &out, const void *bytes, size_t count)
{
	const uint8_t *at = static_cast<const uint8_t *>(bytes);
	out.insert(out.end(), at, at + count);
}

// The descriptors' places, for a group whose record begins at `offset`; returns where its data begins.
uint64_t place_group(Record &r, uint64_t offset, unsigned repair)
{
	vkckpt_f_group &g = *reinterpret_cast<vkckpt_f_group *>(r.payload.data());
	uint64_t start = up(up(offset + sizeof r.head + r.payload.size(), 16), VKCKPT_BLOCK), end = start;
	r.stored.resize(r.chunk_count());
	for (size_t i = 0; i < r.chunk_count(); i++) {
		vkckpt_f_chunk &c = r.chunk(i);
		if (repair & kLengths)
			c.stored_bytes = static_cast<uint32_t>(r.stored[i].size());
		if (r.stored[i].empty())
			continue;
		end = up(end, 16);
		if (repair & kPlaces)
			c.offset = end;
		if (repair & kChunkDigests)
			c.digest = vk::digest_of(r.stored[i].data(), r.stored[i].size());
		end += r.stored[i].size();
	}
	if (repair & kPlaces) {
		g.data_offset = start;
		g.data_bytes = up(end, VKCKPT_BLOCK) - start;
	}
	if (repair & kLengths)
		g.chunk_count = static_cast<uint32_t>(r.chunk_count());
	return start;
}

void put_stored(Bytes &out, const Record &r, uint64_t start)
{
	out.resize(start);
	for (const Bytes &bytes : r.stored) {
		if (bytes.empty())
			continue;
		pad(out, 16);
		put(out, bytes.data(), bytes.size());
	}
	pad(out, VKCKPT_BLOCK);
}

// The record INDEX as the groups before it have it.
void make_index(Record &r, std::vector<Record> &records)
{
	std::vector<vkckpt_f_chunk> entries;
	for (Record &other : records)
		for (size_t i = 0; i < other.chunk_count(); i++)
			entries.push_back(other.chunk(i));
	std::stable_sort(entries.begin(), entries.end(), [](const vkckpt_f_chunk &a, const vkckpt_f_chunk &b) {
		return std::make_tuple(a.object, a.chunk, a.codec != 0) < std::make_tuple(b.object, b.chunk, b.codec != 0);
	});
	vkckpt_f_index index = { entries.size(), 0 };
	r.payload.clear();
	put(r.payload, &index, sizeof index);
	put(r.payload, entries.data(), entries.size() * sizeof entries[0]);
}

void put_record(Bytes &out, Record &r, uint64_t sequence, unsigned repair, vk::DigestStream &whole)
{
	uint64_t offset = out.size(), start = r.is_group() ? place_group(r, offset, repair) : 0;
	if (repair & kLengths)
		r.head.payload_bytes = r.payload.size();
	if (repair & kSequences)
		r.head.sequence = sequence;
	put(out, &r.head, sizeof r.head);
	put(out, r.payload.data(), r.payload.size());
	pad(out, 16);
	vkckpt_f_record &head = *reinterpret_cast<vkckpt_f_record *>(out.data() + offset);
	if (repair & kDigests) {
		head.head_check = static_cast<uint32_t>(vk::digest64_of(&head, offsetof(vkckpt_f_record, head_check)));
		vk::DigestStream digest;
		digest.add(&head, offsetof(vkckpt_f_record, digest));
		digest.add(&head + 1, out.size() - offset - sizeof head);
		head.digest = digest.result();
	}
	whole.add(&head.digest, sizeof head.digest);
	if (r.is_group())
		put_stored(out, r, start);
}

}  // namespace

bool parse(const uint8_t *data, size_t size, Image *out)
{
	if (size < sizeof out->header + sizeof out->trailer)
		return false;
	std::memcpy(&out->header, data, sizeof out->header);
	std::memcpy(&out->trailer, data + size - sizeof out->trailer, sizeof out->trailer);
	uint64_t at = sizeof out->header, end = size - sizeof out->trailer;
	while (at + sizeof(vkckpt_f_record) <= end && out->records.size() < kMostRecords) {
		Record r;
		std::memcpy(&r.head, data + at, sizeof r.head);
		at += sizeof r.head;
		if (r.head.magic != VKCKPT_RECORD_MAGIC || r.head.payload_bytes > end - at)
			break;
		r.payload.assign(data + at, data + at + r.head.payload_bytes);
		at = up(at + r.payload.size(), 16);
		if (r.is_group()) {
			vkckpt_f_group g;
			std::memcpy(&g, r.payload.data(), sizeof g);
			take_stored(r, data, size);
			at = up(at, VKCKPT_BLOCK) + std::min<uint64_t>(g.data_bytes, size);
		}
		bool last = r.head.type == VKCKPT_REC_INDEX;
		out->records.push_back(std::move(r));
		if (last)
			break;
	}
	return !out->records.empty();
}

Bytes build(Image &image, unsigned repair)
{
	Bytes out;
	vk::DigestStream whole;
	if (repair & kDigests)
		image.header.digest = vk::digest_of(&image.header, offsetof(vkckpt_f_header, digest));
	put(out, &image.header, sizeof image.header);
	whole.add(&image.header.digest, sizeof image.header.digest);
	uint64_t sequence = 0, stats = 0, index = 0;
	for (Record &r : image.records) {
		if (r.head.type == VKCKPT_REC_INDEX && repair & kIndex)
			make_index(r, image.records);
		stats = r.head.type == VKCKPT_REC_STATS ? out.size() : stats;
		index = r.head.type == VKCKPT_REC_INDEX ? out.size() : index;
		put_record(out, r, sequence++, repair, whole);
	}
	pad(out, VKCKPT_BLOCK);
	vkckpt_f_trailer &t = image.trailer;
	if (repair & kTrailer) {
		t.file_bytes = out.size() + sizeof t;
		t.stats_offset = stats;
		t.index_offset = index;
		t.record_count = sequence;
		t.image_id = image.header.image_id;
	}
	if (repair & kDigests) {
		t.whole = whole.result();
		t.digest = vk::digest_of(&t, offsetof(vkckpt_f_trailer, digest));
	}
	put(out, &t, sizeof t);
	return out;
}

}  // namespace image_model
