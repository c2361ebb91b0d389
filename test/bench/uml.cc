// User Mode Linux, by phase: where the time of its checkpoints and thaws goes, with little and with much RAM around the same live memory.
#include "test/bench/bench.h"

#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <sstream>

namespace bench {
namespace {

struct Phase {
	const char *word, *group, *name;
};
const Phase kPhases[] = {
	{"ready_ns", "User Mode Linux: thaw", "from the call until tasks may run"},
	{"thaw_load_ns", "User Mode Linux: thaw", "of it: RAM"},
	{"thaw_vmspaces_ns", "User Mode Linux: thaw", "of it: address spaces"},
	{"thaw_devices_ns", "User Mode Linux: thaw", "of it: devices"},
	{"thaw_tasks_ns", "User Mode Linux: thaw", "then: tasks let go"},
	{"freeze_ns", "User Mode Linux: checkpoint", "tasks frozen"},
	{"devices_ns", "User Mode Linux: checkpoint", "devices drained"},
	{"walk_ns", "User Mode Linux: checkpoint", "walk and plan"},
	{"write_ns", "User Mode Linux: checkpoint", "encode and write"},
};

}  // namespace

void uml_phases(Report &r, const std::string &dir, const Extent &extent)
{
	const std::string out = dir + "/uml", few = "256M", many = extent.quick ? "512M" : "1536M";
	if (access("build/uml/linux", X_OK) != 0) {
		r.notes.push_back("User Mode Linux is not built (make uml uml-guest)");
		return;
	}
	(void)timed({"sh", "test/bench/uml.sh", out, std::to_string(extent.runs), few, many});
	std::ifstream in(out);
	for (std::string line; std::getline(in, line);) {
		std::istringstream words(line);
		std::string size, word;
		double ns = 0;
		if (!(words >> size >> word >> ns))
			die("test/bench/uml.sh: " + line);
		for (const Phase &p : kPhases)
			if (word == p.word)
				r.add(p.group, std::string(p.name) + ", RAM " + size, ns * 1e-9);
	}
	unlink(out.c_str());
	const std::string whole = std::string(kPhases[0].name) + ", RAM ";
	r.compare(kPhases[0].group, whole + many, whole + few, 1.5);
}

}  // namespace bench
