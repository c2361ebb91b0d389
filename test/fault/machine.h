// A small vkernel on the simulated host: a few frames of RAM, one or two disks, no thread. boot, suspend, checkpoint, thaw and discard
// are the library's own, from the same entry points as in a real one but for the safe point.
#ifndef VKCKPT_TEST_MACHINE_H
#define VKCKPT_TEST_MACHINE_H

#include <deque>
#include <string>
#include <vector>

#include <vkckpt/disk.h>
#include <vkckpt/vkckpt.h>

#include "lib/capture.h"
#include "lib/context.h"
#include "test/fault/simfs.h"

namespace machine {

constexpr uint64_t kRam = 0x310000000000, kRamBytes = 4 * 4096;
const char kImage[] = "/sim/images/vk.ckpt";
std::string member(unsigned n);		// of a chain: "/sim/images/vk.0001.ckpt"
std::string disk_name(unsigned i);	// "/sim/disks/disk0.img"

// The host as it is before anything: `disks` disks that were never booted.
simfs::World fresh_world(unsigned disks);

struct Disk {
	std::string name, path;
	struct vkckpt_disk fence = {};
	int fd = -1;
	bool held = false;
};

// One process. It must not be moved: the library knows it by address.
class Machine {
public:
	Machine();
	~Machine();
	Machine(const Machine &) = delete;
	Machine &operator=(const Machine &) = delete;

	int boot(unsigned disks);		// 0, or -errno: nothing is held
	int arm();
	void disarm();
	// Booted or thawed before: 0: the image is committed (and for EXIT the process is to end).
	int capture(uint32_t action, const char *image = kImage);
	int thaw(const char *image = kImage, const char *clone = nullptr);
	std::string disks() const;		// what its disks hold, in a few words
	void run(const std::string &trace);	// the guest runs: it writes to its disks
	void shutdown();			// an orderly end of the disks
	void forget() { ck_ = nullptr; }	// its process was killed in the middle of something
	std::string last_image() const { return vkckpt_last_image(ck_, nullptr); }

	// How it is armed, and thaws.
	uint32_t chain = 0;
	const char *parent = nullptr;
	bool reserve = false;
	const struct vkckpt_crypto *crypto = nullptr;

	std::string content;			// of RAM, by its first bytes
	struct vkckpt_error err = {};
private:
	static int save(void *, struct vkckpt_sink *);
	static int open(void *, const char *, const struct vkckpt_source *, void **, struct vkckpt_error *);
	static void close(void *);
	static struct vkckpt_disk *fence_of(void *);
	void give_back();
	struct vkckpt_config config();

	struct vkckpt_hooks hooks_ = {};
	struct vkckpt_device_class class_ = {};
	struct vkckpt_segment segment_ = {};
	std::deque<Disk> disks_;
	std::vector<struct vkckpt_device> devices_;
	struct vkckpt *ck_ = nullptr;
};

int discard(unsigned disk);		// 0 or -errno

}  // namespace machine
#endif
