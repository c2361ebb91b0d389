// forge ram|region IMAGE OUT: the image with other addresses and checksums that are right: its RAM beyond the stubs, or its first region moved by
// 16 bytes, so that its end lies on words of the dynamic linker.
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>

#include "test/fuzz/image_model.h"

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	std::ifstream in(argv[2], std::ios::binary);
	image_model::Bytes bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
	image_model::Image image;
	if (!image_model::parse(bytes.data(), bytes.size(), &image)) {
		fprintf(stderr, "forge: %s is no image\n", argv[2]);
		return 2;
	}
	bool done = false;
	if (strcmp(argv[1], "ram") == 0) {
		image.header.segment[0].address += 0x7f0000000000;
		done = true;
	}
	for (image_model::Record &r : image.records)
		if (!done && r.head.type == VKCKPT_REC_REGION && strcmp(argv[1], "region") == 0) {
			reinterpret_cast<vkckpt_f_region *>(r.payload.data())->address += 16;
			done = true;
		}
	image_model::Bytes forged = image_model::build(image, image_model::kEverything);
	std::ofstream out(argv[3], std::ios::binary);
	out.write(reinterpret_cast<const char *>(forged.data()), (std::streamsize)forged.size());
	return done && out.flush() ? 0 : 2;
}
