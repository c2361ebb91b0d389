// Words of AddressSanitizer about memory that it does not know, because the library maps it without libc. Nothing in an ordinary build.
#ifndef VKCKPT_LIB_ASAN_H
#define VKCKPT_LIB_ASAN_H

#ifdef __SANITIZE_ADDRESS__
#define VK_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define VK_ASAN
#endif
#endif

#ifdef VK_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, bytes) ((void)0)
#define ASAN_UNPOISON_MEMORY_REGION(at, bytes) ((void)0)
#endif

#endif
