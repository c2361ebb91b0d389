// Words of AddressSanitizer about memory that it does not know, because the library maps it without libc. Nothing in an ordinary build.
#ifndef VKCKPT_LIB_ASAN_H
#define VKCKPT_LIB_ASAN_H

#include <stddef.h>

#ifdef __SANITIZE_ADDRESS__
#define VK_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define VK_ASAN
#endif
#endif

#ifdef VK_ASAN
#include <sanitizer/asan_interface.h>
#define VK_NOT_ASAN [[gnu::no_sanitize_address]]	// a function that touches memory that nobody has taken yet
#else
#define VK_NOT_ASAN
#endif

namespace vk {

// Of a gibibyte at most: the notes take an eighth of what they are about, and what is larger is address space that is only reserved.
inline void asan_poison([[maybe_unused]] const void *at, [[maybe_unused]] size_t bytes)
{
#ifdef VK_ASAN
	if (bytes <= size_t{1} << 30)
		ASAN_POISON_MEMORY_REGION(at, bytes);
#endif
}

inline void asan_unpoison([[maybe_unused]] const void *at, [[maybe_unused]] size_t bytes)
{
#ifdef VK_ASAN
	if (bytes <= size_t{1} << 30)
		ASAN_UNPOISON_MEMORY_REGION(at, bytes);
#endif
}

}  // namespace vk

#endif
