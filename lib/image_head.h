// The head of an image in memory: header and head records, checked. Filled by a reader record by record; the memory grows with what was
// really read, so that a lying length costs nothing. THAW and tools.
#ifndef VKCKPT_LIB_IMAGE_HEAD_H
#define VKCKPT_LIB_IMAGE_HEAD_H

#include <vkckpt/vkckpt.h>

#include "lib/image_writer.h"
#include "lib/status.h"

namespace vk {

class ImageHead {
public:
	Status init();				// maps a little memory
	void release();

	const struct vkckpt_f_header &header() const { return *header_; }
	const struct vkckpt_f_host &host() const { return *host_; }
	const struct vkckpt_f_identity &identity() const { return *identity_; }
	// Objects and their sizes, as chunks are checked against them.
	const ImageShape &shape() const { return shape_; }

	// Payload of record i of a type (DEVICE, VMSPACE, REGION, VCPU), null past the end. Stays until release.
	const void *record(uint16_t type, size_t i, size_t *bytes = nullptr) const;
	size_t count(uint16_t type) const;
	template <class T> const T *as(uint16_t type, size_t i) const { return static_cast<const T *>(record(type, i)); }
	// Configuration of device i; overrides (source_override) change it in place.
	struct vkckpt_source *source(size_t i) const;
	struct vkckpt_source *const *sources() const { return sources_; }

	// --- for the readers ---
	Status set_header(const void *block);	// 4096 bytes
	// Of a sealed image, checked: header() and shape() say it from here on, as those of one in clear.
	void set_shape(const struct vkckpt_f_shape &);
	// Room for the payload of the next record; then add() with the filled room.
	Result<void *> room(size_t bytes);
	Status add(uint16_t type, const void *payload, size_t bytes);
	Status complete();			// after HEAD_END: required records, tables by type, sources

private:
	struct Block { Block *next; size_t size, used; };
	struct Node { Node *next; uint16_t type; size_t bytes; const void *payload; };
	Result<void *> take(size_t bytes);
	void take_segments();
	void set_identity(const struct vkckpt_f_identity *);
	Status check_places() const;
	Status check_payload(uint16_t type, const void *payload, size_t bytes) const;

	Block *blocks_ = nullptr;
	size_t head_bytes_ = 0;
	Node *first_ = nullptr, **last_ = nullptr;
	Node **by_type_[VKCKPT_REC_HEAD_END] = {};
	size_t counts_[VKCKPT_REC_HEAD_END] = {};
	Arena source_arena_;
	struct vkckpt_source **sources_ = nullptr;
	struct vkckpt_f_header *header_ = nullptr;
	const struct vkckpt_f_host *host_ = nullptr;
	const struct vkckpt_f_identity *identity_ = nullptr;
	ImageShape shape_;
	uint16_t last_type_ = 0;
};

}  // namespace vk
#endif
