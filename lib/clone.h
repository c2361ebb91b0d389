// A clone: another vkernel out of the same image. Its writable disks are copies, made beside the image's own while those are held still by
// a shared lock on their sidecars, so neither they nor the image change and the owner can still be thawed. THAW.
#ifndef VKCKPT_LIB_CLONE_H
#define VKCKPT_LIB_CLONE_H

#include <vkckpt/disk.h>

#include "lib/arena.h"
#include "lib/source.h"
#include "lib/status.h"

namespace vk {

class CloneDisks {
public:
	// Copies the disk that the source names if it is a writable one, and lets the source name the copy. `clone`: the clone's name, ends
	// that of the copy: DISK.CLONE. look_only: only what can be refused is.
	Status add(struct vkckpt_source &, const char *clone, bool look_only);
	void keep() { count_ = 0; }	// they are the clone's now
	void remove();			// the thaw was refused
	void close() { arena_.release(); }

private:
	struct Disk {
		struct vkckpt_f_sidecar fence;	// of the copy
		char path[VKCKPT_MAX_PATH + 1];
	};
	Status copy(Disk &, const char *from, int from_fd, const struct vkckpt_source &, uint32_t *how);

	Arena arena_;
	Disk *disks_ = nullptr;		// VKCKPT_MAX_DEVICES
	uint8_t *buffer_ = nullptr;
	unsigned count_ = 0;
};

}  // namespace vk
#endif
