// Before a command reads an image, which may come from anywhere, the process gives up what it does not need for that: after confine it can
// open only the files it names, and cannot write or create any, start a program, open a socket, signal or trace anybody, whatever it may
// be made to execute. A command that makes something of the image writes to files that are open already, in folders that it names.
// Each half is used where the host has it: Landlock for files, a seccomp filter for system calls.
#ifndef VKCKPT_BIN_CONFINE_H
#define VKCKPT_BIN_CONFINE_H

#include <string>
#include <vector>

struct vkckpt_crypto;

namespace tool {

// Of a command. kReading: its operands are images, and it writes nothing but its answer. Those that write
// confine themselves as soon as their keys are read and their files are open.
enum class Confine { kNot, kReading };

// kNames: what is open gets its name, by which another file may lose it; kFiles: files can be made, read and written as well.
enum class Writing { kNames, kFiles };
struct Folder { std::string path; Writing writing; };	// and the folders in it: Landlock knows no other way

struct Confinement {
	int landlock_abi = 0;		// 0: the host has no Landlock (Linux 5.13), any file can be opened for reading
	bool landlock_failed = false;	// the host has it, and yet files are not confined
	bool calls = false;		// the seccomp filter is in force
};

// For good, in this thread and all it makes. Files that are open stay open. What the host has not is left out: the result says so.
Confinement confine(const std::vector<std::string> &readable, const std::vector<Folder> &folders = {});
// For a command that reads these images: also the images they descend from, their signatures, and the sidecars of their disks, become readable. Who names
// those is the image, so that is found out by a child that is itself confined to the images known so far.
// crypto: what opens sealed ones, or null; others: files that are to be readable as well, such as a signature. Disks::kRelease: the sidecars
// that are there can be written, in the folders of their disks.
enum class Disks { kRead, kRelease };
Confinement confine_to_images(const std::vector<std::string> &images, const vkckpt_crypto *crypto, const std::vector<std::string> &others,
    std::vector<Folder> folders = {}, Disks disks = Disks::kRead);
// For a command that gives a disk back: its sidecar can be written.
Confinement confine_to_disk(const std::string &disk);
// What confine would achieve on this host, in words, for vkckpt --version.
std::string confinement_text();

}  // namespace tool
#endif
