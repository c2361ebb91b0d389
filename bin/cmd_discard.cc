#include "bin/command.h"
#include "bin/image_file.h"
#include "bin/keys.h"
#include "bin/neighbours.h"
#include "bin/new_file.h"
#include "bin/rundir.h"
#include "bin/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tool {

enum class Kind { kImage, kSidecar, kOther };

// By its first bytes. False with *problem: it cannot be read.
static bool kind_of(const char *path, Kind *kind, std::string *problem)
{
	char magic[8] = {};
	Fd fd(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
	if (!fd || read(fd.get(), magic, sizeof magic) < 0) {
		*problem = printable(path) + ": " + strerror(errno) +
		    (errno == ENOENT ? " (NOT_FOUND)" : errno == EACCES ? " (PERMISSION)" : " (IO_ERROR)") +
		    "; name an image or the file of a disk";
		return false;
	}
	*kind = memcmp(magic, VKCKPT_MAGIC, 8) == 0 ? Kind::kImage :
	    memcmp(magic, VKCKPT_SIDECAR_MAGIC, 8) == 0 ? Kind::kSidecar : Kind::kOther;
	return true;
}

static int discard_disk(const char *path)
{
	vkckpt_f_sidecar sidecar;
	vkckpt_error error{};
	int result = vkckpt_disk_inspect(path, &sidecar, &error);
	if (result == -ENOENT)
		return refuse("%s: neither an image nor a disk of a vkernel: there is no %s%s (NOT_FOUND); name an image or a disk",
		    printable(path).c_str(), printable(path).c_str(), VKCKPT_SIDECAR_SUFFIX);
	bool damaged = error.reason == VKCKPT_R_SIDECAR_DAMAGED;
	if (result < 0 && !damaged)
		return refuse("%s", sentence_of(path, error).c_str());
	if (!damaged && sidecar.state == VKCKPT_DISK_IDLE) {
		printf("%s: no image waits for it, there is nothing to forget\n", printable(path).c_str());
		return finish_output(kYes);
	}
	if (vkckpt_disk_discard(path, &error) < 0)
		return refuse("%s", sentence_of(path, error).c_str());
	if (damaged)
		printf("%s: its damaged sidecar was made anew; no image of it can be thawed any more, it boots as after a power"
		    " failure\n", printable(path).c_str());
	else if (sidecar.state == VKCKPT_DISK_SUSPENDED)
		printf("%s: forgotten that %s suspended it; that image cannot be thawed any more, the disk boots as after a"
		    " power failure\n", printable(path).c_str(), printable(field(sidecar.image_path)).c_str());
	else
		printf("%s: its last vkernel ended without saying so; forgotten\n", printable(path).c_str());
	return finish_output(kYes);
}

// One disk of an image: true when it does not wait for the image (any more). What it waits for is looked at under its lock.
static bool release_disk(const ImageFile &image, const Device &device)
{
	const std::string label = printable(device.name) + " (" + printable(device.path()) + ")";
	vkckpt_error error{};
	struct stat facts;	// a disk that has gone elsewhere may have left its sidecar
	const bool there = stat(device.path().c_str(), &facts) == 0;
	const int result = there ? vkckpt_disk_forget(device.path().c_str(), device.source, &error) : -ENOENT;
	if (result == 1) {
		printf("%s: forgotten that this image suspended it; it boots as after a power failure\n", label.c_str());
		return true;
	}
	const DiskReport report = image.disk(device);
	if (report.state == DiskState::kMissing) {
		refuse("%s: %s (DISK_MISSING); discard it by its path where it lies", label.c_str(), report.sentence.c_str());
		return false;
	}
	// A vkernel that has it may have been thawed from this image; or is being suspended to it just now, and needs it.
	const bool ran_since = error.reason == VKCKPT_R_DISK_IN_USE &&
	    (report.sidecar.epoch > device.number("fence_epoch") || device.number("fence_ram_only") != 0);
	if (result < 0 && report.state != DiskState::kNoSidecar && !ran_since) {
		refuse("%s", sentence_of(device.path(), error).c_str());
		return false;
	}
	printf("%s: %s; left as it is\n", label.c_str(), report.sentence.c_str());
	return true;
}

static bool remove_one(const std::string &file, const char *what)
{
	if (unlink(file.c_str()) != 0) {
		refuse("%s: cannot be removed: %s (PERMISSION); the image is gone, this is needed no more", printable(file).c_str(), strerror(errno));
		return false;
	}
	printf("%s: %s; removed\n", printable(file).c_str(), what);
	return true;
}

// What nothing can use without the image that was removed.
static bool remove_belongings(const std::string &signature, const std::vector<std::string> &copies)
{
	bool all = signature.empty() || remove_one(signature, "its signature");
	for (const std::string &copy : copies) {
		vkckpt_f_sidecar sidecar;
		if (vkckpt_disk_inspect(copy.c_str(), &sidecar, nullptr) < 0 || sidecar.state != VKCKPT_DISK_IDLE)
			continue;	// a thaw was quicker than we
		bool gone = remove_one(copy, "its copy of a disk");
		all &= gone && remove_one(copy + VKCKPT_SIDECAR_SUFFIX, "its sidecar");
	}
	return all;
}

static int discard_image(const char *path, const Arguments &arguments)
{
	const bool remove_file = arguments.remove;
	ImageFile image;
	Keys keys;
	std::string problem;
	std::vector<std::string> others;
	if (remove_file)
		others = images_beside(path);
	bool taken = keys.take(arguments, &problem);
	// Nobody exchanges the file while its disks are asked: a vkernel that suspends itself to this name makes the same part file.
	NewFile lock(path);
	if (taken && remove_file && !lock.open(&problem, "an image is removed by who may change its folder, while nobody writes it"))
		return refuse("%s", problem.c_str());
	Fd file(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
	if (taken) {
		std::vector<Folder> folders;
		if (remove_file)
			folders.push_back({folder_of(path), Writing::kNames});
		tell_unconfined(confine_to_images({path}, keys.table(), others, folders, Disks::kRelease), arguments);
	}
	if (!taken || !image.open(path, &problem, keys.table()))
		return refuse("%s (the disks of an image that cannot be read are discarded by their own paths)", problem.c_str());
	if (std::string child = child_of(image, others, keys.table()); !child.empty())
		return refuse("%s: %s is built on it and could not be thawed without it (BAD_ARGUMENT); nothing was given up; make that a full image"
		    " first: vkckpt flatten -o %s %s", printable(path).c_str(), printable(child).c_str(), printable(child).c_str(),
		    printable(child).c_str());
	std::vector<std::string> copies;
	if (remove_file)
		copies = unused_copies(image, path);
	size_t disks = 0;
	bool all = true;
	for (const Device &device : image.devices())
		if (device.fenced) {
			disks++;
			all &= release_disk(image, device);
		}
	fflush(stdout);
	if (!all)
		return refuse("%s: kept, because not every disk could be released", printable(path).c_str());
	const char *reason = disks ? "no disk waits for it any more" : "it has no writable disk, so nothing waited for it";
	if (!remove_file) {
		printf("%s: %s; the file may be removed\n", printable(path).c_str(), reason);
		return finish_output(kYes);
	}
	if (!file || !lock.remove_instead(file.get(), &problem))
		return refuse("%s; %s", problem.c_str(), reason);
	printf("%s: %s; removed\n", printable(path).c_str(), reason);
	return remove_belongings(signature_beside(path), copies) ? finish_output(kYes) : kNo;
}

static int run_discard(const Command &command, const Arguments &arguments)
{
	const char *path = arguments.operands[0];
	Kind kind;
	std::string problem;
	if (!kind_of(path, &kind, &problem))
		return refuse("%s", problem.c_str());
	switch (kind) {
	case Kind::kImage:
		return discard_image(path, arguments);
	case Kind::kSidecar:
		return refuse("%s: this is a disk's sidecar (BAD_ARGUMENT); name the disk itself, without %s",
		    printable(path).c_str(), VKCKPT_SIDECAR_SUFFIX);
	case Kind::kOther:
		if (arguments.remove)
			return misuse(command, "discard: %s: --remove is for images, a disk is never removed",
			    printable(path).c_str());
		tell_unconfined(confine_to_disk(path), arguments);
		return discard_disk(path);
	}
	return kNo;
}

const Command kDiscard = {
	"discard", "[--remove] [--key FILE | --passphrase | --passphrase-fd N] IMAGE|DISK", "gives up a suspended state, so that its disks boot again",
	"An image: every disk that it suspended forgets it. A disk: it forgets whichever image suspended it.\n"
	"The state in the image's RAM is lost for good; the disk is as after a power failure.\n"
	"  -R, --remove   remove the image's file when no disk waits for it any more, its signature, and copies of\n"
	"                 disks that were frozen with it and not used; not if an image in its folder is built on it\n"
	"      --key FILE     of a sealed image: its secret or raw key (file or fd:N)\n"
	"      --passphrase, --passphrase-fd N   of one sealed with a passphrase\n",
	"Rk:pD:", 1, 1, run_discard,
};

}  // namespace tool
