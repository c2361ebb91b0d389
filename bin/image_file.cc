#include "bin/image_file.h"
#include "bin/text.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

namespace tool {

ImageFile::~ImageFile()
{
	if (image_)
		vkckpt_image_close(image_);
}

bool ImageFile::open(const char *path, std::string *problem, const vkckpt_crypto *crypto)
{
	vkckpt_error error{};
	if (vkckpt_image_open_with(path, crypto, &image_, &error) == 0)
		return true;
	image_ = nullptr;
	*problem = sentence_of(path, error);
	return false;
}

std::string sentence_of(const std::string &path, const vkckpt_error &error)
{
	std::string message = field(error.message);
	return printable(message.find(path) == std::string::npos ? path + ": " + message : message);
}

bool failed_writing(const vkckpt_error &error) { return strcmp(error.where, "write") == 0; }

// Copies the fixed head of each record of a type and hands over the rest. A record of a newer version may be longer; the
// reader has refused shorter ones.
template <class Head, class Take> static void each_record(const vkckpt_image *image, uint32_t type, Take take)
{
	size_t bytes = 0;
	for (size_t i = 0; const void *payload = vkckpt_image_record(image, type, i, &bytes); i++) {
		if (bytes < sizeof(Head))
			continue;
		Head head;
		memcpy(&head, payload, sizeof head);
		take(i, head, static_cast<const char *>(payload) + sizeof head, bytes - sizeof head);
	}
}

static std::vector<Setting> settings_of(const vkckpt_source *source)
{
	std::vector<Setting> settings;
	const char *key;
	const void *value;
	uint32_t type;
	size_t bytes;
	for (size_t k = 0; source && vkckpt_source_entry(source, k, &key, &type, &value, &bytes) == 1; k++) {
		Setting setting{key, type, 0, ""};
		if (type == VKCKPT_VALUE_U64 && bytes == sizeof setting.number)
			memcpy(&setting.number, value, sizeof setting.number);
		else if (type == VKCKPT_VALUE_STRING)
			setting.text = field(static_cast<const char *>(value), bytes);
		else
			setting.text.assign(static_cast<const char *>(value), bytes);
		settings.push_back(std::move(setting));
	}
	return settings;
}

std::vector<Device> ImageFile::devices() const
{
	std::vector<Device> out;
	each_record<vkckpt_f_device>(image_, VKCKPT_REC_DEVICE, [&](size_t i, const vkckpt_f_device &head, const char *, size_t) {
		out.push_back({field(head.device_class), field(head.name), head.version, head.policy, (head.flags & 1) != 0,
		    settings_of(vkckpt_image_device(image_, i)), vkckpt_image_device(image_, i)});
	});
	return out;
}

std::vector<Vmspace> ImageFile::vmspaces() const
{
	std::vector<Vmspace> out;
	auto take = [&](size_t, const vkckpt_f_vmspace &head, const char *rest, size_t bytes) {
		Vmspace space{head, {}};
		size_t count = std::min<size_t>(head.mapping_count, bytes / sizeof(vkckpt_f_mapping));
		space.mappings.resize(count);
		if (count)
			memcpy(space.mappings.data(), rest, count * sizeof(vkckpt_f_mapping));
		out.push_back(std::move(space));
	};
	each_record<vkckpt_f_vmspace>(image_, VKCKPT_REC_VMSPACE, take);
	return out;
}

std::vector<vkckpt_f_region> ImageFile::regions() const
{
	std::vector<vkckpt_f_region> out;
	auto take = [&](size_t, const vkckpt_f_region &head, const char *, size_t) { out.push_back(head); };
	each_record<vkckpt_f_region>(image_, VKCKPT_REC_REGION, take);
	return out;
}

std::vector<vkckpt_f_vcpu> ImageFile::vcpus() const
{
	std::vector<vkckpt_f_vcpu> out;
	auto take = [&](size_t, const vkckpt_f_vcpu &head, const char *, size_t) { out.push_back(head); };
	each_record<vkckpt_f_vcpu>(image_, VKCKPT_REC_VCPU, take);
	return out;
}

bool ImageFile::chain(std::vector<vkckpt_ancestor> *out, std::string *problem) const
{
	vkckpt_error error{};
	if (vkckpt_image_chain(image_, nullptr, &error) < 0) {
		*problem = printable(field(error.message));
		return false;
	}
	vkckpt_ancestor ancestor;
	for (unsigned i = 0; vkckpt_image_ancestor(image_, i, &ancestor) == 1; i++)
		out->push_back(ancestor);
	return true;
}

std::string Device::string(const char *key) const
{
	for (const Setting &setting : settings)
		if (setting.key == key && setting.type == VKCKPT_VALUE_STRING)
			return setting.text;
	return "";
}

uint64_t Device::number(const char *key) const
{
	for (const Setting &setting : settings)
		if (setting.key == key && setting.type == VKCKPT_VALUE_U64)
			return setting.number;
	return 0;
}

std::string Device::path() const
{
	const std::string frozen = string("fence_frozen");
	return frozen.empty() ? string("path") : frozen;
}

// What a refusal of the library's rule means for the image.
static void explain(const std::string &path, const vkckpt_error &error, DiskReport *report)
{
	const std::string holder = "a vkernel (pid " + std::to_string(report->sidecar.holder_pid) + ")";
	const bool running = report->sidecar.state == VKCKPT_DISK_RUNNING, suspended = report->sidecar.state == VKCKPT_DISK_SUSPENDED;
	switch (error.reason) {
	case VKCKPT_R_DISK_MISSING:
		report->state = DiskState::kNoSidecar;
		report->sentence = "has no sidecar " + printable(path) + VKCKPT_SIDECAR_SUFFIX + ": nothing says that it is still as it was";
		return;
	case VKCKPT_R_DISK_IN_USE:
		report->state = DiskState::kInUse;
		report->sentence = holder + " has it in use";
		return;
	case VKCKPT_R_DISK_SUSPENDED:
	case VKCKPT_R_DISK_SUPERSEDED:
		report->state = suspended ? DiskState::kOther : running ? DiskState::kInUse : DiskState::kIdle;
		report->sentence = suspended ? "is suspended by another image (" + printable(field(report->sidecar.image_path)) + ")" :
		    running ? holder + " has run on it since: this image is spent" : "was used or discarded since: this image is spent";
		return;
	case VKCKPT_R_DISK_CHANGED:
		report->state = DiskState::kChanged;
		report->sentence = "was changed since the checkpoint (DISK_CHANGED): the thaw will be refused";
		return;
	}
	report->state = DiskState::kUnreadable;
	report->sentence = sentence_of(path, error);
}

// A thaw of the image has gone so far. Whether its guest ran is known by the other disks: it did if none waits any more.
static bool taken(const Device &device, const vkckpt_f_sidecar &now)
{
	return now.state == VKCKPT_DISK_RUNNING && now.epoch > device.number("fence_epoch");
}

bool ImageFile::one_waits() const
{
	for (const Device &device : devices()) {
		vkckpt_f_sidecar now;
		if (device.fenced && vkckpt_disk_fits(device.path().c_str(), device.source, &now, nullptr) >= 0 && !taken(device, now))
			return true;
	}
	return false;
}

DiskReport ImageFile::disk(const Device &device) const
{
	DiskReport report{DiskState::kMissing, "", {}};
	const std::string path = device.path();
	struct stat facts;
	if (path.empty()) {
		report.sentence = "its configuration names no file";
		return report;
	}
	if (stat(path.c_str(), &facts) != 0) {
		report.sentence = printable(path) + " is not here (" + strerror(errno) + "); thaw where it is, or name its place with -o " +
		    printable(device.name) + ".path=FILE";
		return report;
	}
	vkckpt_error error{};
	const int result = vkckpt_disk_fits(path.c_str(), device.source, &report.sidecar, &error);
	if (result < 0) {
		explain(path, error, &report);
	} else if (device.number("fence_ram_only") != 0) {
		report.state = DiskState::kRamOnly;
		report.sentence = "is not part of this image (--ram-only): it can be thawed when you have put the disk back as it was then";
	} else if (taken(device, report.sidecar) && !one_waits()) {
		error.reason = VKCKPT_R_DISK_SUPERSEDED;
		explain(path, error, &report);
	} else if (result == 1) {
		report.state = DiskState::kByContent;
		report.sentence = "was moved, copied or touched since: it can be thawed if its content is still that of the image's digest";
	} else {
		report.state = DiskState::kWaiting;
		report.sentence = !device.string("fence_frozen").empty() ? "a copy was frozen with this image, " + printable(path) +
		    ": it can be thawed, and will run on that copy" : report.sidecar.state == VKCKPT_DISK_SUSPENDED ?
		    "is suspended by this image: it can be thawed" :
		    "a vkernel died on it as it changed hands, and nobody has run on it since: it can be thawed";
	}
	return report;
}

}  // namespace tool
