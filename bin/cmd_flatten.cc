// flatten: merges an incremental image with its chain into a full one.
#include "bin/command.h"
#include "bin/image_file.h"
#include "bin/keys.h"
#include "bin/new_file.h"
#include "bin/progress.h"
#include "bin/text.h"

#include <vkckpt/image.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tool {
namespace {

void on_progress(void *argument, uint64_t bytes) { static_cast<Progress *>(argument)->show("merging", bytes, 0); }

// What opens a sealed chain, and what the new image is sealed with: the same, unless something else is asked for.
struct FlattenKeys {
	Keys from, to;
	bool take(const Arguments &arguments, std::string *problem)
	{
		Arguments sealing = arguments;		// a passphrase is that of the old ones
		sealing.passphrase_fd = kNoPassphrase;
		if (!from.take(arguments, problem))
			return false;
		if (arguments.seal_to || arguments.seal_key)
			return to.take_for_sealing(sealing, problem);
		from.keep();
		return true;
	}
	const vkckpt_crypto *to_table() const { return to.table() ? to.table() : from.table(); }
};

// The library's own message, or success.
bool merge(const Arguments &arguments, const FlattenKeys &keys, int fd, Progress &progress, std::string *problem)
{
	vkckpt_error error{};
	int result = vkckpt_image_flatten(arguments.operands[0], arguments.parent, keys.from.table(), fd, keys.to_table(), on_progress, &progress,
	    &error);
	progress.clear();
	if (result < 0)
		*problem = sentence_of(failed_writing(error) ? arguments.output : arguments.operands[0], error);
	return result == 0;
}

void confine_merge(const Arguments &arguments, const FlattenKeys &keys, const std::vector<std::string> &others, const std::vector<Folder> &folders)
{
	std::vector<std::string> images = {arguments.operands[0]};
	if (arguments.parent)
		images.push_back(arguments.parent);
	tell_unconfined(confine_to_images(images, keys.from.table(), others, folders), arguments);
}

int to_stdout(const Arguments &arguments, const FlattenKeys &keys)
{
	if (isatty(STDOUT_FILENO))
		return refuse("standard output is a terminal (BAD_ARGUMENT); give -o - a pipe or a file");
	confine_merge(arguments, keys, {}, {});
	Progress progress(printable(arguments.operands[0]));
	std::string problem;
	return merge(arguments, keys, STDOUT_FILENO, progress, &problem) ? kYes : refuse("%s", problem.c_str());
}

// A file that lies there may be one that other images need, so it is never replaced; but for the image itself, whose content and id the new
// one has.
int to_file(const Arguments &arguments, const FlattenKeys &keys, const std::string &output)
{
	struct stat there{}, source{};
	bool exists = lstat(output.c_str(), &there) == 0;
	bool itself = exists && stat(arguments.operands[0], &source) == 0 && there.st_dev == source.st_dev && there.st_ino == source.st_ino;
	if (exists && !itself)
		return refuse("%s: is there already (BAD_ARGUMENT); name another file with -o, or the image itself", printable(output).c_str());
	NewFile part(output);
	std::string problem;
	if (!part.open(&problem))
		return refuse("%s", problem.c_str());
	confine_merge(arguments, keys, {part.part()}, {{folder_of(output), Writing::kNames}});
	Progress progress(printable(arguments.operands[0]));
	if (!merge(arguments, keys, part.fd(), progress, &problem))
		return refuse("%s", problem.c_str());
	vkckpt_error error{};
	const vkckpt_crypto *opens = keys.to.table() ? nullptr : keys.from.table();
	if (vkckpt_image_verify_with(part.part().c_str(), -1, opens, nullptr, nullptr, &error) < 0)
		return refuse("%s; nothing was replaced", sentence_of(part.part(), error).c_str());
	if (!part.keep(itself, &problem))
		return refuse("%s", problem.c_str());
	struct stat made{};
	fstat(part.fd(), &made);
	if (!arguments.quiet)
		printf("%s: a full image, it needs no other (%s)\n", printable(output).c_str(), human_size(static_cast<uint64_t>(made.st_size)).c_str());
	return finish_output(kYes);
}

int run_flatten(const Command &command, const Arguments &arguments)
{
	if (!arguments.output || !*arguments.output)
		return misuse(command, "flatten: -o is missing: where the full image goes");
	FlattenKeys keys;
	std::string problem;
	if (!keys.take(arguments, &problem))
		return refuse("%s", problem.c_str());
	return strcmp(arguments.output, "-") == 0 ? to_stdout(arguments, keys) : to_file(arguments, keys, arguments.output);
}

}  // namespace

const Command kFlatten = {
	"flatten", "[-q] [--parent FILE] [--key FILE | --passphrase | --passphrase-fd N] [--seal-to PUB | --seal-key FILE] -o OUT FILE", "merges an incremental image with all that it needs into a full one",
	"The new image has the content and the id of FILE, so it can take its place, also for images that are built on it,\n"
	"and thaws on the same disks. OUT may be FILE itself; another file is never replaced.\n"
	"  -o, --output=OUT    - is standard output\n"
	"  -P, --parent=FILE   where the parent is, if it does not lie where the image says\n"
	"  -q, --quiet         say nothing if it is done\n"
	"      --key FILE          of sealed images: their secret or raw key (file or fd:N); the new one is sealed with it again\n"
	"      --passphrase        of those sealed with a passphrase, asked for on the terminal; say how to seal the new one\n"
	"      --passphrase-fd N   or the first line of this descriptor\n"
	"      --seal-to PUB       the new image is sealed to this public key\n"
	"      --seal-key FILE     or with this raw key\n",
	"qo:P:k:pD:T:K:", 1, 1, run_flatten,
};

}  // namespace tool
