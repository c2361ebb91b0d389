// The command with the golden images: which files it may replace or remove, and what it says of keys, signatures and places.
#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/stat.h>

#include "test/e2e/command_util.h"

using namespace command_test;
namespace fs = std::filesystem;

namespace {

bool has(const std::string &text, const std::string &part) { return text.find(part) != std::string::npos; }

// A folder with a signing pair (by), a sealing pair (op), and a copy of a golden image.
struct Desk {
	TempDir dir;
	const std::string image = dir / "w.ckpt", good = read_all(source("test/golden/v1.ckpt"));
	Desk() { write_all(image, good); }
	std::string operator/(const std::string &name) const { return dir / name; }
	Ran vkckpt(std::vector<std::string> words, const std::string &input = "/dev/null") const
	{
		words.insert(words.begin(), bin("vkckpt"));
		return Child(words, {{"VKCKPT_RUNDIR", dir / "run"}}, Child::Stderr::kPipe, input).finish();
	}
	// With a limit on the size of files, in blocks of 512 bytes or, in some shells, 1024: a full disk for everyone.
	Ran cramped(const std::vector<std::string> &words) const
	{
		std::vector<std::string> all = {"sh", "-c", "ulimit -f 8; exec \"$0\" \"$@\"", bin("vkckpt")};
		all.insert(all.end(), words.begin(), words.end());
		return Child(all, {{"VKCKPT_RUNDIR", dir / "run"}}).finish();
	}
	void make_keys() const
	{
		REQUIRE(vkckpt({"keygen", "-q", "--sign", dir / "by"}).status == 0);
		REQUIRE(vkckpt({"keygen", "-q", dir / "op"}).status == 0);
	}
	// Refused with status 1 and one line that has all these.
	void refused(const std::vector<std::string> &words, const std::vector<std::string> &parts) const
	{
		Ran ran = vkckpt(words);
		std::string line;
		for (const std::string &word : words)
			line += word + " ";
		INFO("vkckpt " << line << "\n" << ran.out << ran.err);
		CHECK(ran.status == 1);
		CHECK(std::count(ran.err.begin(), ran.err.end(), '\n') == 1);
		for (const std::string &part : parts)
			CHECK(has(ran.err, part));
	}
};

}  // namespace

TEST_CASE("vkckpt sign replaces a signature and no other file", "[command][keys]")
{
	Desk desk;
	desk.make_keys();
	const std::string notes = desk / "notes.txt", by = desk / "by.key", secret = read_all(by), linked = desk / "linked";
	write_all(notes, "do not lose this");
	REQUIRE(link(desk.image.c_str(), linked.c_str()) == 0);
	desk.refused({"sign", "--key", by, "--signature", desk.image, desk.image}, {desk.image + ": is the image itself", "(BAD_ARGUMENT)"});
	desk.refused({"sign", "--key", by, "--signature", linked, desk.image}, {linked + ": is the image itself"});
	desk.refused({"sign", "--key", by, "--signature", notes, desk.image}, {notes + ": is there and no signature", "name another"});
	desk.refused({"sign", "--key", by, "--signature", by, desk.image}, {by + ": is there and no signature"});
	desk.refused({"sign", "--key", by, "--signature", desk.dir.path(), desk.image}, {"no signature"});
	CHECK(read_all(desk.image) == desk.good);
	CHECK(read_all(notes) == "do not lose this");
	CHECK(read_all(by) == secret);
	// Beside the image as well.
	fs::copy_file(notes, desk.image + ".sig");
	desk.refused({"sign", "--key", by, desk.image}, {desk.image + ".sig: is there and no signature"});
	fs::remove(desk.image + ".sig");
	for (int i = 0; i < 2; i++) {
		Ran ran = desk.vkckpt({"sign", "--key", by, desk.image});
		INFO(ran.err);
		CHECK(ran.status == 0);
	}
	CHECK(desk.vkckpt({"verify", "-q", "--signed-by", desk / "by.pub", desk.image}).status == 0);
}

TEST_CASE("vkckpt verify --signature without the key that it must be of is misuse", "[command][keys]")
{
	Desk desk;
	write_all(desk / "w.sig", "no signature at all");
	for (const char *command : {"verify", "info", "vmspaces"}) {
		Ran ran = desk.vkckpt({command, "--signature", desk / "w.sig", desk.image});
		INFO(ran.out << ran.err);
		CHECK(ran.status == 2);
		CHECK(ran.out.empty());
		CHECK(has(ran.err, "--signed-by is missing"));
	}
}

TEST_CASE("vkckpt: a signed image that was changed is refused with the place of the change", "[command][keys]")
{
	Desk desk;
	desk.make_keys();
	REQUIRE(desk.vkckpt({"sign", "-q", "--key", desk / "by.key", desk.image}).status == 0);
	std::string bad = desk.good;
	const size_t at = GENERATE(0, 16384);
	bad[at + 100] ^= 1;
	write_all(desk.image, bad);
	desk.refused({"verify", "--signed-by", desk / "by.pub", desk.image}, {"bytes at " + std::to_string(at) + ": ", "(SIGNATURE_WRONG)"});
}

TEST_CASE("vkckpt: a key of the wrong kind is told before its mode, with the option", "[command][keys]")
{
	Desk desk;
	desk.make_keys();
	const std::string op = desk / "op.pub", by = desk / "by.pub";
	desk.refused({"info", "--key", op, desk.image}, {"--key " + op + ": is a public key to seal to; a secret key", "(KEY_FILE)"});
	desk.refused({"sign", "--key", by, desk.image}, {"--key " + by + ": is a public key to check signatures with; a secret key"});
	desk.refused({"seal", "--seal-key", op, desk.image}, {"--seal-key " + op + ": is a public key to seal to; a raw key"});
	desk.refused({"verify", "--signed-by", desk / "by.key", desk.image}, {"--signed-by " + (desk / "by.key") + ": is a secret key"});
	// Of the right kind: the mode counts.
	REQUIRE(chmod((desk / "op.key").c_str(), 0644) == 0);
	desk.refused({"info", "--key", desk / "op.key", desk.image}, {"--key ", "mode 0644: others can get at it; chmod 600"});
	REQUIRE(chmod(op.c_str(), 0666) == 0);
	desk.refused({"seal", "--seal-to", op, desk.image}, {"--seal-to ", "mode 0666: others can change it"});
	CHECK(read_all(desk.image) == desk.good);
}

TEST_CASE("vkckpt: a key that is not there is told with the option and the remedy", "[command][keys]")
{
	Desk desk;
	const std::string none = desk / "none.key";
	for (const char *option : {"--key", "--signed-by"})
		desk.refused({"verify", option, none, desk.image}, {std::string(option) + " " + none + ": there is no such file", "vkckpt keygen"});
	desk.refused({"sign", "--key", none, desk.image}, {"--key " + none + ": there is no such file", "vkckpt keygen"});
	desk.refused({"seal", "--seal-to", none, desk.image}, {"--seal-to " + none + ": there is no such file", "vkckpt keygen"});
	desk.refused({"keygen", desk / "away/op"}, {desk / "away/op.key", "its folder is not there; make it first"});
}

TEST_CASE("vkckpt: two keys where one is used are misuse, not a choice in silence", "[command][keys]")
{
	Desk desk;
	const std::vector<std::pair<std::vector<std::string>, std::string>> lines = {
		{{"info", "--key", "a", "--key", "b", desk.image}, "--key: given twice"},
		{{"info", "--key", "a", "--passphrase-fd", "0", desk.image}, "only one of the two"},
		{{"unseal", "--key", "a", "--passphrase-fd", "0", desk.image}, "only one of the two"},
		{{"flatten", "--key", "a", "--passphrase-fd", "0", "-o", "x", desk.image}, "only one of the two"},
		{{"seal", "--seal-to", "a", "--seal-key", "b", desk.image}, "only one of the two"},
		{{"seal", "--seal-to", "a", "--passphrase-fd", "0", desk.image}, "only one of these"},
		{{"seal", desk.image}, "say with what"},
		{{"verify", "--signed-by", "a", "--signed-by", "b", desk.image}, "--signed-by: given twice"},
		{{"verify", "--signed-by", "a", "--signature", "b", "--signature", "c", desk.image}, "--signature: given twice"},
	};
	for (const auto &[words, sentence] : lines) {
		Ran ran = desk.vkckpt(words);
		INFO(words[0] << " " << words[1] << "\n" << ran.err);
		CHECK(ran.status == 2);
		CHECK(has(ran.err, sentence));
	}
	CHECK(read_all(desk.image) == desk.good);
}

TEST_CASE("vkckpt seal and flatten: a folder in the place of the new image is named as such", "[command]")
{
	Desk desk;
	desk.make_keys();
	fs::create_directory(desk / "d");
	for (const std::string &out : {desk / "d", (desk / "d") + "/", (desk / "missing") + "/"})
		desk.refused({"seal", "--seal-to", desk / "op.pub", desk.image, out}, {out + ": a folder (BAD_ARGUMENT)"});
	desk.refused({"flatten", "-o", (desk / "missing") + "/", desk.image}, {"a folder (BAD_ARGUMENT)"});
	CHECK(fs::is_empty(desk / "d"));
}

TEST_CASE("vkckpt seal and flatten: no space is told of the new file, in words that are true here", "[command]")
{
	Desk desk;
	desk.make_keys();
	const std::string out = desk / "new.ckpt";
	const bool seals = GENERATE(true, false);
	Ran ran = seals ? desk.cramped({"seal", "--seal-to", desk / "op.pub", desk.image, out}) : desk.cramped({"flatten", "-o", out, desk.image});
	INFO(ran.err);
	CHECK(ran.status == 1);
	CHECK(has(ran.err, "vkckpt: " + out + ": write: "));
	CHECK(has(ran.err, "no space is left (EFBIG); free space there"));
	CHECK(has(ran.err, "(NO_SPACE)"));
	CHECK(!has(ran.err, "and the vkernel runs on"));
	CHECK(!fs::exists(out));
	CHECK(!fs::exists(out + ".part"));
	CHECK(read_all(desk.image) == desk.good);
}

TEST_CASE("vkckpt verify of a named pipe says how a pipe is verified", "[command]")
{
	Desk desk;
	const std::string pipe = desk / "pipe";
	REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
	desk.refused({"verify", pipe}, {pipe + ": a named pipe (BAD_ARGUMENT)", "vkckpt verify - <" + pipe});
}

TEST_CASE("vkckpt: where a parent is missing, the remedy names what has the option", "[command]")
{
	Desk desk;
	write_all(desk / "two", read_all(source("test/golden/chain.2")));
	desk.refused({"verify", desk / "two"}, {"(PARENT_MISSING)", "to the thaw or to vkckpt flatten with --parent"});
	CHECK(desk.vkckpt({"verify", "--parent", "x", desk / "two"}).status == 2);
	Ran ran = desk.vkckpt({"flatten", "--parent", source("test/golden/chain.1"), "-o", desk / "full", desk / "two"});
	INFO(ran.err);
	CHECK(ran.status == 0);
}

TEST_CASE("vkckpt discard --remove: an image that another one is built on stays", "[command]")
{
	Desk desk;
	const std::string sealed = GENERATE("", "sealed-");
	std::string raw(32, '\0');
	for (size_t i = 0; i < raw.size(); i++)
		raw[i] = static_cast<char>(i);
	write_all(desk / "raw", raw);
	const std::string one = desk / (sealed + "chain.1"), two = desk / (sealed + "chain.2");
	for (const char *name : {"chain.1", "chain.2"})
		write_all(desk / (sealed + name), read_all(source("test/golden/" + sealed + name)));
	auto discard = [&](const std::string &image) {
		std::vector<std::string> words = {"discard", "--remove", image};
		if (!sealed.empty())
			words.insert(words.begin() + 1, {"--key", "fd:0"});
		return desk.vkckpt(words, desk / "raw");
	};
	Ran ran = discard(one);
	INFO(ran.out << ran.err);
	CHECK(ran.status == 1);
	CHECK(ran.out.empty());
	CHECK(has(ran.err, one + ": " + two + " is built on it"));
	CHECK(has(ran.err, "nothing was given up"));
	CHECK(has(ran.err, "vkckpt flatten -o " + two + " " + two));
	CHECK(fs::exists(one));
	// The newest first, or made independent of it.
	if (GENERATE(true, false)) {
		CHECK(discard(two).status == 0);
		CHECK(!fs::exists(two));
	} else if (sealed.empty()) {
		CHECK(desk.vkckpt({"flatten", "-q", "-o", two, two}).status == 0);
	} else {
		CHECK(desk.vkckpt({"flatten", "-q", "--key", "fd:0", "-o", two, two}, desk / "raw").status == 0);
	}
	ran = discard(one);
	INFO(ran.out << ran.err);
	CHECK(ran.status == 0);
	CHECK(!fs::exists(one));
}

TEST_CASE("vkckpt discard --remove: the signature goes with its image, another file of that name stays", "[command]")
{
	Desk desk;
	const bool signature = GENERATE(true, false);
	write_all(desk.image, read_all(source("test/golden/chain.1")));	// it has no disk
	write_all(desk.image + ".sig", signature ? read_all(source("test/golden/chain.1.sig")) : "my own notes");
	Ran ran = desk.vkckpt({"discard", "--remove", desk.image});
	INFO(ran.out << ran.err);
	CHECK(ran.status == 0);
	CHECK(!fs::exists(desk.image));
	CHECK(fs::exists(desk.image + ".sig") == !signature);
	CHECK(has(ran.out, "its signature; removed") == signature);
}

TEST_CASE("vkckpt seal in place says that the signature beside it is of the old image", "[command][keys]")
{
	Desk desk;
	desk.make_keys();
	const std::vector<std::string> seal = {"seal", "--seal-to", desk / "op.pub", desk.image}, open = {"unseal", "--key", desk / "op.key", desk.image};
	CHECK(desk.vkckpt(seal).err.empty());
	REQUIRE(desk.vkckpt({"sign", "-q", "--key", desk / "by.key", desk.image}).status == 0);
	Ran ran = desk.vkckpt(open);
	CHECK(ran.status == 0);
	CHECK(has(ran.err, desk.image + ".sig: is the signature of what was there before; sign the image anew"));
	CHECK(desk.vkckpt({"verify", "--signed-by", desk / "by.pub", desk.image}).status == 1);
	CHECK(desk.vkckpt({"seal", "-q", "--seal-to", desk / "op.pub", desk.image}).err.empty());
}

TEST_CASE("vkckpt seal, unseal: another file is never replaced, the image itself is")
{
	Desk d;
	d.make_keys();
	write_all(d / "other.ckpt", "another vkernel's");
	d.refused({"seal", "--seal-to", d / "op.pub", d.image, d / "other.ckpt"}, {"other.ckpt", "is there already", "(BAD_ARGUMENT)"});
	CHECK(read_all(d / "other.ckpt") == "another vkernel's");
	CHECK(read_all(d.image) == d.good);
	CHECK(d.vkckpt({"seal", "-q", "--seal-to", d / "op.pub", d.image, d.image}).status == 0);
	d.refused({"unseal", "--key", d / "op.key", d.image, d / "other.ckpt"}, {"other.ckpt", "is there already"});
	CHECK(d.vkckpt({"unseal", "-q", "--key", d / "op.key", d.image}).status == 0);
	CHECK(read_all(d / "other.ckpt") == "another vkernel's");
}

TEST_CASE("vkckpt discard --remove: not while somebody writes an image of that name")
{
	Desk d;
	const int part = open((d.image + ".part").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct flock all = {};
	all.l_type = F_WRLCK;
	REQUIRE(fcntl(part, F_OFD_SETLK, &all) == 0);
	d.refused({"discard", "--remove", d.image}, {"w.ckpt.part", "(IMAGE_IN_USE)"});
	CHECK(read_all(d.image) == d.good);
	close(part);
	CHECK(!has(d.vkckpt({"discard", "--remove", d.image}).err, "(IMAGE_IN_USE)"));
	CHECK(!fs::exists(d.image + ".part"));
}
