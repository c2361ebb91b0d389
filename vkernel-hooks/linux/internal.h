/*
 * The library's own structures and the functions its files offer each other. Functions that can fail return 0 or an
 * errno value; errno itself is set only in the public functions.
 */
#ifndef VMSPACE_INTERNAL_H
#define VMSPACE_INTERNAL_H

#include <pthread.h>

#include <atomic>

#include "vkernel-hooks/linux/stub_layout.h"
#include "vkernel-hooks/linux/vmspace.h"

namespace vmspace {

constexpr uint64_t kPageBytes = 4096;
constexpr unsigned kPageShift = 12;

/* A task of a stub that the vkernel lets go and waits for. */
struct Task {
	int listener = -1;		/* its seccomp notifications; -1 where there are none */
	uint64_t notification = 0;	/* the one in which it is stopped */
	uint64_t argument = 0;		/* first argument of the system call that became the notification */
};

/* The task in which one vCPU runs this vmspace's guest code. Used by the vCPU's thread alone. */
struct Executor : Task {
	int pid = 0;
	int tid = 0;
	uint32_t turn = 0;		/* futexes: the last permission to run that was given */
	uint32_t frame_offset = 0;	/* signal frame in the mailbox, checked when it stopped */
	uint32_t fpstate_offset = 0;
	uint64_t stub_address = 0;	/* of its mailbox, in the stub */
	uint8_t *mailbox = nullptr;
	uint8_t *slot = nullptr;	/* in the control page */
};

/* The host process behind a vmspace. */
struct Stub {
	int pid = 0;
	int pidfd = -1;
	int order = -1, answer = -1;	/* eventfds to and from the mapper, used where it has no listener */
	uint8_t *shared = nullptr;	/* control page and mailboxes */
	size_t shared_bytes = 0;
	unsigned executor_count = 0;
	Task mapper;
	Executor executors[STUB_MAX_EXECUTORS];
};

/* A MAP_VPAGETABLE mapping: addresses start .. end-1, page index (address - start + offset) / 4096 below `root`. */
struct Mapping {
	uint64_t start, end, offset;
	vpte_t root;
	int prot;
	Mapping *next;
};

struct Vmspace {
	void *id;
	Vmspace *next;			/* of the same hash */
	unsigned references;		/* calls in progress; under the table's lock */
	pthread_mutex_t map_lock;	/* mappings, and every change of the host's page tables */
	Mapping *mappings;		/* ascending, disjoint */
	std::atomic<Stub *> stub;	/* null until the first RUN, if it was created for later; set under map_lock, then stays */
};

struct Vcpu {
	std::atomic<uint32_t> kick_pending;
	std::atomic<Executor *> running;	/* while a RUN is under way */
	std::atomic<uint32_t> run_number;
	std::atomic<uint32_t> kickers;		/* inside vmspace_host_kick: they may hold `running` */
	uint32_t watched_run;			/* the spawner's, which looks for kicks that are not answered */
	uint64_t cpu_at_kick;
};

struct Host {
	int callers_ram_fd = -1;	/* as the vkernel names it in vmspace_mmap */
	int ram_fd = -1;		/* our own duplicate */
	uint8_t *ram = nullptr;
	uint64_t ram_bytes = 0;
	void (*fill)(void *arg, uint64_t offset, uint64_t bytes) = nullptr;
	void *fill_arg = nullptr;
	unsigned vcpu_count = 0;
	uint32_t mode = STUB_MODE_NOTIFY;
	int image_fd = -1;
	bool trap_cpuid = false;
	Vcpu vcpus[STUB_MAX_EXECUTORS] = {};
};
extern Host host;
/* Our descriptors are above every number a stub starts with, so that dup2 in its first moments cannot collide. */
constexpr int kFirstOwnFd = 10;
static_assert(kFirstOwnFd > STUB_FD_SHARED);
[[nodiscard]] bool host_ready();

/* --- spawn.cc: making and ending stub processes, and the thread that is their parent. */
[[nodiscard]] int spawner_start();
void spawner_stop();
[[nodiscard]] int spawner_take(Stub **stub);
void stub_end(Stub *stub);
[[nodiscard]] bool stub_alive(const Stub &stub);
void stub_kill(const Stub &stub);

/* --- host.cc */
/* The vCPU of the calling thread, or -1. */
[[nodiscard]] int this_vcpu();
/* Called twice a second: kills a stub whose executor uses up a second of CPU without answering a kick. */
void watch_vcpus();
/* Returns when no vmspace_host_kick is left that could still use an executor of a stub about to end. */
void wait_for_kickers();

/* --- handoff.cc: letting an executor go and waiting until it has stopped. */
enum class Stop { kStopped, kInterrupted, kDied };
[[nodiscard]] bool let_go(Executor &executor);
[[nodiscard]] Stop await_stop(const Stub &stub, Executor &executor);
/* A wait of this thread met a signal: if the thread is in RUN, that RUN shall end. */
void note_signal();
/* The halves of these for a task with a listener. */
[[nodiscard]] bool answer_notification(Task &task);
[[nodiscard]] Stop await_notification(Task &task);
/* Lets a waker of a notification hand over its CPU, where the kernel can (Linux 6.6): less than half the time. */
void wake_synchronously(const Task &task);

/* --- registers.cc: between the vkernel's structures and an executor's signal frame. */
struct Report {
	int signal, code;	/* si_signo and si_code */
	bool entered;		/* false: the guest did not run, its registers are those it was given */
	bool compatible;	/* SIGSYS: by a 32-bit entry */
	uint64_t trap, error, address;
};
/* Reads why the executor stopped; false if its mailbox makes no sense. */
[[nodiscard]] bool read_report(Executor &executor, Report *report);
void save_registers(const Executor &executor, trapframe *tf, vextframe *vf);
void load_registers(const Executor &executor, const trapframe &tf, const vextframe &vf);
void save_xsave(const Executor &executor, void *xsave);
void load_xsave(const Executor &executor, const void *xsave);

/* --- walk.cc: the vpagetable. */
enum class Access { kRead, kWrite, kExecute };
enum class Marking { kMark, kPeek };	/* kPeek: changes nothing, and fails where A is not set yet */
struct Page {
	uint64_t frame;		/* byte offset in RAM */
	unsigned shift;		/* log2 of the pages the leaf covers: 0, 9, 18, 27, 36 */
	bool writable;		/* RW at every level, and M set */
	bool executable;
};
struct Ram {
	uint8_t *base;
	uint64_t bytes;
};
[[nodiscard]] bool walk(const Ram &ram, vpte_t root, uint64_t page_index, Access access, Marking marking, Page *page);

/* --- mapper.cc: changing the guest's host mappings. Called with the map lock held. EIO: the stub is gone. */
[[nodiscard]] int await_answer(Stub &stub);
[[nodiscard]] int give_orders(Stub &stub, const Order *orders, unsigned count);
[[nodiscard]] int unmap_range(const Vmspace &vm, uint64_t start, uint64_t end);

/* --- mappings.cc: the list of a vmspace. Called with the map lock held. */
[[nodiscard]] const Mapping *find_mapping(const Vmspace &vm, uint64_t address);
[[nodiscard]] int add_mapping(Vmspace &vm, const Mapping &mapping);
[[nodiscard]] int remove_mappings(Vmspace &vm, uint64_t start, uint64_t end);
[[nodiscard]] int set_roots(Vmspace &vm, uint64_t start, uint64_t end, vpte_t root);
[[nodiscard]] bool find_space(const Vmspace &vm, uint64_t length, uint64_t *start);
void free_mappings(Vmspace &vm);

/* --- fault.cc */
enum class Fault { kMapped, kForVkernel, kFailed };
[[nodiscard]] Fault resolve_fault(Vmspace &vm, uint64_t address, Access access, int *error);

/* --- run.cc */
[[nodiscard]] int run_vmspace(Vmspace &vm, unsigned vcpu, trapframe *tf, vextframe *vf, void *xsave);

/* --- vmspace.cc */
/* The stub of a vmspace about to run; made now if that was left for later. */
[[nodiscard]] int find_stub(Vmspace &vm, Stub **stub);
void end_vmspace(Vmspace *vm);

/* --- table.cc: the vmspaces by id. */
[[nodiscard]] int table_add(Vmspace *vm);
[[nodiscard]] Vmspace *table_acquire(void *id);		/* keeps it from being destroyed */
void table_release(Vmspace *vm);
[[nodiscard]] int table_remove(void *id, Vmspace **vm);
[[nodiscard]] Vmspace *table_remove_any();
[[nodiscard]] unsigned table_count();

}  // namespace vmspace
#endif
