// Errors inside the library: what failed, where, and one number and one name that go with it. A Status never allocates and
// cannot be dropped; the first failure wins. The sentence for a person is made once, at the C ABI (error.cc).
#ifndef VKCKPT_LIB_STATUS_H
#define VKCKPT_LIB_STATUS_H

#include <vkckpt/error.h>

// The library's C++ side is namespace vk: "struct vkckpt" is the C name of an armed vkernel.
namespace vk {

struct [[nodiscard]] Status {
	int code = 0;			// positive errno, 0: success
	uint32_t reason = 0;		// enum vkckpt_reason
	const char *where = "";		// literal
	uint64_t number = 0;
	char subject[64] = {};

	bool ok() const { return code == 0; }
};

Status fail(int code, uint32_t reason, const char *where, const char *subject = "", uint64_t number = 0);
// A host call failed: the reason follows from the errno (ENOSPC: NO_SPACE, EACCES and EPERM: PERMISSION, ...).
Status fail_host(int code, const char *where, const char *subject = "", uint64_t number = 0);
inline Status success() { return {}; }

template <class T> struct [[nodiscard]] Result {
	Status status;
	T value{};
	Result(const T &v) : value(v) {}
	Result(const Status &s) : status(s) {}
	bool ok() const { return status.ok(); }
};

// Fills *err (may be null) with the sentence and returns -code.
int report(const Status &, struct vkckpt_error *err);

}  // namespace vk

#define VK_TRY(expr) \
	do { \
		if (::vk::Status vk_try_status = (expr); !vk_try_status.ok()) \
			return vk_try_status; \
	} while (0)

// Our own bugs trap, in release builds too.
#define VK_CHECK(cond) \
	do { \
		if (!(cond)) [[unlikely]] \
			::vk::bug(__FILE__, __LINE__, #cond); \
	} while (0)

namespace vk {
[[noreturn]] void bug(const char *file, int line, const char *what);
}
#endif
