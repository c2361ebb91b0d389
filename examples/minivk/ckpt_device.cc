// /dev/vkckpt: guests learn of checkpoints, answer notices and ask for checkpoints. guest_vkckpt.h is its manual.
#include <cstdio>
#include <cstring>
#include <unistd.h>

#include "devices.h"
#include "guest_vkckpt.h"
#include "kernel.h"
#include "vm.h"

namespace minivk {

namespace {

class CkptFile final : public File {
public:
	~CkptFile() override
	{
		if (listening_)
			ckpt_unlisten(listener_);
	}
	long read(Thread &, IoBuffer &to, uint64_t *at) override;
	long write(Thread &, IoBuffer &from, uint64_t *) override;
	uint32_t poll(Thread &, WaitQueue **queue) override;
	long seek(int64_t to, int whence) override;
	long ioctl(Thread &, uint32_t request, uint64_t arg) override;
private:
	long listen();
	long answer(CkptListener::Answer);
	long checkpoint(Thread &, CkptAction);
	bool asked() const { return listening_ && kernel().ckpt.notice && listener_.answer == CkptListener::kAsked; }
	CkptListener listener_;
	bool listening_ = false;
	uint64_t seen_ = ~0ull;		// the thaw count that this open file has read to the end
};

long CkptFile::read(Thread &, IoBuffer &to, uint64_t *at)
{
	const CkptState &state = kernel().ckpt;
	char text[96];
	int n = snprintf(text, sizeof text, "generation ");
	for (uint8_t b : state.generation)
		n += snprintf(text + n, sizeof text - size_t(n), "%02x", b);
	snprintf(text + n, sizeof text - size_t(n), " thaws %llu\n", static_cast<unsigned long long>(state.thaw_count));
	const long r = read_from_text(text, to, at);
	if (*at >= strlen(text))
		seen_ = state.thaw_count;
	return r;
}

uint32_t CkptFile::poll(Thread &, WaitQueue **queue)
{
	*queue = &kernel().ckpt.changed;
	return kPollOut | (kernel().ckpt.thaw_count != seen_ ? uint32_t(kPollIn) : 0) | (asked() ? uint32_t(kPollPri) : 0);
}

long CkptFile::seek(int64_t to, int whence)
{
	if (whence == SEEK_CUR)
		to += int64_t(offset);
	else if (whence != SEEK_SET)
		return -EINVAL;
	if (to < 0)
		return -EINVAL;
	offset = uint64_t(to);
	return to;
}

long CkptFile::listen()
{
	if (!listening_)
		ckpt_listen(listener_);
	listening_ = true;
	return 0;
}

long CkptFile::answer(CkptListener::Answer a)
{
	if (!asked())
		return -ENOMSG;
	listener_.answer = a;
	kernel().ckpt.changed.wake_all();
	return 0;
}

// The call of the guest that asked is part of what is captured: in the thawed vkernel it is called again like in this one,
// and tells its outcome.
long CkptFile::checkpoint(Thread &t, CkptAction action)
{
	CkptState &state = kernel().ckpt;
	CallState &call = thread_call(t);
	if (!call.again) {
		call.scratch[0] = state.ended;
		if (const long r = ckpt_ask(action))
			return r;
	}
	if (state.ended != call.scratch[0])
		return state.outcome == CkptState::kResumed ? VKDEV_RESUMED : state.outcome == CkptState::kThawed ? VKDEV_THAWED
		    : state.outcome;
	if (call.interrupted)
		return -EINTR;
	wait_on(t, state.changed);
	return kBlocked;
}

long CkptFile::write(Thread &t, IoBuffer &from, uint64_t *)
{
	char text[32] = {};
	const size_t bytes = from.left();
	if (bytes >= sizeof text)
		return -EINVAL;
	if (const long r = from.get(text, bytes); r < 0)
		return r;
	const KString order(text, bytes && text[bytes - 1] == '\n' ? bytes - 1 : bytes);
	const long r = order == "register" ? listen() : order == "ack" ? answer(CkptListener::kAcknowledged)
	    : order == "veto" ? answer(CkptListener::kVeto) : order == "checkpoint" ? checkpoint(t, CkptAction::kContinue)
	    : order == "suspend" ? checkpoint(t, CkptAction::kExit) : -EINVAL;
	return r < 0 ? r : long(bytes);
}

long CkptFile::ioctl(Thread &t, uint32_t request, uint64_t arg)
{
	const CkptState &state = kernel().ckpt;
	const uint64_t now = now_ns();
	switch (request) {
	case VKDEV_REGISTER: return listen();
	case VKDEV_ACK: return answer(CkptListener::kAcknowledged);
	case VKDEV_VETO: return answer(CkptListener::kVeto);
	case VKDEV_DEADLINE:
		return state.notice && state.notice_deadline_ns > now ? long((state.notice_deadline_ns - now) / 1'000'000) : 0;
	case VKDEV_CHECKPOINT:
		if (arg != VKDEV_EXIT && arg != VKDEV_GO_ON)
			return -EINVAL;
		return checkpoint(t, arg == VKDEV_EXIT ? CkptAction::kExit : CkptAction::kContinue);
	case VKDEV_SECRET: {
		struct vkdev_secret range;
		if (const long r = copy_in(thread_space(t), arg, &range, sizeof range); r < 0)
			return r;
		return thread_space(t).make_secret(range.address, range.bytes);
	}
	default: return -ENOTTY;
	}
}

}  // namespace

Ref<File> make_ckpt_file() { return kmake<CkptFile>(); }

}  // namespace minivk
