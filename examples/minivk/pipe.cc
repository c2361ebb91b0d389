// Pipes, fifos and stream socket pairs.
#include "pipe.h"

#include <algorithm>
#include <string>
#include <sys/ioctl.h>

#include "signal.h"
#include "vm.h"

namespace minivk {

Pipe::~Pipe() { kfree(ring_); }

long Pipe::take(IoBuffer &to)
{
	long done = 0;
	while (used_ && to.left()) {
		const size_t n = std::min({used_, kCapacity - start_, to.left()});
		const long r = to.put(ring_ + start_, n);
		if (r <= 0)
			return done ? done : r;
		start_ = (start_ + size_t(r)) % kCapacity;
		used_ -= size_t(r);
		done += r;
	}
	if (done)
		changed.wake_all();
	return done;
}

long Pipe::add(IoBuffer &from)
{
	if (!ring_) {
		if (!kernel_memory_ok())
			return -ENOMEM;
		ring_ = static_cast<char *>(kalloc(kCapacity));
	}
	long done = 0;
	while (room() && from.left()) {
		const size_t at = (start_ + used_) % kCapacity;
		const size_t n = std::min({room(), kCapacity - at, from.left()});
		const long r = from.get(ring_ + at, n);
		if (r <= 0)
			return done ? done : r;
		used_ += size_t(r);
		done += r;
	}
	if (done)
		changed.wake_all();
	return done;
}

long Pipe::read(Thread &t, const File &file, IoBuffer &to)
{
	if (!to.left())
		return 0;
	if (used_)
		return take(to);
	if (writers == 0 && !writer_coming)
		return 0;
	return block_on(t, file, changed);
}

// Writes of up to kAtomic bytes move whole or not at all; what is left of longer ones moves as room appears.
long Pipe::write(Thread &t, const File &file, IoBuffer &from)
{
	if (readers == 0 && !reader_coming) {
		signal_thread(t, kSigPipe);
		return -EPIPE;
	}
	if (!from.left())
		return 0;
	const bool whole = from.left() <= kAtomic && thread_call(t).progress == 0;
	if (whole ? room() >= from.left() : room() > 0)
		return add(from);
	return block_on(t, file, changed);
}

uint32_t Pipe::poll_read() const
{
	return (used_ ? uint32_t(kPollIn) : 0) | (writers == 0 && writes_opened ? uint32_t(kPollHup) : 0);
}

uint32_t Pipe::poll_write() const
{
	return (room() >= kAtomic ? uint32_t(kPollOut) : 0) | (readers == 0 ? uint32_t(kPollErr) : 0);
}

void Pipe::open_end(bool reader, bool writer)
{
	if (reader) {
		++readers;
		++reads_opened;
		reader_coming = false;
		writer_coming |= !opening_writers.empty();
		opening_writers.wake_all();
	}
	if (writer) {
		++writers;
		++writes_opened;
		writer_coming = false;
		reader_coming |= !opening_readers.empty();
		opening_readers.wake_all();
	}
	changed.wake_all();
}

void Pipe::close_end(bool reader, bool writer)
{
	readers -= reader;
	writers -= writer;
	if (readers == 0 && writers == 0 && !reader_coming && !writer_coming) {
		kfree(ring_);
		ring_ = nullptr;
		start_ = used_ = 0;
	}
	changed.wake_all();
}

namespace {

long pipe_ioctl(Thread &t, const Pipe &pipe, uint32_t request, uint64_t arg)
{
	if (request != FIONREAD)
		return -ENOTTY;
	return copy_out(thread_space(t), arg, int32_t(pipe.used()));
}

class PipeEnd final : public File {
public:
	PipeEnd(Ref<Pipe> pipe, bool reads, bool writes) : pipe_(std::move(pipe)), reads_(reads), writes_(writes)
	{
		pipe_->open_end(reads_, writes_);
	}
	~PipeEnd() override { pipe_->close_end(reads_, writes_); }
	long read(Thread &t, IoBuffer &to, uint64_t *) override { return pipe_->read(t, *this, to); }
	long write(Thread &t, IoBuffer &from, uint64_t *) override { return pipe_->write(t, *this, from); }
	uint32_t poll(Thread &, WaitQueue **queue) override
	{
		*queue = &pipe_->changed;
		return (reads_ ? pipe_->poll_read() : 0) | (writes_ ? pipe_->poll_write() : 0);
	}
	long ioctl(Thread &t, uint32_t request, uint64_t arg) override { return pipe_ioctl(t, *pipe_, request, arg); }
private:
	Ref<Pipe> pipe_;
	bool reads_, writes_;
};

// The inode of a pipe without a name, for fstat and for opening it again through /proc/self/fd.
class PipeInode final : public Inode {
public:
	explicit PipeInode(Ref<Pipe> p) : pipe_(std::move(p))
	{
		kind = InodeKind::kFifo;
		mode = 0600;
	}
	uint64_t device() const override { return 3; }
	long open(Thread &t, uint32_t flags, Ref<File> *out) override { return reopen(t, flags, out); }
private:
	// Never waits for the other side: an opener of /proc/self/fd/0 has a pipe that may have ended already.
	long reopen(Thread &, uint32_t flags, Ref<File> *out)
	{
		*out = kmake<PipeEnd>(pipe_, (flags & O_ACCMODE) != O_WRONLY, (flags & O_ACCMODE) != O_RDONLY);
		(*out)->inode = this;
		return 0;
	}
	Ref<Pipe> pipe_;
};

class StreamEnd final : public File {
public:
	StreamEnd(Ref<Pipe> in, Ref<Pipe> out) : in_(std::move(in)), out_(std::move(out))
	{
		in_->open_end(true, false);
		out_->open_end(false, true);
	}
	~StreamEnd() override
	{
		in_->close_end(true, false);
		out_->close_end(false, true);
	}
	long read(Thread &t, IoBuffer &to, uint64_t *) override { return in_->read(t, *this, to); }
	long write(Thread &t, IoBuffer &from, uint64_t *) override { return out_->write(t, *this, from); }
	uint32_t poll(Thread &, WaitQueue **queue) override
	{
		queue[0] = &in_->changed;
		queue[1] = &out_->changed;
		return in_->poll_read() | out_->poll_write();
	}
	long ioctl(Thread &t, uint32_t request, uint64_t arg) override { return pipe_ioctl(t, *in_, request, arg); }
private:
	Ref<Pipe> in_, out_;
};

class SocketInode final : public Inode {
public:
	SocketInode() { mode = 0777; }
	long open(Thread &, uint32_t, Ref<File> *) override { return -ENXIO; }
};

}  // namespace

// A fifo opens when its other side is there: waits, unless O_NONBLOCK or both sides are this one. The first call notes how
// often the other side had been opened, so that a partner that came and went while this one slept still counts.
long open_fifo(Thread &t, Ref<Pipe> &pipe, Inode &inode, uint32_t flags, Ref<File> *out)
{
	const bool reads = (flags & O_ACCMODE) != O_WRONLY, writes = (flags & O_ACCMODE) != O_RDONLY;
	if (!pipe)
		pipe = kmake<Pipe>();
	CallState &call = thread_call(t);
	if (!(reads && writes)) {
		const uint64_t seen = reads ? pipe->writes_opened : pipe->reads_opened;
		const bool there = reads ? pipe->writers || !pipe->opening_writers.empty()
		    : pipe->readers || !pipe->opening_readers.empty();
		if (!call.again)
			call.scratch[0] = seen;
		if (!there && seen == call.scratch[0]) {
			if (flags & O_NONBLOCK) {
				if (writes)
					return -ENXIO;
			} else {
				if (call.interrupted)
					return kRestartSys;
				wait_on(t, reads ? pipe->opening_readers : pipe->opening_writers);
				return kBlocked;
			}
		}
	}
	*out = kmake<PipeEnd>(pipe, reads, writes);
	(*out)->inode = &inode;
	return 0;
}

long make_pipe(Ref<File> *reader, Ref<File> *writer)
{
	if (!kernel_memory_ok())
		return -ENFILE;
	Ref<Pipe> pipe = kmake<Pipe>();
	Ref<Inode> inode = kmake<PipeInode>(pipe);
	*reader = kmake<PipeEnd>(pipe, true, false);
	*writer = kmake<PipeEnd>(pipe, false, true);
	(*writer)->flags = O_WRONLY;
	for (Ref<File> *f : {reader, writer}) {
		(*f)->inode = inode;
		(*f)->path = "pipe:[" + KString(std::to_string(inode->number).c_str()) + "]";
	}
	return 0;
}

long make_stream_pair(Ref<File> *a, Ref<File> *b)
{
	if (!kernel_memory_ok())
		return -ENFILE;
	Ref<Pipe> one = kmake<Pipe>(), two = kmake<Pipe>();
	*a = kmake<StreamEnd>(one, two);
	*b = kmake<StreamEnd>(two, one);
	for (Ref<File> *f : {a, b}) {
		(*f)->inode = kmake<SocketInode>();
		(*f)->flags = O_RDWR;
		(*f)->path = "socket:[" + KString(std::to_string((*f)->inode->number).c_str()) + "]";
	}
	return 0;
}

}  // namespace minivk
