// A sequential byte stream to a file or pipe: small things are collected, big ones go out directly, and every write starts and ends at a
// multiple of 4096 of the stream from memory aligned to 4096, so the descriptor may be O_DIRECT. Never seeks.
#ifndef VKCKPT_LIB_OUTPUT_H
#define VKCKPT_LIB_OUTPUT_H

#include "lib/arena.h"
#include "lib/status.h"
#include "lib/sys.h"

namespace vk {

class Output {
public:
	static constexpr size_t kStageBytes = 1 << 20;
	static size_t arena_bytes() { return Arena::room(kStageBytes, 4096); }

	void init(Arena &);			// ARM
	// The stream's position 0 is where fd stands. With a non-blocking fd every wait for its reader ends when patience does.
	void begin(int fd, const Patience &patience = {});
	Status append(const void *bytes, size_t count);
	Status zeros(size_t count);
	Status align(size_t boundary);		// zeros up to the next multiple
	// Stream position and count must be multiples of 4096, bytes aligned to 4096. One system call with what was collected.
	Status append_blocks(const void *bytes, size_t count);
	Status flush();				// at a multiple of 4096
	uint64_t position() const { return position_; }

private:
	Status write_stage();
	Status write(struct iovec *vec, int count);
	uint8_t *stage_ = nullptr;
	size_t used_ = 0;
	uint64_t position_ = 0;
	int fd_ = -1;
	Patience patience_;
};

}  // namespace vk
#endif
