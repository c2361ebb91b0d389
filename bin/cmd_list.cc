#include "bin/command.h"
#include "bin/json.h"
#include "bin/rundir.h"
#include "bin/text.h"

#include <vkckpt/error.h>

#include <stdio.h>

#include <sstream>

namespace tool {

static std::string state_of(const Entry &entry)
{
	std::string state = phase_name(entry.words.phase);
	if (entry.words.phase == VKCKPT_PHASE_WRITE && entry.words.bytes_total > 0)
		state += " " + std::to_string(static_cast<unsigned>(100.0 * static_cast<double>(entry.words.bytes_done) /
		    static_cast<double>(entry.words.bytes_total))) + "%";
	return state;
}

static std::string warning_of(const Entry &entry)
{
	uint32_t reason = entry.words.warning_reason;
	if (reason == VKCKPT_R_NONE)
		return "";
	return std::string(vkckpt_reason_text(reason)) + " (" + vkckpt_reason_name(reason) + "); " +
	    vkckpt_reason_remedy(reason);
}

static std::string chain_of(const Entry &entry)
{
	if (entry.words.chain_limit == 0)
		return "";
	return std::to_string(entry.words.chain_length) + " of " + std::to_string(entry.words.chain_limit);
}

// The image that was written last, or that a suspend would write.
static std::string image_of(const Entry &entry)
{
	std::string last = field(entry.words.last_image);
	return last.empty() ? entry.image() : last;
}

static void print_table(const std::vector<Entry> &entries)
{
	Table table({"NAME", ">PID", "PROGRAM", ">RAM", "STATE", "CHAIN", "IMAGE"});
	for (const Entry &entry : entries)
		table.row({entry.name(), std::to_string(entry.words.pid), entry.program(), human_size(entry.words.ram_bytes),
		    state_of(entry), chain_of(entry), entry.image().empty() ? "(a descriptor)" : image_of(entry)});
	table.print();
	for (const Entry &entry : entries)
		if (std::string warning = warning_of(entry); !warning.empty())
			printf("warning: %s: %s\n", entry.label().c_str(), warning.c_str());
}

static void print_json(const std::vector<Entry> &entries)
{
	Json json;
	json.begin_array();
	for (const Entry &entry : entries) {
		const vkckpt_run_entry &words = entry.words;
		json.begin_object();
		json.string("name", entry.name());
		json.number("pid", words.pid);
		json.number("start_time", words.start_time);
		json.string("program", entry.program());
		json.number("ram_bytes", words.ram_bytes);
		json.number("estimate_bytes", words.estimate_bytes);
		json.string("state", phase_name(words.phase));
		json.number("bytes_done", words.bytes_done);
		json.number("bytes_total", words.bytes_total);
		json.string("on_ckpt", words.on_ckpt == VKCKPT_ACTION_CONTINUE ? "continue" : "exit");
		if (entry.image().empty())
			json.null("image");
		else
			json.string("image", entry.image());
		if (words.last_image[0] == '\0')
			json.null("last_image");
		else
			json.string("last_image", field(words.last_image));
		json.number("chain_length", words.chain_length);
		json.number("chain_limit", words.chain_limit);
		if (words.warning_reason == VKCKPT_R_NONE)
			json.null("warning");
		else
			json.string("warning", vkckpt_reason_name(words.warning_reason));
		json.begin_object("last_request");
		json.number("count", words.done_count);
		json.number("id", words.done_id);
		json.string("result", words.result_reason ? vkckpt_reason_name(words.result_reason) :
		    words.done_count ? "committed" : "none");
		json.signed_number("errno", words.result_code);
		json.string("message", words.result_reason ? field(words.message) : "");
		json.end_object();
		json.end_object();
	}
	json.end_array();
	json.finish();
}

// One field for scripts; false: there is none of that name.
static bool field_of(const Entry &entry, const std::string &name, std::string *out)
{
	const vkckpt_run_entry &words = entry.words;
	if (name == "name") *out = entry.name();
	else if (name == "pid") *out = std::to_string(words.pid);
	else if (name == "program") *out = entry.program();
	else if (name == "ram") *out = std::to_string(words.ram_bytes);
	else if (name == "estimate") *out = std::to_string(words.estimate_bytes);
	else if (name == "state") *out = phase_name(words.phase);
	else if (name == "image") *out = entry.image();
	else if (name == "last") *out = field(words.last_image);
	else if (name == "chain") *out = std::to_string(words.chain_length);
	else if (name == "warning") *out = words.warning_reason ? vkckpt_reason_name(words.warning_reason) : "";
	else return false;
	*out = printable(*out);
	return true;
}

// Lines of tab-separated fields without heading.
static int print_fields(const Command &command, const std::string &fields, const std::vector<Entry> &entries)
{
	std::vector<std::string> names;
	if (fields.empty() || fields.back() == ',')
		return misuse(command, "list: -o '%s': a field has no name", printable(fields).c_str());
	std::stringstream list(fields);
	for (std::string name; std::getline(list, name, ',');)
		names.push_back(name);
	const Entry blank{{}, Fd(), {}};
	for (const std::string &name : names)
		if (std::string unused; !field_of(blank, name, &unused))
			return misuse(command, "list: -o %s: there is no field of this name", printable(name).c_str());
	for (const Entry &entry : entries)
		for (size_t i = 0; i < names.size(); i++) {
			std::string value;
			field_of(entry, names[i], &value);
			printf("%s%s", value.c_str(), i + 1 < names.size() ? "\t" : "\n");
		}
	return kYes;
}

static int run_list(const Command &command, const Arguments &arguments)
{
	if (arguments.json && arguments.output)
		return misuse(command, "list: --json or -o, only one of the two; the JSON has every field");
	RunDirectory directory;
	std::string problem;
	if (!directory.open(&problem))
		return refuse("%s", problem.c_str());
	bool all = arguments.operands.empty();
	std::vector<Entry> entries = all ? directory.entries() : directory.find(arguments.operands[0]);
	int status = kYes;
	if (arguments.json)
		print_json(entries);
	else if (arguments.output)
		status = print_fields(command, arguments.output, entries);
	else if (!entries.empty())
		print_table(entries);
	else if (all)
		printf("no vkernel is running (run directory %s)\n", printable(directory.path()).c_str());
	if (status == kYes && !all && entries.empty())
		return refuse("%s: no running vkernel has this name or pid in %s (NOT_FOUND); see `vkckpt list'",
		    printable(arguments.operands[0]).c_str(), printable(directory.path()).c_str());
	return finish_output(status);
}

const Command kList = {
	"list", "[--json | -o field,...] [NAME|PID]", "lists the running vkernels",
	"  -j, --json         everything, with exact numbers\n"
	"  -o, --output=...   tab-separated fields, one vkernel per line, no heading:\n"
	"                     name pid program ram estimate state image last chain warning\n",
	"jo:", 0, 1, run_list,
};

}  // namespace tool
