// Regular files of the RAM file system, and their open files.
#include "ramfs.h"

#include <algorithm>
#include <cstring>
#include <unistd.h>

namespace minivk {

RamFile::~RamFile()
{
	drop_pages(0, ~0ull);
	for (auto &c : chunks_)
		kfree(c.second);
}

Frame RamFile::page(uint64_t index, bool write)
{
	auto it = chunks_.find(index / kChunkPages);
	if (it == chunks_.end()) {
		if (!write || !kernel_memory_ok())
			return kNoFrame;
		Chunk *chunk = static_cast<Chunk *>(kalloc(sizeof(Chunk)));
		std::fill_n(chunk->frame, kChunkPages, kNoFrame);
		it = chunks_.emplace(index / kChunkPages, chunk).first;
	}
	Frame &frame = it->second->frame[index % kChunkPages];
	if (frame == kNoFrame && write) {
		frame = frame_alloc(FrameUse::kFile);
		if (frame != kNoFrame) {
			++frames_;
			++files().used_file_frames;
		}
	}
	return frame;
}

void RamFile::drop_pages(uint64_t first, uint64_t end)
{
	for (auto it = chunks_.lower_bound(first / kChunkPages); it != chunks_.end() && it->first * kChunkPages < end;) {
		bool left = false;
		for (uint64_t i = 0; i < kChunkPages; ++i) {
			Frame &frame = it->second->frame[i];
			const uint64_t index = it->first * kChunkPages + i;
			if (frame != kNoFrame && index >= first && index < end) {
				frame_unref(frame);
				frame = kNoFrame;
				--frames_;
				--files().used_file_frames;
			}
			left |= frame != kNoFrame;
		}
		if (!left) {
			kfree(it->second);
			it = chunks_.erase(it);
		} else {
			++it;
		}
	}
}

void RamFile::clear_bytes(uint64_t from, uint64_t to)
{
	const Frame frame = from < to ? page(from / kPage, false) : kNoFrame;
	if (frame != kNoFrame)
		memset(static_cast<char *>(frame_ptr(frame)) + from % kPage, 0, to - from);
}

long RamFile::truncate(uint64_t bytes)
{
	if (bytes > kSizeMax)
		return -EFBIG;
	if (bytes < size_) {
		const uint64_t whole = (bytes + kPage - 1) / kPage;
		drop_pages(whole, ~0ull);
		clear_bytes(bytes, whole * kPage);
	}
	size_ = bytes;
	touch_modified();
	return 0;
}

void RamFile::punch(uint64_t offset, uint64_t bytes)
{
	const uint64_t end = offset + bytes, first = (offset + kPage - 1) / kPage, last = end / kPage;
	if (first > last) {
		clear_bytes(offset, end);
		return;
	}
	clear_bytes(offset, first * kPage);
	clear_bytes(last * kPage, end);
	drop_pages(first, last);
}

long RamFile::reserve(uint64_t offset, uint64_t bytes, bool keep_size)
{
	if (bytes > kSizeMax || offset > kSizeMax - bytes)
		return -EFBIG;
	for (uint64_t i = offset / kPage; i * kPage < offset + bytes; ++i)
		if (page(i, true) == kNoFrame)
			return -ENOSPC;
	if (!keep_size)
		size_ = std::max(size_, offset + bytes);
	touch_modified();
	return 0;
}

long RamFile::allocate(uint32_t how, uint64_t offset, uint64_t bytes)
{
	if (how == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)) {
		punch(offset, std::min(bytes, kSizeMax));
		touch_modified();
		return 0;
	}
	return how & ~uint32_t(FALLOC_FL_KEEP_SIZE) ? -EOPNOTSUPP : reserve(offset, bytes, how != 0);
}

int64_t RamFile::seek_data(uint64_t offset, bool hole) const
{
	if (offset >= size_)
		return -ENXIO;
	for (uint64_t i = offset / kPage; i * kPage < size_; ++i) {
		const auto it = chunks_.lower_bound(i / kChunkPages);
		const bool here = it != chunks_.end() && it->first == i / kChunkPages;
		if (!here && !hole) {
			if (it == chunks_.end())
				return -ENXIO;
			i = it->first * kChunkPages - 1;
			continue;
		}
		const bool data = here && it->second->frame[i % kChunkPages] != kNoFrame;
		if (data != hole)
			return int64_t(std::max(offset, i * kPage));
	}
	return hole ? int64_t(size_) : -ENXIO;
}

long RamFile::read_at(IoBuffer &to, uint64_t offset)
{
	static const char zeros[kPage] = {};
	long done = 0;
	while (to.left() && offset < size_) {
		const uint64_t in_page = offset % kPage;
		const size_t n = std::min({size_t(kPage - in_page), to.left(), size_t(size_ - offset)});
		const Frame frame = page(offset / kPage, false);
		const char *from = frame == kNoFrame ? zeros : static_cast<char *>(frame_ptr(frame)) + in_page;
		const long r = to.put(from, n);
		if (r <= 0)
			return done ? done : r;
		done += r;
		offset += uint64_t(r);
		if (size_t(r) < n)
			break;
	}
	atime_ns = realtime_ns();
	return done;
}

long RamFile::write_at(IoBuffer &from, uint64_t offset)
{
	long done = 0;
	while (from.left()) {
		if (offset >= kSizeMax)
			return done ? done : -EFBIG;
		const uint64_t in_page = offset % kPage;
		const size_t n = std::min(size_t(kPage - in_page), from.left());
		const Frame frame = page(offset / kPage, true);
		if (frame == kNoFrame)
			return done ? done : -ENOSPC;
		const long r = from.get(static_cast<char *>(frame_ptr(frame)) + in_page, n);
		if (r <= 0)
			return done ? done : r;
		done += r;
		offset += uint64_t(r);
		size_ = std::max(size_, offset);
		if (size_t(r) < n)
			break;
	}
	if (done)
		touch_modified();
	return done;
}

namespace {

class RamOpenFile final : public File {
public:
	explicit RamOpenFile(RamFile &f) { inode = &f; }
	long read(Thread &, IoBuffer &to, uint64_t *at) override
	{
		const long r = ram().read_at(to, *at);
		if (r > 0)
			*at += uint64_t(r);
		return r;
	}
	long write(Thread &, IoBuffer &from, uint64_t *at) override
	{
		const uint64_t start = flags & O_APPEND ? ram().size() : *at;
		const long r = ram().write_at(from, start);
		if (r > 0)
			*at = start + uint64_t(r);
		return r;
	}
	uint32_t poll(Thread &, WaitQueue **) override { return kPollIn | kPollOut; }
	long seek(int64_t to, int whence) override;
private:
	RamFile &ram() { return static_cast<RamFile &>(*inode); }
};

long RamOpenFile::seek(int64_t to, int whence)
{
	int64_t base = 0;
	switch (whence) {
	case SEEK_SET: break;
	case SEEK_CUR: base = int64_t(offset); break;
	case SEEK_END: base = int64_t(ram().size()); break;
	case SEEK_DATA:
	case SEEK_HOLE:
		to = to < 0 ? -ENXIO : ram().seek_data(uint64_t(to), whence == SEEK_HOLE);
		if (to < 0)
			return to;
		break;
	default: return -EINVAL;
	}
	if (__builtin_add_overflow(base, to, &to))
		return -EOVERFLOW;
	if (to < 0)
		return -EINVAL;
	offset = uint64_t(to);
	return to;
}

}  // namespace

long RamFile::open(Thread &, uint32_t, Ref<File> *out)
{
	*out = kmake<RamOpenFile>(*this);
	return 0;
}

Ref<Inode> make_memory_file()
{
	Ref<RamFile> file = kmake<RamFile>();
	file->mode = 0600;
	file->nlink = 0;
	return file;
}

}  // namespace minivk
