// The block cache of /dev/vkd0 and its requests.
#include "disk.h"

#include <algorithm>
#include <sys/mount.h>
#include <unistd.h>

#include "vm.h"

namespace minivk {

Disk::Block *Disk::find(uint64_t index) const
{
	const auto it = blocks_.find(index);
	return it == blocks_.end() ? nullptr : it->second;
}

uint32_t Disk::block_bytes(uint64_t index) const { return uint32_t(std::min(kPage, bytes_ - index * kPage)); }

void Disk::drop(Block *b)
{
	blocks_.erase(b->index);
	frame_unref(b->frame);
	kdelete(b);
}

// Takes the next idle block round the cache; a block is clean once its write has ended.
bool Disk::evict()
{
	auto it = blocks_.lower_bound(evict_from_);
	for (size_t n = blocks_.size(); n; --n, ++it) {
		if (it == blocks_.end())
			it = blocks_.begin();
		if (it->second->busy)
			continue;
		evict_from_ = it->first + 1;
		drop(it->second);
		return true;
	}
	return false;
}

Disk::Block *Disk::make(uint64_t index)
{
	if ((blocks_.size() >= kCachedMax || !kernel_memory_ok()) && !evict())
		return nullptr;
	Frame frame = frame_alloc(FrameUse::kFile);
	if (frame == kNoFrame && evict())
		frame = frame_alloc(FrameUse::kFile);
	if (frame == kNoFrame)
		return nullptr;
	Block *b = knew<Block>();
	b->index = index;
	b->frame = frame;
	blocks_[index] = b;
	return b;
}

void Disk::start(Block &b, DiskRequest::Kind kind)
{
	b.request = {b.index * kPage, frame_ptr(b.frame), block_bytes(b.index), kind, 0, 0};
	b.busy = true;
	busy_.push_back(&b);
	host_disk_submit(&b.request);
}

void Disk::finish(Block &b)
{
	b.busy = false;
	const bool good = b.request.result == int32_t(b.request.bytes);
	const int32_t error = b.request.result < 0 ? b.request.result : -EIO;
	if (b.request.kind == DiskRequest::kRead) {
		b.valid = good;
		b.error = good ? 0 : error;
	} else if (!good) {
		write_error_ = error;
		drop(&b);
	}
}

void Disk::start_flush()
{
	if (flushing_ || flush_done_ == flush_wanted_)
		return;
	for (const Block *b : busy_)
		if (b->request.kind == DiskRequest::kWrite)
			return;
	flush_ = {0, nullptr, 0, DiskRequest::kFlush, 0, 0};
	flushing_ = true;
	flush_started_ = flush_wanted_;
	host_disk_submit(&flush_);
}

void Disk::interrupt()
{
	// finish() may drop a block: the list is taken apart first.
	KVector<Block *> now = std::move(busy_);
	busy_ = KVector<Block *>();
	for (Block *b : now) {
		if (b->request.state == 2) {
			finish(*b);
			continue;
		}
		busy_.push_back(b);
		if (b->request.state == 0)
			host_disk_submit(&b->request);
	}
	if (flushing_ && flush_.state == 0)
		host_disk_submit(&flush_);
	if (flushing_ && flush_.state == 2) {
		flushing_ = false;
		flush_done_ = flush_started_;
		if (flush_.result < 0)
			write_error_ = flush_.result;
	}
	start_flush();
	changed.wake_all();
}

long Disk::wait(Thread &t)
{
	if (thread_call(t).interrupted)
		return kRestartSys;
	wait_on(t, changed);
	return kBlocked;
}

long Disk::read(Thread &t, const File &, IoBuffer &to, uint64_t *offset)
{
	if (*offset >= bytes_ || !to.left())
		return 0;
	const uint64_t first = *offset / kPage, end = (std::min(bytes_, *offset + to.left()) + kPage - 1) / kPage;
	for (uint64_t i = first; i < end && i < first + kReadAhead; ++i)
		if (!find(i)) {
			Block *b = make(i);
			if (!b)
				break;
			start(*b, DiskRequest::kRead);
		}
	long done = 0;
	while (to.left() && *offset < bytes_) {
		Block *b = find(*offset / kPage);
		if (!b || !b->valid)
			break;
		const size_t in_block = *offset % kPage;
		const size_t n = std::min(size_t(block_bytes(b->index)) - in_block, to.left());
		const long r = to.put(static_cast<char *>(frame_ptr(b->frame)) + in_block, n);
		if (r <= 0)
			return done ? done : r;
		done += r;
		*offset += uint64_t(r);
	}
	if (done)
		return done;
	Block *b = find(first);
	if (!b)
		return busy_.empty() ? -ENOMEM : wait(t);
	if (!b->busy && b->error) {
		const long error = b->error;
		drop(b);
		return error;
	}
	return wait(t);
}

// Copies into one block and starts its write. Bytes, -errno, or 0: not now.
long Disk::write_block(IoBuffer &from, uint64_t offset)
{
	const uint64_t index = offset / kPage, in_block = offset % kPage;
	const size_t n = std::min(size_t(block_bytes(index)) - in_block, from.left());
	Block *b = find(index);
	if (b && b->busy)
		return 0;
	if (b && !b->valid) {
		const int32_t error = b->error;
		drop(b);
		if (error)
			return error;
		b = nullptr;
	}
	const bool whole = n == block_bytes(index);
	if (!b) {
		b = make(index);
		if (!b)
			return busy_.empty() ? -ENOMEM : 0;
		if (!whole) {
			start(*b, DiskRequest::kRead);
			return 0;
		}
	}
	const long r = from.get(static_cast<char *>(frame_ptr(b->frame)) + in_block, n);
	if (r <= 0 || (!b->valid && size_t(r) < n)) {
		if (!b->valid)
			drop(b);
		return r < 0 ? r : -EFAULT;
	}
	b->valid = true;
	start(*b, DiskRequest::kWrite);
	return r;
}

long Disk::write(Thread &t, const File &, IoBuffer &from, uint64_t *offset)
{
	if (!writable_)
		return -EPERM;
	if (write_error_)
		return std::exchange(write_error_, 0);
	if (!from.left())
		return 0;
	if (*offset >= bytes_)
		return -ENOSPC;
	long done = 0;
	// While a sync waits for the writes before it, later ones wait for the sync.
	while (from.left() && *offset < bytes_ && busy_.size() < kInFlightMax && flush_done_ == flush_wanted_) {
		const long r = write_block(from, *offset);
		if (r < 0)
			return done ? done : r;
		if (r == 0)
			break;
		done += r;
		*offset += uint64_t(r);
	}
	return done ? done : wait(t);
}

long Disk::sync(Thread &t)
{
	CallState &call = thread_call(t);
	if (!call.again) {
		call.scratch[0] = ++flush_wanted_;
		start_flush();
	}
	if (flush_done_ < call.scratch[0])
		return wait(t);
	return std::exchange(write_error_, 0);
}

void disk_interrupt()
{
	if (kernel().fs && files().disk)
		files().disk->interrupt();
}

namespace {

class DiskFile final : public File {
public:
	explicit DiskFile(Ref<Disk> disk) : disk_(std::move(disk)) {}
	long read(Thread &t, IoBuffer &to, uint64_t *at) override { return disk_->read(t, *this, to, at); }
	long write(Thread &t, IoBuffer &from, uint64_t *at) override { return disk_->write(t, *this, from, at); }
	long sync(Thread &t) override { return disk_->sync(t); }
	bool fills_reads() const override { return true; }
	uint32_t poll(Thread &, WaitQueue **) override { return kPollIn | kPollOut; }
	long seek(int64_t to, int whence) override;
	long ioctl(Thread &, uint32_t request, uint64_t arg) override;
private:
	Ref<Disk> disk_;
};

long DiskFile::seek(int64_t to, int whence)
{
	const int64_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? int64_t(offset) : int64_t(disk_->bytes());
	if (whence != SEEK_SET && whence != SEEK_CUR && whence != SEEK_END)
		return -EINVAL;
	if (__builtin_add_overflow(base, to, &to) || to < 0)
		return -EINVAL;
	offset = uint64_t(to);
	return to;
}

long DiskFile::ioctl(Thread &t, uint32_t request, uint64_t arg)
{
	AddressSpace &as = thread_space(t);
	switch (request) {
	case BLKGETSIZE64: return copy_out(as, arg, disk_->bytes());
	case BLKGETSIZE: return copy_out(as, arg, disk_->bytes() / 512);
	case BLKSSZGET: return copy_out(as, arg, int32_t(512));
	case BLKBSZGET: return copy_out(as, arg, uint64_t(kPage));
	case BLKROGET: return copy_out(as, arg, int32_t(!disk_->writable()));
	case BLKFLSBUF: return disk_->sync(t);
	default: return -ENOTTY;
	}
}

}  // namespace

Ref<File> make_disk_file(Ref<Disk> disk) { return kmake<DiskFile>(std::move(disk)); }

}  // namespace minivk
