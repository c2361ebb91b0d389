// The run queue: first come, first served; a slice of 10 ms is taken away only when somebody waits for a vCPU.
#include "host_cpu.h"
#include "process.h"

namespace minivk {

void make_runnable(Thread &t)
{
	if (t.state == ThreadState::kDead || t.queued || t.cpu >= 0)
		return;
	Kernel &k = kernel();
	t.state = ThreadState::kRunnable;
	t.queued = true;
	t.run_next = nullptr;
	(k.run_tail ? k.run_tail->run_next : k.run_head) = &t;
	k.run_tail = &t;
	host_wake_idle_cpu();
}

namespace {

Thread *pop()
{
	Kernel &k = kernel();
	Thread *t = k.run_head;
	if (t) {
		k.run_head = t->run_next;
		if (!k.run_head)
			k.run_tail = nullptr;
		t->queued = false;
		t->run_next = nullptr;
	}
	return t;
}

}  // namespace

// A thread of a stopped process comes this far and no further; process_continue queues it again.
Thread *pick_thread()
{
	while (Thread *t = pop()) {
		if (t->state == ThreadState::kDead)
			continue;
		if (!t->process->stopped)
			return t;
		t->state = ThreadState::kStopped;
	}
	return nullptr;
}

bool anyone_runnable() { return kernel().run_head != nullptr; }

void unqueue_thread(Thread &t)
{
	if (!t.queued)
		return;
	Kernel &k = kernel();
	Thread *previous = nullptr;
	for (Thread *at = k.run_head; at != &t; at = at->run_next)
		previous = at;
	(previous ? previous->run_next : k.run_head) = t.run_next;
	if (k.run_tail == &t)
		k.run_tail = previous;
	t.queued = false;
	t.run_next = nullptr;
}

void kick_thread(Thread &t)
{
	if (t.cpu >= 0)
		host_kick_cpu(unsigned(t.cpu));
}

}  // namespace minivk
