// suspend and checkpoint: the same request, but for what the vkernel does after the commit.
#include "bin/command.h"
#include "bin/find.h"
#include "bin/neighbours.h"
#include "bin/request.h"
#include "bin/text.h"

#include <vkckpt/error.h>

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <algorithm>
#include <vector>

namespace tool {

static std::string image_of(const Entry &entry, const Outcome &outcome)
{
	return outcome.image.empty() ? entry.image() : outcome.image;
}

static std::string place_of(const Entry &entry, const Outcome &outcome)
{
	const std::string image = image_of(entry, outcome);
	if (image.empty())
		return "the descriptor it was started with";
	struct stat facts;
	std::string text = printable(image);
	if (outcome.chain_length > 1)
		text += ", number " + std::to_string(outcome.chain_length) + " of its chain";
	if (stat(image.c_str(), &facts) == 0)
		text += ", " + human_size(static_cast<uint64_t>(facts.st_size));
	return text;
}

static int tell_success(const Entry &entry, const Order &order, const Outcome &outcome)
{
	bool suspend = order.action == VKCKPT_ACTION_EXIT;
	const char *late = outcome.was_cancelled ? " after all: the cancellation came after the commit" : "";
	printf("%s: %s %s (%s)%s%s\n", entry.label().c_str(), suspend ? "suspended to" : "checkpoint written to",
	    place_of(entry, outcome).c_str(), human_duration(outcome.elapsed_ns).c_str(), late, suspend ? "" : "; it runs on");
	if (!outcome.parts.empty())
		printf("  %s\n", outcome.parts.c_str());
	if (const std::string image = image_of(entry, outcome); !image.empty())
		tell_stale_signature(image);
	return finish_output(kYes);
}

// The library's sentence names the thing, the reason and the remedy; without one the reason code's own text does.
static std::string sentence_of(const Outcome &outcome)
{
	if (!outcome.message.empty())
		return printable(outcome.message);
	return std::string(vkckpt_reason_text(outcome.reason)) + ": " + strerror(outcome.code) + " (" +
	    vkckpt_reason_name(outcome.reason) + "); " + vkckpt_reason_remedy(outcome.reason);
}

static int tell(const Entry &entry, const Order &order, const Outcome &outcome)
{
	const std::string label = entry.label();
	const char *what = order.action == VKCKPT_ACTION_EXIT ? "suspend" : "checkpoint";
	switch (outcome.end) {
	case End::kCommitted:
		return tell_success(entry, order, outcome);
	case End::kFailed:
		return refuse("%s: %s failed, the vkernel runs on: %s", label.c_str(), what, sentence_of(outcome).c_str());
	case End::kCancelled:
		if (outcome.interrupted)
			return refuse("%s: %s cancelled on your interrupt, the vkernel runs on (CANCELLED)", label.c_str(), what);
		return refuse("%s: %s not complete after %u s and cancelled, the vkernel runs on (CANCELLED); allow more time "
		    "with -t", label.c_str(), what, order.timeout_s);
	case End::kBusy:
		return refuse("%s: it is serving another request, this one was refused (BUSY); wait until `vkckpt list' says"
		    " running", label.c_str());
	case End::kDied:
		return refuse("%s: the process ended before its image was committed (NOT_FOUND); no new image was written, an"
		    " older one is as it was", label.c_str());
	case End::kStays:
		return refuse("%s: suspended to %s, but the process has not ended (SYSTEM); it runs no guest any more: kill -9"
		    " %llu", label.c_str(), place_of(entry, outcome).c_str(), static_cast<unsigned long long>(entry.words.pid));
	case End::kOverwritten:
		return refuse("%s: the request ended, but another one followed at once and its result took the place of this"
		    " one's (BUSY); see `vkckpt list' and the image", label.c_str());
	case End::kAbandoned:
		return refuse("%s: gave up waiting for the cancellation (CANCELLED); whether the vkernel runs on is not known:"
		    " see `vkckpt list'", label.c_str());
	}
	return kNo;
}

// One after the other. All are found before the first is asked: a name that is wrong must not leave half of them suspended.
static int request(const Command &command, const Arguments &arguments, uint32_t action)
{
	if (arguments.ram_only && arguments.copy_disks)
		return misuse(command, "checkpoint: --ram-only leaves disks out, --copy-disks copies them: only one of the two");
	std::vector<Entry> entries;
	for (const char *word : arguments.operands) {
		Entry found;
		if (!find_one(word, "nothing was sent; ", &found))
			return kNo;
		auto is_it = [&](const Entry &other) { return other.words.pid == found.words.pid; };
		if (std::none_of(entries.begin(), entries.end(), is_it))	// who is named twice is asked once
			entries.push_back(std::move(found));
	}
	uint32_t flags = (arguments.ram_only ? VKCKPT_REQUEST_RAM_ONLY : 0) | (arguments.full ? VKCKPT_REQUEST_FULL : 0) |
	    (arguments.copy_disks ? VKCKPT_REQUEST_COPY_DISKS : 0);
	Order order{action, flags, arguments.timeout_s};
	int status = kYes;
	for (size_t i = 0; i < entries.size(); i++) {
		Outcome outcome{End::kFailed};
		std::string problem;
		bool sent = serve(entries[i], order, &outcome, &problem);
		int one = sent ? tell(entries[i], order, outcome) : refuse("%s", problem.c_str());
		status = one == kYes ? status : one;
		if (sent && outcome.interrupted && i + 1 < entries.size())
			return refuse("%s and what follows: not asked any more, because of your interrupt (CANCELLED)",
			    entries[i + 1].label().c_str());
	}
	return status;
}

static int run_suspend(const Command &command, const Arguments &arguments)
{
	return request(command, arguments, VKCKPT_ACTION_EXIT);
}

static int run_checkpoint(const Command &command, const Arguments &arguments)
{
	return request(command, arguments, VKCKPT_ACTION_CONTINUE);
}

const Command kSuspend = {
	"suspend", "[-t seconds] [--full] NAME|PID ...", "writes a vkernel's image and ends it",
	"Returns when the image is committed and the process is gone. ^C cancels the request.\n"
	"Several are suspended one after the other; one that fails does not keep the next from it.\n"
	"  -t, --timeout=seconds   then cancel; returns once it is certain that the vkernel runs on\n"
	"  -f, --full              of a vkernel that keeps a chain: a full image, which begins a new one\n",
	"ft:", 1, SIZE_MAX, run_suspend,
};

const Command kCheckpoint = {
	"checkpoint", "[-t seconds] [--full] [--ram-only | --copy-disks] NAME|PID ...", "writes a vkernel's image while it runs on",
	"Returns when the image is committed. ^C cancels the request.\n"
	"  -t, --timeout=seconds   then cancel; returns once it is certain that the vkernel runs on\n"
	"  -f, --full              of a vkernel that keeps a chain: a full image, which begins a new one\n"
	"  -r, --ram-only          leave writable disks out: the image thaws only on disks that were put back\n"
	"                          to what they were at this moment\n"
	"  -c, --copy-disks        copy writable disks that the file system cannot clone; the vkernel stands meanwhile\n",
	"cfrt:", 1, SIZE_MAX, run_checkpoint,
};

}  // namespace tool
