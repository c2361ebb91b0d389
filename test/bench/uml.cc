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
constexpr char kEager[] = "User Mode Linux: thaw", kLazy[] = "User Mode Linux: thaw, lazy", kCheckpoint[] = "User Mode Linux: checkpoint";
constexpr char kAll[] = "from exec until tasks run";
const Phase kPhases[] = {
	{"eager.all", kEager, kAll},
	{"eager.load", kEager, "of it: exec and RAM"},
	{"eager.vmspaces", kEager, "of it: address spaces"},
	{"eager.devices", kEager, "of it: devices"},
	{"eager.tasks", kEager, "of it: tasks let go"},
	{"lazy.all", kLazy, kAll},
	{"lazy.load", kLazy, "of it: exec and the hot part of RAM"},
	{"lazy.vmspaces", kLazy, "of it: address spaces"},
	{"lazy.devices", kLazy, "of it: devices"},
	{"lazy.tasks", kLazy, "of it: tasks let go"},
	{"freeze", kCheckpoint, "tasks frozen"},
	{"devices", kCheckpoint, "devices drained"},
	{"walk", kCheckpoint, "walk and plan"},
	{"write", kCheckpoint, "encode and write"},
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
	bool lazily = false;
	for (std::string line; std::getline(in, line);) {
		std::istringstream words(line);
		std::string size, word;
		double ns = 0;
		if (!(words >> size >> word >> ns))
			die("test/bench/uml.sh: " + line);
		lazily |= word == "lazy.all";
		for (const Phase &p : kPhases)
			if (word == p.word)
				r.add(p.group, std::string(p.name) + ", RAM " + size, ns * 1e-9);
	}
	unlink(out.c_str());
	const std::string whole = std::string(kAll) + ", RAM ";
	r.compare(kEager, whole + many, whole + few);
	if (lazily)
		r.compare(kLazy, whole + many, whole + few, 1.5);
	else
		r.notes.push_back("User Mode Linux, lazy: this host gives this user no userfaultfd");
}

}  // namespace bench
