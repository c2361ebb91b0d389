/*
 * Stub processes: how one is made and ended, and the spawner thread.
 *
 * The kernel sends a stub its parent-death signal when the *thread* that made it exits, and vmspaces are made from any
 * vCPU thread; so one long-lived thread makes them all. It keeps one spare stub ready, so that the vkernel rarely waits
 * for the exec. The same thread looks twice a second for guests that do not answer a kick.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <new>

#include "vkernel-hooks/linux/internal.h"

namespace vmspace {
namespace {

constexpr int kAttempts = 6;		/* its stack may lie where the stub belongs: once in 8,000 times */
constexpr int kHelloTimeoutMs = 20'000;
constexpr long kWatchIntervalNs = 500'000'000;
constexpr size_t kChildStackBytes = 16 * 1024;

struct Spawner {
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t work = PTHREAD_COND_INITIALIZER;		/* for the spawner */
	pthread_cond_t done = PTHREAD_COND_INITIALIZER;		/* for those who wait for a stub */
	pthread_t thread;
	bool wanted = false, stopping = false;
	Stub *spare = nullptr;
	int error = 0;
};
Spawner spawner;

void close_if_open(int fd) {
	if (fd >= 0)
		close(fd);
}

/* What the child of vfork needs, prepared beforehand: it shares our memory and must touch as little as possible. */
struct ChildStart {
	int image;
	int given[STUB_FD_SHARED + 1];	/* by the number they shall have; those below STUB_FD_RAM do not count */
};

int start_child(void *argument) {
	const ChildStart &start = *static_cast<ChildStart *>(argument);
	char name[] = "vmspace";
	char *const arguments[] = {name, nullptr};
	char *const environment[] = {nullptr};
	for (int fd = STUB_FD_RAM; fd <= STUB_FD_SHARED; fd++)
		if (dup2(start.given[fd], fd) < 0)
			_exit(126);
	if (syscall(SYS_close_range, 0, STUB_FD_RAM - 1, 0) == 0
	    && syscall(SYS_close_range, STUB_FD_SHARED + 1, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */) == 0)
		syscall(SYS_execveat, start.image, "", arguments, environment, AT_EMPTY_PATH);
	_exit(127);
}

int raise_fd(int fd) {
	if (fd < 0 || fd >= kFirstOwnFd)
		return fd;
	const int raised = fcntl(fd, F_DUPFD_CLOEXEC, kFirstOwnFd);
	const int saved = errno;
	close(fd);
	errno = saved;
	return raised;
}

int allocate_shared(Stub *stub) {
	const int fd = raise_fd(static_cast<int>(syscall(SYS_memfd_create, "vmspace", MFD_CLOEXEC)));
	if (fd < 0)
		return -1;
	stub->shared_bytes = STUB_CTL_BYTES + static_cast<size_t>(host.vcpu_count) * STUB_MAILBOX_BYTES;
	void *address = MAP_FAILED;
	if (ftruncate(fd, static_cast<off_t>(stub->shared_bytes)) == 0)
		address = mmap(nullptr, stub->shared_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (address == MAP_FAILED) {
		const int saved = errno;
		close(fd);
		errno = saved;
		return -1;
	}
	stub->shared = static_cast<uint8_t *>(address);
	return fd;
}

void prepare_control(Stub *stub) {
	const uint32_t fields[] = {host.mode, host.vcpu_count, static_cast<uint32_t>(getpid())};
	static_assert(CTL_EXECUTORS == CTL_MODE + 4 && CTL_PARENT == CTL_MODE + 8);
	memcpy(stub->shared + CTL_MODE, fields, sizeof fields);
	const uint32_t trap_cpuid = host.trap_cpuid;
	memcpy(stub->shared + CTL_TRAP_CPUID, &trap_cpuid, sizeof trap_cpuid);
	stub->executor_count = host.vcpu_count;
	for (unsigned i = 0; i < host.vcpu_count; i++) {
		Executor &executor = stub->executors[i];
		executor.slot = stub->shared + (i << CTL_SLOT_SHIFT);
		executor.mailbox = stub->shared + STUB_CTL_BYTES + static_cast<size_t>(i) * STUB_MAILBOX_BYTES;
		executor.stub_address = STUB_MAILBOX + static_cast<uint64_t>(i) * STUB_MAILBOX_BYTES;
		executor.turn = 1;
		memcpy(executor.slot + CTL_GO, &executor.turn, sizeof executor.turn);
	}
}

/* One hello of a task, with its listener. False if the stub died instead. */
bool receive_hello(int socket, Hello *hello, int *listener) {
	pollfd ask = {socket, POLLIN, 0};
	int ready;
	do
		ready = poll(&ask, 1, kHelloTimeoutMs);
	while (ready < 0 && errno == EINTR);
	if (ready <= 0)
		return false;
	alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	iovec data = {hello, sizeof *hello};
	msghdr message = {};
	message.msg_iov = &data;
	message.msg_iovlen = 1;
	message.msg_control = control;
	message.msg_controllen = sizeof control;
	const ssize_t length = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	*listener = -1;
	const cmsghdr *header = length > 0 ? CMSG_FIRSTHDR(&message) : nullptr;
	if (header != nullptr && header->cmsg_type == SCM_RIGHTS)
		memcpy(listener, CMSG_DATA(header), sizeof *listener);
	return length == sizeof *hello;
}

/* Takes the hellos of all tasks: after them each has its filter but perhaps not yet its lock. */
int receive_hellos(Stub *stub, int socket) {
	for (unsigned expected = stub->executor_count + 1; expected > 0; expected--) {
		Hello hello;
		int listener;
		if (!receive_hello(socket, &hello, &listener))
			return ECHILD;
		if (hello.error != 0)
			return hello.error;
		Task *task = &stub->mapper;
		if (hello.task < stub->executor_count) {
			Executor &executor = stub->executors[hello.task];
			executor.pid = stub->pid;
			executor.tid = hello.tid;
			task = &executor;
		}
		task->listener = raise_fd(listener);
		wake_synchronously(*task);
	}
	return 0;
}

/* Waits until every task has locked itself: the mapper gives its first answer, an executor stands in its first stop. */
int await_locks(Stub *stub) {
	if (await_answer(*stub) != 0)
		return ECHILD;
	for (unsigned i = 0; i < stub->executor_count; i++) {
		Executor &executor = stub->executors[i];
		Stop stop;
		do
			stop = await_stop(*stub, executor);
		while (stop == Stop::kInterrupted);
		Report report;
		if (stop == Stop::kDied || !read_report(executor, &report))
			return ECHILD;
	}
	return 0;
}

int fork_stub(Stub *stub, int socket, int shared) {
	ChildStart start = {host.image_fd, {}};
	start.given[STUB_FD_RAM] = host.ram_fd;
	start.given[STUB_FD_ORDER] = stub->order;
	start.given[STUB_FD_ANSWER] = stub->answer;
	start.given[STUB_FD_SOCKET] = socket;
	start.given[STUB_FD_SHARED] = shared;
	alignas(16) static char stack[kChildStackBytes];	/* the spawner's alone */
	const int pid = clone(start_child, stack + sizeof stack, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &start,
	    &stub->pidfd);
	if (pid < 0)
		return errno;
	stub->pid = pid;
	return 0;
}

/* Makes the process and waits for it; its end of the socket is closed here, so that its death ends the wait. */
int start_stub(Stub *stub) {
	int sockets[2] = {-1, -1};
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0)
		return errno;
	sockets[1] = raise_fd(sockets[1]);
	const int shared = allocate_shared(stub);
	stub->order = raise_fd(eventfd(0, EFD_CLOEXEC));
	stub->answer = raise_fd(eventfd(0, EFD_CLOEXEC));
	int error = 0;
	if (sockets[1] < 0 || shared < 0 || stub->order < 0 || stub->answer < 0) {
		error = errno;
	} else {
		prepare_control(stub);
		error = fork_stub(stub, sockets[1], shared);
	}
	close_if_open(shared);
	close_if_open(sockets[1]);
	if (error == 0)
		error = receive_hellos(stub, sockets[0]);
	if (error == 0)
		error = await_locks(stub);
	close(sockets[0]);
	return error;
}

int make_stub(Stub **made) {
	int error = ECHILD;
	for (int attempt = 0; attempt < kAttempts && error == ECHILD; attempt++) {
		void *memory = malloc(sizeof(Stub));
		if (memory == nullptr)
			return ENOMEM;
		Stub *stub = new (memory) Stub;
		error = start_stub(stub);
		if (error == 0)
			*made = stub;
		else
			stub_end(stub);
	}
	return error;
}

void wait_for_work() {
	timespec until;		/* not of the wall clock, which may be set back an hour */
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += kWatchIntervalNs;
	if (until.tv_nsec >= 1'000'000'000) {
		until.tv_nsec -= 1'000'000'000;
		until.tv_sec++;
	}
	if (pthread_cond_clockwait(&spawner.work, &spawner.lock, CLOCK_MONOTONIC, &until) == ETIMEDOUT)
		watch_vcpus();
}

void *spawner_main(void *) {
	pthread_mutex_lock(&spawner.lock);
	while (!spawner.stopping) {
		if (!spawner.wanted) {
			wait_for_work();
			continue;
		}
		pthread_mutex_unlock(&spawner.lock);
		Stub *stub = nullptr;
		const int error = make_stub(&stub);
		pthread_mutex_lock(&spawner.lock);
		spawner.wanted = false;
		spawner.spare = stub;
		spawner.error = error;
		pthread_cond_broadcast(&spawner.done);
	}
	pthread_mutex_unlock(&spawner.lock);
	return nullptr;
}

}  // namespace

bool stub_alive(const Stub &stub) {
	pollfd ask = {stub.pidfd, POLLIN, 0};
	return poll(&ask, 1, 0) == 0;
}

void stub_kill(const Stub &stub) { syscall(SYS_pidfd_send_signal, stub.pidfd, SIGKILL, nullptr, 0); }

void stub_end(Stub *stub) {
	if (stub->pidfd >= 0) {
		stub_kill(*stub);
		siginfo_t info;
		/* ECHILD: the vkernel ignores SIGCHLD or waited for all its children; then there is nothing to reap. */
		while (waitid(static_cast<idtype_t>(3) /* P_PIDFD */, static_cast<id_t>(stub->pidfd), &info, WEXITED) != 0
		    && errno == EINTR) {
		}
	}
	for (Executor &executor : stub->executors)
		close_if_open(executor.listener);
	close_if_open(stub->mapper.listener);
	close_if_open(stub->order);
	close_if_open(stub->answer);
	close_if_open(stub->pidfd);
	if (stub->shared != nullptr)
		munmap(stub->shared, stub->shared_bytes);
	free(stub);
}

int spawner_take(Stub **taken) {
	for (;;) {
		pthread_mutex_lock(&spawner.lock);
		while (spawner.spare == nullptr) {
			if (!spawner.wanted) {
				spawner.wanted = true;
				pthread_cond_signal(&spawner.work);
			}
			pthread_cond_wait(&spawner.done, &spawner.lock);
			if (spawner.spare == nullptr && spawner.error != 0) {
				const int error = spawner.error;
				pthread_mutex_unlock(&spawner.lock);
				return error;
			}
		}
		Stub *stub = spawner.spare;
		spawner.spare = nullptr;
		spawner.wanted = true;
		pthread_cond_signal(&spawner.work);
		pthread_mutex_unlock(&spawner.lock);
		if (stub_alive(*stub)) {
			*taken = stub;
			return 0;
		}
		stub_end(stub);		/* somebody killed the spare */
	}
}

int spawner_start() {
	spawner.stopping = spawner.wanted = false;
	spawner.error = 0;
	sigset_t all, before;		/* no handler of the vkernel may run in the child, which shares its memory */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	const int error = pthread_create(&spawner.thread, nullptr, spawner_main, nullptr);
	pthread_sigmask(SIG_SETMASK, &before, nullptr);
	return error;
}

void spawner_stop() {
	pthread_mutex_lock(&spawner.lock);
	spawner.stopping = true;
	pthread_cond_signal(&spawner.work);
	pthread_mutex_unlock(&spawner.lock);
	pthread_join(spawner.thread, nullptr);
	if (spawner.spare != nullptr)
		stub_end(spawner.spare);
	spawner.spare = nullptr;
}

}  // namespace vmspace
