// The page-table formats that images name. Bits are those of the systems' headers, literal because an image outlives a header.
#include "lib/walk.h"

namespace vk {
namespace {

// DragonFly, sys/vkernel.h since April 2017: V 1, RW 2, U 4, A 0x20, M 0x40, PS 0x80, NX 0x800; four levels of 512. The root given by
// MADV_SETMAP is itself a vpte; V, RW and NX are tested in every entry on the way; PS maps directly at any level, from 2 MiB
// below the last table up to the root, which then maps the segment linearly. The frame is not masked by the superpage's size:
// vm_fault adds the index to it, so a superpage may begin at any frame.
constexpr PageTableFormat kDragonFly = {
	.name = "dragonfly",
	.id = VKCKPT_PT_DRAGONFLY,
	.levels = 4,
	.superpage_levels = 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5,
	.root_is_entry = true,
	.rights_at_every_level = true,
	.table_valid = 0x001,
	.leaf_valid = 0x001,
	.no_access = 0,
	.writable = 0x002,
	.execute_bit = 0x800,
	.execute_bit_forbids = true,
	.accessed = 0x020,
	.modified = 0x040,
	.superpage = 0x080,
	.frame_mask = 0x000ffffffffff000,
};

// User Mode Linux 6.1 on x86-64, arch/um/include/asm/pgtable{,-3level}.h: PRESENT 1, NEWPAGE 2, NEWPROT 4, PROTNONE 0x10, RW 0x20,
// USER 0x40, ACCESSED 0x80, DIRTY 0x100; three levels of 512, no superpages. A pte without PRESENT and PROTNONE is a swap
// entry. Whoever may read may execute. The root is the address of the top table in physical memory; only the pte's rights count.
constexpr PageTableFormat kUml = {
	.name = "uml-x86_64",
	.id = VKCKPT_PT_UML_X86_64,
	.levels = 3,
	.superpage_levels = 0,
	.root_is_entry = false,
	.rights_at_every_level = false,
	.table_valid = 0x001,
	.leaf_valid = 0x011,
	.no_access = 0x010,
	.writable = 0x020,
	.execute_bit = 0x040,
	.execute_bit_forbids = false,
	.accessed = 0x080,
	.modified = 0x100,
	.superpage = 0,
	.frame_mask = 0x000ffffffffff000,
};

}  // namespace

const PageTableFormat *pagetable_format(uint32_t id)
{
	if (id == kDragonFly.id)
		return &kDragonFly;
	if (id == kUml.id)
		return &kUml;
	return nullptr;
}

}  // namespace vk
