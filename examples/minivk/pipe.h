// Pipes, fifos and stream socket pairs: bytes in a ring in RAM.
#ifndef MINIVK_PIPE_H
#define MINIVK_PIPE_H

#include "files.h"

namespace minivk {

class Pipe final : public Counted {
public:
	static constexpr size_t kCapacity = 65536, kAtomic = 4096;	// as Linux; kAtomic is PIPE_BUF
	~Pipe() override;
	size_t used() const { return used_; }
	size_t room() const { return kCapacity - used_; }
	long take(IoBuffer &to);		// bytes, or -EFAULT
	long add(IoBuffer &from);
	long read(Thread &, const File &, IoBuffer &to);
	long write(Thread &, const File &, IoBuffer &from);
	uint32_t poll_read() const;
	uint32_t poll_write() const;
	void open_end(bool reader, bool writer);
	void close_end(bool reader, bool writer);

	uint32_t readers = 0, writers = 0;
	uint64_t reads_opened = 0, writes_opened = 0;
	// A fifo's opener that waits counts as the other side's partner before it runs again: these say that one is on its way.
	bool reader_coming = false, writer_coming = false;
	WaitQueue opening_readers, opening_writers;
	WaitQueue changed;
private:
	char *ring_ = nullptr;		// made at the first write
	size_t start_ = 0, used_ = 0;
};

long make_pipe(Ref<File> *reader, Ref<File> *writer);
long make_stream_pair(Ref<File> *a, Ref<File> *b);

}  // namespace minivk
#endif
