// minivk's memory: RAM is one memfd mapped at a fixed address, and everything the kernel knows lives in it (so that
// capturing RAM captures the kernel). Frames for guests and files, a heap for the kernel's own objects.
//
// Rule: no pointer into libc, the stack, the binary's data or the host may be stored in RAM. Pointers to functions and
// vtables are fine: the program is linked static and -no-pie, and an image thaws only in the same build.
#ifndef MINIVK_MEM_H
#define MINIVK_MEM_H

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <new>
#include <string>
#include <utility>
#include <vector>

namespace minivk {

constexpr uint64_t kPage = 4096;
constexpr uintptr_t kRamBase = 0x100000000000;	// 16 TiB: free in every static x86-64 program
using Frame = uint64_t;				// frame number in RAM
constexpr Frame kNoFrame = ~0ull;

// kAnon and kSecret belong to a process; of kSecret no image holds the content.
enum class FrameUse : uint8_t { kFree, kKernel, kPageTable, kAnon, kFile, kSecret };

// All under the kernel lock. Reference counted (copy-on-write, shared file pages); freed at 0.
// Guest and file frames are refused while the kernel's reserve would be touched: kNoFrame means "out of memory".
Frame frame_alloc(FrameUse use);	// zeroed, count 1
void frame_ref(Frame);
void frame_unref(Frame);
uint32_t frame_refs(Frame);
FrameUse frame_use(Frame);
void frame_set_use(Frame, FrameUse);	// kAnon, kSecret
inline bool frame_is_private(Frame f) { return frame_use(f) == FrameUse::kAnon || frame_use(f) == FrameUse::kSecret; }
uint64_t frames_free();
uint64_t frames_total();
inline void *frame_ptr(Frame f) { return reinterpret_cast<void *>(kRamBase + f * kPage); }

// The kernel's heap, in frames of its own. kalloc never returns null: the reserve is kept for it; when even that is
// gone the kernel panics, so system calls that make objects ask kernel_memory_ok() first and return -ENOMEM.
void *kalloc(size_t bytes);
void kfree(void *);
bool kernel_memory_ok();

template <class T> struct KAllocator {
	using value_type = T;
	KAllocator() = default;
	template <class U> KAllocator(const KAllocator<U> &) {}
	T *allocate(size_t n) { return static_cast<T *>(kalloc(n * sizeof(T))); }
	void deallocate(T *p, size_t) { kfree(p); }
	template <class U> bool operator==(const KAllocator<U> &) const { return true; }
};
using KString = std::basic_string<char, std::char_traits<char>, KAllocator<char>>;
template <class T> using KVector = std::vector<T, KAllocator<T>>;
template <class T> using KDeque = std::deque<T, KAllocator<T>>;
template <class K, class V> using KMap = std::map<K, V, std::less<>, KAllocator<std::pair<const K, V>>>;

template <class T, class... A> T *knew(A &&...args) { return new (kalloc(sizeof(T))) T(std::forward<A>(args)...); }
template <class T> void kdelete(T *p)	// T is the most derived type
{
	if (p) {
		p->~T();
		kfree(p);
	}
}

// Intrusive reference count for objects in RAM, all under the kernel lock. Virtual: the most derived destructor runs.
class Counted {
public:
	Counted() = default;
	Counted(const Counted &) = delete;
	virtual ~Counted() = default;
	void ref() { ++refs_; }
	void unref()
	{
		if (--refs_ == 0) {
			this->~Counted();
			kfree(this);	// Counted is always the first base
		}
	}
	uint32_t refs() const { return refs_; }
private:
	uint32_t refs_ = 0;
};
template <class T> class Ref {
public:
	Ref() = default;
	Ref(T *p) : p_(p) { if (p_) p_->ref(); }
	Ref(const Ref &o) : Ref(o.p_) {}
	Ref(Ref &&o) noexcept : p_(std::exchange(o.p_, nullptr)) {}
	template <class U> Ref(const Ref<U> &o) : Ref(o.get()) {}
	~Ref() { if (p_) p_->unref(); }
	Ref &operator=(Ref o) { std::swap(p_, o.p_); return *this; }
	T *get() const { return p_; }
	T *operator->() const { return p_; }
	T &operator*() const { return *p_; }
	explicit operator bool() const { return p_ != nullptr; }
	bool operator==(const Ref &o) const { return p_ == o.p_; }
private:
	T *p_ = nullptr;
};
template <class T, class... A> Ref<T> kmake(A &&...args) { return Ref<T>(knew<T>(std::forward<A>(args)...)); }

}  // namespace minivk
#endif
