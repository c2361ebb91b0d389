// QEMU: a machine that holds the same bytes in its RAM, stopped, migrated into a file and out of one, as people save it. It is told what to
// do over QMP; the words that come back are looked for, not parsed.
#include "test/bench/bench.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

namespace bench {
namespace {

class Machine {
public:
	Machine(const std::string &place, const std::string &memory, uint64_t bytes, bool incoming);
	~Machine();
	void tell(const std::string &command);		// waits for its answer
	void until(const std::string &word);		// it comes, or came with an answer
private:
	bool read_more(double seconds);
	std::string place_;
	int socket_ = -1;
	std::string heard_;
	Program program_;
};

std::vector<std::string> words(const std::string &place, const std::string &memory, uint64_t bytes, bool incoming)
{
	std::vector<std::string> all = {"qemu-system-x86_64", "-nodefaults", "-display", "none", "-accel", "tcg", "-S", "-machine",
	    "pc,memory-backend=ram", "-m", std::to_string(bytes >> 20), "-object", "memory-backend-file,id=ram,share=on,size=" +
	    std::to_string(bytes) + ",mem-path=" + memory, "-qmp", "unix:" + place + ",server=on,wait=off"};
	if (incoming)
		all.insert(all.end(), {"-incoming", "defer"});
	return all;
}

Machine::Machine(const std::string &place, const std::string &memory, uint64_t bytes, bool incoming)
    : place_(place), program_((unlink(place.c_str()), words(place, memory, bytes, incoming)))
{
	sockaddr_un address = {};
	address.sun_family = AF_UNIX;
	std::strncpy(address.sun_path, place.c_str(), sizeof address.sun_path - 1);
	for (double end = now() + 30;; usleep(500)) {
		socket_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (connect(socket_, reinterpret_cast<sockaddr *>(&address), sizeof address) == 0)
			break;
		close(socket_);
		if (now() > end)
			die("QEMU does not listen on " + place);
	}
	until("\"QMP\"");
	tell("{\"execute\":\"qmp_capabilities\"}");
	tell("{\"execute\":\"migrate-set-capabilities\",\"arguments\":{\"capabilities\":[{\"capability\":\"events\",\"state\":true}]}}");
	tell("{\"execute\":\"migrate-set-parameters\",\"arguments\":{\"max-bandwidth\":100000000000}}");
}

Machine::~Machine()
{
	close(socket_);
	unlink(place_.c_str());
}

bool Machine::read_more(double seconds)
{
	pollfd in = {socket_, POLLIN, 0};
	char bytes[4096];
	if (poll(&in, 1, static_cast<int>(seconds * 1e3)) <= 0)
		return false;
	ssize_t n = read(socket_, bytes, sizeof bytes);
	if (n > 0)
		heard_.append(bytes, static_cast<size_t>(n));
	return n > 0;
}

void Machine::until(const std::string &word)
{
	while (heard_.find(word) == std::string::npos)
		if (heard_.find("\"error\"") != std::string::npos || heard_.find("\"failed\"") != std::string::npos || !read_more(120))
			die("QEMU does not say " + word + " but: " + heard_);
}

void Machine::tell(const std::string &command)
{
	heard_.clear();
	if (write(socket_, command.data(), command.size()) != static_cast<ssize_t>(command.size()))
		die("QEMU does not take commands");
	until("\"return\"");
}

void copy_to(const std::string &raw, const std::string &memory, uint64_t bytes)
{
	int from = open(raw.c_str(), O_RDONLY | O_CLOEXEC), to = open(memory.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (from < 0 || to < 0 || ftruncate(to, static_cast<off_t>(bytes)) != 0)
		die(memory + ": cannot be filled");
	std::vector<char> buffer(1 << 20);
	for (ssize_t n; (n = read(from, buffer.data(), buffer.size())) > 0;)
		if (write(to, buffer.data(), static_cast<size_t>(n)) != n)
			die(memory + ": no room");
	close(from);
	close(to);
}

void one(Report &r, const std::string &dir, uint64_t bytes, const std::string &name, const std::string &write_with,
    const std::string &read_with)
{
	const std::string out = dir + "/qemu.image", socket = dir + "/qmp", source = "/dev/shm/vkckpt-bench-" + std::to_string(getpid());
	const std::string target = source + ".in";
	unlink(out.c_str());
	{
		Machine machine(socket, source, bytes, false);
		double t = now();
		machine.tell("{\"execute\":\"migrate\",\"arguments\":{\"uri\":\"exec:" + write_with + " >" + out + "\"}}");
		machine.until("\"completed\"");
		t = now() - t;
		r.add("Capture, unsynced", "QEMU " + name, t);
		r.add("Capture, synced", "QEMU " + name, t + timed({"sync", out}));
		r.add("Size", "QEMU " + name, file_mib(out), Unit::mebibytes);
	}
	double t = now();
	{
		Machine machine(socket, target, bytes, true);
		machine.tell("{\"execute\":\"migrate-incoming\",\"arguments\":{\"uri\":\"exec:" + read_with + " " + out + "\"}}");
		machine.until("\"completed\"");
		t = now() - t;
	}
	r.add("Thaw, eager", "QEMU " + name, t);
	unlink(target.c_str());
	unlink(out.c_str());
}

}  // namespace

void qemu_peers(Report &r, const std::string &raw, const std::string &ram)
{
	const uint64_t mib = std::stoull(ram) * (ram.back() == 'g' ? 1024 : 1);	// "512m", "2g"
	const std::string dir = raw.substr(0, raw.rfind('/')), memory = "/dev/shm/vkckpt-bench-" + std::to_string(getpid());
	if (!have("qemu-system-x86_64")) {
		if (r.notes.empty() || r.notes[0].find("QEMU") != 0)
			r.notes.insert(r.notes.begin(), "QEMU is not installed (qemu-system-x86)");
		return;
	}
	copy_to(raw, memory, mib << 20);
	one(r, dir, mib << 20, "exec:cat", "cat", "cat");
	one(r, dir, mib << 20, "exec:lz4 -1", "lz4 -1 -q -c", "lz4 -d -q -c");
	unlink(memory.c_str());
}

}  // namespace bench
