// Sealed and signed images with real vkernels: what was sealed comes back, only with its key, only as it was signed, and neither image nor
// memory gives away what they must not.
#include <catch2/catch.hpp>

#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <future>
#include <signal.h>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include <vkckpt/image.h>

#include "test/e2e/place.h"
#include "test/userfault.h"

using namespace vktest;
namespace fs = std::filesystem;

namespace {

constexpr const char *kMarker = "what-the-guest-would-not-tell-4711";

// Keys for sealing (op), signing (by) and a raw one (raw), in the place.
void make_keys(const Place &place)
{
	REQUIRE(place.tool({"keygen", "-q", place / "op"}).status == 0);
	REQUIRE(place.tool({"keygen", "-q", "--sign", place / "by"}).status == 0);
	REQUIRE(place.tool({"keygen", "-q", "--raw", place / "raw"}).status == 0);
}

// A guest that counts for some seconds, with the marker in its memory.
std::string counting(unsigned steps)
{
	return std::string("m=") + kMarker + "; echo begun; i=0; while [ $i -lt " + std::to_string(steps) +
	    " ]; do i=$((i+1)); echo $i $(echo $m$i | sha256sum); done; echo ended";
}

Child boot(const Place &place, const std::string &script, const std::vector<std::string> &options)
{
	Child child = place.boot({"/bin/sh", "-c", script}, options);
	REQUIRE(child->expect("begun"));
	return child;
}

// Suspended some way into the guest; everything it said.
std::string suspended(Process &child)
{
	child.signal(VKCKPT_SIGCKPT);
	const Outcome o = child.end();
	INFO(o.err);
	REQUIRE(o.status == VKCKPT_EXIT_SUSPENDED);
	return o.out;
}

uint32_t sealed_kind(const std::string &image)
{
	vkckpt_f_header header;
	vkckpt_f_key key = {};
	vkckpt_error err = {};
	const int result = vkckpt_image_peek(image.c_str(), &header, &key, &err);
	INFO(err.message);
	REQUIRE(result >= 0);
	return result == 1 ? key.kind : 0;
}

// The 32 bytes in a key file, and its text.
std::string key_text(const std::string &file)
{
	const std::string all = contents(file);
	const size_t at = all.find("\nvkckpt-") + 1;
	return all.substr(all.find(' ', at) + 1, 48);
}
std::string key_bytes(const std::string &file)
{
	const std::string text = key_text(file);
	std::string out(36, '\0');
	size_t got = 0;
	REQUIRE(sodium_base642bin(reinterpret_cast<unsigned char *>(out.data()), out.size(), text.data(), text.size(), nullptr, &got, nullptr,
	    sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0);
	return out.substr(0, 32);
}

// Is it anywhere in the memory of the process?
bool in_memory(pid_t pid, const std::string &what, uint64_t *searched)
{
	std::ifstream maps("/proc/" + std::to_string(pid) + "/maps");
	const int fd = open(("/proc/" + std::to_string(pid) + "/mem").c_str(), O_RDONLY);
	REQUIRE(fd >= 0);
	bool found = false;
	*searched = 0;
	std::string line, buffer;
	while (std::getline(maps, line) && !found) {
		uint64_t from = 0, to = 0;
		char mode = 0;
		if (sscanf(line.c_str(), "%lx-%lx %c", &from, &to, &mode) != 3 || mode != 'r' || line.find("[vvar]") != line.npos)
			continue;
		const uint64_t piece = 4 << 20;
		for (uint64_t at = from; at < to && !found; at += piece) {
			buffer.resize(std::min(piece + what.size(), to - at));
			const ssize_t got = pread(fd, buffer.data(), buffer.size(), off_t(at));
			if (got <= 0)
				continue;
			*searched += uint64_t(got);
			found = std::string_view(buffer.data(), size_t(got)).find(what) != std::string_view::npos;
		}
	}
	close(fd);
	return found;
}

void flip(const std::string &file, uint64_t at)
{
	std::string bytes = contents(file);
	REQUIRE(at < bytes.size());
	bytes[at] = char(bytes[at] ^ 0x20);
	write_file(file, bytes);
}

}  // namespace

TEST_CASE("sealed and signed at random moments, a guest says what it says undisturbed", "[seal]")
{
	Place place;
	Random random;
	INFO(random.repeat());
	make_keys(place);
	const std::string script = counting(400);
	auto plain = std::async(std::launch::async, [&] { return place.boot({"/bin/sh", "-c", script})->end(); });
	std::string said;
	Child child = boot(place, script, {"--seal-to", place / "op.pub"});
	unsigned suspends = 0;
	for (; suspends < 5; suspends++) {
		child->read_for(int(random.below(300)));
		REQUIRE(await([&] { return hears_requests(child->pid()) || !child->running(); }));
		child->signal(VKCKPT_SIGCKPT);
		const Outcome o = child->end();
		said += o.out;
		if (o.status == 0)
			break;
		INFO(o.err);
		REQUIRE(o.status == VKCKPT_EXIT_SUSPENDED);
		CHECK(sealed_kind(place.image()) == VKCKPT_KEY_BOX);	// also those of the thawed one, which was not told
		CHECK(!has(contents(place.image()), kMarker));
		REQUIRE(place.tool({"sign", "-q", "--key", place / "by.key", place.image()}).status == 0);
		child = place.thaw({"--key", place / "op.key", "--require-signature", place / "by.pub"});
	}
	const Outcome end = child->end();
	if (suspends == 5)
		said += end.out;
	INFO(end.err);
	CHECK(suspends > 0);
	CHECK(said == plain.get().out);
}

TEST_CASE("a vkernel that seals to a public key holds nothing that opens its images", "[seal]")
{
	Place place;
	make_keys(place);
	suspended(*boot(place, counting(2000), {"--seal-to", place / "op.pub"}));
	Child child = place.thaw({"--key", place / "op.key"});
	child->read_for(300);
	REQUIRE(child->running());
	uint64_t searched = 0;
	// Without its first and last byte: working copies of the key have other bits there.
	CHECK(!in_memory(child->pid(), key_bytes(place / "op.key").substr(1, 30), &searched));
	CHECK(searched > 4 << 20);
	CHECK(!in_memory(child->pid(), key_text(place / "op.key").substr(0, 40), &searched));
	CHECK(in_memory(child->pid(), kMarker, &searched));		// the search finds what is there
	CHECK(in_memory(child->pid(), key_bytes(place / "op.pub"), &searched));
	suspended(*child);
	CHECK(sealed_kind(place.image()) == VKCKPT_KEY_BOX);
	const std::string image = contents(place.image());
	CHECK(!has(image, key_bytes(place / "op.key").substr(1, 30)));
	CHECK(place.tool({"verify", "-q", "--key", place / "op.key", place.image()}).status == 0);
}

TEST_CASE("a lazy thaw holds the key of its image until all is there, and never the secret key", "[seal]")
{
	NEEDS_USERFAULTFD();
	Place place;
	make_keys(place);
	suspended(*boot(place, counting(2000), {"--seal-to", place / "op.pub"}));
	vkckpt_f_header header;
	vkckpt_f_key sealed = {};
	REQUIRE(vkckpt_image_peek(place.image().c_str(), &header, &sealed, nullptr) == 1);
	std::string of_image(32, '\0');
	const std::string secret = key_bytes(place / "op.key"), open_half = key_bytes(place / "op.pub");
	auto bytes = [](const std::string &s) { return reinterpret_cast<const uint8_t *>(s.data()); };
	REQUIRE(crypto_box_seal_open(reinterpret_cast<uint8_t *>(of_image.data()), sealed.wrapped, sealed.wrapped_bytes, bytes(open_half), bytes(secret)) == 0);
	uint64_t searched = 0;
	for (const char *how : {"--lazy=demand", "--lazy", ""}) {
		CAPTURE(how);
		fs::copy_file(place.image(), place / "copy.ckpt", fs::copy_options::overwrite_existing);
		std::vector<std::string> options = {"--key", place / "op.key"};
		if (*how)
			options.push_back(how);
		Child child = place.thaw(options, place / "copy.ckpt");
		REQUIRE(child->expect("\n"));	// the guest runs, so the image is open
		CHECK(!in_memory(child->pid(), secret.substr(1, 30), &searched));
		if (has(how, "demand"))
			CHECK(in_memory(child->pid(), of_image, &searched));
		else
			CHECK(await([&] { return !in_memory(child->pid(), of_image, &searched); }));
		child->signal(SIGKILL);
		(void)child->end();
	}
}

TEST_CASE("a raw key comes from a file or a descriptor, and is in no image", "[seal]")
{
	Place place;
	make_keys(place);
	const std::string said = suspended(*boot(place, counting(60), {"--seal-key", place / "raw.key"}));
	CHECK(sealed_kind(place.image()) == VKCKPT_KEY_RAW);
	REQUIRE(place.tool({"unseal", "-q", "--key", place / "raw.key", place.image(), place / "clear.ckpt"}).status == 0);
	CHECK(has(contents(place / "clear.ckpt"), kMarker));
	CHECK(!has(contents(place / "clear.ckpt"), key_bytes(place / "raw.key")));
	CHECK(!has(contents(place / "clear.ckpt"), key_text(place / "raw.key")));
	const int fd = open((place / "raw.key").c_str(), O_RDONLY);
	Process::Setup setup{.words = place.thaw_words({"--key", "fd:" + std::to_string(fd)})};
	setup.before_exec = [fd] { fcntl(fd, F_SETFD, 0); };
	const Outcome o = Process(setup).end();
	close(fd);
	INFO(o.err);
	CHECK(o.status == 0);
	CHECK(has(said + o.out, "ended"));
}

TEST_CASE("without its key a sealed image is refused and tells nothing", "[seal]")
{
	Place place;
	make_keys(place);
	const std::string said = suspended(*boot(place, counting(60), {"--seal-to", place / "op.pub"}));
	auto refused = [&](const std::vector<std::string> &options, const std::string &reason) {
		const Outcome o = place.thawed(options);
		INFO(o.err);
		CHECK(o.status == 1);
		CHECK(has(o.err, reason));
		CHECK(!has(o.err, key_text(place / "op.key")));
	};
	refused({}, "(SEALED)");
	refused({"--key", place / "raw.key"}, "(SEALED)");
	REQUIRE(place.tool({"keygen", "-q", place / "other"}).status == 0);
	refused({"--key", place / "other.key"}, "(KEY_WRONG)");
	refused({"--key", place / "op.pub"}, "(KEY_FILE)");
	refused({"--key", place / "by.key"}, "(KEY_FILE)");
	refused({"--key", place / "nowhere"}, "(KEY_FILE)");
	refused({"--key", place.image()}, "(KEY_FILE)");
	const std::string image_id = place.tool({"info", "--json", "--key", place / "op.key", place.image()}).out;
	CHECK(has(image_id, "\"name\": \"vk\""));
	const Outcome bare = place.tool({"info", "--json", place.image()});
	CHECK(bare.status == 0);
	CHECK(has(bare.out, "\"sealed\": true"));
	CHECK(!has(bare.out, "\"name\""));
	CHECK(!has(bare.out, "vk"));
	CHECK(has(place.tool({"vmspaces", place.image()}).err, "(SEALED)"));
	CHECK(has(place.tool({"verify", place.image()}).out, "nothing was opened"));
	CHECK(place.tool({"vmspaces", "--key", place / "op.key", place.image()}).status == 0);

	// Key files as they must not be.
	fs::copy_file(place / "op.key", place / "open.key");
	chmod((place / "open.key").c_str(), 0640);
	refused({"--key", place / "open.key"}, "mode 0640: others can get at it");
	fs::create_symlink(place / "op.key", place / "link.key");
	refused({"--key", place / "link.key"}, "symbolic link");
	std::string text = contents(place / "op.key");
	text[text.size() - 5] = text[text.size() - 5] == 'A' ? 'B' : 'A';
	write_file(place / "slip.key", text);
	chmod((place / "slip.key").c_str(), 0600);
	refused({"--key", place / "slip.key"}, "is damaged");
	chmod((place / "op.pub").c_str(), 0666);
	CHECK(has(place.boot({"/bin/true"}, {"--seal-to", place / "op.pub"})->end().err, "others can change it"));

	struct stat facts;
	REQUIRE(stat((place / "op.key").c_str(), &facts) == 0);
	CHECK((facts.st_mode & 07777) == 0600);
	CHECK(place.tool({"keygen", place / "op"}).status == 1);	// never replaced
	chmod((place / "op.pub").c_str(), 0644);
	const Outcome o = place.thawed({"--key", place / "op.key"});	// all refusals have left it as it was
	INFO(o.err);
	CHECK(o.status == 0);
	CHECK(has(said + o.out, "ended"));
}

TEST_CASE("a passphrase is asked for on the terminal before the command confines itself", "[seal]")
{
	Place place;
	suspended(*boot(place, counting(60), {}));
	write_file(place / "line", "open sesame\n");
	const int line = open((place / "line").c_str(), O_RDONLY | O_CLOEXEC);
	Process::Setup setup{.words = {tool_path(), "seal", "-q", "--passphrase-fd", "0", place.image()}};
	setup.in = line;
	REQUIRE(Process(setup).end().status == 0);
	close(line);
	// The image comes through a pipe, so that the command stands still while it is looked at.
	int image[2];
	REQUIRE(pipe2(image, O_CLOEXEC) == 0);
	const std::string bytes = contents(place.image());
	OnTerminal tool({"verify", "-q", "--passphrase", "-"}, image[0]);
	close(image[0]);
	auto filters = [&] { return has(contents("/proc/" + std::to_string(tool.pid()) + "/status"), "Seccomp:\t2"); };
	CHECK(tool.asks("passphrase of the image: "));
	CHECK(!filters());
	REQUIRE(tool.answer("open sesame\n"));
	const bool can = has(place.tool({"--version"}).out, "by seccomp");
	CHECK((!can || await(filters)));
	signal(SIGPIPE, SIG_IGN);
	size_t done = 0;
	while (done < bytes.size())
		if (const ssize_t n = write(image[1], bytes.data() + done, bytes.size() - done); n > 0)
			done += size_t(n);
		else
			break;
	close(image[1]);
	const int status = tool.end();
	INFO(tool.said());
	CHECK(status == 0);
	CHECK(!has(tool.said(), "sesame"));
}

TEST_CASE("an image is sealed with a passphrase, opened again and thawed", "[seal]")
{
	Place place;
	make_keys(place);
	const std::string said = suspended(*boot(place, counting(60), {}));
	CHECK(sealed_kind(place.image()) == 0);
	auto with = [&](const std::string &line, std::vector<std::string> words) {
		write_file(place / "line", line + "\n");
		const int fd = open((place / "line").c_str(), O_RDONLY);
		Process::Setup setup{.words = std::move(words)};
		setup.in = fd;
		const Outcome o = Process(setup).end();
		close(fd);
		return o;
	};
	REQUIRE(with("open sesame", {tool_path(), "seal", "-q", "--passphrase-fd", "0", place.image()}).status == 0);
	CHECK(sealed_kind(place.image()) == VKCKPT_KEY_PASSPHRASE);
	CHECK(!has(contents(place.image()), kMarker));
	CHECK(!fs::exists(place.image() + ".part"));
	CHECK(has(with("open sesam", {tool_path(), "verify", "--passphrase-fd", "0", place.image()}).err, "(KEY_WRONG)"));
	CHECK(has(with("", {tool_path(), "verify", "--passphrase-fd", "0", place.image()}).err, "empty line"));
	CHECK(place.thawed({"--passphrase-fd", "0"}).status == 2);	// how is its next image to be sealed?
	const Outcome o = with("open sesame", place.thaw_words({"--passphrase-fd", "0", "--seal-to", place / "op.pub"}));
	INFO(o.err);
	CHECK(o.status == 0);
	CHECK(has(said + o.out, "ended"));
}

TEST_CASE("a required signature is that of every byte, or the image is refused", "[seal]")
{
	Place place;
	make_keys(place);
	const std::string disk = place.make_disk();
	const std::string said = suspended(*boot(place, counting(60), {"-r", disk}));
	const std::string whole = contents(place.image()), sidecar = contents(disk + ".vkckpt");
	const std::vector<std::string> required = {"--require-signature", place / "by.pub"};
	auto refused = [&](const std::string &reason) {
		const Outcome o = place.thawed(required);
		INFO(o.err);
		CHECK(o.status == 1);
		CHECK(has(o.err, reason));
		CHECK(contents(disk + ".vkckpt") == sidecar);
	};
	refused("(NOT_SIGNED)");
	REQUIRE(place.tool({"sign", "-q", "--key", place / "by.key", place.image()}).status == 0);
	CHECK(place.tool({"verify", "-q", "--signed-by", place / "by.pub", place.image()}).status == 0);
	const std::string signature = contents(place.image() + ".sig");
	for (uint64_t at : {uint64_t{5000}, whole.size() / 2, uint64_t{whole.size() - 4096 - 300}, whole.size() - 10}) {
		CAPTURE(at);
		flip(place.image(), at);
		refused("(SIGNATURE_WRONG)");
		CHECK(has(place.tool({"verify", "--signed-by", place / "by.pub", place.image()}).err, "(SIGNATURE_WRONG)"));
		flip(place.image(), at);
	}
	write_file(place.image(), whole + "x");
	refused("(TRAILING_DATA)");
	write_file(place.image(), whole.substr(0, whole.size() - 4096));
	refused("(TRUNCATED)");
	write_file(place.image(), whole);
	for (uint64_t at : {uint64_t{3}, uint64_t{20}, uint64_t{50}, uint64_t{90}, uint64_t{170}, uint64_t{200}, uint64_t{signature.size() - 1}}) {
		CAPTURE(at);
		flip(place.image() + ".sig", at);
		refused("(SIGNATURE_WRONG)");
		flip(place.image() + ".sig", at);
	}
	REQUIRE(place.tool({"keygen", "-q", "--sign", place / "other"}).status == 0);
	REQUIRE(place.tool({"sign", "-q", "--key", place / "other.key", place.image()}).status == 0);
	refused("(SIGNATURE_WRONG)");
	write_file(place.image() + ".sig", signature);
	fs::rename(place.image() + ".sig", place / "elsewhere.sig");
	refused("(NOT_SIGNED)");
	const Outcome o = place.thawed({"--require-signature", place / "by.pub", "--signature", place / "elsewhere.sig"});
	INFO(o.err);
	CHECK(o.status == 0);
	CHECK(has(said + o.out, "ended"));
}

TEST_CASE("an image that takes the place of a signed one: the signature beside it is said to be the old one's", "[seal]")
{
	Place place;
	REQUIRE(place.tool({"keygen", "-q", "--sign", place / "by"}).status == 0);
	Child child = place.sh("echo ready; thawed; echo again; thawed");
	REQUIRE(child->expect("ready"));
	CHECK(place.tool({"suspend", "vk"}).err.empty());
	REQUIRE(place.tool({"sign", "-q", "--key", place / "by.key", place.image()}).status == 0);
	child = place.thaw({"--require-signature", place / "by.pub"});
	REQUIRE(child->expect("again"));
	const Outcome o = place.tool({"suspend", "vk"});
	CHECK(o.status == 0);
	CHECK(has(o.err, place.image() + ".sig: is the signature of what was there before; sign the image anew"));
	CHECK(has(place.thawed({"--require-signature", place / "by.pub"}).err, "(SIGNATURE_WRONG)"));
}

TEST_CASE("a damaged image is not signed, and signing leaves nothing behind", "[seal]")
{
	Place place;
	make_keys(place);
	suspended(*boot(place, counting(60), {}));
	flip(place.image(), contents(place.image()).size() / 2);
	const Outcome o = place.tool({"sign", "--key", place / "by.key", place.image()});
	CHECK(o.status == 1);
	CHECK(has(o.err, "(DAMAGED)"));
	CHECK(!fs::exists(place.image() + ".sig"));
	CHECK(!fs::exists(place.image() + ".sig.part"));
	CHECK(has(place.tool({"sign", "--key", place / "op.key", place.image()}).err, "(KEY_FILE)"));
}

TEST_CASE("sealed through a pipe, signed and thawed through a pipe", "[seal]")
{
	Place place;
	make_keys(place);
	const int to = open((place / "streamed").c_str(), O_RDWR | O_CREAT, 0600);
	Process::Setup setup{.words = place.boot_words({"/bin/sh", "-c", counting(60)}, {"--seal-to", place / "op.pub", "--image", "fd:9"})};
	setup.before_exec = [to] { dup2(to, 9); };
	Process child(setup);
	REQUIRE(child.expect("begun"));
	const std::string said = suspended(child);
	close(to);
	CHECK(sealed_kind(place / "streamed") == VKCKPT_KEY_BOX);
	REQUIRE(place.tool({"sign", "-q", "--key", place / "by.key", place / "streamed"}).status == 0);
	int ends[2];
	REQUIRE(pipe(ends) == 0);
	auto feed = std::async(std::launch::async, [&] {
		const std::string all = contents(place / "streamed");
		for (size_t at = 0; at < all.size();)
			if (ssize_t n = write(ends[1], all.data() + at, std::min<size_t>(all.size() - at, 60001)); n > 0)
				at += size_t(n);
			else
				break;
		close(ends[1]);
	});
	Process::Setup thaw{.words = place.thaw_words({"--key", place / "op.key", "--require-signature", place / "by.pub", "--signature",
	    (place / "streamed") + ".sig"}, "-")};
	thaw.in = ends[0];
	thaw.before_exec = [&] { close(ends[1]); };
	Process thawed(thaw);
	close(ends[0]);
	const Outcome o = thawed.end();
	feed.get();
	INFO(o.err);
	CHECK(o.status == 0);
	CHECK(has(said + o.out, "ended"));
}
