/* The MAP_VPAGETABLE mappings of a vmspace: a sorted list, because a vkernel makes one or two of them per vmspace. */
#include <errno.h>
#include <stdlib.h>

#include "vkernel-hooks/linux/internal.h"

namespace vmspace {
namespace {

/* Makes `address` a boundary between two mappings if it lies inside one. */
int clip_at(Vmspace &vm, uint64_t address) {
	for (Mapping *m = vm.mappings; m != nullptr; m = m->next) {
		if (address <= m->start || address >= m->end)
			continue;
		Mapping *upper = static_cast<Mapping *>(malloc(sizeof *upper));
		if (upper == nullptr)
			return ENOMEM;
		*upper = *m;
		upper->offset += address - m->start;
		upper->start = address;
		m->end = address;
		m->next = upper;
		return 0;
	}
	return 0;
}

int clip_range(Vmspace &vm, uint64_t start, uint64_t end) {
	const int error = clip_at(vm, start);
	return error != 0 ? error : clip_at(vm, end);
}

}  // namespace

const Mapping *find_mapping(const Vmspace &vm, uint64_t address) {
	for (const Mapping *m = vm.mappings; m != nullptr && m->start <= address; m = m->next)
		if (address < m->end)
			return m;
	return nullptr;
}

int remove_mappings(Vmspace &vm, uint64_t start, uint64_t end) {
	if (const int error = clip_range(vm, start, end); error != 0)
		return error;
	for (Mapping **link = &vm.mappings; *link != nullptr;) {
		Mapping *m = *link;
		if (m->start >= start && m->end <= end) {
			*link = m->next;
			free(m);
		} else {
			link = &m->next;
		}
	}
	return 0;
}

int add_mapping(Vmspace &vm, const Mapping &mapping) {
	Mapping *added = static_cast<Mapping *>(malloc(sizeof *added));
	if (added == nullptr)
		return ENOMEM;
	if (const int error = remove_mappings(vm, mapping.start, mapping.end); error != 0) {
		free(added);
		return error;
	}
	Mapping **link = &vm.mappings;
	while (*link != nullptr && (*link)->start < mapping.start)
		link = &(*link)->next;
	*added = mapping;
	added->next = *link;
	*link = added;
	return 0;
}

int set_roots(Vmspace &vm, uint64_t start, uint64_t end, vpte_t root) {
	if (const int error = clip_range(vm, start, end); error != 0)
		return error;
	for (Mapping *m = vm.mappings; m != nullptr; m = m->next)
		if (m->start >= start && m->end <= end)
			m->root = root;
	return 0;
}

bool find_space(const Vmspace &vm, uint64_t length, uint64_t *start) {
	uint64_t candidate = 16 * kPageBytes;	/* above any vm.mmap_min_addr */
	for (const Mapping *m = vm.mappings; m != nullptr; m = m->next) {
		if (m->start > candidate && m->start - candidate >= length)
			break;
		if (m->end > candidate)
			candidate = m->end;
	}
	*start = candidate;
	return candidate < VM_MAX_USER_ADDRESS && VM_MAX_USER_ADDRESS - candidate >= length;
}

void free_mappings(Vmspace &vm) {
	while (vm.mappings != nullptr) {
		Mapping *m = vm.mappings;
		vm.mappings = m->next;
		free(m);
	}
}

}  // namespace vmspace
