// The checks that every reader of an image makes, of single structs: nothing here reads or keeps state. THAW and tools.
#ifndef VKCKPT_LIB_IMAGE_CHECK_H
#define VKCKPT_LIB_IMAGE_CHECK_H

#include <vkckpt/format.h>

#include "lib/image_writer.h"
#include "lib/status.h"

namespace vk {

Status image_damaged(const char *subject, uint64_t number);

// The first bytes of a file (count <= 4096 of them): NOT_AN_IMAGE, or TRUNCATED when they are only the beginning of a header.
Status check_magic(const void *bytes, size_t count);
// Block 0 whole: VERSION_UNKNOWN, DAMAGED, FEATURE_UNKNOWN, PAGE_SIZE_DIFFERS, LIMIT.
Status check_header(const struct vkckpt_f_header &);
// What a sealed image says instead.
Status check_shape(const struct vkckpt_f_shape &);

// A record's head: magic, head_check, sequence; the length against the limit of its type; RECORD_UNKNOWN for a required one that is
// none of ours. *known: of this version and to be interpreted; else it is to be skipped. features: the header's required ones.
Status check_record(const struct vkckpt_f_record &, uint64_t sequence, uint64_t features, bool *known);
// Bytes of a record's payload once it is opened; the payload itself in an image that is not sealed. Of a record that was checked.
uint64_t plain_payload(const struct vkckpt_f_record &, uint64_t features);
bool is_sealed(uint64_t features);
// A group's payload but its digest: counts, sizes, and every descriptor; offsets in order without slack.
Status check_group(const struct vkckpt_f_group &, const struct vkckpt_f_chunk *chunks, uint64_t payload_bytes, uint64_t record_end,
    const ImageShape &);
// One descriptor by itself, but its offset.
Status check_chunk(const struct vkckpt_f_chunk &, const ImageShape &);
// Strictly after `before` in the order of the index.
bool index_order(const struct vkckpt_f_chunk &before, const struct vkckpt_f_chunk &after);

// Does this block look like a trailer at all (its magic)? Then all that can be checked without the rest of the file.
bool is_trailer(const struct vkckpt_f_trailer &);
Status check_trailer(const struct vkckpt_f_trailer &, const struct vkckpt_uuid &image_id, uint64_t trailer_offset);

// [address, address + bytes) is not at 0, does not wrap and ends at VKCKPT_MAX_ADDRESS at the latest.
bool address_range(uint64_t address, uint64_t bytes);
bool ranges_overlap(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes);
// Of one vmspace, by both sides: in segments that there are, with rights that there are, and no address twice. Else the number of one that is not;
// `count': all are.
uint32_t bad_mapping(const struct vkckpt_f_mapping *, uint32_t count, uint32_t segment_count);

// Frames that object i of the shape begins at, in chunks: for tables over all objects. Returns the total.
uint64_t first_chunks(const ImageShape &, uint64_t *first_chunk);

}  // namespace vk
#endif
