// The commands that make something of an image, which may come from anywhere, some with keys in memory: each is stopped when it has nearly done its
// work, and is confined then; and it does its work all the same, in place, to another file, with a chain, with a key from a descriptor.
#include <catch2/catch.hpp>

#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "test/e2e/command_util.h"
#include "test/e2e/crash_stage.h"
#include "test/skip.h"

using namespace vktest;
namespace fs = std::filesystem;

namespace {

std::string status_of(pid_t pid) { return contents("/proc/" + std::to_string(pid) + "/status"); }

// An image of a vkernel with a disk, two golden chains (in clear, and sealed with the raw key 00 .. 1f) and keys.
struct Bench {
	CrashStage s;
	std::string chain = s.place / "chain.2", sealed_chain = s.place / "sealed-chain.2", counting = s.place / "counting";
	Bench()
	{
		Child vk = s.boot();
		REQUIRE(s.goes_on(*vk));
		REQUIRE(s.suspended(*vk));
		REQUIRE(s.place.tool({"keygen", "-q", s.place / "op"}).status == 0);
		REQUIRE(s.place.tool({"keygen", "-q", "--sign", s.place / "by"}).status == 0);
		for (const char *name : {"chain.1", "chain.2", "sealed-chain.1", "sealed-chain.2"})
			fs::copy_file(command_test::source(std::string("test/golden/") + name), s.place / name);
		std::string key;
		for (char byte = 0; byte < 32; byte++)
			key += byte;
		write_file(counting, key);
	}
	// Descriptor 9 of the command is the file `from'. It is confined when it comes to the point, and has done its work when it ends.
	void confined_at(const std::string &point, std::vector<std::string> words, const std::string &from = "/dev/null")
	{
		INFO(words[0] << " " << words.back());
		s.arm(point, 1, crash::kStop);
		const int fd = open(from.c_str(), O_RDONLY);
		REQUIRE(dup2(fd, 9) == 9);		// without close-on-exec: handed on
		Child child = s.command(std::move(words));
		close(9);
		close(fd);
		const bool reached = await([&] { return s.reached() || !child->running(); }) && s.reached();
		const std::string status = status_of(child->pid());
		s.look();
		child->signal(SIGCONT);
		const Outcome o = child->end();
		INFO(o.err);
		CHECK(reached);
		CHECK(has(status, "Seccomp:\t2"));
		CHECK(has(status, "NoNewPrivs:\t1"));
		CHECK(o.status == 0);
		CHECK(o.err.empty());
	}
	bool good(std::vector<std::string> words)
	{
		words.insert(words.begin(), {"verify", "-q"});
		const Outcome o = s.place.tool(words);
		INFO(o.err);
		CHECK(o.err.empty());
		return o.status == 0;
	}
};

// The filter of a host that has neither Landlock nor seccomp.
void be_old_host()
{
	sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 444, 1, 0),		// landlock_create_ruleset
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	sock_fprog program = { sizeof code / sizeof *code, code };
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0)
		_exit(99);
}

bool host_confines(const Place &place)
{
	const std::string version = place.tool({"--version"}).out;
	return has(version, "files by Landlock") && has(version, "by seccomp");
}

}  // namespace

TEST_CASE("flatten, seal, unseal, sign and discard are confined while they work, and do it", "[confine][crash]")
{
	Bench b;
	Place &p = b.s.place;
	if (!host_confines(p))
		TEST_SKIP("this host has no Landlock or no seccomp filters");
	const std::string image = b.s.image, op = p / "op", folder = p / "elsewhere";
	fs::create_directory(folder);

	b.confined_at("image.rename", {"seal", "-q", "--seal-to", op + ".pub", image});
	CHECK(b.good({"--key", op + ".key", image}));
	b.confined_at("image.move", {"unseal", "-q", "--key", "fd:9", image, folder + "/clear.ckpt"}, op + ".key");
	CHECK(b.good({folder + "/clear.ckpt"}));
	b.confined_at("image.rename", {"unseal", "-q", "--key", op + ".key", image});
	CHECK(b.good({image}));
	b.confined_at("image.move", {"seal", "-q", "--passphrase-fd", "9", image, folder + "/sealed.ckpt"}, b.s.place / "by.pub");

	b.confined_at("signature.rename", {"sign", "-q", "--key", "fd:9", image}, p / "by.key");
	CHECK(b.good({"--signed-by", p / "by.pub", image}));
	b.confined_at("signature.rename", {"sign", "-q", "--key", p / "by.key", "--signature", folder + "/x.sig", b.chain});	// of an image built on another
	b.confined_at("signature.rename", {"sign", "-q", "--key", p / "by.key", "--signature", folder + "/y.sig", b.sealed_chain});

	b.confined_at("image.move", {"flatten", "-q", "-o", folder + "/flat.ckpt", b.chain});
	CHECK(b.good({folder + "/flat.ckpt"}));
	b.confined_at("image.move", {"flatten", "-q", "-o", folder + "/sealed-flat.ckpt", "--key", "fd:9", b.sealed_chain}, b.counting);
	fs::rename(p / "chain.1", folder + "/moved.1");
	b.confined_at("image.move", {"flatten", "-q", "-o", folder + "/flat2.ckpt", "--parent", folder + "/moved.1", b.chain});
	fs::rename(folder + "/moved.1", p / "chain.1");
	b.confined_at("disk.rename", {"flatten", "-q", "-o", b.chain, b.chain});
	fs::remove(p / "chain.1");
	CHECK(b.good({b.chain}));

	b.confined_at("sidecar.exchange", {"discard", "--remove", image});
	CHECK(!fs::exists(image));
	Child vk = b.s.boot();
	REQUIRE(b.s.goes_on(*vk));
	REQUIRE(b.s.suspended(*vk));
	b.confined_at("sidecar.exchange", {"discard", b.s.disk});
	CHECK(b.s.goes_on(*b.s.boot()));
}

TEST_CASE("a passphrase that opens is asked for before the command confines itself, also by those that write", "[confine][crash]")
{
	Bench b;
	write_file(b.s.place / "line", "open sesame\n");
	const int line = open((b.s.place / "line").c_str(), O_RDONLY | O_CLOEXEC);
	Process::Setup setup{.words = {tool_path(), "seal", "-q", "--passphrase-fd", "0", b.s.image}};
	setup.in = line;
	REQUIRE(Process(setup).end().status == 0);
	close(line);
	const std::string clear = b.s.place / "clear.ckpt";
	OnTerminal tool({"unseal", "-q", "--passphrase", b.s.image, clear});
	CHECK(tool.asks("passphrase of the image: "));
	REQUIRE(tool.answer("open sesame\n"));
	const int status = tool.end();
	INFO(tool.said());
	CHECK(status == 0);
	CHECK(b.good({clear}));
}

TEST_CASE("on a host with neither Landlock nor seccomp the commands work, and say once that they are not confined", "[confine][crash]")
{
	Bench b;
	auto on_old_host = [&](std::vector<std::string> words) {
		words.insert(words.begin(), tool_path());
		return Process({.words = words, .folder = b.s.place.path(), .before_exec = be_old_host}).end();
	};
	const std::string told = "neither Landlock nor seccomp";
	auto tells_once = [&](const std::vector<std::string> &words) {
		const Outcome o = on_old_host(words);
		INFO(words[0] << ": " << o.err);
		CHECK(o.status == 0);
		const size_t at = o.err.find(told);
		CHECK(at != o.err.npos);
		CHECK(o.err.find(told, at + 1) == o.err.npos);
	};
	const std::string by = b.s.place / "by.key", op = b.s.place / "op", image = b.s.image;
	tells_once({"verify", b.chain});
	tells_once({"info", image});
	tells_once({"sign", "--key", by, image});
	tells_once({"seal", "--seal-to", op + ".pub", image});
	tells_once({"unseal", "--key", op + ".key", image});
	tells_once({"flatten", "-o", b.s.place / "flat.ckpt", b.chain});
	tells_once({"discard", image});
	CHECK(on_old_host({"verify", "-q", b.chain}).err.empty());
	CHECK(on_old_host({"sign", "-q", "--key", by, image}).err.empty());
	CHECK(!has(b.s.place.tool({"verify", b.chain}).err, told));
}

TEST_CASE("where the host's Landlock does not take what is asked of it, that is said", "[confine]")
{
	constexpr long kCreate = 444, kRestrict = 446;
	if (syscall(kCreate, nullptr, 0, 1) <= 0)
		TEST_SKIP("this host has no Landlock");
	Place place;
	const std::string image = place / "v1.ckpt";
	write_file(image, contents("test/golden/v1.ckpt"));
	auto said = [&](std::vector<std::string> words) {
		words.insert(words.begin(), tool_path());
		return Process({.words = words, .folder = place.path(), .before_exec = [] {
			// As many layers as there may be; they forbid no more than symbolic links.
			const uint64_t links = 1 << 12;
			prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
			for (int i = 0; i < 16; i++)
				(void)syscall(kRestrict, syscall(kCreate, &links, sizeof links, 0), 0);
		}}).end();
	};
	const Outcome o = said({"verify", image});
	INFO(o.err);
	CHECK(o.status == 0);
	CHECK(has(o.err, "Landlock could not be used"));
	CHECK(said({"verify", "-q", image}).err.empty());
	CHECK(!has(place.tool({"verify", image}).err, "Landlock"));
}
