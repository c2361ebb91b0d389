/* The vmspaces by id: opaque pointer-sized values chosen by the vkernel. */
#include <errno.h>

#include "vkernel-hooks/linux/internal.h"

namespace vmspace {
namespace {

constexpr unsigned kBuckets = 256;

pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
Vmspace *buckets[kBuckets];
unsigned count;

/* Ids are mostly addresses of structures: the low bits say little. */
Vmspace **bucket_of(const void *id) {
	const uint64_t value = reinterpret_cast<uint64_t>(id);
	return &buckets[(value * 0x9e3779b97f4a7c15ULL) >> 56];
}

Vmspace **find_link(const void *id) {
	Vmspace **link = bucket_of(id);
	while (*link != nullptr && (*link)->id != id)
		link = &(*link)->next;
	return link;
}

}  // namespace

int table_add(Vmspace *vm) {
	pthread_mutex_lock(&table_lock);
	Vmspace **link = find_link(vm->id);
	const int error = *link != nullptr ? EEXIST : 0;
	if (error == 0) {
		vm->next = nullptr;
		*link = vm;
		count++;
	}
	pthread_mutex_unlock(&table_lock);
	return error;
}

Vmspace *table_acquire(void *id) {
	pthread_mutex_lock(&table_lock);
	Vmspace *vm = *find_link(id);
	if (vm != nullptr)
		vm->references++;
	pthread_mutex_unlock(&table_lock);
	return vm;
}

void table_release(Vmspace *vm) {
	pthread_mutex_lock(&table_lock);
	vm->references--;
	pthread_mutex_unlock(&table_lock);
}

int table_remove(void *id, Vmspace **vm) {
	int error = 0;
	pthread_mutex_lock(&table_lock);
	Vmspace **link = find_link(id);
	if (*link == nullptr) {
		error = ENOENT;
	} else if ((*link)->references != 0) {
		error = EBUSY;
	} else {
		*vm = *link;
		*link = (*vm)->next;
		count--;
	}
	pthread_mutex_unlock(&table_lock);
	return error;
}

Vmspace *table_remove_any() {
	Vmspace *vm = nullptr;
	pthread_mutex_lock(&table_lock);
	for (Vmspace *&bucket : buckets) {
		if (bucket == nullptr)
			continue;
		vm = bucket;
		bucket = vm->next;
		count--;
		break;
	}
	pthread_mutex_unlock(&table_lock);
	return vm;
}

unsigned table_count() {
	pthread_mutex_lock(&table_lock);
	const unsigned now = count;
	pthread_mutex_unlock(&table_lock);
	return now;
}

}  // namespace vmspace
