// The head of an image in memory. See image_head.h. THAW and tools.
#include "lib/image_head.h"

#include <errno.h>

#include "lib/image_check.h"
#include "lib/sys.h"
#include "lib/text.h"

namespace vk {
namespace {

constexpr size_t kBlockBytes = 256 << 10;

// A NUL-padded text field: a NUL in it, and only zeros behind that.
template <size_t N> bool text_field(const char (&field)[N])
{
	size_t n = text_length(field, N);
	if (n == N)
		return false;
	for (; n < N; n++)
		if (field[n] != '\0')
			return false;
	return true;
}

// A full image names no parent. An incremental one says where it is as seen from itself, and never that it is itself.
bool check_parent(const struct vkckpt_f_identity &i, const struct vkckpt_f_header &h)
{
	if (uuid_is_zero(i.parent_id))
		return i.parent_path[0] == '\0';
	return h.required_features & VKCKPT_FEATURE_INCREMENTAL && !uuid_equal(i.parent_id, i.image_id) && i.parent_path[0] != '\0' &&
	    i.parent_path[0] != '/';
}

// The same, and of the letters of a name; sections of a program (".data") begin with a dot.
template <size_t N> bool name_field(const char (&field)[N]) { return text_field(field) && text_is_name(field + (field[0] == '.')); }

Status check_identity(const struct vkckpt_f_identity &i, const struct vkckpt_f_header &h)
{
	if (!uuid_equal(i.image_id, h.image_id) || i.build_id_bytes > sizeof i.build_id || i.vcpu_count > VKCKPT_MAX_VCPUS ||
	    i.action < 1 || i.action > 2 || !text_field(i.program) || !text_is_name(i.program) || !text_field(i.name) ||
	    !text_is_name(i.name) || !text_field(i.library) ||
	    !text_field(i.parent_path) || !check_parent(i, h))
		return image_damaged("identity", 0);
	return success();
}

Status check_vmspace(const void *payload, size_t bytes, const ImageShape &shape)
{
	const struct vkckpt_f_vmspace &v = *static_cast<const struct vkckpt_f_vmspace *>(payload);
	if (bytes < sizeof v || v.mapping_count > VKCKPT_MAX_MAPPINGS ||
	    bytes != sizeof v + v.mapping_count * sizeof(struct vkckpt_f_mapping) || !text_field(v.name))
		return image_damaged("vmspace", bytes);
	const struct vkckpt_f_mapping *m = reinterpret_cast<const struct vkckpt_f_mapping *>(&v + 1);
	return bad_mapping(m, v.mapping_count, shape.segment_count) == v.mapping_count ? success() : image_damaged("vmspace", v.id);
}

Status check_region(const struct vkckpt_f_region &r)
{
	if (!name_field(r.name) || r.size_bytes == 0 || r.size_bytes > VKCKPT_MAX_REGION_BYTES || r.reserved != 0 ||
	    !address_range(r.address, r.size_bytes))
		return image_damaged("region", r.size_bytes);
	return success();
}

Status check_vcpu(const struct vkckpt_f_vcpu &v, size_t bytes, size_t number)
{
	if (v.number != number || v.state_bytes != bytes - sizeof v || v.kind < VKCKPT_VCPU_ENTRY || v.kind > VKCKPT_VCPU_CONTEXT ||
	    (v.kind == VKCKPT_VCPU_CONTEXT && v.state_bytes != sizeof(struct vkckpt_f_context)))
		return image_damaged("vcpu", number);
	return success();
}

size_t count_limit(uint16_t type)
{
	switch (type) {
	case VKCKPT_REC_DEVICE:
		return VKCKPT_MAX_DEVICES;
	case VKCKPT_REC_VMSPACE:
		return VKCKPT_MAX_VMSPACES;
	case VKCKPT_REC_REGION:
		return VKCKPT_MAX_REGIONS;
	case VKCKPT_REC_VCPU:
		return VKCKPT_MAX_VCPUS;
	default:
		return 1;
	}
}

}  // namespace

Status ImageHead::init()
{
	last_ = &first_;
	return take(1).status;
}

void ImageHead::release()
{
	source_arena_.release();
	while (blocks_) {
		Block *next = blocks_->next;
		VK_CHECK(sys_munmap(blocks_, blocks_->size) == 0);
		blocks_ = next;
	}
	*this = ImageHead();
}

// Memory for a record: from the newest block, or a new one that is large enough.
Result<void *> ImageHead::take(size_t bytes)
{
	bytes = (bytes + 15) & ~size_t{15};
	if (!blocks_ || blocks_->size - blocks_->used < bytes) {
		size_t size = (sizeof(Block) + 64 + bytes + 4095) & ~size_t{4095};
		size = size > kBlockBytes ? size : kBlockBytes;
		long at = sys_mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (at < 0)
			return fail_host(static_cast<int>(-at), "memory", "the image's head", size);
		Block *block = reinterpret_cast<Block *>(at);
		*block = { blocks_, size, (sizeof(Block) + 63) & ~size_t{63} };
		blocks_ = block;
	}
	void *out = reinterpret_cast<uint8_t *>(blocks_) + blocks_->used;
	blocks_->used += bytes;
	return out;
}

Result<void *> ImageHead::room(size_t bytes)
{
	if (bytes > VKCKPT_MAX_HEAD - head_bytes_)
		return fail(ENOBUFS, VKCKPT_R_LIMIT, "image", "head records", head_bytes_ + bytes);
	return take(bytes);
}

Status ImageHead::set_header(const void *block)
{
	VK_TRY(check_header(*static_cast<const struct vkckpt_f_header *>(block)));
	Result<void *> memory = take(sizeof *header_);
	VK_TRY(memory.status);
	header_ = static_cast<struct vkckpt_f_header *>(memory.value);
	__builtin_memcpy(header_, block, sizeof *header_);
	shape_.features = header_->required_features;
	take_segments();
	return success();
}

void ImageHead::take_segments()
{
	shape_.segment_count = header_->segment_count;
	for (uint32_t i = 0; i < shape_.segment_count; i++) {
		shape_.segment[i] = header_->segment[i];
		shape_.segment_skip[i] = header_->segment_skip[i];
	}
}

void ImageHead::set_shape(const struct vkckpt_f_shape &shape)
{
	header_->created_realtime_ns = shape.created_realtime_ns;
	header_->segment_count = shape.segment_count;
	__builtin_memcpy(header_->segment, shape.segment, sizeof shape.segment);
	__builtin_memcpy(header_->segment_skip, shape.segment_skip, sizeof shape.segment_skip);
	take_segments();
	shape_.tag_bytes = VKCKPT_TAG_BYTES;
}

Status ImageHead::check_payload(uint16_t type, const void *payload, size_t bytes) const
{
	switch (type) {
	case VKCKPT_REC_HOST:
		return text_field(static_cast<const struct vkckpt_f_host *>(payload)->system) &&
		    static_cast<const struct vkckpt_f_host *>(payload)->cpu_masked <= 1 ? success() : image_damaged("host", 0);
	case VKCKPT_REC_IDENTITY:
		return check_identity(*static_cast<const struct vkckpt_f_identity *>(payload), *header_);
	case VKCKPT_REC_DEVICE: {
		const struct vkckpt_f_device &d = *static_cast<const struct vkckpt_f_device *>(payload);
		if (bytes < sizeof d || !name_field(d.device_class) || !name_field(d.name) || d.policy > VKCKPT_POLICY_FAIL ||
		    d.config_count > VKCKPT_MAX_CONFIG)
			return image_damaged("device", counts_[type]);
		return success();
	}
	case VKCKPT_REC_VMSPACE:
		return check_vmspace(payload, bytes, shape_);
	case VKCKPT_REC_REGION:
		return check_region(*static_cast<const struct vkckpt_f_region *>(payload));
	case VKCKPT_REC_VCPU:
		if (bytes < sizeof(struct vkckpt_f_vcpu))
			return image_damaged("vcpu", bytes);
		return check_vcpu(*static_cast<const struct vkckpt_f_vcpu *>(payload), bytes, counts_[type]);
	default:
		return image_damaged("record type", type);
	}
}

void ImageHead::set_identity(const struct vkckpt_f_identity *identity)
{
	identity_ = identity;
	shape_.has_parent = !uuid_is_zero(identity->parent_id);
}

Status ImageHead::add(uint16_t type, const void *payload, size_t bytes)
{
	if (type < last_type_ || type >= VKCKPT_REC_HEAD_END || counts_[type] >= count_limit(type))
		return image_damaged("record type", type);
	VK_TRY(check_payload(type, payload, bytes));
	Result<void *> memory = take(sizeof(Node));
	VK_TRY(memory.status);
	Node *node = static_cast<Node *>(memory.value);
	*node = { nullptr, type, bytes, payload };
	*last_ = node;
	last_ = &node->next;
	counts_[type]++;
	last_type_ = type;
	head_bytes_ += bytes;
	if (type == VKCKPT_REC_HOST)
		host_ = static_cast<const struct vkckpt_f_host *>(payload);
	else if (type == VKCKPT_REC_IDENTITY)
		set_identity(static_cast<const struct vkckpt_f_identity *>(payload));
	else if (type == VKCKPT_REC_REGION)
		shape_.region_bytes[shape_.region_count++] = static_cast<const struct vkckpt_f_region *>(payload)->size_bytes;
	return success();
}

// No region lies in RAM or in another region.
Status ImageHead::check_places() const
{
	for (size_t i = 0; i < counts_[VKCKPT_REC_REGION]; i++) {
		const struct vkckpt_f_region &r = *as<struct vkckpt_f_region>(VKCKPT_REC_REGION, i);
		for (uint32_t s = 0; s < shape_.segment_count; s++)
			if (ranges_overlap(r.address, r.size_bytes, shape_.segment[s].address + shape_.segment_skip[s],
			    shape_.segment[s].size_bytes - shape_.segment_skip[s]))
				return image_damaged("region", i);
		for (size_t j = 0; j < i; j++) {
			const struct vkckpt_f_region &other = *as<struct vkckpt_f_region>(VKCKPT_REC_REGION, j);
			if (ranges_overlap(r.address, r.size_bytes, other.address, other.size_bytes))
				return image_damaged("region", i);
		}
	}
	return success();
}

Status ImageHead::complete()
{
	if (!host_ || !identity_)
		return image_damaged("head", 0);
	if (identity_->vcpu_count != counts_[VKCKPT_REC_VCPU])
		return image_damaged("vcpu", counts_[VKCKPT_REC_VCPU]);
	for (uint16_t type = VKCKPT_REC_HOST; type < VKCKPT_REC_HEAD_END; type++) {
		Result<void *> memory = take(counts_[type] * sizeof(Node *) + 1);
		VK_TRY(memory.status);
		by_type_[type] = static_cast<Node **>(memory.value);
	}
	size_t filled[VKCKPT_REC_HEAD_END] = {}, source_bytes = 64;
	for (Node *node = first_; node; node = node->next) {
		by_type_[node->type][filled[node->type]++] = node;
		if (node->type == VKCKPT_REC_DEVICE)
			source_bytes += source_arena_bytes(*static_cast<const struct vkckpt_f_device *>(node->payload));
	}
	VK_TRY(check_places());
	size_t devices = counts_[VKCKPT_REC_DEVICE];
	VK_TRY(source_arena_.map(source_bytes + Arena::room((devices + 1) * sizeof(struct vkckpt_source *)), Prefault::no));
	sources_ = source_arena_.take_array<struct vkckpt_source *>(devices + 1);
	for (size_t i = 0; i < devices; i++) {
		const Node *node = by_type_[VKCKPT_REC_DEVICE][i];
		VK_TRY(source_parse(source_arena_, node->payload, node->bytes, &sources_[i]));
		for (size_t j = 0; j < i; j++)
			if (text_equal(sources_[j]->device->name, sources_[i]->device->name))
				return image_damaged(sources_[i]->device->name, i);
	}
	return success();
}

const void *ImageHead::record(uint16_t type, size_t i, size_t *bytes) const
{
	if (type >= VKCKPT_REC_HEAD_END || i >= counts_[type] || !by_type_[type])
		return nullptr;
	if (bytes)
		*bytes = by_type_[type][i]->bytes;
	return by_type_[type][i]->payload;
}

size_t ImageHead::count(uint16_t type) const { return type < VKCKPT_REC_HEAD_END ? counts_[type] : 0; }

struct vkckpt_source *ImageHead::source(size_t i) const { return i < counts_[VKCKPT_REC_DEVICE] ? sources_[i] : nullptr; }

}  // namespace vk
