// What the frames of the golden chains hold: said once, for what made them and for what reads them.
#ifndef VKCKPT_TEST_GOLDEN_CHAIN_CONTENT_H
#define VKCKPT_TEST_GOLDEN_CHAIN_CONTENT_H

#include <cstdio>

#include "test/unit/image_support.h"

namespace golden_chain {

inline image_test::Bytes frame(unsigned number, unsigned image)
{
	image_test::Bytes bytes(VKCKPT_FRAME);
	char line[64];
	std::snprintf(line, sizeof line, "golden chain, frame %u as of image %u. ", number, image);
	for (size_t i = 0, length = std::strlen(line); i < bytes.size(); i++)
		bytes[i] = static_cast<uint8_t>(line[i % length]);
	return bytes;
}

// Of 40 frames the first image has 0 to 20, frame 7 zero. In the second 0 and 17 have changed, 3 is zero, 5 is gone, 30 is new; the region, one
// frame and a bit, is as it was.
inline image_test::Frames frames(unsigned image)
{
	image_test::Frames all;
	for (unsigned f = 0; f <= 20; f++)
		all[{ 0, f }] = f == 7 ? image_test::Bytes(VKCKPT_FRAME) : frame(f, 1);
	for (unsigned f = 0; f < 2; f++)
		all[{ VKCKPT_OBJECT_REGION, f }] = frame(100 + f, 1);
	std::fill(all[{ VKCKPT_OBJECT_REGION, 1 }].begin() + 5000 - VKCKPT_FRAME, all[{ VKCKPT_OBJECT_REGION, 1 }].end(), 0);
	if (image == 1)
		return all;
	all[{ 0, 0 }] = frame(0, 2);
	all[{ 0, 17 }] = frame(17, 2);
	all[{ 0, 3 }] = image_test::Bytes(VKCKPT_FRAME);
	all.erase({ 0, 5 });
	all[{ 0, 30 }] = frame(30, 2);
	return all;
}

}  // namespace golden_chain
#endif
