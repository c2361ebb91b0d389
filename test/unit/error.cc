#include <catch2/catch.hpp>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "lib/reasons.h"
#include "lib/status.h"

namespace {

constexpr uint32_t kAll[] = {
	VKCKPT_R_NONE, VKCKPT_R_BAD_ARGUMENT, VKCKPT_R_LIMIT, VKCKPT_R_BUSY, VKCKPT_R_CANCELLED, VKCKPT_R_NOT_AN_IMAGE,
	VKCKPT_R_TRUNCATED, VKCKPT_R_DAMAGED, VKCKPT_R_TRAILING_DATA, VKCKPT_R_VERSION_UNKNOWN, VKCKPT_R_FEATURE_UNKNOWN,
	VKCKPT_R_RECORD_UNKNOWN, VKCKPT_R_CODEC_UNKNOWN, VKCKPT_R_SEALED, VKCKPT_R_KEY_WRONG, VKCKPT_R_NOT_SEALED, VKCKPT_R_FORGED,
	VKCKPT_R_NOT_SIGNED, VKCKPT_R_SIGNATURE_WRONG, VKCKPT_R_KEY_FILE, VKCKPT_R_ARCH_DIFFERS, VKCKPT_R_PAGE_SIZE_DIFFERS,
	VKCKPT_R_CPU_LACKS_FEATURE, VKCKPT_R_XSTATE_LACKING, VKCKPT_R_PROGRAM_DIFFERS, VKCKPT_R_BUILD_DIFFERS,
	VKCKPT_R_LAYOUT_DIFFERS, VKCKPT_R_MEMORY_SHORT, VKCKPT_R_ADDRESS_TAKEN, VKCKPT_R_RESUME_DIFFERS, VKCKPT_R_LAZY_UNAVAILABLE, VKCKPT_R_CPU_UNMASKED,
	VKCKPT_R_DEVICE_UNKNOWN, VKCKPT_R_DEVICE_MISSING,
	VKCKPT_R_OVERRIDE_UNKNOWN, VKCKPT_R_DISK_MISSING, VKCKPT_R_DISK_CHANGED, VKCKPT_R_DISK_IN_USE, VKCKPT_R_DISK_SUSPENDED,
	VKCKPT_R_DISK_SUPERSEDED, VKCKPT_R_DISK_NOT_FROZEN, VKCKPT_R_SIDECAR_DAMAGED, VKCKPT_R_CLONE_EXISTS,
	VKCKPT_R_CLONE_DEVICE, VKCKPT_R_QUIESCE_TIMEOUT,
	VKCKPT_R_HOOK_FAILED, VKCKPT_R_VETOED, VKCKPT_R_IMAGE_IN_USE, VKCKPT_R_NO_SPACE, VKCKPT_R_IO_ERROR, VKCKPT_R_PERMISSION,
	VKCKPT_R_NOT_FOUND, VKCKPT_R_NO_MEMORY, VKCKPT_R_SYSTEM, VKCKPT_R_NO_DESCRIPTOR, VKCKPT_R_PARENT_MISSING, VKCKPT_R_PARENT_CHANGED,
	VKCKPT_R_PARENT_NEEDED, VKCKPT_R_PARENT_UNFIT, VKCKPT_R_CHAIN_LOOP, VKCKPT_R_CHAIN_TOO_DEEP
};

}  // namespace

TEST_CASE("every reason has a name of its own, a text and a remedy, and no number besides has one", "[error]")
{
	std::set<std::string> names;
	unsigned known = 0;
	for (uint32_t r : kAll) {
		INFO("reason " << r);
		REQUIRE(vk::reason_text(r) != nullptr);
		REQUIRE(std::strlen(vkckpt_reason_text(r)) > 5);
		REQUIRE(std::strlen(vkckpt_reason_remedy(r)) > 5);
		names.insert(vkckpt_reason_name(r));
	}
	REQUIRE(names.size() == std::size(kAll));
	for (uint32_t r = 0; r < 2000; r++)
		known += vk::reason_text(r) != nullptr;
	REQUIRE(known == std::size(kAll));
	REQUIRE(std::string(vkckpt_reason_name(9999)) == "UNKNOWN");
	REQUIRE(std::strlen(vkckpt_reason_text(9999)) > 5);
}

TEST_CASE("names of reasons are those of the header", "[error]")
{
	REQUIRE(std::string(vkckpt_reason_name(VKCKPT_R_DISK_CHANGED)) == "DISK_CHANGED");
	REQUIRE(std::string(vkckpt_reason_name(VKCKPT_R_TRAILING_DATA)) == "TRAILING_DATA");
	REQUIRE(std::string(vkckpt_reason_name(VKCKPT_R_IMAGE_IN_USE)) == "IMAGE_IN_USE");
}

TEST_CASE("the sentence names stage, thing, reason, number and remedy, and fits for every reason", "[error]")
{
	struct vkckpt_error err;
	REQUIRE(vk::report(vk::fail(EBADMSG, VKCKPT_R_DAMAGED, "thaw: read", "chunk", 17), &err) == -EBADMSG);
	REQUIRE(std::string(err.message) == "thaw: read: chunk: the image is damaged (17); use another copy of it; vkckpt verify tells "
					    "good copies from bad ones (DAMAGED)");
	REQUIRE(err.number == 17);
	REQUIRE(std::string(err.subject) == "chunk");
	for (uint32_t r : kAll) {
		std::string subject(63, 's');
		(void)vk::report(vk::fail(EINVAL, r, "thaw: open and lock devices", subject.c_str(), UINT64_MAX), &err);
		INFO(err.message);
		REQUIRE(std::string(err.message).find("(" + std::string(vkckpt_reason_name(r)) + ")") != std::string::npos);
	}
}

TEST_CASE("a host's errno gives the reason and stands in the sentence", "[error]")
{
	struct vkckpt_error err;
	struct { int code; uint32_t reason; } const cases[] = {
		{ ENOSPC, VKCKPT_R_NO_SPACE }, { EDQUOT, VKCKPT_R_NO_SPACE }, { EIO, VKCKPT_R_IO_ERROR }, { EACCES, VKCKPT_R_PERMISSION },
		{ EPERM, VKCKPT_R_PERMISSION }, { EROFS, VKCKPT_R_PERMISSION }, { ENOENT, VKCKPT_R_NOT_FOUND }, { ENOMEM, VKCKPT_R_NO_MEMORY },
		{ EMFILE, VKCKPT_R_NO_DESCRIPTOR }, { ENFILE, VKCKPT_R_NO_DESCRIPTOR }, { EBADF, VKCKPT_R_SYSTEM }, { 199, VKCKPT_R_SYSTEM },
	};
	for (auto &c : cases) {
		REQUIRE(vk::report(vk::fail_host(c.code, "write", "x.ckpt"), &err) == -c.code);
		REQUIRE(err.reason == c.reason);
	}
	REQUIRE(std::string(err.message).find("(errno 199)") != std::string::npos);
	(void)vk::report(vk::fail_host(ENOSPC, "write", "x.ckpt"), &err);
	REQUIRE(std::string(err.message).find("write: x.ckpt: no space is left (ENOSPC); ") == 0);
}

TEST_CASE("a device class fills an error in its own words or in the reason's", "[error]")
{
	struct vkckpt_error err;
	REQUIRE(vkckpt_error_fill(&err, ENOENT, 0, "thaw: open", "disk0", "is away; bring it back") == -ENOENT);
	REQUIRE(err.code == ENOENT);
	REQUIRE(err.reason == VKCKPT_R_NOT_FOUND);
	REQUIRE(std::string(err.where) == "thaw: open");
	REQUIRE(std::string(err.subject) == "disk0");
	REQUIRE(std::string(err.message) == "thaw: open: disk0: is away; bring it back (NOT_FOUND)");
	REQUIRE(vkckpt_error_fill(&err, EIO, VKCKPT_R_DISK_CHANGED, "thaw: open", "", nullptr) == -EIO);
	REQUIRE(std::string(err.message).find("thaw: open: changed since the checkpoint; put back") == 0);
	REQUIRE(vkckpt_error_fill(nullptr, EIO, 0, "x", "y", "z") == -EIO);
}

TEST_CASE("an error is one JSON object, whatever its names are made of", "[error]")
{
	struct vkckpt_error err;
	(void)vk::report(vk::fail(ESTALE, VKCKPT_R_DISK_CHANGED, "thaw: disk", "d\"i\\sk\n\xc3\xa4\xff\xc3"), &err);
	char text[2048];
	size_t n = vkckpt_error_json(&err, text, sizeof text);
	REQUIRE(n == std::strlen(text));
	std::string json = text;
	REQUIRE(json.find("{\"reason\": \"DISK_CHANGED\", \"code\": 64, \"errno\": \"ESTALE\", \"where\": \"thaw: disk\", "
	    "\"subject\": \"d\\\"i\\\\sk?\xc3\xa4??\", \"number\": 0, \"text\": \"changed since the checkpoint\", ") == 0);
	REQUIRE(json.back() == '}');
	REQUIRE(vkckpt_error_json(&err, text, n) == 0);	// no room for the NUL
	REQUIRE(text[0] == '\0');
	REQUIRE(vkckpt_error_json(&err, text, n + 1) == n);
	for (uint32_t r : kAll) {
		(void)vk::report(vk::fail(EINVAL, r, "thaw: open and lock devices", std::string(63, '"').c_str(), UINT64_MAX), &err);
		INFO(r);
		REQUIRE(vkckpt_error_json(&err, text, sizeof text) > 0);
	}
}

TEST_CASE("success fills the error with nothing, and no error is asked for with null", "[error]")
{
	struct vkckpt_error err;
	std::memset(&err, 0xff, sizeof err);
	REQUIRE(vk::report(vk::success(), &err) == 0);
	REQUIRE(err.code == 0);
	REQUIRE(err.reason == 0);
	REQUIRE(err.message[0] == '\0');
	REQUIRE(vk::report(vk::fail(EINVAL, VKCKPT_R_BAD_ARGUMENT, "x"), nullptr) == -EINVAL);
}

TEST_CASE("control characters of a forged name do not reach a terminal", "[error]")
{
	// C0, DEL, C1 as UTF-8 and as bytes, what is no UTF-8; letters beyond ASCII stay.
	const char forged[] = "\033[2Jd\xc3\xa4\n\x7f\xc2\x9b" "1m\x9b\xc2\x80\xc2\xa0\xff\xc3";
	const std::string clean = "?[2Jd\xc3\xa4????1m???\xc2\xa0??";
	struct vkckpt_error err;
	(void)vk::report(vk::fail(EBADMSG, VKCKPT_R_DAMAGED, "image", forged), &err);
	CHECK(std::string(err.subject) == clean);
	CHECK(std::string(err.message).find("image: " + clean + ": ") == 0);
	REQUIRE(vkckpt_error_fill(&err, ENOENT, 0, "thaw: open", "disk0", forged) == -ENOENT);
	CHECK(std::string(err.message) == "thaw: open: disk0: " + clean + " (NOT_FOUND)");
	REQUIRE(vkckpt_error_fill(&err, ENOENT, 0, "thaw: open", forged, forged) == -ENOENT);
	CHECK(std::string(err.message) == "thaw: open: " + clean + ": " + clean + " (NOT_FOUND)");
	std::strcpy(err.message, forged);	// a caller's own words
	char json[2048];
	REQUIRE(vkckpt_error_json(&err, json, sizeof json) > 0);
	CHECK(std::string(json).find("\"message\": \"" + clean + "\"}") != std::string::npos);
	// Cut in the middle of a letter.
	std::string letters;
	for (int i = 0; i < 300; i++)
		letters += "\xc3\xa4";
	for (const char *before : {"", "x"}) {
		REQUIRE(vkckpt_error_fill(&err, ENOENT, 0, "thaw: open", "disk0", (before + letters).c_str()) == -ENOENT);
		const std::string message = err.message, end = " (NOT_FOUND)";
		CHECK(message.size() == sizeof err.message - 1);
		CHECK(message.substr(message.size() - end.size()) == end);
		CHECK((message[message.size() - end.size() - 1] == '?' || message[message.size() - end.size() - 1] == '\xa4'));
	}
}

TEST_CASE("every reason is provoked by a test", "[error]")
{
	std::string tests;
	for (const char *folder : { "test/unit", "test/fault", "test/e2e", "test/uml" })
		for (const auto &file : std::filesystem::directory_iterator(folder)) {
			const std::string name = file.path().filename();
			if (name == "error.cc" || (file.path().extension() != ".cc" && file.path().extension() != ".sh"))
				continue;
			std::ostringstream text;
			text << std::ifstream(file.path()).rdbuf();
			tests += text.str();
		}
	REQUIRE(tests.size() > 100000);
	auto expected = [&](const std::string &how) { return tests.find(how) != std::string::npos; };
	for (uint32_t r : kAll) {
		const std::string name = vkckpt_reason_name(r);
		INFO(name);
		CHECK((expected("== VKCKPT_R_" + name) || expected("(" + name + ")") || expected("\"" + name + "\"") || expected("\"" + name + " ")));
	}
}
