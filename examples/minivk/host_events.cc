// The event thread: poll() over the console and an alarm clock. It moves no bytes and changes nothing in RAM: what is
// readable stays with the host until a vCPU reads it, so at a checkpoint nothing is in flight.
#include <atomic>
#include <cerrno>
#include <csignal>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "host.h"
#include "host_console.h"
#include "host_cpu.h"
#include "kernel.h"
#include "process.h"

namespace minivk {
namespace {

int poke_fd = -1;
pthread_t thread;
bool running = false;
std::atomic<bool> stopping{false};
std::atomic<uint64_t> alarm_ns{0};	// 0: none
std::atomic<bool> news_console{false}, news_resized{false}, news_disk{false};
std::atomic<int> terminate_signal{0}, terminate_taken{0};
constexpr int kEndSignals[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};

void poke()
{
	uint64_t one = 1;
	int saved = errno;
	(void)!write(poke_fd, &one, sizeof one);
	errno = saved;
}

// Slices that are over and timers that are due while nobody idles: the vCPUs concerned come out of their guests.
void look_at_kernel()
{
	KernelLock lock;
	Kernel &k = kernel();
	uint64_t now = host_monotonic_ns(), next = 0;
	uint64_t timer = next_timer_ns();
	uint64_t timer_host = timer ? timer - uint64_t(k.monotonic_offset_ns) : 0;
	bool due = timer && timer_host <= now;
	if (due && host_any_idle()) {
		host_wake_idle_cpu();	// it may sleep without knowing of this timer
		due = false;
	}
	for (unsigned i = 0; i < k.cpu_count; i++) {
		if (!host_in_guest(i))
			continue;
		uint64_t slice_end = k.cpu[i].since_ns + kSliceNs;
		if (due || (anyone_runnable() && slice_end <= now)) {
			vmspace_host_kick(i);
			due = false;
		} else if (anyone_runnable() && (!next || slice_end < next)) {
			next = slice_end;
		}
	}
	if (timer && timer_host > now && (!next || timer_host < next))
		next = timer_host;
	if (next)
		host_alarm_at(next);
}

void serve(pollfd *fds, nfds_t count)
{
	HostNews news = {};
	for (nfds_t i = 1; i < count; i++)
		if (fds[i].revents) {
			host_console_polled(fds[i].fd, fds[i].revents);
			news.console = true;
		}
	if (news.console)
		host_post_news(news);
	uint64_t at = alarm_ns.load();
	if (at && at <= host_monotonic_ns() && alarm_ns.compare_exchange_strong(at, 0))
		look_at_kernel();
}

void on_end_signal(int sig)
{
	terminate_signal = sig;
	poke();
}

// Signals to this process come to this thread alone: the vCPUs' threads block them.
void take_signals()
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	for (int sig : kEndSignals) {
		struct sigaction old, action = {};
		action.sa_handler = on_end_signal;
		if (sigaction(sig, nullptr, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaction(sig, &action, nullptr);
		sigaddset(&set, sig);
	}
	pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

void *event_loop(void *)
{
	take_signals();
	while (!stopping.load()) {
		pollfd fds[3] = {{poke_fd, POLLIN, 0}, {}, {}};
		nfds_t count = 1 + host_console_poll_set(fds + 1);
		timespec timeout = {}, *wait = nullptr;
		if (uint64_t at = alarm_ns.load()) {
			uint64_t now = host_monotonic_ns(), left = at > now ? at - now : 0;
			timeout = {time_t(left / 1'000'000'000), long(left % 1'000'000'000)};
			wait = &timeout;
		}
		ppoll(fds, count, wait, nullptr);
		if (fds[0].revents) {
			uint64_t value;
			(void)!read(poke_fd, &value, sizeof value);
		}
		serve(fds, count);
		if (int sig = terminate_signal.exchange(0))
			host_post_news({false, false, false, sig});
	}
	return nullptr;
}

}  // namespace

void host_events_poke() { poke(); }

bool host_has_news()
{
	return news_console.load(std::memory_order_relaxed) || news_resized.load(std::memory_order_relaxed)
	    || news_disk.load(std::memory_order_relaxed) || terminate_taken.load(std::memory_order_relaxed);
}

HostNews host_take_news()
{
	return {news_console.exchange(false), news_resized.exchange(false), news_disk.exchange(false), terminate_taken.exchange(0)};
}

void host_post_news(HostNews n)
{
	if (n.console)
		news_console = true;
	if (n.resized)
		news_resized = true;
	if (n.disk)
		news_disk = true;
	if (n.terminate)
		terminate_taken = n.terminate;
	// Under the lock: a vCPU that looks for news before it idles either sees these or is woken.
	KernelLock lock;
	if (host_any_idle()) {
		host_wake_idle_cpu();
		return;
	}
	for (unsigned i = 0; i < kernel().cpu_count; i++)
		if (host_in_guest(i)) {
			vmspace_host_kick(i);
			return;
		}
}

void host_alarm_at(uint64_t at)
{
	uint64_t old = alarm_ns.load();
	do {
		if (old && old <= at)
			return;
	} while (!alarm_ns.compare_exchange_weak(old, at));
	poke();
}

void host_block_signals()
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	for (int sig : kEndSignals)
		sigaddset(&set, sig);
	pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

void host_events_start()
{
	poke_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	stopping = false;
	running = pthread_create(&thread, nullptr, event_loop, nullptr) == 0;
	host_post_news({true, true, true});	// every source is looked at once
}

void host_events_stop()
{
	if (!running)
		return;
	stopping = true;
	poke();
	pthread_join(thread, nullptr);
	running = false;
}

}  // namespace minivk
