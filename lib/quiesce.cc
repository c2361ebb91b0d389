// The state machine behind vkckpt_safe_point: notice -> drain devices -> park vCPUs -> capture -> undo, and every way out of it.
//
// Context SAFE POINT. Nobody blocks here but a vCPU that is parked. While guests may still run (notice, drain) one vCPU at a time drives
// the machine, the others return PENDING at once. Devices are stopped in order and started in reverse; one that refuses is undone too.
//
// The park: one word {count: 10 bits, state: 2, nudges: 20}. A vCPU comes in by raising the count while the state is open; the one that
// makes it full closes it and captures; the others wait for a change of the word. Who finds the deadline passed or the request cancelled while it is
// open releases everybody. The count falls as they leave, and the next park opens only at zero, so nobody can take a later park for his own.
#include "lib/quiesce.h"

#include <errno.h>
#include <string.h>

#include "lib/capture.h"
#include "lib/context.h"
#include "lib/export.h"
#include "lib/signals.h"
#include "lib/sys.h"
#include "lib/text.h"

namespace vk {
namespace {

constexpr uint32_t kParkCount = 0x3ff, kParkState = 0xc00, kParkOpen = 0x400, kParkFull = 0x800, kParkReleased = 0;

enum class Role : int { waited, last, refused, gave_up };

uint64_t now_ns() { return sys_clock_ns(CLOCK_MONOTONIC); }

// "disk0" or "disk0: journal is busy"
Status hook_failed(int code, uint32_t reason, const char *where, const char *who, const char *why)
{
	char subject[64];
	Text text(subject, sizeof subject);
	text.add(who);
	if (why && *why)
		text.add(": ").add(why);
	return fail(code, reason, where, subject);
}

Status cancelled() { return fail(ECANCELED, VKCKPT_R_CANCELLED, "quiesce"); }

// --- ending a request

void undo_devices(struct vkckpt &ck)
{
	while (ck.devices_stopped > 0) {
		struct vkckpt_device &d = ck.devices[--ck.devices_stopped];
		if (d.device_class->stop_undo)
			d.device_class->stop_undo(d.device);
	}
}

void undo_notice(struct vkckpt &ck)
{
	if (ck.noticed && ck.hooks.notice_undo)
		ck.hooks.notice_undo(ck.hooks.arg);
	ck.noticed = false;
}

void take_driver(struct vkckpt &ck)
{
	for (uint32_t nobody = 0; !ck.driver.swap_if(nobody, 1); nobody = 0)
		sys_sched_yield();	// held only for one step of advance()
}

// The request ends and this process runs on: the image is committed (outcome ok) or there is none. The caller is the driver, so
// that nobody takes this request for a new one while it ends.
int end_running(struct vkckpt &ck)
{
	set_stage(ck, Stage::undo);
	undo_devices(ck);
	undo_notice(ck);
	reserve_again(ck);
	struct vkckpt_error err;
	memset(&err, 0, sizeof err);
	int result = ck.outcome.ok() ? 0 : report(ck.outcome, &err);
	ck.times.sync_ns = ck.times.freeze_ns = ck.times.devices_ns = 0;
	(void)ck.watch.decide();
	if (!ck.told)
		ck.run.done(ck.outcome, VKCKPT_PHASE_RUNNING);
	bool direct = ck.direct;
	ck.told = ck.direct = false;
	ck.wanted.store(0);	// before claimed: the next request sets it again
	set_stage(ck, Stage::idle);
	ck.driver.store(0);
	ck.claimed.store(0);
	if (ck.hooks.resumed && !direct)
		ck.hooks.resumed(ck.hooks.arg, &err);
	return result;
}

int end_suspended(struct vkckpt &ck)
{
	set_stage(ck, Stage::suspended);	// for good: wanted stays set, every safe point returns EXIT
	ck.run.done(ck.outcome, VKCKPT_PHASE_EXITING);
	return 0;
}

int give_up(struct vkckpt &ck, const Status &why)
{
	ck.outcome = why;
	(void)end_running(ck);
	return VKCKPT_RESUMED;
}

// --- notice and drain, by one vCPU at a time

Status begin_request(struct vkckpt &ck)
{
	ck.outcome = success();
	ck.devices_stopped = ck.device_at = 0;
	ck.device_begun = ck.noticed = ck.direct = false;
	for (size_t i = 0; i < ck.config.device_count; i++)
		if (ck.devices[i].policy == VKCKPT_POLICY_FAIL)
			return hook_failed(EBUSY, VKCKPT_R_HOOK_FAILED, "quiesce", ck.devices[i].name,
			    "its policy forbids checkpoints");
	VK_TRY(capture_precheck(ck));
	ck.run.phase(VKCKPT_PHASE_NOTICE);
	ck.notice_deadline_ns = now_ns() + ck.config.notice_timeout_ns;
	ck.watch.extend(ck.notice_deadline_ns + ck.config.quiesce_timeout_ns + kWatchGrace);
	set_stage(ck, Stage::notice);
	if (ck.hooks.notice_begin) {
		ck.noticed = true;
		ck.hooks.notice_begin(ck.hooks.arg);
	}
	return success();
}

// value: true when it is time to go on.
Result<bool> poll_notice(struct vkckpt &ck)
{
	if (ck.hooks.notice_poll) {
		const char *why = nullptr;
		int r = ck.hooks.notice_poll(ck.hooks.arg, &why);
		if (r < 0)
			return hook_failed(-r, r == -ECANCELED ? VKCKPT_R_VETOED : VKCKPT_R_HOOK_FAILED, "notice",
			    r == -ECANCELED ? "a guest process" : "notice_poll", why);
		if (r == 0 && now_ns() < ck.notice_deadline_ns)
			return false;
	}
	ck.quiesce_began_ns = now_ns();
	__atomic_store_n(&ck.quiesce_deadline_ns, ck.quiesce_began_ns + ck.config.quiesce_timeout_ns, __ATOMIC_RELAXED);
	ck.watch.extend(ck.quiesce_deadline_ns + kWatchGrace);
	ck.run.phase(VKCKPT_PHASE_QUIESCE);
	set_stage(ck, Stage::drain);
	return true;
}

// value: true when every device is drained.
Result<bool> drain_devices(struct vkckpt &ck)
{
	for (; ck.device_at < ck.config.device_count; ck.device_at++, ck.device_begun = false) {
		struct vkckpt_device &d = ck.devices[ck.device_at];
		const char *why = nullptr;
		int r = 0;
		if (!ck.device_begun) {
			ck.device_begun = true;
			ck.devices_stopped = ck.device_at + 1;	// also if it refuses
			r = d.device_class->stop_begin ? d.device_class->stop_begin(d.device, &why) : 0;
			if (r < 0)
				return hook_failed(-r, VKCKPT_R_HOOK_FAILED, "quiesce: stop_begin", d.name, why);
		}
		r = d.device_class->stop_poll ? d.device_class->stop_poll(d.device, &why) : 1;
		if (r < 0)
			return hook_failed(-r, VKCKPT_R_HOOK_FAILED, "quiesce: stop_poll", d.name, why);
		if (r > 0)
			continue;
		if (now_ns() >= ck.quiesce_deadline_ns)
			return fail(ETIMEDOUT, VKCKPT_R_QUIESCE_TIMEOUT, "quiesce: stop_poll", d.name);
		return false;
	}
	return true;
}

// value: true when the park is open; false: somebody has not left the last one yet.
bool open_park(struct vkckpt &ck)
{
	uint32_t word = ck.park_word.load();
	if ((word & kParkCount) != 0)
		return false;
	if (!ck.park_word.swap_if(word, kParkOpen))
		return false;
	ck.drained_ns = now_ns();
	set_stage(ck, Stage::park);
	if (ck.hooks.kick)
		ck.hooks.kick(ck.hooks.arg);
	return true;
}

int advance(struct vkckpt &ck)
{
	if (!ck.claimed.load() || !ck.wanted.load())
		return VKCKPT_NOTHING;
	if (request_cancelled(ck))
		return give_up(ck, cancelled());
	if (ck.told)
		return give_up(ck, why_not_quiet(ck, false));
	if (stage_of(ck) == Stage::idle)
		if (Status s = begin_request(ck); !s.ok())
			return give_up(ck, s);
	if (stage_of(ck) == Stage::notice)
		if (Result<bool> r = poll_notice(ck); !r.ok())
			return give_up(ck, r.status);
	if (stage_of(ck) == Stage::drain) {
		Result<bool> r = drain_devices(ck);
		if (!r.ok())
			return give_up(ck, r.status);
		if (r.value)
			(void)open_park(ck);
	}
	return VKCKPT_PENDING;
}

// --- the park

// The first vCPU that has not come.
Status missing_vcpu(struct vkckpt &ck)
{
	char subject[32];
	Text text(subject, sizeof subject);
	uint64_t serial = ck.serial.load();
	for (uint32_t i = 0; i < ck.config.vcpu_count; i++)
		if (__atomic_load_n(&ck.vcpus[i].arrived, __ATOMIC_RELAXED) != serial) {
			text.add("vcpu ").decimal(i);
			return fail(ETIMEDOUT, VKCKPT_R_QUIESCE_TIMEOUT, "quiesce: park", subject);
		}
	return fail(ETIMEDOUT, VKCKPT_R_QUIESCE_TIMEOUT, "quiesce: park");
}

// A vCPU that is late may find the next request's deadline here: its own park has been released by then, and neither the exchange of the word nor
// the futex takes the old one.
Role wait_in_park(struct vkckpt &ck)
{
	for (;;) {
		uint32_t word = ck.park_word.load();
		if ((word & kParkState) == kParkReleased)
			return Role::waited;
		uint64_t wait_ns = 0;	// while another captures: until it is done
		if ((word & kParkState) == kParkOpen) {
			uint64_t now = now_ns(), deadline_ns = __atomic_load_n(&ck.quiesce_deadline_ns, __ATOMIC_RELAXED);
			bool stop = request_cancelled(ck);
			if (stop || now >= deadline_ns) {
				Status why = stop ? cancelled() : missing_vcpu(ck);
				// Back to "full" first: the outcome must stand before anybody is released.
				if (ck.park_word.swap_if(word, (word & ~kParkState) | kParkFull)) {
					ck.outcome = why;
					ck.verdict = VKCKPT_RESUMED;
					return Role::gave_up;
				}
				continue;
			}
			wait_ns = deadline_ns - now;
		}
		sys_futex_wait(&ck.park_word.value_, word, wait_ns);
	}
}

// On the vCPU's own stack in the arena: from here on nothing writes to the stack that may be captured.
int park_body(void *arg)
{
	Vcpu &vcpu = *static_cast<Vcpu *>(arg);
	struct vkckpt &ck = *vcpu.owner;
	uint32_t word = ck.park_word.load();
	__atomic_store_n(&vcpu.arrived, ck.serial.load(), __ATOMIC_RELAXED);
	for (;;) {
		if ((word & kParkState) != kParkOpen)
			return (int)Role::refused;
		uint32_t next = word + 1;
		bool full = (next & kParkCount) == ck.config.vcpu_count;
		if (full)
			next = (next & ~kParkState) | kParkFull;
		if (ck.park_word.swap_if(word, next)) {
			if (full)
				return (int)Role::last;
			return (int)wait_in_park(ck);
		}
	}
}

void leave_park(struct vkckpt &ck) { ck.park_word.fetch_add(~0u); }

void release_park(struct vkckpt &ck)
{
	uint32_t word = ck.park_word.load();
	while (!ck.park_word.swap_if(word, (word & ~kParkState) | kParkReleased))
		;
	sys_futex_wake(&ck.park_word.value_, 1 << 30);
}

int capture_body(void *arg)
{
	struct vkckpt &ck = *static_cast<struct vkckpt *>(arg);
	ck.outcome = capture(ck);
	return 0;
}

bool suspends(const struct vkckpt &ck) { return ck.outcome.ok() && request_action(ck) == VKCKPT_ACTION_EXIT; }

int park(struct vkckpt &ck, unsigned number, const struct vkckpt_f_context *caller)
{
	Vcpu &vcpu = ck.vcpus[number];
	if (vcpu.arrived == ck.serial.load())
		return VKCKPT_PENDING;	// it was here already: released, and the request is being wound up
	vcpu.context = *caller;
	uint64_t all = kAllSignals, old = 0;
	sys_sigprocmask(SIG_SETMASK, &all, &old);
	Role role = (Role)vk_call_on(vcpu.stack_top, park_body, &vcpu);
	int verdict = VKCKPT_PENDING;
	if (role == Role::waited) {
		verdict = ck.verdict;
		leave_park(ck);
	} else if (role != Role::refused) {
		if (role == Role::last) {
			if (ck.watch.decide() || ck.config.quiesces_itself)
				vk_call_on(ck.capture_stack_top, capture_body, &ck);
			else
				ck.outcome = why_not_quiet(ck, request_cancelled(ck));
			ck.verdict = suspends(ck) ? VKCKPT_EXIT : VKCKPT_RESUMED;
		}
		verdict = ck.verdict;
		// Before anybody runs again: who comes to a safe point now must not find the park.
		set_stage(ck, verdict == VKCKPT_EXIT ? Stage::suspended : Stage::undo);
		if (verdict == VKCKPT_EXIT)
			(void)end_suspended(ck);
		release_park(ck);
		leave_park(ck);
	}
	sys_sigprocmask(SIG_SETMASK, &old, nullptr);
	if ((role == Role::last || role == Role::gave_up) && verdict == VKCKPT_RESUMED) {
		take_driver(ck);
		(void)end_running(ck);
	}
	return verdict;
}

}  // namespace

Status why_not_quiet(struct vkckpt &ck, bool stopped)
{
	if (stopped)
		return cancelled();
	switch (stage_of(ck)) {
	case Stage::idle: case Stage::notice: return fail(ETIMEDOUT, VKCKPT_R_QUIESCE_TIMEOUT, "quiesce", "no vCPU came to a safe point");
	case Stage::drain: return fail(ETIMEDOUT, VKCKPT_R_QUIESCE_TIMEOUT, "quiesce: stop_poll", ck.devices[ck.device_at].name);
	default: return missing_vcpu(ck);
	}
}

uint32_t request_action(const struct vkckpt &ck)
{
	uint32_t action = ck.request.load() & 0xff;
	return action == VKCKPT_ACTION_CONFIGURED ? ck.config.on_ckpt : action;
}

uint32_t request_flags(const struct vkckpt &ck) { return ck.request.load() >> 8 & 0xff; }

Stage stage_of(const struct vkckpt &ck) { return (Stage)ck.stage.load(); }
void set_stage(struct vkckpt &ck, Stage stage) { ck.stage.store((uint32_t)stage); }

int safe_point(struct vkckpt &ck, unsigned vcpu, const struct vkckpt_f_context *caller)
{
	if (vcpu >= ck.config.vcpu_count)
		return -EINVAL;
	if (stage_of(ck) == Stage::suspended)
		return VKCKPT_EXIT;
	int verdict = VKCKPT_PENDING;
	if (stage_of(ck) != Stage::park) {
		uint32_t nobody = 0;
		if (stage_of(ck) == Stage::undo || !ck.driver.swap_if(nobody, 1))
			return VKCKPT_PENDING;
		if (stage_of(ck) <= Stage::drain)
			verdict = advance(ck);
		if (verdict != VKCKPT_RESUMED)	// then it is given back already, and may be another's
			ck.driver.store(0);
	}
	if (stage_of(ck) == Stage::park && verdict == VKCKPT_PENDING)
		return park(ck, vcpu, caller);
	return verdict;
}

int capture_directly(struct vkckpt &ck, unsigned vcpu, uint32_t action, const struct vkckpt_f_context *caller,
    struct vkckpt_error *err)
{
	if (vcpu >= ck.config.vcpu_count || action > VKCKPT_ACTION_CONTINUE)
		return report(fail(EINVAL, VKCKPT_R_BAD_ARGUMENT, "capture", vcpu >= ck.config.vcpu_count ? "vcpu" : "action"),
		    err);
	// A request that brought the vkernel here is the one being served; else this is one.
	uint32_t free = 0, nobody = 0;
	bool own = ck.claimed.swap_if(free, 1);
	if (stage_of(ck) != Stage::idle || !ck.driver.swap_if(nobody, 1)) {
		if (own)
			ck.claimed.store(0);
		return report(fail(EBUSY, VKCKPT_R_BUSY, "capture"), err);
	}
	if (own) {
		ck.request.store(VKCKPT_REQUEST(action, 0, 0));
		ck.serial.fetch_add(1);
		ck.run.requested(action, 0);
	}
	if (action != VKCKPT_ACTION_CONFIGURED)
		ck.request.store((ck.request.load() & ~0xffull) | action);
	ck.direct = true;
	ck.noticed = false;
	ck.devices_stopped = 0;
	ck.quiesce_began_ns = ck.drained_ns = now_ns();
	ck.vcpus[vcpu].context = *caller;
	// Against the watch, which may have ended the request that brought the vkernel here.
	bool in_time = own || ck.config.quiesces_itself || ck.watch.decide();
	ck.outcome = !in_time ? why_not_quiet(ck, request_cancelled(ck)) : request_cancelled(ck) ? cancelled() : capture_precheck(ck);
	uint64_t all = kAllSignals, old = 0;
	sys_sigprocmask(SIG_SETMASK, &all, &old);
	if (ck.outcome.ok())
		vk_call_on(ck.capture_stack_top, capture_body, &ck);
	bool exits = suspends(ck);
	Status outcome = ck.outcome;
	if (exits)
		(void)end_suspended(ck);
	else
		(void)end_running(ck);
	sys_sigprocmask(SIG_SETMASK, &old, nullptr);
	if (!outcome.ok())
		return report(outcome, err);
	return exits ? VKCKPT_EXIT : VKCKPT_RESUMED;
}

// For callers of capture_directly that did not get as far as that.
int decline(struct vkckpt &ck, int code, uint32_t reason, const char *subject, struct vkckpt_error *err)
{
	uint32_t nobody = 0;
	if (!ck.claimed.load())
		return -ENOENT;
	if (stage_of(ck) != Stage::idle || !ck.driver.swap_if(nobody, 1))
		return -EBUSY;
	ck.outcome = request_cancelled(ck) ? cancelled() : fail(code, reason, "quiesce", subject);
	ck.direct = true;
	ck.noticed = false;
	ck.devices_stopped = 0;
	Status outcome = ck.outcome;
	(void)end_running(ck);
	(void)report(outcome, err);
	return 0;
}

}  // namespace vk

using namespace vk;

// Called by context_switch.S, which carries the public names.
extern "C" int vk_safe_point(struct vkckpt *ck, unsigned vcpu, const struct vkckpt_f_context *caller)
{
	return safe_point(*ck, vcpu, caller);
}

extern "C" int vk_capture(struct vkckpt *ck, unsigned vcpu, uint32_t action, struct vkckpt_error *err,
    const struct vkckpt_f_context *caller)
{
	return capture_directly(*ck, vcpu, action, caller, err);
}

VK_EXPORT int vkckpt_decline(struct vkckpt *ck, int code, uint32_t reason, const char *subject, struct vkckpt_error *err)
{
	return decline(*ck, code > 0 ? code : EIO, reason, subject ? subject : "", err);
}

VK_EXPORT int vkckpt_requested(const struct vkckpt *ck)
{
	if (!ck->wanted.load())
		return 0;
	return request_cancelled(*ck) ? -ECANCELED : 1;
}

VK_EXPORT void vkckpt_tell_times(struct vkckpt *ck, const struct vkckpt_times *times)
{
	if (times->size == sizeof *times)
		ck->times = *times;
}
