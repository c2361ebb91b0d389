// The command line of minivk.
#include "options.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <stdlib.h>	// strtonum, of libbsd
#include <cstring>
#include <getopt.h>
#include <unistd.h>

#include <libutil.h>

#include <vkckpt/vkckpt.h>

#include "kernel.h"

namespace minivk {

bool flush_output()
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return true;
	fprintf(stderr, "minivk: standard output: %s\n", strerror(errno));
	return false;
}

bool is_descriptor(const char *image) { return image && (strcmp(image, "-") == 0 || strncmp(image, "fd:", 3) == 0); }

namespace {

const char kUsage[] =
    "usage: minivk [-m size] [-n ncpus] [-r disk] [-i memimg] [-p pidfile] [-e NAME=value] [--root dir|cpio]\n"
    "              [--name NAME] [--image FILE] [--on-ckpt exit|continue] [--console stdio|pty[:link]|log:FILE|null]\n"
    "              [--chain N|off] [--parent FILE] [--workers N] [--codec lz4[:LEVEL]|raw] [--quiesce-timeout S]\n"
    "              [--disk-digest] [--seal-to PUB|--seal-key FILE] [--cpu-mask SPEC] [--] [program args...]\n"
    "       minivk --thaw FILE [--clone[=NAME]] [-o device.key=value]... [--parent FILE] [-p pidfile]\n"
    "              [--image FILE] [--on-ckpt exit|continue] [--console stdio|pty[:link]|log:FILE|null]\n"
    "              [--lazy[=required][,demand]] [--dry-run [--json]] [--chain N|off] [--workers N] [--codec lz4[:LEVEL]|raw]\n"
    "              [--quiesce-timeout S] [--disk-digest] [--key FILE|--passphrase-fd N|--passphrase] [--seal-to PUB|--seal-key FILE|--no-seal]\n"
    "              [--require-signature PUB [--signature FILE]] [--cpu-mask SPEC]\n";
const char kHelp[] =
    "  -m size         memory of the guest (512m)\n"
    "  -n ncpus        virtual CPUs (1)\n"
    "  -r disk         a file that is the guest's disk /dev/vkd0\n"
    "  -i memimg       keep the memory in this file\n"
    "  -p pidfile      write the process id there\n"
    "  -e NAME=value   environment of the first program\n"
    "  --root          a folder or a cpio archive; without it a system made of the host's static busybox\n"
    "  --name NAME     of this vkernel (minivk)\n"
    "  --image FILE    where SIGCKPT writes (NAME.ckpt); - is standard output, fd:N a descriptor\n"
    "  --on-ckpt       what SIGCKPT does after writing: exit (status 33) or continue\n"
    "  --console       where the guest's console is (stdio)\n"
    "  --chain N       incremental images: each has a name of its own, NAME.NNNN.ckpt, and holds what changed since the\n"
    "                  one before; after N of them comes a full one (16 with --on-ckpt continue; else off)\n"
    "  --parent FILE   the image that the first one is built on; at a thaw: where the parent of the image is\n"
    "  --workers N     threads that write an image or read it (one more than there are CPUs)\n"
    "  --disk-digest   images record a digest of the disk's content, so that it may be moved or copied before the thaw\n"
    "  --codec         how memory is stored in an image: lz4 (at first; :1 quick, :2 small, else what suits the disk), or raw\n"
    "  --quiesce-timeout S   seconds in which the guest must come to rest for an image (10)\n"
    "  --cpu-mask SPEC   show guests less of the processor, so that images thaw on a lesser one: a level (x86-64-v2) and\n"
    "                  features (+aes, -avx512*), with commas between; it takes a host with CPUID faulting\n"
    "  --thaw FILE     go on from an image; - is standard input, fd:N a descriptor\n"
    "  --clone[=NAME]  at a thaw: another vkernel out of the same image, its disk a copy DISK.NAME (NAME: the image's with -PID)\n"
    "  -o device.key=value   at a thaw: another setting of a device than recorded (disk0.path=FILE)\n"
    "  --lazy[=required][,demand]   at a thaw: run at once, bring the memory meanwhile; required: fail where that\n"
    "                  is not possible; demand: bring only what is touched\n"
    "  --seal-to PUB   encrypt images to this public key (vkckpt keygen); --seal-key FILE: with a raw key, a file or fd:N\n"
    "  --key FILE      at a thaw: the secret or raw key that opens the image, a file or fd:N; then images are sealed as this one was\n"
    "  --passphrase-fd N     at a thaw: its passphrase is the first line of this descriptor; --passphrase: ask on the terminal\n"
    "  --no-seal       at a thaw: the next images are not encrypted, though this one was\n"
    "  --require-signature PUB   at a thaw: only an image that was signed (vkckpt sign) with this key; --signature FILE: not IMAGE.sig\n"
    "  --dry-run       at a thaw: only say whether it would work, and all that speaks against it\n"
    "  --json          the same for a program, on standard output\n";

[[noreturn]] void misuse(const char *format, ...) __attribute__((format(printf, 1, 2)));
void misuse(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fprintf(stderr, "minivk: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n%s", kUsage);
	va_end(args);
	exit(2);
}

uint64_t parse_size(const char *text)
{
	uint64_t bytes;
	if (expand_number(text, &bytes) != 0)
		misuse("-m %s: not a size; write for example 256m or 2g", text);
	bytes = (bytes + kPage - 1) & ~(kPage - 1);
	if (bytes < 16 << 20 || bytes > 1ull << 40)
		misuse("-m %s: the memory must be between 16m and 1t", text);
	return bytes;
}

uint64_t parse_number(const char *option, const char *text, uint64_t most)
{
	const char *why = nullptr;
	long long n = strtonum(text, 1, static_cast<long long>(most), &why);
	if (why)
		misuse("%s %s: %s; a number from 1 to %llu", option, text, why, static_cast<unsigned long long>(most));
	return uint64_t(n);
}

int parse_descriptor(const char *option, const char *text)
{
	const char *why = nullptr;
	long long n = strtonum(text, 0, 1 << 20, &why);
	if (why)
		misuse("%s %s: %s; the number of an open descriptor", option, text, why);
	return int(n);
}

// FILE, - or fd:N.
const char *parse_image(const char *option, const char *text)
{
	if (!*text)
		misuse("%s: the name is empty; name a file, fd:N or -", option);
	if (strncmp(text, "fd:", 3) == 0)
		(void)parse_descriptor((std::string(option) + " fd:").c_str(), text + 3);
	return text;
}

void check_mask(const char *spec)
{
	struct vkckpt_cpu cpu;
	struct vkckpt_error err = {};
	if (vkckpt_cpu_parse(spec, &cpu, &err) < 0 && err.reason == VKCKPT_R_BAD_ARGUMENT)
		misuse("--cpu-mask: %s", err.message);
}

// Status 0, unless what is to be read there could not be written.
[[noreturn]] void end_told()
{
	exit(flush_output() ? 0 : 1);
}

uint32_t parse_lazy(const std::string &how)
{
	if (how.empty())
		return VKCKPT_LAZY;
	if (how == "required")
		return VKCKPT_LAZY | VKCKPT_LAZY_REQUIRED;
	if (how == "demand")
		return VKCKPT_LAZY | VKCKPT_LAZY_ON_DEMAND;
	if (how == "required,demand")
		return VKCKPT_LAZY | VKCKPT_LAZY_REQUIRED | VKCKPT_LAZY_ON_DEMAND;
	misuse("--lazy=%s: required, demand, or both with a comma", how.c_str());
}

void check_name(const char *option, const std::string &name)
{
	if (name.empty() || name.size() > VKCKPT_MAX_NAME)
		misuse("%s: 1 to %u characters", option, VKCKPT_MAX_NAME);
	if (name[0] == '.')
		misuse("%s %s: the first character must not be a dot", option, name.c_str());
	for (char c : name)
		if (!isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_' && c != '.')
			misuse("%s %s: letters, digits, '-', '_' and '.' only", option, name.c_str());
}

void check_seals(const Options &o)
{
	bool passphrase = o.passphrase_fd != kNoPassphrase;
	if ((o.key || passphrase || o.no_seal || o.signed_by || o.signature) && !o.thaw)
		misuse("--key, --passphrase, --no-seal, --require-signature and --signature go with --thaw");
	if ((o.seal_to != nullptr) + (o.seal_key != nullptr) + o.no_seal > 1)
		misuse("--seal-to, --seal-key and --no-seal: one of them");
	if (o.signature && !o.signed_by)
		misuse("--signature goes with --require-signature");
	if (passphrase && !o.dry_run && !o.seal_to && !o.seal_key && !o.no_seal)
		misuse("a passphrase is not kept while the guest runs: say how its next image is to be sealed (--seal-to, --seal-key or --no-seal)");
}

void check_together(const Options &o, bool boot_option)
{
	check_seals(o);
	if (o.dry_run && !o.thaw)
		misuse("--dry-run goes with --thaw");
	if (o.clone && !o.thaw)
		misuse("--clone goes with --thaw");
	if (o.json && !o.dry_run)
		misuse("--json goes with --dry-run");
	if (o.lazy && !o.thaw)
		misuse("--lazy goes with --thaw");
	if (!o.overrides.empty() && !o.thaw)
		misuse("-o goes with --thaw");
	if (o.thaw && o.name_given)
		misuse("--name: a thawed vkernel has the name that its image says; --clone=%s makes another one of that name from it", o.name.c_str());
	if (o.thaw && (boot_option || !o.program.empty()))
		misuse("--thaw takes memory, processors, disk, root, environment and program from the image; leave them out");
	if (o.chain_given && o.chain != VKCKPT_CHAIN_OFF && is_descriptor(o.image))
		misuse("--chain gives its images names: --image %s is a descriptor; name a file", o.image);
	if (!o.thaw && o.parent && is_descriptor(o.image))
		misuse("--parent is recorded in the image as a path beside it: --image %s is a descriptor; name a file", o.image);
	if (!o.thaw && o.parent && o.chain == VKCKPT_CHAIN_OFF)
		misuse("--parent goes with --chain N, not with --chain off");
	if (!o.thaw && o.image && strcmp(o.image, "-") == 0 && strcmp(o.console, "stdio") == 0)
		misuse("--image - writes to standard output, where the console is: add --console log:FILE, pty or null");
}

enum LongOption { kRoot = 256, kLazy, kName, kImage, kOnCkpt, kConsole, kThaw, kDryRun, kJson, kClone, kWorkers, kCodec, kChain, kParent,
	kSealTo, kSealKey, kNoSeal, kKey, kPassphrase, kPassphraseFd, kSignedBy, kSignature, kQuiesce, kHelpOption, kVersion, kDiskDigest, kCpuMask,
	kTestAt, kTestEvery, kTestCpuid };
const option kLong[] = {
	{"root", 1, nullptr, kRoot}, {"name", 1, nullptr, kName}, {"image", 1, nullptr, kImage},
	{"on-ckpt", 1, nullptr, kOnCkpt}, {"console", 1, nullptr, kConsole}, {"thaw", 1, nullptr, kThaw},
	{"dry-run", 0, nullptr, kDryRun}, {"json", 0, nullptr, kJson}, {"clone", 2, nullptr, kClone}, {"help", 0, nullptr, kHelpOption}, {"version", 0, nullptr, kVersion},
	{"chain", 1, nullptr, kChain}, {"parent", 1, nullptr, kParent}, {"workers", 1, nullptr, kWorkers}, {"quiesce-timeout", 1, nullptr, kQuiesce}, {"codec", 1, nullptr, kCodec},
	{"seal-to", 1, nullptr, kSealTo}, {"seal-key", 1, nullptr, kSealKey}, {"no-seal", 0, nullptr, kNoSeal}, {"key", 1, nullptr, kKey},
	{"passphrase", 0, nullptr, kPassphrase}, {"passphrase-fd", 1, nullptr, kPassphraseFd},
	{"require-signature", 1, nullptr, kSignedBy}, {"signature", 1, nullptr, kSignature},
	{"lazy", 2, nullptr, kLazy}, {"disk-digest", 0, nullptr, kDiskDigest},
	{"cpu-mask", 1, nullptr, kCpuMask}, {"test-cpuid-trap", 0, nullptr, kTestCpuid},
	{"test-ckpt-at-trap", 1, nullptr, kTestAt}, {"test-ckpt-every", 1, nullptr, kTestEvery}, {}};

// False: a boot option, which a thaw does not take.
bool take(Options &o, int c, const char *value)
{
	switch (c) {
	case 'p': o.pidfile = value; return true;
	case 'o':
		if (!strchr(value, '=') || !strchr(value, '.') || strchr(value, '.') > strchr(value, '='))
			misuse("-o %s: write device.key=value", value);
		o.overrides.push_back(value);
		return true;
	case kImage: o.image = parse_image("--image", value); return true;
	case kOnCkpt:
		if (strcmp(value, "exit") != 0 && strcmp(value, "continue") != 0)
			misuse("--on-ckpt %s: exit or continue", value);
		o.continue_after = value[0] == 'c';
		return true;
	case kConsole:
		if (strcmp(value, "stdio") != 0 && strcmp(value, "null") != 0 && strcmp(value, "pty") != 0
		    && strncmp(value, "pty:", 4) != 0 && (strncmp(value, "log:", 4) != 0 || !value[4]))
			misuse("--console %s: one of stdio, pty, pty:LINK, log:FILE, null", value);
		o.console = value;
		o.console_given = true;
		return true;
	case kThaw: o.thaw = parse_image("--thaw", value); return true;
	case kLazy: o.lazy = parse_lazy(value ? value : ""); return true;
	case kDryRun: o.dry_run = true; return true;
	case kClone:
		o.clone = value ? value : "";
		if (value)
			check_name("--clone", value);
		return true;
	case kJson: o.json = true; return true;
	case kWorkers: o.workers = uint32_t(parse_number("--workers", value, VKCKPT_MAX_WORKERS)); return true;
	case kDiskDigest: o.disk_digest = true; return true;
	case kQuiesce: o.quiesce_timeout_ns = parse_number("--quiesce-timeout", value, 86400) * 1'000'000'000; return true;
	case kCodec:
		if (strcmp(value, "lz4") != 0 && strcmp(value, "lz4:1") != 0 && strcmp(value, "lz4:2") != 0 && strcmp(value, "raw") != 0)
			misuse("--codec %s: lz4, lz4:1, lz4:2 or raw", value);
		o.codec = value[0] == 'r' ? VKCKPT_CODEC_RAW : VKCKPT_CODEC_LZ4;
		o.level = o.codec == VKCKPT_CODEC_LZ4 && value[3] ? uint32_t(value[4] - '0') : 0;
		return true;
	case kChain:
		o.chain_given = true;
		o.chain = strcmp(value, "off") == 0 ? VKCKPT_CHAIN_OFF : uint32_t(parse_number("--chain", value, VKCKPT_MAX_CHAIN));
		return true;
	case kParent: o.parent = value; return true;
	case kSealTo: o.seal_to = value; return true;
	case kSealKey: o.seal_key = value; return true;
	case kNoSeal: o.no_seal = true; return true;
	case kKey: o.key = value; return true;
	case kPassphrase: o.passphrase_fd = -1; return true;
	case kPassphraseFd: o.passphrase_fd = parse_descriptor("--passphrase-fd", value); return true;
	case kSignedBy: o.signed_by = value; return true;
	case kSignature: o.signature = value; return true;
	case kCpuMask:
		check_mask(value);
		o.cpu_mask = value;
		return true;
	case kTestCpuid: o.test_cpuid = true; return true;
	case kTestAt: o.test_at_trap = parse_number("--test-ckpt-at-trap", value, 1ull << 60); return true;
	case kTestEvery: o.test_every = parse_number("--test-ckpt-every", value, 1ull << 60); return true;
	case 'm': o.ram_bytes = parse_size(value); return false;
	case 'n': o.cpus = unsigned(parse_number("-n", value, kMaxCpus)); return false;
	case 'r': o.disk = value; return false;
	case 'i': o.memory_image = value; return false;
	case 'e':
		if (!strchr(value, '=') || value[0] == '=')
			misuse("-e %s: write NAME=value", value);
		o.environment.push_back(value);
		return false;
	case kRoot: o.root = value; return false;
	case kName:
		o.name = value;
		o.name_given = true;
		check_name("--name", o.name);
		return false;
	default: misuse("what was meant by %s?", value ? value : "the last option");
	}
}

}  // namespace

Options parse_options(int argc, char **argv)
{
	Options o;
	bool boot_option = false;
	opterr = 0;
	for (int c; (c = getopt_long(argc, argv, "+:m:n:r:i:p:e:o:h", kLong, nullptr)) != -1;) {
		if (c == kHelpOption || c == 'h') {
			printf("%s\n%s", kUsage, kHelp);
			end_told();
		}
		if (c == kVersion) {
			printf("minivk %s\n", VKCKPT_LIBRARY_VERSION);
			end_told();
		}
		if (c == ':')
			misuse("%s: its value is missing", argv[optind - 1]);
		if (c == '?')
			misuse("%s: no such option", argv[optind - 1]);
		if (!take(o, c, optarg))
			boot_option = true;
	}
	for (int i = optind; i < argc; i++)
		o.program.push_back(argv[i]);
	check_together(o, boot_option);
	if (!o.chain_given && !is_descriptor(o.image) && (o.continue_after || (o.parent && !o.thaw)))
		o.chain = VKCKPT_CHAIN_DEFAULT;
	return o;
}

}  // namespace minivk
