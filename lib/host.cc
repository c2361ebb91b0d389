// Facts about this host and this process, read from /proc. ARM or THAW.
#include "lib/export.h"
#include "lib/host.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "lib/cpu.h"
#include "lib/sys.h"
#include "lib/text.h"

namespace vk {
namespace {

// A small file as a text; false: it cannot be read.
bool read_small(const char *path, char *out, size_t room)
{
	long fd = sys_open(path, O_RDONLY);
	if (fd < 0)
		return false;
	long got = read_all((int)fd, out, room - 1);
	sys_close((int)fd);
	out[got < 0 ? 0 : got] = 0;
	return got >= 0;
}

int hex_digit(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

uint64_t number_at(const char *p)
{
	uint64_t n = 0;
	while (*p >= '0' && *p <= '9')
		n = n * 10 + (uint64_t)(*p++ - '0');
	return n;
}

// The number behind `key` at the beginning of a line.
bool find_value(const char *text, const char *key, uint64_t *out)
{
	for (const char *p = text; *p;) {
		if (text_starts(p, key)) {
			for (p += text_length(key); *p == ' '; p++)
				;
			*out = number_at(p);
			return true;
		}
		while (*p && *p++ != '\n')
			;
	}
	return false;
}

// Control groups of version 2 and of version 1: where they are, and what their files are called.
struct GroupFiles {
	const char *controller, *top, *limit, *used, *swap_limit, *swap_used;
	const char *returned[3];	// what the kernel takes back from them before it gives up
};
constexpr GroupFiles kGroupFiles[] = {
	{ "", "/sys/fs/cgroup", "/memory.max", "/memory.current", "/memory.swap.max", "/memory.swap.current",
	    { "active_file ", "inactive_file ", "slab_reclaimable " } },
	{ "memory", "/sys/fs/cgroup/memory", "/memory.limit_in_bytes", "/memory.usage_in_bytes", "/memory.memsw.limit_in_bytes",
	    "/memory.memsw.usage_in_bytes", { "total_active_file ", "total_inactive_file ", "" } },
};

constexpr uint64_t kNoLimit = 1ull << 60;	// version 1 says 2^63 less a page

// This process' group in the hierarchy of a controller ("": version 2), out of lines "N:CONTROLLERS:GROUP".
bool group_of(const char *text, const char *controller, char *out, size_t room)
{
	for (const char *line = text; *line;) {
		const char *end = line, *names = nullptr, *group = nullptr;
		bool listed = false;
		for (; *end && *end != '\n'; end++) {
			if (*end == ':' && !group)
				(names ? group : names) = end + 1;
			if (names && !group && (end + 1 == names || *end == ','))
				listed = listed || (text_starts(end + 1, controller) && (end[1 + text_length(controller)] == ',' ||
				    end[1 + text_length(controller)] == ':'));
		}
		if (group && listed) {
			Text(out, room).add(group, (size_t)(end - group));
			return true;
		}
		line = *end ? end + 1 : end;
	}
	return false;
}

// False: no such file, or no number in it ("max").
bool group_number(const char *folder, const char *file, uint64_t *out)
{
	char path[1280], text[64];
	Text(path, sizeof path).add(folder).add(file);
	if (!read_small(path, text, sizeof text) || *text < '0' || *text > '9')
		return false;
	*out = number_at(text);
	return true;
}

// What one group leaves: its limit, without what is used of it and not given back, and what may go to swap. ~0: it has no limit.
uint64_t group_room(const GroupFiles &files, const char *folder)
{
	uint64_t limit, used, swap = 0, swap_limit, swap_used, part;
	if (!group_number(folder, files.limit, &limit) || limit > kNoLimit || !group_number(folder, files.used, &used))
		return ~0ull;
	char path[1280], text[8192];
	Text(path, sizeof path).add(folder).add("/memory.stat");
	if (read_small(path, text, sizeof text))
		for (const char *key : files.returned)
			if (*key && find_value(text, key, &part))
				used -= part < used ? part : used;
	if (read_small("/proc/meminfo", text, sizeof text) && find_value(text, "SwapFree:", &swap))
		swap <<= 10;
	if (group_number(folder, files.swap_limit, &swap_limit) && group_number(folder, files.swap_used, &swap_used)) {
		part = swap_limit > swap_used ? swap_limit - swap_used : 0;
		swap = part < swap ? part : swap;
	}
	return (limit > used ? limit - used : 0) + swap;
}

// The running program's headers, as the kernel told it.
struct Program {
	const Elf64_Phdr *head = nullptr;
	uint64_t count = 0;
	uint64_t bias = 0;
};

Program running_program()
{
	Program program;
	Elf64_auxv_t aux[64];
	long fd = sys_open("/proc/self/auxv", O_RDONLY);
	if (fd < 0)
		return program;
	long got = read_all((int)fd, aux, sizeof aux);
	sys_close((int)fd);
	for (size_t i = 0; got > 0 && i < (size_t)got / sizeof aux[0]; i++) {
		if (aux[i].a_type == AT_PHDR)
			program.head = reinterpret_cast<const Elf64_Phdr *>(aux[i].a_un.a_val);
		if (aux[i].a_type == AT_PHNUM)
			program.count = aux[i].a_un.a_val;
	}
	if (!program.head)
		program.count = 0;
	for (uint64_t i = 0; i < program.count; i++)
		if (program.head[i].p_type == PT_PHDR) {
			program.bias = (uint64_t)program.head - program.head[i].p_vaddr;
			return program;
		}
	// A static program has no PT_PHDR. Its headers are loaded with the start of the file, where they follow the ELF header.
	for (uint64_t i = 0; i < program.count; i++)
		if (program.head[i].p_type == PT_LOAD && program.head[i].p_offset == 0)
			program.bias = (uint64_t)program.head - sizeof(Elf64_Ehdr) - program.head[i].p_vaddr;
	return program;
}

// The note's bytes, or 0.
size_t build_id_of_notes(const uint8_t *notes, size_t bytes, uint8_t *out, size_t room)
{
	while (bytes >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr head;
		memcpy(&head, notes, sizeof head);
		size_t name = (head.n_namesz + 3u) & ~3u, size = (head.n_descsz + 3u) & ~3u;
		if (sizeof head + name + size > bytes)
			return 0;
		if (head.n_type == NT_GNU_BUILD_ID && head.n_namesz == 4 && !memcmp(notes + sizeof head, "GNU", 4)) {
			size_t count = head.n_descsz < room ? head.n_descsz : room;
			memcpy(out, notes + sizeof head + name, count);
			return count;
		}
		notes += sizeof head + name + size;
		bytes -= sizeof head + name + size;
	}
	return 0;
}

}  // namespace

void host_boot_id(uint8_t out[16])
{
	char text[64];
	memset(out, 0, 16);
	if (!read_small("/proc/sys/kernel/random/boot_id", text, sizeof text))
		return;
	unsigned nibble = 0;
	for (const char *p = text; *p && nibble < 32; p++)
		if (int d = hex_digit(*p); d >= 0) {
			out[nibble / 2] = (uint8_t)(out[nibble / 2] << 4 | d);
			nibble++;
		}
}

Status host_facts(struct vkckpt_f_host *out)
{
	memset(out, 0, sizeof *out);
	cpu_facts(out);
	out->page_bytes = VKCKPT_FRAME;	// x86-64 has no other
	host_boot_id(out->boot_id);
	struct utsname name;
	if (long r = sys_uname(&name); r < 0)
		return fail_host((int)-r, "arm: uname");
	Text(out->system, sizeof out->system).add(name.sysname).add(" ").add(name.release);
	return success();
}

uint64_t host_memory_available()
{
	char text[4096];
	uint64_t kib = 0;
	return read_small("/proc/meminfo", text, sizeof text) && find_value(text, "MemAvailable:", &kib) ? kib << 10 : ~0ull;
}

// Both kinds of control groups: the limit of each group counts, up to the top; in a container that is the group of the container, whatever
// /proc/self/cgroup calls it.
uint64_t group_memory_available()
{
	char text[4096], group[1024], folder[1200];
	uint64_t least = ~0ull;
	if (!read_small("/proc/self/cgroup", text, sizeof text))
		return least;
	for (const GroupFiles &files : kGroupFiles) {
		if (!group_of(text, files.controller, group, sizeof group))
			continue;
		for (size_t length = text_length(group);; length--) {
			if (length > 0 && group[length] != 0 && group[length] != '/')
				continue;
			Text(folder, sizeof folder).add(files.top).add(group, length);
			if (uint64_t room = group_room(files, folder); room < least)
				least = room;
			if (length == 0)
				break;
		}
	}
	return least;
}

uint64_t process_start_time()
{
	char text[1024];
	if (!read_small("/proc/self/stat", text, sizeof text))
		return 0;
	const char *p = nullptr;
	for (const char *q = text; *q; q++)	// the program's name may contain blanks and brackets
		if (*q == ')')
			p = q;
	for (int field = 2; p && field < 22; field++) {
		while (*p && *p != ' ')
			p++;
		while (*p == ' ')
			p++;
	}
	return p ? number_at(p) : 0;
}

size_t program_build_id(uint8_t *out, size_t room)
{
	Program program = running_program();
	for (uint64_t i = 0; i < program.count; i++) {
		const Elf64_Phdr &h = program.head[i];
		if (h.p_type != PT_NOTE)
			continue;
		const uint8_t *notes = reinterpret_cast<const uint8_t *>(h.p_vaddr + program.bias);
		if (size_t n = build_id_of_notes(notes, h.p_memsz, out, room))
			return n;
	}
	return 0;
}

bool program_is_relocated() { return running_program().bias != 0; }

bool program_owns(uint64_t address, uint64_t bytes)
{
	Program program = running_program();
	for (uint64_t i = 0; i < program.count; i++) {
		const Elf64_Phdr &h = program.head[i];
		uint64_t start = h.p_vaddr + program.bias;
		if (h.p_type == PT_LOAD && (h.p_flags & PF_W) && address >= start && bytes <= h.p_memsz &&
		    address - start <= h.p_memsz - bytes)
			return true;
	}
	return false;
}

bool start_environment(const char *name, char *out, size_t room)
{
	long fd = sys_open("/proc/self/environ", O_RDONLY);
	if (fd < 0)
		return false;
	size_t length = text_length(name), at = 0;
	bool matches = true, found = false, fits = true;
	char buffer[1024];
	// Entry by entry, a character at a time: an environment may be larger than any buffer here.
	size_t value = 0;
	for (long got; !found && (got = sys_read((int)fd, buffer, sizeof buffer)) > 0;)
		for (long i = 0; i < got && !found; i++) {
			char c = buffer[i];
			if (c == 0) {
				found = matches && at > length;
				if (!found)
					at = 0, value = 0, matches = fits = true;
				continue;
			}
			if (at < length)
				matches = matches && c == name[at];
			else if (at == length)
				matches = matches && c == '=';
			else if (matches && value + 1 < room)
				out[value++] = c;
			else
				fits = false;
			at++;
		}
	sys_close((int)fd);
	if (!found || !fits)
		return false;
	out[value] = 0;
	return true;
}

}  // namespace vk

VK_EXPORT size_t vkckpt_build_id(void *out, size_t room) { return vk::program_build_id(static_cast<uint8_t *>(out), room); }
