// What the commands of vkckpt share: how they are described, how they read their arguments, how they answer.
#ifndef VKCKPT_BIN_COMMAND_H
#define VKCKPT_BIN_COMMAND_H

#include <string>
#include <vector>

#include "bin/confine.h"

namespace tool {

// Exit status, a promise of vkckpt(1).
constexpr int kYes = 0;
constexpr int kNo = 1;		// a negative answer: it failed, it is not there, it is damaged
constexpr int kMisuse = 2;	// the command line makes no sense

constexpr int kNoPassphrase = -2, kAskPassphrase = -1;

class Keys;

struct Arguments {
	bool json = false;
	bool quiet = false;
	bool ram_only = false;
	bool copy_disks = false;
	bool remove = false;
	bool full = false;
	const char *parent = nullptr;
	bool sign = false, raw = false;
	unsigned timeout_s = 0;		// 0: none given
	const char *key = nullptr, *seal_to = nullptr, *seal_key = nullptr, *signed_by = nullptr, *signature = nullptr;
	int passphrase_fd = kNoPassphrase;	// -1: asked for on the terminal
	const Keys *keys = nullptr;	// of a command that confines itself: taken before
	const char *output = nullptr;	// fields of list, a file of flatten
	std::vector<const char *> operands;
};

struct Command {
	const char *name;
	const char *synopsis;
	const char *summary;		// one line for vkckpt --help
	const char *help;		// the rest of vkckpt NAME --help
	const char *options;		// letters as for getopt(3), out of those of kLongOptions in vkckpt.cc
	size_t operands_min, operands_max;
	int (*run)(const Command &, const Arguments &);
	Confine confine = Confine::kNot;
};

extern const Command kKeygen, kSeal, kUnseal, kSign;
extern const Command kList, kStatus, kWait, kSuspend, kCheckpoint, kDiscard, kInfo, kVerify, kFlatten, kDiff, kVmspaces, kSignals;

// Prints "vkckpt: ..." on stderr and returns kNo.
[[gnu::format(printf, 1, 2)]] int refuse(const char *format, ...);
// The same for something that goes on.
[[gnu::format(printf, 1, 2)]] void warn_line(const char *format, ...);
// Prints the sentence and the synopsis; returns kMisuse.
[[gnu::format(printf, 2, 3)]] int misuse(const Command &, const char *format, ...);
// Says so, once, if the host could confine nothing.
void tell_unconfined(const Confinement &, const Arguments &);
// Output that was lost (a full disk, a closed pipe) is a negative answer too.
int finish_output(int status);

}  // namespace tool
#endif
