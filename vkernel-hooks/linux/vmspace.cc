/* The public calls with DragonFly's names: arguments, ids and errnos; the work is done elsewhere. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <new>

#include "vkernel-hooks/linux/internal.h"

namespace vmspace {
namespace {

int result_of(int error) {
	if (error == 0)
		return 0;
	errno = error;
	return -1;
}

bool page_aligned(uint64_t value) { return value % kPageBytes == 0; }

uint64_t round_up(uint64_t value) { return (value + kPageBytes - 1) & ~(kPageBytes - 1); }

/* A range of whole pages inside the guest's addresses; `end` is rounded up. */
int check_range(const void *address, size_t length, uint64_t *start, uint64_t *end) {
	*start = reinterpret_cast<uint64_t>(address);
	if (*start > VM_MAX_USER_ADDRESS || length > VM_MAX_USER_ADDRESS - *start)
		return EINVAL;
	*end = round_up(*start + length);
	*start &= ~(kPageBytes - 1);
	return 0;
}

int acquire(void *id, Vmspace **vm) {
	if (!host_ready())
		return EINVAL;
	*vm = table_acquire(id);
	return *vm == nullptr ? ENOENT : 0;
}

/* Whether the descriptors of one more stub, and of those that are still to be made, would be within the limit. */
bool room_for_descriptors() {
	constexpr rlim_t kOthers = 64;	/* the vkernel's own, roughly */
	rlimit limit;
	const rlim_t each = host.vcpu_count + 4;
	return getrlimit(RLIMIT_NOFILE, &limit) != 0 || (table_count() + 1) * each + kOthers <= limit.rlim_cur;
}

enum class Stubs { kNow, kLater };

int create(void *id, Stubs when) {
	if (!host_ready())
		return EOPNOTSUPP;
	if (when == Stubs::kLater && !room_for_descriptors())
		return EMFILE;
	if (Vmspace *existing = table_acquire(id)) {	/* before a stub is used up for nothing */
		table_release(existing);
		return EEXIST;
	}
	void *memory = malloc(sizeof(Vmspace));
	if (memory == nullptr)
		return ENOMEM;
	Vmspace *vm = new (memory) Vmspace{};
	vm->id = id;
	pthread_mutex_init(&vm->map_lock, nullptr);
	Stub *stub;
	int error = when == Stubs::kNow ? find_stub(*vm, &stub) : 0;
	if (error == 0)
		error = table_add(vm);
	if (error != 0)
		end_vmspace(vm);
	return error;
}

int map(Vmspace &vm, void *address, size_t length, int prot, int flags, int fd, off_t offset, uint64_t *mapped) {
	constexpr int kNeeded = DF_MAP_VPAGETABLE | DF_MAP_SHARED;
	if ((flags & ~DF_MAP_FIXED) != kNeeded || fd != host.callers_ram_fd || length == 0
	    || (prot & (PROT_READ | PROT_WRITE)) != (PROT_READ | PROT_WRITE)
	    || (prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC)) != 0 || !page_aligned(static_cast<uint64_t>(offset)))
		return EINVAL;
	uint64_t start, end;
	if (const int error = check_range(address, length, &start, &end); error != 0)
		return error;
	if ((flags & DF_MAP_FIXED) != 0) {
		if (!page_aligned(reinterpret_cast<uint64_t>(address)))
			return EINVAL;
	} else {
		if (!find_space(vm, end - start, &start))
			return ENOMEM;
		end = start + round_up(length);
	}
	*mapped = start;
	const Mapping mapping = {start, end, static_cast<uint64_t>(offset), 0, prot, nullptr};
	const int error = add_mapping(vm, mapping);
	return error != 0 ? error : unmap_range(vm, start, end);
}

int control(Vmspace &vm, uint64_t start, uint64_t end, int behaviour, vpte_t value) {
	int error = 0;
	if (behaviour == DF_MADV_SETMAP)
		error = set_roots(vm, start, end, value);
	if (error == 0 && (behaviour == DF_MADV_SETMAP || behaviour == DF_MADV_INVAL))
		error = unmap_range(vm, start, end);
	return error;
}

int run(void *id, int command, trapframe *tf, vextframe *vf, void *xsave) {
	Vmspace *vm;
	int error = acquire(id, &vm);
	if (error != 0)
		return error;
	const int vcpu = this_vcpu();
	if (command != VMSPACE_CTL_RUN)
		error = EOPNOTSUPP;
	else if (tf == nullptr || vf == nullptr)
		error = EFAULT;
	else if (vcpu < 0)
		error = EINVAL;
	else
		error = run_vmspace(*vm, static_cast<unsigned>(vcpu), tf, vf, xsave);
	table_release(vm);
	return error;
}

}  // namespace

int find_stub(Vmspace &vm, Stub **found) {
	int error = 0;
	Stub *stub = vm.stub.load();
	if (stub == nullptr) {
		pthread_mutex_lock(&vm.map_lock);
		stub = vm.stub.load();	/* another vCPU may have been first */
		if (stub == nullptr)
			error = spawner_take(&stub);
		if (error == 0)
			vm.stub.store(stub);
		pthread_mutex_unlock(&vm.map_lock);
	}
	*found = stub;
	return error;
}

void end_vmspace(Vmspace *vm) {
	if (Stub *stub = vm->stub.load(); stub != nullptr) {
		wait_for_kickers();
		stub_end(stub);
	}
	free_mappings(*vm);
	pthread_mutex_destroy(&vm->map_lock);
	free(vm);
}

}  // namespace vmspace

using namespace vmspace;

int vmspace_create(void *id, int, void *) { return result_of(create(id, Stubs::kNow)); }

int vmspace_host_create_later(void *id) { return result_of(create(id, Stubs::kLater)); }

int vmspace_destroy(void *id) {
	Vmspace *vm;
	const int error = host_ready() ? table_remove(id, &vm) : EINVAL;
	if (error == 0)
		end_vmspace(vm);
	return result_of(error);
}

int vmspace_ctl(void *id, int command, trapframe *tf, vextframe *vf) {
	return result_of(run(id, command, tf, vf, nullptr));
}

int vmspace_host_run(void *id, trapframe *tf, vextframe *vf, void *xsave) {
	return result_of(run(id, VMSPACE_CTL_RUN, tf, vf, xsave));
}

void *vmspace_mmap(void *id, void *address, size_t length, int prot, int flags, int fd, off_t offset) {
	Vmspace *vm;
	uint64_t mapped = 0;
	int error = acquire(id, &vm);
	if (error == 0) {
		pthread_mutex_lock(&vm->map_lock);
		error = map(*vm, address, length, prot, flags, fd, offset, &mapped);
		pthread_mutex_unlock(&vm->map_lock);
		table_release(vm);
	}
	return result_of(error) == 0 ? reinterpret_cast<void *>(mapped) : MAP_FAILED;
}

int vmspace_munmap(void *id, void *address, size_t length) {
	Vmspace *vm;
	int error = acquire(id, &vm);
	if (error != 0)
		return result_of(error);
	uint64_t start, end;
	error = page_aligned(reinterpret_cast<uint64_t>(address)) ? check_range(address, length, &start, &end) : EINVAL;
	if (error == 0 && length > 0) {
		pthread_mutex_lock(&vm->map_lock);
		error = remove_mappings(*vm, start, end);
		if (error == 0)
			error = unmap_range(*vm, start, end);
		pthread_mutex_unlock(&vm->map_lock);
	}
	table_release(vm);
	return result_of(error);
}

int vmspace_mcontrol(void *id, void *address, size_t length, int behaviour, off_t value) {
	Vmspace *vm;
	int error = acquire(id, &vm);
	if (error != 0)
		return result_of(error);
	uint64_t start, end;
	error = behaviour < 0 || behaviour > DF_MADV_SETMAP ? EINVAL : check_range(address, length, &start, &end);
	if (error == 0) {
		pthread_mutex_lock(&vm->map_lock);
		error = control(*vm, start, end, behaviour, static_cast<vpte_t>(value));
		pthread_mutex_unlock(&vm->map_lock);
	}
	table_release(vm);
	return result_of(error);
}
