// Chains whose images are sealed and signed: the command and a thaw need the key for every one of them, also where they may open only what the
// images themselves name.
#include <catch2/catch.hpp>

#include <filesystem>

#include "test/e2e/place.h"

using namespace vktest;
namespace fs = std::filesystem;

namespace {

// Three images of a guest that counts, sealed to op.pub; what it said after the last.
class SealedChain {
public:
	SealedChain()
	{
		REQUIRE(place.tool({"keygen", "-q", place / "op"}).status == 0);
		REQUIRE(place.tool({"keygen", "-q", "--sign", place / "by"}).status == 0);
		Child child = place.sh("dd if=/dev/urandom of=/tmp/f bs=64k count=32 2>/dev/null; sha256sum </tmp/f >/tmp/sum; echo ready; thawed; "
		    "sha256sum </tmp/f | cmp - /tmp/sum && echo same", {"--chain", "8", "--seal-to", place / "op.pub"});
		REQUIRE(child->expect("ready"));
		REQUIRE(place.tool({"checkpoint", "vk"}).status == 0);
		REQUIRE(place.tool({"checkpoint", "vk"}).status == 0);
		REQUIRE(suspend(*child) == "");
	}
	std::string member(unsigned n) const { return place / ("vk.000" + std::to_string(n) + ".ckpt"); }
	std::string key() const { return place / "op.key"; }

	Place place;
};

}  // namespace

TEST_CASE("a sealed chain is looked into and verified with its key, confined as ever", "[chain][seal]")
{
	const SealedChain chain;
	const Place &place = chain.place;
	const Outcome info = place.tool({"info", "--key", chain.key(), chain.member(3)});
	INFO(info.out << info.err);
	CHECK(has(info.out, "number 3 of its chain"));
	CHECK(has(info.out, "vk.0001.ckpt"));
	CHECK(!has(info.out, "cannot be thawed"));
	CHECK(has(place.tool({"verify", "--key", chain.key(), chain.member(3)}).out, "every frame decoded"));
	CHECK(has(place.tool({"verify", chain.member(3)}).out, "nothing was opened"));
	const Outcome diff = place.tool({"diff", "--key", chain.key(), chain.member(1), chain.member(3)});
	INFO(diff.err);
	CHECK(diff.status == 0);

	// Damage anywhere in the chain is told with the name of the file that has it.
	std::string bytes = contents(chain.member(1));
	bytes[bytes.size() / 2] = char(bytes[bytes.size() / 2] ^ 1);
	write_file(chain.member(1), bytes);
	const Outcome damaged = place.tool({"verify", "--key", chain.key(), chain.member(3)});
	CHECK(damaged.status == 1);
	CHECK(has(damaged.err, "vk.0001.ckpt"));
	CHECK(has(damaged.err, "DAMAGED"));
}

TEST_CASE("a sealed chain is merged into an image that is sealed again, and that thaws", "[chain][seal]")
{
	const SealedChain chain;
	const Place &place = chain.place;
	const std::string flat = place / "flat.ckpt";
	const Outcome without = place.tool({"flatten", "-o", flat, chain.member(3)});
	CHECK(without.status == 1);
	CHECK(has(without.err, "SEALED"));
	CHECK(!fs::exists(flat));
	CHECK(!fs::exists(flat + ".part"));
	const Outcome merged = place.tool({"flatten", "--key", chain.key(), "-o", flat, chain.member(3)});
	INFO(merged.err);
	REQUIRE(merged.status == 0);
	CHECK(has(place.tool({"info", flat}).out, "A sealed checkpoint"));
	REQUIRE(place.tool({"keygen", "-q", place / "other"}).status == 0);
	const Outcome resealed = place.tool({"flatten", "--key", chain.key(), "--seal-to", place / "other.pub", "-o", place / "second.ckpt", chain.member(3)});
	INFO(resealed.err);
	REQUIRE(resealed.status == 0);
	CHECK(place.tool({"verify", "--key", chain.key(), place / "second.ckpt"}).status == 1);
	CHECK(place.tool({"verify", "--key", place / "other.key", place / "second.ckpt"}).status == 0);
	for (unsigned n = 1; n <= 3; n++)
		fs::remove(chain.member(n));
	const Outcome thawed = place.thawed({"--key", chain.key()}, flat);
	INFO(thawed.err);
	CHECK(thawed.out == "same\n");
}

TEST_CASE("every image of a chain must be signed where a signature is required", "[chain][seal]")
{
	const SealedChain chain;
	const Place &place = chain.place;
	for (unsigned n : {3, 2})
		REQUIRE(place.tool({"sign", "-q", "--key", place / "by.key", chain.member(n)}).status == 0);
	const std::vector<std::string> verify = {"verify", "--key", chain.key(), "--signed-by", place / "by.pub", chain.member(3)};
	const Outcome two = place.tool(verify);
	INFO(two.err);
	CHECK(two.status == 1);
	CHECK(has(two.err, "vk.0001.ckpt"));
	REQUIRE(place.tool({"sign", "-q", "--key", place / "by.key", chain.member(1)}).status == 0);
	const Outcome all = place.tool(verify);
	INFO(all.err);
	CHECK(all.status == 0);
	const Outcome thawed = place.thawed({"--key", chain.key(), "--require-signature", place / "by.pub"}, chain.member(3));
	INFO(thawed.err);
	CHECK(thawed.out == "same\n");
}
