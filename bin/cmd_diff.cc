#include "bin/command.h"
#include "bin/image_diff.h"
#include "bin/json.h"
#include "bin/keys.h"
#include "bin/text.h"

#include <stdio.h>

#include <algorithm>

namespace tool {

static std::string frames(uint64_t count) { return count ? human_size(count * VKCKPT_FRAME) : "-"; }

// How the second image came about, as far as the two tell.
static std::string relation(const ImageFile &first, const ImageFile &second)
{
	const vkckpt_f_identity &a = first.identity(), &b = second.identity();
	if (same(a.image_id, b.image_id))
		return "the same image";
	if (!same(a.vkernel_id, b.vkernel_id))
		return "images of different vkernels";
	if (same(b.parent_id, a.image_id))
		return "the second is built on the first";
	return same(a.generation, b.generation) ? "two moments of one run" : "two runs of one vkernel";
}

static const char *fate(const ProcessDiff &process)
{
	return process.in_first && process.in_second ? "" : process.in_second ? "new" : "ended";
}

static uint64_t ram_bytes(const ImageFile &image)
{
	uint64_t bytes = 0;
	for (uint32_t i = 0; i < image.header().segment_count; i++)
		bytes += image.header().segment[i].size_bytes;
	return bytes;
}

static void numbers(Json &json, const Differing &d)
{
	json.number("changed_bytes", d.changed * VKCKPT_FRAME);
	json.number("added_bytes", d.added * VKCKPT_FRAME);
	json.number("gone_bytes", d.gone * VKCKPT_FRAME);
}

static void print_json(const ImageFile &first, const ImageFile &second, const ImageDiff &diff)
{
	Json json;
	json.begin_object();
	json.string("relation", relation(first, second));
	json.number("first_ram_bytes", ram_bytes(first));
	json.number("second_ram_bytes", ram_bytes(second));
	json.number("same_bytes", diff.same * VKCKPT_FRAME);
	numbers(json, diff.all);
	json.begin_array("classes");
	for (const ClassDiff &c : diff.classes) {
		json.begin_object();
		json.string("name", c.name);
		numbers(json, c.frames);
		json.end_object();
	}
	json.end_array();
	json.begin_array("processes");
	for (const ProcessDiff &process : diff.processes) {
		json.begin_object();
		json.signed_number("pid", process.pid);
		json.string("name", process.name);
		json.boolean("in_first", process.in_first);
		json.boolean("in_second", process.in_second);
		numbers(json, process.frames);
		json.end_object();
	}
	json.end_array();
	json.begin_object("shared");
	numbers(json, diff.shared);
	json.end_object();
	json.begin_object("unowned");
	numbers(json, diff.unowned);
	json.end_object();
	json.end_object();
	json.finish();
}

static std::vector<std::string> row(const std::string &pid, const std::string &name, const Differing &d, const char *note)
{
	return {pid, name, frames(d.changed), frames(d.added), frames(d.gone), note};
}

static void print_text(const ImageFile &first, const ImageFile &second, const ImageDiff &diff)
{
	printf("%s, taken %s and %s\n", relation(first, second).c_str(), human_time(first.host().realtime_ns).c_str(),
	    human_time(second.host().realtime_ns).c_str());
	if (ram_bytes(first) != ram_bytes(second))
		printf("RAM of %s and of %s\n", human_size(ram_bytes(first)).c_str(), human_size(ram_bytes(second)).c_str());
	if (diff.all.all() == 0)
		printf("no difference in RAM\n");
	else
		printf("%s changed, %s new, %s gone, %s the same\n", frames(diff.all.changed).c_str(), frames(diff.all.added).c_str(),
		    frames(diff.all.gone).c_str(), frames(diff.same).c_str());
	Table classes({"CONTENT", ">CHANGED", ">NEW", ">GONE"});
	for (const ClassDiff &c : diff.classes)
		classes.row({c.name, frames(c.frames.changed), frames(c.frames.added), frames(c.frames.gone)});
	if (!classes.empty()) {
		putchar('\n');
		classes.print();
	}
	std::vector<ProcessDiff> processes = diff.processes;
	std::stable_sort(processes.begin(), processes.end(), [](const ProcessDiff &a, const ProcessDiff &b) { return a.frames.all() > b.frames.all(); });
	Table table({">PID", "NAME", ">CHANGED", ">NEW", ">GONE", ""});
	for (const ProcessDiff &process : processes)
		if (process.frames.all() || *fate(process))
			table.row(row(process.pid < 0 ? "-" : std::to_string(process.pid), process.name, process.frames, fate(process)));
	if (diff.shared.all())
		table.row(row("-", "(several processes)", diff.shared, ""));
	if (diff.unowned.all())
		table.row(row("-", "(no process)", diff.unowned, ""));
	if (!table.empty()) {
		putchar('\n');
		table.print();
	}
}

static int run_diff(const Command &, const Arguments &arguments)
{
	ImageFile image[2];
	const Keys &keys = *arguments.keys;
	std::string problem;
	for (size_t i = 0; i < 2; i++)
		if (!image[i].open(arguments.operands[i], &problem, keys.table()))
			return refuse("%s", problem.c_str());
	ImageDiff diff;
	if (!diff_images(image[0], image[1], &diff, &problem))
		return refuse("%s", problem.c_str());
	if (arguments.json)
		print_json(image[0], image[1], diff);
	else
		print_text(image[0], image[1], diff);
	return finish_output(kYes);
}

const Command kDiff = {
	"diff", "[--json] [--key FILE | --passphrase | --passphrase-fd N] FILE FILE2", "says what differs between two images, by process and class",
	"Memory is compared by content, frame by frame; images of a chain are read with those they are built on.\n"
	"A frame belongs to the process whose page tables map it. Status 0 also where they differ.\n"
	"  -j, --json   in bytes\n",
	"jk:pD:S:s:", 2, 2, run_diff, Confine::kReading,
};

}  // namespace tool
