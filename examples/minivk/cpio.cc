// The reader of "newc" archives: everything in one may be wrong, and no byte outside of it is read.
#include "cpio.h"

#include <cstring>
#include <sys/stat.h>

#include "vm.h"

namespace minivk {

namespace {

constexpr size_t kHeadBytes = 110;	// magic and 13 fields of 8 hexadecimal digits
enum Field { kIno, kMode, kUid, kGid, kNlink, kMtime, kSize, kDevMajor, kDevMinor, kRdevMajor, kRdevMinor, kNameSize, kCheck, kFields };

struct Entry {
	uint32_t field[kFields];
	KString name;
	const char *data;
};

class Loader {
public:
	Loader(RamDirectory &root, const char *bytes, size_t size, KString *message)
	    : root_(root), bytes_(bytes), size_(size), message_(message) {}
	bool run();
private:
	bool fail(const KString &what)
	{
		*message_ = "root archive: " + what;
		return false;
	}
	bool next(Entry *);
	bool unpack(const Entry &);
	bool find_place(const Entry &, Ref<Inode> *dir, KString *name);
	bool make(const Entry &, InodeKind, Inode &dir, const KString &name);
	bool fill(const Entry &, Inode &);

	RamDirectory &root_;
	const char *bytes_;
	size_t size_, at_ = 0;
	KString *message_;
	KMap<std::pair<uint64_t, uint32_t>, Ref<Inode>> linked_;	// files with several names, by device and number
};

bool parse_hex(const char *digits, uint32_t *out)
{
	*out = 0;
	for (int i = 0; i < 8; ++i) {
		const char c = digits[i];
		const int v = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
		if (v < 0)
			return false;
		*out = *out << 4 | uint32_t(v);
	}
	return true;
}

KString at_byte(size_t at) { return " at byte " + KString(std::to_string(at).c_str()); }

bool Loader::next(Entry *e)
{
	const size_t start = at_;
	if (size_ - at_ < kHeadBytes)
		return fail("it ends in the middle of an entry's head" + at_byte(start));
	const char *head = bytes_ + at_;
	if (memcmp(head, "070701", 6) != 0 && memcmp(head, "070702", 6) != 0)
		return fail("there is no entry of the \"newc\" format" + at_byte(start) + " (make it with: find . | cpio -o -H newc)");
	for (int f = 0; f < kFields; ++f)
		if (!parse_hex(head + 6 + 8 * f, &e->field[f]))
			return fail("a field that is no hexadecimal number in the head" + at_byte(start));
	const size_t name_size = e->field[kNameSize];
	if (name_size == 0 || name_size > kPathMax || name_size > size_ - at_ - kHeadBytes)
		return fail("an impossible length of a name" + at_byte(start));
	e->name = KString(head + kHeadBytes, name_size - 1);
	if (head[kHeadBytes + name_size - 1] != 0 || e->name.find('\0') != KString::npos)
		return fail("a name without its end" + at_byte(start));
	const size_t data = (at_ + kHeadBytes + name_size + 3) & ~size_t(3);
	if (data > size_ || e->field[kSize] > size_ - data)
		return fail(e->name + ": its data is cut off");
	e->data = bytes_ + data;
	at_ = std::min(size_, (data + e->field[kSize] + 3) & ~size_t(3));
	return true;
}

// Walks to the directory of an entry; makes those that the archive does not list.
bool Loader::find_place(const Entry &e, Ref<Inode> *dir, KString *name)
{
	*dir = &root_;
	name->clear();
	size_t from = 0;
	while (from < e.name.size()) {
		const size_t end = std::min(e.name.find('/', from), e.name.size());
		const KString part = e.name.substr(from, end - from);
		from = end + 1;
		if (part.empty() || part == ".")
			continue;
		if (part == ".." || part.size() > kNameMax)
			return fail(e.name + ": a name that cannot be");
		if (!name->empty()) {
			Ref<Inode> child;
			if ((*dir)->lookup(*name, &child) != 0)
				(*dir)->create(*name, InodeKind::kDirectory, 0755, 0, {}, &child);
			if (child->kind != InodeKind::kDirectory)
				return fail(e.name + ": \"" + *name + "\" in its path is no directory");
			*dir = child;
		}
		*name = part;
	}
	return true;
}

bool Loader::fill(const Entry &e, Inode &inode)
{
	KernelBuffer data(const_cast<char *>(e.data), e.field[kSize]);
	const long r = static_cast<RamFile &>(inode).write_at(data, 0);
	if (r == long(e.field[kSize]))
		return true;
	return fail(e.name + ": no memory left; the guest needs more RAM (-m)");
}

bool Loader::make(const Entry &e, InodeKind kind, Inode &dir, const KString &name)
{
	Ref<Inode> inode;
	const KString target = kind == InodeKind::kSymlink ? KString(e.data, e.field[kSize]) : KString();
	const std::pair<uint64_t, uint32_t> id(make_dev(e.field[kDevMajor], e.field[kDevMinor]), e.field[kIno]);
	if (!kernel_memory_ok())
		return fail(e.name + ": no memory left; the guest needs more RAM (-m)");
	if (dir.lookup(name, &inode) == 0) {
		if (inode->kind != InodeKind::kDirectory || kind != InodeKind::kDirectory)
			return fail(e.name + ": it is there twice");
	} else if (const auto it = linked_.find(id); kind == InodeKind::kFile && e.field[kNlink] > 1 && it != linked_.end()) {
		inode = it->second;
		dir.link(name, *inode);
	} else {
		dir.create(name, kind, e.field[kMode] & 07777, make_dev(e.field[kRdevMajor], e.field[kRdevMinor]), target, &inode);
		if (kind == InodeKind::kFile && e.field[kNlink] > 1)
			linked_[id] = inode;
	}
	if (kind == InodeKind::kFile && e.field[kSize] && !fill(e, *inode))
		return false;
	inode->mode = e.field[kMode] & 07777;
	inode->uid = e.field[kUid];
	inode->gid = e.field[kGid];
	inode->atime_ns = inode->mtime_ns = e.field[kMtime] * 1'000'000'000ull;
	return true;
}

bool Loader::unpack(const Entry &e)
{
	InodeKind kind;
	Ref<Inode> dir;
	KString name;
	if (!kind_of_mode(e.field[kMode], &kind))
		return (e.field[kMode] & kTypeMask) == S_IFSOCK || fail(e.name + ": a file of an unknown type");
	if (!find_place(e, &dir, &name))
		return false;
	if (name.empty()) {
		root_.mode = e.field[kMode] & 07777;
		return kind == InodeKind::kDirectory || fail(e.name + ": the root must be a directory");
	}
	return make(e, kind, *dir, name);
}

bool Loader::run()
{
	if (size_ >= 2 && (memcmp(bytes_, "\x1f\x8b", 2) == 0 || memcmp(bytes_, "\x28\xb5", 2) == 0 || memcmp(bytes_, "\xfd" "7", 2) == 0))
		return fail("it is compressed; unpack it first");
	for (;;) {
		Entry e;
		if (!next(&e))
			return false;
		if (e.name == "TRAILER!!!")
			return true;
		if (!unpack(e))
			return false;
	}
}

}  // namespace

bool cpio_load(RamDirectory &root, const void *archive, size_t bytes, KString *message)
{
	return Loader(root, static_cast<const char *>(archive), bytes, message).run();
}

}  // namespace minivk
