/*
 * A page fault of the guest: walk the vpagetable, map what it says. The host's mappings are a cache of the vpagetable,
 * filled here and emptied by INVAL, SETMAP and munmap. The walk and the map are one step under the map lock, so that an
 * INVAL that follows a change of a vpte finds either no mapping or one that it removes.
 */
#include <errno.h>
#include <sys/mman.h>

#include "vkernel-hooks/linux/internal.h"

namespace vmspace {
namespace {

/* A fault costs two switches of task, a further page in the same order very little. */
constexpr unsigned kFaultAroundPages = 16;
/* Of a superpage so much is mapped at once: one host mapping, filled by the host kernel on demand. */
constexpr uint64_t kSuperpageRunPages = 512;

uint32_t protection(const Page &page) {
	return PROT_READ | (page.writable ? PROT_WRITE : 0) | (page.executable ? PROT_EXEC : 0);
}

Order page_order(uint64_t address, const Page &page, int mapping_prot) {
	uint32_t prot = protection(page);
	if ((mapping_prot & PROT_EXEC) == 0)
		prot &= ~static_cast<uint32_t>(PROT_EXEC);
	return {address, kPageBytes, prot, MAP_SHARED | MAP_FIXED | MAP_POPULATE, page.frame};
}

/* The aligned run around `address` below one superpage leaf, cut to the mapping and to RAM. */
Order superpage_order(const Mapping &mapping, uint64_t address, uint64_t page_index, const Page &page) {
	uint64_t before = (page_index % kSuperpageRunPages) * kPageBytes;
	uint64_t after = kSuperpageRunPages * kPageBytes - before;
	if (before > address - mapping.start)
		before = address - mapping.start;
	if (after > mapping.end - address)
		after = mapping.end - address;
	if (after > host.ram_bytes - page.frame)
		after = host.ram_bytes - page.frame;
	Order order = page_order(address - before, page, mapping.prot);
	order.length = before + after;
	order.ram_offset = page.frame - before;
	order.map_flags = MAP_SHARED | MAP_FIXED;	/* not populated: it could be RAM that nobody has touched */
	return order;
}

/*
 * The pages that follow, as far as they could be mapped without setting a bit: A and M stay true. Adjacent frames become
 * one order, because every host mapping counts against vm.max_map_count.
 */
unsigned add_neighbours(const Mapping &mapping, uint64_t address, uint64_t page_index, Order *orders) {
	const Ram ram = {host.ram, host.ram_bytes};
	unsigned count = 1;
	for (unsigned i = 1; i < kFaultAroundPages; i++) {
		const uint64_t next = address + i * kPageBytes;
		Page page;
		if (next >= mapping.end
		    || !walk(ram, mapping.root, page_index + i, Access::kRead, Marking::kPeek, &page) || page.shift != 0)
			break;
		const Order order = page_order(next, page, mapping.prot);
		Order &last = orders[count - 1];
		if (order.prot == last.prot && order.ram_offset == last.ram_offset + last.length)
			last.length += kPageBytes;
		else
			orders[count++] = order;
	}
	return count;
}

Fault map_page(Vmspace &vm, uint64_t address, Access access, int *error) {
	const Mapping *mapping = find_mapping(vm, address);
	if (mapping == nullptr || (access == Access::kExecute && (mapping->prot & PROT_EXEC) == 0))
		return Fault::kForVkernel;
	const Ram ram = {host.ram, host.ram_bytes};
	const uint64_t page_index = (address - mapping->start + mapping->offset) >> kPageShift;
	Page page;
	if (!walk(ram, mapping->root, page_index, access, Marking::kMark, &page))
		return Fault::kForVkernel;

	Order orders[kFaultAroundPages];
	unsigned count = 1;
	if (page.shift > 0) {
		orders[0] = superpage_order(*mapping, address, page_index, page);
	} else {
		orders[0] = page_order(address, page, mapping->prot);
		count = add_neighbours(*mapping, address, page_index, orders);
	}
	for (unsigned i = 0; host.fill != nullptr && i < count; i++)
		host.fill(host.fill_arg, orders[i].ram_offset, orders[i].length);
	Stub &stub = *vm.stub.load();
	*error = give_orders(stub, orders, count);
	if (*error == ENOMEM) {		/* too many host mappings (vm.max_map_count): forget them all, once */
		*error = unmap_range(vm, 0, VM_MAX_USER_ADDRESS);
		if (*error == 0)
			*error = give_orders(stub, orders, count);
	}
	return *error == 0 ? Fault::kMapped : Fault::kFailed;
}

}  // namespace

Fault resolve_fault(Vmspace &vm, uint64_t address, Access access, int *error) {
	if (address >= VM_MAX_USER_ADDRESS)
		return Fault::kForVkernel;
	pthread_mutex_lock(&vm.map_lock);
	const Fault result = map_page(vm, address & ~(kPageBytes - 1), access, error);
	pthread_mutex_unlock(&vm.map_lock);
	return result;
}

}  // namespace vmspace
