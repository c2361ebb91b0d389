// What guests see of checkpoints: notices with an answer or a veto, and how each one ended.
#include <cerrno>

#include "ckpt_parts.h"
#include "host_cpu.h"

namespace minivk {
namespace {

constexpr uint64_t kNoticeNs = 2'000'000'000;	// the library's default

}  // namespace

void notice_begin(void *)
{
	KernelLock lock;
	CkptState &c = kernel().ckpt;
	c.notice = true;
	c.notice_deadline_ns = now_ns() + kNoticeNs;
	for (CkptListener *l = c.listeners; l; l = l->next)
		l->answer = CkptListener::kAsked;
	c.changed.wake_all();
}

int notice_poll(void *, const char **why)
{
	KernelLock lock;
	bool all = true;
	for (CkptListener *l = kernel().ckpt.listeners; l; l = l->next) {
		if (l->answer == CkptListener::kVeto) {
			*why = "a guest process said no (/dev/vkckpt)";
			return -ECANCELED;
		}
		all = all && l->answer != CkptListener::kAsked;
	}
	return all;
}

void notice_undo(void *)
{
	KernelLock lock;
	CkptState &c = kernel().ckpt;
	c.notice = false;
	for (CkptListener *l = c.listeners; l; l = l->next)
		l->answer = CkptListener::kNone;
	c.changed.wake_all();
}

void checkpoint_ended(int32_t outcome)
{
	CkptState &c = kernel().ckpt;
	c.notice = false;
	for (CkptListener *l = c.listeners; l; l = l->next)
		l->answer = CkptListener::kNone;
	c.outcome = outcome;
	++c.ended;
	c.changed.wake_all();
}

void ckpt_listen(CkptListener &l)
{
	CkptState &c = kernel().ckpt;
	l.answer = c.notice ? CkptListener::kAsked : CkptListener::kNone;
	l.previous = nullptr;
	l.next = c.listeners;
	if (l.next)
		l.next->previous = &l;
	c.listeners = &l;
}

void ckpt_unlisten(CkptListener &l)
{
	(l.previous ? l.previous->next : kernel().ckpt.listeners) = l.next;
	if (l.next)
		l.next->previous = l.previous;
	l.next = l.previous = nullptr;
}

}  // namespace minivk
