// The ancestors of an incremental image. See chain.h. An image may come from anywhere: the path in it is only ever opened for reading, must
// lead to a regular file, and what is there must be the very image that it names.
#include "lib/chain.h"

#include <errno.h>

#include "lib/codec.h"
#include "lib/image_check.h"
#include "lib/replace.h"
#include "lib/sys.h"
#include "lib/text.h"

// <new> belongs to libstdc++.
inline void *operator new(size_t, void *place) noexcept { return place; }

namespace vk {
namespace {

constexpr unsigned kAncestors = VKCKPT_MAX_CHAIN - 1;
constexpr unsigned kScratch = 32;
constexpr char kWhere[] = "image: parent";

// What a message calls a file: the end of its path.
const char *short_name(const char *path)
{
	const char *name = path;
	for (const char *p = path; *p; p++)
		if (*p == '/' && p[1])
			name = p + 1;
	return name;
}

// The folder of `path` and `name` in it.
bool join(const char *path, const char *name, char *out, size_t room)
{
	size_t end = 0;
	for (size_t i = 0; path[i]; i++)
		if (path[i] == '/')
			end = i + 1;
	Text text(out, room);
	text.add(path, end).add(name);
	return !text.cut();
}

}  // namespace

Status about_image(const Status &s, const char *path)
{
	if (s.ok())
		return s;
	char subject[64];
	Text text(subject, sizeof subject);
	text.add(short_name(path), text_length(short_name(path), 40));
	if (s.subject[0] && !text_equal(s.subject, "the image"))
		text.add(": ").add(s.subject);
	return fail(s.code, s.reason, s.where, subject, s.number);
}

bool same_shape(const ImageShape &a, const ImageShape &b)
{
	if (a.segment_count != b.segment_count || a.region_count != b.region_count)
		return false;
	for (uint32_t i = 0; i < a.segment_count; i++)
		if (a.segment[i].size_bytes != b.segment[i].size_bytes || a.segment_skip[i] != b.segment_skip[i])
			return false;
	for (uint32_t i = 0; i < a.region_count; i++)
		if (a.region_bytes[i] != b.region_bytes[i])
			return false;
	return true;
}

void path_of_file(int fd, const char *given, char *out, size_t room)
{
	char link[32];
	Text(link, sizeof link).add("/proc/self/fd/").decimal(static_cast<uint64_t>(fd));
	long n = fd >= 0 ? sys_readlink(link, out, room - 1) : -EBADF;
	if (n > 0) {
		out[n] = '\0';
		if (out[0] == '/' && names_file(out, fd))
			return;
	}
	(void)text_copy(out, room, given ? given : "");
}

bool relative_path(const char *folder, const char *to, char *out, size_t room)
{
	size_t common = 0, i = 0;	// length of the common beginning, at a whole component
	for (; folder[i] && folder[i] == to[i]; i++)
		if (folder[i] == '/')
			common = i;
	if (folder[i] == '\0' && to[i] == '/')
		common = i;
	Text text(out, room);
	for (const char *p = folder + common; *p; p++)
		if (*p == '/' && p[1])
			text.add("../");
	text.add(to + common + (to[common] == '/'));
	return !text.cut() && out[0] != '\0' && out[0] != '/';
}

Status Chain::check(const struct vkckpt_f_identity &child, const struct vkckpt_f_header &first, const ImageHead &found) const
{
	const struct vkckpt_uuid &id = found.header().image_id;
	if (!uuid_equal(id, child.parent_id))
		return fail(ESTALE, VKCKPT_R_PARENT_CHANGED, kWhere);
	bool seen = uuid_equal(id, first.image_id);
	for (unsigned i = 0; i + 1 < count_; i++)
		seen = seen || uuid_equal(id, ancestors_[i].image.head().header().image_id);
	return seen ? fail(ELOOP, VKCKPT_R_CHAIN_LOOP, kWhere) : success();
}

Status Chain::open_next(const char *path, const struct vkckpt_crypto *crypto)
{
	Ancestor &a = *new (&ancestors_[count_]) Ancestor();
	(void)text_copy(a.path, sizeof a.path, path);
	long fd = sys_open(a.path, O_RDONLY | O_NOCTTY | O_NONBLOCK);	// a FIFO in its place must not hold us up
	if (fd == -ENOENT || fd == -ENOTDIR)
		return fail(ENOENT, VKCKPT_R_PARENT_MISSING, kWhere);
	if (fd < 0)
		return fail_host(static_cast<int>(-fd), kWhere);
	a.fd = static_cast<int>(fd);
	count_++;
	struct stat st = {};
	if (sys_fstat(a.fd, &st) < 0 || !S_ISREG(st.st_mode))
		return fail(EINVAL, VKCKPT_R_PARENT_MISSING, kWhere, "not a regular file");
	VK_TRY(a.image.open(a.fd));
	if (crypto)
		VK_TRY(a.image.use(*crypto, path));
	return a.image.read_head();
}

Status Chain::open(const ImageHead &child, const char *path, int fd, const char *parent, const struct vkckpt_crypto *crypto)
{
	if (!child.shape().has_parent)
		return success();
	if (!path && !parent)
		return fail(ESPIPE, VKCKPT_R_PARENT_NEEDED, kWhere);
	VK_TRY(arena_.map(Arena::room(kAncestors * sizeof(Ancestor)) + Arena::room(kScratch * size_t{VKCKPT_CHUNK}, VKCKPT_BLOCK),
	    Prefault::no));
	ancestors_ = arena_.take_array<Ancestor>(kAncestors);
	scratch_ = static_cast<uint8_t *>(arena_.take(kScratch * size_t{VKCKPT_CHUNK}, VKCKPT_BLOCK));
	char here[kChainPath], next[kChainPath];
	path_of_file(fd, path, here, sizeof here);
	const ImageHead *head = &child;
	while (head->shape().has_parent) {
		const struct vkckpt_f_identity &identity = head->identity();
		if (count_ == kAncestors)
			return about_image(fail(ENOBUFS, VKCKPT_R_CHAIN_TOO_DEEP, kWhere, "", VKCKPT_MAX_CHAIN), here);
		bool fits = count_ == 0 && parent ? text_copy(next, sizeof next, parent) : join(here, identity.parent_path, next, sizeof next);
		if (!fits)
			return about_image(fail(ENAMETOOLONG, VKCKPT_R_LIMIT, kWhere), here);
		VK_TRY(about_image(open_next(next, crypto), next));
		Ancestor &a = ancestors_[count_ - 1];
		path_of_file(a.fd, next, a.path, sizeof a.path);
		VK_TRY(about_image(check(identity, child.header(), a.image.head()), next));
		if (!same_shape(a.image.head().shape(), child.shape()))
			return about_image(image_damaged("memory of another size", count_), next);
		VK_TRY(about_image(a.image.read_index(), next));
		(void)text_copy(here, sizeof here, a.path);
		head = &a.image.head();
	}
	return success();
}

void Chain::close()
{
	for (unsigned i = 0; i < count_; i++) {
		ancestors_[i].image.close();
		(void)sys_close(ancestors_[i].fd);	// read-only: there is nothing to lose
	}
	count_ = 0;
	arena_.release();
}

// Somebody holds every one of them only when more threads than kScratch read at once.
uint8_t *Chain::take_scratch(unsigned *number) const
{
	for (;;) {
		uint32_t taken = scratch_taken_.load();
		if (taken == ~uint32_t{0}) {
			sys_sched_yield();
			continue;
		}
		*number = static_cast<unsigned>(__builtin_ctz(~taken));
		if (scratch_taken_.swap_if(taken, taken | 1u << *number))
			return scratch_ + *number * size_t{VKCKPT_CHUNK};
	}
}

// The wanted frames of an ancestor's entry to their places among all frames of the child's.
Status Chain::take(const Ancestor &a, const struct vkckpt_f_chunk &entry, uint16_t wanted, uint16_t all, uint8_t *stored, uint8_t *frames) const
{
	if (wanted == all && entry.mask == all)
		return about_image(a.image.read_chunk(entry, stored, frames), a.path);
	unsigned number;
	uint8_t *scratch = take_scratch(&number);
	Status s = a.image.read_chunk(entry, stored, scratch);
	const uint8_t *from = scratch;
	uint8_t *to = frames;
	for (unsigned f = 0; s.ok() && f < VKCKPT_CHUNK_FRAMES; f++) {
		if (wanted & 1u << f)
			__builtin_memcpy(to, from, VKCKPT_FRAME);
		from += entry.mask & 1u << f ? VKCKPT_FRAME : 0;
		to += all & 1u << f ? VKCKPT_FRAME : 0;
	}
	scratch_taken_.fetch_and(~(1u << number));
	return about_image(s, a.path);
}

const struct vkckpt_f_chunk *Chain::find_whole(const struct vkckpt_f_chunk &c, const OpenImage **image) const
{
	for (unsigned i = 0; i < count_; i++) {
		unsigned entries;
		const struct vkckpt_f_chunk *entry = ancestors_[i].image.find(c.object, c.chunk, &entries), *covers = nullptr;
		for (unsigned k = 0; k < entries; k++)
			if ((c.mask & ~entry[k].mask) == 0)
				covers = &entry[k];
		if (!covers || covers->codec == VKCKPT_CODEC_ZERO)
			return nullptr;
		if (covers->codec != VKCKPT_CODEC_PARENT) {
			*image = &ancestors_[i].image;
			return covers->mask == c.mask && digest_equal(covers->content, c.content) ? covers : nullptr;
		}
	}
	return nullptr;
}

Status Chain::read(const struct vkckpt_f_chunk &c, uint8_t *stored, uint8_t *frames) const
{
	uint16_t wanted = c.mask;
	for (unsigned i = 0; wanted != 0; i++) {
		if (i == count_)
			return image_damaged("chunk that no parent has", c.chunk);
		const Ancestor &a = ancestors_[i];
		unsigned entries;
		const struct vkckpt_f_chunk *entry = a.image.find(c.object, c.chunk, &entries);
		uint16_t older = 0;
		for (unsigned k = 0; k < entries; k++) {
			uint16_t part = entry[k].mask & wanted;
			if (entry[k].codec == VKCKPT_CODEC_PARENT)
				older = static_cast<uint16_t>(older | part);
			else if (part != 0)
				VK_TRY(take(a, entry[k], part, c.mask, stored, frames));
			wanted = static_cast<uint16_t>(wanted & ~part);
		}
		if (wanted != 0)
			return about_image(image_damaged("chunk that the parent lacks", c.chunk), a.path);
		wanted = older;
	}
	if (!digest_equal(digest_of(frames, mask_count(c.mask) * size_t{VKCKPT_FRAME}), c.content))
		return image_damaged("chunk whose parent differs", c.chunk);
	return success();
}

}  // namespace vk
