// The data of one file into another. See copy_data.h.
#include "lib/copy_data.h"

#include <errno.h>
#include <unistd.h>

namespace vk {
namespace {

struct Copy {
	int from, to;
	uint8_t *buffer;
	const char *where, *subject;
	const Patience &patience;
};

Status copy_extent(const Copy &c, uint64_t at, uint64_t end)
{
	while (at < end) {
		if (c.patience.ended && c.patience.ended(c.patience.arg))
			return fail(ECANCELED, VKCKPT_R_CANCELLED, c.where, c.subject);
		size_t part = end - at < kCopyBuffer ? end - at : kCopyBuffer;
		long got = pread_all(c.from, c.buffer, part, at);
		if (got > 0)
			if (long r = pwrite_all(c.to, c.buffer, (size_t)got, at); r < 0)
				got = r;
		if (got < 0)
			return fail_host((int)-got, c.where, c.subject, at);
		if (got == 0)	// it has become shorter
			return fail(ESTALE, VKCKPT_R_DISK_CHANGED, c.where, c.subject, at);
		at += (uint64_t)got;
	}
	return success();
}

}  // namespace

Status copy_data(int from, int to, uint64_t size, uint8_t *buffer, const char *where, const char *subject, const Patience &patience)
{
	Copy c = { from, to, buffer, where, subject, patience };
	if (long r = sys_ftruncate(to, size); r < 0)
		return fail_host((int)-r, where, subject, size);
	for (uint64_t at = 0; at < size;) {
		long data = sys_lseek(from, (int64_t)at, SEEK_DATA);
		if (data == -ENXIO)	// nothing but a hole up to the end
			return success();
		long hole = data < 0 ? data : sys_lseek(from, data, SEEK_HOLE);
		uint64_t start = hole < 0 ? at : (uint64_t)data, end = hole < 0 ? size : (uint64_t)hole;	// no such seeks: all is data
		VK_TRY(copy_extent(c, start, end < size ? end : size));
		at = end;
	}
	return success();
}

}  // namespace vk
