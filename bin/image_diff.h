// What differs between the RAM of two images: frame by frame, by content, told by whose it is and by its class.
#ifndef VKCKPT_BIN_IMAGE_DIFF_H
#define VKCKPT_BIN_IMAGE_DIFF_H

#include "bin/image_file.h"

namespace tool {

// Frames. A frame that is in one image only, and zero there, differs in nothing.
struct Differing {
	uint64_t changed = 0;		// in both, with other content
	uint64_t added = 0;		// in the second image only
	uint64_t gone = 0;		// in the first image only
	uint64_t all() const { return changed + added + gone; }
};
struct ProcessDiff {
	int64_t pid;
	std::string name;
	bool in_first, in_second;
	Differing frames;		// those that its page tables map, and no other process's; and these tables
};
struct ClassDiff {
	std::string name;
	Differing frames;
};
struct ImageDiff {
	uint64_t same = 0;
	Differing all, shared, unowned;	// shared: mapped by several processes; unowned: by none
	std::vector<ProcessDiff> processes;
	std::vector<ClassDiff> classes;	// those in which something differs
};

// The owner of a frame is who has it in the second image; of one that is gone, who had it. False with why it cannot be told.
bool diff_images(const ImageFile &first, const ImageFile &second, ImageDiff *out, std::string *problem);

}  // namespace tool
#endif
