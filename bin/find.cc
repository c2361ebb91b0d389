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
	std::string labels;
	for (const Entry &entry : found)
		labels += (labels.empty() ? "" : ", ") + entry.label();
	refuse("%s: %zu vkernels have this name or pid: %s (BAD_ARGUMENT); %sname one by what only it has", printable(word).c_str(),
	    found.size(), labels.c_str(), consequence);
	return false;
}

}  // namespace tool
