// A device's typed configuration: the sink it is saved to, the source it is read from, and the overrides of a thaw.
#ifndef VKCKPT_LIB_SOURCE_H
#define VKCKPT_LIB_SOURCE_H

#include <vkckpt/vkckpt.h>

#include "lib/arena.h"
#include "lib/status.h"

// Collects the entries behind a vkckpt_f_device. The first error sticks: save hooks need not check every put.
struct vkckpt_sink {
	uint8_t *out;
	size_t room;
	size_t used;
	uint32_t count;
	int error;			// 0 or -errno of the first put that failed
	char error_key[64];		// and its key
};

struct vkckpt_source_value {
	const char *key;
	uint32_t type;			// enum vkckpt_value_type
	uint32_t bytes;			// of a string: without its NUL
	const void *value;		// into the record, or the override's text; of a u64: &number
	uint64_t number;
};
struct vkckpt_source {
	const struct vkckpt_f_device *device;
	uint32_t count;
	struct vkckpt_source_value *entry;
	const char *clone;		// its name; null: no clone
	uint32_t clone_disk;		// enum vkckpt_clone_disk
};

namespace vk {

void sink_begin(struct vkckpt_sink *, void *out, size_t room);

// Bytes an arena needs for the source of one device record; checks count limits only.
size_t source_arena_bytes(const struct vkckpt_f_device &);
// Parses a REC_DEVICE payload, every length checked. The payload must stay as long as the source. DAMAGED or LIMIT.
Status source_parse(Arena &, const void *payload, size_t bytes, struct vkckpt_source **out);

// Applies "DEVICE.KEY=VALUE" to the source of that device. VALUE is used in place: the text must outlive the source.
// OVERRIDE_UNKNOWN: no such device or key, BAD_ARGUMENT: not of that form, not a number, or a key of bytes, LIMIT: too long.
Status source_override(struct vkckpt_source *const *sources, size_t count, const char *override_text);

// A checkpoint that continued froze this disk: key "path", if the class has one, names the frozen copy from here on.
void source_follow_frozen(struct vkckpt_source &);

}  // namespace vk
#endif
