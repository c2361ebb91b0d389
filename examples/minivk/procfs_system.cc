// The files of /proc that tell of the whole system.
#include <cstdarg>
#include <cstdio>

#include "procfs.h"

namespace minivk {

void add_text(KString &out, const char *format, ...)
{
	char piece[1024];
	va_list args;
	va_start(args, format);
	const int n = vsnprintf(piece, sizeof piece, format, args);
	va_end(args);
	out.append(piece, std::min(size_t(n), sizeof piece - 1));
}

// Times of processes that were waited for are in their parents; so the sum over the living never falls.
void total_times(uint64_t *user_ns, uint64_t *system_ns)
{
	*user_ns = *system_ns = 0;
	for (const auto &p : kernel().processes) {
		uint64_t user, system;
		process_times(*p.second, &user, &system);
		*user_ns += user + p.second->child_user_ns;
		*system_ns += system + p.second->child_system_ns;
	}
}

namespace {

constexpr uint64_t kTickNs = 10'000'000;	// USER_HZ is 100
using Number = unsigned long long;

void meminfo(KString &out, int64_t)
{
	const Number kib = kPage / 1024, file = files().used_file_frames * kib;
	const Number total = frames_total() * kib, free = frames_free() * kib;
	add_text(out, "MemTotal:       %8llu kB\nMemFree:        %8llu kB\nMemAvailable:   %8llu kB\n", total, free, free);
	add_text(out, "Buffers:        %8u kB\nCached:         %8llu kB\nSwapCached:     %8u kB\n", 0u, file, 0u);
	add_text(out, "Shmem:          %8llu kB\nSReclaimable:   %8u kB\nSwapTotal:      %8u kB\nSwapFree:       %8u kB\n", file, 0u, 0u, 0u);
}

void uptime(KString &out, int64_t)
{
	uint64_t user, system;
	total_times(&user, &system);
	const uint64_t now = now_ns(), all = now * kernel().cpu_count, busy = user + system;
	const uint64_t idle = all > busy ? all - busy : 0;
	add_text(out, "%llu.%02llu %llu.%02llu\n", Number(now / 1'000'000'000), Number(now / kTickNs % 100),
	    Number(idle / 1'000'000'000), Number(idle / kTickNs % 100));
}

unsigned count_running()
{
	unsigned n = 0;
	for (const auto &t : kernel().threads)
		n += t.second->state == ThreadState::kRunnable || t.second->state == ThreadState::kRunning;
	return n;
}

void stat(KString &out, int64_t)
{
	uint64_t user, system;
	total_times(&user, &system);
	const uint64_t now = now_ns(), all = now * kernel().cpu_count;
	const uint64_t idle = all > user + system ? all - user - system : 0, n = kernel().cpu_count;
	add_text(out, "cpu  %llu 0 %llu %llu 0 0 0 0 0 0\n", Number(user / kTickNs), Number(system / kTickNs), Number(idle / kTickNs));
	// Times are not kept per vCPU: each is shown with its share.
	for (uint64_t i = 0; i < n; ++i)
		add_text(out, "cpu%llu %llu 0 %llu %llu 0 0 0 0 0 0\n", Number(i), Number(user / n / kTickNs),
		    Number(system / n / kTickNs), Number(idle / n / kTickNs));
	add_text(out, "intr %llu\nctxt %llu\nbtime %llu\nprocesses %llu\nprocs_running %u\nprocs_blocked 0\n",
	    Number(kernel().trap_count), Number(kernel().switch_count), Number((realtime_ns() - now) / 1'000'000'000),
	    Number(kernel().fork_count), count_running());
}

void loadavg(KString &out, int64_t)
{
	add_text(out, "0.00 0.00 0.00 %u/%zu %lld\n", count_running(), kernel().threads.size(),
	    static_cast<long long>(kernel().next_pid - 1));
}

void version(KString &out, int64_t) { add_text(out, "Linux version 6.1.0-minivk (minivk) #1 SMP\n"); }

void cpuinfo(KString &out, int64_t)
{
	for (uint32_t i = 0; i < kernel().cpu_count; ++i)
		add_text(out, "processor\t: %u\nvendor_id\t: minivk\nmodel name\t: minivk vCPU\ncpu cores\t: 1\n\n", i);
}

void mounts(KString &out, int64_t)
{
	add_text(out, "ramfs / tmpfs rw 0 0\nproc /proc proc rw 0 0\n");
}

void filesystems(KString &out, int64_t) { out += "nodev\ttmpfs\nnodev\tproc\n"; }
void cmdline(KString &out, int64_t) { add_text(out, "name=%s\n", kernel().name); }
void swaps(KString &out, int64_t) { out += "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"; }

void hostname(KString &out, int64_t) { add_text(out, "%s\n", kernel().name); }
void ostype(KString &out, int64_t) { out += "Linux\n"; }
void osrelease(KString &out, int64_t) { out += "6.1.0-minivk\n"; }
void build(KString &out, int64_t) { out += "#1 SMP\n"; }
void pid_max(KString &out, int64_t) { out += "4194304\n"; }

const ProcFile kSystem[] = {{"meminfo", meminfo}, {"uptime", uptime}, {"stat", stat}, {"loadavg", loadavg}, {"version", version},
    {"cpuinfo", cpuinfo}, {"mounts", mounts}, {"filesystems", filesystems}, {"cmdline", cmdline}, {"swaps", swaps}};
const ProcFile kKernel[] = {{"hostname", hostname}, {"ostype", ostype}, {"osrelease", osrelease}, {"version", build},
    {"pid_max", pid_max}};

}  // namespace

ProcFiles proc_system_files() { return {kSystem, sizeof kSystem / sizeof *kSystem}; }
ProcFiles proc_kernel_files() { return {kKernel, sizeof kKernel / sizeof *kKernel}; }

}  // namespace minivk
