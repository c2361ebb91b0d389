// Which files the reading of an image needs besides it. See confine.h.
#include "bin/confine.h"
#include "bin/neighbours.h"
#include "bin/text.h"

#include <vkckpt/disk.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

namespace tool {
namespace {

constexpr size_t kMostText = 1 << 20;		// what a child may say
constexpr unsigned kMostParents = 64;		// of one image, one behind the other

// A line for the image's parent, then one for each disk: "p PATH" and "d PATH", each ended by a NUL.
std::string names_in(const std::string &path, const vkckpt_crypto *crypto)
{
	ImageFile image;
	std::string problem, text;
	if (!image.open(path.c_str(), &problem, crypto))
		return "";
	if (std::string parent = field(image.identity().parent_path); !parent.empty()) {
		size_t slash = path.rfind('/');
		text += "p" + (parent[0] == '/' || slash == std::string::npos ? parent : path.substr(0, slash + 1) + parent) + '\0';
	}
	for (const Device &device : image.devices())
		if (device.fenced && !device.path().empty())
			text += "d" + device.path() + '\0';
	return text;
}

// names_in, by a child that can read the image and its known ancestors only. Empty when it dies of it.
std::string ask_child(const std::string &path, const vkckpt_crypto *crypto, const std::vector<std::string> &readable)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0)
		return "";
	pid_t child = fork();
	if (child == 0) {
		close(ends[0]);
		confine(readable);
		std::string text = names_in(path, crypto);
		for (size_t at = 0; at < text.size();) {
			ssize_t n = write(ends[1], text.data() + at, text.size() - at);
			if (n <= 0)
				break;
			at += static_cast<size_t>(n);
		}
		_exit(0);
	}
	close(ends[1]);
	std::string text;
	char buffer[4096];
	for (ssize_t n; child > 0 && text.size() < kMostText;) {
		n = read(ends[0], buffer, sizeof buffer);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		text.append(buffer, static_cast<size_t>(n));
	}
	close(ends[0]);
	while (child > 0 && waitpid(child, nullptr, 0) < 0 && errno == EINTR)
		;
	return text;
}

// Beside the disk itself, whatever link leads to it, as the library looks for it.
std::string sidecar_of(const std::string &disk)
{
	char place[PATH_MAX];
	return (realpath(disk.c_str(), place) ? std::string(place) : disk) + VKCKPT_SIDECAR_SUFFIX;
}

bool is_regular(const std::string &path)
{
	struct stat facts;
	return stat(path.c_str(), &facts) == 0 && S_ISREG(facts.st_mode);
}

}  // namespace

Confinement confine_to_images(const std::vector<std::string> &images, const vkckpt_crypto *crypto, const std::vector<std::string> &others,
    std::vector<Folder> folders, Disks disks)
{
	std::vector<std::string> readable = others;
	auto allow = [&](const std::string &image) {
		readable.push_back(image);
		readable.push_back(image + ".sig");
	};
	for (const std::string &image : images)
		allow(image);
	std::vector<std::string> sidecars;
	for (std::string image : images)
		for (unsigned n = 0; n < kMostParents && is_regular(image); n++) {
			std::string text = ask_child(image, crypto, readable), parent;
			for (size_t at = 0, end; (end = text.find('\0', at)) != std::string::npos; at = end + 1) {
				std::string name = text.substr(at + 1, end - at - 1);
				if (text[at] == 'p' && begins_with(name, VKCKPT_MAGIC))	// it may name any file
					parent = name;
				else if (text[at] == 'd')
					sidecars.push_back(sidecar_of(name));
			}
			if (parent.empty() || std::find(readable.begin(), readable.end(), parent) != readable.end())
				break;
			allow(parent);
			image = parent;
		}
	readable.insert(readable.end(), sidecars.begin(), sidecars.end());
	if (!sidecars.empty())
		readable.push_back("/proc/sys/kernel/random/boot_id");		// whether a disk is the file that it was
	for (const std::string &sidecar : sidecars)
		if (disks == Disks::kRelease && is_regular(sidecar))
			folders.push_back({ folder_of(sidecar), Writing::kFiles });
	return confine(readable, folders);
}

Confinement confine_to_disk(const std::string &disk) { return confine({}, {{folder_of(sidecar_of(disk)), Writing::kFiles}}); }

}  // namespace tool
