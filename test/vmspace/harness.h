/*
 * A vkernel of a few lines for the tests: RAM in a memfd, page tables made by hand, guests that are a few instructions
 * long (guests.S) copied into RAM.
 */
#ifndef TEST_VMSPACE_HARNESS_H
#define TEST_VMSPACE_HARNESS_H

#include <functional>
#include <string>
#include <vector>

#include "vkernel-hooks/linux/vmspace.h"

namespace harness {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kCodeAt = 0x400000;
constexpr uint64_t kDataAt = 0x20000000;
constexpr vpte_t kTableBits = VPTE_V | VPTE_RW | VPTE_U;
constexpr vpte_t kPageBits = VPTE_V | VPTE_RW | VPTE_U;

/* RAM and the library, from construction to destruction. Every test has its own. */
class World {
public:
	explicit World(unsigned vcpus = 2, uint64_t ram_bytes = 32 << 20);
	~World();
	World(const World &) = delete;
	World &operator=(const World &) = delete;

	uint64_t new_frame();
	template <typename T> T &at(uint64_t offset) { return *reinterpret_cast<T *>(ram + offset); }
	vpte_t &entry(uint64_t table, unsigned index) { return at<vpte_t>((table & VPTE_FRAME) + 8 * index); }

	int fd = -1;
	uint8_t *ram = nullptr;
	uint64_t bytes;
	const char *fallback = nullptr;

private:
	uint64_t next_ = kPage;
};

enum class Create { kNow, kLater };

/* One guest process: a vmspace whose whole range is one vpagetable, and a register set. */
class Guest {
public:
	explicit Guest(World &world, Create when = Create::kNow);
	~Guest();
	Guest(const Guest &) = delete;
	Guest &operator=(const Guest &) = delete;

	/* The vpte of `address`, with tables made on the way. */
	vpte_t &vpte(uint64_t address);
	/* The entry that stands `level` levels above the leaf (0 leaf, 3 below the root). */
	vpte_t &entry_at(uint64_t address, unsigned level);
	/* Maps a fresh frame; returns its offset in RAM. */
	uint64_t map(uint64_t address, vpte_t bits = kPageBits);
	uint64_t map_range(uint64_t address, unsigned pages, vpte_t bits = kPageBits);
	void load(const char *begin, const char *end, uint64_t address = kCodeAt);
	void invalidate(uint64_t address, uint64_t length = kPage);
	void set_root(vpte_t value);
	/* RUN; returns tf_trapno, or -errno. */
	int run();
	/* RUN until something else than a kick happens. */
	int run_through_kicks();
	void *id() { return this; }

	World &world;
	vpte_t root;
	trapframe tf = {};
	vextframe vf = {};
	std::vector<uint8_t> xsave;
};

/* Runs `body` in a child process (a vkernel of its own); returns its exit status, or 1000 + signal. */
int in_child(const std::function<int()> &body);
/* The pids of the children of `parent` whose name is vmspace. */
std::vector<int> stubs_of(int parent);
std::vector<int> tasks_of(int pid);
double seconds();
bool wait_until(const std::function<bool()> &condition, double limit_seconds = 60);

}  // namespace harness

#define GUEST(name) extern "C" const char name[], name##_end[]
#define LOAD(guest, name) (guest).load(name, name##_end)
#endif
