// A file system in memory behind the library's seam: what it opens, locks, writes, syncs and renames below /sim happens here. Nothing of
// the library is modelled: its own code runs, on a host whose every state can be had again, looked at and cut off.
//
// A World is a value. It knows processes (who has which file open and locked) and what is durable: of a file what was there at its
// last fsync, of a name what it led to at the last fsync of its folder. Only what the library uses exists; any other call traps.
#ifndef VKCKPT_TEST_SIMFS_H
#define VKCKPT_TEST_SIMFS_H

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace simfs {

struct Write {
	uint64_t offset;
	std::string bytes;
};

struct Inode {
	std::string data;
	std::string synced;		// at the last fsync
	std::vector<Write> unsynced;	// since then
	uint64_t changes = 1;		// is its ctime, too
	int lock = 0;			// the open file that holds the lock alone
	std::set<int> shared;		// those that share it
};

struct OpenFile {
	int process;
	uint64_t inode;			// 0: a folder
	std::string path;		// of a folder
	int flags;
	uint64_t offset;
};

struct World {
	std::map<uint64_t, Inode> inodes;
	// What a name has led to since its folder was synced, the durable value first, the present one last; 0: nothing.
	std::map<std::string, std::vector<uint64_t>> names;
	std::set<std::string> folders;
	std::map<int, OpenFile> open;
	std::map<int, uint64_t> made, opened, drawn;	// by process: files, open files, random numbers
	uint64_t boot = 1;
	int process = 1;		// that is running now
	uint64_t writes = 0, syncs = 0, name_changes = 0;

	uint64_t lookup(const std::string &path) const;
	const std::string *content(const std::string &path) const;
	void put(const std::string &path, const std::string &content);	// durable
	void touch(const std::string &path, const std::string &content);	// a change as by a program: another ctime, not synced
	void copy(const std::string &from, const std::string &to);
	void end_process(int process);	// closes what it had open, whatever way it ended
	std::string fingerprint() const;	// equal: names, contents and what is durable are
	// Equal: the same to every process of this host, contents taken by number of changes. As if process `without` had been killed.
	uint64_t visible(int without = -1) const;
};

extern World *world;			// null: no call goes here
// Asked before every call that can fail, with what it is about (a path, "" for memory and chance); true: it does, with *result.
extern bool (*interfere)(long number, const long *arguments, const std::string &path, long *result);
extern void (*before_call)(long number);	// told before every call that other processes could notice
extern void (*after_call)(uint64_t result);	// and what came of any call: the number, and a digest of what was read
enum class Lie { none, files, folders, locks };
extern Lie lie;				// a host whose fsync does nothing for these, or whose locks everybody gets
enum class Names { exchanged, linked, single };
extern Names names;			// what its file system can do with them: also links, but no exchange; neither

// Addresses at which a thaw may map its RAM: they belong to the test and stay mapped.
struct Window {
	uint64_t start = 0, bytes = 0;
};
extern Window window;
// Memory that processes mapped and did not give back, because they were killed.
void drop_memory();

// The call is one of the simulated host's: *result is its result.
bool call(long number, const long *arguments, long *result);

// --- power loss
//
// Durable is what was synced. Of the rest:
//   names    each leads to any of the things that it has led to since the last fsync of its folder, independently of every other
//            name: also a rename of which only one side has reached the disk
//   content  each write since the last fsync of the file is there, or not, or (the last) in part: none, all, every prefix, every one
//            left out, every one alone, the last one torn. A file under a temporary name (.part, .new) is taken in three
//            forms: as synced, as written, torn.
// Host and processes are new afterwards: another boot id, no locks. Calls f with every such World, each once; returns how many.
unsigned each_power_loss(const World &, std::set<std::string> &seen, const std::function<void(const World &)> &f);

}  // namespace simfs
#endif
