// The digest of a disk's content. See disk_digest.h.
#include "lib/disk_digest.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "lib/codec.h"
#include "lib/text.h"

namespace vk {
namespace {

constexpr const char *kWhere = "disk: digest";
constexpr uint64_t kPiece = 64 << 10;		// those that are zero are left out
static_assert(kDiskBuffer % kPiece == 0);

struct Reading {
	int fd;
	uint64_t size;
	uint8_t *buffer;
	const char *name;
	const Patience &patience;
	DigestStream digest;
};

// From a multiple of kPiece to `end` or a little behind it; *next: where the next one may begin.
Status add_extent(Reading &r, uint64_t at, uint64_t end, uint64_t *next)
{
	while (at < end) {
		if (r.patience.ended && r.patience.ended(r.patience.arg))
			return fail(ECANCELED, VKCKPT_R_CANCELLED, kWhere, r.name);
		size_t want = r.size - at < kDiskBuffer ? (size_t)(r.size - at) : kDiskBuffer;
		long got = pread_all(r.fd, r.buffer, want, at);
		if (got < 0)
			return fail_host((int)-got, kWhere, r.name, at);
		if ((size_t)got < want)		// it has become shorter
			return fail(ESTALE, VKCKPT_R_DISK_CHANGED, kWhere, r.name, at);
		memset(r.buffer + want, 0, (kPiece - want % kPiece) % kPiece);
		for (size_t i = 0; i < want; i += kPiece) {
			uint64_t place = at + i;
			if (is_zero(r.buffer + i, kPiece))
				continue;
			r.digest.add(&place, sizeof place);
			r.digest.add(r.buffer + i, kPiece);
		}
		at += want;
	}
	*next = at;
	return success();
}

Status add_data(Reading &r)
{
	for (uint64_t at = 0; at < r.size;) {
		long data = sys_lseek(r.fd, (int64_t)at, SEEK_DATA);
		if (data == -ENXIO)	// nothing but a hole up to the end
			break;
		long hole = data < 0 ? data : sys_lseek(r.fd, data, SEEK_HOLE);
		uint64_t start = hole < 0 ? at : (uint64_t)data & ~(kPiece - 1), end = hole < 0 ? r.size : (uint64_t)hole;	// no such seeks: all is data
		start = start > at ? start : at;
		VK_TRY(add_extent(r, start, end < r.size ? end : r.size, &at));
	}
	r.digest.add(&r.size, sizeof r.size);
	return success();
}

}  // namespace

Status disk_digest(int disk_fd, uint64_t size, uint8_t *buffer, const char *name, struct vkckpt_digest *out, const Patience &patience)
{
	char self[48];		// a description of our own, for a position of our own
	Text(self, sizeof self).add("/proc/self/fd/").decimal((uint64_t)disk_fd);
	long fd = sys_open(self, O_RDONLY);
	if (fd < 0)
		return fail_host((int)-fd, kWhere, name);
	Reading r = { (int)fd, size, buffer, name, patience, {} };
	Status s = add_data(r);
	sys_close((int)fd);
	*out = r.digest.result();
	return s;
}

}  // namespace vk
