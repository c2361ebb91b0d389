#include "bin/find.h"

#include "bin/command.h"
#include "bin/text.h"

namespace tool {

bool find_one(const char *word, const char *consequence, Entry *out)
{
	RunDirectory directory;
	std::string problem;
	if (!directory.open(&problem)) {
		refuse("%s", problem.c_str());
		return false;
	}
	std::vector<Entry> found = directory.find(word);
	if (found.size() == 1) {
		*out = std::move(found[0]);
		return true;
	}
	if (found.empty()) {
		refuse("%s: no running vkernel has this name or pid in %s (NOT_FOUND); %ssee `vkckpt list'", printable(word).c_str(),
		    printable(directory.path()).c_str(), consequence);
		return false;
	}
	std::string pids;
	for (const Entry &entry : found)
		pids += (pids.empty() ? "" : ", ") + std::to_string(entry.words.pid);
	refuse("%s: %zu vkernels have this name: pid %s (BAD_ARGUMENT); %sname one by its pid", printable(word).c_str(),
	    found.size(), pids.c_str(), consequence);
	return false;
}

}  // namespace tool
