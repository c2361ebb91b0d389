// The RAM file system: the only real one a guest has besides what it makes of /dev/vkd0.
#ifndef MINIVK_RAMFS_H
#define MINIVK_RAMFS_H

#include "files.h"

namespace minivk {

class Pipe;

// Bytes in frames, found through chunks of 64 (256 KiB of file), so that a sparse file costs what it holds.
class RamFile final : public Inode {
public:
	~RamFile() override;
	uint64_t size() const override { return size_; }
	uint64_t frames() const override { return frames_; }
	long open(Thread &, uint32_t flags, Ref<File> *out) override;
	long truncate(uint64_t bytes) override;
	Frame page(uint64_t index, bool write) override;
	long allocate(uint32_t mode, uint64_t offset, uint64_t bytes) override;

	long read_at(IoBuffer &, uint64_t offset);
	long write_at(IoBuffer &, uint64_t offset);
	int64_t seek_data(uint64_t offset, bool hole) const;
private:
	static constexpr uint64_t kChunkPages = 64, kSizeMax = uint64_t(1) << 46;
	struct Chunk { Frame frame[kChunkPages]; };
	long reserve(uint64_t offset, uint64_t bytes, bool keep_size);
	void punch(uint64_t offset, uint64_t bytes);
	void drop_pages(uint64_t first, uint64_t end);
	void clear_bytes(uint64_t from, uint64_t to);	// within one page
	uint64_t size_ = 0, frames_ = 0;
	KMap<uint64_t, Chunk *> chunks_;
};

class RamDirectory final : public Inode {
public:
	explicit RamDirectory(RamDirectory *up);
	~RamDirectory() override;
	long open(Thread &, uint32_t flags, Ref<File> *out) override;
	long lookup(const KString &, Ref<Inode> *) override;
	long create(const KString &, InodeKind, uint32_t mode, uint64_t rdev, const KString &target, Ref<Inode> *) override;
	long link(const KString &, Inode &) override;
	long unlink(const KString &, bool directory) override;
	long rename(const KString &, Inode &to_dir, const KString &to) override;
	Ref<Inode> parent() override { return is_root_ ? this : up_; }
	KString name_in_parent() const override { return name_; }
	long entry(Thread &, uint64_t *cookie, DirEntry *out) override;
	uint64_t size() const override { return 4096; }

	void attach(const KString &, Inode &);	// a new inode, or another file system's root; covers what was there
private:
	struct Slot { Ref<Inode> inode; uint64_t cookie; };
	void remove(KMap<KString, Slot>::iterator);
	bool is_under(const RamDirectory &ancestor) const;
	long check_replace(Inode &moved, Inode &old) const;
	KMap<KString, Slot> names_;
	KMap<uint64_t, KString> order_;		// by cookie
	uint64_t last_cookie_ = 0;
	RamDirectory *up_;	// null once removed: a directory that is not empty keeps its parent alive by being in it
	bool is_root_, removed_ = false;
	KString name_;
};

class RamLink final : public Inode {
public:
	explicit RamLink(const KString &target) : target_(target) {}
	uint64_t size() const override { return target_.size(); }
	long open(Thread &, uint32_t, Ref<File> *) override { return -ELOOP; }
	KString target(Thread &) override { return target_; }
private:
	KString target_;
};

// Device nodes and fifos.
class RamNode final : public Inode {
public:
	~RamNode() override;
	long open(Thread &, uint32_t flags, Ref<File> *out) override;
private:
	Ref<Pipe> pipe_;	// of a fifo, made at its first opening
};

Ref<RamDirectory> make_ram_root();
Ref<Inode> make_memory_file();		// without a name

}  // namespace minivk
#endif
