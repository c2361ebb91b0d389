// What the RAM in an image consists of, added up.
#ifndef VKCKPT_BIN_IMAGE_SUMMARY_H
#define VKCKPT_BIN_IMAGE_SUMMARY_H

#include "bin/image_file.h"

namespace tool {

struct ClassSummary {
	std::string name;
	uint64_t frames, stored_bytes;
	std::string ratio_text() const;
};
struct CodecSummary {
	std::string name;
	uint64_t chunks, frames, stored_bytes;
};
struct RamSummary {
	uint64_t live_bytes, stored_bytes, zero_bytes, free_bytes, hole_bytes, secret_bytes;
	std::vector<ClassSummary> classes;	// those that occur
	std::vector<CodecSummary> codecs;	// those that occur
	double ratio() const;			// stored over live; 0 where nothing is stored
	std::string ratio_text() const;
};

const char *class_name(unsigned page_class);
RamSummary summarize(const ImageFile &);

}  // namespace tool
#endif
