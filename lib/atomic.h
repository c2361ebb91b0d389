// The few atomics that the library needs: <atomic> belongs to libstdc++, which lib/ does without. Loads acquire, stores
// release, everything else is sequentially consistent.
#ifndef VKCKPT_LIB_ATOMIC_H
#define VKCKPT_LIB_ATOMIC_H

namespace vk {

template <class T> struct Atomic {
	T value_{};

	T load() const { return __atomic_load_n(&value_, __ATOMIC_ACQUIRE); }
	void store(T v) { __atomic_store_n(&value_, v, __ATOMIC_RELEASE); }
	T exchange(T v) { return __atomic_exchange_n(&value_, v, __ATOMIC_SEQ_CST); }
	T fetch_add(T v) { return __atomic_fetch_add(&value_, v, __ATOMIC_SEQ_CST); }
	T fetch_and(T v) { return __atomic_fetch_and(&value_, v, __ATOMIC_SEQ_CST); }
	T fetch_or(T v) { return __atomic_fetch_or(&value_, v, __ATOMIC_SEQ_CST); }
	// True if it was `expected` and is now `desired`; else `expected` holds what it was.
	bool swap_if(T &expected, T desired)
	{
		return __atomic_compare_exchange_n(&value_, &expected, desired, false, __ATOMIC_SEQ_CST,
		    __ATOMIC_ACQUIRE);
	}
};

}  // namespace vk
#endif
