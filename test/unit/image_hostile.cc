// Forged images whose checksums are all right: every count, offset and order is checked for its own sake.
#include <catch2/catch.hpp>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/unit/forgery.h"

using namespace image_test;

TEST_CASE("resealing alone changes nothing", "[image][hostile]")
{
	REQUIRE(forged([](Forgery &) {}) == 0);
	REQUIRE(forged_chunk(0, [](vkckpt_f_chunk &) {}) == 0);
}

TEST_CASE("versions, features and algorithms that are not known are refused by name", "[image][hostile]")
{
	REQUIRE(forged([](Forgery &f) { f.header().version_major = 2; }) == VKCKPT_R_VERSION_UNKNOWN);
	REQUIRE(forged([](Forgery &f) { f.header().version_minor = 9; }) == 0);
	REQUIRE(forged([](Forgery &f) { f.header().required_features = 1ull << 63; }) == VKCKPT_R_FEATURE_UNKNOWN);
	REQUIRE(forged([](Forgery &f) { f.header().optional_features = ~0ull; }) == 0);
	REQUIRE(forged([](Forgery &f) { f.header().digest_id = 2; }) == VKCKPT_R_FEATURE_UNKNOWN);
	REQUIRE(forged([](Forgery &f) { f.header().cipher_id = 1; }) == VKCKPT_R_FEATURE_UNKNOWN);
	REQUIRE(forged([](Forgery &f) { f.header().frame_bytes = 16384; }) == VKCKPT_R_PAGE_SIZE_DIFFERS);
}

TEST_CASE("a header with impossible segments is DAMAGED", "[image][hostile]")
{
	REQUIRE(forged([](Forgery &f) { f.header().segment_count = VKCKPT_MAX_SEGMENTS + 1; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) { f.header().segment_count = 2; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) { f.header().segment[0].size_bytes += 1; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) { f.header().segment[0].size_bytes = VKCKPT_MAX_SEGMENT_BYTES + 4096; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) { f.header().segment[3].address = 1; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) { f.header().reserved[1] = 1; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) { f.header().zero[3000] = 1; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) { f.header().header_bytes = 8192; }) == VKCKPT_R_DAMAGED);
}

TEST_CASE("unknown records are skipped when optional and refused when required", "[image][hostile]")
{
	for (uint16_t before : { VKCKPT_REC_HOST, VKCKPT_REC_HEAD_END, VKCKPT_REC_RAM_GROUP, VKCKPT_REC_STATS, VKCKPT_REC_INDEX }) {
		INFO("before record type " << before);
		Forgery optional = inserted(before, 77, 1, 0);
		REQUIRE(optional.reason() == 0);
		REQUIRE(open_reason(optional.image) == 0);
		REQUIRE(inserted(before, 77, 1, VKCKPT_RECORD_REQUIRED).reason() == VKCKPT_R_RECORD_UNKNOWN);
	}
	REQUIRE(inserted(VKCKPT_REC_STATS, 77, 1, 2).reason() == VKCKPT_R_RECORD_UNKNOWN);
	REQUIRE(inserted(VKCKPT_REC_STATS, VKCKPT_REC_DEVICE, 2, 0).reason() == 0);
	REQUIRE(inserted(VKCKPT_REC_STATS, VKCKPT_REC_DEVICE, 2, VKCKPT_RECORD_REQUIRED).reason() == VKCKPT_R_RECORD_UNKNOWN);
}

TEST_CASE("records in the wrong place or number are DAMAGED", "[image][hostile]")
{
	REQUIRE(inserted(VKCKPT_REC_STATS, VKCKPT_REC_VCPU, 1, 1).reason() == VKCKPT_R_DAMAGED);
	REQUIRE(inserted(VKCKPT_REC_HOST, VKCKPT_REC_VCPU, 1, 1).reason() == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) { f.record(VKCKPT_REC_STATS).type = VKCKPT_REC_HEAD_END; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) { f.record(VKCKPT_REC_RAM_GROUP).sequence++; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) { f.record(VKCKPT_REC_HOST).magic++; }) == VKCKPT_R_DAMAGED);
	// A length over its limit is refused before one byte of it is read.
	REQUIRE(forged([](Forgery &f) { f.record(VKCKPT_REC_DEVICE).payload_bytes = 1ull << 40; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) { f.record(VKCKPT_REC_HOST).payload_bytes += 16; }) == VKCKPT_R_DAMAGED);
}

TEST_CASE("head records with counts and texts out of bounds are DAMAGED", "[image][hostile]")
{
	REQUIRE(forged([](Forgery &f) { f.payload<vkckpt_f_identity>(VKCKPT_REC_IDENTITY).build_id_bytes = 33; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) { f.payload<vkckpt_f_identity>(VKCKPT_REC_IDENTITY).vcpu_count = 2; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) { f.payload<vkckpt_f_identity>(VKCKPT_REC_IDENTITY).image_id.bytes[0]++; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) { std::memset(f.payload<vkckpt_f_identity>(VKCKPT_REC_IDENTITY).name, 'x', 64); }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) { f.payload<vkckpt_f_identity>(VKCKPT_REC_IDENTITY).name[40] = 'x'; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) { f.payload<vkckpt_f_vmspace>(VKCKPT_REC_VMSPACE).mapping_count = 17; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) { f.payload<vkckpt_f_vmspace>(VKCKPT_REC_VMSPACE).mapping_count = 2; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) {
		auto *m = reinterpret_cast<vkckpt_f_mapping *>(&f.payload<vkckpt_f_vmspace>(VKCKPT_REC_VMSPACE) + 1);
		m->segment = 1;
	}) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) {
		auto *m = reinterpret_cast<vkckpt_f_mapping *>(&f.payload<vkckpt_f_vmspace>(VKCKPT_REC_VMSPACE) + 1);
		m->size_bytes = ~0ull;
	}) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) { f.payload<vkckpt_f_vcpu>(VKCKPT_REC_VCPU).number = 1; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) { f.payload<vkckpt_f_vcpu>(VKCKPT_REC_VCPU).state_bytes = 8; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) { f.payload<vkckpt_f_vcpu>(VKCKPT_REC_VCPU).kind = VKCKPT_VCPU_CONTEXT; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) { f.payload<vkckpt_f_device>(VKCKPT_REC_DEVICE).config_count = 4; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) { f.payload<vkckpt_f_device>(VKCKPT_REC_DEVICE).config_count = 2; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) { f.payload<vkckpt_f_device>(VKCKPT_REC_DEVICE).config_count = ~0u; }) == VKCKPT_R_DAMAGED);
}

TEST_CASE("descriptors that lie about frames, sizes or places are refused", "[image][hostile]")
{
	auto reason = forged_chunk;
	REQUIRE(reason(1, [](vkckpt_f_chunk &c) { c.mask = 0; }) == VKCKPT_R_DAMAGED);
	REQUIRE(reason(1, [](vkckpt_f_chunk &c) { c.mask |= 1; }) == VKCKPT_R_DAMAGED);		// also in the zero descriptor
	REQUIRE(reason(1, [](vkckpt_f_chunk &c) { c.chunk = 3; }) == VKCKPT_R_DAMAGED);		// behind the segment
	REQUIRE(reason(1, [](vkckpt_f_chunk &c) { c.chunk = ~0ull; }) == VKCKPT_R_DAMAGED);
	REQUIRE(reason(1, [](vkckpt_f_chunk &c) { c.chunk = 1ull << 60; }) == VKCKPT_R_DAMAGED);	// 16 * chunk overflows
	REQUIRE(reason(3, [](vkckpt_f_chunk &c) { c.mask = 0x1f; }) == VKCKPT_R_DAMAGED);	// one frame behind the segment
	REQUIRE(reason(1, [](vkckpt_f_chunk &c) { c.object = 1; }) == VKCKPT_R_DAMAGED);
	REQUIRE(reason(1, [](vkckpt_f_chunk &c) { c.object = VKCKPT_OBJECT_REGION; }) == VKCKPT_R_DAMAGED);
	REQUIRE(reason(1, [](vkckpt_f_chunk &c) { c.object = 0xffff; }) == VKCKPT_R_DAMAGED);
	REQUIRE(reason(1, [](vkckpt_f_chunk &c) { c.offset += 16; }) == VKCKPT_R_DAMAGED);
	REQUIRE(reason(2, [](vkckpt_f_chunk &c) { c.offset -= 16; }) == VKCKPT_R_DAMAGED);	// overlaps chunk 0's
	REQUIRE(reason(1, [](vkckpt_f_chunk &c) { c.offset = 0; }) == VKCKPT_R_DAMAGED);
	REQUIRE(reason(0, [](vkckpt_f_chunk &c) { c.offset = 4096; }) == VKCKPT_R_DAMAGED);	// a zero chunk has no place
	REQUIRE(reason(0, [](vkckpt_f_chunk &c) { c.stored_bytes = 1; }) == VKCKPT_R_DAMAGED);
	REQUIRE(reason(0, [](vkckpt_f_chunk &c) { c.digest.bytes[0] = 1; }) == VKCKPT_R_DAMAGED);
	REQUIRE(reason(2, [](vkckpt_f_chunk &c) { c.stored_bytes -= 1; }) == VKCKPT_R_DAMAGED);
	REQUIRE(reason(1, [](vkckpt_f_chunk &c) { c.stored_bytes = 0; }) == VKCKPT_R_DAMAGED);
	REQUIRE(reason(1, [](vkckpt_f_chunk &c) { c.stored_bytes = ~0u; }) == VKCKPT_R_DAMAGED);
	REQUIRE(reason(1, [](vkckpt_f_chunk &c) { c.reserved[5] = 1; }) == VKCKPT_R_DAMAGED);
	REQUIRE(reason(1, [](vkckpt_f_chunk &c) { c.content.bytes[15] = 1; }) == VKCKPT_R_DAMAGED);
	REQUIRE(reason(1, [](vkckpt_f_chunk &c) { c.mask &= static_cast<uint16_t>(c.mask - 1); }) == VKCKPT_R_DAMAGED);	// decodes to more
	REQUIRE(reason(1, [](vkckpt_f_chunk &c) { c.codec = VKCKPT_CODEC_RAW; }) == VKCKPT_R_DAMAGED);
	REQUIRE(reason(2, [](vkckpt_f_chunk &c) { c.codec = VKCKPT_CODEC_LZ4; }) == VKCKPT_R_DAMAGED);
	for (uint8_t codec : { 3, 4, 5, 255 })
		REQUIRE(reason(1, [&](vkckpt_f_chunk &c) { c.codec = codec; }) == VKCKPT_R_CODEC_UNKNOWN);
	REQUIRE(reason(1, [](vkckpt_f_chunk &c) { c.page_class = 200; }) == 0);			// only informs
}

TEST_CASE("random access refuses the same forgeries of the index", "[image][hostile]")
{
	auto reason = [](unsigned i, const std::function<void(vkckpt_f_chunk &)> &change) {
		Forgery f = forgery();
		change(f.chunks()[i]);
		change(f.index()[i]);
		reseal(f.image, f.offsets);
		return open_reason(f.image);
	};
	REQUIRE(reason(1, [](vkckpt_f_chunk &) {}) == 0);
	REQUIRE(reason(1, [](vkckpt_f_chunk &c) { c.mask |= 1; }) == VKCKPT_R_DAMAGED);
	REQUIRE(reason(1, [](vkckpt_f_chunk &c) { c.chunk = 1ull << 60; }) == VKCKPT_R_DAMAGED);
	REQUIRE(reason(1, [](vkckpt_f_chunk &c) { c.offset = ~0ull - 15; }) == VKCKPT_R_DAMAGED);
	REQUIRE(reason(1, [](vkckpt_f_chunk &c) { c.offset += 1; }) == VKCKPT_R_DAMAGED);
	REQUIRE(reason(1, [](vkckpt_f_chunk &c) { c.stored_bytes = 65535; }) == VKCKPT_R_DAMAGED);
	REQUIRE(reason(1, [](vkckpt_f_chunk &c) { c.mask &= static_cast<uint16_t>(c.mask - 1); }) == VKCKPT_R_DAMAGED);
	REQUIRE(reason(1, [](vkckpt_f_chunk &c) { c.codec = 3; }) == VKCKPT_R_CODEC_UNKNOWN);
}

TEST_CASE("groups that lie about their counts or data are DAMAGED", "[image][hostile]")
{
	REQUIRE(forged([](Forgery &f) { f.group().chunk_count = 0; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) { f.group().chunk_count = 257; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) { f.group().chunk_count++; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) { f.group().data_bytes += 4096; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) { f.group().data_bytes = 1ull << 63; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) { f.group().data_offset += 4096; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) { f.group().reserved = 1; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) { std::swap(f.chunks()[1], f.chunks()[2]); }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) { f.chunks()[3] = f.chunks()[2]; }) == VKCKPT_R_DAMAGED);
}

TEST_CASE("an index that is not the groups' is DAMAGED", "[image][hostile]")
{
	REQUIRE(forged([](Forgery &f) { std::swap(f.index()[0], f.index()[1]); }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) { std::swap(f.index()[2], f.index()[3]); }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) { f.index()[1] = f.index()[0]; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) { f.index()[2].page_class ^= 1; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) { f.payload<vkckpt_f_index>(VKCKPT_REC_INDEX).entry_count--; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) { f.payload<vkckpt_f_index>(VKCKPT_REC_INDEX).reserved = 1; }) == VKCKPT_R_DAMAGED);
}

TEST_CASE("a trailer that does not fit the file is DAMAGED", "[image][hostile]")
{
	REQUIRE(forged([](Forgery &f) { f.trailer().file_bytes += 4096; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) { f.trailer().index_offset -= 16; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) { f.trailer().stats_offset -= 16; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) { f.trailer().record_count++; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) { f.trailer().image_id.bytes[3] ^= 1; }) == VKCKPT_R_DAMAGED);
	REQUIRE(forged([](Forgery &f) { f.trailer().zero[4000] = 1; }) == VKCKPT_R_DAMAGED);
}

TEST_CASE("records of another image with the same sizes break the chain", "[image][hostile]")
{
	Forgery f = forgery();
	uint64_t stats = offset_of_type(f.image, VKCKPT_REC_STATS);
	vkckpt_f_trailer before = f.trailer();
	f.payload<vkckpt_f_stats>(VKCKPT_REC_STATS).walk_ns = 99;
	reseal(f.image, { stats });	// the record is right in itself; the chain is that of the old one
	f.trailer() = before;
	at<vkckpt_f_header>(f.image, 0) = forgery().header();
	REQUIRE(read_bytes(f.image).reason == VKCKPT_R_DAMAGED);
}

TEST_CASE("a header that claims enormous RAM costs a reader nothing", "[image][hostile]")
{
	Forgery f = forgery();
	const Bytes modest = f.image;
	f.header().segment_count = VKCKPT_MAX_SEGMENTS;
	constexpr uint64_t bytes = VKCKPT_MAX_RAM_BYTES / VKCKPT_MAX_SEGMENTS;
	for (unsigned i = 0; i < VKCKPT_MAX_SEGMENTS; i++)
		f.header().segment[i] = { (i + 1) * bytes, bytes };
	uint32_t reason = f.reason();		// seals it again
	REQUIRE((reason == 0 || reason == VKCKPT_R_NO_MEMORY));
	// The most memory that a process has ever had in which one of them is read.
	auto peak_kib = [](const Bytes &image) {
		const pid_t child = fork();
		if (child == 0) {
			(void)read_bytes(image);
			_exit(0);
		}
		struct rusage usage = {};
		int status = 0;
		REQUIRE(wait4(child, &status, 0, &usage) == child);
		REQUIRE(status == 0);
		return usage.ru_maxrss;
	};
	const long most = peak_kib(modest) + 4096, now = peak_kib(f.image);
	CAPTURE(most, now);
#ifndef __SANITIZE_ADDRESS__		// which keeps a byte of its own for eight that are mapped
	REQUIRE(now < most);
#endif
	f.header().segment[15].size_bytes += 4096;
	REQUIRE(f.reason() == VKCKPT_R_LIMIT);
}
