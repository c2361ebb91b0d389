// A file that is written under a name of its own, NAME.part, and gets its name when it is whole and on the disk.
#ifndef VKCKPT_BIN_NEW_FILE_H
#define VKCKPT_BIN_NEW_FILE_H

#include <string>

namespace tool {

class NewFile {
public:
	explicit NewFile(const std::string &path) : path_(path), part_(path + ".part") {}
	NewFile(const NewFile &) = delete;
	NewFile &operator=(const NewFile &) = delete;
	~NewFile();		// removed again unless it was kept
	// Mode 0600, locked; one that a process left behind when it died is replaced. False: *problem is the sentence.
	bool open(std::string *problem, const char *remedy = "name another place for the new image");
	int fd() const { return fd_; }
	const std::string &part() const { return part_; }
	// For good: what has the name loses it, if it is still the file that fd is open on. False: *problem is the sentence.
	bool remove_instead(int fd, std::string *problem);
	// Synced, then renamed. replace: a file that has the name goes; else that is refused. False: *problem says what is there now.
	bool keep(bool replace, std::string *problem);

private:
	bool remove_leftover();
	std::string path_, part_;
	int fd_ = -1;
	bool kept_ = false;
};

}  // namespace tool
#endif
