// info: explains an image. The text is for someone who has not read vkckpt(5), the JSON for programs.
#include "bin/command.h"
#include "bin/cpu.h"
#include "bin/image_file.h"
#include "bin/image_summary.h"
#include "bin/json.h"
#include "bin/keys.h"
#include "bin/text.h"

#include <stdio.h>
#include <sys/stat.h>

namespace tool {
namespace {

void line(const char *label, const std::string &text)
{
	printf("  %-13s %s\n", label, text.c_str());
}

std::string disk_state_word(DiskState state)
{
	switch (state) {
	case DiskState::kWaiting: return "waiting";
	case DiskState::kByContent: return "by-content";
	case DiskState::kRamOnly: return "ram-only";
	case DiskState::kChanged: return "changed";
	case DiskState::kInUse: return "in-use";
	case DiskState::kIdle: return "idle";
	case DiskState::kOther: return "other-image";
	case DiskState::kMissing: return "missing";
	case DiskState::kNoSidecar: return "no-sidecar";
	case DiskState::kUnreadable: return "unreadable";
	}
	return "unknown";
}

const char *policy_word(uint32_t policy)
{
	return policy == VKCKPT_POLICY_DROP ? "drop" : policy == VKCKPT_POLICY_FAIL ? "fail" : "reopen";
}

const char *pagetable_word(uint32_t format)
{
	return format == VKCKPT_PT_DRAGONFLY ? "DragonFly vpte" : format == VKCKPT_PT_UML_X86_64 ? "User Mode Linux x86-64" :
	    "none";
}

std::string setting_text(const Setting &setting)
{
	if (setting.type == VKCKPT_VALUE_U64)
		return setting.key + "=" + std::to_string(setting.number);
	if (setting.type == VKCKPT_VALUE_STRING)
		return setting.key + "=" + setting.text;
	return setting.key + "=(" + human_size(setting.text.size()) + ")";
}

// What the library keeps to tell whether the disk is still the same; `Disks' says what follows from it.
bool is_fence(const Setting &setting) { return setting.key.rfind("fence_", 0) == 0; }

// What it needs to be thawed, and so what is to be kept with it.
void print_chain(const ImageFile &image)
{
	const vkckpt_f_identity &identity = image.identity();
	if (is_zero(identity.parent_id)) {
		line("Chain", "a full image, it needs no other");
		return;
	}
	std::vector<vkckpt_ancestor> chain;
	std::string problem;
	if (!image.chain(&chain, &problem)) {
		line("Chain", "needs " + printable(field(identity.parent_path)) + " (" + uuid_text(identity.parent_id) + ")");
		line("", "it cannot be thawed now: " + problem);
		return;
	}
	uint64_t bytes = 0;
	for (const vkckpt_ancestor &a : chain)
		bytes += a.file_bytes;
	line("Chain", "number " + std::to_string(chain.size() + 1) + " of its chain; keep with it, " + human_size(bytes) + " together:");
	for (const vkckpt_ancestor &a : chain)
		line("", printable(a.path) + ", " + human_size(a.file_bytes) + (is_zero(a.identity->parent_id) ? ", full" : ""));
	line("", "`vkckpt flatten' makes a full image of it, which needs none of them");
}

void print_what(const ImageFile &image)
{
	const vkckpt_f_identity &identity = image.identity();
	const vkckpt_f_host &host = image.host();
	char version[48];
	snprintf(version, sizeof version, "version %u.%u", image.header().version_major, image.header().version_minor);
	printf("Checkpoint of the vkernel %s\n", printable(field(identity.name)).c_str());
	line("Taken", human_time(host.realtime_ns) + (identity.action == VKCKPT_ACTION_EXIT ?
	    "; the vkernel ended with it (suspend)" : "; the vkernel ran on (checkpoint)"));
	line("On", printable(field(host.system)) + ", boot " + hex(host.boot_id, 4) + "...");
	line("Program", printable(field(identity.program)) + ", build " +
	    hex(identity.build_id, std::min<size_t>(identity.build_id_bytes, sizeof identity.build_id)) +
	    " (only this build can thaw it)");
	line("History", identity.thaw_count == 0 ? "never thawed before" :
	    "thawed " + human_count(identity.thaw_count) + (identity.thaw_count == 1 ? " time" : " times") + " before");
	line("File", human_size(vkckpt_image_file_bytes(image.get())) + ", format " + version + ", library " +
	    printable(field(identity.library)) + ", head and index are whole (`vkckpt verify' checks the rest)");
	print_chain(image);
	line("Image id", uuid_text(image.header().image_id));
	line("Vkernel id", uuid_text(identity.vkernel_id));
	line("Generation", uuid_text(identity.generation) + " (changes at every thaw)");
}

void print_cpu(const ImageFile &image)
{
	puts("\nProcessors");
	size_t count = image.vcpus().size();
	line("vCPUs", std::to_string(count ? count : image.identity().vcpu_count));
	std::string text, row;
	for (const std::string &name : cpu_feature_names(image.host())) {
		if (row.size() + name.size() > 90) {
			line(text.empty() ? "Needs" : "", row);
			text = "begun";
			row.clear();
		}
		row += (row.empty() ? "" : " ") + name;
	}
	if (!row.empty())
		line(text.empty() ? "Needs" : "", row);
	if (image.host().cpu_masked)
		line("Masked", "its guests are shown no more than these (--cpu-mask)");
	std::string lacking = cpu_lacking_here(image.host());
	line("This host", lacking.empty() ? "has all of these" : "cannot thaw it: it lacks " + lacking);
}

// "3 workers, LZ4 at level 1, 5 % of the time waiting for the disk or the reader"
std::string writers_text(const vkckpt_f_stats &stats)
{
	std::string text = std::to_string(stats.workers) + (stats.workers == 1 ? " worker" : " workers");
	if (stats.codec == VKCKPT_CODEC_RAW)
		text += ", raw";
	if (stats.levels)
		text += stats.levels == 6 ? ", LZ4 at levels 1 and 2" : stats.levels == 4 ? ", LZ4 at level 2" : ", LZ4 at level 1";
	if (stats.levels || stats.waited)
		text += ", " + std::to_string(stats.waited) + " % of the time waiting for the disk or the reader";
	return text;
}

void print_memory(const ImageFile &image)
{
	RamSummary ram = summarize(image);
	puts("\nMemory");
	for (uint32_t i = 0; i < image.header().segment_count; i++) {
		const vkckpt_f_segment &segment = image.header().segment[i];
		line(i ? "" : "RAM", human_size(segment.size_bytes) + " at " + address_text(segment.address));
	}
	for (const vkckpt_f_region &region : image.regions())
		line("Region", printable(field(region.name)) + ", " + human_size(region.size_bytes) + " at " +
		    address_text(region.address));
	std::string ratio = ram.ratio() > 0 ? ", " + ram.ratio_text() + " of their size" : "";
	line("Stored", human_size(ram.live_bytes) + " of frames in " + human_size(ram.stored_bytes) + ratio);
	if (image.stats().workers)
		line("Written by", writers_text(image.stats()));
	line("Left out", human_size(ram.zero_bytes) + " zero, " + human_size(ram.free_bytes) + " free, " +
	    human_size(ram.hole_bytes) + " never touched" +
	    (ram.secret_bytes ? ", " + human_size(ram.secret_bytes) + " secret" : ""));
	Table table({"CONTENT", ">FRAMES", ">SIZE", ">STORED", ">RATIO"}, "  ");
	for (const ClassSummary &entry : ram.classes)
		table.row({entry.name, human_count(entry.frames), human_size(entry.frames * VKCKPT_FRAME),
		    human_size(entry.stored_bytes), entry.ratio_text()});
	if (!table.empty())
		table.print();
}

void print_times(const ImageFile &image)
{
	const vkckpt_f_stats &s = image.stats();
	struct Part { const char *name; uint64_t ns; };
	auto text = [](std::initializer_list<Part> parts) {
		std::string out;
		for (const Part &part : parts)
			if (part.ns)
				out += (out.empty() ? "" : ", ") + std::string(part.name) + " " +
				    (part.ns == VKCKPT_TIME_STEP_NS ? "under " : "") + human_duration(part.ns);
		return out;
	};
	auto time = [&](unsigned t) { return vkckpt_stats_time_ns(&s, t); };
	uint64_t devices = time(VKCKPT_TIME_DEVICES), freeze = time(VKCKPT_TIME_FREEZE);
	uint64_t sync = s.quiesce_ns > devices + freeze ? s.quiesce_ns - devices - freeze : 0;
	puts("\nTimes");
	line("Checkpoint", text({{devices || freeze ? "sync" : "quiesce", sync}, {"freeze", freeze}, {"devices", devices}, {"walk", s.walk_ns},
	    {"write", s.write_ns}}) + "; then the commit");
	std::string thaw = text({{"load", time(VKCKPT_TIME_THAW_LOAD)}, {"vmspaces", time(VKCKPT_TIME_THAW_VMSPACES)},
	    {"devices", time(VKCKPT_TIME_THAW_DEVICES)}, {"tasks", time(VKCKPT_TIME_THAW_TASKS)}});
	if (!thaw.empty())
		line("Thaw before", thaw);
}

void print_devices(const ImageFile &image)
{
	std::vector<Device> devices = image.devices();
	if (devices.empty())
		return;
	puts("\nDevices");
	Table table({"DEVICE", "CLASS", "AT THAW", "CONFIGURATION"}, "  ");
	for (const Device &device : devices) {
		std::string settings;
		for (const Setting &setting : device.settings)
			if (!is_fence(setting))
				settings += (settings.empty() ? "" : " ") + setting_text(setting);
		table.row({device.name, device.device_class, policy_word(device.policy), settings});
	}
	table.print();
}

void print_spaces(const ImageFile &image)
{
	std::vector<Vmspace> spaces = image.vmspaces();
	uint64_t mapped = 0, modified = 0, tables = 0;
	std::string names;
	for (const Vmspace &space : spaces) {
		mapped += space.facts.frames_mapped * VKCKPT_FRAME;
		modified += space.facts.frames_modified * VKCKPT_FRAME;
		tables += space.facts.table_frames;
		std::string name = printable(field(space.facts.name));
		if (names.size() + name.size() < 70)
			names += (names.empty() ? "" : ", ") + name;
		else if (names.back() != '.')
			names += " ...";
	}
	puts("\nGuest processes");
	if (spaces.empty()) {
		line("", "none with an address space");
		return;
	}
	line("Spaces", human_count(spaces.size()) + " (" + names + "); `vkckpt vmspaces' lists them");
	line("Mapped", human_size(mapped) + ", of it modified " + human_size(modified) + "; " + human_count(tables) +
	    " page-table frames (" + pagetable_word(image.identity().pagetable_format) + ")");
}

void print_disks(const ImageFile &image)
{
	bool any = false;
	for (const Device &device : image.devices()) {
		if (!device.fenced)
			continue;
		if (!any)
			puts("\nDisks");
		any = true;
		line(printable(device.name).c_str(), image.disk(device).sentence);
	}
	if (!any)
		puts("\nNo writable disk: the image can be thawed any number of times.");
}

void print_text(const ImageFile &image)
{
	print_what(image);
	print_cpu(image);
	print_memory(image);
	print_times(image);
	print_devices(image);
	print_spaces(image);
	print_disks(image);
}

void json_chain(Json &json, const ImageFile &image)
{
	std::vector<vkckpt_ancestor> chain;
	std::string problem;
	if (!image.chain(&chain, &problem))
		json.string("chain_problem", problem);
	json.begin_array("chain");
	for (const vkckpt_ancestor &a : chain) {
		json.begin_object();
		json.string("path", a.path);
		json.string("image_id", uuid_text(a.header->image_id));
		json.number("file_bytes", a.file_bytes);
		json.boolean("full", is_zero(a.identity->parent_id));
		json.end_object();
	}
	json.end_array();
}

void json_what(Json &json, const ImageFile &image)
{
	const vkckpt_f_header &header = image.header();
	const vkckpt_f_identity &identity = image.identity();
	const vkckpt_f_host &host = image.host();
	json.number("version_major", header.version_major);
	json.number("version_minor", header.version_minor);
	json.number("file_bytes", vkckpt_image_file_bytes(image.get()));
	json.string("image_id", uuid_text(header.image_id));
	if (is_zero(identity.parent_id)) {
		json.null("parent_id");
	} else {
		json.string("parent_id", uuid_text(identity.parent_id));
		json.string("parent_path", field(identity.parent_path));
	}
	json_chain(json, image);
	json.string("vkernel_id", uuid_text(identity.vkernel_id));
	json.string("generation", uuid_text(identity.generation));
	json.string("name", field(identity.name));
	json.string("program", field(identity.program));
	json.string("build_id", hex(identity.build_id, std::min<size_t>(identity.build_id_bytes, sizeof identity.build_id)));
	json.string("layout", hex(identity.layout.bytes, sizeof identity.layout.bytes));
	json.string("library", field(identity.library));
	json.string("action", identity.action == VKCKPT_ACTION_EXIT ? "exit" : "continue");
	json.number("thaw_count", identity.thaw_count);
	json.string("pagetable_format", pagetable_word(identity.pagetable_format));
	json.string("created", iso_time(header.created_realtime_ns));
	json.begin_object("host");
	json.string("system", field(host.system));
	json.string("boot_id", hex(host.boot_id, sizeof host.boot_id));
	json.string("arch", header.arch == VKCKPT_ARCH_X86_64 ? "x86_64" : std::to_string(header.arch));
	json.number("page_bytes", host.page_bytes);
	json.number("realtime_ns", host.realtime_ns);
	json.number("monotonic_ns", host.monotonic_ns);
	json.string("xcr0", address_text(host.xcr0));
	json.number("xsave_bytes", host.xsave_bytes);
	json.boolean("cpu_masked", host.cpu_masked != 0);
	json.begin_array("cpu_features");
	for (const std::string &name : cpu_feature_names(host))
		json.string("", name);
	json.end_array();
	json.string("lacking_here", cpu_lacking_here(host));
	json.end_object();
}

void json_memory(Json &json, const ImageFile &image)
{
	const vkckpt_f_stats &stats = image.stats();
	RamSummary ram = summarize(image);
	json.begin_array("segments");
	for (uint32_t i = 0; i < image.header().segment_count; i++) {
		json.begin_object();
		json.string("address", address_text(image.header().segment[i].address));
		json.number("size_bytes", image.header().segment[i].size_bytes);
		json.end_object();
	}
	json.end_array();
	json.begin_array("regions");
	for (const vkckpt_f_region &region : image.regions()) {
		json.begin_object();
		json.string("name", field(region.name));
		json.string("address", address_text(region.address));
		json.number("size_bytes", region.size_bytes);
		json.end_object();
	}
	json.end_array();
	json.begin_object("statistics");
	json.number("frames_total", stats.frames_total);
	json.number("frames_stored", stats.frames_stored);
	json.number("frames_parent", stats.frames_parent);
	json.number("frames_zero", stats.frames_zero);
	json.number("frames_free", stats.frames_free);
	json.number("frames_secret", stats.frames_secret);
	json.number("frames_hole", stats.frames_hole);
	json.number("stored_bytes", stats.stored_bytes);
	json.real("ratio", ram.ratio());
	json.number("quiesce_ns", stats.quiesce_ns);
	json.number("walk_ns", stats.walk_ns);
	json.number("write_ns", stats.write_ns);
	json.number("devices_ns", vkckpt_stats_time_ns(&stats, VKCKPT_TIME_DEVICES));
	json.number("freeze_ns", vkckpt_stats_time_ns(&stats, VKCKPT_TIME_FREEZE));
	json.number("thaw_load_ns", vkckpt_stats_time_ns(&stats, VKCKPT_TIME_THAW_LOAD));
	json.number("thaw_vmspaces_ns", vkckpt_stats_time_ns(&stats, VKCKPT_TIME_THAW_VMSPACES));
	json.number("thaw_devices_ns", vkckpt_stats_time_ns(&stats, VKCKPT_TIME_THAW_DEVICES));
	json.number("thaw_tasks_ns", vkckpt_stats_time_ns(&stats, VKCKPT_TIME_THAW_TASKS));
	json.number("workers", stats.workers);
	json.string("codec", stats.codec == VKCKPT_CODEC_LZ4 ? "lz4" : stats.codec == VKCKPT_CODEC_RAW ? "raw" : "");
	json.begin_array("levels");
	for (unsigned level = 1; level < 8; level++)
		if (stats.levels >> level & 1)
			json.number("", level);
	json.end_array();
	json.number("waited_percent", stats.waited);
	json.begin_array("classes");
	for (const ClassSummary &entry : ram.classes) {
		json.begin_object();
		json.string("name", entry.name);
		json.number("frames", entry.frames);
		json.number("stored_bytes", entry.stored_bytes);
		json.end_object();
	}
	json.end_array();
	json.begin_array("codecs");
	for (const CodecSummary &entry : ram.codecs) {
		json.begin_object();
		json.string("name", entry.name);
		json.number("chunks", entry.chunks);
		json.number("frames", entry.frames);
		json.number("stored_bytes", entry.stored_bytes);
		json.end_object();
	}
	json.end_array();
	json.end_object();
}

void json_setting(Json &json, const Setting &setting)
{
	if (setting.type == VKCKPT_VALUE_U64)
		json.number(setting.key.c_str(), setting.number);
	else if (setting.type == VKCKPT_VALUE_STRING)
		json.string(setting.key.c_str(), setting.text);
	else
		json.string(setting.key.c_str(), hex(reinterpret_cast<const uint8_t *>(setting.text.data()), setting.text.size()));
}

void json_devices(Json &json, const ImageFile &image)
{
	json.begin_array("devices");
	for (const Device &device : image.devices()) {
		json.begin_object();
		json.string("name", device.name);
		json.string("class", device.device_class);
		json.number("version", device.version);
		json.string("policy", policy_word(device.policy));
		json.boolean("fenced", device.fenced);
		json.begin_object("configuration");
		for (const Setting &setting : device.settings)
			json_setting(json, setting);
		json.end_object();
		if (device.fenced) {
			DiskReport report = image.disk(device);
			json.string("disk_state", disk_state_word(report.state));
			json.string("disk_text", report.sentence);
		}
		json.end_object();
	}
	json.end_array();
}

void print_json(const ImageFile &image)
{
	Json json;
	json.begin_object();
	json_what(json, image);
	json.begin_array("vcpus");
	for (const vkckpt_f_vcpu &vcpu : image.vcpus()) {
		json.begin_object();
		json.number("number", vcpu.number);
		json.string("kind", vcpu.kind == VKCKPT_VCPU_CONTEXT ? "context" : "entry");
		json.end_object();
	}
	json.end_array();
	json_memory(json, image);
	json_devices(json, image);
	std::vector<Vmspace> spaces = image.vmspaces();
	uint64_t mapped = 0;
	for (const Vmspace &space : spaces)
		mapped += space.facts.frames_mapped;
	json.begin_object("vmspaces");
	json.number("count", spaces.size());
	json.number("frames_mapped", mapped);
	json.end_object();
	json.end_object();
	json.finish();
}

// What a sealed image shows to who has no key.
int print_sealed(const Arguments &arguments, const vkckpt_f_header &header, const vkckpt_f_key &key)
{
	struct stat facts{};
	if (stat(arguments.operands[0], &facts) != 0)
		facts.st_size = 0;
	if (arguments.json) {
		Json json;
		json.begin_object();
		json.boolean("sealed", true);
		json.string("sealed_with", key.kind == VKCKPT_KEY_BOX ? "public key" : key.kind == VKCKPT_KEY_PASSPHRASE ? "passphrase" : "raw key");
		if (key.kind == VKCKPT_KEY_BOX)
			json.string("public_key", hex(key.recipient, sizeof key.recipient));
		json.number("version_major", header.version_major);
		json.number("version_minor", header.version_minor);
		json.string("image_id", uuid_text(header.image_id));
		json.number("file_bytes", static_cast<uint64_t>(facts.st_size));
		json.end_object();
		json.finish();
		return finish_output(kYes);
	}
	char version[48];
	snprintf(version, sizeof version, "version %u.%u", header.version_major, header.version_minor);
	printf("A sealed checkpoint: what it holds is encrypted\n");
	line("Sealed with", sealed_with(key));
	line("File", human_size(static_cast<uint64_t>(facts.st_size)) + ", format " + version);
	line("Image id", uuid_text(header.image_id));
	line("More", key.kind == VKCKPT_KEY_PASSPHRASE ? "with --passphrase or --passphrase-fd N" : "with --key FILE");
	return finish_output(kYes);
}

int run_info(const Command &, const Arguments &arguments)
{
	ImageFile image;
	const Keys &keys = *arguments.keys;
	std::string problem;
	vkckpt_f_header header;
	vkckpt_f_key key;
	if (!keys.opens() && vkckpt_image_peek(arguments.operands[0], &header, &key, nullptr) == 1)
		return print_sealed(arguments, header, key);
	if (!image.open(arguments.operands[0], &problem, keys.table()))
		return refuse("%s", problem.c_str());
	if (arguments.json)
		print_json(image);
	else
		print_text(image);
	return finish_output(kYes);
}

}  // namespace

const Command kInfo = {
	"info", "[--json] [--key FILE | --passphrase | --passphrase-fd N] FILE", "explains an image: what, when, where, how large, and whether it can be thawed",
	"  -j, --json              everything, with exact numbers\n"
	"      --key FILE          of a sealed image: its secret or raw key (file or fd:N)\n"
	"      --passphrase        of one sealed with a passphrase: asked for on the terminal\n"
	"      --passphrase-fd N   or the first line of this descriptor\n"
	"Without a key a sealed image shows only how it was sealed.\n",
	"jk:pD:S:s:", 1, 1, run_info, Confine::kReading,
};

}  // namespace tool
