// A file that is written under a temporary name beside its final one and then exchanged with it in one step that can be taken back: a
// reader finds the old file or the new one, whole.
#ifndef VKCKPT_LIB_REPLACE_H
#define VKCKPT_LIB_REPLACE_H

#include <vkckpt/format.h>

#include "lib/status.h"

namespace vk {

class Replacement {
public:
	enum class State : uint8_t { none, exchanged, moved, overwritten };

	enum class Existing : uint8_t { replace, keep };

	// `temporary` takes the place of `final` and the folder is synced. Paths stay the caller's until finish or back.
	// Existing::keep: EEXIST if there is one of this name.
	Status in(const char *temporary, const char *final, Existing = Existing::replace);
	// As before. False: it is not, because the host refuses, or because the old file is gone (a file system without exchange and links).
	bool back();
	// The old file is removed.
	void finish();
	bool done() const { return state_ != State::none; }

private:
	static long move(const char *temporary, const char *final);
	static long exchange(const char *temporary, const char *final);
	const char *temporary_ = nullptr, *final_ = nullptr;
	State state_ = State::none;
};

// fsync of the folder that `path` lies in.
Status sync_folder(const char *path);
// An open-file-description lock on the whole file, for one holder or one that others may share: 0, -EAGAIN somebody else is in the way, or
// the host's.
enum class Lone { yes, no };
long lock_file(int fd, Lone = Lone::yes);
// What a process that died may have left of a lock passes: ns between two attempts to get it.
constexpr uint64_t kDeadHolderWait = 60'000'000;
// A file that is being made, locked until it is closed: a new one, in the place of what a process that died has left. IMAGE_IN_USE:
// somebody is making it.
Result<int> part_create(const char *part, const char *where);
// fd is still the file that the path names.
bool names_file(const char *path, int fd);

}  // namespace vk
#endif
