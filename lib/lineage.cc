// The images of a chain and their names. See lineage.h.
#include "lib/lineage.h"

#include <errno.h>
#include <string.h>

#include "lib/chain.h"
#include "lib/context.h"
#include "lib/sys.h"
#include "lib/text.h"

// <new> belongs to libstdc++.
inline void *operator new(size_t, void *place) noexcept { return place; }

namespace vk {
namespace {

constexpr char kSuffix[] = ".ckpt";
constexpr size_t kSuffixBytes = sizeof kSuffix - 1;
constexpr unsigned kDigits = 4;			// at least
constexpr unsigned kNameTries = 1000;		// names that somebody else may have taken since

bool is_digit(char c) { return c >= '0' && c <= '9'; }

size_t folder_length(const char *path)
{
	size_t end = 0;
	for (size_t i = 0; path[i]; i++)
		if (path[i] == '/')
			end = i;
	return end;
}

// "web.ckpt" and "web.0007.ckpt" are of the base "web".
size_t base_length(const char *name, size_t bytes)
{
	if (bytes > kSuffixBytes && !memcmp(name + bytes - kSuffixBytes, kSuffix, kSuffixBytes))
		bytes -= kSuffixBytes;
	size_t digits = 0;
	while (digits < bytes && is_digit(name[bytes - digits - 1]))
		digits++;
	return digits >= kDigits && bytes > digits + 1 && name[bytes - digits - 1] == '.' ? bytes - digits - 1 : bytes;
}

struct Numbers {
	const char *base;			// without its folder
	uint64_t highest;
};

void look_at_name(void *arg, const char *name)
{
	Numbers &n = *static_cast<Numbers *>(arg);
	size_t bytes = text_length(n.base), digits = 0;
	if (!text_starts(name, n.base) || name[bytes] != '.')
		return;
	uint64_t number = 0;
	for (const char *p = name + bytes + 1; is_digit(*p) && digits < 12; p++, digits++)
		number = number * 10 + (uint64_t)(*p - '0');
	if (digits >= kDigits && text_equal(name + bytes + 1 + digits, kSuffix) && number > n.highest)
		n.highest = number;
}

bool name_of(const Lineage &l, uint64_t number, char *out, size_t room)
{
	Text text(out, room);
	text.add(l.base).add(".");
	for (uint64_t least = 1000; least > number && least > 1; least /= 10)
		text.add("0");
	text.decimal(number).add(kSuffix);
	return !text.cut() && text.length() <= VKCKPT_MAX_PATH - 16;
}

// Every image that the next one needs lies where it was, and is the same. block: 4096 bytes.
bool is_there(const Lineage::Member &m, struct vkckpt_f_header *block)
{
	long fd = sys_open(m.path, O_RDONLY | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return false;
	long got = pread_all((int)fd, block, sizeof *block, 0);
	(void)sys_close((int)fd);	// read-only: there is nothing to lose
	return got == (long)sizeof *block && !memcmp(block->magic, VKCKPT_MAGIC, sizeof block->magic) &&
	    uuid_equal(block->image_id, m.id);
}

Status unfit(const char *path, const char *why)
{
	return about_image(fail(EINVAL, VKCKPT_R_PARENT_UNFIT, "parent", why), path);
}

void take_member(Lineage &l, const OpenImage &image, const char *path)
{
	Lineage::Member &m = l.member[l.length++];
	m.id = image.head().header().image_id;
	(void)text_copy(m.path, sizeof m.path, path);
}

Status adopt(Lineage &l, OpenImage &image, Chain &chain, int fd, const char *path, const ImageShape &shape, const struct vkckpt_crypto *crypto)
{
	VK_TRY(image.open(fd));
	if (crypto)
		VK_TRY(image.use(*crypto, path));
	VK_TRY(image.read_head());
	const ImageShape &its = image.head().shape();
	if (!its.incremental())
		return unfit(path, "it has no content hashes");
	if (!same_shape(its, shape))
		return unfit(path, "its memory has another size");
	char real[kChainPath];
	path_of_file(fd, "", real, sizeof real);
	if (!real[0] || text_length(real) > VKCKPT_MAX_PATH)
		return unfit(path, "it has no path");
	VK_TRY(image.read_index());
	VK_TRY(chain.open(image.head(), path, fd, nullptr, crypto));
	for (unsigned i = 0; i < chain.count(); i++)
		if (text_length(chain.path(i)) > VKCKPT_MAX_PATH)
			return unfit(path, "the path of its chain is too long");
	l.length = 0;
	for (unsigned i = chain.count(); i-- > 0;)
		take_member(l, chain.ancestor(i), chain.path(i));
	take_member(l, image, real);
	l.hashes.forget();
	for (uint64_t i = 0; i < image.index_count(); i++)
		l.hashes.know(image.index()[i]);
	return success();
}

}  // namespace

void lineage_plain_name(const char *path, char *out, size_t room)
{
	const char *name = path;
	for (const char *p = path; *p; p++)
		if (*p == '/')
			name = p + 1;
	size_t bytes = text_length(name), base = base_length(name, bytes);
	Text text(out, room);
	text.add(path, (size_t)(name - path) + base);
	text.add(base < bytes ? kSuffix : "");
}

size_t lineage_arena_bytes(const ImageShape &shape)
{
	return Arena::room(sizeof(Lineage), 64) + ParentHashes::arena_bytes(shape);
}

Lineage *lineage_make(Arena &arena, const ImageShape &shape, uint32_t limit)
{
	Lineage *l = new (arena.take(sizeof(Lineage), 64)) Lineage();
	l->limit = limit;
	l->hashes.init(arena, shape);
	return l;
}

Status lineage_begin(Lineage &l, const char *image_path)
{
	size_t folder = folder_length(image_path);
	char path[VKCKPT_MAX_PATH + 1], real[kChainPath];
	Text(path, sizeof path).add(image_path, folder ? folder : 1);
	long dir = sys_open(path, O_RDONLY | O_DIRECTORY);
	path_of_file((int)dir, path, real, sizeof real);
	const char *name = image_path + folder + 1;
	Text base(l.base, sizeof l.base);
	base.add(real[1] ? real : "").add("/").add(name, base_length(name, text_length(name)));
	l.folder_bytes = text_length(real[1] ? real : "");
	Numbers numbers = { l.base + l.folder_bytes + 1, 0 };
	if (dir >= 0) {
		(void)list_folder((int)dir, look_at_name, &numbers);	// what is missed is found out when the name is taken
		(void)sys_close((int)dir);
	}
	l.number = numbers.highest + 1;
	if (base.cut() || !name_of(l, l.number, l.path, sizeof l.path))
		return fail(EINVAL, VKCKPT_R_BAD_ARGUMENT, "arm: config", "image_path: too long for a chain");
	l.path[0] = 0;
	return success();
}

Status lineage_adopt(Lineage &l, const char *path, const ImageShape &shape, const struct vkckpt_crypto *crypto)
{
	Result<int> fd = open_image_file(path);
	if (!fd.ok())
		return fd.status;
	OpenImage image;
	Chain chain;
	Status s = about_image(adopt(l, image, chain, fd.value, path, shape, crypto), path);
	chain.close();
	image.close();
	(void)sys_close(fd.value);	// read-only: there is nothing to lose
	return s;
}

Status lineage_next(struct vkckpt &ck)
{
	Lineage &l = *ck.lineage;
	l.warning = 0;
	l.full = l.length == 0 || l.length >= l.limit || request_flags(ck) & VKCKPT_REQUEST_FULL;
	for (uint32_t i = 0; i < l.length && !l.full; i++)
		if (!is_there(l.member[i], reinterpret_cast<struct vkckpt_f_header *>(ck.record))) {
			l.full = true;
			l.warning = VKCKPT_R_PARENT_MISSING;
		}
	char folder[VKCKPT_MAX_PATH + 1];
	Text(folder, sizeof folder).add(l.base, l.folder_bytes);
	if (!l.full && !relative_path(folder, l.member[l.length - 1].path, l.parent_path, sizeof l.parent_path)) {
		l.full = true;
		l.warning = VKCKPT_R_LIMIT;
	}
	for (unsigned i = 0; i < kNameTries; i++, l.number++) {
		struct stat st;
		if (!name_of(l, l.number, l.path, sizeof l.path))
			return fail(ENAMETOOLONG, VKCKPT_R_LIMIT, "capture: image file", "the next name of the chain");
		if (sys_lstat(l.path, &st) < 0)	// whatever else is wrong with it, making the file will say
			return success();
	}
	return fail(EEXIST, VKCKPT_R_IMAGE_IN_USE, "capture: image file", "the next names of the chain", l.number);
}

void lineage_commit(Lineage &l, const struct vkckpt_uuid &image_id)
{
	if (l.full)
		l.length = 0;
	Lineage::Member &m = l.member[l.length++];
	m.id = image_id;
	(void)text_copy(m.path, sizeof m.path, l.path);
	l.number++;
	l.hashes.commit();
}

}  // namespace vk
