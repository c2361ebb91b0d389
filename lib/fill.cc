// Lazy thaw: the threads that bring RAM. See fill.h; how a fill begins stands in fill_first.cc.
//
// A chunk goes from kMissing to kComing by whoever takes it (compare and swap), and to kThere when all its frames are published. Who
// touches a frame of a chunk that is kComing is woken by its publication. Frames that the image does not have are zero: they are made when they
// are touched, as the host would. left_ falls with every chunk that is there; who brings it to 0 wakes the serving thread, which ends it all.
#include "lib/fill.h"

#include <errno.h>
#include <poll.h>
#include <sys/syscall.h>

#include "lib/codec.h"
#include "lib/text.h"
#include "lib/userfault.h"

namespace vk {
namespace {

constexpr uint64_t kTake = 16;			// entries of the index that a filler takes at once: up to 1 MiB
constexpr uint64_t kReadAheadMost = 8 << 20;	// bytes; entries that lie further apart are not read ahead
constexpr int kWillNeed = 3;			// POSIX_FADV_WILLNEED

}  // namespace

// --- threads

Status Fill::start_thread(Thread &thread, void (*entry)(void *))
{
	uint64_t all = ~uint64_t{0}, old = 0;
	sys_sigprocmask(SIG_SETMASK, &all, &old);	// inherited
	long r = sys_thread_start(thread.stack_top, entry, &thread, &thread.alive);
	sys_sigprocmask(SIG_SETMASK, &old, nullptr);
	return r < 0 ? fail_host(static_cast<int>(-r), "lazy thaw", "a thread") : success();
}

void Fill::join(Thread &thread)
{
	for (uint32_t id; (id = __atomic_load_n(&thread.alive, __ATOMIC_ACQUIRE)) != 0;)
		sys_futex_wait(&thread.alive, id, 0);
}

void Fill::wake_all()
{
	uint64_t one = 1;
	sys_write(wake_, &one, sizeof one);
	sys_futex_wake(&resting_.value_, 1 << 30);
}

Status Fill::start()
{
	long fd = sys_call(SYS_eventfd2, 0, O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return fail_host(static_cast<int>(-fd), "lazy thaw", "eventfd");
	wake_ = static_cast<int>(fd);
	for (uint32_t i = 0; i < segment_count_; i++) {
		Segment &s = segments_[i];
		long r = userfault_register(plan_.userfault, s.base + s.skip_bytes, s.size_bytes - s.skip_bytes);
		if (r < 0)
			return fail_host(static_cast<int>(-r), "lazy thaw", "userfaultfd", s.size_bytes);
	}
	process_ = sys_getpid();
	return start_thread(threads_[0], serve_faults);
}

// A filler that cannot be made costs time only: what is touched still comes.
void Fill::go(Arena *later)
{
	__atomic_store_n(&later_, later, __ATOMIC_RELEASE);
	if (left_.load() == 0)
		return wake_all();
	while (!plan_.on_demand && 1 + behind_ < thread_room_ && start_thread(threads_[1 + behind_], fill_behind).ok())
		behind_++;
}

void Fill::watch(struct vkckpt_run_entry *entry)
{
	entry->fill_total = bytes_total();
	entry->fill_done = bytes_done();
	entry->fill_state = VKCKPT_FILL_UNDER_WAY;
	__atomic_store_n(&entry_, entry, __ATOMIC_RELEASE);
}

void Fill::end()
{
	if (sys_getpid() == process_) {		// in a fork there are neither threads nor missing frames of ours
		ending_.store(1);
		for (uint32_t i = 0; i < segment_count_ && !complete(); i++)
			sys_mprotect(segments_[i].base + segments_[i].skip_bytes, segments_[i].size_bytes - segments_[i].skip_bytes, PROT_NONE);
		wake_all();
		for (unsigned i = 0; i < thread_room_; i++)
			join(threads_[i]);
	}
	if (plan_.userfault >= 0)
		sys_close(plan_.userfault);
	if (wake_ >= 0)
		sys_close(wake_);
	close_image();
	plan_.memory.release();
	Arena arena = arena_;
	arena.release();
}

// --- what a thread does

// Until everything is in, or the end.
void Fill::serve_faults(void *arg)
{
	Thread &thread = *static_cast<Thread *>(arg);
	Fill &fill = *thread.fill;
	while (!fill.complete() && !fill.ending_.load()) {
		struct pollfd wait[2] = { { fill.plan_.userfault, POLLIN, 0 }, { fill.wake_, POLLIN, 0 } };
		sys_call(SYS_poll, reinterpret_cast<long>(wait), 2, -1);
		uint64_t address[16];
		long count = userfault_read(fill.plan_.userfault, address, 16);
		if (count < 0)
			fill.stop(fail_host(static_cast<int>(-count), "lazy thaw", "userfaultfd"), 0, 0);
		for (long i = 0; i < count; i++)
			fill.serve(thread, address[i]);
	}
	if (fill.ending_.load())
		return;
	fill.finish();
	if (Arena *later = __atomic_load_n(&fill.later_, __ATOMIC_ACQUIRE))
		(void)later->populate();		// if there is not enough memory, the capture that needs it says so
}

void Fill::serve(Thread &thread, uint64_t address)
{
	for (uint32_t i = 0; i < segment_count_; i++) {
		const Segment &s = segments_[i];
		uint64_t offset = address - reinterpret_cast<uint64_t>(s.base);
		if (offset >= s.size_bytes)
			continue;
		uint64_t chunk = offset / VKCKPT_CHUNK, frame = offset / VKCKPT_FRAME % VKCKPT_CHUNK_FRAMES;
		uint64_t n = s.first_chunk + chunk;
		if (mask_[n] & 1u << frame && __atomic_load_n(&state_[n], __ATOMIC_ACQUIRE) != kThere)
			return bring(thread, i, chunk);
		if (long r = userfault_zero(plan_.userfault, s.base + offset); r < 0 && r != -ESRCH)
			stop(fail_host(static_cast<int>(-r), "lazy thaw", "memory"), i, chunk);
		return;
	}
}

void Fill::fill_behind(void *arg)
{
	Thread &thread = *static_cast<Thread *>(arg);
	Fill &fill = *thread.fill;
	const OpenImage &image = *fill.plan_.image;
	while (fill.rest_behind()) {
		uint64_t first = fill.next_entries();
		if (first >= image.index_count())
			return;
		fill.read_ahead(first + kTake);
		for (uint64_t i = first; i < first + kTake && i < image.index_count() && fill.rest_behind(); i++)
			if (const struct vkckpt_f_chunk &c = image.index()[i]; c.object < VKCKPT_OBJECT_REGION)
				fill.bring(thread, c.object, c.chunk);
	}
}

// False: there is nothing more to do.
bool Fill::rest_behind()
{
	while (resting_.load() && !ending_.load() && !complete())
		sys_futex_wait(&resting_.value_, 1, 0);
	return !ending_.load() && !complete();
}

// Behind what was touched last, else where the fillers are.
uint64_t Fill::next_entries()
{
	uint64_t hint = hint_.exchange(0);
	return hint != 0 && hint < plan_.image->index_count() ? hint : cursor_.fetch_add(kTake);
}

void Fill::read_ahead(uint64_t from) const
{
	uint64_t start = ~uint64_t{0}, end = 0;
	for (uint64_t i = from; i < from + kTake && i < plan_.image->index_count(); i++) {
		const struct vkckpt_f_chunk &c = plan_.image->index()[i];
		if (c.stored_bytes == 0)
			continue;
		start = c.offset < start ? c.offset : start;
		end = c.offset + c.stored_bytes > end ? c.offset + c.stored_bytes : end;
	}
	if (start < end && end - start <= kReadAheadMost)
		sys_call(SYS_fadvise64, plan_.image_fd, static_cast<long>(start), static_cast<long>(end - start), kWillNeed);
}

// --- one chunk

void Fill::bring(Thread &thread, uint32_t segment, uint64_t chunk)
{
	uint64_t n = segments_[segment].first_chunk + chunk;
	uint8_t missing = kMissing;
	if (!__atomic_compare_exchange_n(&state_[n], &missing, uint8_t{kComing}, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return;
	if (Status s = bring_stored(thread, segment, chunk); !s.ok())
		stop(s, segment, chunk);
	__atomic_store_n(&state_[n], uint8_t{kThere}, __ATOMIC_RELEASE);
	count(mask_[n]);
}

// The entries of a chunk that are not zero (those come first in the index): one, or two of a chain. Only for chunks that have one.
const struct vkckpt_f_chunk *Fill::entries_of(uint32_t segment, uint64_t chunk, unsigned *count) const
{
	const struct vkckpt_f_chunk *c = plan_.image->find(segment, chunk, count);
	for (; *count > 0 && c->codec == VKCKPT_CODEC_ZERO; c++)
		--*count;
	VK_CHECK(*count > 0);
	return c;
}

Status Fill::bring_stored(Thread &thread, uint32_t segment, uint64_t chunk)
{
	const OpenImage &image = *plan_.image;
	unsigned entries;
	const struct vkckpt_f_chunk *c = entries_of(segment, chunk, &entries);
	for (unsigned i = 0; i < entries; i++) {
		VK_TRY(image.read_chunk(c[i], thread.stored, thread.frames));
		VK_TRY(publish(segments_[segment].base + chunk * VKCKPT_CHUNK, c[i].mask, thread.frames));
	}
	if (&thread == threads_)		// it was touched: what follows is likely to be wanted too
		hint_.store(static_cast<uint64_t>(c - image.index()) + entries);
	return success();
}

// One call for each run of frames.
Status Fill::publish(const uint8_t *base, uint16_t mask, const uint8_t *frames)
{
	for (unsigned f = 0; f < VKCKPT_CHUNK_FRAMES;) {
		unsigned end = f;
		while (end < VKCKPT_CHUNK_FRAMES && mask & 1u << end)
			end++;
		uint64_t bytes = (end - f) * uint64_t{VKCKPT_FRAME};
		if (bytes != 0)
			if (long r = userfault_copy(plan_.userfault, const_cast<uint8_t *>(base) + f * VKCKPT_FRAME, frames, bytes); r < 0)
				return fail_host(static_cast<int>(-r), "lazy thaw", r == -EEXIST ? "touched from elsewhere" : "memory");
		frames += bytes;
		f = end + 1;
	}
	return success();
}

void Fill::count(uint16_t mask)
{
	uint64_t done = done_frames_.fetch_add(mask_count(mask)) + mask_count(mask);
	if (struct vkckpt_run_entry *entry = __atomic_load_n(&entry_, __ATOMIC_ACQUIRE))
		__atomic_store_n(&entry->fill_done, done * VKCKPT_FRAME, __ATOMIC_RELAXED);
	if (left_.fetch_add(~uint64_t{0}) == 1 && wake_ >= 0)
		wake_all();
}

// --- the ends

// On the serving thread: nothing is missing any more. Unregistering wakes whoever waits for a frame of zeros, and the host makes it.
void Fill::finish()
{
	for (uint32_t i = 0; i < segment_count_; i++)
		userfault_unregister(plan_.userfault, segments_[i].base + segments_[i].skip_bytes,
		    segments_[i].size_bytes - segments_[i].skip_bytes);
	sys_close(plan_.userfault);
	plan_.userfault = -1;
	for (unsigned i = 1; i < thread_room_; i++)
		join(threads_[i]);
	lock_.take();
	finished_ = true;
	if (!held_)
		close_image();
	lock_.give();
	if (struct vkckpt_run_entry *entry = __atomic_load_n(&entry_, __ATOMIC_ACQUIRE)) {
		entry->fill_done = bytes_total();
		entry->thaw_full_ns = sys_clock_ns(CLOCK_MONOTONIC);
		__atomic_store_n(&entry->fill_state, VKCKPT_FILL_COMPLETE, __ATOMIC_RELEASE);
	}
}

void Fill::close_image()
{
	if (!image_open_)
		return;
	plan_.image->close();
	if (plan_.chain)
		plan_.chain->close();
	sys_close(plan_.image_fd);
	image_open_ = false;
}

// The first one speaks; nobody comes back, so no vCPU gets what it waits for.
void Fill::stop(const Status &why, uint32_t segment, uint64_t chunk)
{
	while (ending_.load())			// nobody waits for anything any more
		sys_call(SYS_exit, 0);
	while (stopping_.exchange(1) != 0)
		sys_nanosleep(1'000'000'000);
	struct vkckpt_error err;
	(void)report(why, &err);
	char line[800];
	Text text(line, sizeof line);
	text.add("vkckpt: ").add(name_).add(": stopped: RAM cannot be completed: ").add(image_name_).add(": segment ").decimal(segment);
	text.add(", chunk ").decimal(chunk).add(": ").add(err.message).add("\n");
	if (struct vkckpt_run_entry *entry = __atomic_load_n(&entry_, __ATOMIC_ACQUIRE)) {
		Text(entry->message, sizeof entry->message).add(err.message);
		entry->fill_reason = why.reason;
		__atomic_store_n(&entry->fill_state, VKCKPT_FILL_FAILED, __ATOMIC_RELEASE);
	}
	sys_write(2, line, text.length());
	sys_exit_group(VKCKPT_EXIT_STOPPED);
}

// --- for the vkernel and for a capture

// A read of each frame that may be missing: it ends when the frame is there.
void Fill::demand(uint32_t segment, uint64_t offset, uint64_t bytes) const
{
	const Segment &s = segments_[segment];
	for (uint64_t frame = offset / VKCKPT_FRAME; !complete() && frame * VKCKPT_FRAME < offset + bytes; frame++) {
		uint64_t n = s.first_chunk + frame / VKCKPT_CHUNK_FRAMES;
		if (mask_[n] & 1u << frame % VKCKPT_CHUNK_FRAMES && __atomic_load_n(&state_[n], __ATOMIC_ACQUIRE) != kThere)
			(void)*static_cast<const volatile uint8_t *>(s.base + frame * VKCKPT_FRAME);
	}
}

bool Fill::hold()
{
	lock_.take();
	held_ = !finished_;
	if (held_)
		resting_.store(1);
	lock_.give();
	return held_;
}

void Fill::release()
{
	lock_.take();
	held_ = false;
	if (finished_)
		close_image();
	lock_.give();
	resting_.store(0);
	sys_futex_wake(&resting_.value_, 1 << 30);
}

uint16_t Fill::frames_of(uint32_t segment, uint64_t chunk) const { return mask_[segments_[segment].first_chunk + chunk]; }

// Only what is kMissing: a chunk that is coming may have frames there already that the vkernel has written since.
const struct vkckpt_f_chunk *Fill::untouched(uint32_t segment, uint64_t chunk, uint16_t mask, const OpenImage **image) const
{
	uint64_t n = segments_[segment].first_chunk + chunk;
	if (mask_[n] != mask || __atomic_load_n(&state_[n], __ATOMIC_ACQUIRE) != kMissing)
		return nullptr;
	unsigned entries;
	const struct vkckpt_f_chunk *c = entries_of(segment, chunk, &entries);
	*image = plan_.image;
	if (entries != 1)
		return nullptr;
	return c->codec == VKCKPT_CODEC_PARENT ? plan_.chain->find_whole(*c, image) : c;
}

}  // namespace vk
