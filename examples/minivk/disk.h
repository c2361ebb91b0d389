// /dev/vkd0: blocks of the host's disk, cached in RAM, read and written asynchronously.
#ifndef MINIVK_DISK_H
#define MINIVK_DISK_H

#include "files.h"
#include "host.h"

namespace minivk {

// Writes go to the host as soon as they are in the cache; an error of one is told by the next fsync or write. Requests
// that a stopped disk refused stay at state 0 and are submitted again at the next disk_interrupt().
class Disk final : public Counted {
public:
	explicit Disk(uint64_t bytes, bool writable) : bytes_(bytes), writable_(writable) {}
	long read(Thread &, const File &, IoBuffer &, uint64_t *offset);
	long write(Thread &, const File &, IoBuffer &, uint64_t *offset);
	long sync(Thread &);		// all that was written before is on the host's disk, flushed
	void interrupt();
	uint64_t bytes() const { return bytes_; }
	bool writable() const { return writable_; }
	WaitQueue changed;
private:
	static constexpr size_t kCachedMax = 1024, kInFlightMax = 64, kReadAhead = 32;	// blocks
	struct Block {
		DiskRequest request = {};
		uint64_t index = 0;
		Frame frame = kNoFrame;
		bool valid = false;	// the frame holds what the disk should hold
		bool busy = false;	// a request is under way
		int32_t error = 0;	// of a failed read
	};
	Block *find(uint64_t index) const;
	Block *make(uint64_t index);	// null: no room now
	bool evict();
	void drop(Block *);
	uint32_t block_bytes(uint64_t index) const;
	void start(Block &, DiskRequest::Kind);
	void finish(Block &);
	void start_flush();
	long wait(Thread &);
	long write_block(IoBuffer &, uint64_t offset);

	uint64_t bytes_;
	bool writable_;
	int32_t write_error_ = 0;
	KMap<uint64_t, Block *> blocks_;
	KVector<Block *> busy_;
	uint64_t evict_from_ = 0;
	DiskRequest flush_ = {};
	bool flushing_ = false;
	uint64_t flush_wanted_ = 0, flush_started_ = 0, flush_done_ = 0;	// counts of sync calls
};

Ref<File> make_disk_file(Ref<Disk>);

}  // namespace minivk
#endif
