// Waiting: queues of threads, and timers.
#include "host_cpu.h"
#include "process.h"

namespace minivk {

WaitQueue::~WaitQueue() { wake_all(); }

void WaitQueue::wake_all()
{
	// A woken thread is taken off every queue, so the head moves on.
	while (head_)
		wake_thread(*head_->thread);
}

void WaitQueue::wake_one()
{
	if (head_)
		wake_thread(*head_->thread);
}

void wait_on(Thread &t, WaitQueue &queue)
{
	WaitEntry *e = knew<WaitEntry>();
	e->thread = &t;
	e->queue = &queue;
	e->sibling = t.waits;
	t.waits = e;
	e->previous = queue.tail_;
	(queue.tail_ ? queue.tail_->next : queue.head_) = e;
	queue.tail_ = e;
}

void wait_until(Thread &t, uint64_t deadline_ns)
{
	if (deadline_ns && (!t.timeout.deadline_ns || deadline_ns < t.timeout.deadline_ns))
		timer_arm(t.timeout, deadline_ns);
}

void WaitEntry::unlink()
{
	(previous ? previous->next : queue->head_) = next;
	(next ? next->previous : queue->tail_) = previous;
}

void stop_waiting(Thread &t)
{
	while (WaitEntry *e = t.waits) {
		t.waits = e->sibling;
		e->unlink();
		kdelete(e);
	}
	timer_cancel(t.timeout);
}

void wake_thread(Thread &t)
{
	stop_waiting(t);
	if (t.state == ThreadState::kBlockedState)
		make_runnable(t);
	else
		t.woken = true;
}

void timer_arm(Timer &timer, uint64_t deadline_ns)
{
	timer_cancel(timer);
	timer.deadline_ns = deadline_ns ? deadline_ns : 1;
	kernel().timers.emplace(timer.deadline_ns, &timer);
}

void timer_cancel(Timer &timer)
{
	if (timer.deadline_ns)
		kernel().timers.erase({timer.deadline_ns, &timer});
	timer.deadline_ns = 0;
}

void run_timers()
{
	auto &timers = kernel().timers;
	if (timers.empty())
		return;
	// Only what is due now: a timer that arms itself again at once waits for the next round.
	for (uint64_t now = now_ns(); !timers.empty() && timers.begin()->first <= now;) {
		Timer *timer = timers.begin()->second;
		timers.erase(timers.begin());
		timer->deadline_ns = 0;
		timer->fire(timer->arg);
	}
}

uint64_t next_timer_ns() { return kernel().timers.empty() ? 0 : kernel().timers.begin()->first; }

uint64_t now_ns() { return host_monotonic_ns() + uint64_t(kernel().monotonic_offset_ns); }
uint64_t realtime_ns() { return host_realtime_ns(); }

}  // namespace minivk
