// Sealed images by an attacker who may seal, as everybody can who knows a public key: inside the seal he lies as in an image in clear. And
// tables of callbacks that do not keep their contract.
#include <catch2/catch.hpp>

#include "lib/image_check.h"
#include "lib/image_file.h"
#include "test/unit/image_support.h"
#include "test/unit/seal_support.h"

using namespace image_test;
using namespace seal_test;

namespace {

// An image whose seal hides nothing and binds nothing: what lies behind it can be changed.
struct Sealed {
	vkckpt_crypto table = open_to_all();
	Bytes image = image_bytes(kShape, some_frames(), &table);

	template <class T> T &payload(uint16_t type, size_t behind = 0)
	{
		return at<T>(image, offset_of_type(image, type) + sizeof(vkckpt_f_record) + behind);
	}
	vkckpt_f_sealed_group &prefix() { return payload<vkckpt_f_sealed_group>(VKCKPT_REC_RAM_GROUP); }
	uint32_t reason() { return read_bytes(image, &table).reason; }
	uint32_t keyless()
	{
		TempFile file(image);
		vkckpt_error err = {};
		return vkckpt_image_verify(file.path().c_str(), -1, nullptr, nullptr, &err) < 0 ? err.reason : 0;
	}
	// A record of any type in front of the one of that type; its payload, 4096 bytes with its head, is empty behind the seal.
	void insert(uint16_t before, uint16_t type, uint16_t version, uint32_t flags)
	{
		uint64_t where = offset_of_type(image, before);
		Bytes extra(VKCKPT_BLOCK);
		vkckpt_f_record r = { VKCKPT_RECORD_MAGIC, type, version, 0, VKCKPT_BLOCK - sizeof r, flags, 0, {} };
		std::memcpy(extra.data(), &r, sizeof r);
		image.insert(image.begin() + static_cast<long>(where), extra.begin(), extra.end());
		std::vector<uint64_t> offsets = record_offsets(image);
		for (uint64_t s = 0; s < offsets.size(); s++)
			at<vkckpt_f_record>(image, offsets[s]).sequence = s;
		vkckpt_f_trailer &t = at<vkckpt_f_trailer>(image, image.size() - sizeof(vkckpt_f_trailer));
		t.record_count++;
		t.file_bytes += VKCKPT_BLOCK;
		t.index_offset += VKCKPT_BLOCK;
		t.stats_offset = offset_of_type(image, VKCKPT_REC_STATS);
		if (where <= offset_of_type(image, VKCKPT_REC_RAM_GROUP))
			move_data();
		reseal(image, offsets);
	}
	// The only group's data has moved by a block.
	void move_data()
	{
		vkckpt_f_group &group = payload<vkckpt_f_group>(VKCKPT_REC_RAM_GROUP, sizeof(vkckpt_f_sealed_group));
		group.data_offset += VKCKPT_BLOCK;
		vkckpt_f_chunk *in_group = reinterpret_cast<vkckpt_f_chunk *>(&group + 1);
		vkckpt_f_chunk *in_index = reinterpret_cast<vkckpt_f_chunk *>(&payload<vkckpt_f_index>(VKCKPT_REC_INDEX) + 1);
		for (uint32_t i = 0; i < group.chunk_count; i++)
			for (vkckpt_f_chunk *c : { &in_group[i], &in_index[i] })
				c->offset += c->offset ? VKCKPT_BLOCK : 0;
	}
};

template <class F> uint32_t forged(F change)
{
	Sealed s;
	change(s);
	reseal(s.image, record_offsets(s.image));
	return s.reason();
}

// A valid record of each kind.
vkckpt_f_key key_of(uint32_t kind)
{
	vkckpt_f_key k = {};
	k.kind = kind;
	k.wrapped_bytes = kind == VKCKPT_KEY_BOX ? 80 : 48;
	std::memset(k.wrapped, 0x77, k.wrapped_bytes);
	if (kind == VKCKPT_KEY_BOX)
		std::memset(k.recipient, 0x11, sizeof k.recipient);
	else
		std::memset(k.nonce, 0x22, sizeof k.nonce);
	if (kind == VKCKPT_KEY_PASSPHRASE) {
		std::memset(k.salt, 0x33, sizeof k.salt);
		k.passes = 3, k.memory_bytes = 64 << 20;
	}
	return k;
}

}  // namespace

TEST_CASE("of a record KEY only what belongs to its kind may be other than zero", "[seal][hostile]")
{
	for (uint32_t kind : { VKCKPT_KEY_BOX, VKCKPT_KEY_PASSPHRASE, VKCKPT_KEY_RAW }) {
		const vkckpt_f_key good = key_of(kind);
		REQUIRE(vk::check_key(good).ok());
		auto inside = [](size_t i, size_t from, size_t bytes) { return i >= from && i < from + bytes; };
		for (size_t i = 0; i < sizeof good; i++) {
			vkckpt_f_key bad = good;
			reinterpret_cast<uint8_t *>(&bad)[i] ^= 0x80;
			bool free = inside(i, offsetof(vkckpt_f_key, wrapped), good.wrapped_bytes) ||
			    (kind == VKCKPT_KEY_BOX ? inside(i, offsetof(vkckpt_f_key, recipient), 32) : inside(i, offsetof(vkckpt_f_key, nonce), 24)) ||
			    (kind == VKCKPT_KEY_PASSPHRASE && inside(i, offsetof(vkckpt_f_key, salt), 16)) ||
			    // 2^23, 2^31 more are still memory within the limit of 4 GiB
			    (kind == VKCKPT_KEY_PASSPHRASE && inside(i, offsetof(vkckpt_f_key, memory_bytes) + 1, 3));
			CAPTURE(kind, i);
			CHECK(vk::check_key(bad).ok() == free);
		}
	}
	vkckpt_f_key little = key_of(VKCKPT_KEY_PASSPHRASE);
	little.memory_bytes = 7168;
	CHECK(vk::check_key(little).reason == VKCKPT_R_LIMIT);
	vkckpt_f_key patient = key_of(VKCKPT_KEY_PASSPHRASE);
	patient.passes = 65;
	CHECK(vk::check_key(patient).reason == VKCKPT_R_LIMIT);
}

TEST_CASE("who has no key is told which one it takes", "[seal]")
{
	auto told = [](uint32_t kind) {
		vk::Status s = vk::seal_refused(key_of(kind));
		CHECK(s.reason == VKCKPT_R_SEALED);
		return std::string(s.subject);
	};
	CHECK(told(VKCKPT_KEY_BOX) == "sealed to public key 1111111111111111");
	CHECK(told(VKCKPT_KEY_PASSPHRASE) == "sealed with a passphrase");
	CHECK(told(VKCKPT_KEY_RAW) == "sealed with a raw key");
	CHECK(vk::seal_refused(key_of(9)).reason == VKCKPT_R_FEATURE_UNKNOWN);
}

TEST_CASE("a table of callbacks that gives other than 0 or -errno, or lacks one, fails and leaves no key", "[seal]")
{
	vkckpt_f_header header = {};
	const vkckpt_f_key key = key_of(VKCKPT_KEY_RAW);
	auto opened = [&](auto change) {
		vkckpt_crypto table = open_to_all();
		change(table);
		vk::Seal seal;
		vk::Status s = seal.init(table);
		if (s.ok())
			s = seal.open(header, key);
		CHECK(seal.active() == s.ok());
		uint8_t bytes[16 + VKCKPT_TAG_BYTES] = {};
		vkckpt_f_chunk chunk = {};
		if (s.ok())
			s = seal.open_chunk(chunk, bytes, 16);
		seal.release();
		return s;
	};
	CHECK(opened([](vkckpt_crypto &) {}).ok());
	CHECK(opened([](vkckpt_crypto &t) { t.seal = nullptr; }).reason == VKCKPT_R_BAD_ARGUMENT);
	CHECK(opened([](vkckpt_crypto &t) { t.open = nullptr; }).reason == VKCKPT_R_BAD_ARGUMENT);
	CHECK(opened([](vkckpt_crypto &t) { t.open_key = nullptr; }).reason == VKCKPT_R_SEALED);
	vk::Status much = opened([](vkckpt_crypto &t) { t.open_key = [](void *, const vkckpt_uuid *, const vkckpt_f_key *, uint8_t *) { return -ENOMEM; }; });
	CHECK(much.code == ENOMEM);		// Argon2id asks for what the record says
	CHECK(much.reason == VKCKPT_R_NO_MEMORY);
	vk::Status odd = opened([](vkckpt_crypto &t) { t.open_key = [](void *, const vkckpt_uuid *, const vkckpt_f_key *, uint8_t *) { return 7; }; });
	CHECK((odd.code == EINVAL && odd.reason == VKCKPT_R_HOOK_FAILED));
	odd = opened([](vkckpt_crypto &t) { t.open = [](const uint8_t *, const vkckpt_f_nonce *, const void *, size_t, void *, size_t) { return 1; }; });
	CHECK((odd.code == EINVAL && odd.reason == VKCKPT_R_HOOK_FAILED));
	auto made = [&](auto change) {
		vkckpt_crypto table = open_to_all();
		change(table);
		TempFile file;
		return write_image(file.fd(), kShape, some_frames(), &table);
	};
	CHECK(made([](vkckpt_crypto &t) { t.make_key = nullptr; }).reason == VKCKPT_R_BAD_ARGUMENT);
	odd = made([](vkckpt_crypto &t) { t.make_key = [](void *, const vkckpt_uuid *, uint8_t *, vkckpt_f_key *) { return 3; }; });
	CHECK((odd.code == EINVAL && odd.reason == VKCKPT_R_HOOK_FAILED));
	odd = made([](vkckpt_crypto &t) { t.make_key = [](void *, const vkckpt_uuid *, uint8_t *, vkckpt_f_key *) { return -EMFILE; }; });
	CHECK((odd.code == EMFILE && odd.reason == VKCKPT_R_HOOK_FAILED));
}

TEST_CASE("a sealed image begins with KEY and SHAPE, and with nothing else", "[seal][hostile]")
{
	CHECK(forged([](Sealed &) {}) == 0);
	for (uint16_t place : { VKCKPT_REC_KEY, VKCKPT_REC_SHAPE }) {
		Sealed before;
		before.insert(place, 77, 1, 0);	// an optional record that nobody knows is skipped everywhere else
		CHECK(before.reason() == VKCKPT_R_DAMAGED);
		Sealed other;
		other.insert(place, VKCKPT_REC_DEVICE, 1, VKCKPT_RECORD_REQUIRED);
		CHECK(other.reason() == VKCKPT_R_DAMAGED);
	}
	CHECK(forged([](Sealed &s) { s.payload<vkckpt_f_shape>(VKCKPT_REC_SHAPE).reserved = 1; }) == VKCKPT_R_DAMAGED);
	CHECK(forged([](Sealed &s) { s.payload<vkckpt_f_shape>(VKCKPT_REC_SHAPE).segment_count = 17; }) == VKCKPT_R_DAMAGED);
	CHECK(forged([](Sealed &s) { s.payload<vkckpt_f_shape>(VKCKPT_REC_SHAPE).segment[1].size_bytes++; }) == VKCKPT_R_DAMAGED);
}

TEST_CASE("what a sealed group says in clear is what it says inside", "[seal][hostile]")
{
	CHECK(forged([](Sealed &s) { s.prefix().reserved = 1; }) == VKCKPT_R_DAMAGED);
	CHECK(forged([](Sealed &s) { s.payload<vkckpt_f_group>(VKCKPT_REC_RAM_GROUP, 32).data_bytes += 4096; }) == VKCKPT_R_DAMAGED);
	Sealed s;	// shorter in clear: the records behind it are then elsewhere, for those who have no key
	std::vector<uint64_t> offsets = record_offsets(s.image);
	s.prefix().data_bytes -= 4096;
	reseal(s.image, offsets);
	CHECK(s.reason() == VKCKPT_R_DAMAGED);
	CHECK(s.keyless() == VKCKPT_R_DAMAGED);
	s.prefix().data_bytes += 4096 + 16;
	reseal(s.image, offsets);
	CHECK(s.keyless() == VKCKPT_R_DAMAGED);
	Sealed short_record;	// no room for the prefix
	vkckpt_f_record &r = at<vkckpt_f_record>(short_record.image, offset_of_type(short_record.image, VKCKPT_REC_RAM_GROUP));
	offsets = record_offsets(short_record.image);
	r.payload_bytes = 31;
	reseal(short_record.image, offsets);
	CHECK(short_record.reason() == VKCKPT_R_DAMAGED);
	CHECK(short_record.keyless() == VKCKPT_R_DAMAGED);
}

TEST_CASE("optional records are skipped in a sealed image too, with the key and without, and it may end in none of them", "[seal][hostile]")
{
	for (uint16_t before : { VKCKPT_REC_HOST, VKCKPT_REC_HEAD_END, VKCKPT_REC_RAM_GROUP, VKCKPT_REC_STATS, VKCKPT_REC_INDEX }) {
		CAPTURE(before);
		for (auto [type, version] : { std::pair<uint16_t, uint16_t>{ 77, 1 }, { VKCKPT_REC_REGION, 2 } }) {
			Sealed s;
			s.insert(before, type, version, 0);
			CHECK(s.reason() == 0);
			CHECK(s.keyless() == 0);
			CHECK(open_reason(s.image, &s.table) == 0);
			const Bytes whole = s.image;
			for (size_t length = 0; length < whole.size(); length += 509) {
				CAPTURE(length);
				s.image.assign(whole.begin(), whole.begin() + static_cast<long>(length));
				if (s.reason() == 0 || s.keyless() == 0 || open_reason(s.image, &s.table) == 0)
					FAIL("a cut was not seen");
			}
		}
		Sealed required;
		required.insert(before, 77, 1, VKCKPT_RECORD_REQUIRED);
		CHECK(required.reason() == VKCKPT_R_RECORD_UNKNOWN);
		CHECK(required.keyless() == VKCKPT_R_RECORD_UNKNOWN);
	}
}

TEST_CASE("a sealed image cut at any length is refused without its key and at random too", "[seal]")
{
	Sealed s;
	const Bytes whole = s.image;
	for (size_t length = 0; length < whole.size(); length += length < 12288 || whole.size() - length < 12288 ? 7 : 331) {
		CAPTURE(length);
		s.image.assign(whole.begin(), whole.begin() + static_cast<long>(length));
		if (s.keyless() == 0 || open_reason(s.image, &s.table) == 0)
			FAIL("a cut was not seen");
	}
}
