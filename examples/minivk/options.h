// The command line.
#ifndef MINIVK_OPTIONS_H
#define MINIVK_OPTIONS_H

#include <cstdint>
#include <string>
#include <vector>

namespace minivk {

constexpr int kNoPassphrase = -2;

struct Options {
	uint64_t ram_bytes = 512ull << 20;
	unsigned cpus = 1;
	const char *disk = nullptr;
	bool disk_digest = false;
	const char *memory_image = nullptr;
	const char *pidfile = nullptr;
	std::vector<std::string> environment;
	const char *root = nullptr;
	std::string name = "minivk";
	bool name_given = false;
	const char *image = nullptr;	// null: NAME.ckpt
	bool continue_after = false;
	const char *console = "stdio";
	bool console_given = false;
	std::vector<const char *> program;
	const char *thaw = nullptr;
	std::vector<const char *> overrides;
	bool dry_run = false, json = false;
	uint32_t lazy = 0;		// enum vkckpt_lazy
	const char *clone = nullptr;	// "": a name is made
	const char *seal_to = nullptr, *seal_key = nullptr;	// files, or "fd:N"
	bool no_seal = false;
	const char *key = nullptr;
	int passphrase_fd = kNoPassphrase;			// -1: asked for on the terminal
	const char *signed_by = nullptr, *signature = nullptr;
	uint32_t workers = 0, codec = 0, level = 0;	// as in struct vkckpt_config
	uint64_t quiesce_timeout_ns = 0;
	uint32_t chain = 0;			// likewise
	bool chain_given = false;
	const char *parent = nullptr;
	const char *cpu_mask = nullptr;	// as vkckpt_cpu_parse takes it
	uint64_t test_at_trap = 0, test_every = 0;	// hidden, for tests
	bool test_cpuid = false;
};

// Ends the process for --help and --version (status 0) and for misuse (status 2, with what is wrong and what is right).
Options parse_options(int argc, char **argv);

// An image's name on the command line: "-" or "fd:N", not a path.
bool is_descriptor(const char *image);
// False, and a message: not all of what was printed to standard output could be written.
bool flush_output();

}  // namespace minivk
#endif
