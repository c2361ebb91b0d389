// A sequential byte stream out. See output.h. QUIET: no allocation; the writes may block on the host's disk or the pipe's reader.
#include "lib/output.h"

#include <errno.h>

#include "lib/sys.h"

namespace vk {

void Output::init(Arena &arena) { stage_ = static_cast<uint8_t *>(arena.take(kStageBytes, 4096)); }

void Output::begin(int fd, const Patience &patience)
{
	fd_ = fd;
	patience_ = patience;
	used_ = 0;
	position_ = 0;
}

Status Output::write(struct iovec *vec, int count)
{
	long result = writev_all(fd_, vec, count, patience_);
	if (result == -ECANCELED)
		return fail(ECANCELED, VKCKPT_R_CANCELLED, "write", "the image", position_);
	return result < 0 ? fail_host(static_cast<int>(-result), "write", "the image", position_) : success();
}

// Called with a full stage or at a multiple of 4096, so that what goes out keeps the alignment.
Status Output::write_stage()
{
	VK_CHECK(used_ % 4096 == 0);
	struct iovec vec = { stage_, used_ };
	VK_TRY(write(&vec, 1));
	used_ = 0;
	return success();
}

Status Output::append(const void *bytes, size_t count)
{
	const uint8_t *from = static_cast<const uint8_t *>(bytes);
	while (count > 0) {
		if (used_ == kStageBytes)
			VK_TRY(write_stage());
		size_t part = kStageBytes - used_ < count ? kStageBytes - used_ : count;
		__builtin_memcpy(stage_ + used_, from, part);
		used_ += part;
		position_ += part;
		from += part;
		count -= part;
	}
	return success();
}

Status Output::zeros(size_t count)
{
	static constexpr uint8_t kZeros[256] = {};
	for (; count > sizeof kZeros; count -= sizeof kZeros)
		VK_TRY(append(kZeros, sizeof kZeros));
	return append(kZeros, count);
}

Status Output::align(size_t boundary)
{
	size_t over = position_ % boundary;
	return over ? zeros(boundary - over) : success();
}

Status Output::append_blocks(const void *bytes, size_t count)
{
	VK_CHECK(used_ % 4096 == 0 && count % 4096 == 0 && reinterpret_cast<uintptr_t>(bytes) % 4096 == 0);
	struct iovec vec[2] = { { stage_, used_ }, { const_cast<void *>(bytes), count } };
	VK_TRY(write(vec, 2));
	used_ = 0;
	position_ += count;
	return success();
}

Status Output::flush() { return write_stage(); }

}  // namespace vk
