// A device's typed configuration. See source.h. Saving: QUIET; reading and overriding: THAW.
#include "lib/source.h"

#include <errno.h>

#include "lib/text.h"

namespace vk {
namespace {

constexpr size_t padded(size_t bytes) { return (bytes + 7) & ~size_t{7}; }

int put(struct vkckpt_sink *sink, uint16_t type, const char *key, const void *value, size_t bytes)
{
	if (sink->error != 0)
		return sink->error;
	size_t key_bytes = key ? text_length(key, VKCKPT_MAX_NAME + 1) : 0;
	if (key_bytes == 0 || (!value && bytes != 0))
		sink->error = -EINVAL;
	else if (key_bytes > VKCKPT_MAX_NAME || bytes > VKCKPT_MAX_VALUE || sink->count == VKCKPT_MAX_CONFIG ||
	    padded(sizeof(vkckpt_f_value) + key_bytes + 1 + bytes) > sink->room - sink->used)
		sink->error = -ENOBUFS;
	if (sink->error != 0) {
		(void)text_copy(sink->error_key, sizeof sink->error_key, key ? key : "");
		return sink->error;
	}
	struct vkckpt_f_value entry = { type, static_cast<uint16_t>(key_bytes + 1), static_cast<uint32_t>(bytes) };
	uint8_t *out = sink->out + sink->used;
	size_t all = padded(sizeof entry + key_bytes + 1 + bytes);
	__builtin_memset(out, 0, all);
	__builtin_memcpy(out, &entry, sizeof entry);
	__builtin_memcpy(out + sizeof entry, key, key_bytes);
	if (bytes != 0)
		__builtin_memcpy(out + sizeof entry + key_bytes + 1, value, bytes);
	sink->used += all;
	sink->count++;
	return 0;
}

const struct vkckpt_source_value *find(const struct vkckpt_source *source, const char *key)
{
	for (uint32_t i = 0; i < source->count; i++)
		if (text_equal(source->entry[i].key, key))
			return &source->entry[i];
	return nullptr;
}

Status damaged(const char *subject, uint64_t number)
{
	return fail(EBADMSG, VKCKPT_R_DAMAGED, "image: device", subject, number);
}

bool zeros_from(const uint8_t *at, const uint8_t *end)
{
	for (; at < end; at++)
		if (*at != 0)
			return false;
	return true;
}

// One entry at `at`, of which `room` bytes are there. Fills *out and *size, the bytes it takes.
Status parse_entry(const uint8_t *at, size_t room, struct vkckpt_source_value *out, size_t *size, const char *device)
{
	struct vkckpt_f_value head;
	if (room < sizeof head)
		return damaged(device, room);
	__builtin_memcpy(&head, at, sizeof head);
	if (head.key_bytes < 2 || head.key_bytes > VKCKPT_MAX_NAME + 1 || head.value_bytes > VKCKPT_MAX_VALUE)
		return damaged(device, head.value_bytes);
	size_t bytes = sizeof head + head.key_bytes + head.value_bytes;
	*size = padded(bytes);
	if (*size > room || !zeros_from(at + bytes, at + *size))
		return damaged(device, *size);
	out->key = reinterpret_cast<const char *>(at + sizeof head);
	if (text_length(out->key, head.key_bytes) != size_t{head.key_bytes} - 1)
		return damaged(device, head.key_bytes);
	const uint8_t *value = at + sizeof head + head.key_bytes;
	out->type = head.type;
	out->bytes = head.value_bytes;
	out->value = value;
	switch (head.type) {
	case VKCKPT_VALUE_U64:
		if (head.value_bytes != sizeof out->number)
			return damaged(device, head.value_bytes);
		__builtin_memcpy(&out->number, value, sizeof out->number);
		out->value = &out->number;
		return success();
	case VKCKPT_VALUE_STRING:
		if (head.value_bytes == 0 || text_length(reinterpret_cast<const char *>(value), head.value_bytes) != head.value_bytes - 1)
			return damaged(device, head.value_bytes);
		out->bytes--;
		return success();
	case VKCKPT_VALUE_BYTES:
		return success();
	default:
		return damaged(device, head.type);
	}
}

}  // namespace

void sink_begin(struct vkckpt_sink *sink, void *out, size_t room)
{
	*sink = {};
	sink->out = static_cast<uint8_t *>(out);
	sink->room = room;
}

size_t source_arena_bytes(const struct vkckpt_f_device &device)
{
	uint32_t count = device.config_count < VKCKPT_MAX_CONFIG ? device.config_count : VKCKPT_MAX_CONFIG;
	return Arena::room(sizeof(struct vkckpt_source)) + Arena::room(count * sizeof(struct vkckpt_source_value));
}

Status source_parse(Arena &arena, const void *payload, size_t bytes, struct vkckpt_source **out)
{
	const struct vkckpt_f_device *device = static_cast<const struct vkckpt_f_device *>(payload);
	VK_CHECK(bytes >= sizeof *device);
	if (device->config_count > VKCKPT_MAX_CONFIG)
		return damaged(device->name, device->config_count);
	struct vkckpt_source *source = arena.take_array<struct vkckpt_source>(1);
	source->device = device;
	source->count = device->config_count;
	source->entry = arena.take_array<struct vkckpt_source_value>(source->count);
	const uint8_t *at = static_cast<const uint8_t *>(payload) + sizeof *device;
	size_t room = bytes - sizeof *device;
	for (uint32_t i = 0; i < source->count; i++) {
		size_t size = 0;
		VK_TRY(parse_entry(at, room, &source->entry[i], &size, device->name));
		for (uint32_t j = 0; j < i; j++)
			if (text_equal(source->entry[j].key, source->entry[i].key))
				return damaged(device->name, i);
		at += size;
		room -= size;
	}
	if (room != 0)
		return damaged(device->name, room);
	*out = source;
	return success();
}

// `text: why`, with what a long path leaves of the text.
static Status bad_override(const char *text, const char *why)
{
	char subject[64];
	Text(subject, sizeof subject).add(text, text_length(text, 32)).add(": ").add(why);
	return fail(EINVAL, VKCKPT_R_BAD_ARGUMENT, "thaw: override", subject);
}

Status source_override(struct vkckpt_source *const *sources, size_t count, const char *text)
{
	static constexpr char kWhere[] = "thaw: override";
	size_t dot = 0;
	while (text[dot] != '\0' && text[dot] != '.' && text[dot] != '=')
		dot++;
	size_t equal = dot;
	while (text[equal] != '\0' && text[equal] != '=')
		equal++;
	if (dot == 0 || text[dot] != '.' || text[equal] != '=' || equal == dot + 1)
		return bad_override(text, "not NAME.KEY=VALUE");
	size_t key_bytes = equal - dot - 1;
	const char *value = text + equal + 1;
	for (size_t s = 0; s < count; s++) {
		const char *name = sources[s]->device->name;
		if (text_length(name) != dot || __builtin_memcmp(name, text, dot) != 0)
			continue;
		for (uint32_t i = 0; i < sources[s]->count; i++) {
			struct vkckpt_source_value &entry = sources[s]->entry[i];
			if (text_length(entry.key) != key_bytes || __builtin_memcmp(entry.key, text + dot + 1, key_bytes) != 0)
				continue;
			if (entry.type == VKCKPT_VALUE_U64)
				return text_to_u64(value, &entry.number) ? success() : bad_override(text, "not a number");
			if (entry.type != VKCKPT_VALUE_STRING)
				return bad_override(text, "bytes have no override");
			size_t length = text_length(value);
			if (length > VKCKPT_MAX_PATH)
				return fail(ENOBUFS, VKCKPT_R_LIMIT, kWhere, text, length);
			entry.value = value;
			entry.bytes = static_cast<uint32_t>(length);
			return success();
		}
	}
	return fail(EINVAL, VKCKPT_R_OVERRIDE_UNKNOWN, kWhere, text);
}

void source_follow_frozen(struct vkckpt_source &source)
{
	const char *frozen = vkckpt_get_string(&source, "fence_frozen");
	if (!frozen)
		return;
	for (uint32_t i = 0; i < source.count; i++)
		if (source.entry[i].type == VKCKPT_VALUE_STRING && text_equal(source.entry[i].key, "path")) {
			source.entry[i].value = frozen;
			source.entry[i].bytes = static_cast<uint32_t>(text_length(frozen));
		}
}

}  // namespace vk

#define VK_EXPORT extern "C" __attribute__((visibility("default")))

VK_EXPORT int vkckpt_put_u64(struct vkckpt_sink *sink, const char *key, uint64_t value)
{
	return vk::put(sink, VKCKPT_VALUE_U64, key, &value, sizeof value);
}

VK_EXPORT int vkckpt_put_string(struct vkckpt_sink *sink, const char *key, const char *value)
{
	size_t length = value ? vk::text_length(value, VKCKPT_MAX_PATH + 1) : 0;
	if (length > VKCKPT_MAX_PATH && sink->error == 0) {
		sink->error = -ENOBUFS;
		(void)vk::text_copy(sink->error_key, sizeof sink->error_key, key ? key : "");
	}
	return vk::put(sink, VKCKPT_VALUE_STRING, key, value, length + 1);
}

VK_EXPORT int vkckpt_put_bytes(struct vkckpt_sink *sink, const char *key, const void *bytes, size_t count)
{
	return vk::put(sink, VKCKPT_VALUE_BYTES, key, bytes, count);
}

VK_EXPORT uint64_t vkckpt_get_u64(const struct vkckpt_source *source, const char *key, uint64_t otherwise)
{
	const struct vkckpt_source_value *entry = vk::find(source, key);
	return entry && entry->type == VKCKPT_VALUE_U64 ? entry->number : otherwise;
}

VK_EXPORT const char *vkckpt_get_string(const struct vkckpt_source *source, const char *key)
{
	const struct vkckpt_source_value *entry = vk::find(source, key);
	return entry && entry->type == VKCKPT_VALUE_STRING ? static_cast<const char *>(entry->value) : nullptr;
}

VK_EXPORT const void *vkckpt_get_bytes(const struct vkckpt_source *source, const char *key, size_t *count)
{
	const struct vkckpt_source_value *entry = vk::find(source, key);
	if (!entry || entry->type != VKCKPT_VALUE_BYTES)
		return nullptr;
	if (count)
		*count = entry->bytes;
	return entry->value;
}

VK_EXPORT int vkckpt_source_entry(const struct vkckpt_source *source, size_t k, const char **key, uint32_t *type,
    const void **value, size_t *bytes)
{
	if (k >= source->count)
		return 0;
	const struct vkckpt_source_value &entry = source->entry[k];
	*key = entry.key;
	*type = entry.type;
	*value = entry.value;
	*bytes = entry.bytes;
	return 1;
}

VK_EXPORT uint32_t vkckpt_source_clone(const struct vkckpt_source *source, const char **name)
{
	if (name)
		*name = source->clone;
	return source->clone ? source->clone_disk : static_cast<uint32_t>(VKCKPT_CLONE_NONE);
}
