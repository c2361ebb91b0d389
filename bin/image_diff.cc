#include "bin/image_diff.h"
#include "bin/image_summary.h"
#include "bin/text.h"

#include <string.h>

#include <algorithm>
#include <map>

namespace tool {
namespace {

constexpr uint32_t kNobody = 0, kSeveral = 1, kFirstProcess = 2;	// owners; from the last on, the number of a process

struct Frame {
	uint64_t key;		// object and number
	const vkckpt_f_chunk *chunk;
	uint32_t owner;
	uint32_t met_by;	// the last process whose tables led here
	size_t met_count;	// so many from this one on were met by it, if not more
};

uint64_t key_of(uint64_t object, uint64_t number) { return object << 48 | number; }

// One image's frames, in order, with their owners.
struct Side {
	const ImageFile *image;
	std::vector<Frame> frames;
	uint32_t owner = kNobody;	// whose page tables are walked now
};

void list_frames(Side &side)
{
	uint64_t count = 0;
	const vkckpt_f_chunk *chunk = vkckpt_image_chunks(side.image->get(), &count);
	for (uint64_t i = 0; i < count; i++)
		for (unsigned f = 0; f < VKCKPT_CHUNK_FRAMES; f++)
			if (chunk[i].mask >> f & 1)
				side.frames.push_back({key_of(chunk[i].object, chunk[i].chunk * VKCKPT_CHUNK_FRAMES + f), &chunk[i], kNobody, kNobody, 0});
	std::sort(side.frames.begin(), side.frames.end(), [](const Frame &a, const Frame &b) { return a.key < b.key; });
}

// The first frame from i on that this process's tables have not led to. The way there is one step for whoever comes again: forged superpages,
// 512 in a table, may each map all of RAM.
size_t not_met(Side &side, size_t i)
{
	size_t end = i;
	while (end < side.frames.size() && side.frames[end].met_by == side.owner)
		end += side.frames[end].met_count;
	while (i < end) {
		const size_t next = i + side.frames[i].met_count;
		side.frames[i].met_count = end - i;
		i = next;
	}
	return end;
}

void take_run(void *arg, const vkckpt_image_run *run)
{
	Side &side = *static_cast<Side *>(arg);
	const uint64_t first = key_of(run->segment, run->frame), end = first + run->frame_count;
	auto at = std::lower_bound(side.frames.begin(), side.frames.end(), first, [](const Frame &f, uint64_t key) { return f.key < key; });
	for (size_t i = not_met(side, static_cast<size_t>(at - side.frames.begin())); i < side.frames.size() && side.frames[i].key < end; i = not_met(side, i)) {
		Frame &f = side.frames[i];
		f.owner = f.owner == kNobody || f.owner == side.owner ? side.owner : kSeveral;
		f.met_by = side.owner;
		f.met_count = 1;
	}
}

using Numbers = std::map<std::pair<int64_t, std::string>, uint32_t>;

uint32_t process_number(Numbers &numbers, ImageDiff *out, const vkckpt_f_vmspace &facts)
{
	const auto [at, is_new] = numbers.insert({{facts.pid, field(facts.name)}, static_cast<uint32_t>(out->processes.size())});
	if (is_new)
		out->processes.push_back({facts.pid, at->first.second, false, false, {}});
	return at->second;
}

bool find_owners(Side &side, Numbers &numbers, ImageDiff *out, bool second, std::string *problem)
{
	const std::vector<Vmspace> spaces = side.image->vmspaces();
	for (size_t i = 0; i < spaces.size(); i++) {
		const uint32_t number = process_number(numbers, out, spaces[i].facts);
		(second ? out->processes[number].in_second : out->processes[number].in_first) = true;
		side.owner = kFirstProcess + number;
		vkckpt_error error{};
		if (vkckpt_image_walk(const_cast<vkckpt_image *>(side.image->get()), i, take_run, &side, &error) < 0) {
			*problem = printable(field(error.message));
			return false;
		}
	}
	return true;
}

bool is_zero(const vkckpt_digest &digest)
{
	static const vkckpt_digest none{};
	return memcmp(&digest, &none, sizeof none) == 0;
}

// Both have the same frames of this chunk, and hashes of them say that they are the same.
bool same_by_hash(const vkckpt_f_chunk &a, const vkckpt_f_chunk &b)
{
	return a.mask == b.mask && !is_zero(a.content) && memcmp(&a.content, &b.content, sizeof a.content) == 0;
}

// The frame's content; of an image that has no such frame zeros.
bool read(const Side &side, uint64_t key, uint8_t *frame, std::string *problem)
{
	vkckpt_error error{};
	if (vkckpt_image_frame(const_cast<vkckpt_image *>(side.image->get()), static_cast<uint32_t>(key >> 48), key & ((uint64_t{1} << 48) - 1), frame,
		&error) >= 0)
		return true;
	*problem = printable(field(error.message));
	return false;
}

void count(Differing &to, const Frame *a, const Frame *b)
{
	(a && b ? to.changed : b ? to.added : to.gone)++;
}

class Comparison {
public:
	Comparison(const Side &a, const Side &b, ImageDiff *out) : a_(a), b_(b), out_(out), classes_(VKCKPT_CLASS_COUNT) {}

	bool run(std::string *problem)
	{
		size_t i = 0, j = 0;
		while (i < a_.frames.size() || j < b_.frames.size()) {
			const Frame *a = i < a_.frames.size() ? &a_.frames[i] : nullptr, *b = j < b_.frames.size() ? &b_.frames[j] : nullptr;
			if (a && b && a->key != b->key)
				(a->key < b->key ? b : a) = nullptr;
			i += a != nullptr;
			j += b != nullptr;
			bool differs = false;
			if (!compare(a, b, &differs, problem))
				return false;
			if (differs)
				note(a, b);
			else
				out_->same += a && b;
		}
		for (size_t c = 0; c < classes_.size(); c++)
			if (classes_[c].all())
				out_->classes.push_back({class_name(static_cast<unsigned>(c)), classes_[c]});
		return true;
	}

private:
	bool compare(const Frame *a, const Frame *b, bool *differs, std::string *problem) const
	{
		uint8_t first[VKCKPT_FRAME], second[VKCKPT_FRAME];
		const uint64_t key = a ? a->key : b->key;
		if (a && b && same_by_hash(*a->chunk, *b->chunk))
			return true;
		if (!read(a_, key, first, problem) || !read(b_, key, second, problem))
			return false;
		*differs = memcmp(first, second, sizeof first) != 0;
		return true;
	}

	void note(const Frame *a, const Frame *b)
	{
		const Frame &last = b ? *b : *a;
		count(out_->all, a, b);
		count(classes_[last.chunk->page_class < VKCKPT_CLASS_COUNT ? last.chunk->page_class : size_t{VKCKPT_CLASS_OTHER}], a, b);
		count(last.owner == kNobody ? out_->unowned : last.owner == kSeveral ? out_->shared
		    : out_->processes[last.owner - kFirstProcess].frames, a, b);
	}

	const Side &a_, &b_;
	ImageDiff *out_;
	std::vector<Differing> classes_;
};

}  // namespace

bool diff_images(const ImageFile &first, const ImageFile &second, ImageDiff *out, std::string *problem)
{
	Side a{&first, {}}, b{&second, {}};
	Numbers numbers;
	list_frames(a);
	list_frames(b);
	return find_owners(a, numbers, out, false, problem) && find_owners(b, numbers, out, true, problem) && Comparison(a, b, out).run(problem);
}

}  // namespace tool
