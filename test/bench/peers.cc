// Peers that work on files, and those that work on processes.
#include "test/bench/bench.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

namespace bench {
namespace {

namespace fs = std::filesystem;

// A program, and a sync of what it wrote.
void file_peer(Report &r, const std::string &name, const std::vector<std::string> &args, const std::string &out)
{
	unlink(out.c_str());
	double t = timed(args);
	r.add("Capture, unsynced", name, t);
	r.add("Capture, synced", name, t + timed({"sync", out}));
	r.add("Size", name, file_mib(out), Unit::mebibytes);
}

void note_once(Report &r, const std::string &note)
{
	for (const std::string &n : r.notes)
		if (n == note)
			return;
	r.notes.push_back(note);
}

double folder_mib(const std::string &folder)
{
	double bytes = 0;
	for (const auto &entry : fs::directory_iterator(folder))
		if (entry.is_regular_file())
			bytes += static_cast<double>(entry.file_size());
	return bytes / (1 << 20);
}

void criu(Report &r, const std::string &raw)
{
	if (!have("criu"))
		return note_once(r, "CRIU is not installed");
	int status = 0;
	timed({"sh", "-c", "criu check >/dev/null 2>&1"}, 0, &status);
	if (status != 0)
		return note_once(r, "CRIU is installed and does not run on this kernel (criu check fails)");
	const std::string folder = raw + ".criu", self = fs::read_symlink("/proc/self/exe");
	fs::remove_all(folder);
	fs::create_directory(folder);
	Program holder({"setsid", self, "hold", raw}, Program::Output::read);
	if (!holder.says("ready"))
		die("the holder of memory is not ready");
	double t = timed({"criu", "dump", "-t", std::to_string(holder.pid()), "-D", folder}, 0, &status);
	if (status != 0)
		return note_once(r, "CRIU does not dump a process on this kernel");
	r.add("Capture, unsynced", "CRIU dump", t);
	r.add("Capture, synced", "CRIU dump", t + timed({"sync", "-f", folder}));
	r.add("Size", "CRIU dump", folder_mib(folder), Unit::mebibytes);
	t = timed({"criu", "restore", "-D", folder, "-d", "--pidfile", folder + "/pid"}, 0, &status);
	if (status == 0)
		r.add("Thaw, eager", "CRIU restore", t);
	(void)timed({"sh", "-c", "kill -9 $(cat " + folder + "/pid)"}, 0, &status);
	fs::remove_all(folder);
}

void dmtcp(Report &r, const std::string &raw)
{
	if (!have("dmtcp_launch"))
		return note_once(r, "DMTCP is not installed (Debian 12 has no package of it)");
	const std::string folder = raw + ".dmtcp", self = fs::read_symlink("/proc/self/exe");
	fs::remove_all(folder);
	fs::create_directory(folder);
	Program holder({"dmtcp_launch", "--new-coordinator", "--coord-port", "7788", "--ckptdir", folder, "--no-gzip", self, "hold", raw},
	    Program::Output::read);
	int status = 0;
	bool ready = holder.says("ready");
	double t = timed({"dmtcp_command", "--coord-port", "7788", "--bcheckpoint"}, 0, &status);
	if (!ready || status != 0)
		return note_once(r, "DMTCP is installed and does not run here");
	r.add("Capture, unsynced", "DMTCP", t);
	r.add("Size", "DMTCP", folder_mib(folder), Unit::mebibytes);
	(void)timed({"dmtcp_command", "--coord-port", "7788", "--quit"}, 0, &status);
	fs::remove_all(folder);
}

}  // namespace

double file_mib(const std::string &path)
{
	struct stat st;
	return stat(path.c_str(), &st) == 0 ? static_cast<double>(st.st_size) / (1 << 20) : 0;
}

void file_peers(Report &r, const std::string &raw)
{
	file_peer(r, "cp", {"cp", raw, raw + ".cp"}, raw + ".cp");
	// What the disk takes, as ours writes it: around the page cache.
	file_peer(r, "dd, O_DIRECT", {"dd", "if=" + raw, "of=" + raw + ".dd", "bs=2M", "oflag=direct", "status=none"}, raw + ".dd");
	file_peer(r, "lz4 -1", {"lz4", "-1", "-q", "-f", raw, raw + ".lz4"}, raw + ".lz4");
	if (have("zstd"))
		file_peer(r, "zstd -1 -T0", {"zstd", "-1", "-T0", "-q", "-f", raw, "-o", raw + ".zst"}, raw + ".zst");
	for (const char *end : {".cp", ".dd", ".lz4", ".zst"})
		unlink((raw + end).c_str());
}

void process_peers(Report &r, const std::string &raw)
{
	criu(r, raw);
	dmtcp(r, raw);
}

}  // namespace bench
