#include "bin/command.h"
#include "bin/text.h"

#include <vkckpt/run.h>

namespace tool {

static int run_signals(const Command &, const Arguments &)
{
	Table table({"SIGNAL", ">NUMBER", "WHAT IT DOES"});
	table.row({"SIGCKPT", std::to_string(VKCKPT_SIGCKPT), "checkpoint; then exit or go on, as the vkernel was started"});
	table.row({"SIGCKPTEXIT", std::to_string(VKCKPT_SIGCKPTEXIT), "checkpoint, then exit with status 33: suspend"});
	table.row({"SIGTHAW", std::to_string(VKCKPT_SIGTHAW), "comes to a thawed vkernel that handles it"});
	table.print();
	return finish_output(kYes);
}

const Command kSignals = {
	"signals", "", "prints the numbers of the signals on this system",
	"A plain kill(1) with one of the first two works too, but cannot say whether it worked: `vkckpt suspend' can.\n",
	"", 0, 0, run_signals,
};

}  // namespace tool
