// The workers of a capture: each takes a few chunks of the plan at a time, encodes them into a group of its own, and when the group is
// full writes it: whoever has a full one takes the writer's lock. So the file stays one sequence of groups (a pipe gets nothing
// else), in no particular order, and while one waits for the disk the others encode. QUIET.
//
// Memory order: the plan, RAM and the builders are as the coordinating vCPU left them before Crew::run; the writer and `failure` are touched
// only under the lock, `failure` by the one who sets `stopped`; `next` hands every chunk to one worker; nobody reads what another has built but write_group, by its own builder.
#include "lib/encode.h"

#include <errno.h>
#include <string.h>

#include "lib/lock.h"
#include "lib/signals.h"
#include "lib/sys.h"

namespace vk {
namespace {

constexpr uint64_t kTake = 8;	// chunks, half a MiB: the last worker is never late by more than a millisecond or two

// Of one worker: nobody else looks at it before Crew::run is over.
struct Pace {
	uint64_t since_ns;		// it encodes since then
	uint64_t worked_ns, waited_ns;	// waiting: for its turn to write, and for what it writes
	uint32_t level;			// at which it encodes now
	uint32_t levels;		// bit l: it has encoded at level l
};

struct Encoding {
	struct vkckpt *ck;
	Pace pace[Crew::kMost] = {};
	uint64_t end;			// of the part of the plan that is written now
	Atomic<uint64_t> next;		// chunk of the plan
	Atomic<uint32_t> stopped;	// the first failure ends it for all
	Lock lock;
	Status failure;
};

GroupBuilder &builder_of(struct vkckpt &ck, unsigned number)
{
	return number == 0 ? ck.writer.own_builder() : ck.builders[number - 1];
}

void stop(Encoding &e, const Status &why)
{
	if (e.stopped.exchange(1) == 0)
		e.failure = why;
}

void set_level(Encoding &e, unsigned number, uint32_t level)
{
	builder_of(*e.ck, number).set_level(level);
	e.pace[number].level = level;
}

// Whose turn to write comes only after more than a quarter of the time that its group took could have made it smaller meanwhile: the disk (or
// the reader of a pipe) is the limit, not the cores. With a single worker nobody waits for a turn.
void adapt(Encoding &e, unsigned number, bool full, uint64_t encoded_ns, uint64_t turn_ns, uint64_t written_ns)
{
	Pace &pace = e.pace[number];
	uint64_t worked = encoded_ns - pace.since_ns;
	pace.worked_ns += worked;
	pace.waited_ns += written_ns - encoded_ns;
	pace.since_ns = written_ns;
	if (full && e.ck->config.level == 0)
		set_level(e, number, turn_ns - encoded_ns > worked / 4 ? kLz4Small : kLz4Quick);
}

bool write(Encoding &e, unsigned number)
{
	GroupBuilder &builder = builder_of(*e.ck, number);
	if (builder.empty())		// it may still be wanted, for the next part
		return !e.stopped.load();
	bool full = !builder.room();
	builder.complete();
	uint64_t encoded = sys_clock_ns(CLOCK_MONOTONIC);
	e.lock.take();
	uint64_t turn = sys_clock_ns(CLOCK_MONOTONIC);
	if (!e.stopped.load())
		if (Status s = e.ck->writer.write_group(builder); !s.ok())
			stop(e, s);
	e.lock.give();
	adapt(e, number, full, encoded, turn, sys_clock_ns(CLOCK_MONOTONIC));
	return !e.stopped.load();
}

// Wipes what is secret of `count` bytes at `from` in their copy; without a copy only tells whether there is any.
bool wipe_secrets(const struct vkckpt &ck, const uint8_t *from, size_t count, uint8_t *copy)
{
	bool any = false;
	for (size_t i = 0; i < ck.config.secret_count; i++) {
		const uint8_t *start = static_cast<const uint8_t *>(ck.config.secrets[i].address);
		const uint8_t *end = start + ck.config.secrets[i].size_bytes;
		start = start > from ? start : from;
		end = end < from + count ? end : from + count;
		if (start >= end)
			continue;
		any = true;
		if (copy)
			memset(copy + (start - from), 0, (size_t)(end - start));
	}
	return any;
}

// Nobody writes RAM now, so its chunks are encoded from where they are, unless something in them is secret; a region is copied, because
// its last frame may be a partial one.
const void *memory_of(struct vkckpt &ck, unsigned number, const PlanChunk &p)
{
	bool ram = p.object < VKCKPT_OBJECT_REGION;
	const struct vkckpt_region &region = ck.regions[ram ? 0 : p.object - VKCKPT_OBJECT_REGION];
	uint64_t at = uint64_t{p.chunk} * VKCKPT_CHUNK;
	uint64_t left = ram ? ck.segments[p.object].size_bytes - at : region.size_bytes - at;
	size_t count = left < VKCKPT_CHUNK ? left : VKCKPT_CHUNK;
	const uint8_t *from = static_cast<const uint8_t *>(ram ? ck.segments[p.object].address : region.address) + at;
	if (ram && !wipe_secrets(ck, from, count, nullptr))
		return from;
	uint8_t *copy = ck.copies + number * size_t{VKCKPT_CHUNK};
	for (size_t f = 0; f * VKCKPT_FRAME < count; f++)	// frames that are not in the mask may be holes: not to be touched
		if (size_t begin = f * VKCKPT_FRAME; p.mask & 1u << f)
			memcpy(copy + begin, from + begin, count - begin < VKCKPT_FRAME ? count - begin : VKCKPT_FRAME);
	memset(copy + count, 0, VKCKPT_CHUNK - count);
	(void)wipe_secrets(ck, from, count, copy);
	return copy;
}

// Of a lazy thaw nothing of this chunk has come yet: what its image stores is taken over as it is. Not if something in it is secret by now; and
// where a chain is kept only what the parent has as well.
const struct vkckpt_f_chunk *untouched(const struct vkckpt &ck, const PlanChunk &p, const OpenImage **image)
{
	if (!ck.fill_held || p.object >= VKCKPT_OBJECT_REGION)
		return nullptr;
	uint64_t at = uint64_t{p.chunk} * VKCKPT_CHUNK;
	if (wipe_secrets(ck, static_cast<const uint8_t *>(ck.segments[p.object].address) + at, VKCKPT_CHUNK, nullptr))
		return nullptr;
	const struct vkckpt_f_chunk *c = ck.fill->untouched(p.object, p.chunk, p.mask, image);
	return !c || !ck.lineage || ck.lineage->hashes.keep(p.object, p.chunk, p.mask, c->content) ? c : nullptr;
}

bool encode(Encoding &e, unsigned number, uint64_t first, uint64_t end)
{
	GroupBuilder &builder = builder_of(*e.ck, number);
	e.pace[number].levels |= 1u << e.pace[number].level;
	for (uint64_t i = first; i < end; i++) {
		const PlanChunk &p = e.ck->plan[i];
		if (!builder.room() && !write(e, number))
			return false;
		ChunkSource source;
		source.chunk = p.chunk;
		source.object = p.object;
		source.mask = p.mask;
		source.page_class = p.page_class;
		const OpenImage *image = nullptr;
		if (const struct vkckpt_f_chunk *old = untouched(*e.ck, p, &image)) {
			if (Status s = builder.add_copy(source, *old, *image); !s.ok()) {
				stop(e, s);
				return false;
			}
			continue;
		}
		source.base = memory_of(*e.ck, number, p);
		builder.add(source);
	}
	return true;
}

void work(void *arg, unsigned number)
{
	Encoding &e = *static_cast<Encoding *>(arg);
	struct vkckpt &ck = *e.ck;
	e.pace[number].since_ns = sys_clock_ns(CLOCK_MONOTONIC);
	while (!e.stopped.load()) {
		if (request_cancelled(ck))
			return stop(e, fail(ECANCELED, VKCKPT_R_CANCELLED, "capture: write"));
		uint64_t first = e.next.fetch_add(kTake);
		if (first >= e.end)
			break;
		if (number == 0) {
			hear_requests(ck);
			ck.run.progress(first * VKCKPT_CHUNK, ck.plan_count * VKCKPT_CHUNK);
		}
		if (!encode(e, number, first, first + kTake < e.end ? first + kTake : e.end))
			return;
	}
	(void)write(e, number);	// what is left; a failure is kept in e
}

void tell_pace(const Encoding &e)
{
	struct vkckpt &ck = *e.ck;
	struct vkckpt_f_stats &stats = ck.writer.stats();
	uint64_t worked = 0, waited = 0;
	uint32_t levels = 0;
	for (unsigned i = 0; i < ck.crew.workers(); i++) {
		worked += e.pace[i].worked_ns;
		waited += e.pace[i].waited_ns;
		levels |= e.pace[i].levels;
	}
	stats.levels = (uint8_t)(ck.config.codec == VKCKPT_CODEC_LZ4 ? levels : 0);
	stats.waited = (uint8_t)(worked + waited ? waited * 100 / (worked + waited) : 0);
}

// Every group of this part stands in the image before those of the next.
void write_part(Encoding &e, uint64_t first, uint64_t end)
{
	if (first == end || e.stopped.load())
		return;
	e.next.store(first);
	e.end = end;
	e.ck->crew.run(work, &e);
}

}  // namespace

Status write_ram(struct vkckpt &ck)
{
	Encoding e;
	e.ck = &ck;
	if (ck.lineage)
		ck.lineage->hashes.begin(ck.lineage->full);
	for (unsigned i = 0; i < ck.crew.workers(); i++) {
		builder_of(ck, i).clear();	// a capture that failed has left something
		builder_of(ck, i).set_codec((uint8_t)ck.config.codec);
		set_level(e, i, ck.config.level ? ck.config.level : kLz4Quick);
		builder_of(ck, i).set_seal(ck.writer.seal());
		builder_of(ck, i).set_content(ck.lineage != nullptr, ck.lineage ? &ck.lineage->hashes : nullptr);
	}
	write_part(e, 0, ck.plan_hot);
	ck.writer.stats().hot_end = ck.plan_hot ? ck.writer.bytes_written() : 0;
	write_part(e, ck.plan_hot, ck.plan_count);
	tell_pace(e);
	if (!e.stopped.load())
		ck.run.progress(ck.plan_count * VKCKPT_CHUNK, ck.plan_count * VKCKPT_CHUNK);
	return e.failure;
}

}  // namespace vk
