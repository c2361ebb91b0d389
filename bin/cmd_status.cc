// status and wait: one running vkernel, and how much of its RAM a lazy thaw has brought.
#include "bin/command.h"
#include "bin/find.h"
#include "bin/json.h"
#include "bin/text.h"

#include <vkckpt/error.h>

#include <stdio.h>
#include <time.h>
#include <unistd.h>

namespace tool {

constexpr unsigned kLook_us = 10000;	// between two looks at a vkernel that is waited for

static const char *fill_name(uint32_t state)
{
	switch (state) {
	case VKCKPT_FILL_NONE: return "booted";
	case VKCKPT_FILL_EAGER: return "eager";
	case VKCKPT_FILL_UNDER_WAY: return "under way";
	case VKCKPT_FILL_COMPLETE: return "complete";
	case VKCKPT_FILL_FAILED: return "failed";
	}
	return "unknown";
}

static std::string reason_sentence(uint32_t reason)
{
	return std::string(vkckpt_reason_text(reason)) + " (" + vkckpt_reason_name(reason) + "); " + vkckpt_reason_remedy(reason);
}

static std::string fill_text(const vkckpt_run_entry &words)
{
	uint64_t total = words.fill_total ? words.fill_total : 1;
	switch (words.fill_state) {
	case VKCKPT_FILL_NONE: return "booted, not thawed";
	case VKCKPT_FILL_EAGER:
		return words.fill_reason ? "loaded before it ran, though a lazy thaw was asked for: " + reason_sentence(words.fill_reason) :
		    "loaded before it ran";
	case VKCKPT_FILL_UNDER_WAY:
		return human_size(words.fill_done) + " of " + human_size(words.fill_total) + " in place (" +
		    std::to_string(words.fill_done * 100 / total) + "%); the image is needed until all is";
	case VKCKPT_FILL_COMPLETE: return human_size(words.fill_total) + " in place; the image is closed";
	case VKCKPT_FILL_FAILED: return "failed: " + reason_sentence(words.fill_reason);
	}
	return "unknown";
}

// From the call of the thaw to `then`; 0 when that has not come.
static uint64_t since_thaw(const vkckpt_run_entry &words, uint64_t then)
{
	return then > words.thaw_began_ns ? then - words.thaw_began_ns : 0;
}

static void print_text(const Entry &entry)
{
	const vkckpt_run_entry &words = entry.words;
	printf("%s, %s\n", entry.label().c_str(), printable(entry.program()).c_str());
	printf("  State   %s\n", phase_name(words.phase));
	printf("  RAM     %s: %s\n", human_size(words.ram_bytes).c_str(), fill_text(words).c_str());
	if (words.thaw_began_ns != 0) {
		printf("  Thaw    ready to run after %s", human_duration(since_thaw(words, words.thaw_ready_ns)).c_str());
		if (words.fill_state != VKCKPT_FILL_EAGER && words.thaw_full_ns != 0)
			printf(", all of RAM in place after %s", human_duration(since_thaw(words, words.thaw_full_ns)).c_str());
		printf("\n");
	}
	printf("  Image   %s\n", entry.image().empty() ? "(a descriptor)" : printable(entry.image()).c_str());
	if (words.warning_reason != VKCKPT_R_NONE)
		printf("  Warning %s\n", reason_sentence(words.warning_reason).c_str());
}

static void print_json(const Entry &entry)
{
	const vkckpt_run_entry &words = entry.words;
	Json json;
	json.begin_object();
	json.string("name", entry.name());
	json.number("pid", words.pid);
	json.string("program", entry.program());
	json.string("state", phase_name(words.phase));
	json.number("ram_bytes", words.ram_bytes);
	json.string("image", entry.image());
	json.begin_object("fill");
	json.string("state", fill_name(words.fill_state));
	json.string("reason", words.fill_reason ? vkckpt_reason_name(words.fill_reason) : "");
	json.number("done_bytes", words.fill_done);
	json.number("total_bytes", words.fill_total);
	json.end_object();
	json.begin_object("thaw");
	json.number("began_ns", words.thaw_began_ns);
	json.number("loaded_ns", words.thaw_loaded_ns);
	json.number("ready_ns", words.thaw_ready_ns);
	json.number("full_ns", words.thaw_full_ns);
	json.end_object();
	json.end_object();
	json.finish();
}

static int run_status(const Command &, const Arguments &arguments)
{
	Entry entry;
	if (!find_one(arguments.operands[0], "", &entry))
		return kNo;
	if (arguments.json)
		print_json(entry);
	else
		print_text(entry);
	return finish_output(kYes);
}

static double now_s()
{
	timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

static bool gone(const Entry &entry)
{
	char state = 0;
	uint64_t start_time = process_start_time(entry.pid(), &state);
	return start_time != entry.words.start_time || state == 'Z' || state == 'X';
}

static int run_wait(const Command &, const Arguments &arguments)
{
	Entry entry;
	if (!find_one(arguments.operands[0], "", &entry))
		return kNo;
	double end = now_s() + arguments.timeout_s;
	while (entry.words.fill_state == VKCKPT_FILL_UNDER_WAY) {
		bool ended = gone(entry);	// before the last look at its words
		if (pread(entry.fd.get(), &entry.words, sizeof entry.words, 0) != sizeof entry.words)
			return refuse("%s: its entry in the run directory cannot be read (IO_ERROR); see `vkckpt list'",
			    entry.label().c_str());
		if (entry.words.fill_state != VKCKPT_FILL_UNDER_WAY)
			break;
		if (ended)
			return refuse("%s: the process ended before all of its RAM was in place (NOT_FOUND); the image is as it was",
			    entry.label().c_str());
		if (arguments.timeout_s && now_s() >= end)
			return refuse("%s: after %u s %s (CANCELLED); it runs on: wait again, or longer with -t", entry.label().c_str(),
			    arguments.timeout_s, fill_text(entry.words).c_str());
		usleep(kLook_us);
	}
	if (entry.words.fill_state == VKCKPT_FILL_FAILED)
		return refuse("%s: the vkernel was stopped: %s", entry.label().c_str(), printable(field(entry.words.message)).c_str());
	printf("%s: %s\n", entry.label().c_str(), fill_text(entry.words).c_str());
	return finish_output(kYes);
}

const Command kStatus = {
	"status", "[--json] NAME|PID", "says what a vkernel is doing and how its thaw went",
	"  -j, --json   with exact numbers; times are of CLOCK_MONOTONIC\n",
	"j", 1, 1, run_status,
};

const Command kWait = {
	"wait", "[-t seconds] NAME|PID", "returns when a lazy thaw has brought all of RAM",
	"At once for a vkernel that was booted or thawed eagerly. The image may be removed then.\n"
	"  -t, --timeout=seconds   give up after this time\n",
	"t:", 1, 1, run_wait,
};

}  // namespace tool
