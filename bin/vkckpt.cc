// vkckpt: looks after running vkernels and their images. Manual: vkckpt(1).
#include "bin/command.h"
#include "bin/keys.h"

#include <vkckpt/vkckpt.h>

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace tool {

const Command *const kCommands[] = {
	&kList, &kStatus, &kWait, &kSuspend, &kCheckpoint, &kDiscard, &kInfo, &kVerify, &kFlatten, &kDiff, &kVmspaces, &kKeygen, &kSeal, &kUnseal, &kSign, &kSignals,
};
constexpr unsigned kTimeoutMax_s = 7 * 24 * 3600;

static void say(const char *format, va_list arguments)
{
	fflush(stdout);
	fputs("vkckpt: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
}

int refuse(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	say(format, arguments);
	va_end(arguments);
	return kNo;
}

void warn_line(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	say(format, arguments);
	va_end(arguments);
}

int misuse(const Command &command, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	say(format, arguments);
	va_end(arguments);
	fprintf(stderr, "usage: vkckpt %s %s\n", command.name, command.synopsis);
	return kMisuse;
}

void tell_unconfined(const Confinement &done, const Arguments &arguments)
{
	if (!arguments.quiet && done.landlock_abi == 0 && !done.calls)
		warn_line("this host has neither Landlock nor seccomp: images are read unconfined; open foreign ones as a user who may do nothing else");
	else if (!arguments.quiet && done.landlock_failed)
		warn_line("this host's Landlock could not be used: the images are read with every file readable; open foreign ones as a user who has none");
}

int finish_output(int status)
{
	if (fflush(stdout) != 0 || ferror(stdout))
		return refuse("standard output: %s (IO_ERROR); the answer is incomplete", strerror(errno));
	return status;
}

static void print_usage(FILE *to)
{
	fputs("usage: vkckpt COMMAND [options] ...\n\n", to);
	for (const Command *command : kCommands)
		fprintf(to, "  %-11s %s\n", command->name, command->summary);
	fputs("\nvkckpt COMMAND --help says more about one; vkckpt(1) all of it.\n", to);
}

static int print_help(const Command &command)
{
	printf("usage: vkckpt %s %s\n\n%s.\n%s", command.name, command.synopsis, command.summary, command.help);
	return finish_output(kYes);
}

static const option kLongOptions[] = {
	{"json", no_argument, nullptr, 'j'},
	{"quiet", no_argument, nullptr, 'q'},
	{"ram-only", no_argument, nullptr, 'r'},
	{"copy-disks", no_argument, nullptr, 'c'},
	{"remove", no_argument, nullptr, 'R'},
	{"full", no_argument, nullptr, 'f'},
	{"parent", required_argument, nullptr, 'P'},
	{"timeout", required_argument, nullptr, 't'},
	{"output", required_argument, nullptr, 'o'},
	{"key", required_argument, nullptr, 'k'},
	{"passphrase", no_argument, nullptr, 'p'},
	{"passphrase-fd", required_argument, nullptr, 'D'},
	{"seal-to", required_argument, nullptr, 'T'},
	{"seal-key", required_argument, nullptr, 'K'},
	{"signed-by", required_argument, nullptr, 'S'},
	{"signature", required_argument, nullptr, 's'},
	{"sign", no_argument, nullptr, 'G'},
	{"raw", no_argument, nullptr, 'W'},
	{"help", no_argument, nullptr, 'h'},
	{},
};

// One option into *arguments: 0, or the exit status.
static int take_option(const Command &command, int letter, Arguments *arguments)
{
	const char *problem = nullptr;
	switch (letter) {
	case 'j': arguments->json = true; return 0;
	case 'q': arguments->quiet = true; return 0;
	case 'r': arguments->ram_only = true; return 0;
	case 'c': arguments->copy_disks = true; return 0;
	case 'R': arguments->remove = true; return 0;
	case 'f': arguments->full = true; return 0;
	case 'P': arguments->parent = optarg; return 0;
	case 'o': arguments->output = optarg; return 0;
	case 'k': arguments->key = optarg; return 0;
	case 'p': arguments->passphrase_fd = kAskPassphrase; return 0;
	case 'D':
		arguments->passphrase_fd = static_cast<int>(strtonum(optarg, 0, 1 << 20, &problem));
		if (problem)
			return misuse(command, "%s: --passphrase-fd %s: %s; the number of an open descriptor", command.name, optarg, problem);
		return 0;
	case 'T': arguments->seal_to = optarg; return 0;
	case 'K': arguments->seal_key = optarg; return 0;
	case 'S': arguments->signed_by = optarg; return 0;
	case 's': arguments->signature = optarg; return 0;
	case 'G': arguments->sign = true; return 0;
	case 'W': arguments->raw = true; return 0;
	case 't':
		arguments->timeout_s = strtonum(optarg, 1, kTimeoutMax_s, &problem);
		if (problem)
			return misuse(command, "%s: -t %s: %s; whole seconds, 1 to %u", command.name, optarg, problem,
			    kTimeoutMax_s);
		return 0;
	}
	return misuse(command, "%s: this option is not known here", command.name);
}

// What getopt_long(3) did not take. Of letters that stand together optopt is the one; of a long option argv has the word.
static int unknown_option(const Command &command, int letter, const char *word)
{
	if (letter == ':')
		return misuse(command, "%s: %s: lacks its value", command.name, word);
	if (optopt == 0)
		return misuse(command, "%s: %s: this option is not known here, or could be several", command.name, word);
	if (strchr(command.options, optopt))
		return misuse(command, "%s: %s: this option takes no value", command.name, word);
	return misuse(command, "%s: -%c: this option is not known here", command.name, optopt);
}

static std::string name_of_option(int letter)
{
	for (const option &known : kLongOptions)
		if (known.val == letter)
			return std::string("--") + known.name;
	return {'-', static_cast<char>(letter)};
}

// Of two keys or places one would be passed over in silence.
static bool may_be_repeated(int letter) { return !strchr("PokpDTKSs", letter); }

// What cannot be said together, whatever the command.
static int check_together(const Command &command, const Arguments &arguments)
{
	if (arguments.signature && !arguments.signed_by && strchr(command.options, 'S'))
		return misuse(command, "%s: --signature %s: --signed-by is missing: the public key that it must be of", command.name,
		    arguments.signature);
	bool seals = strchr(command.options, 'T') && !strchr(command.options, 'o');	// its passphrase is the new one
	if (arguments.key && arguments.passphrase_fd != kNoPassphrase && !seals)
		return misuse(command, "%s: --key or a passphrase, only one of the two", command.name);
	if (arguments.seal_to && arguments.seal_key)
		return misuse(command, "%s: --seal-to or --seal-key, only one of the two", command.name);
	return kYes;
}

static int run_confined(const Command &command, Arguments *arguments)
{
	Keys keys;
	std::string problem;
	if (!keys.take(*arguments, &problem))
		return refuse("%s", problem.c_str());
	arguments->keys = &keys;
	std::vector<std::string> signature;
	if (arguments->signature)
		signature.push_back(arguments->signature);
	tell_unconfined(confine_to_images({arguments->operands.begin(), arguments->operands.end()}, keys.table(), signature), *arguments);
	return command.run(command, *arguments);
}

static int run_command(const Command &command, int argc, char **argv)
{
	Arguments arguments;
	std::string letters = std::string(":h") + command.options, given;
	int letter, which = 0;
	opterr = 0;
	while ((letter = getopt_long(argc, argv, letters.c_str(), kLongOptions, &which)) != -1) {
		if (letter == 'h')
			return print_help(command);
		if (letter == '?' || letter == ':')
			return unknown_option(command, letter, argv[optind - 1]);
		// Long options are one table for all commands: whether this one takes it, its letters say.
		if (!strchr(command.options, letter))
			return misuse(command, "%s: --%s: this option is not known here", command.name, kLongOptions[which].name);
		if (given.find(static_cast<char>(letter)) != std::string::npos && !may_be_repeated(letter))
			return misuse(command, "%s: %s: given twice", command.name, name_of_option(letter).c_str());
		given += static_cast<char>(letter);
		if (int status = take_option(command, letter, &arguments))
			return status;
	}
	if (int status = check_together(command, arguments))
		return status;
	arguments.operands.assign(argv + optind, argv + argc);
	if (arguments.operands.size() < command.operands_min)
		return misuse(command, "%s: something to work on is missing", command.name);
	if (arguments.operands.size() > command.operands_max)
		return misuse(command, "%s: %s: one argument too many", command.name,
		    arguments.operands[command.operands_max]);
	for (const char *operand : arguments.operands)
		if (*operand == '\0')
			return misuse(command, "%s: an empty name", command.name);
	return command.confine == Confine::kReading ? run_confined(command, &arguments) : command.run(command, arguments);
}

static int run(int argc, char **argv)
{
	if (argc < 2) {
		print_usage(stderr);
		return kMisuse;
	}
	std::string word = argv[1];
	if (word == "--help" || word == "-h" || word == "help") {
		print_usage(stdout);
		return finish_output(kYes);
	}
	if (word == "--version" || word == "-V") {
		printf("vkckpt %s (image format %d.%d)\n", VKCKPT_LIBRARY_VERSION, VKCKPT_VERSION_MAJOR,
		    VKCKPT_VERSION_MINOR);
		printf("while it reads images it confines itself: %s\n", confinement_text().c_str());
		return finish_output(kYes);
	}
	for (const Command *command : kCommands)
		if (word == command->name)
			return run_command(*command, argc - 1, argv + 1);
	warn_line("%s: no such command", argv[1]);
	print_usage(stderr);
	return kMisuse;
}

}  // namespace tool

int main(int argc, char **argv)
{
	signal(SIGXFSZ, SIG_IGN);	// the limit on the size of files: told, and nothing half-written stays
	return tool::run(argc, argv);
}
