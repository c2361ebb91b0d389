// An image opened for looking into: the library's reader with C++ handles, and what its disks say today.
#ifndef VKCKPT_BIN_IMAGE_FILE_H
#define VKCKPT_BIN_IMAGE_FILE_H

#include <vkckpt/disk.h>
#include <vkckpt/image.h>

#include <string>
#include <vector>

namespace tool {

struct Setting {
	std::string key;
	uint32_t type;		// enum vkckpt_value_type
	uint64_t number;
	std::string text;	// strings and bytes
};
struct Device {
	std::string device_class, name;
	uint32_t version, policy;
	bool fenced;		// a writable disk
	std::vector<Setting> settings;
	const vkckpt_source *source;	// the same, as the library takes it; valid as long as the image is open
	std::string path() const;	// of the file that a thaw uses (a frozen copy, if there is one), "" unknown
	std::string string(const char *key) const;
	uint64_t number(const char *key) const;
};
struct Vmspace {
	vkckpt_f_vmspace facts;
	std::vector<vkckpt_f_mapping> mappings;
};

// What a disk's sidecar says about the image at hand.
enum class DiskState {
	kWaiting,	// suspended by this image: it can be thawed
	kByContent,	// likewise, if its content is what the image's digest says
	kRamOnly,	// the image has nothing of it, and does not ask
	kChanged,	// suspended by this image, but the disk is no longer what it was
	kInUse,		// a vkernel runs on it, or ran on it after the image
	kIdle,		// nobody needs it suspended
	kOther,		// suspended by another image
	kMissing,	// no such file
	kNoSidecar, kUnreadable,
};
struct DiskReport {
	DiskState state;
	std::string sentence;
	vkckpt_f_sidecar sidecar;	// zeros if there is none
};

// The library's sentence; it begins with the file's name even where the library has only seen a descriptor.
std::string sentence_of(const std::string &path, const vkckpt_error &);

// What failed is the file that is made of an image, not the image.
bool failed_writing(const vkckpt_error &);

class ImageFile {
public:
	ImageFile() = default;
	ImageFile(const ImageFile &) = delete;
	ImageFile &operator=(const ImageFile &) = delete;
	~ImageFile();
	// crypto: what a sealed image is opened with; null: nothing.
	bool open(const char *path, std::string *problem, const vkckpt_crypto *crypto = nullptr);

	const vkckpt_image *get() const { return image_; }
	const vkckpt_f_header &header() const { return *vkckpt_image_header(image_); }
	const vkckpt_f_host &host() const { return *vkckpt_image_host(image_); }
	const vkckpt_f_identity &identity() const { return *vkckpt_image_identity(image_); }
	const vkckpt_f_stats &stats() const { return *vkckpt_image_stats(image_); }
	std::vector<Device> devices() const;
	std::vector<Vmspace> vmspaces() const;
	std::vector<vkckpt_f_region> regions() const;
	std::vector<vkckpt_f_vcpu> vcpus() const;
	DiskReport disk(const Device &) const;
	// The images that it is built on, its parent first; false with why they are not whole.
	bool chain(std::vector<vkckpt_ancestor> *out, std::string *problem) const;

private:
	bool one_waits() const;		// of its disks
	vkckpt_image *image_ = nullptr;
};

}  // namespace tool
#endif
