// SPDX-License-Identifier: GPL-2.0
/*
 * Host side: which memory of this program outside RAM belongs to the kernel: its writable segments, less the words that are the dynamic
 * linker's in this very process (.dynamic, the GOT, copy relocations such as stdout). Nothing else of libc lies in them.
 */
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdio.h>
#include <sys/auxv.h>
#include "vkckpt_int.h"

#define VK_MAX_HOLES 64

struct vk_hole { unsigned long start, end; };

extern char _edata[];

static int vk_phdrs(const ElfW(Phdr) **ph)
{
	*ph = (const void *)getauxval(AT_PHDR);
	return getauxval(AT_PHNUM);
}

static void vk_hole(struct vk_hole *holes, int *n, unsigned long start, unsigned long bytes)
{
	int i, k;

	for (i = 0; i < *n; i++)
		if (start <= holes[i].end && holes[i].start <= start + bytes) {
			if (start < holes[i].start)
				holes[i].start = start;
			if (start + bytes > holes[i].end)
				holes[i].end = start + bytes;
			return;
		}
	if (*n == VK_MAX_HOLES)
		return;		/* one more than there are regions: refused below */
	for (i = 0; i < *n && holes[i].start < start; i++)
		;
	for (k = *n; k > i; k--)
		holes[k] = holes[k - 1];
	holes[i].start = start;
	holes[i].end = start + bytes;
	(*n)++;
}

/* .dynamic, the GOT with what lies between it and _edata, and every target of a dynamic relocation (copies such as stdout) */
static int vk_linker_words(struct vk_hole *holes)
{
	const ElfW(Phdr) *ph;
	const ElfW(Dyn) *dyn = NULL;
	const ElfW(Sym) *sym = NULL;
	const ElfW(Rela) *rel[2] = { NULL, NULL };
	unsigned long relsz[2] = { 0, 0 }, got = 0, r;
	int i, n = 0, count = vk_phdrs(&ph);

	for (i = 0; i < count; i++)
		if (ph[i].p_type == PT_DYNAMIC) {
			dyn = (const void *)ph[i].p_vaddr;
			vk_hole(holes, &n, ph[i].p_vaddr, ph[i].p_memsz);
		}
	for (; dyn && dyn->d_tag != DT_NULL; dyn++)
		switch (dyn->d_tag) {
		case DT_RELA: rel[0] = (const void *)dyn->d_un.d_ptr; break;
		case DT_RELASZ: relsz[0] = dyn->d_un.d_val; break;
		case DT_JMPREL: rel[1] = (const void *)dyn->d_un.d_ptr; break;
		case DT_PLTRELSZ: relsz[1] = dyn->d_un.d_val; break;
		case DT_SYMTAB: sym = (const void *)dyn->d_un.d_ptr; break;
		case DT_PLTGOT: got = dyn->d_un.d_ptr; break;
		}
	if (got && got < (unsigned long)_edata)
		vk_hole(holes, &n, got, (unsigned long)_edata - got);
	for (i = 0; i < 2; i++)
		for (r = 0; r < relsz[i] / sizeof(ElfW(Rela)); r++) {
			const ElfW(Rela) *e = &rel[i][r];
			int copy = ELF64_R_TYPE(e->r_info) == R_X86_64_COPY;

			vk_hole(holes, &n, e->r_offset, copy ? sym[ELF64_R_SYM(e->r_info)].st_size : 8);
		}
	return n;
}

int vk_regions(struct vkckpt_region *out, char (*names)[16])
{
	static struct vk_hole holes[VK_MAX_HOLES];
	const ElfW(Phdr) *ph;
	int count = vk_phdrs(&ph), nholes = vk_linker_words(holes), i, h, n = 0;

	if (nholes == VK_MAX_HOLES)
		return -ENOBUFS;
	for (i = 0; i < count; i++) {
		unsigned long at = ph[i].p_vaddr, end = at + ph[i].p_memsz;

		if (ph[i].p_type != PT_LOAD || !(ph[i].p_flags & PF_W))
			continue;
		for (h = 0; h <= nholes; h++) {
			unsigned long stop = h < nholes ? holes[h].start : end;

			if (h < nholes && (holes[h].end <= at || holes[h].start >= end))
				continue;
			if (stop > at) {
				if (n == VKCKPT_MAX_REGIONS)
					return -ENOBUFS;
				snprintf(names[n], sizeof(names[n]), "data%d", n);
				out[n].name = names[n];
				out[n].address = (void *)at;
				out[n].size_bytes = stop - at;
				n++;
			}
			at = h < nholes ? holes[h].end : end;
		}
	}
	return n;
}
