// The files of /proc/PID.
#include "procfs.h"
#include "tty.h"

namespace minivk {

namespace {

constexpr uint64_t kTickNs = 10'000'000;	// USER_HZ is 100
using Number = unsigned long long;
using Signed = long long;

char state_of(const Process &p)
{
	if (p.zombie || p.threads.empty())
		return 'Z';
	if (p.stopped)
		return 'T';
	for (const Thread *t : p.threads)
		if (t->state == ThreadState::kRunning || t->state == ThreadState::kRunnable)
			return 'R';
	return 'S';
}

const char *state_name(char state)
{
	switch (state) {
	case 'Z': return "Z (zombie)";
	case 'T': return "T (stopped)";
	case 'R': return "R (running)";
	default: return "S (sleeping)";
	}
}

uint64_t pending_signals(const Process &p)
{
	uint64_t set = p.pending.set;
	for (const Thread *t : p.threads)
		set |= t->pending.set;
	return set;
}

// Signals that are ignored (which 1) or caught.
uint64_t signals_with(const Process &p, bool ignored)
{
	uint64_t set = 0;
	for (int sig = 1; sig <= 64; ++sig)
		if (ignored ? p.actions[sig].handler == 1 : p.actions[sig].handler > 1)
			set |= signal_bit(sig);
	return set;
}

uint64_t mapped(const Process &p) { return p.space ? p.space->mapped_bytes() : 0; }

void stat(KString &out, int64_t pid)
{
	const Process &p = *process_find(pid);
	const Thread *leader = p.leader();
	uint64_t user, system;
	process_times(p, &user, &system);
	const bool tty = p.terminal;
	add_text(out, "%lld (%s) %c %lld %lld %lld %d %lld 0 %llu 0 0 0", Signed(p.pid), p.comm, state_of(p),
	    Signed(p.parent ? p.parent->pid : 0), Signed(p.pgid), Signed(p.sid), tty ? (5 << 8) + 1 : 0,
	    Signed(tty ? p.terminal->foreground : -1), Number(p.faults));
	add_text(out, " %llu %llu %llu %llu %d %d %zu 0 %llu %llu %llu %llu", Number(user / kTickNs), Number(system / kTickNs),
	    Number(p.child_user_ns / kTickNs), Number(p.child_system_ns / kTickNs), 20 + p.nice, p.nice, p.threads.size(),
	    Number(p.start_ns / kTickNs), Number(mapped(p)), Number(process_resident(p)), ~Number(0));
	add_text(out, " 1 1 %llu 0 0 %llu %llu %llu %llu 0 0 0 %d %d 0 0 0 0 0\n", Number(p.space ? p.space->stack_top : 0),
	    Number(pending_signals(p)), Number(leader ? leader->blocked_signals : 0), Number(signals_with(p, true)),
	    Number(signals_with(p, false)), p.exit_signal, leader && leader->cpu >= 0 ? leader->cpu : 0);
}

void status(KString &out, int64_t pid)
{
	const Process &p = *process_find(pid);
	const Number kib = kPage / 1024;
	add_text(out, "Name:\t%s\nUmask:\t%04o\nState:\t%s\nTgid:\t%lld\nPid:\t%lld\nPPid:\t%lld\nTracerPid:\t0\n", p.comm,
	    p.fs ? p.fs->umask : 0, state_name(state_of(p)), Signed(p.pid), Signed(p.pid), Signed(p.parent ? p.parent->pid : 0));
	add_text(out, "Uid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\nFDSize:\t%d\n", p.uid, p.euid, p.suid, p.euid, p.gid, p.egid, p.sgid,
	    p.egid, p.files ? p.files->size() : 0);
	if (!p.zombie)
		add_text(out, "VmSize:\t%8llu kB\nVmRSS:\t%8llu kB\n", Number(mapped(p) / 1024), process_resident(p) * kib);
	add_text(out, "Threads:\t%zu\nSigPnd:\t%016llx\nSigBlk:\t%016llx\nSigIgn:\t%016llx\nSigCgt:\t%016llx\n", p.threads.size(),
	    Number(pending_signals(p)), Number(p.leader() ? p.leader()->blocked_signals : 0), Number(signals_with(p, true)),
	    Number(signals_with(p, false)));
}

void statm(KString &out, int64_t pid)
{
	const Process &p = *process_find(pid);
	add_text(out, "%llu %llu 0 0 0 0 0\n", Number(mapped(p) / kPage), Number(process_resident(p)));
}

void comm(KString &out, int64_t pid) { add_text(out, "%s\n", process_find(pid)->comm); }

void memory_text(KString &out, const Process &p, uint64_t from, uint64_t to)
{
	constexpr uint64_t kMost = 1 << 17;	// ARG_MAX of Linux
	if (!p.space || to <= from || to - from > kMost)
		return;
	out.resize(to - from);
	if (copy_in(*p.space, from, out.data(), out.size()) != 0)
		out.clear();
}

void cmdline(KString &out, int64_t pid)
{
	const Process &p = *process_find(pid);
	memory_text(out, p, p.arg_start, p.arg_end);
}

void environ(KString &out, int64_t pid)
{
	const Process &p = *process_find(pid);
	memory_text(out, p, p.env_start, p.env_end);
}

const char *special_name(const AddressSpace &space, const Mapping &m)
{
	if (m.start <= space.brk_start && space.brk_start < m.end)
		return "[heap]";
	return m.grows_down ? "[stack]" : "";
}

void maps(KString &out, int64_t pid)
{
	const Process &p = *process_find(pid);
	if (!p.space)
		return;
	for (const auto &entry : p.space->mappings()) {
		const Mapping &m = entry.second;
		const size_t line = out.size();
		add_text(out, "%08llx-%08llx %c%c%c%c %08llx 00:%02llx %llu ", Number(m.start), Number(m.end), m.prot & 1 ? 'r' : '-',
		    m.prot & 2 ? 'w' : '-', m.prot & 4 ? 'x' : '-', m.shared ? 's' : 'p', Number(m.inode ? m.offset : 0),
		    Number(m.inode ? m.inode->device() : 0), Number(m.inode ? m.inode->number : 0));
		const char *name = m.path.empty() ? special_name(*p.space, m) : m.path.c_str();
		if (*name && out.size() - line < 73)
			out.append(73 - (out.size() - line), ' ');
		out += name;
		out += '\n';
	}
}

void mounts(KString &out, int64_t)
{
	out += "ramfs / tmpfs rw 0 0\nproc /proc proc rw 0 0\n";
}

const ProcFile kFiles[] = {{"stat", stat}, {"status", status}, {"statm", statm}, {"comm", comm}, {"cmdline", cmdline},
    {"environ", environ}, {"maps", maps}, {"mounts", mounts}};

}  // namespace

ProcFiles proc_process_files() { return {kFiles, sizeof kFiles / sizeof *kFiles}; }

}  // namespace minivk
