// What tests of a vkernel on a failing host look at afterwards (test/unit/fixture.h is the vkernel).
#ifndef VKCKPT_TEST_LIFE_H
#define VKCKPT_TEST_LIFE_H

#include <catch2/catch.hpp>

#include <sys/wait.h>

#include <algorithm>
#include <filesystem>
#include <iostream>

#include "test/fault/faults.h"
#include "test/unit/fixture.h"

namespace life {

using namespace fixture;

inline int open_descriptors()
{
	int n = 0;
	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

inline struct vkckpt_f_sidecar inspect(const std::string &disk)
{
	struct vkckpt_f_sidecar s = {};
	struct vkckpt_error err;
	vkckpt_disk_inspect(disk.c_str(), &s, &err);
	return s;
}

inline bool explained(const struct vkckpt_error &e)
{
	return e.code > 0 && e.reason != 0 && *e.where && strstr(e.message, vkckpt_reason_name(e.reason));
}

inline void fill(Vkernel &v)
{
	v.make_ram();
	for (size_t i = 0; i < kRamBytes / 4; i += 4096)
		memset(v.ram() + i, (int)(i >> 12) + 1, 4096);
}

inline bool filled(Vkernel &v)
{
	for (size_t i = 0; i < kRamBytes / 4; i += 4096)
		if (v.ram()[i] != (uint8_t)((i >> 12) + 1))
			return false;
	return true;
}

// Calls f(k, errno) for every one of the errors and every host call, until call k was not reached; more than `most` are one too many.
template <size_t N, class F> void each_fault(const int (&errors)[N], long most, F f)
{
	for (int error : errors)
		for (long k = 1; f(k, error); k++)
			REQUIRE(k < most);
}

// The names in a folder, sorted.
inline std::vector<std::string> names_in(const std::string &folder)
{
	std::vector<std::string> names;
	for (const auto &entry : std::filesystem::directory_iterator(folder))
		names.push_back(entry.path().filename());
	std::sort(names.begin(), names.end());
	return names;
}

// In a child: what f returns, 255 for a check that fails there, or 1000 and the signal.
inline int status_of_child(const std::function<int()> &f)
{
	std::cout.flush();
	pid_t child = fork();
	if (child == 0) {
		int result = 255;
		try {
			result = f();
		} catch (...) {
			std::cout.flush();
		}
		faults::end_of_process();
		_exit(result);
	}
	int status = 0;
	if (child < 0 || waitpid(child, &status, 0) != child)
		abort();
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}
constexpr int kKilled = 1000 + SIGKILL;

// The end of a test about disks whose vkernel was killed: it thaws, or they boot; after either the other is refused.
inline std::string who_gets_it(Vkernel &v, const std::vector<std::string> &disks)
{
	struct vkckpt_error err = {};
	if (v.thaw(v.image) == 0) {
		REQUIRE(filled(v));
		REQUIRE(v.opened.devices.size() >= disks.size());
		std::vector<Device *> held;
		for (size_t i = 0; i < disks.size(); i++)
			held.push_back(&*(v.opened.devices.end() - (long)(disks.size() - i)));
		for (size_t i = 0; i < disks.size(); i++) {
			struct vkckpt_disk boot = {};
			REQUIRE(vkckpt_disk_boot(&boot, disks[i].c_str(), held[i]->disk_fd, &err) == -EBUSY);
		}
		for (Device *d : held)
			vkckpt_disk_release(&d->fence);
		v.disarm();
		v.drop_ram();
		REQUIRE(v.thaw(v.image) < 0);
		return "thaw";
	}
	std::string why = v.err.message;
	INFO(why);
	for (const std::string &disk : disks) {
		struct vkckpt_disk boot = {};
		int fd = open(disk.c_str(), O_RDWR);
		int r = vkckpt_disk_boot(&boot, disk.c_str(), fd, &err);
		INFO(err.message);
		REQUIRE(r == 0);
		vkckpt_disk_shutdown(&boot);
		close(fd);
	}
	REQUIRE(v.thaw(v.image) < 0);
	return "boot";
}

}  // namespace life
#endif
