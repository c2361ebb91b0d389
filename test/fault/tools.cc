// seal, unseal and flatten as the command does them: a new file beside the image, written, synced, renamed over it (bin/new_file.cc). Each host
// call of the library and each of the command's own fails, or is the last one before kill -9: under the image's name lies the old image or
// the new one, whole, what failed is said, and nothing is left behind but what a killed process leaves, which the next one removes.
#include <map>

#include "bin/new_file.h"
#include "test/fault/life.h"
#include "test/unit/seal_support.h"

using namespace life;

extern "C" long vkckpt_fault_hook(long number, const long *arguments, int *inject);

namespace {

bool command_calls;		// those of the command go through the hook, too

template <class Real> int hooked(long number, Real real)
{
	const long arguments[6] = {};
	int inject = 0;
	long result = command_calls ? vkckpt_fault_hook(number, arguments, &inject) : 0;
	if (!inject)
		return real();
	errno = (int)-result;
	return -1;
}

}  // namespace

// What bin/new_file.cc calls, by ld --wrap.
extern "C" {
int __real_fsync(int fd);
int __real_rename(const char *from, const char *to);
int __real_renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags);
int __real_unlink(const char *path);
int __wrap_fsync(int fd) { return hooked(SYS_fsync, [=] { return __real_fsync(fd); }); }
int __wrap_rename(const char *from, const char *to) { return hooked(SYS_rename, [=] { return __real_rename(from, to); }); }
int __wrap_renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	return hooked(SYS_renameat2, [=] { return __real_renameat2(from_dir, from, to_dir, to, flags); });
}
int __wrap_unlink(const char *path) { return hooked(SYS_unlink, [=] { return __real_unlink(path); }); }
}

namespace {

struct Images : Vkernel {
	seal_test::Known keys;
	struct Operation {
		const char *name;
		std::string image;
		const vkckpt_crypto *from, *to;
		bool flattens;
	};
	std::vector<Operation> operations;
	Images()
	{
		image = dir / "web.ckpt";
		config.image_path = image.c_str();
		config.chain = 4;
		config.workers = 1;
		fill(*this);
		if (arm() != 0 || request(VKCKPT_ACTION_CONTINUE) != VKCKPT_RESUMED || request(VKCKPT_ACTION_CONTINUE) != VKCKPT_RESUMED)
			abort();
		die();
		const std::string full = dir / "web.0001.ckpt", incremental = dir / "web.0002.ckpt", plain = dir / "plain.ckpt", sealed = dir / "sealed.ckpt";
		spill(plain, slurp(full));
		spill(sealed, slurp(full));
		operations = { { "seal", plain, nullptr, &keys.table, false }, { "unseal", sealed, &keys.table, nullptr, false },
			{ "flatten", incremental, nullptr, nullptr, true } };
		Operation begin = { "", sealed, nullptr, &keys.table, false };
		std::string problem;
		if (!run(begin, &problem))
			abort();
	}
	bool run(const Operation &op, std::string *problem)
	{
		tool::NewFile file(op.image);
		if (!file.open(problem))
			return false;
		int r = op.flattens ? vkckpt_image_flatten(op.image.c_str(), nullptr, op.from, file.fd(), op.to, nullptr, nullptr, &err) :
		    vkckpt_image_reseal(op.image.c_str(), op.from, file.fd(), op.to, nullptr, nullptr, &err);
		if (r < 0) {
			*problem = err.message;
			return false;
		}
		return file.keep(true, problem);
	}
	bool whole(const Operation &op, const vkckpt_crypto *how)
	{
		return vkckpt_image_verify_with(op.image.c_str(), -1, how, nullptr, nullptr, &err) == 0;
	}
};

}  // namespace

TEST_CASE("seal, unseal and flatten at every host call: the old image or the new one, whole")
{
	std::map<std::string, unsigned> failed, killed, renamed;
	Images v;
	const int before = open_descriptors();
	for (const Images::Operation &op : v.operations) {
		const std::string old = slurp(op.image);
		const std::vector<std::string> names = names_in(v.dir.path);
		INFO(op.name);
		for (long result : { long{-EIO}, long{-ENOSPC}, 0L }) {
			bool reached = true;
			for (long k = 1; reached; k++) {
				REQUIRE(k < 2000);
				std::string problem;
				bool ok = false;
				int status = 0;
				auto run = [&] {
					command_calls = true;
					faults::start(k, result);
					ok = v.run(op, &problem);
					faults::state()->on = false;
					command_calls = false;
					return 0;
				};
				if (result == 0)
					status = status_of_child(run);
				else
					run();
				reached = faults::stop();
				const long number = faults::state()->failed_number;
				INFO("call " << k << " (" << number << ") result " << result << ": " << problem);
				REQUIRE(open_descriptors() == before);
				if (result == 0) {
					REQUIRE(status == (reached ? kKilled : 0));
					killed[op.name] += reached;
				} else if (!ok) {
					REQUIRE(problem.find("(") != std::string::npos);
					failed[op.name]++;
				}
				if (result != 0 && number != SYS_unlink)
					REQUIRE(names_in(v.dir.path) == names);
				if (slurp(op.image) == old) {
					REQUIRE_FALSE(ok);
				} else {
					renamed[op.name]++;
					REQUIRE(v.whole(op, op.to));
				}
				spill(op.image, old);
				REQUIRE(v.whole(op, op.from));
				unlink((op.image + ".part").c_str());
			}
		}
		// What a killed one left is in nobody's way.
		spill(op.image + ".part", "left over");
		std::string problem;
		REQUIRE(v.run(op, &problem));
		REQUIRE(names_in(v.dir.path) == names);
		spill(op.image, old);
	}
	for (const Images::Operation &op : v.operations) {
		INFO(op.name);
		CHECK(failed[op.name] >= 10);
		CHECK(killed[op.name] >= 10);
		CHECK(renamed[op.name] >= 4);
	}
}
