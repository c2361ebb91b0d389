// Lazy thaw: how a fill begins: its memory, what is missing, and what is loaded before the vkernel runs. THAW. See fill.h.
#include "lib/fill.h"

#include <errno.h>

#include "lib/codec.h"
#include "lib/crew.h"
#include "lib/text.h"

inline void *operator new(size_t, void *place) noexcept { return place; }	// <new> is libstdc++'s

namespace vk {
namespace {

constexpr size_t kGuard = 4096, kStackBytes = 128 << 10;	// a leaf of a signed image is read there
constexpr unsigned kMostFillers = 8;

uint64_t chunks_in(const struct vkckpt_segment &s) { return (s.size_bytes + VKCKPT_CHUNK - 1) / VKCKPT_CHUNK; }

// The guest wants the CPUs as well: half of those that a capture would take.
unsigned fillers_for(unsigned workers)
{
	unsigned n = workers / 2;
	return n < 1 ? 1 : n > kMostFillers ? kMostFillers : n;
}

unsigned threads_for(unsigned workers)
{
	unsigned n = 1 + fillers_for(workers);
	return n > workers ? n : workers;	// each has buffers, which load_first uses too
}

}  // namespace

uint64_t Fill::chunks_of(const Plan &plan)
{
	uint64_t chunks = 0;
	for (uint32_t i = 0; i < plan.segment_count; i++)
		chunks += chunks_in(plan.segments[i]);
	return chunks;
}

size_t Fill::arena_bytes(const Plan &plan, uint64_t chunks)
{
	return Arena::room(sizeof(Fill)) + Arena::room(chunks * sizeof(uint16_t)) + Arena::room(chunks) +
	    Arena::room(plan.image->index_count() * sizeof(uint32_t)) + Arena::room(threads_for(plan.workers) * sizeof(Thread)) +
	    threads_for(plan.workers) * (Arena::room(kGuard + kStackBytes, 4096) + 2 * Arena::room(OpenImage::kStoredRoom, 4096));
}

Status Fill::make(const Plan &plan, Fill **out)
{
	uint64_t chunks = chunks_of(plan);
	Arena arena;
	VK_TRY(arena.map(arena_bytes(plan, chunks), Prefault::no));
	Fill *fill = new (arena.take(sizeof(Fill))) Fill();
	fill->arena_ = arena;
	fill->plan_ = plan;
	fill->take_memory(plan, chunks);
	fill->note_missing();
	fill->note_hot(*plan.image);
	for (unsigned i = 0; plan.chain && i < plan.chain->count(); i++)
		fill->note_hot(plan.chain->ancestor(i));
	fill->note_first();
	*out = fill;
	return success();
}

void Fill::take_memory(const Plan &plan, uint64_t chunks)
{
	text_copy(name_, sizeof name_, plan.name);
	text_copy(image_name_, sizeof image_name_, plan.image_name);
	segment_count_ = plan.segment_count;
	uint64_t first = 0;
	for (uint32_t i = 0; i < segment_count_; i++) {
		const struct vkckpt_segment &s = plan.segments[i];
		segments_[i] = { static_cast<uint8_t *>(s.address), first, s.size_bytes, s.skip_bytes };
		first += chunks_in(s);
	}
	mask_ = arena_.take_array<uint16_t>(chunks);
	state_ = arena_.take_array<uint8_t>(chunks);
	first_ = arena_.take_array<uint32_t>(plan.image->index_count());
	thread_room_ = threads_for(plan.workers);
	threads_ = arena_.take_array<Thread>(thread_room_);
	for (unsigned i = 0; i < thread_room_; i++) {
		uint8_t *stack = static_cast<uint8_t *>(arena_.take(kGuard + kStackBytes, 4096));
		sys_mprotect(stack, kGuard, PROT_NONE);		// a help, not a need
		threads_[i] = { 0, this, stack + kGuard + kStackBytes, static_cast<uint8_t *>(arena_.take(OpenImage::kStoredRoom, 4096)),
		    static_cast<uint8_t *>(arena_.take(OpenImage::kStoredRoom, 4096)) };
	}
}

// RAM and staging are zero, so what is zero in the image is there. A chunk may have two entries: what is stored, and what is as in the parent.
void Fill::note_missing()
{
	const OpenImage &image = *plan_.image;
	uint64_t missing = 0;
	for (uint64_t i = 0; i < image.index_count(); i++) {
		const struct vkckpt_f_chunk &c = image.index()[i];
		if (c.codec == VKCKPT_CODEC_ZERO || c.object >= VKCKPT_OBJECT_REGION)
			continue;
		uint64_t n = segments_[c.object].first_chunk + c.chunk;
		missing += state_[n] == kThere;
		state_[n] = kMissing;
		mask_[n] = static_cast<uint16_t>(mask_[n] | c.mask);
		total_frames_ += mask_count(c.mask);
	}
	left_.store(missing);
}

// What stands before hot_end is wanted first. An image of a chain has there only what had changed, so the hot chunks of its ancestors count
// too: what is as in them was hot then, and an image has few.
void Fill::note_hot(const OpenImage &image)
{
	for (uint64_t i = 0; i < image.index_count(); i++) {
		const struct vkckpt_f_chunk &c = image.index()[i];
		if (c.object >= VKCKPT_OBJECT_REGION || !has_stored_bytes(c.codec) || c.offset >= image.stats().hot_end)
			continue;
		if (uint8_t &state = state_[segments_[c.object].first_chunk + c.chunk]; state == kMissing)
			state = kFirst;
	}
}

// What comes before the vkernel runs: regions and what is hot.
void Fill::note_first()
{
	const OpenImage &image = *plan_.image;
	for (uint64_t i = 0; i < image.index_count(); i++) {
		const struct vkckpt_f_chunk &c = image.index()[i];
		if (c.object >= VKCKPT_OBJECT_REGION) {
			if (c.codec != VKCKPT_CODEC_ZERO)
				first_[first_count_++] = static_cast<uint32_t>(i);
			continue;
		}
		if (uint8_t &state = state_[segments_[c.object].first_chunk + c.chunk]; state == kFirst) {
			first_[first_count_++] = static_cast<uint32_t>(i);
			state = kComing;
		}
	}
}

// One job of the crew: chunks of first_, whoever comes.
void Fill::first_job(void *arg, unsigned number)
{
	Fill &fill = *static_cast<Fill *>(arg);
	for (uint32_t i; !fill.failed_first_.load() && (i = fill.next_first_.fetch_add(1)) < fill.first_count_;) {
		Status s = fill.bring_first(fill.first_[i], number);
		if (!s.ok() && fill.failed_first_.exchange(1) == 0)
			fill.first_failure_ = s;
	}
}

// Of RAM all entries of the chunk, of a region the one.
Status Fill::bring_first(uint64_t entry, unsigned number)
{
	const struct vkckpt_f_chunk *c = plan_.image->index() + entry, *end = plan_.image->index() + plan_.image->index_count();
	if (c->object >= VKCKPT_OBJECT_REGION)
		return bring_first_entry(*c, plan_.staging[c->object - VKCKPT_OBJECT_REGION] + c->chunk * VKCKPT_CHUNK, threads_[number]);
	const Segment &segment = segments_[c->object];
	uint64_t n = segment.first_chunk + c->chunk;
	for (const struct vkckpt_f_chunk *e = c; e < end && e->object == c->object && e->chunk == c->chunk; e++)
		if (e->codec != VKCKPT_CODEC_ZERO)
			VK_TRY(bring_first_entry(*e, segment.base + c->chunk * VKCKPT_CHUNK, threads_[number]));
	state_[n] = kThere;
	count(mask_[n]);
	return success();
}

// Nobody sees RAM yet, so frames are decoded where they belong, into pages made in bulk.
Status Fill::bring_first_entry(const struct vkckpt_f_chunk &c, uint8_t *base, Thread &buffers)
{
	if (!mask_contiguous(c.mask)) {
		VK_TRY(plan_.image->read_chunk(c, buffers.stored, buffers.frames));
		frames_scatter(base, buffers.frames, c.mask);
		return success();
	}
	uint8_t *start = base + mask_first(c.mask) * VKCKPT_FRAME;
	if (long r = sys_populate(start, mask_count(c.mask) * uint64_t{VKCKPT_FRAME}); r < 0)
		return fail_host(static_cast<int>(-r), "thaw: memory for RAM");
	return plan_.image->read_chunk(c, buffers.stored, start);
}

Status Fill::load_first()
{
	Arena arena;
	Crew crew;
	bool alone = first_count_ < 16 || plan_.workers == 1;
	if (!alone) {
		VK_TRY(arena.map(Crew::arena_bytes(plan_.workers), Prefault::no));
		crew.init(arena, plan_.workers);
		if (Status s = crew.start(); !s.ok()) {
			arena.release();
			return s;
		}
	}
	if (alone)
		first_job(this, 0);
	else
		crew.run(first_job, this);
	if (!alone) {
		crew.stop();
		arena.release();
	}
	return first_failure_;
}

}  // namespace vk
