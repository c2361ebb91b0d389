// See neighbours.h.
#include "bin/neighbours.h"
#include "bin/command.h"
#include "bin/text.h"

#include "vkernel-hooks/sodium/sodium.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace tool {

bool begins_with(const std::string &path, const char *magic)
{
	char bytes[8] = {};
	struct stat facts;
	int fd = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	bool found = fd >= 0 && fstat(fd, &facts) == 0 && S_ISREG(facts.st_mode) && pread(fd, bytes, sizeof bytes, 0) == sizeof bytes &&
	    memcmp(bytes, magic, sizeof bytes) == 0;
	if (fd >= 0)
		close(fd);
	return found;
}

std::string signature_beside(const std::string &image)
{
	std::string signature = image + ".sig";
	return begins_with(signature, VKCKPT_SODIUM_SIGNATURE_MAGIC) ? signature : "";
}

void tell_stale_signature(const std::string &image)
{
	if (const std::string signature = signature_beside(image); !signature.empty())
		warn_line("%s: is the signature of what was there before; sign the image anew (vkckpt sign)", printable(signature).c_str());
}

std::vector<std::string> images_beside(const std::string &image)
{
	std::vector<std::string> found;
	struct stat own{}, facts;
	const std::string folder = folder_of(image);
	DIR *dir = stat(image.c_str(), &own) == 0 ? opendir(folder.c_str()) : nullptr;
	if (!dir)
		return found;
	while (const dirent *file = readdir(dir)) {
		std::string path = folder + "/" + file->d_name;
		bool itself = stat(path.c_str(), &facts) == 0 && facts.st_dev == own.st_dev && facts.st_ino == own.st_ino;
		if (!itself && begins_with(path, VKCKPT_MAGIC))
			found.push_back(path);
	}
	closedir(dir);
	std::sort(found.begin(), found.end());
	return found;
}

std::string child_of(const ImageFile &image, const std::vector<std::string> &others, const vkckpt_crypto *crypto)
{
	for (const std::string &path : others) {
		vkckpt_f_header header;
		vkckpt_f_key unused;
		const int sealed = vkckpt_image_peek(path.c_str(), &header, &unused, nullptr);
		if (sealed < 0 || !(header.required_features & VKCKPT_FEATURE_INCREMENTAL))
			continue;
		ImageFile other;
		std::string problem;
		if (other.open(path.c_str(), &problem, sealed ? crypto : nullptr) && same(other.identity().parent_id, image.header().image_id))
			return path;
	}
	return "";
}

std::vector<std::string> unused_copies(const ImageFile &image, const std::string &path)
{
	std::vector<std::string> copies;
	char real[PATH_MAX];
	if (!realpath(folder_of(path).c_str(), real))
		return copies;
	for (const Device &device : image.devices()) {
		const std::string copy = device.string("fence_frozen"), end = "." + device.name + "-" + hex(image.header().image_id.bytes, 8);
		const bool named_so = copy.size() > end.size() && copy.compare(copy.size() - end.size(), end.size(), end) == 0;
		if (device.fenced && named_so && folder_of(copy) == real && image.disk(device).state == DiskState::kWaiting)
			copies.push_back(copy);
	}
	return copies;
}

}  // namespace tool
