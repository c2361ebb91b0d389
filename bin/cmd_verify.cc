#include "bin/command.h"
#include "bin/image_file.h"
#include "bin/keys.h"
#include "bin/progress.h"
#include "bin/text.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tool {

namespace {
struct Reading {
	Progress progress;
	uint64_t bytes, total;
};
}  // namespace

static void on_progress(void *argument, uint64_t bytes)
{
	Reading *reading = static_cast<Reading *>(argument);
	reading->bytes = bytes;
	reading->progress.show("verifying", bytes, reading->total);
}

static int run_verify(const Command &, const Arguments &arguments)
{
	std::string path = arguments.operands[0];
	bool is_stdin = path == "-";
	std::string label = is_stdin ? "standard input" : printable(path);
	struct stat facts{};
	if ((is_stdin ? fstat(STDIN_FILENO, &facts) : stat(path.c_str(), &facts)) != 0 || !S_ISREG(facts.st_mode))
		facts.st_size = 0;
	const Keys &keys = *arguments.keys;
	Reading reading{Progress(label), 0, static_cast<uint64_t>(facts.st_size)};
	vkckpt_error error{};
	int result = vkckpt_image_verify_with(is_stdin ? nullptr : path.c_str(), is_stdin ? STDIN_FILENO : -1, keys.table(), on_progress,
	    &reading, &error);
	reading.progress.clear();
	if (result < 0 && error.reason == VKCKPT_R_BAD_ARGUMENT && S_ISFIFO(facts.st_mode))
		return refuse("%s: a named pipe (BAD_ARGUMENT); give it as the standard input: vkckpt verify - <%s", label.c_str(), label.c_str());
	if (result < 0)
		return refuse("%s", sentence_of(label, error).c_str());
	if (!arguments.quiet)
		printf("%s: %s%s (%s)\n", label.c_str(), result == 1 ?
		    "sealed: every checksum is right, nothing was opened; with its key more can be said" :
		    "good: every byte was checked and every frame decoded", arguments.signed_by ? "; signed by that key" : "",
		    human_size(reading.bytes ? reading.bytes : reading.total).c_str());
	return finish_output(kYes);
}

const Command kVerify = {
	"verify", "[-q] [--key FILE | --passphrase | --passphrase-fd N] [--signed-by PUB [--signature FILE]] FILE", "reads a whole image and checks every byte of it",
	"FILE may be - for standard input. Status 0: good, 1: damaged, truncated, not an image or not readable.\n"
	"  -q, --quiet             say nothing if it is good\n"
	"      --key FILE          of a sealed image: its secret or raw key (file or fd:N); without one only checksums are checked\n"
	"      --passphrase        of one sealed with a passphrase: asked for on the terminal\n"
	"      --passphrase-fd N   or the first line of this descriptor\n"
	"      --signed-by PUB     it must be signed with this key (vkckpt sign); the signature is FILE.sig\n"
	"      --signature FILE    or this one\n",
	"qk:pD:S:s:", 1, 1, run_verify, Confine::kReading,
};

}  // namespace tool
