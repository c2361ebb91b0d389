// The oracle over the ways an image can be written and thawed: lazily or eagerly, with one worker or many, raw or LZ4, through a file or a
// pipe, full or in a chain of ten, in clear or sealed. Here so that each pair of them meets (and each lazy one with each kind of
// image); with ORACLE_DEEP=1 (make soak) all of them with all.
#include <catch2/catch.hpp>

#include <cstdlib>

#include "test/e2e/place.h"
#include "test/userfault.h"

using namespace vktest;

namespace {

constexpr unsigned kChain = 10;

struct Way {
	bool lazy, many, raw, pipe, chain, sealed;
	std::string text() const
	{
		return std::string(lazy ? "lazy" : "eager") + (many ? ", many workers" : ", one worker") + (raw ? ", raw" : ", LZ4") +
		    (pipe ? ", pipe" : ", file") + (chain ? ", chain" : ", full") + (sealed ? ", sealed" : ", in clear");
	}
};

const char kScript[] = "echo $NONCE; seq 1 200 | awk '{ s += $1 * $1; print s }' | sort -rn | sed 's/1/one/g' | sha256sum; "
		       "for i in 1 2 3 4 5 6; do seq $i 400 >/tmp/$i; done; cat /tmp/? | sha256sum; echo $NONCE";

// One run of the script in this way, suspended at every `step`-th trap. A chain always lies in files: of a pipe its tenth image is read.
class Journey {
public:
	Journey(const Way &way, uint64_t step) : way_(way), every_({"--test-ckpt-every", std::to_string(step)})
	{
		if (way.sealed)
			REQUIRE(place_.tool({"keygen", "-q", place_ / "op"}).status == 0);
	}

	Run run()
	{
		Run run;
		Outcome o = boot();
		for (run.out = o.out; o.status == VKCKPT_EXIT_SUSPENDED; run.out += o.out) {
			run.legs++;
			o = thaw(run.legs);
		}
		run.status = o.status;
		if (o.status != 0)
			run.trouble = "leg " + std::to_string(run.legs) + ": status " + std::to_string(o.status) + ": " + o.err;
		return run;
	}
	unsigned lazy_legs() const { return lazy_; }

private:
	std::vector<std::string> common() const
	{
		std::vector<std::string> words = {"--workers", way_.many ? "4" : "1", "--codec", way_.raw ? "raw" : "lz4"};
		words.insert(words.end(), every_.begin(), every_.end());
		return words;
	}

	Outcome boot()
	{
		std::vector<std::string> options = common();
		options.insert(options.end(), {"-e", "NONCE=4711", "-n", way_.many ? "2" : "1"});
		if (way_.chain)
			options.insert(options.end(), {"--chain", std::to_string(kChain)});
		if (way_.sealed)
			options.insert(options.end(), {"--seal-to", place_ / "op.pub"});
		if (way_.pipe && !way_.chain)
			options.insert(options.end(), {"--image", "fd:3"});
		std::vector<std::string> words = place_.boot_words({"/bin/sh", "-c", kScript}, options);
		return way_.pipe && !way_.chain ? through("true", words) : end(words);
	}

	Outcome thaw(unsigned leg)
	{
		std::vector<std::string> options = common();
		const bool piped = way_.pipe && (!way_.chain || leg % kChain == 1);
		if (way_.lazy)
			options.push_back(piped ? "--lazy" : way_.many ? "--lazy=required" : "--lazy=required,demand");
		lazy_ += way_.lazy && !piped;
		if (way_.sealed)
			options.insert(options.end(), {"--key", place_ / "op.key"});
		std::vector<std::string> members = place_.images();
		REQUIRE(!members.empty());
		if (!piped)
			return end(place_.thaw_words(options, members.back()));
		if (way_.chain && members.size() > 1)
			options.insert(options.end(), {"--parent", members[members.size() - 2]});
		options.insert(options.end(), {"--image", way_.chain ? place_.image() : "fd:3"});
		return through("cat " + members.back(), place_.thaw_words(options, "fd:5"));
	}

	// What `from` writes comes in at descriptor 5, what goes out at 3 takes the place of the image if it is one.
	Outcome through(const std::string &from, std::vector<std::string> words)
	{
		const std::string script = "cd " + place_.path() + "; exec 4>&1 8</dev/null; " + from +
		    " | { \"$0\" \"$@\" 5<&0 0<&8 3>&1 >&4 4>&- 8<&-; echo $? >rc; } | cat >part; read rc <rc; [ $rc -ne 33 ] || [ ! -s part ] || "
		    "mv part vk.ckpt; exit $rc";
		words.insert(words.begin(), {"/bin/sh", "-c", script});
		return end(words);
	}

	Outcome end(const std::vector<std::string> &words)
	{
		Process process({.words = words, .folder = place_.path()});
		return process.end();
	}

	Place place_;
	const Way way_;
	const std::vector<std::string> every_;
	unsigned lazy_ = 0;
};

std::vector<Way> all_ways()
{
	std::vector<Way> all;
	for (unsigned bits = 0; bits < 64; bits++)
		all.push_back({bool(bits & 1), bool(bits & 2), bool(bits & 4), bool(bits & 8), bool(bits & 16), bool(bits & 32)});
	return all;
}

// Every pair of two columns in each of its four values; then what a lazy thaw really is lazy of (never a pipe): each kind of image with each codec.
const std::vector<Way> kPairs = {
	// lazy  many   raw    pipe   chain  sealed
	{ false, false, false, false, false, false },
	{ true,  true,  false, true,  false, true },
	{ true,  false, true,  true,  false, false },
	{ false, true,  true,  false, true,  true },
	{ false, true,  false, true,  true,  false },
	{ true,  false, true,  false, true,  false },
	{ true,  true,  false, false, true,  false },
	{ true,  true,  true,  false, false, false },
	{ true,  false, false, false, false, false },
	{ true,  true,  true,  false, false, true },
	{ true,  false, false, false, false, true },
	{ true,  false, true,  false, true,  true },
	{ true,  true,  false, false, true,  true },
};

}  // namespace

TEST_CASE("however an image is written and thawed, nobody notices", "[lazy][matrix]")
{
	const bool deep = std::getenv("ORACLE_DEEP") != nullptr;
	const std::string plain = [] {
		Place place;
		return place.boot({"/bin/sh", "-c", kScript}, {"-e", "NONCE=4711"})->end().out;
	}();
	REQUIRE(has(plain, "4711\n"));
	for (const Way &way : deep ? all_ways() : kPairs) {
		if (way.lazy && !host_gives_userfaultfd())
			continue;		// named as skipped by the tests of lazy thaws
		Journey journey(way, deep ? 37 : 84);
		const Run run = journey.run();
		INFO(way.text() << ", " << run.legs << " legs, " << journey.lazy_legs() << " of them lazy");
		CHECK(run.trouble == "");
		CHECK(run.out == plain);
		CHECK(run.legs > kChain + 1);
		CHECK((journey.lazy_legs() > kChain / 2) == (way.lazy && (!way.pipe || way.chain)));
	}
}
