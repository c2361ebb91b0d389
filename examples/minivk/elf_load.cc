// ELF files: their segments become mappings of the file; what lies beyond the file's bytes is zero.
#include "elf_load.h"

#include <cerrno>
#include <cstring>
#include <elf.h>
#include <sys/mman.h>

namespace minivk {
namespace {

constexpr uint64_t kPieBase = 0x555555554000, kInterpreterBase = 0x7fff00000000;
constexpr unsigned kMaxHeaders = 64;

uint64_t page_down(uint64_t n) { return n & ~(kPage - 1); }
uint64_t page_up(uint64_t n) { return page_down(n + kPage - 1); }

struct ElfFile {
	Elf64_Ehdr header;
	Elf64_Phdr segment[kMaxHeaders];
};

long read_headers(Inode &inode, ElfFile *f)
{
	if (!read_inode(inode, 0, &f->header, sizeof f->header))
		return -ENOEXEC;
	const Elf64_Ehdr &h = f->header;
	if (memcmp(h.e_ident, ELFMAG, SELFMAG) != 0 || h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_machine != EM_X86_64
	    || (h.e_type != ET_EXEC && h.e_type != ET_DYN) || h.e_phentsize != sizeof(Elf64_Phdr) || h.e_phnum == 0
	    || h.e_phnum > kMaxHeaders)
		return -ENOEXEC;
	return read_inode(inode, h.e_phoff, f->segment, h.e_phnum * sizeof(Elf64_Phdr)) ? 0 : -ENOEXEC;
}

uint32_t prot_of(const Elf64_Phdr &s)
{
	return (s.p_flags & PF_R ? 1 : 0) | (s.p_flags & PF_W ? 2 : 0) | (s.p_flags & PF_X ? 4 : 0);
}

long map_segment(AddressSpace &as, Inode &inode, const Elf64_Phdr &s, uint64_t base)
{
	if (s.p_filesz > s.p_memsz || s.p_vaddr % kPage != s.p_offset % kPage || s.p_memsz > VM_MAX_USER_ADDRESS)
		return -ENOEXEC;
	const uint64_t start = page_down(base + s.p_vaddr), file_end = base + s.p_vaddr + s.p_filesz;
	const uint64_t end = base + s.p_vaddr + s.p_memsz;
	if (s.p_filesz) {
		long r = as.map(start, file_end - start, prot_of(s), MAP_PRIVATE | MAP_FIXED, Ref<Inode>(&inode),
		    page_down(s.p_offset));
		if (r < 0)
			return r;
	}
	uint64_t zero_from = s.p_filesz ? page_up(file_end) : start;
	if (page_up(end) > zero_from) {
		long r = as.map(zero_from, page_up(end) - zero_from, prot_of(s), MAP_PRIVATE | MAP_FIXED, {}, 0);
		if (r < 0)
			return r;
	}
	// The rest of the last page of the file is the file's; it has to be zero where the program has memory there.
	if (s.p_filesz && end > file_end && file_end % kPage && (s.p_flags & PF_W)) {
		uint64_t rest = std::min(page_up(file_end), end) - file_end;
		char *p = as.touch(file_end, Access::kWrite);
		if (!p)
			return -ENOMEM;
		memset(p, 0, rest);
	}
	return 0;
}

long map_file(AddressSpace &as, Inode &inode, const ElfFile &f, uint64_t base, LoadedProgram *out)
{
	for (unsigned i = 0; i < f.header.e_phnum; i++) {
		const Elf64_Phdr &s = f.segment[i];
		if (s.p_type != PT_LOAD)
			continue;
		if (long r = map_segment(as, inode, s, base); r < 0)
			return r;
		if (s.p_offset <= f.header.e_phoff && f.header.e_phoff < s.p_offset + s.p_filesz)
			out->header_address = base + s.p_vaddr + f.header.e_phoff - s.p_offset;
		out->end = std::max(out->end, page_up(base + s.p_vaddr + s.p_memsz));
	}
	out->program_entry = out->entry = base + f.header.e_entry;
	out->header_count = f.header.e_phnum;
	return 0;
}

long load_interpreter(Thread &t, AddressSpace &as, Inode &program, const Elf64_Phdr &s, LoadedProgram *out)
{
	char path[4096];
	if (s.p_filesz == 0 || s.p_filesz > sizeof path || !read_inode(program, s.p_offset, path, s.p_filesz)
	    || path[s.p_filesz - 1])
		return -ENOEXEC;
	Ref<Inode> inode;
	if (long r = vfs_lookup(t, -100, path, true, &inode); r < 0)
		return r;
	ElfFile f;
	LoadedProgram interpreter;
	long r = read_headers(*inode, &f);
	if (r == 0)
		r = map_file(as, *inode, f, f.header.e_type == ET_DYN ? kInterpreterBase : 0, &interpreter);
	out->entry = interpreter.entry;
	out->interpreter_base = f.header.e_type == ET_DYN ? kInterpreterBase : 0;
	return r;
}

}  // namespace

bool read_inode(Inode &inode, uint64_t offset, void *to, size_t bytes)
{
	if (inode.kind != InodeKind::kFile || offset > inode.size() || bytes > inode.size() - offset)
		return false;
	for (char *at = static_cast<char *>(to); bytes;) {
		size_t in_page = offset % kPage, n = std::min<size_t>(bytes, kPage - in_page);
		Frame f = inode.page(offset / kPage, false);
		if (f == kNoFrame)
			memset(at, 0, n);
		else
			memcpy(at, static_cast<char *>(frame_ptr(f)) + in_page, n);
		at += n, offset += n, bytes -= n;
	}
	return true;
}

long elf_load(Thread &t, AddressSpace &as, Inode &inode, LoadedProgram *out)
{
	ElfFile f;
	long r = read_headers(inode, &f);
	if (r == 0)
		r = map_file(as, inode, f, f.header.e_type == ET_DYN ? kPieBase : 0, out);
	for (unsigned i = 0; r == 0 && i < f.header.e_phnum; i++)
		if (f.segment[i].p_type == PT_INTERP)
			r = load_interpreter(t, as, inode, f.segment[i], out);
	return r;
}

}  // namespace minivk
