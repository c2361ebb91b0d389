// Futexes. A waiter stands in a bucket until it is woken, times out, is interrupted or dies; being called again while it
// still stands there means that nobody has woken it.
#include "futex.h"

#include <cerrno>
#include <linux/futex.h>

#include "calls.h"

namespace minivk {
namespace {

constexpr uint32_t kPrivateFlag = 128, kRealtimeFlag = 256;

auto &bucket_of(const FutexKey &key)
{
	uint64_t h = (key.address / 4) * 0x9e3779b97f4a7c15ull ^ key.space * 0xc2b2ae3d27d4eb4full;
	return kernel().futexes[h >> 56];
}

void enqueue(Thread &t, const FutexKey &key, uint32_t bitset)
{
	auto &b = bucket_of(key);
	t.futex = {key, bitset, true, nullptr, b.tail};
	(b.tail ? b.tail->futex.next : b.head) = &t;
	b.tail = &t;
}

void dequeue(Thread &t)
{
	if (!t.futex.queued)
		return;
	auto &b = bucket_of(t.futex.key);
	(t.futex.previous ? t.futex.previous->futex.next : b.head) = t.futex.next;
	(t.futex.next ? t.futex.next->futex.previous : b.tail) = t.futex.previous;
	t.futex.queued = false;
}

// Shared memory is named by its frame, everything else by its address in its space: so it does not matter whether a
// program says "private".
long key_of(AddressSpace &as, uint64_t address, FutexKey *key)
{
	if (address % 4)
		return -EINVAL;
	char *p = as.touch(address, Access::kRead);
	if (!p)
		return -EFAULT;
	const Mapping *m = as.find(address);
	if (m && m->shared)
		*key = {0, uint64_t(reinterpret_cast<uintptr_t>(p) - kRamBase)};
	else
		*key = {uint64_t(reinterpret_cast<uintptr_t>(&as)), address};
	return 0;
}

long wake(const FutexKey &key, uint64_t count, uint32_t bitset)
{
	long woken = 0;
	for (Thread *t = bucket_of(key).head; t && uint64_t(woken) < count;) {
		Thread *next = t->futex.next;
		if (t->futex.key == key && (t->futex.bitset & bitset)) {
			dequeue(*t);
			wake_thread(*t);
			++woken;
		}
		t = next;
	}
	return woken;
}

long requeue(const FutexKey &from, const FutexKey &to, uint64_t wake_count, uint64_t move_count)
{
	long woken = wake(from, wake_count, ~0u);
	uint64_t moved = 0;
	for (Thread *t = bucket_of(from).head; t && moved < move_count;) {
		Thread *next = t->futex.next;
		if (t->futex.key == from) {
			uint32_t bitset = t->futex.bitset;
			dequeue(*t);
			enqueue(*t, to, bitset);
			++moved;
		}
		t = next;
		if (from == to)
			break;
	}
	return woken + long(moved);
}

struct WaitArguments { uint64_t address; uint32_t value, bitset; uint64_t timeout; bool absolute, realtime; };

// 0 in *deadline: none.
long read_deadline(Thread &t, const WaitArguments &w, uint64_t *deadline)
{
	*deadline = 0;
	if (!w.timeout)
		return 0;
	KTimespec ts;
	if (copy_in(thread_space(t), w.timeout, &ts) < 0)
		return -EFAULT;
	if (!ts.valid())
		return -EINVAL;
	uint64_t ns = ts.ns();
	if (w.absolute && w.realtime) {
		uint64_t now = realtime_ns();
		ns = now_ns() + (ns > now ? ns - now : 0);
	} else if (!w.absolute) {
		ns = saturating_add(now_ns(), ns);
	}
	*deadline = ns ? ns : 1;
	return 0;
}

long wait(Thread &t, const WaitArguments &w)
{
	if (t.call.again) {
		if (!t.futex.queued)
			return 0;
		// The clock decides: a wake for another reason may have hidden that the deadline has passed.
		bool late = t.call.deadline_ns && now_ns() >= t.call.deadline_ns;
		if (t.call.timed_out || late || t.call.interrupted) {
			dequeue(t);
			return t.call.timed_out || late ? -ETIMEDOUT : w.timeout ? -EINTR : kRestartSys;
		}
		wait_until(t, t.call.deadline_ns);
		return kBlocked;
	}
	if (w.bitset == 0)
		return -EINVAL;
	FutexKey key;
	uint32_t value;
	long r = read_deadline(t, w, &t.call.deadline_ns);
	if (r == 0)
		r = key_of(thread_space(t), w.address, &key);
	if (r == 0)
		r = copy_in(thread_space(t), w.address, &value);
	if (r < 0)
		return r;
	if (value != w.value)
		return -EAGAIN;
	if (t.call.interrupted)
		return kRestartSys;
	enqueue(t, key, w.bitset);
	wait_until(t, t.call.deadline_ns);
	return kBlocked;
}

// FUTEX_WAKE_OP: changes a second word and wakes its waiters if its old value compares.
long wake_op(Thread &t, const uint64_t *a)
{
	AddressSpace &as = thread_space(t);
	FutexKey first, second;
	if (key_of(as, a[0], &first) < 0 || key_of(as, a[4], &second) < 0)
		return -EFAULT;
	uint32_t *word = reinterpret_cast<uint32_t *>(as.touch(a[4], Access::kWrite));
	if (!word)
		return -EFAULT;
	uint32_t code = uint32_t(a[5]), operand = (code >> 12) & 0xfff, comparand = code & 0xfff;
	uint32_t operation = (code >> 28) & 7;
	if (code & 0x80000000)
		operand = 1u << (operand & 31);
	uint32_t old = __atomic_load_n(word, __ATOMIC_SEQ_CST), next;
	do {
		switch (operation) {
		case FUTEX_OP_SET: next = operand; break;
		case FUTEX_OP_ADD: next = old + operand; break;
		case FUTEX_OP_OR: next = old | operand; break;
		case FUTEX_OP_ANDN: next = old & ~operand; break;
		case FUTEX_OP_XOR: next = old ^ operand; break;
		default: return -ENOSYS;
		}
	} while (!__atomic_compare_exchange_n(word, &old, next, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
	long woken = wake(first, a[2], ~0u);
	int32_t o = int32_t(old), c = int32_t(comparand);
	bool holds;
	switch ((code >> 24) & 15) {
	case FUTEX_OP_CMP_EQ: holds = o == c; break;
	case FUTEX_OP_CMP_NE: holds = o != c; break;
	case FUTEX_OP_CMP_LT: holds = o < c; break;
	case FUTEX_OP_CMP_LE: holds = o <= c; break;
	case FUTEX_OP_CMP_GT: holds = o > c; break;
	case FUTEX_OP_CMP_GE: holds = o >= c; break;
	default: return -ENOSYS;
	}
	return holds ? woken + wake(second, a[3], ~0u) : woken;
}

// a: word, operation, value, timeout or second count, second word, third value.
long sys_futex(Thread &t, const uint64_t *a)
{
	uint32_t operation = uint32_t(a[1]) & ~(kPrivateFlag | kRealtimeFlag);
	bool realtime = a[1] & kRealtimeFlag;
	AddressSpace &as = thread_space(t);
	FutexKey key, to;
	long r;
	switch (operation) {
	case FUTEX_WAIT:
		return wait(t, {a[0], uint32_t(a[2]), ~0u, a[3], false, false});
	case FUTEX_WAIT_BITSET:
		return wait(t, {a[0], uint32_t(a[2]), uint32_t(a[5]), a[3], true, realtime});
	case FUTEX_WAKE:
	case FUTEX_WAKE_BITSET:
		if (operation == FUTEX_WAKE_BITSET && uint32_t(a[5]) == 0)
			return -EINVAL;
		r = key_of(as, a[0], &key);
		return r < 0 ? r : wake(key, uint32_t(a[2]), operation == FUTEX_WAKE ? ~0u : uint32_t(a[5]));
	case FUTEX_REQUEUE:
	case FUTEX_CMP_REQUEUE: {
		r = key_of(as, a[0], &key);
		if (r == 0)
			r = key_of(as, a[4], &to);
		if (r < 0)
			return r;
		uint32_t value;
		if (copy_in(as, a[0], &value) < 0)
			return -EFAULT;
		if (operation == FUTEX_CMP_REQUEUE && value != uint32_t(a[5]))
			return -EAGAIN;
		return requeue(key, to, uint32_t(a[2]), uint32_t(a[3]));
	}
	case FUTEX_WAKE_OP:
		return wake_op(t, a);
	default:
		return -ENOSYS;
	}
}

long sys_set_robust_list(Thread &t, const uint64_t *a)
{
	if (a[1] != 24)
		return -EINVAL;
	t.robust_list = a[0];
	t.robust_bytes = a[1];
	return 0;
}

long sys_get_robust_list(Thread &t, const uint64_t *a)
{
	Thread *of = a[0] ? thread_find(int64_t(a[0])) : &t;
	if (!of)
		return -ESRCH;
	AddressSpace &as = thread_space(t);
	return copy_out(as, a[1], of->robust_list) < 0 || copy_out(as, a[2], of->robust_bytes) < 0 ? -EFAULT : 0;
}

long sys_set_tid_address(Thread &t, const uint64_t *a)
{
	t.clear_child_tid = a[0];
	return t.tid;
}

// The owner is dead: FUTEX_OWNER_DIED into the word, one waiter may look.
void mark_dead(Thread &t, uint64_t word_address)
{
	AddressSpace &as = thread_space(t);
	uint32_t value;
	FutexKey key;
	if (copy_in(as, word_address, &value) < 0 || (value & FUTEX_TID_MASK) != uint32_t(t.tid))
		return;
	copy_out(as, word_address, (value & FUTEX_WAITERS) | FUTEX_OWNER_DIED);
	if ((value & FUTEX_WAITERS) && key_of(as, word_address, &key) == 0)
		wake(key, 1, ~0u);
}

const SyscallEntry kEntries[] = {
	{202, "futex", sys_futex},
	{218, "set_tid_address", sys_set_tid_address},
	{273, "set_robust_list", sys_set_robust_list},
	{274, "get_robust_list", sys_get_robust_list},
};

}  // namespace

SyscallList futex_syscalls() { return {kEntries, sizeof kEntries / sizeof *kEntries}; }

void futex_thread_ended(Thread &t) { dequeue(t); }

void futex_clear_child_tid(Thread &t)
{
	FutexKey key;
	if (!t.clear_child_tid)
		return;
	AddressSpace &as = thread_space(t);
	if (copy_out(as, t.clear_child_tid, uint32_t(0)) == 0 && key_of(as, t.clear_child_tid, &key) == 0)
		wake(key, 1, ~0u);
	t.clear_child_tid = 0;
}

void futex_exit_robust(Thread &t)
{
	struct { uint64_t next, offset, pending; } head;
	if (!t.robust_list || copy_in(thread_space(t), t.robust_list, &head) < 0)
		return;
	// The list is the guest's: it may be endless.
	uint64_t at = head.next & ~1ull;
	for (int limit = 2048; at != t.robust_list && limit > 0; limit--) {
		uint64_t next;
		if (copy_in(thread_space(t), at, &next) < 0)
			break;
		if (at != (head.pending & ~1ull))
			mark_dead(t, at + head.offset);
		at = next & ~1ull;
	}
	if (head.pending)
		mark_dead(t, (head.pending & ~1ull) + head.offset);
	t.robust_list = 0;
}

}  // namespace minivk
