// The file DISK.vkckpt: finding, locking, reading, replacing it.
#ifndef VKCKPT_LIB_SIDECAR_H
#define VKCKPT_LIB_SIDECAR_H

#include <sys/stat.h>

#include <vkckpt/disk.h>

#include "lib/replace.h"
#include "lib/status.h"

namespace vk {

enum class Missing { create, refuse };

struct SidecarFile {
	int fd = -1;				// locked
	bool damaged = false;			// only when damage is tolerated
	struct vkckpt_f_sidecar content;
};

// The disk's own path, links resolved, so that one disk has one sidecar; disk_fd -1: opened for that.
void sidecar_disk_path(const char *path, int disk_fd, char *out, size_t room);
void sidecar_path(const char *disk_path, char *out, size_t room);	// room: VKCKPT_MAX_PATH + 32

// Locks and reads. DISK_IN_USE (number: the holder), SIDECAR_DAMAGED, or with Missing::refuse DISK_MISSING. Lone::no: to look at, shared
// with others who only look.
Status sidecar_lock(const char *disk_path, Missing, SidecarFile *out, Lone = Lone::yes);
// Checks magic, version and digest.
bool sidecar_valid(const struct vkckpt_f_sidecar &);

// Writes and syncs `content` (its digest is set here) to `path`, which is made anew; locked in *fd.
Status sidecar_write(const char *path, struct vkckpt_f_sidecar &content, int *fd);
// Replaces the sidecar of a disk whose lock the caller holds in disk->sidecar_fd.
Status sidecar_store(struct vkckpt_disk *, struct vkckpt_f_sidecar &next);

// A disk may be a file or a block device. The node of the latter tells neither its size nor when it was written, and its sidecar lies in /dev,
// which a host forgets when it goes down: it is known by its content alone.
bool is_block_device(int fd);
// Bytes of a disk: >= 0, or a negative errno. A position of the descriptor is left as it is.
long disk_size(int fd);

// What the disk looks like now: device, inode, size, ctime, and the host's boot.
Status sidecar_take_proof(int disk_fd, const char *name, struct vkckpt_f_sidecar &);
void sidecar_take_facts(const struct stat &, struct vkckpt_f_sidecar &);	// the same of a disk that is not synced

// disk.cc: for a clone. Opens the disk that the source names, sees to it that it is still as the image left it, and holds it so, shared with
// other clones, until it is given back. Nothing is written.
Status disk_lend(const char *path, const struct vkckpt_source *, struct vkckpt_disk *out);
void disk_give_back(struct vkckpt_disk *);

}  // namespace vk
#endif
