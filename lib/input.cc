// A sequential byte stream in. See input.h. THAW and tools.
#include "lib/input.h"

#include <errno.h>

#include "lib/sys.h"

namespace vk {

void Input::init(Arena &arena) { buffer_ = static_cast<uint8_t *>(arena.take(kBufferBytes, 4096)); }

void Input::begin(int fd)
{
	fd_ = fd;
	head_ = tail_ = 0;
	position_ = 0;
	ended_ = false;
}

// One read(2), so that a pipe delivers what it has instead of waiting for a full buffer.
Status Input::fill()
{
	head_ = tail_ = 0;
	if (ended_)
		return success();
	if (leaves_)
		return fill_leaves();
	long got = -EINTR;
	while (got == -EINTR)
		got = sys_read(fd_, buffer_, kBufferBytes);
	if (got == -EAGAIN)	// a non-blocking pipe: one byte with waiting, the rest the next time
		got = read_all(fd_, buffer_, 1);
	if (got < 0)
		return fail_host(static_cast<int>(-got), "read", "the image", position_);
	tail_ = static_cast<size_t>(got);
	ended_ = got == 0;
	return success();
}

// Some whole leaves. A stream that is shorter or longer than what was signed is refused.
Status Input::fill_leaves()
{
	size_t want = 0;
	for (size_t leaf; want + leaves_->leaf_bytes() <= kBufferBytes && (leaf = leaves_->bytes_at(position_ + want)) != 0;)
		want += leaf;
	uint8_t more;
	long got = want ? read_all(fd_, buffer_, want) : read_all(fd_, &more, 1);
	if (got < 0)
		return fail_host(static_cast<int>(-got), "read", "the image", position_);
	if (static_cast<size_t>(got) < want)
		return fail(EBADMSG, VKCKPT_R_TRUNCATED, "read", "the image", position_ + static_cast<size_t>(got));
	if (want == 0 && got != 0)
		return fail(EBADMSG, VKCKPT_R_TRAILING_DATA, "read", "the image", position_);
	VK_TRY(leaves_->check(position_, buffer_, want));
	tail_ = want;
	ended_ = want == 0;
	return success();
}

Result<size_t> Input::read_some(void *out, size_t count)
{
	uint8_t *to = static_cast<uint8_t *>(out);
	size_t got = 0;
	while (got < count) {
		if (head_ < tail_) {
			size_t part = tail_ - head_ < count - got ? tail_ - head_ : count - got;
			__builtin_memcpy(to + got, buffer_ + head_, part);
			head_ += part;
			got += part;
			position_ += part;
		} else if (!ended_ && !leaves_ && count - got >= kBufferBytes) {
			long done = read_all(fd_, to + got, count - got);
			if (done < 0)
				return fail_host(static_cast<int>(-done), "read", "the image", position_);
			got += static_cast<size_t>(done);
			position_ += static_cast<size_t>(done);
			ended_ = got < count;
		} else {
			VK_TRY(fill());
			if (ended_)
				break;
		}
	}
	return got;
}

Status Input::read(void *out, size_t count)
{
	Result<size_t> got = read_some(out, count);
	VK_TRY(got.status);
	if (got.value < count)
		return fail(EBADMSG, VKCKPT_R_TRUNCATED, "read", "the image", position_);
	return success();
}

Status Input::skip_zeros(size_t count)
{
	while (count > 0) {
		if (head_ == tail_)
			VK_TRY(fill());
		if (ended_ && head_ == tail_)
			return fail(EBADMSG, VKCKPT_R_TRUNCATED, "read", "the image", position_);
		for (; count > 0 && head_ < tail_; head_++, position_++, count--)
			if (buffer_[head_] != 0)
				return fail(EBADMSG, VKCKPT_R_DAMAGED, "read", "padding", position_);
	}
	return success();
}

Status Input::expect_end()
{
	uint8_t more;
	Result<size_t> got = read_some(&more, 1);
	VK_TRY(got.status);
	if (got.value != 0)
		return fail(EBADMSG, VKCKPT_R_TRAILING_DATA, "read", "the image", position_ - 1);
	return success();
}

}  // namespace vk
