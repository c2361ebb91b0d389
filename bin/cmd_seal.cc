// seal, unseal: an image is copied, sealed another way, and takes the place of the old one when it is whole.
#include "bin/command.h"
#include "bin/image_file.h"
#include "bin/keys.h"
#include "bin/neighbours.h"
#include "bin/new_file.h"
#include "bin/progress.h"
#include "bin/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

namespace tool {
namespace {

struct Copying {
	Progress progress;
	uint64_t total;
};

void on_progress(void *argument, uint64_t bytes)
{
	Copying *copying = static_cast<Copying *>(argument);
	copying->progress.show("writing", bytes, copying->total);
}

int convert(const Arguments &arguments, const vkckpt_crypto *from, const vkckpt_crypto *to, const char *done)
{
	const std::string in = arguments.operands[0], out = arguments.operands.back();
	NewFile file(out);
	std::string problem;
	struct stat facts{};
	if (stat(in.c_str(), &facts) != 0)
		return refuse("%s: %s (NOT_FOUND)", printable(in).c_str(), strerror(errno));
	// Another image may be all that is left of a vkernel.
	struct stat there{};
	const bool exists = lstat(out.c_str(), &there) == 0, itself = exists && there.st_dev == facts.st_dev && there.st_ino == facts.st_ino;
	if (exists && !itself && !S_ISDIR(there.st_mode) && arguments.operands.size() > 1)
		return refuse("%s: is there already (BAD_ARGUMENT); name another file, or none, to replace %s itself", printable(out).c_str(),
		    printable(in).c_str());
	if (!file.open(&problem))
		return refuse("%s", problem.c_str());
	tell_unconfined(confine({in, out + ".sig"}, {{folder_of(out), Writing::kNames}}), arguments);		// what it is built on is not read
	Copying copying{Progress(printable(out)), static_cast<uint64_t>(facts.st_size)};
	vkckpt_error error{};
	int result = vkckpt_image_reseal(in.c_str(), from, file.fd(), to, on_progress, &copying, &error);
	copying.progress.clear();
	if (result < 0)
		return refuse("%s", sentence_of(failed_writing(error) ? out : in, error).c_str());
	if (!file.keep(exists, &problem))
		return refuse("%s", problem.c_str());
	if (!arguments.quiet) {
		printf("%s: %s\n", printable(out).c_str(), done);
		tell_stale_signature(out);
	}
	return finish_output(kYes);
}

int run_seal(const Command &command, const Arguments &arguments)
{
	bool passphrase = arguments.passphrase_fd != kNoPassphrase;
	if (int ways = !!arguments.seal_to + !!arguments.seal_key + passphrase; ways != 1)
		return misuse(command, "%s: %s: --seal-to, --seal-key, --passphrase or --passphrase-fd", command.name,
		    ways ? "only one of these" : "say with what");
	Keys from, to;
	std::string problem;
	Arguments opening = arguments;		// the passphrase is the new one
	opening.passphrase_fd = kNoPassphrase;
	if (!from.take(opening, &problem) || !to.take_for_sealing(arguments, &problem))
		return refuse("%s", problem.c_str());
	return convert(arguments, from.table(), to.table(), "sealed");
}

int run_unseal(const Command &command, const Arguments &arguments)
{
	Keys from;
	std::string problem;
	if (!from.take(arguments, &problem))
		return refuse("%s", problem.c_str());
	if (!from.opens())
		return misuse(command, "%s: a key is needed: --key, --passphrase or --passphrase-fd", command.name);
	return convert(arguments, from.table(), nullptr, "not sealed any more: everyone who can read it can read the guest's memory");
}

}  // namespace

const Command kSeal = {
	"seal", "--seal-to PUB | --seal-key FILE | --passphrase | --passphrase-fd N [--key OLD] FILE [NEW]",
	"encrypts an image, in its place or as a new file",
	"      --seal-to PUB       to this public key; only its secret key opens the image\n"
	"      --seal-key FILE     with a raw key (file or fd:N)\n"
	"      --passphrase        with a passphrase that is asked for on the terminal\n"
	"      --passphrase-fd N   with the first line of this descriptor\n"
	"      --key FILE          of an image that is sealed already: what opens it\n"
	"  -q, --quiet             say nothing if it worked\n"
	"What was on the disk in clear may stay there until it is written over.\n",
	"qk:T:K:pD:", 1, 2, run_seal,
};

const Command kUnseal = {
	"unseal", "--key FILE | --passphrase | --passphrase-fd N FILE [NEW]", "decrypts a sealed image, in its place or as a new file",
	"      --key FILE          its secret or raw key (file or fd:N)\n"
	"      --passphrase        its passphrase is asked for on the terminal\n"
	"      --passphrase-fd N   its passphrase is the first line of this descriptor\n"
	"  -q, --quiet             say nothing if it worked\n",
	"qk:pD:", 1, 2, run_unseal,
};

}  // namespace tool
