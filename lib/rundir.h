// The run directory and this vkernel's entry in it (vkckpt/run.h).
#ifndef VKCKPT_LIB_RUNDIR_H
#define VKCKPT_LIB_RUNDIR_H

#include <vkckpt/run.h>

#include "lib/status.h"

namespace vk {

// Where entries go: `chosen`, or for "" the default place. Made with mode 0700 if need be; must be a real directory of the caller
// that nobody else can enter. PERMISSION names it otherwise.
Status rundir_find(const char *chosen, char *out, size_t room);

// The entry. Without a run directory it lies in a page of the arena that nobody reads, so that callers need not ask.
// All methods but open are AS-safe.
class RunEntry {
public:
	// page: 4096 zeroed bytes of the arena. run_dir null: not published.
	Status open(const char *run_dir, const char *name, void *page);
	struct vkckpt_run_entry *words() { return entry_; }
	// Another living vkernel of this run directory writes its image to the path of ours. ARM or THAW, once our own path is entered:
	// of two that start at the same time at least one sees the other.
	bool image_is_shared() const;
	void publish();			// the magic last: from now on it is an entry
	void withdraw();		// removes it

	void requested(uint32_t action, uint64_t id);
	void refuse(uint64_t id);
	void phase(uint32_t phase);
	void progress(uint64_t done, uint64_t total);
	// An image is whole; it needs chain_length images, itself included.
	void committed(const char *path, uint32_t chain_length);
	// The request is over: done_count rises last of all. next: the phase that follows.
	void done(const Status &, uint32_t next_phase);

private:
	struct vkckpt_run_entry *entry_ = nullptr;
	int fd_ = -1;
	bool mapped_ = false;
	char path_[1200] = {};
};

}  // namespace vk
#endif
