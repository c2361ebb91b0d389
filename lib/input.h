// A sequential byte stream from a file or pipe, buffered; never seeks. Big reads go straight to their destination.
#ifndef VKCKPT_LIB_INPUT_H
#define VKCKPT_LIB_INPUT_H

#include "lib/arena.h"
#include "lib/leaves.h"
#include "lib/status.h"

namespace vk {

class Input {
public:
	static constexpr size_t kBufferBytes = 256 << 10;
	static size_t arena_bytes() { return Arena::room(kBufferBytes, 4096); }

	void init(Arena &);
	void begin(int fd);
	// From here on every leaf is checked before a byte of it is given out; at the stream's first byte. Must stay.
	void verify(const Leaves *leaves) { leaves_ = leaves; }
	// All of it, or TRUNCATED (the number is the stream's length) or the host's error.
	Status read(void *out, size_t count);
	// Bytes got, up to count; fewer only at the end of the stream.
	Result<size_t> read_some(void *out, size_t count);
	Status skip_zeros(size_t count);	// DAMAGED when one of them is not zero
	Status expect_end();			// TRAILING_DATA when there is a byte more
	uint64_t position() const { return position_; }

private:
	Status fill();
	Status fill_leaves();
	uint8_t *buffer_ = nullptr;
	size_t head_ = 0, tail_ = 0;
	uint64_t position_ = 0;
	const Leaves *leaves_ = nullptr;
	int fd_ = -1;
	bool ended_ = false;
};

}  // namespace vk
#endif
