// Changes to inputs. See mutate.h.
#include "test/fuzz/mutate.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "lib/digest.h"
#include "test/fuzz/image_model.h"

namespace fuzz {
namespace {

using image_model::Image;
using image_model::Record;

uint64_t number(Random &random)
{
	static const uint64_t numbers[] = { 0, 1, 2, 15, 16, 0xff, 0x100, 0xfff, 0x1000, 0x1001, 0xffff, 0x10000, 0xfffff, 0x7fffffff,
		0xffffffff, 1ull << 32, 1ull << 44, 1ull << 47, 1ull << 48, 1ull << 60, 1ull << 63, ~0ull, ~0xfffull, ~0xfull };
	return random.below(4) ? numbers[random.below(std::size(numbers))] : random();
}

// A number of 1 to 8 bytes at a place where one may stand: set, or moved a little.
void change_number(uint8_t *bytes, size_t count, Random &random)
{
	size_t size = size_t{1} << random.below(4);
	if (count < size)
		return;
	size_t at = random.below(count / size) * size;
	uint64_t value = 0;
	std::memcpy(&value, bytes + at, size);
	switch (random.below(4)) {
	case 0: value = number(random); break;
	case 1: value += random.below(33) - 16; break;
	case 2: value ^= uint64_t{1} << random.below(size * 8); break;
	default: value += random.below(2) ? 4096 : 65536;
	}
	std::memcpy(bytes + at, &value, size);
}

void change_chunk(vkckpt_f_chunk &c, Random &random)
{
	switch (random.below(8)) {
	case 0: c.mask = static_cast<uint16_t>(random()); break;
	case 1: c.chunk = random.below(2) ? number(random) : random.below(8); break;
	case 2: c.codec = static_cast<uint8_t>(random.below(6)); break;
	case 3: c.object = static_cast<uint16_t>(random.below(2) ? random.below(4) : VKCKPT_OBJECT_REGION + random.below(3)); break;
	case 4: c.stored_bytes = static_cast<uint32_t>(number(random)); break;
	case 5: c.offset = random.below(2) ? number(random) : c.offset + 16 * (random.below(65) - 32); break;
	case 6: c.mask = static_cast<uint16_t>(c.mask & (c.mask - 1)); break;
	default: change_number(reinterpret_cast<uint8_t *>(&c), sizeof c, random);
	}
}

void change_group(Record &r, Random &random)
{
	size_t count = r.chunk_count(), i = random.below(count), other = random.below(count);
	if (count == 0)
		return;
	switch (random.below(6)) {
	case 0:
		std::swap(r.chunk(i), r.chunk(other));
		std::swap(r.stored[i], r.stored[other]);
		break;
	case 1: {	// once more
		vkckpt_f_chunk copy = r.chunk(i);
		Bytes bytes = r.stored[i];
		r.payload.insert(r.payload.end(), reinterpret_cast<uint8_t *>(&copy), reinterpret_cast<uint8_t *>(&copy + 1));
		r.stored.push_back(bytes);
		break;
	}
	case 2:
		r.payload.resize(r.payload.size() - sizeof(vkckpt_f_chunk));
		r.stored.pop_back();
		break;
	case 3:
		mutate_bytes(r.stored[i], random);
		if (r.stored[i].size() > VKCKPT_CHUNK)
			r.stored[i].resize(VKCKPT_CHUNK);
		break;
	default:
		change_chunk(r.chunk(i), random);
	}
}

void change_record(Record &r, Random &random)
{
	switch (random.below(8)) {
	case 0: change_number(reinterpret_cast<uint8_t *>(&r.head), sizeof r.head, random); break;
	case 1: r.head.type = static_cast<uint16_t>(random.below(13)); break;
	case 2: r.head.flags = static_cast<uint32_t>(random.below(3)); break;
	case 3:
		if (!r.is_group())
			mutate_bytes(r.payload, random);
		break;
	default: change_number(r.payload.data(), r.payload.size(), random);
	}
	if (r.payload.size() > VKCKPT_MAX_RECORD)
		r.payload.resize(VKCKPT_MAX_RECORD);
	r.stored.resize(r.chunk_count());
}

void change_records(std::vector<Record> &records, Random &random)
{
	size_t i = random.below(records.size()), other = random.below(records.size());
	switch (random.below(4)) {
	case 0:
		if (records.size() > 1)
			records.erase(records.begin() + static_cast<long>(i));
		break;
	case 1:
		if (records.size() < 64)
			records.insert(records.begin() + static_cast<long>(other), Record(records[i]));
		break;
	case 2:
		std::swap(records[i], records[other]);
		break;
	default: {	// one that nobody knows
		Record unknown;
		unknown.head = { VKCKPT_RECORD_MAGIC, static_cast<uint16_t>(60 + random.below(9)), 1, 0, 0, 0, 0, {} };
		unknown.payload.resize(random.below(100));
		records.insert(records.begin() + static_cast<long>(i), unknown);
	}
	}
}

void change_image(Image &image, Random &random)
{
	Record &r = image.records[random.below(image.records.size())];
	switch (random.below(16)) {
	case 0: change_number(reinterpret_cast<uint8_t *>(&image.header), 576, random); break;	// up to where only zeros follow
	case 1: change_number(reinterpret_cast<uint8_t *>(&image.trailer), 72, random); break;
	case 2: case 3: change_records(image.records, random); break;
	case 4: case 5: case 6: case 7: case 8: case 9:
		for (Record &group : image.records)
			if (group.is_group() && random.below(2)) {
				change_group(group, random);
				return;
			}
		break;
	default: change_record(r, random);
	}
}

}  // namespace

void change_bytes(uint8_t *bytes, size_t count, Random &random)
{
	if (count == 0)
		return;
	if (random.below(2))
		bytes[random.below(count)] ^= static_cast<uint8_t>(1u << random.below(8));
	else
		change_number(bytes, count, random);
}

void mutate_bytes(Bytes &bytes, Random &random)
{
	for (uint64_t n = 1 + random.below(4); n > 0 && !bytes.empty(); n--) {
		size_t at = random.below(bytes.size()), length = std::min<size_t>(1 + random.below(64), bytes.size() - at);
		switch (random.below(8)) {
		case 0: case 1: case 2: case 3: case 4:
			change_bytes(bytes.data(), bytes.size(), random);
			break;
		case 5:
			std::memmove(bytes.data() + at, bytes.data() + random.below(bytes.size() - length + 1), length);
			break;
		case 6:
			if (random.below(4) == 0)
				bytes.resize(at);
			break;
		default:
			if (random.below(4) == 0)
				bytes.insert(bytes.begin() + static_cast<long>(at), length, static_cast<uint8_t>(random()));
		}
	}
}

void mutate_image(Bytes &bytes, Random &random)
{
	Image image;
	if (random.below(16) == 0 || !image_model::parse(bytes.data(), bytes.size(), &image)) {
		mutate_bytes(bytes, random);
		return;
	}
	for (uint64_t n = 1 + random.below(4); n > 0; n--)
		change_image(image, random);
	// Digests are right nearly always; the rest is left as it became in one of four.
	unsigned repair = image_model::kEverything;
	if (random.below(4) == 0)
		repair = static_cast<unsigned>(random.below(image_model::kEverything + 1)) |
		    (random.below(8) ? image_model::kDigests | image_model::kChunkDigests : 0u);
	bytes = image_model::build(image, repair);
}

void mutate_chain(Bytes &bytes, Random &random)
{
	uint32_t length = 0;
	if (bytes.size() >= sizeof length)
		std::memcpy(&length, bytes.data(), sizeof length);
	if (bytes.size() < sizeof length || length > bytes.size() - sizeof length || random.below(64) == 0) {
		mutate_bytes(bytes, random);
		return;
	}
	auto middle = bytes.begin() + static_cast<long>(sizeof length + length);
	Bytes first(bytes.begin() + sizeof length, middle), second(middle, bytes.end());
	uint64_t which = random.below(4);
	if (which != 0)
		mutate_image(first, random);
	if (which != 1)
		mutate_image(second, random);
	length = static_cast<uint32_t>(first.size());
	bytes.resize(sizeof length);
	std::memcpy(bytes.data(), &length, sizeof length);
	bytes.insert(bytes.end(), first.begin(), first.end());
	bytes.insert(bytes.end(), second.begin(), second.end());
}

void mutate_block(Bytes &bytes, Random &random)
{
	mutate_bytes(bytes, random);
	if (bytes.size() < sizeof(vkckpt_digest) || random.below(16) == 0)
		return;
	size_t over = bytes.size() - sizeof(vkckpt_digest);
	vkckpt_digest digest = vk::digest_of(bytes.data(), over);
	std::memcpy(bytes.data() + over, &digest, sizeof digest);
}

}  // namespace fuzz
