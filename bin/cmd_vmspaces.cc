#include "bin/command.h"
#include "bin/image_file.h"
#include "bin/json.h"
#include "bin/keys.h"
#include "bin/text.h"

#include <stdio.h>

namespace tool {

static std::string frames(uint64_t count) { return human_size(count * VKCKPT_FRAME); }

static std::string rights(uint32_t prot)
{
	return {prot & 1 ? 'r' : '-', prot & 2 ? 'w' : '-', prot & 4 ? 'x' : '-'};
}

static void print_json(const ImageFile &image)
{
	Json json;
	json.begin_array();
	for (const Vmspace &space : image.vmspaces()) {
		const vkckpt_f_vmspace &facts = space.facts;
		json.begin_object();
		json.signed_number("pid", facts.pid);
		json.string("name", field(facts.name));
		json.number("id", facts.id);
		json.number("mapped_bytes", facts.frames_mapped * VKCKPT_FRAME);
		json.number("accessed_bytes", facts.frames_accessed * VKCKPT_FRAME);
		json.number("modified_bytes", facts.frames_modified * VKCKPT_FRAME);
		json.number("writable_bytes", facts.frames_writable * VKCKPT_FRAME);
		json.number("executable_bytes", facts.frames_executable * VKCKPT_FRAME);
		json.number("table_frames", facts.table_frames);
		json.number("bad_entries", facts.bad_entries);
		json.begin_array("mappings");
		for (const vkckpt_f_mapping &mapping : space.mappings) {
			json.begin_object();
			json.string("address", address_text(mapping.address));
			json.number("size_bytes", mapping.size_bytes);
			json.number("offset", mapping.offset);
			json.string("root", address_text(mapping.root));
			json.number("segment", mapping.segment);
			json.string("rights", rights(mapping.prot));
			json.end_object();
		}
		json.end_array();
		json.end_object();
	}
	json.end_array();
	json.finish();
}

static void print_table(const ImageFile &image)
{
	std::vector<Vmspace> spaces = image.vmspaces();
	if (spaces.empty()) {
		puts("the image holds no address spaces");
		return;
	}
	Table table({">PID", "NAME", ">MAPPED", ">ACCESSED", ">MODIFIED", ">WRITABLE", ">EXECUTABLE", ">TABLE FRAMES"});
	uint64_t bad = 0, mapped = 0, tables = 0;
	for (const Vmspace &space : spaces) {
		const vkckpt_f_vmspace &facts = space.facts;
		table.row({facts.pid < 0 ? "-" : std::to_string(facts.pid), field(facts.name), frames(facts.frames_mapped),
		    frames(facts.frames_accessed), frames(facts.frames_modified), frames(facts.frames_writable),
		    frames(facts.frames_executable), human_count(facts.table_frames)});
		bad += facts.bad_entries;
		mapped += facts.frames_mapped;
		tables += facts.table_frames;
	}
	table.print();
	printf("%zu address spaces map %s with %s page-table frames; memory that several share is counted in each\n",
	    spaces.size(), frames(mapped).c_str(), human_count(tables).c_str());
	if (bad)
		printf("%s page-table entries point outside RAM or in circles: the guest's own tables are damaged\n",
		    human_count(bad).c_str());
}

static int run_vmspaces(const Command &, const Arguments &arguments)
{
	ImageFile image;
	std::string problem;
	if (!image.open(arguments.operands[0], &problem, arguments.keys->table()))
		return refuse("%s", problem.c_str());
	if (arguments.json)
		print_json(image);
	else
		print_table(image);
	return finish_output(kYes);
}

const Command kVmspaces = {
	"vmspaces", "[--json] [--key FILE | --passphrase | --passphrase-fd N] FILE", "lists the guest processes in an image and their address spaces",
	"MAPPED is what the guest's page tables map; ACCESSED and MODIFIED what of it carries these marks.\n"
	"  -j, --json   with every mapping and its page-table root\n",
	"jk:pD:S:s:", 1, 1, run_vmspaces, Confine::kReading,
};

}  // namespace tool
