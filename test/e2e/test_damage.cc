// Images that are cut, changed, extended, forged or another's: minivk refuses each with the right reason, and what was refused
// harmed nothing: the intact image still thaws.
#include <catch2/catch.hpp>

#include <algorithm>
#include <filesystem>
#include <set>
#include <unistd.h>

#include <vkckpt/disk.h>

#include "test/e2e/place.h"
#include "test/unit/image_support.h"

using namespace vktest;

namespace {

using image_test::Bytes;

// A suspended vkernel, its image as bytes, and a file beside it for what a test makes of them.
struct Suspended {
	Place place;
	std::string good, bad_path = place / "bad.ckpt";
	explicit Suspended(const std::vector<std::string> &options = {})
	{
		Child boot = place.sh("x=alive; echo ready; thawed; echo $x", options);
		REQUIRE(boot->expect("ready"));
		REQUIRE(suspend(*boot) == "");
		good = contents(place.image());
	}
	Outcome thaw_of(const std::string &bytes)
	{
		write_file(bad_path, bytes);
		return place.thawed({}, bad_path);
	}
	// Refused: status 1, one line that names the image's trouble with one of these reasons.
	std::string refusal(const std::string &bytes, const std::set<std::string> &reasons, const std::vector<std::string> &options = {})
	{
		write_file(bad_path, bytes);
		const Outcome o = place.thawed(options, bad_path);
		const size_t open = o.err.rfind('('), close = o.err.rfind(')');
		const std::string reason = open == std::string::npos ? "" : o.err.substr(open + 1, close - open - 1);
		const bool line = o.err.rfind("minivk: ", 0) == 0 && o.err.find('\n') == o.err.size() - 1;
		if (o.status == 1 && o.out.empty() && line && reasons.count(reason))
			return "";
		return "status " + std::to_string(o.status) + ", out: " + o.out + ", err: " + o.err;
	}
	void still_thaws()
	{
		REQUIRE(contents(place.image()) == good);
		const Outcome o = place.thawed();
		INFO(o.err);
		CHECK(o.status == 0);
		CHECK(o.out == "alive\n");
	}
};

Bytes bytes_of(const std::string &text) { return Bytes(text.begin(), text.end()); }

std::string changed(const std::string &good, size_t place, uint8_t by)
{
	std::string bad = good;
	bad[place] = char(bad[place] ^ by);
	return bad;
}

const std::set<std::string> kCut = {"TRUNCATED"}, kDamage = {"DAMAGED"};

// Forged with checksums that are right.
std::string forged(const std::string &good, const std::function<void(Bytes &)> &change)
{
	Bytes image = bytes_of(good);
	const std::vector<uint64_t> offsets = image_test::record_offsets(image);
	change(image);
	image_test::reseal(image, offsets);
	return {image.begin(), image.end()};
}

vkckpt_f_header &header(Bytes &image) { return image_test::at<vkckpt_f_header>(image, 0); }
template <class T> T &record(Bytes &image, uint16_t type)
{
	return image_test::at<T>(image, image_test::offset_of_type(image, type) + sizeof(vkckpt_f_record));
}

}  // namespace

TEST_CASE("names in an image do not steer the terminal of who thaws it", "[damage]")
{
	auto harmless = [](const std::string &text) {
		for (size_t i = 0; i + 1 < text.size(); i++)
			if (const uint8_t c = uint8_t(text[i]), next = uint8_t(text[i + 1]);
			    (c < 0x20 && c != '\n') || c == 0x7f || (c == 0xc2 && next >= 0x80 && next < 0xa0) || (c < 0x80 && next >= 0x80 && next < 0xa0))
				return false;
		return true;
	};
	const std::string hostile = "\033[2J\xc2\x9b" "1\x9b";
	Place place;
	const std::string disk = place.make_disk(1 << 20, "disk" + hostile + ".img");
	Child child = place.sh(kTicks, {"-m", "16m", "-r", disk});
	REQUIRE(child->expect("ready"));
	REQUIRE(suspend(*child) == "");
	Child clone = place.thaw({"--clone=other"});	// tells of the disk's copy
	REQUIRE(clone->expect("tick"));
	CHECK(has(clone->err(), "disk0: "));
	CHECK(harmless(clone->err()));
	// Forged: another path of the same length.
	const std::string good = contents(place.image()), missing = "miss" + hostile + ".img";
	const std::string bad = place / "bad.ckpt";
	write_file(bad, forged(good, [&](Bytes &b) {
		const Bytes name = bytes_of("disk" + hostile + ".img");
		for (auto at = b.begin(); (at = std::search(at, b.end(), name.begin(), name.end())) != b.end(); )
			at = std::copy(missing.begin(), missing.end(), at);
	}));
	for (const std::vector<std::string> &options : {std::vector<std::string>{}, {"--dry-run"}, {"--dry-run", "--json"},
	    {"--console", "log:/nowhere/" + hostile}, {"--dry-run", "-o", "console.kind=" + hostile}}) {
		const Outcome o = place.thawed(options, bad);
		INFO(o.out << o.err);
		CHECK(o.status == 1);
		CHECK((has(o.out + o.err, "DISK_MISSING") || has(o.err, "(DEVICE_MISSING)")));
		CHECK(harmless(o.out));
		CHECK(harmless(o.err));
	}
	for (const char *command : {"info", "verify"}) {
		const Outcome o = place.tool({command, bad});
		INFO(o.out << o.err);
		CHECK(o.status == 0);
		CHECK(harmless(o.out + o.err));
	}
}

TEST_CASE("an image truncated at any length is refused", "[damage]")
{
	Suspended s({"--root", guest_root("gap"), "-m", "16m"});
	const std::vector<uint64_t> records = image_test::record_offsets(bytes_of(s.good));
	uint64_t head_end = 0;
	std::set<size_t> lengths;
	for (uint64_t at : records) {
		const auto *r = reinterpret_cast<const vkckpt_f_record *>(s.good.data() + at);
		if (r->type == VKCKPT_REC_HEAD_END)
			head_end = at + sizeof *r;
		for (size_t length : {at - 1, at, at + 1, at + sizeof *r - 1, at + sizeof *r, at + sizeof *r + 1})
			lengths.insert(length);
	}
	REQUIRE(head_end > 4096);
	for (size_t length = 0; length < head_end; length += length >= 8 && length < 4096 - 8 ? 16 : 1)
		lengths.insert(length);
	for (size_t length = head_end; length < s.good.size(); length += s.good.size() / 150 + 1)
		lengths.insert(length);
	for (size_t back = 1; back <= 4096 + 64; back += back < 32 || back > 4080 ? 1 : 64)
		lengths.insert(s.good.size() - back);
	// From the longest to the shortest: the file is cut, not written anew.
	write_file(s.bad_path, s.good);
	for (auto length = lengths.rbegin(); length != lengths.rend(); ++length) {
		std::filesystem::resize_file(s.bad_path, *length);
		const Outcome o = s.place.thawed({}, s.bad_path);
		INFO("cut to " << *length << " of " << s.good.size() << ": " << o.err);
		REQUIRE(o.status == 1);
		REQUIRE(o.out == "");
		REQUIRE(has(o.err, *length >= 8 ? "(TRUNCATED)" : "("));
	}
	s.still_thaws();
}

TEST_CASE("an image with any byte changed is refused", "[damage]")
{
	Suspended s({"--root", guest_root("gap"), "-m", "16m"});
	Random random;
	const std::vector<uint64_t> records = image_test::record_offsets(bytes_of(s.good));
	std::set<size_t> places;
	for (uint64_t at : records) {
		const auto *r = reinterpret_cast<const vkckpt_f_record *>(s.good.data() + at);
		const size_t payload = size_t(r->payload_bytes), begin = at + sizeof *r;
		// Its head field by field, its digest, its payload's ends and middle, and the zeros behind it.
		for (size_t place : {size_t(0), size_t(4), size_t(6), size_t(8), size_t(16), size_t(23), size_t(24), size_t(28), size_t(32), size_t(47)})
			places.insert(at + place);
		if (payload)
			for (size_t place : {begin, begin + payload / 2, begin + payload - 1})
				places.insert(place);
		if (payload % 16)
			places.insert(begin + payload);
		if (r->type < VKCKPT_REC_HEAD_END)
			for (size_t place = begin + random.below(3); place < begin + payload; place += 3)
				places.insert(place);
	}
	for (size_t place : {size_t(0), size_t(7), size_t(8), size_t(12), size_t(16), size_t(24), size_t(60), size_t(2000), size_t(4095)}) {
		places.insert(place);
		places.insert(s.good.size() - 1 - place);
	}
	for (int i = 0; i < 250; i++)
		places.insert(random.below(s.good.size()));
	write_file(s.bad_path, s.good);
	const std::set<std::string> reasons = {"DAMAGED", "TRUNCATED", "NOT_AN_IMAGE", "VERSION_UNKNOWN", "FEATURE_UNKNOWN"};
	for (size_t place : places) {
		const uint8_t bit = uint8_t(1u << random.below(8));
		INFO("byte " << place << " xor " << int(bit) << "; " << random.repeat());
		REQUIRE(s.refusal(changed(s.good, place, bit), reasons) == "");
	}
	s.still_thaws();
}

TEST_CASE("an image with bytes behind its end is refused", "[damage]")
{
	Suspended s;
	for (const std::string &more : {std::string("x"), std::string(1, '\0'), std::string(4096, '\0'), std::string(65536, 'y'), s.good})
		CHECK(s.refusal(s.good + more, {"TRAILING_DATA"}) == "");
	s.still_thaws();
}

TEST_CASE("what is no image is refused", "[damage]")
{
	Suspended s;
	CHECK(s.refusal("", {"TRUNCATED", "NOT_AN_IMAGE"}) == "");
	CHECK(s.refusal("hello", {"TRUNCATED", "NOT_AN_IMAGE"}) == "");
	CHECK(s.refusal(contents("/bin/busybox"), {"NOT_AN_IMAGE"}) == "");
	CHECK(s.refusal(std::string(100000, '\0'), {"NOT_AN_IMAGE"}) == "");
	Outcome o = s.place.thawed({}, s.place / "missing.ckpt");
	CHECK(o.status == 1);
	CHECK(has(o.err, "(NOT_FOUND)"));
	CHECK(has(o.err, "missing.ckpt"));
	o = s.place.thawed({}, s.place.path());
	CHECK(o.status == 1);
	CHECK(has(o.err, std::filesystem::path(s.place.path()).filename()));
	CHECK(has(o.err, "a folder, not an image"));
	s.still_thaws();
}

TEST_CASE("an image of another architecture or version or host or vkernel is refused by name", "[damage]")
{
	Suspended s;
	auto refused = [&](const char *reason, const std::function<void(Bytes &)> &change) {
		INFO(reason);
		CHECK(s.refusal(forged(s.good, change), {reason}) == "");
		CHECK(s.refusal(forged(s.good, change), {reason}, {"--dry-run"}) == "");
	};
	REQUIRE(forged(s.good, [](Bytes &) {}) == s.good);
	refused("ARCH_DIFFERS", [](Bytes &b) { header(b).arch = 183; });
	refused("VERSION_UNKNOWN", [](Bytes &b) { header(b).version_major = 2; });
	refused("FEATURE_UNKNOWN", [](Bytes &b) { header(b).required_features |= 1ull << 40; });
	refused("PAGE_SIZE_DIFFERS", [](Bytes &b) { record<vkckpt_f_host>(b, VKCKPT_REC_HOST).page_bytes = 16384; });
	refused("CPU_LACKS_FEATURE", [](Bytes &b) {	// no processor has both
		record<vkckpt_f_host>(b, VKCKPT_REC_HOST).cpuid[VKCKPT_CPUID_80000001_ECX] |= 1 << 11;
		record<vkckpt_f_host>(b, VKCKPT_REC_HOST).cpuid[VKCKPT_CPUID_7_EDX] |= 1 << 24;
	});
	refused("XSTATE_LACKING", [](Bytes &b) { record<vkckpt_f_host>(b, VKCKPT_REC_HOST).xcr0 |= 1ull << 60; });
	refused("CPU_UNMASKED", [](Bytes &b) { record<vkckpt_f_host>(b, VKCKPT_REC_HOST).cpu_masked = 1; });
	refused("DAMAGED", [](Bytes &b) { record<vkckpt_f_host>(b, VKCKPT_REC_HOST).cpu_masked = 2; });
	refused("PROGRAM_DIFFERS", [](Bytes &b) { strncpy(record<vkckpt_f_identity>(b, VKCKPT_REC_IDENTITY).program, "uml", 64); });
	refused("BUILD_DIFFERS", [](Bytes &b) { record<vkckpt_f_identity>(b, VKCKPT_REC_IDENTITY).build_id[3] ^= 1; });
	refused("LAYOUT_DIFFERS", [](Bytes &b) { record<vkckpt_f_identity>(b, VKCKPT_REC_IDENTITY).layout.bytes[3] ^= 1; });
	refused("DEVICE_UNKNOWN", [](Bytes &b) { strncpy(record<vkckpt_f_device>(b, VKCKPT_REC_DEVICE).device_class, "tape", 32); });
	refused("DEVICE_UNKNOWN", [](Bytes &b) { record<vkckpt_f_device>(b, VKCKPT_REC_DEVICE).version = 9; });
	refused("RECORD_UNKNOWN", [](Bytes &b) {
		auto &r = image_test::at<vkckpt_f_record>(b, image_test::offset_of_type(b, VKCKPT_REC_VMSPACE));
		r.type = 99;
		r.flags = VKCKPT_RECORD_REQUIRED;
	});
	// A newer minor version changes nothing that must be known.
	const Outcome newer = s.thaw_of(forged(s.good, [](Bytes &b) { header(b).version_minor = 7; }));
	CHECK(newer.out == "alive\n");
	s.still_thaws();
}

TEST_CASE("an image that makes one address space twice, or one that the vkernel has not, is refused", "[damage]")
{
	Place place;
	Child child = place.sh("sleep 1000 & echo ready; thawed; echo alive");
	REQUIRE(child->expect("ready"));
	REQUIRE(suspend(*child) == "");
	const std::string good = contents(place.image()), bad = place / "bad.ckpt";
	for (const bool twice : {true, false}) {
		write_file(bad, forged(good, [twice](Bytes &b) {
			std::vector<vkckpt_f_vmspace *> spaces;
			for (const uint64_t at : image_test::record_offsets(b))
				if (image_test::at<vkckpt_f_record>(b, at).type == VKCKPT_REC_VMSPACE)
					spaces.push_back(&image_test::at<vkckpt_f_vmspace>(b, at + sizeof(vkckpt_f_record)));
			REQUIRE(spaces.size() >= 2);
			spaces[1]->id = twice ? spaces[0]->id : spaces[0]->id + 8;
		}));
		const Outcome o = place.thawed({}, bad);
		INFO(o.err);
		CHECK(o.status == 1);
		CHECK(o.out == "");
		CHECK(has(o.err, "(HOOK_FAILED)"));
		CHECK(has(o.err, "vmspace_make"));
	}
	CHECK(has(place.thawed().out, "alive"));
}

TEST_CASE("another build of minivk refuses the image and names the build that wrote it", "[damage]")
{
	Suspended s;
	Bytes image = bytes_of(s.good);
	const auto &identity = record<vkckpt_f_identity>(image, VKCKPT_REC_IDENTITY);
	const std::string id(reinterpret_cast<const char *>(identity.build_id), identity.build_id_bytes);
	std::string program = contents(minivk_path());
	const size_t place = program.find(id);
	REQUIRE(id.size() >= 8);
	REQUIRE(place != std::string::npos);
	program[place] = char(program[place] ^ 0x55);
	const std::string other = s.place / "minivk-other";
	write_file(other, program);
	std::filesystem::permissions(other, std::filesystem::perms::owner_all);
	const Outcome o = Process({.words = {other, "--thaw", s.place.image()}, .folder = s.place.path()}).end();
	INFO(o.err);
	CHECK(o.status == 1);
	CHECK(has(o.err, "(BUILD_DIFFERS)"));
	char hex[8];
	snprintf(hex, sizeof hex, "%02x%02x", uint8_t(id[0]), uint8_t(id[1]));
	CHECK(has(o.err, hex));
	s.still_thaws();
}

TEST_CASE("a refused image leaves the disk waiting for the intact one", "[damage]")
{
	Place outer;
	const std::string disk = outer.make_disk();
	Suspended s({"-r", disk});
	const std::string sidecar = contents(disk + VKCKPT_SIDECAR_SUFFIX);
	Random random;
	const std::set<std::string> any = {"DAMAGED", "TRUNCATED", "TRAILING_DATA", "BUILD_DIFFERS", "ARCH_DIFFERS"};
	for (int i = 0; i < 12; i++) {
		INFO(random.repeat());
		REQUIRE(s.refusal(changed(s.good, s.good.size() * size_t(i) / 12 + 100 + random.below(1000), 1), any) == "");
		REQUIRE(s.refusal(s.good.substr(0, 1 + random.below(s.good.size() - 1)), any) == "");
	}
	CHECK(s.refusal(s.good + "x", any) == "");
	CHECK(s.refusal(forged(s.good, [](Bytes &b) { header(b).arch = 3; }), any) == "");
	CHECK(contents(disk + VKCKPT_SIDECAR_SUFFIX) == sidecar);
	s.still_thaws();
	// It ran on: the image is spent now.
	const Outcome again = s.place.thawed();
	CHECK(again.status == 1);
	CHECK(has(again.err, "(DISK_SUPERSEDED)"));
}

TEST_CASE("a damaged image through a pipe is refused as well", "[damage]")
{
	Suspended s;
	Random random;
	auto through_pipe = [&](const std::string &bytes) {
		write_file(s.bad_path, bytes);
		Process cat({.words = {"/bin/busybox", "sh", "-c", "busybox cat $1 | $0 --thaw -", minivk_path(), s.bad_path}, .folder = s.place.path()});
		return cat.end();
	};
	for (int i = 0; i < 10; i++) {
		const size_t place = random.below(s.good.size());
		const Outcome bad = through_pipe(changed(s.good, place, 2)), cut = through_pipe(s.good.substr(0, place));
		INFO("byte " << place << ": " << bad.err << cut.err);
		CHECK(bad.status == 1);
		CHECK(cut.status == 1);
		CHECK(bad.out + cut.out == "");
		CHECK(has(bad.err, "("));
	}
	CHECK(has(through_pipe(s.good + "more").err, "(TRAILING_DATA)"));
	CHECK(through_pipe(s.good).out == "alive\n");
	s.still_thaws();
}
